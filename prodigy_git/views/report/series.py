"""Numbers over time, and how they spread: for the report's charts. Pure."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from prodigy_git.record import clock

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STEPS = (
    1, 2, 5, 10, 15, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE,
    _HOUR, 2 * _HOUR, 4 * _HOUR, 8 * _HOUR, _DAY, 2 * _DAY, 7 * _DAY, 28 * _DAY,
)  # fmt: skip
_BUCKETS = 120
_EDGES = (
    1, 2, 5, 10, 20, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE, 20 * _MINUTE,
    30 * _MINUTE, 45 * _MINUTE, _HOUR, 2 * _HOUR, 4 * _HOUR, 8 * _HOUR, _DAY, 2 * _DAY, 7 * _DAY,
)  # fmt: skip


def step_for(micros: int) -> int:
    """Return the round length, in seconds, of at most 120 steps that cover ``micros`` microseconds."""
    seconds = micros / clock.SECOND
    for step in _STEPS:
        if seconds / step < _BUCKETS:
            return step
    return _STEPS[-1] * (1 + int(seconds / _STEPS[-1] / _BUCKETS))


def over_time(
    begin: int,
    end: int,
    completed: Iterable[int],
    failed: Iterable[int],
    stretches: Iterable[tuple[int, int]],
    before: int = 0,
) -> dict[str, Any]:
    """Return how many completed and failed in each step of a time, and how many were at work.

    Moments in microseconds; ``stretches`` are (begin, end) of each attempt, ``before`` is what had
    been completed at ``begin``. {start, step_seconds, completed, failed, running, done}: ``start`` is
    a timestamp, the rest have one number a step: ``running`` is the most at once in the step, ``done``
    how many had been completed by its end.
    """
    step = step_for(end - begin) * clock.SECOND
    start = begin - begin % step
    count = max(1, (end - start) // step + 1)

    def counted(moments: Iterable[int]) -> list[int]:
        numbers = Counter((moment - start) // step for moment in moments)
        return [numbers[number] for number in range(count)]

    ended = counted(completed)
    return {
        "start_at": clock.stamp(start),
        "step_seconds": step // clock.SECOND,
        "completed": ended,
        "failed": counted(failed),
        "running": _most_at_once(start, step, count, stretches),
        "done": [before + number for number in accumulate(ended)],
    }


def _most_at_once(
    start: int, step: int, count: int, stretches: Iterable[tuple[int, int]]
) -> list[int]:
    turns: Counter[int] = Counter()
    for begin, end in stretches:
        turns[begin] += 1
        turns[end] -= 1
    most = [0] * count
    running = place = 0
    for moment in sorted(turns):
        number = min(count - 1, max(0, (moment - start) // step))
        # What was at work before goes on until this turn.
        while place < number:
            place += 1
            most[place] = running
        running += turns[moment]
        most[number] = max(most[number], running)
    for later in range(place + 1, count):
        most[later] = running
    return most


def spread(seconds: Sequence[float]) -> dict[str, Any] | None:
    """Return count, least, quartiles, 95th percentile and most of some durations; None of none."""
    if not seconds:
        return None
    ordered = sorted(seconds)

    def at(share: float) -> float:
        place = share * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        return round(ordered[low] + (ordered[high] - ordered[low]) * (place - low), 3)

    names = {"least": 0, "lower": 0.25, "median": 0.5, "upper": 0.75, "p95": 0.95, "most": 1}
    return {"count": len(ordered), **{name: at(share) for name, share in names.items()}}


def histogram(durations: dict[str, Sequence[float]]) -> dict[str, Any]:
    """Return how many durations, in seconds, of each name are between round lengths.

    {edges, NAME: counts}: one count more than edges, the first up to the first edge, the last beyond
    the last. Ends at which nothing is are left out.
    """
    numbers = {
        name: Counter(bisect_left(_EDGES, one) for one in values)
        for name, values in durations.items()
    }
    used = [number for counts in numbers.values() for number in counts]
    low, high = (min(used), max(used)) if used else (0, 0)
    return {
        "edges": list(_EDGES[low:high]),
        **{name: [counts[n] for n in range(low, high + 1)] for name, counts in numbers.items()},
        # Where the first begins: 0, unless what lies below was left out.
        "from": _EDGES[low - 1] if low else 0,
        "open": high == len(_EDGES),
    }
