"""One agent from close by: its output, its last commit, its item's history; lines of foreign text."""

import contextlib
import functools
import os
from collections.abc import Iterable, Iterator

from prodigy_git import duration
from prodigy_git.errors import ProdigyError
from prodigy_git.git import ask
from prodigy_git.jobs.attempts import Attempt, of_events
from prodigy_git.model.event import Event
from prodigy_git.model.selection import Selection
from prodigy_git.record import clock, files, redacting
from prodigy_git.record.gitdir import Place
from prodigy_git.store import events, stream
from prodigy_git.store.events import Broken
from prodigy_git.transcripts import in_words, of_sessions, transcript_file
from prodigy_git.views import tools_used
from prodigy_git.views.overview.agents import Agent

LOG_BYTES = 256 << 10
"""How much of a log is shown: its end."""
DIFF_BYTES = 512 << 10
_EVENTS = 500
_ENTRIES = 200
_HEX = frozenset("0123456789abcdef")


def log(store: str, one: Agent, broken: Broken) -> tuple[str, list[str]]:
    """Return a title, and the end of an agent's own output, else of its program's transcript.

    Where it has neither, its events.
    """
    if one.log is not None:
        try:
            return one.log, _end_of(one.log)
        except OSError as error:
            broken(f"{one.log}: {error.strerror or error}")
    if (found := _transcript(store, one, broken)) is not None:
        return found
    if one.repo is None or one.job_id is None:
        return f"{one.name} has no log", []
    who = Selection(sessions=frozenset((one.session_id,))) if one.session_id else None
    wanted = who or Selection(agents=frozenset((one.agent_id or "",)))
    paths = events.log_files(store, one.repo, one.job_id)
    lines = [summary(event) for event in stream.merge(paths, broken, wanted)]
    return f"{one.name} has no log of its own; its events", lines[-_EVENTS:]


def _transcript(store: str, one: Agent, broken: Broken) -> tuple[str, list[str]] | None:
    """Return the end of the transcript that was written to last; None where there is none to show."""
    if one.session_id is None or one.host is not None:  # one here may have that name, too
        return None
    known = of_sessions.of_session(store, one.session_id)
    changed: dict[str, float] = {}
    for source in () if known is None else known.sources:
        with contextlib.suppress(OSError):
            changed[source.path] = os.stat(source.path).st_mtime
    if not changed:
        return None
    path = max(changed, key=lambda each: changed[each])
    safe = functools.partial(redacting.text, store, one.repo or "")
    lines = []
    try:
        place = transcript_file.Place(path)
        for entry in transcript_file.entries(place, {}, broken, last=_ENTRIES):
            for at, who, text in in_words.lines(entry, safe, full=False):
                lines.append(f"{at:<8}  {who:<9} {text}".rstrip())
    except OSError as error:
        broken(f"{path}: {error.strerror or error}")
    return (f"{path}: 'prodigy-git logs {one.session_id}' has all of it", lines) if lines else None


def _end_of(path: str) -> list[str]:
    # What an event names may be anything: a pipe would keep us waiting.
    descriptor, status = files.opened(path)
    try:
        begin = max(0, status.st_size - LOG_BYTES)
        data = os.pread(descriptor, LOG_BYTES, begin)
    finally:
        os.close(descriptor)
    lines = data.decode("utf-8", "backslashreplace").splitlines()
    return [f"(the last {LOG_BYTES >> 10} KiB)", *lines[1:]] if begin else lines


def diff(one: Agent, common: str | None) -> tuple[str, list[str]]:
    """Return a title, and the last commit of an agent with its diff. Raises `ProdigyError`."""
    sha = one.last_commit or (one.head if one.ahead else None)
    if sha is None or not _HEX.issuperset(sha) or len(sha) < 40:
        raise ProdigyError(f"{one.name} has made no commit yet")
    if common is None:
        raise ProdigyError("the repository is gone")
    out, whole = ask.look_at_most(
        Place(common, common, common), DIFF_BYTES,
        "show", "--no-color", "--no-ext-diff", "--no-textconv", "--stat", "--patch", sha,
    )  # fmt: skip
    lines = out.decode("utf-8", "backslashreplace").split("\n")
    if not whole:
        lines.append(f"(the rest is left out: more than {DIFF_BYTES >> 10} KiB)")
    return f"{one.name}: {sha[:10]}", lines


def history(store: str, one: Agent, broken: Broken) -> tuple[str, list[str]]:
    """Return a title, and the attempts at an agent's item. Raises `ProdigyError` where it has none."""
    if one.item_id is None or one.repo is None or one.job_id is None:
        raise ProdigyError(f"{one.name} works on no item")
    paths = events.log_files(store, one.repo, one.job_id)
    wanted = Selection(items=frozenset((one.item_id,)))
    found = of_events(stream.merge(paths, broken, wanted))
    return f"{one.item_id} of job {one.job_id}", [
        line for attempt in found for line in _attempt(attempt)
    ]


def _attempt(one: Attempt) -> Iterator[str]:
    number = f"attempt {one.number}" if one.number is not None else "attempt"
    lasted = f", after {duration.text(one.lasted)}" if one.lasted is not None else ""
    yield f"{number}: {one.who}, {one.outcome}{lasted}"
    yield f"  from {_time(one.began)} to {_time(one.ended)}"
    if one.session_id is not None and one.session_id != one.who:
        yield f"  session {one.session_id}"
    for line in (one.error or "").splitlines():
        yield f"  {line}"
    for commit in one.commits:
        replaced = f" (replaced by {commit.replaced[:10]})" if commit.replaced else ""
        yield f"  {commit.sha[:10]} {commit.subject}{replaced}"
    if one.log is not None:
        yield f"  log {one.log}"
    yield ""


def _time(moment: int | None) -> str:
    return "-" if moment is None else duration.moment(clock.stamp(moment))


def summary(event: Event) -> str:
    """Return an event on one line: time of day, type, who, what."""
    own = event.own()
    who = event.agent_id or event.session_id or event.job_id or "-"
    said = tools_used.words(event.type, own) or [_short(name, own.get(name)) for name in _SAID]
    parts = [(event.timestamp or "-")[11:19], event.type, who, event.item_id or "", *said]
    return " ".join(filter(None, parts))


_SAID = ("commit", "subject", "content", "status", "phase", "to", "error", "worktree_name")


def _short(name: str, value: object) -> str:
    if not isinstance(value, str):
        return ""
    return value[:10] if name == "commit" else value.strip().partition("\n")[0][:200]


def bounded(lines: Iterable[str], length: int = 2000) -> Iterator[str]:
    """Yield lines that a terminal can take: long ones cut."""
    for line in lines:
        yield line if len(line) <= length else line[:length] + "…"
