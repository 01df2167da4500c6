"""Whose a worktree of Prodigy's is: which of its runs, and which agent's, told once, at registration.

Prodigy 0.4 makes each, on a new branch ``prodigy-{name}``, at ``{home}/worktrees/{key}/{name}``:

    worktrees/{folder of the repository}/workflow-{milliseconds}     of a sequential workflow
    worktrees/{folder of the repository}/session-{UUID}              of a MapReduce, the parent
    worktrees/session-{UUID}/mapreduce-agent-{job}_agent_{n}         of the agent for its item_{n}

So an agent's job is in its worktree's name. The parent's is made up when the set-up phase is over: its
events are in ``events/session-{UUID}/{job}`` from then on. Until then, and for a sequential workflow,
which has none, the job is called as the session is: by that name Prodigy goes on with it.
"""

from __future__ import annotations

import os

from prodigy_git import names
from prodigy_git.record import gitdir
from prodigy_git.record.gitdir import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SESSION = "prodigy_session"
"""Where in the metadata of a session of ours the id is that Prodigy has for the worktree's session."""
BRANCH = "prodigy-"
"""What Prodigy puts before a worktree's name to name its branch."""
AGENT = "mapreduce-agent-"
_JOB = "mapreduce-"
_OF_JOB = "_agent_"
_HEX = frozenset("0123456789abcdef")


class Origin:
    """What Prodigy has a worktree for: the ids that it has for session, job, agent and work item.

    ``reduces`` says that the job is a MapReduce's; ``parent`` is the name of the parent's worktree,
    for an agent's. ``session`` is also the worktree's name.
    """

    __slots__ = ("agent", "item", "job", "parent", "reduces", "session")

    def __init__(
        self, session: str, job: str, *, agent: str | None = None, item: str | None = None,
        parent: str | None = None, reduces: bool = False,
    ) -> None:  # fmt: skip
        """Take ids that are safe names."""
        self.session = session
        self.job = job
        self.agent = agent
        self.item = item
        self.parent = parent
        self.reduces = reduces


def origin(store: str, top: str, branch: str | None) -> Origin | None:
    """Return what Prodigy has the worktree ``top`` for; None where Prodigy did not make it.

    ``branch`` is what is checked out. An agent that is done has its commits on another branch than
    the one that it began with, so only a worktree that is not an agent's must be on its own.
    """
    above, name = os.path.split(top)
    above, key = os.path.split(above)
    if os.path.basename(above) != "worktrees" or not names.is_safe(name):
        return None
    if name.startswith(AGENT) and is_parent(key):
        job, found, number = name[len(AGENT) :].rpartition(_OF_JOB)
        if found and names.is_safe(job) and number.isascii() and number.isdigit():
            agent = name[len(AGENT) :]
            return Origin(
                name, job, agent=agent, item=f"item_{int(number)}", parent=key, reduces=True
            )
        return None
    if branch != BRANCH + name:
        return None
    if is_parent(name):
        newest = _newest_job(store, name)
        return Origin(name, newest or name, reduces=newest is not None)
    return Origin(name, name) if is_run(name) else None


def note(known: Origin, job: str | None, metadata: dict[str, Any]) -> tuple[str, str | None]:
    """Put into a new session's ``metadata`` what is known, where nothing is said there yet.

    ``job`` is the one that the user has named. Return the session's job, and the job whose part the
    session's file is to say it is: None for a sequential workflow.
    """
    metadata[SESSION] = known.session
    for name, value in (("agent_id", known.agent), ("item_id", known.item)):
        metadata[name] = metadata.get(name) or value
    if job is not None:
        return job, job
    metadata["job_id"] = known.job
    return known.job, known.job if known.reduces else None


def wrote(metadata: object) -> bool:
    """Whether a session's file is Prodigy's, by its ``metadata``: there is no field of ours in it."""
    ours = {"created_by", "repo", "repo_path", "worktree_path"}
    return isinstance(metadata, dict) and not metadata.keys() & ours


def is_run(name: str) -> bool:
    """Whether a worktree's name is one that Prodigy gives to that of a whole run."""
    number = name.removeprefix("workflow-")
    return is_parent(name) or (number != name and number.isascii() and number.isdigit())


def is_parent(name: str) -> bool:
    """Whether a worktree's name is one that Prodigy gives to a MapReduce's: ``session-{UUID}``.

    Ours are called ``session-`` and eight characters.
    """
    parts = name.split("-")
    return (
        parts[0] == "session"
        and [len(part) for part in parts[1:]] == [8, 4, 4, 4, 12]
        and all(_HEX.issuperset(part) for part in parts[1:])
    )


def _newest_job(store: str, session: str) -> str | None:
    """Return the job that a MapReduce is at; None where it has none yet, or is no MapReduce."""
    jobs: list[str] = []
    # The log may be called after the second before the job's, which the queue has.
    for top in ("events", "dlq"):
        try:
            jobs += os.listdir(f"{store}/{top}/{session}")
        except OSError:
            continue
    # Called after the second in which it began.
    return max((job for job in jobs if job.startswith(_JOB) and names.is_safe(job)), default=None)


def parent_of(place: Place, name: str) -> Place | None:
    """Return where the worktree called ``name`` of an agent's parent lies; None where git has none."""
    private = f"{place.common}/worktrees/{name}"
    try:
        top = gitdir.worktree_of(private)
    except (OSError, ValueError):
        return None
    return Place(private, place.common, top) if os.path.basename(top) == name else None
