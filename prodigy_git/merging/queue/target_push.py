"""Pushing the branch that was merged into; and what the repository's settings say of commits."""

from prodigy_git.git.ask import git_status
from prodigy_git.merging.queue.target import Target


def push(target: Target, cwd: str, remote: str) -> str | None:
    """Push the branch, as it is, to the one of the same name; return why it was refused, if it was.

    Never forced. The repository's pre-push hook runs.
    """
    status, _, err = git_status(cwd, "push", "--quiet", remote, f"{target.ref}:{target.ref}")
    if status == 0:
        return None
    lines = [line.strip() for line in err.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("remote:", "!", "fatal:", "error:"))]
    told = [line for line in told if not line.startswith("error: failed to push")]
    return "; ".join((told or lines)[:5]) or f"git push: exit status {status}"


def wants_trailers(cwd: str) -> bool:
    """Whether commits are to name their session, as git config ``prodigy.trailers`` says."""
    status, out, _ = git_status(cwd, "config", "--type=bool", "--get", "prodigy.trailers")
    return status == 0 and out.strip() == "true"
