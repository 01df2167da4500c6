"""The commits of a session that are still there."""

from prodigy_git.git.ask import git_status
from prodigy_git.model.session import Session
from prodigy_git.record import clock, gitdir
from prodigy_git.store import events, sessions
from prodigy_git.store.events import Broken


def commits(store: str, repo: str, found: Session, broken: Broken) -> list[str]:
    """Return the session's recorded commits that its HEAD, or then any branch, still contains.

    They are in the order in which they were made. Raises `OSError`, `ValueError`.
    """
    since = clock.parse(found.started_at)
    recorded = [
        event.own().get("commit")
        for event in events.of_session(store, repo, found.job, found.id, since, broken)
        if event.type == "CommitCreated"
    ]
    if not recorded:
        return []
    where = sessions.journal_of(store, found)
    common = sessions.common_of(store, found)
    if where is not None:
        # By its commit: the folder may be out of sight.
        _, head = gitdir.head(where[0])
        if head is None:
            return []
        cwd, tips = where[0].common, [head]
    elif common is not None:
        # The worktree is gone: what its branch has, or what it was merged into.
        cwd, tips = common, ["--branches", "--remotes", "--tags"]
    else:
        return []
    base = found.text("base_commit")
    status, out, _ = git_status(cwd, "rev-list", *tips, *([f"^{base}"] if base else []), "--")
    contained = set(out.split()) if status == 0 else set()
    return [sha for sha in dict.fromkeys(recorded) if sha in contained]
