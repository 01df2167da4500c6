"""What a shell offers at a TAB: the names that the store has, for options and arguments that take one.

Each lists folders or reads a small file, so that a thousand sessions cost no more than ten. None ever
raises or prints: in the midst of somebody's typing there is nobody to tell. Only names are offered
that no shell takes for anything else.
"""

import functools
import os
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

import click
from click.shell_completion import CompletionItem

from prodigy_git import gitenv, glance, layout, names
from prodigy_git.record import enrolment, files, gitdir
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.record.gitdir import Place

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
Found = Iterable[str | tuple[str, str]]
"""Names, or (name, help)."""

_MOST = 200
"""Items, agents and refs that are offered: more than that nobody reads."""
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]*")
"""Names of branches and tags that no shell takes for anything else."""
_JOBS = 8
"""Jobs that are looked into where none is named: the last ones that anything happened in."""
_TAIL = 1 << 16
_TYPES = (
    "AgentCompleted", "AgentFailed", "AgentProgramEnded", "AgentProgramStarted", "AgentRetrying",
    "AgentStarted", "AgentWaiting", "BranchNotPushed", "BranchPushed", "CheckpointSaved",
    "ClaimReleased", "ClaimRenewed", "ClaudeMessage", "CommitCreated", "CommitsRewritten",
    "DLQItemAdded", "DLQItemRemoved", "DLQItemsReprocessed", "JobCancelled", "JobCompleted",
    "JobFailed", "JobPaused", "JobPhaseChanged", "JobReopened", "JobResumed", "JobStarted",
    "MergeCheckFailed", "MergeConflict",
    "PhaseOutputsAdded", "SessionFinished", "SessionResumed", "SessionStarted", "SubagentEnded",
    "SubagentStarted", "ToolsUsed", "WorkItemProcessed", "WorkItemsAdded",
    "WorktreeCleaned", "WorktreeCreated", "WorktreeMergeUndone", "WorktreeMerged", "WorktreeRestored",
)  # fmt: skip
"""The types of `model.known_events`, which takes longer to import than a TAB has."""
_STATUSES = ("Initializing", "Running", "Paused", "Completed", "Failed", "Cancelled")
_STATES = ("pending", "in progress", "completed", "in the queue", "failed")
PENDING, IN_PROGRESS, DEAD = 0, 1, 3


class _Here(NamedTuple):
    store: str
    place: Place | None
    repo: str | None


def _here() -> _Here:
    from prodigy_git.lifecycle import locate

    return _Here(*locate.around(gitenv.here()))


def _plain(name: str) -> bool:
    return all(map(names.is_safe, name.split("/", 1)))


def _completer(
    find: Callable[[click.Context, str], Found], fits: Callable[[str], object] = _plain
) -> Completer:
    """Make what click calls: prefix, order and what was given already are seen to here.

    ``fits`` says which names no shell takes for anything else.
    """

    @functools.wraps(find)
    def complete(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        try:
            given = ctx.params.get(param.name or "")
            taken = set(given) if isinstance(given, tuple) else set()
            offered: dict[str, str] = {}
            for one in find(ctx, incomplete):
                name, text = (one, "") if isinstance(one, str) else one
                if name.startswith(incomplete) and name not in taken and fits(name):
                    offered.setdefault(name, text)
            return [CompletionItem(name, help=text or None) for name, text in offered.items()]
        except Exception:  # a damaged store, a folder that is gone
            return []

    return complete


def file_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Have the shell offer the names of files, which it does better than anybody."""
    return [CompletionItem(incomplete, type="file")]


def folder_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Have the shell offer the names of folders."""
    return [CompletionItem(incomplete, type="dir")]


def _refs(_: click.Context, incomplete: str) -> Found:
    place = _here().place
    if place is None or (incomplete and not _REF.fullmatch(incomplete)):
        return []
    # One level and all below it: a pattern's "*" stops at a slash.
    patterns = [
        f"refs/{kind}/{incomplete}{more}"
        for kind in ("heads", "tags", "remotes")
        for more in ("*", "*/**")
    ]
    command = ("for-each-ref", f"--count={_MOST}", "--format=%(refname:lstrip=2)", *patterns)
    status, out = gitdir.ask(place, *command)
    return ["HEAD", *os.fsdecode(out).split()] if status == 0 else []


refs = _completer(_refs, _REF.fullmatch)
"""Offers branches, tags and the branches of remotes, where a commit is wanted."""


@_completer
def remotes(_: click.Context, __: str) -> Found:
    """Offer the repository's remotes."""
    place = _here().place
    status, out = (1, b"") if place is None else gitdir.ask(place, "remote")
    return os.fsdecode(out).split() if status == 0 else []


def _listed(folder: str) -> list[str]:
    try:
        return sorted(filter(names.is_safe, os.listdir(folder)))
    except OSError:
        return []


@_completer
def sessions(_: click.Context, __: str) -> Found:
    """Offer the sessions of the store."""
    return _sessions()


def _sessions() -> list[str]:
    found = _listed(f"{_here().store}/sessions")
    return [name.removesuffix(".json") for name in found if name.endswith(".json")]


@_completer
def jobs(_: click.Context, incomplete: str) -> Found:
    """Offer the jobs of the repository, outside of any all; ``REPOSITORY/`` those of another."""
    return _jobs_offered(incomplete)


def _jobs_offered(incomplete: str) -> Found:
    here = _here()
    repo, slash, _ = incomplete.partition("/")
    if slash:
        return [f"{repo}/{job}" for job in _jobs(here.store, repo)] if names.is_safe(repo) else []
    if here.repo is not None:
        return _jobs(here.store, here.repo)
    keys = sorted({*_listed(f"{here.store}/state"), *_listed(f"{here.store}/events")})
    return [(job, key) for key in keys for job in _jobs(here.store, key)]


def _jobs(store: str, repo: str) -> list[str]:
    folders = [f"{store}/events/{repo}", f"{layout.state(store, repo)}/mapreduce/jobs"]
    # What Prodigy ran has a key of its own, by the name of the run's worktree.
    runs = filter(_of_a_run, _listed(f"{layout.worktrees(store, repo)}/.metadata"))
    folders += [f"{store}/events/{name.removesuffix('.json')}" for name in runs]
    return sorted({name for folder in folders for name in _listed(folder) if not _of_a_run(name)})


def _of_a_run(name: str) -> bool:
    """Whether a name is that of a session of a MapReduce of Prodigy's, which is no job."""
    return name.startswith("session-")


@_completer
def jobs_and_sessions(_: click.Context, incomplete: str) -> Found:
    """Offer both."""
    return [*_jobs_offered(incomplete), *_sessions()]


@_completer
def worktrees(_: click.Context, __: str) -> Found:
    """Offer the worktrees of the repository by their folders' names, outside of any all of ours."""
    from prodigy_git.lifecycle import locate

    return locate.folder_names(*_here())


@_completer
def trashed(_: click.Context, __: str) -> Found:
    """Offer the sessions that have something in the trash."""
    store, _place, repo = _here()
    keys = [repo] if repo is not None else _listed(f"{store}/trash")
    return [
        name
        for key in keys
        for name in _listed(f"{store}/trash/{key}")
        if any(
            os.path.exists(f"{layout.trash(store, key, name)}/{moment}/{document}")
            for moment in _listed(layout.trash(store, key, name))
            for document in ("entry.json", "emptying.json")
        )
    ]


@_completer
def types(_: click.Context, __: str) -> Found:
    """Offer the types of events that have a meaning here."""
    return _TYPES


@_completer
def statuses(_: click.Context, __: str) -> Found:
    """Offer what a session's status may be."""
    return _STATUSES


@_completer
def agents(ctx: click.Context, incomplete: str) -> Found:
    """Offer the agents of the job that is meant."""
    return _agents(ctx, incomplete)


def _agents(ctx: click.Context, incomplete: str) -> Found:
    store, where = _jobs_meant(ctx)
    found: list[str] = []
    for repo, job in where:
        question = "SELECT DISTINCT agent FROM items WHERE agent >= ? AND agent < ? LIMIT ?"
        values = (incomplete, f"{incomplete}\U0010ffff", _MOST)
        found += [
            name
            for (name,) in glance.rows(layout.index(store, repo, job), question, values)
            if isinstance(name, str)
        ]
        found += _in_tail(store, repo, job, b"agent_id")
    return sorted(set(found))


def items(*states: int) -> Completer:
    """Make what offers the items of the job that is meant: those in these states, or all."""

    @_completer
    def complete(ctx: click.Context, incomplete: str) -> Found:
        return _items(ctx, incomplete, states)

    return complete


def _items(ctx: click.Context, incomplete: str, states: tuple[int, ...]) -> Found:
    store, where = _jobs_meant(ctx)
    wanted = f"state IN ({','.join('?' * len(states))})" if states else "state IS NOT NULL"
    question = f"SELECT id, state FROM items WHERE id >= ? AND id < ? AND {wanted} LIMIT ?"
    values = (incomplete, f"{incomplete}\U0010ffff", *states, _MOST)
    found: dict[str, str] = {}
    for repo, job in where:
        for name, state in glance.rows(layout.index(store, repo, job), question, values):
            if isinstance(name, str) and isinstance(state, int) and 0 <= state < len(_STATES):
                found.setdefault(name, _STATES[state])
        if not found and (not states or DEAD in states):
            found.update(dict.fromkeys(_letters(store, job), "dead"))
        if not found and not states:  # a job without work items may name some in its events
            found.update(dict.fromkeys(_in_tail(store, repo, job, b"item_id"), ""))
    return sorted(found.items())


def _letters(store: str, job: str) -> list[str]:
    """Return the items in the queue of a run of Prodigy's."""
    return [
        name.removesuffix(".json")
        for key in _listed(f"{store}/dlq")
        for name in _listed(f"{store}/dlq/{key}/{job}/mapreduce/dlq/{job}/items")
    ]


@_completer
def explained(ctx: click.Context, incomplete: str) -> Found:
    """Offer what can be explained: sessions, items, agents."""
    return [
        *((name, "session") for name in _sessions()),
        *((one if isinstance(one, str) else one[0], "item") for one in _items(ctx, incomplete, ())),
        *((one if isinstance(one, str) else one[0], "agent") for one in _agents(ctx, incomplete)),
    ]


def _jobs_meant(ctx: click.Context) -> tuple[str, list[tuple[str, str]]]:
    """Return store, and (repository key, job id) of the job named or meant, or of some."""
    store, place, here = _here()
    named = _named(ctx)
    if named is not None:
        repo, slash, job = named.rpartition("/")
        keys = [repo] if slash else [here] if here else _listed(f"{store}/state")
        return store, [(key, job) for key in keys if key]
    if here is None or place is None:
        return store, []
    meant = _job_here(place)
    if meant is not None and names.is_safe(meant) and meant in _jobs(store, here):
        return store, [(here, meant)]
    found = [(here, job) for job in _jobs(store, here)]
    found.sort(key=lambda pair: -_changed(layout.job_log(store, *pair)))
    return store, found[:_JOBS]


def _named(ctx: click.Context) -> str | None:
    """Return the job that the words typed so far name, by an option or as an argument."""
    for parameter in ("job", "name"):
        value = ctx.params.get(parameter)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, str) and _plain(one):
                return one
    # Behind an option that has no value yet click leaves arguments where they are.
    by_argument = any(
        isinstance(p, click.Argument) and p.name == "name" for p in ctx.command.params
    )
    return ctx.args[0] if by_argument and ctx.args and _plain(ctx.args[0]) else None


def _job_here(place: Place) -> str | None:
    there = _enrolment(place)
    if there is not None:
        return there.job
    named = os.environ.get("PRODIGY_JOB_ID")
    if named:
        return named
    status, out = gitdir.ask(place, "config", "--get", "prodigy.job")
    return os.fsdecode(out.rstrip(b"\n")) if status == 0 else None


def _enrolment(place: Place) -> Enrolment | None:
    try:
        return enrolment.read(place.private)
    except (OSError, ValueError):
        return None


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def _in_tail(store: str, repo: str, job: str, field: bytes) -> list[str]:
    """Return the ids that the end of a job's log has in a field."""
    folder = layout.job_log(store, repo, job)
    last = [name for name in _listed(folder) if name.endswith(".jsonl")][-1:]
    if not last or not glance.is_file(f"{folder}/{last[0]}"):
        return []
    with files.stream(f"{folder}/{last[0]}") as stream:
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - _TAIL))
        data = stream.read(_TAIL)
    found = re.findall(rb'"%s":"([A-Za-z0-9._-]+)"' % field, data)
    return sorted({one.decode("ascii") for one in found})
