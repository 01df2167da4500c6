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
            chosen |= _largest(part, masks, {})
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


def _largest(part: int, masks: Sequence[int], known: dict[int, int]) -> int:
    """Return a largest choice of ``part``: each time with, or without, what conflicts with most."""
    if part in known:
        return known[part]
    if len(known) > _EFFORT:
        raise _TooMuch
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
        found = taken | _largest(left, masks, known)
    elif at < 0:
        found = 0
    else:
        with_it = 1 << at | _largest(part & ~(masks[at] | 1 << at), masks, known)
        without = _largest(part & ~(1 << at), masks, known)
        found = max(without, with_it, key=_worth)
    known[part] = found
    return found


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
