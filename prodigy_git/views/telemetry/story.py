"""A job's log in OpenTelemetry's terms: one trace, a span for each attempt, and metrics.

Pure: events in, plain data out; `otlp` sends it. All ids are hashes of what the log says, and all times
are the log's, so that whoever reads the same log again comes to the same spans.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prodigy_git.jobs.attempts import Attempt, Attempts
from prodigy_git.model.event import Event
from prodigy_git.model.selection import Selection
from prodigy_git.record import clock
from prodigy_git.views.telemetry.signals import (
    EVENT_LIMIT,
    SERIES_LIMIT,
    Attributes,
    Metric,
    Point,
    Span,
    SpanEvent,
    Spread,
    attributes_of,
    nanos,
    text_of,
)

_SUBJECT_LIMIT = 200

_ENDS = {"JobCompleted": "completed", "JobFailed": "failed", "JobCancelled": "cancelled"}
_TURNS = {
    "JobPhaseChanged": "phase", "JobPaused": "paused", "JobResumed": "resumed",
}  # fmt: skip
_REST = ""
ITEM_STATES = ("pending", "in_progress", "completed", "dead", "failed")


@dataclass(slots=True)
class _Kept:
    """An attempt with what its span needs beside it."""

    attempt: Attempt
    span_id: int
    before: int | None
    end: int | None = None
    """In microseconds since 1970; None as long as it has not ended."""
    told: tuple[int | None, str] | None = None
    """When and how it ended, as far as it was told."""
    counted: str | None = None
    """The outcome that the metrics have counted it under."""


class Story:
    """One job, as far as its events have been added; what of it is to be sent is in ``due``."""

    def __init__(self, repo: str, job: str) -> None:
        """Begin without events."""
        self.repo, self.job = repo, job
        self.trace_id = _number(16, "trace", repo, job)
        self.root_id = _number(8, "job", repo, job)
        self.items: dict[str, int] = {}
        """How many items are in each state; for the caller to fill in."""
        self.due: dict[int, _Kept] = {}
        """By span id, the attempts that have ended and were not taken off here by the caller."""
        self.first: int | None = None
        self.last: int | None = None
        self._outcome: str | None = None
        self._error: str | None = None
        self._opened = False
        self._ended: int | None = None
        """When the job ended, or, where it is only its sessions' frame, the last of these."""
        self._turns: list[SpanEvent] = []
        self._types: Counter[str] = Counter()
        self._actions: Counter[str] = Counter()
        self._ends = 0
        self._uncounted: dict[int, _Kept] = {}
        self._outcomes: Counter[str] = Counter()
        self._too_many: Counter[str] = Counter()
        """How many are counted under an outcome that was another in the end: a sum never falls."""
        self._spreads: dict[str, Spread] = {}
        self._forget_attempts()

    def _forget_attempts(self) -> None:
        self._attempts = Attempts()
        self._kept: dict[int, _Kept] = {}
        self._running: dict[int, _Kept] = {}
        self._ids: Counter[tuple[object, ...]] = Counter()
        self._of_item: dict[str, int] = {}

    def add(self, event: Event) -> None:
        """Take the next event; one without a readable time counts as told at the latest before it."""
        moment = event.moment
        if moment is not None:
            self.first = moment if self.first is None else min(self.first, moment)
            self.last = moment if self.last is None else max(self.last, moment)
        kind = event.type
        _count(self._types, kind)
        known = len(self._attempts.all)
        found = self._attempts.add(event)
        for attempt in self._attempts.all[known:]:
            self._begin(attempt)
        if found is not None:
            kept = self._kept[id(found)]
            told = (found.ended, found.outcome)
            if found.outcome != "running" and told != kept.told:
                kept.told = told
                self._end(kept, found.ended if found.ended is not None else self.last)
            elif kept.end is not None and kind == "CommitCreated":
                self.due[kept.span_id] = kept  # made after the end: sent again, under the same id
        if kind == "CommitCreated":
            _count(self._actions, text_of(event.own().get("action")) or "unknown")
        elif kind.startswith("Job"):
            self._turn(event, kind)

    def _begin(self, attempt: Attempt) -> None:
        # The session may be told later than the start, and is who only where no agent is.
        who = (attempt.who, attempt.item_id, attempt.number, attempt.began)
        self._ids[who] += 1
        number = _number(8, "attempt", self.repo, self.job, *who, self._ids[who])
        before = None
        if attempt.item_id is not None:
            before = self._of_item.get(attempt.item_id)
            self._of_item[attempt.item_id] = number
        kept = _Kept(attempt, number, before)
        self._kept[id(attempt)] = self._running[number] = kept

    def _end(self, kept: _Kept, moment: int | None) -> None:
        """Note an end; perhaps another than before: who was given up for dead may come back."""
        attempt = kept.attempt
        self._ends += kept.end is None and attempt.agent_id is not None
        kept.end = moment or attempt.last or attempt.began or 0
        self._running.pop(kept.span_id, None)
        self.due[kept.span_id] = kept
        if self._outcome is None:
            self._ended = max(self._ended or 0, kept.end)
        if attempt.agent_id is not None:
            # A session that no agent is named for has a span, and is no attempt.
            self._uncounted[kept.span_id] = kept

    def _count_ends(self) -> None:
        """Count for the metrics what has ended since the last time, each attempt once."""
        for kept in self._uncounted.values():
            attempt = kept.attempt
            if attempt.outcome == kept.counted:
                continue
            if kept.counted is not None:
                self._too_many[kept.counted] += 1
            kept.counted = attempt.outcome
            if self._too_many[attempt.outcome]:
                self._too_many[attempt.outcome] -= 1
                continue
            self._outcomes[attempt.outcome] += 1
            if attempt.lasted is not None:
                spread = self._spreads.setdefault(attempt.outcome, Spread())
                spread.add(attempt.lasted / clock.SECOND)
        self._uncounted.clear()

    def _turn(self, event: Event, kind: str) -> None:
        if kind == "JobStarted":
            self._opened = True
        elif kind in _ENDS:
            self._outcome = _ENDS[kind]
            self._error = text_of(event.own().get("error")) if kind == "JobFailed" else None
            self._ended = event.moment if event.moment is not None else self.last
            self.due.update(
                self._running
            )  # they have no end of their own, and nobody waits for one
        elif kind in _TURNS and len(self._turns) < EVENT_LIMIT and self.last is not None:
            own = event.own()
            named = {
                f"prodigy.phase.{name}": text_of(own.get(name)) for name in ("from", "to")
            }  # fmt: skip
            attributes: Attributes = {name: text for name, text in named.items() if text}
            self._turns.append(SpanEvent(_TURNS[kind], nanos(self.last), attributes))

    @property
    def over(self) -> bool:
        """Whether the job has ended; one that nobody started has when nobody is at work."""
        if self._outcome is not None:
            return True
        return not self._opened and self._ended is not None and not self._running

    def forget(self) -> None:
        """Drop the attempts of a job that is over, and keep the counts: for whoever follows long."""
        if self.over and not self.due and not self._running:
            self._count_ends()
            self._forget_attempts()

    def root(self) -> Span:
        """Return the span of the job as a whole: up to its end, or as far as it has come."""
        end = self._ended if self.over else self.last
        outcome = self._outcome or ("completed" if self.over else "running")
        attributes: Attributes = {
            "prodigy.repo": self.repo, "prodigy.job_id": self.job, "prodigy.outcome": outcome,
            "prodigy.attempts": self._ends, "prodigy.commits": self._actions.total(),
        }  # fmt: skip
        error = None
        if outcome == "failed":
            attributes["error.type"] = "JobFailed"
            error = self._error or "failed"
        start, stop = _stretch(self.first, end)
        return Span(
            self.repo, f"job {self.job}", self.trace_id, self.root_id, None, start, stop,
            attributes, self._turns, error=error,
        )  # fmt: skip

    def spans(self, kept: Iterable[_Kept]) -> Iterator[Span]:
        """Yield the spans of attempts, as they are in ``due``."""
        for one in kept:
            yield self._span(one)

    def _span(self, kept: _Kept) -> Span:
        attempt = kept.attempt
        what = ("agent", attempt.agent_id) if attempt.agent_id else ("session", attempt.session_id)
        commits = attempt.commits
        named: dict[str, Any] = {
            "prodigy.repo": self.repo,
            "prodigy.job_id": self.job,
            "prodigy.agent_id": attempt.agent_id,
            "prodigy.item_id": attempt.item_id,
            "prodigy.session_id": attempt.session_id,
            "prodigy.attempt": attempt.number,
            "prodigy.outcome": attempt.outcome,
            "prodigy.commits": len(commits),
            "prodigy.late": attempt.late or None,
            "prodigy.start_unknown": attempt.began is None or None,
            "prodigy.json_log_location": attempt.log,
            "vcs.ref.head.revision": commits[-1].sha if commits else None,
        }
        error = None
        if attempt.outcome == "failed":
            named["error.type"] = attempt.reason or "_OTHER"
            named["prodigy.error_signature"] = attempt.signature
            error = text_of(attempt.error) or "failed"
        end = self._ended if kept.end is None else kept.end
        start, stop = _stretch(attempt.began, end)
        dropped = max(0, len(commits) - EVENT_LIMIT)
        events = [
            SpanEvent(
                "commit",
                stop if commit.at is None else nanos(commit.at),
                attributes_of(
                    {
                        "vcs.ref.head.revision": commit.sha,
                        "prodigy.commit.subject": commit.subject[:_SUBJECT_LIMIT],
                        "prodigy.commit.action": commit.action,
                        "prodigy.commit.replaced_by": commit.replaced,
                    }
                ),
            )
            for commit in commits[dropped:]
        ]
        return Span(
            self.repo, " ".join((what[0], text_of(what[1]) or "-")), self.trace_id, kept.span_id,
            self.root_id, start, stop, attributes_of(named), events, dropped, kept.before, error,
        )  # fmt: skip

    def metrics(self) -> Iterator[Metric]:
        """Yield the job's metrics, counted from its first event on; all have the same attributes."""
        self._count_ends()
        start = nanos(self.first or 0)

        def of(name: str, values: Mapping[str, int | Spread]) -> list[Point]:
            points = []
            for value, count in sorted(values.items()):
                attributes: Attributes = {"prodigy.job_id": self.job}
                if value == _REST:
                    attributes["otel.metric.overflow"] = True
                else:
                    attributes[name] = value
                points.append(Point(attributes, start, count))
            return points

        yield Metric(
            "prodigy.events", "sum", "{event}", "Events in the job's log",
            of("prodigy.event.type", self._types),
        )  # fmt: skip
        yield Metric(
            "prodigy.commits", "sum", "{commit}", "Commits that were recorded",
            of("prodigy.commit.action", self._actions),
        )  # fmt: skip
        yield Metric(
            "prodigy.attempts", "sum", "{attempt}", "Attempts that have ended",
            of("prodigy.outcome", self._outcomes),
        )  # fmt: skip
        yield Metric(
            "prodigy.attempt.duration", "histogram", "s", "How long attempts took",
            of("prodigy.outcome", self._spreads),
        )  # fmt: skip
        running = sum(one.attempt.agent_id is not None for one in self._running.values())
        running = 0 if self._outcome is not None else running
        yield Metric(
            "prodigy.active_attempts", "gauge", "{attempt}", "Attempts that are running",
            [Point({"prodigy.job_id": self.job}, start, running)],
        )  # fmt: skip
        yield Metric(
            "prodigy.items", "gauge", "{item}", "Work items in each state",
            of("prodigy.item.state", self.items),
        )  # fmt: skip


def is_meant(kept: _Kept, selection: Selection) -> bool:
    """Whether an attempt is one of a selection's agents, sessions, items, and ended in its time."""
    attempt = kept.attempt
    for names, name in (
        (selection.agents, attempt.agent_id),
        (selection.sessions, attempt.session_id),
        (selection.items, attempt.item_id),
    ):
        if names and name not in names:
            return False
    end = kept.end
    if end is None:
        return True
    return (selection.since is None or end >= selection.since) and (
        selection.until is None or end <= selection.until
    )


def _number(size: int, *words: object) -> int:
    """Return a number of ``size`` bytes, never 0, that hangs on the words alone."""
    digest = hashlib.sha256(repr(words).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:size], "big") or 1


def _stretch(began: int | None, ended: int | None) -> tuple[int, int]:
    """Return start and end in nanoseconds, the start never behind the end."""
    end = began if ended is None else ended
    start = end if began is None else began
    stop = nanos(end or 0)
    return min(nanos(start or 0), stop), stop


def _count(counter: Counter[str], name: str) -> None:
    name = text_of(name) or _REST
    counter[name if name in counter or len(counter) < SERIES_LIMIT else _REST] += 1
