"""An order in which as many candidates as possible merge, one after the other; each merge is tried."""

from collections.abc import Sequence

from prodigy_git.merging.conflicts import independent
from prodigy_git.merging.conflicts.forecast import Clash, Left
from prodigy_git.merging.conflicts.ground import Ground, Ready
from prodigy_git.merging.conflicts.three_way import Merge


class _Unmade(Exception):
    """What is to be merged next stands on trees that are remembered, but are not there."""


def in_order(
    ground: Ground, ready: Sequence[Ready], clashes: Sequence[Clash], *, as_given: bool
) -> tuple[list[str], list[Left]]:
    """Return the names that merge in this order, and those that are left out.

    ``as_given``: the candidates have their turns as they come. Else the largest choice comes first of
    those that conflict neither with the target nor with each other; then whatever merges all the same.
    """
    number = {one.name: n for n, one in enumerate(ready)}
    against: list[set[int]] = [set() for _ in ready]
    for clash in clashes:
        one, other = number[clash.one], number[clash.other]
        against[one].add(other)
        against[other].add(one)
    turns = list(range(len(ready)))
    first, rest = turns, None
    if not as_given:
        clean = [n for n in turns if ready[n].merge.clean]
        place = {n: at for at, n in enumerate(clean)}
        chosen = independent.most([{place[m] for m in against[n] if m in place} for n in clean])
        first = [clean[at] for at in chosen]
        rest = sorted(set(turns) - set(first))
        # Those with fewer conflicts first, since each that merges may keep others out.
        rest.sort(key=lambda n: (not ready[n].merge.clean, len(against[n]), n))
        first, rest = _bottom_up(ground, ready, first), _bottom_up(ground, ready, rest)
    merged, left = _run(ground, ready, first, rest)
    failed = [n for n in first if n in left]
    if failed and rest is not None:
        # What two others have made together may be in its way, and not it in theirs.
        sooner = failed + [n for n in first if n not in left]
        better = _run(ground, ready, _bottom_up(ground, ready, sooner), rest)
        merged, left = max((merged, left), better, key=lambda one: len(one[0]))
    inside = set(merged)
    return [ready[n].name for n in merged], [
        Left(
            ready[n].name,
            done.files,
            tuple(ready[m].name for m in sorted(against[n] & inside)),
            not ready[n].merge.clean,
            done.trouble,
        )
        for n, done in sorted(left.items())
    ]


def _bottom_up(ground: Ground, ready: Sequence[Ready], some: Sequence[int]) -> list[int]:
    """Return numbers in their order, but what one was built on before it."""
    found: list[int] = []

    def put(one: int) -> None:
        if one in found:
            return
        own = ground.line.descents[ready[one].commit].own
        below = [m for m in some if m != one and ready[m].commit in own]
        # Of two that are at the same commit each has the other's.
        for other in below:
            if ready[other].commit != ready[one].commit:
                put(other)
        found.append(one)

    for one in some:
        put(one)
    return found


def _run(
    ground: Ground, ready: Sequence[Ready], first: Sequence[int], rest: Sequence[int] | None
) -> tuple[list[int], dict[int, Merge]]:
    """Merge ``first`` one after the other; then, as long as there is one, the first of the rest that
    merges. With None for the rest it ends after the first.

    Return what was merged, in order, and what came of the others at last.
    """
    try:
        return _merged(ground, ready, first, rest, again=False)
    except _Unmade:
        return _merged(ground, ready, first, rest, again=True)


def _merged(
    ground: Ground,
    ready: Sequence[Ready],
    first: Sequence[int],
    rest: Sequence[int] | None,
    *,
    again: bool,
) -> tuple[list[int], dict[int, Merge]]:
    """Do as `_run`. What is remembered is not merged; raises `_Unmade`, unless ``again``."""
    at = ground.target
    stands = True  # whether the trees of what has been merged are there
    merged: list[int] = []
    left: dict[int, Merge] = {}

    def attempt(some: Sequence[int]) -> dict[int, Merge]:
        found = {}
        for one in [] if again else some:
            done = ground.known.merge(("commits", at, ready[one].commit))
            if done is not None:
                found[one] = done
        asked = [one for one in some if one not in found]
        if asked and not stands:
            raise _Unmade
        tried = ground.scratch.merge([(at, ready[one].commit) for one in asked], keep=True)
        for one, done in zip(asked, tried, strict=True):
            ground.known.remember(("commits", at, ready[one].commit), done)
            found[one] = done
            laid.add((at, one))
        left.update(found)
        return found

    def take(one: int) -> None:
        nonlocal at, stands
        stands = stands and (at, one) in laid
        merged.append(one)
        at = ground.scratch.commit(left.pop(one).tree or "", [at, ready[one].commit])

    laid: set[tuple[str, int]] = set()
    for one in first:
        if attempt([one])[one].clean:
            take(one)
    waiting = [] if rest is None else [*rest, *left]
    while waiting:
        ends = attempt(waiting)
        fits = next((one for one in waiting if ends[one].clean), None)
        if fits is None:
            break
        take(fits)
        waiting.remove(fits)
    return merged, left
