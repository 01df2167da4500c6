"""What a report of a job says: the job's events in, one value out that JSON can hold.

Pure: no input or output, no clock. Times in the value are timestamps in UTC, durations seconds.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from prodigy_git import __version__, tally
from prodigy_git.jobs import books
from prodigy_git.jobs.attempts import Attempt, Commit
from prodigy_git.model.event import Event
from prodigy_git.model.selection import Selection
from prodigy_git.record import clock
from prodigy_git.views.overview import words
from prodigy_git.views.overview.program_states import Doing
from prodigy_git.views.report import series
from prodigy_git.views.report.shared_files import AT_WORK, shared_files
from prodigy_git.views.report.story import Story, said
from prodigy_git.views.trouble import STUCK_AFTER, Outcome, outcome_of

ATTEMPTS_SHOWN = 10_000
_COMMITS_SHOWN = 50  # of one attempt
_TROUBLE_SHOWN = 200  # of each kind
_FAILURES_SHOWN = 200
_NAMES_SHOWN = 20  # of agents or items in one row
_LONGEST = 2000  # characters of an error
_DAY = 86400 * clock.SECOND
_FOR_EVER = 1 << 62
_OLDEST = 946_684_800 * clock.SECOND
"""2000. A time before it, or after tomorrow, is of a clock that was wrong, and is not drawn."""


@dataclass(frozen=True)
class Known:
    """What is known beside the events. ``job`` is as `summary.of` has it: also who is gone.

    ``given_up`` are the items that are dead or failed, ``mended`` those that are completed and had
    failed before, ``persons`` the sessions that are a person's own checkout, ``doing`` has what agent
    programs do in others; ``now`` and ``stuck_after`` are in microseconds. Where a hub has other hosts,
    ``hosts`` has those by their sessions, and ``here`` is what this one is called.
    """

    job: Mapping[str, Any]
    given_up: Collection[str]
    mended: Collection[str]
    now: int
    stuck_after: int = STUCK_AFTER
    persons: Collection[str] = ()
    doing: Mapping[str, Doing] = field(default_factory=dict)
    hosts: Mapping[str, str] | None = None
    here: str | None = None
    usage: Mapping[str, Any] | None = None
    """Model, tokens and cost, as `spent.usage` has them of the whole job."""
    usages: Mapping[str, Any] = field(default_factory=dict)
    """The same of its sessions, by their ids, of which something is known."""


def build(
    story: Story,
    known: Known,
    changed: Mapping[str, list[str]] | str,
    wanted: Selection,
    merging: Mapping[str, Any],
    merged: Collection[str] = (),
) -> dict[str, Any]:
    """Return the report of a job; docs/reference/report.md says what is in it.

    ``changed`` has the paths that each commit changed, or why they are not known; ``wanted`` is what
    was asked for of the events. ``merging`` is what would come of merging the results, ``merged`` are
    the sessions whose work the target has.
    """
    outcomes = _outcomes(story, known)
    shown = _newest(story.attempts)
    number = {id(attempt): place for place, attempt in enumerate(shown)}
    return {
        "prodigy_git": __version__,
        "generated_at": clock.stamp(known.now),
        "job": _job(story, known),
        "selection": _selection(wanted),
        "counts": _counts(story, known, outcomes, len(shown)),
        "trouble": _trouble(story, known, outcomes, number),
        "over_time": _over_time(story, known, outcomes),
        "attempts": [
            {
                **_attempt(one, outcomes[id(one)], known),
                "usage": known.usages.get(one.session_id or ""),
            }
            for one in shown
        ],
        "failures": _failures(story.attempts, outcomes),
        "merging": dict(merging),
        "files": shared_files(story.attempts, outcomes, changed, merged),
        "durations": _durations(story.attempts),
        "events": [_event(event, attempt, number) for event, attempt in story.newest],
    }


def _newest(attempts: list[Attempt]) -> list[Attempt]:
    """Return as many of the attempts as a page can hold, in order: those that something befell last."""
    if len(attempts) <= ATTEMPTS_SHOWN:
        return attempts
    kept = heapq.nlargest(
        ATTEMPTS_SHOWN,
        range(len(attempts)),
        key=lambda n: (attempts[n].outcome == "running", attempts[n].last or 0, n),
    )
    return [attempts[number] for number in sorted(kept)]


def _outcomes(story: Story, known: Known) -> dict[int, Outcome]:
    """Return how each attempt ended, or how it stands, by its `id`."""
    newest = {one.item_id: one for one in story.all_attempts if one.item_id is not None}
    over = known.job["status"] in books.ENDED
    gone = {
        (one["item_id"], one["agent_id"] or "", one["attempt"])
        for one in known.job["in_progress_items"]
        if one["alive"] is False
    }

    def of(one: Attempt) -> Outcome:
        doing = known.doing.get(one.session_id or "")
        # Of one on another host it is not known here that it is silent: its events come when they do.
        afar = one.session_id in (known.hosts or ())
        return outcome_of(
            one,
            newest=one.item_id is None or newest[one.item_id] is one,
            over=over,
            given_up=one.item_id in known.given_up,
            gone=(one.item_id, one.agent_id or "", one.number or 0) in gone,
            persons=one.session_id in known.persons,
            program=None if doing is None else doing.state,
            program_gone=doing is not None and doing.gone is True,
            heard=None if doing is None else doing.seen,
            now=known.now,
            stuck_after=_FOR_EVER if afar else known.stuck_after,
        )

    return {id(one): of(one) for one in story.attempts}


def _job(story: Story, known: Known) -> dict[str, Any]:
    job = known.job
    seconds, rate, left = (
        job["rates"][name] for name in ("seconds", "ended_per_minute", "seconds_left")
    )
    if job["status"] in books.ENDED:
        finished = job["completed"] + job["given_up"]
        rate, left = (round(finished / seconds * 60, 2) if seconds else None), None
    names = (
        "job_id", "repo", "status", "phase", "error", "max_attempts", "total_items", *tally.STATES,
        "waiting", "given_up", "percent_done", "percent_over", "ended_at",
    )  # fmt: skip
    return {
        **{name: job[name] for name in names},
        "started_at": job["started_at"] or _stamp(story.first),
        "seconds": seconds,
        "ended_per_minute": rate,
        "seconds_left": left,
        "usage": known.usage,
    }


def _selection(wanted: Selection) -> dict[str, Any]:
    """Return what was asked for, without what was not."""
    names = {"agents": wanted.agents, "sessions": wanted.sessions, "items": wanted.items}
    found: dict[str, Any] = {name: sorted(value) for name, value in names.items() if value}
    times = {"since_at": wanted.since, "until_at": wanted.until}
    return found | {name: clock.stamp(at) for name, at in times.items() if at is not None}


def _counts(
    story: Story, known: Known, outcomes: Mapping[int, Outcome], shown: int
) -> dict[str, Any]:
    kinds = Counter(outcomes.values())
    return {
        "events": story.count,
        "events_shown": len(story.newest),
        "types": dict(story.types.most_common()),
        **_tried(story, known),
        "attempts_shown": shown,
        "outcomes": dict(kinds.most_common()),
        "commits": len(story.commits),
        "commits_replaced": len(story.commits & story.replaced),
        "stuck_after_seconds": known.stuck_after // clock.SECOND,
    }


def _tried(story: Story, known: Known) -> dict[str, int]:
    """Return attempts and agents in numbers, as `summary.of` has them of the whole job.

    ``sessions``: the stretches of work without an agent, which are no attempts; neither is a claim
    that was given back.
    """
    these = [one for one in story.attempts if one.agent_id is not None]
    failed = [one for one in these if one.outcome == "failed"]
    return {
        "agents": len({one.line for one in these}),
        "attempts": sum(one.outcome != "cancelled" for one in these),
        "sessions": len(story.attempts) - len(these),
        "failed_attempts": len(failed),
        "retried_well": sum(one.item_id in known.mended for one in failed),
    }


def _trouble(
    story: Story, known: Known, outcomes: Mapping[int, Outcome], number: Mapping[int, int]
) -> dict[str, Any]:
    """Return what somebody has to look at, by kind: how many, and the latest of them.

    Of who waits those who wait longest, for a permission or an answer before a prompt, as in `status`.
    """
    found: dict[str, Any] = {}
    for kind in ("waiting", "dead", "stuck", "failed"):
        these = [one for one in story.attempts if outcomes[id(one)] == kind]
        these.sort(key=lambda one: one.last or 0, reverse=True)
        if kind == "waiting":
            these.sort(key=lambda one: _waits_since(known, one))
        rows = [
            {
                "who": one.lane,
                "item_id": one.item_id,
                "session_id": one.session_id,
                "attempt_index": number.get(id(one)),
                "last_event_at": _stamp(one.last),
                "error": _cut(one.error or one.reason),
                "note": _note(known, one, kind),
            }
            for one in these[:_TROUBLE_SHOWN]
        ]
        found[kind] = {"count": len(these), "shown": rows}
    # What the log has no failure of, as where its events were cleaned.
    seen = {one.item_id for one in story.all_attempts}
    lost = sorted(name for name in known.given_up if name not in seen)
    found["given_up_without_attempt"] = {"count": len(lost), "shown": lost[:_TROUBLE_SHOWN]}
    return found


def _waits_since(known: Known, one: Attempt) -> tuple[bool, int]:
    doing = known.doing.get(one.session_id or "")
    return (False, 0) if doing is None else (doing.reason == "idle", doing.since)


def _note(known: Known, one: Attempt, kind: str) -> str | None:
    """Return what an agent program says of an attempt that waits, or whose program is gone."""
    doing = known.doing.get(one.session_id or "")
    if doing is None:
        return None
    if kind == "waiting":
        return _cut(f"{doing.program}, {words.waits(doing, known.now)}")
    return _cut(words.does(doing, known.now)) if kind == "dead" and doing.gone else None


def _over_time(
    story: Story, known: Known, outcomes: Mapping[int, Outcome]
) -> dict[str, Any] | None:
    """Return `series.over_time` of what was asked for; None where no event has a time."""
    begin, end = _span(story, known.now)
    if begin is None or end is None:
        return None
    live = any(kind in AT_WORK for kind in outcomes.values())
    if live and end < known.now < end + 7 * _DAY:
        end = known.now
    first: dict[str | int, int] = {}
    failed = []
    stretches = []
    for one in story.attempts:
        if one.outcome == "completed" and one.ended is not None and not one.late:
            first.setdefault(one.item_id or id(one), one.ended)
        elif one.outcome == "failed" and one.ended is not None and begin <= one.ended <= end:
            failed.append(one.ended)
        if one.began is not None:
            over = one.ended if one.ended is not None else end
            if outcomes[id(one)] == "abandoned":
                over = one.last or one.began
            stretches.append((max(begin, one.began), max(begin, min(end, over))))
    completed = [moment for moment in first.values() if begin <= moment <= end]
    return series.over_time(begin, end, completed, failed, stretches)


def _span(story: Story, now: int) -> tuple[int | None, int | None]:
    """Return when the events begin and end, less those of a wrong clock: they hide the rest."""
    ends = story.first, story.last
    if all(moment is None or _OLDEST <= moment <= now + _DAY for moment in ends):
        return ends
    moments = [
        moment
        for one in story.attempts
        for moment in (one.began, one.ended, one.last)
        if moment is not None and _OLDEST <= moment <= now + _DAY
    ]
    return min(moments, default=None), max(moments, default=None)


def _attempt(one: Attempt, outcome: Outcome, known: Known) -> dict[str, Any]:
    host = known.here if known.hosts is None else known.hosts.get(one.session_id or "", known.here)
    ended = one.ended if outcome != "abandoned" else one.last
    lasted = one.lasted
    return {
        "who": one.lane,
        "agent_id": one.agent_id,
        "item_id": one.item_id,
        "session_id": one.session_id,
        **({} if host is None else {"host": host}),
        "attempt": one.number,
        "outcome": outcome,
        "late": one.late,
        "started_at": _stamp(one.began),
        "ended_at": _stamp(ended),
        "last_event_at": _stamp(one.last),
        "seconds": None if lasted is None else lasted / clock.SECOND,
        "error": _cut(one.error),
        "failure_reason": _cut(one.reason),
        "error_signature": one.signature,
        "log": one.log,
        "commit_count": len(one.commits),
        "commits": [_commit(commit) for commit in one.commits[-_COMMITS_SHOWN:]],
    }


def _commit(one: Commit) -> dict[str, Any]:
    return {
        "commit": one.sha,
        "at": _stamp(one.at),
        "action": one.action,
        "subject": _cut(one.subject, 240),
        "replaced_by": one.replaced,
    }


def _failures(attempts: list[Attempt], outcomes: Mapping[int, Outcome]) -> dict[str, Any]:
    """Return the failed attempts by what they have in common, the most frequent first."""
    groups: dict[str, list[Attempt]] = defaultdict(list)
    for one in attempts:
        if one.outcome == "failed":
            groups[one.signature or one.reason or "no error given"].append(one)
    rows: list[dict[str, Any]] = []
    for signature, these in groups.items():
        items = list(dict.fromkeys(one.item_id for one in these if one.item_id is not None))
        moments = [one.ended for one in these if one.ended is not None]
        rows.append(
            {
                "error_signature": signature,
                "count": len(these),
                "for_good": sum(outcomes[id(one)] == "failed" for one in these),
                "item_ids": items[:_NAMES_SHOWN],
                "item_count": len(items),
                "agent_count": len({one.line for one in these}),
                "first_at": _stamp(min(moments, default=None)),
                "last_at": _stamp(max(moments, default=None)),
                "example": _cut(these[-1].error or these[-1].reason),
            }
        )
    rows.sort(key=lambda row: (-row["count"], row["error_signature"]))
    return {"count": len(rows), "shown": rows[:_FAILURES_SHOWN]}


def _durations(attempts: list[Attempt]) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {"completed": [], "failed": []}
    for one in attempts:
        if one.outcome in seconds and one.lasted is not None:
            seconds[one.outcome].append(one.lasted / clock.SECOND)
    return {
        "histogram": series.histogram(dict(seconds)),
        **{name: series.spread(values) for name, values in seconds.items()},
    }


def _event(event: Event, attempt: Attempt | None, number: Mapping[int, int]) -> dict[str, Any]:
    return {
        "at": _stamp(event.moment),
        "type": event.type,
        "who": attempt.lane if attempt is not None else event.agent_id,
        "item_id": event.item_id or (attempt.item_id if attempt is not None else None),
        "session_id": event.session_id,
        "text": said(event),
        "attempt_index": None if attempt is None else number.get(id(attempt)),
    }


def standing(story: Story) -> list[str]:
    """Return the commits of the attempts that nothing has replaced, oldest first."""
    return [
        commit.sha for one in story.attempts for commit in one.commits if commit.replaced is None
    ]


def _stamp(moment: int | None) -> str | None:
    return None if moment is None else clock.stamp(moment)


def _cut(text: str | None, longest: int = _LONGEST) -> str | None:
    return text if text is None or len(text) <= longest else text[: longest - 1] + "…"
