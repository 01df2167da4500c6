"""Records of the open format Agent Trace 0.1.0: one for each commit, with who wrote which lines.

https://agent-trace.dev, https://github.com/cursor/agent-trace. The lines of a commit that replaced
others, by an amend, a rebase or a squash, stay with who wrote them first.
"""

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

from prodigy_git import __version__
from prodigy_git.attribution import by_files, contributors, history, patches
from prodigy_git.attribution.contributors import Contributor, Known
from prodigy_git.attribution.history import History, Made
from prodigy_git.attribution.patches import Brought, Line
from prodigy_git.record import clock
from prodigy_git.record.gitdir import Place

VERSION = "0.1.0"
_OURS = "prodigy-git"
"""Our tool's name, and our key in a record's metadata."""
FROM = frozenset(("CommitCreated", "WorktreeMerged"))
"""The types of events that tell of a commit."""
_AT_ONCE = 50
"""How many commits' lines are in memory, with those of the commits that they stand for."""

Share = tuple[Contributor, list[Line]]


class Source(NamedTuple):
    """Where records come from: a repository's key in the store, its git directory, its logs."""

    store: str
    repo: str
    common: str
    logs: Sequence[str]


def of_repository(
    source: Source,
    wanted: Callable[[str], bool],
    note: Callable[[str], None],
    *,
    portable: bool = False,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (commit, record) for the commits of a repository that are ``wanted``, in time order.

    ``wanted`` is given the id of the event that tells of a commit. ``portable`` leaves out what means
    something on this machine alone: the addresses of transcripts. Commits that are gone have no record:
    how many those are is told to ``note``, as is what is broken in a log. Raises `ProdigyError` where
    git cannot be started.
    """
    told = history.read(source.logs, note)
    place = Place(source.common, source.common, source.common)
    known = Known(source.store, source.repo, told, partial(by_files.files, place), note)
    everyone = {**{one.commit: one for one in told.merged.values()}, **told.made}
    commits = sorted(
        (one for one in everyone.values() if one.event is not None and wanted(one.event)),
        key=lambda one: one.moment,
    )
    told.ties = by_files.ties(place, told.made, told.without_tie())
    gone = 0
    for first in range(0, len(commits), _AT_ONCE):
        some = commits[first : first + _AT_ONCE]
        there = _brought(place, [one.commit for one in some])
        earlier = _earlier(place, told, some)
        for made in some:
            if made.commit not in there:
                gone += 1
                continue
            shares, used = _shared(told, known, made, there[made.commit], earlier)
            if not shares:
                continue  # it brought nothing: an empty commit, or a merge without a conflict
            used |= set(told.replaced.get(made.commit, ()))
            replaced = [
                one.commit for one in history.origins(told, made.commit) if one.commit in used
            ]
            yield made.commit, _record(made, shares, replaced, portable=portable)
    if gone:
        note(f"{gone} commits are no longer in the repository, and have no record")


def _brought(place: Place, commits: Iterable[str]) -> dict[str, Brought]:
    return dict(patches.brought(place, patches.parents_of(place, commits)))


def _earlier(place: Place, told: History, some: Iterable[Made]) -> dict[str, Brought]:
    """Return what those commits brought that others stand for."""
    return _brought(
        place, {one.commit for made in some for one in history.origins(told, made.commit)}
    )


def _shared(
    told: History, known: Known, made: Made, brought: Brought, earlier: Mapping[str, Brought]
) -> tuple[dict[str, list[Share]], set[str]]:
    """Return who wrote which lines of a commit's files, and which commits these come from."""
    found: dict[str, list[Share]] = {}
    used: set[str] = set()
    own = made if made.commit in told.made else Made(made.commit, None, made.moment)
    origins = [one for one in history.origins(told, made.commit) if one.commit in earlier]
    for path, lines in brought.items():
        shares: list[Share] = []
        left = lines
        for origin in origins:
            mine, left = _of_earlier(left, earlier[origin.commit].get(path, ()))
            if mine:
                shares.append((known.of(origin, path), mine))
                used.add(origin.commit)
        touched = [one for one in origins if path in earlier[one.commit]]
        if left or not shares:
            # A file of which only lines were taken, or that was renamed, by who did it first.
            by = touched[0] if touched and not lines else own
            shares.append((known.of(by, path), left))
            used.add(by.commit)
        found[path] = _together(shares)
    return found, used


def _of_earlier(lines: Sequence[Line], before: Iterable[Line]) -> tuple[list[Line], list[Line]]:
    """Return the lines that an earlier commit had brought with the same text, and the others."""
    there = Counter(line.text for line in before)
    mine, others = [], []
    for line in lines:
        if there[line.text]:
            there[line.text] -= 1
            mine.append(line)
        else:
            others.append(line)
    return mine, others


def _together(shares: Iterable[Share]) -> list[Share]:
    """Return shares with those of one contributor as one."""
    found: dict[Contributor, list[Line]] = {}
    for who, lines in shares:
        found.setdefault(who, []).extend(lines)
    return [(who, sorted(lines)) for who, lines in found.items()]


def _record(
    made: Made, shares: Mapping[str, list[Share]], replaced: Sequence[str], *, portable: bool
) -> dict[str, Any]:
    ours: dict[str, Any] = {
        "job_id": made.job, "session_id": made.session, "agent_id": made.agent, "item_id": made.item,
    }  # fmt: skip
    programs = {who.program for each in shares.values() for who, _ in each if who.program}
    if programs:
        ours["agent_programs"] = sorted(programs)
    if replaced:
        ours["replaces"] = replaced
    return {
        "version": VERSION,
        # Of one commit always the same, on whichever machine and however often it is asked for.
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{_OURS}:agent-trace:{made.commit}")),
        "timestamp": clock.stamp(made.moment),
        "vcs": {"type": "git", "revision": made.commit},
        "tool": {"name": _OURS, "version": __version__},
        "files": [
            {
                # A path may be no UTF-8, and JSON is.
                "path": path.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
                "conversations": [_conversation(*one, portable=portable) for one in shares[path]],
            }
            for path in sorted(shares)
        ],
        "metadata": {_OURS: {name: value for name, value in ours.items() if value is not None}},
    }


def _conversation(who: Contributor, lines: Iterable[Line], *, portable: bool) -> dict[str, Any]:
    contributor = {"type": who.kind}
    if who.model is not None:
        contributor["model_id"] = who.model
    found: dict[str, Any] = {
        "contributor": contributor,
        "ranges": [
            {
                "start_line": one.start,
                "end_line": one.end,
                "content_hash": f"sha256:{one.digest}",
            }
            for one in patches.ranges(lines)
        ],
    }
    if who.transcript is not None and not portable:
        found["url"] = contributors.url_of(who.transcript)
    elif who.program is not None and who.program_session is not None:
        found["url"] = f"urn:{_OURS}:{who.program}:{quote(who.program_session, safe='')}"
    return found


def is_ours(record: Any) -> bool:
    """Whether a record is one of this module's, of whichever version."""
    tool = record.get("tool") if isinstance(record, dict) else None
    return isinstance(tool, dict) and tool.get("name") == _OURS
