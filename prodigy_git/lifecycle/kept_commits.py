"""Where a session's commits are, in words, once its worktree is gone."""

from prodigy_git.errors import ProdigyError
from prodigy_git.git import integration, repository
from prodigy_git.git.ask import look
from prodigy_git.git.integration import Question
from prodigy_git.model.session import Session
from prodigy_git.record.gitdir import Place
from prodigy_git.store.ended_by_others import MERGED

_EXPIRE = "2.weeks.ago"  # gc.pruneExpire, where it is not set (git-gc(1))


def commits(common: str, found: Session) -> str | None:
    """Return where a session's commits are; None where it made none, or git cannot be asked."""
    from concurrent.futures import ThreadPoolExecutor

    last = found.text("last_commit")
    if last is None or not found.metadata.get("commits"):
        return None
    place = Place(common, common, common)
    branch, base = found.text("branch"), found.text("base_branch")
    question = Question(last, branch, base, found.text("base_commit"), made=True)
    try:
        if look(place, "cat-file", "-e", f"{last}^{{commit}}")[0] != 0:
            return "no longer in the repository"
        known = integration.refs(place)
        default = integration.defaults(known, None)
        with ThreadPoolExecutor(1) as pool:
            (answer,) = integration.how(place, known, default, [question], pool)
        if answer.kind == "integrated":
            return f"{MERGED} {answer.into} ({answer.how})"
        status, out, _ = look(
            place, "for-each-ref", "--count=1", "--format=%(refname:short)", f"--contains={last}",
            "refs/heads", "refs/remotes", "refs/tags",
        )  # fmt: skip
        if status == 0 and out.strip():
            return f"on {out.decode('utf-8', 'replace').strip()}"
        return f"in no branch any more: {_kept(common)}"
    except ProdigyError:
        return None


def _kept(common: str) -> str:
    """Return how long git keeps what nothing names, counted from when it was made."""
    expire = repository.config(common, "gc.pruneExpire") or _EXPIRE
    if expire in ("never", "false"):
        return "git keeps them, as gc.pruneExpire says"
    if expire in ("now", "all"):
        return "git keeps them until its next gc"
    return f"git keeps them for {expire.replace('.', ' ').removesuffix(' ago')}"
