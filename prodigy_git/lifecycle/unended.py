"""Sessions that are over, and that nobody will end: ended here, by whichever command comes along.

Two kinds: git was told to remove the worktree, as other tools do when they are done with it; or the
item that a session was made for is over, or another's, and its process is gone. Who was ended so and
goes on after all can finish, or be resumed (`store.ended_by_others`).
"""

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prodigy_git import errors, glance, layout
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import liveness, processes
from prodigy_git.record import clock, locks, repokey, session
from prodigy_git.store import briefs, removed
from prodigy_git.store.briefs import Brief
from prodigy_git.store.broken import Broken
from prodigy_git.store.ended_by_others import REMOVED

if TYPE_CHECKING:
    from prodigy_git.model.session import Session

# Most commands come by here and find nothing to end: what ending takes is imported where it is done.


@dataclass
class Settled:
    """The sessions that were ended, with how; and those that go on though their items are over.

    ``left_behind`` have ended, now or before, and have commits, but no worktree: git may have been told
    to remove that, and their branches with it.
    """

    ended: dict[str, str] = field(default_factory=dict)
    at_work: list[str] = field(default_factory=list)
    left_behind: list[Brief] = field(default_factory=list)


def settle(
    store: str,
    broken: Broken,
    *,
    repo: str | None = None,
    job: str | None = None,
    name: str | None = None,
) -> Settled:
    """End the sessions that are over: of a repository, of a job, one of them, or all of the store.

    What cannot be told is left. Trouble is reported to ``broken``.
    """
    known = list(briefs.read_all(store, lambda _: None))
    if os.path.lexists(layout.setups(store)):
        from prodigy_git.lifecycle import interrupted_setups

        interrupted_setups.settle(store, {one.id: one.worktree for one in known}, broken)
    done = Settled()
    standing: processes.Standing | None = None
    held: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for one in known:
        if one.status == "Initializing" or one.repo is None:
            continue
        if repo not in (None, one.repo) or job not in (None, one.job):
            continue
        if name not in (None, one.id):
            continue
        if one.over:
            if _is_left_behind(one):
                done.left_behind.append(one)
            continue
        try:
            if _is_at_work(store, one, held):
                continue
            end = _end_of(store, one)
            if end is None:
                continue
            if standing is None:
                standing = processes.Standing()
            if not end.gone or standing.is_one_in(one.worktree or "/"):
                done.at_work.append(one.id)
            elif status := _ended(store, one, end, broken):
                done.ended[one.id] = status
                if end.because == REMOVED:
                    done.left_behind.append(one)
        except (ProdigyError, OSError, ValueError) as error:
            broken(errors.not_noted(error) or f"session {one.id}: {error}")
    return done


def _is_left_behind(one: Brief) -> bool:
    """Whether nothing may name an ended session's commits: asked of all, so no ref is looked at."""
    if one.commits_settled or not one.commits or one.last_commit is None or one.trash is not None:
        return False
    return one.worktree is not None and not os.path.lexists(one.worktree)


@dataclass(frozen=True)
class _End:
    status: str
    because: str
    gone: bool
    """Whether its process is; None of it is asked where git removed its worktree."""


def _is_at_work(store: str, one: Brief, held: dict[tuple[str, str], set[tuple[str, str]]]) -> bool:
    """Whether a session's worktree is there and its agent has its item: nothing is to be ended then.

    So it is with nearly all that have not ended, and `_end_of` reads a job's whole index for each.
    ``held`` is filled, by job.
    """
    if one.worktree is None or one.item is None or one.agent is None or one.repo is None:
        return False
    if one.prodigy_session is not None or not os.path.lexists(one.worktree):
        return False
    job = (one.repo, one.job)
    if job not in held:
        asked = "SELECT id, agent FROM items WHERE state = ?"
        held[job] = set(glance.rows(layout.index(store, *job), asked, (glance.IN_PROGRESS,)))
    return (one.item, one.agent) in held[job]


def _end_of(store: str, one: Brief) -> _End | None:
    """Return how a session is to be ended; None for one that is not over, as far as can be told."""
    holds, over = _of_item(store, one)
    if holds and one.prodigy_session is None:
        return None  # nobody but Prodigy ends an item of Prodigy's
    if one.worktree is not None and _is_removed(store, one, one.worktree):
        return _End(_of_run(store, one), REMOVED, gone=True)
    return over or _as_prodigy_says(store, one) or _as_its_program(store, one)


def _as_its_program(store: str, one: Brief) -> _End | None:
    """Return how a session ends that a program had made, and then did not begin anything in itself.

    So it is with a subagent's worktree: its events are those of the program's own session.
    """
    if one.made_for is None or one.program is not None or one.item is not None:
        return None
    alive = None if one.process is None else liveness.alive(store, one.process)
    if alive is not False:
        return None
    return _End("Completed", f"{one.made_for}, which had it made, has ended", gone=True)


def _of_run(store: str, one: Brief) -> str:
    """Return how a session ends whose worktree is gone: with its run; "": by its own commits.

    Prodigy removes a run's own worktree once it has merged it, and commits nothing there itself.
    """
    if one.prodigy_session is None or one.agent is not None:
        return ""
    from prodigy_git.prodigy.runs import runs

    states = [r.state for r in runs(store, one.repo) if r.session_id == one.prodigy_session]
    return "Completed" if states and set(states) == {"completed"} else ""


def _as_prodigy_says(store: str, one: Brief) -> _End | None:
    """Return how a session in a worktree of Prodigy's ends with its run; None: that is not over.

    An agent's worktree that is there after the run is one whose work Prodigy did not merge.
    """
    if one.prodigy_session is None or one.worktree is None or not os.path.isdir(one.worktree):
        return None
    from prodigy_git.prodigy.runs import state_at
    from prodigy_git.prodigy.sessions import ENDED

    session, state = state_at(store, os.path.realpath(one.worktree))
    if state not in ENDED:
        return None
    status = {"completed": "Completed", "failed": "Failed"}.get(state, "Cancelled")
    if one.agent is not None and status == "Completed":
        status = "Failed"
    return _End(status, f"Prodigy's session {session} has ended, {state}", gone=True)


def _is_removed(store: str, one: Brief, path: str) -> bool:
    assert one.repo is not None
    if os.path.lexists(path):  # nearly always: where the repository is need not be found out
        return False
    common = repokey.common_of(store, one.repo)
    return common is not None and removed.by_git(store, one.repo, common, one.id, path)


def _of_item(store: str, one: Brief) -> tuple[bool, _End | None]:
    """Return whether a session has its item in progress, and how it is to end if that is over."""
    if one.item is None or one.agent is None or one.repo is None:
        return False, None
    from prodigy_git.jobs import books, index, owner, peek

    if not index.exists(store, one.repo, one.job):
        return False, None
    with peek.opened(store, one.repo, one.job, lambda _: None) as there:
        item = there.item(one.item)
    start = None if item is None else item.starts.get(one.agent)
    if item is None or start is None or (start.worktree or start.session) != one.id:
        return False, None
    view = books.view(item)
    if view.state == "in_progress" and view.agent == one.agent:
        return True, None
    by = start.owner if not one.resumed and start.owner is not None else one.process
    alive = None if by is None else owner.alive(store, one.repo, one.job, by)
    if alive is None:
        return False, None
    if view.state == "completed" and view.agent == one.agent:
        return False, _End("Completed", "its item is completed, and its process is gone", not alive)
    return False, _End("Failed", "its process is gone, and its item is not its any more", not alive)


def _ended(store: str, one: Brief, end: _End, broken: Broken) -> str | None:
    """End a session; return how, None where it has ended meanwhile."""
    from prodigy_git.lifecycle import finish as finishing
    from prodigy_git.lifecycle import kept_commits
    from prodigy_git.store import ended_by_others, sessions

    assert one.repo is not None
    found = sessions.catch_up(store, sessions.load(store, one.id), broken)
    if found.ended:
        return None
    if end.because == REMOVED:
        common = sessions.common_of(store, found)
        found, well = _with_commits(store, one.repo, found, broken)
        # A program has its worktree removed when it is done: that it only talked is no failure.
        by_program = one.program is not None or one.made_for is not None
        talked = by_program and one.item is None
        well = well or talked or end.status == "Completed"
        where = None if common is None else kept_commits.commits(common, found)
        finishing.finish(
            store, one.id, cancelled=not well, error=None if well else end.because,
            because=end.because, left=where, broken=broken,
        )  # fmt: skip
        return "Completed" if well else "Cancelled"
    error = end.because if end.status == "Failed" else None
    made = ended_by_others.End(end.status, error, end.because, ended_by_others.resumptions(found))
    return end.status if ended_by_others.end_now(store, one.repo, found, made) else None


def _with_commits(
    store: str, repo: str, found: "Session", broken: Broken
) -> "tuple[Session, bool]":
    """Return a session whose worktree is gone with what the log has of it, and whether that is any.

    A burst of commits is not all in its file, and the cursor, which had the rest, went with git's data.
    """
    from prodigy_git.store import events, sessions

    since = clock.parse(found.started_at)
    told = events.of_session(store, repo, found.job, found.id, since, broken)
    shas = [str(one.own().get("commit")) for one in told if one.type == "CommitCreated"]
    if not shas or found.metadata.get("commits") == len(shas):
        return found, bool(shas)
    lock = locks.take(layout.session_lock(store, found.id))
    try:
        fields = session.read(store, found.id)
        fields["metadata"] |= {"commits": len(shas), "last_commit": shas[-1]}
        session.write(store, found.id, fields)
    finally:
        os.close(lock)
    return sessions.load(store, found.id), True
