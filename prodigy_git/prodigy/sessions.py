"""The sessions and worktrees of Prodigy's runs, with what only its other files and git say of them.

The file that Prodigy has of a session names neither branch nor worktree nor job. The worktree's state
does, the folders of the run's job do, and git counts the commits.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from prodigy_git.model.session import Session, Status
from prodigy_git.prodigy import reading
from prodigy_git.prodigy.reading import Broken
from prodigy_git.record import gitdir, prodigys
from prodigy_git.record.gitdir import Place

if TYPE_CHECKING:
    from prodigy_git.prodigy.runs import Run, State

ENDED: "frozenset[State]" = frozenset(("completed", "failed", "cancelled"))
"""The states in which a run is over for certain. ``open`` and ``interrupted`` ones may go on."""
MADE_BY = "prodigy"
"""What the ``created_by`` of a session of Prodigy's is, as `filled` gives it."""
_AS_OURS: "dict[State, Status]" = {
    "completed": "Completed", "failed": "Failed", "cancelled": "Cancelled", "interrupted": "Paused",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Known:
    """A worktree of Prodigy's, which is a session's: a run's own, or an agent's."""

    session_id: str
    run: "Run"
    worktree: str
    branch: str | None
    target: str | None
    agent_id: str | None
    item_id: str | None

    @property
    def status(self) -> str:
        """What a session of ours would be called: ``Running`` also where nothing proves an end."""
        return _AS_OURS.get(self.run.state, "Running")

    @property
    def is_over(self) -> bool:
        """Whether its run has ended for certain."""
        return self.run.state in ENDED


def worktrees(
    store: str, repo: str | None = None, *, broken: Broken = reading.quiet
) -> dict[str, Known]:
    """Return the worktrees of Prodigy's runs that are there, by path; ``repo`` as in `runs`."""
    from prodigy_git.prodigy.runs import agent_states, runs

    found = {}
    for run in runs(store, repo, broken=broken):
        if run.worktree is not None and run.session_id is not None and run.exists:
            # Of several jobs of one run the last one.
            found[run.worktree] = Known(
                run.session_id, run, run.worktree, run.branch, run.target, None, None
            )
        for item, state in agent_states(store, run, broken=broken).items():
            if os.path.isdir(state.worktree):
                agent = state.session_id.removeprefix("mapreduce-agent-")
                found[state.worktree] = Known(
                    state.session_id, run, state.worktree, state.branch, state.original_branch,
                    agent, item,
                )  # fmt: skip
    return {os.path.realpath(path): one for path, one in found.items()}


def filled(
    store: str, sessions: Iterable[Session], *, broken: Broken = reading.quiet
) -> list[Session]:
    """Return sessions; Prodigy's with what else is known of them, under the names that ours have.

    For looking only: nothing of it is to be written into Prodigy's file.
    """
    given = list(sessions)
    if not any(prodigys.wrote(one.metadata) for one in given):
        return given
    from prodigy_git.prodigy.runs import runs

    by_session = {run.session_id: run for run in runs(store, broken=broken)}
    return [
        _filled(one, by_session[one.id])
        if prodigys.wrote(one.metadata) and one.id in by_session
        else one
        for one in given
    ]


def _filled(one: Session, run: "Run") -> Session:
    known: dict[str, Any] = {
        "repo": run.repo,
        "repo_path": run.common,
        "worktree_path": run.worktree,
        "branch": run.branch,
        "base_branch": run.target,
        "job_id": run.job_id,
        **_commits(run),
        "created_by": MADE_BY,
    }
    given = {name: value for name, value in known.items() if value is not None}
    status = _AS_OURS.get(run.state, one.status)
    return msgspec.structs.replace(one, status=status, metadata={**one.metadata, **given})


def _commits(run: "Run") -> dict[str, Any]:
    """Return the number of a run's commits and the last one, as git has them; nothing: not known.

    What the worktree's state says of them was 0 in every run that was seen.
    """
    if run.common is None or run.branch is None:
        return {}
    place = Place(run.common, run.common, run.common)
    last = gitdir.tip(place, run.branch)
    if last is None or run.target is None or gitdir.tip(place, run.target) is None:
        return {"last_commit": last}
    wanted = f"refs/heads/{run.target}..refs/heads/{run.branch}"
    status, out = gitdir.ask(place, "rev-list", "--count", wanted)
    return {"last_commit": last, "commits": int(out) if status == 0 else None}
