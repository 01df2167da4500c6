"""A job's events gone through once, for its report: who did what, and the newest of them. Pure.

Memory is flat but for the attempts: a log of a million events is read as one of a thousand.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from prodigy_git import duration
from prodigy_git.jobs.attempts import Attempt, Attempts
from prodigy_git.model.event import Event
from prodigy_git.model.selection import Selection
from prodigy_git.views import tools_used

EVENTS_SHOWN = 20_000
"""How many events a report lists: the newest. A page with all of a million could not be opened."""


@dataclass
class Story:
    """What a job's events tell, as far as they were asked for. Moments are microseconds since 1970.

    ``attempts`` are those asked for, in the order in which they began; ``all_attempts`` also the
    others. ``newest`` has each event with its attempt, oldest first.
    """

    attempts: list[Attempt] = field(default_factory=list)
    all_attempts: list[Attempt] = field(default_factory=list)
    newest: deque[tuple[Event, Attempt | None]] = field(
        default_factory=lambda: deque(maxlen=EVENTS_SHOWN)
    )
    types: Counter[str] = field(default_factory=Counter)
    commits: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    first: int | None = None
    last: int | None = None

    @property
    def count(self) -> int:
        """How many events there are."""
        return sum(self.types.values())


def of_events(events: Iterable[Event], wanted: Selection) -> Story:
    """Go through all of a job's events, in time order: what ends in a stretch may begin before it."""
    found = Story()
    known = Attempts()
    everything = wanted == Selection()
    for event in events:
        attempt = known.add(event)
        if not everything and not wanted.fits(event):
            continue
        found.newest.append((event, attempt))
        found.types[event.type] += 1
        if found.first is None:
            found.first = event.moment
        if event.type == "CommitCreated":
            commit = event.own().get("commit")
            if isinstance(commit, str):
                found.commits.add(commit)
        elif event.type == "CommitsRewritten":
            found.replaced.update(_replaced(event.own().get("rewrites")))
    dated = (moment for event, _ in reversed(found.newest) if (moment := event.moment) is not None)
    found.last = next(dated, found.first)
    found.all_attempts = known.all
    found.attempts = [one for one in known.all if _is_wanted(one, wanted)]
    return found


def _replaced(rewrites: Any) -> Iterator[str]:
    for one in rewrites if isinstance(rewrites, list) else ():
        if isinstance(one, dict) and isinstance(one.get("old"), str):
            yield one["old"]


def _is_wanted(attempt: Attempt, wanted: Selection) -> bool:
    """Whether an attempt is of who and what was asked for, and was under way in the time asked for."""
    for names, own in (
        (wanted.agents, attempt.agent_id),
        (wanted.sessions, attempt.session_id),
        (wanted.items, attempt.item_id),
    ):
        if names and own not in names:
            return False
    begin = attempt.began if attempt.began is not None else attempt.ended
    end = attempt.ended
    if wanted.since is None and wanted.until is None:
        return True
    return (
        begin is not None
        and (wanted.until is None or begin <= wanted.until)
        and (wanted.since is None or end is None or end >= wanted.since)
    )


_WORDS = (
    "status", "action", "subject", "error", "failure_reason", "content", "worktree_name", "base",
    "from", "to", "error_signature", "branch",
)  # fmt: skip
_LONGEST = 240


def said(event: Event) -> str:
    """Return in a few words what an event says beside who and when."""
    own = event.own()
    words = tools_used.words(event.type, own)
    for name in () if words else ("commit", *_WORDS):
        value = own.get(name)
        if isinstance(value, str) and value and not (name == "branch" and words):
            words.append(value[:10] if name in ("commit", "base") else value)
    backoff, attempt = own.get("backoff_ms"), own.get("attempt")
    if isinstance(attempt, int) and event.type in ("AgentStarted", "AgentRetrying"):
        words.append(f"attempt {attempt}")
    if isinstance(backoff, int):
        words.append(f"in {duration.seconds(backoff / 1000)}")
    rewrites = own.get("rewrites")
    if isinstance(rewrites, list):
        words.append(f"{own.get('command')}: {len(rewrites)} replaced")
    text = " ".join(words)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
