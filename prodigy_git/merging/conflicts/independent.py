"""Of things that conflict in pairs, as many as possible that do not. Pure; always the same answer."""

from collections.abc import Iterable, Sequence

_EFFORT = 5_000
"""Choices looked at among things that hang together, in search of the largest: a tenth of a second.

Where that is not enough it is a large one. Counted, not timed: the answer is always the same.
"""


class _TooMuch(Exception):
    """There are too many choices to look at."""


def most(conflicts: Sequence[Iterable[int]]) -> list[int]:
    """Return the numbers of a largest choice without a conflict, in ascending order.

    ``conflicts`` has for each number those that it conflicts with; said of one of two, it holds for
    both. Of choices that are equally large, one with earlier numbers is preferred.
    """
    masks = [0] * len(conflicts)
    for one, others in enumerate(conflicts):
        for other in others:
            if other != one:
                masks[one] |= 1 << other
                masks[other] |= 1 << one
    chosen = 0
    for part in _parts(masks):
        try:
            chosen |= _largest(part, masks)
        except _TooMuch:
            chosen |= _large(part, masks)
    return list(_bits(chosen))


def _bits(mask: int) -> Iterable[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _parts(masks: Sequence[int]) -> list[int]:
    """Return the numbers that hang together by conflicts, as masks."""
    left = (1 << len(masks)) - 1
    found = []
    while left:
        part, fresh = 0, left & -left
        while fresh:
            part |= fresh
            reached = 0
            for one in _bits(fresh):
                reached |= masks[one]
            fresh = reached & ~part
        found.append(part)
        left &= ~part
    return found


def _largest(whole: int, masks: Sequence[int]) -> int:
    """Return a largest choice of what hangs together. Raises `_TooMuch`.

    A loop, as there may be one part within another for each thing: Python bounds calls within calls.
    """
    splits: dict[int, tuple[int, list[tuple[int, int]]]] = {}
    known: dict[int, int] = {}
    waiting = [whole]
    while waiting:
        part = waiting[-1]
        if part not in splits:
            if len(splits) > _EFFORT:
                raise _TooMuch
            splits[part] = _split(part, masks)
        taken, ways = splits[part]
        left = [rest for _, rest in ways if rest not in known]
        if left:
            waiting.append(left[0])
            continue
        found = (taken | more | known[rest] for more, rest in ways)
        known[part] = max(found, key=_worth, default=taken)
        waiting.pop()
    return known[whole]


def _split(part: int, masks: Sequence[int]) -> tuple[int, list[tuple[int, int]]]:
    """Return what is in some largest choice of ``part``, and the ways to go on: (with what, in what).

    Where nothing is certain there are two: without, and with, what conflicts with most.
    """
    most_of, at, taken, left = 0, -1, 0, part
    for one in _bits(part):
        degree = (masks[one] & left).bit_count()
        if degree <= 1:
            # What conflicts with one at most is in some largest choice.
            if left >> one & 1:
                taken |= 1 << one
                left &= ~(masks[one] | 1 << one)
        elif degree > most_of:
            most_of, at = degree, one
    if taken:
        return taken, [(0, left)]
    if at < 0:
        return 0, []
    without = part & ~(1 << at)
    return 0, [(0, without), (1 << at, without & ~masks[at])]


def _worth(choice: int) -> tuple[int, list[int]]:
    return choice.bit_count(), [-one for one in _bits(choice)]


def _large(part: int, masks: Sequence[int]) -> int:
    """Return a large choice: each time what conflicts with fewest of those left, the earliest."""
    chosen = 0
    while part:
        one = min(_bits(part), key=lambda n: ((masks[n] & part).bit_count(), n))
        chosen |= 1 << one
        part &= ~(masks[one] | 1 << one)
    return chosen
