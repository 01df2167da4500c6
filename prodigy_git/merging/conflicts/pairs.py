"""Which of the candidates conflict with each other, and in which files.

Pairs whose changes cannot meet are not merged (`touched`). The others are, on the commit that both
began at. Where they began at different commits of the target, what the target did between these would
seem to be the later one's doing: so each is laid on the target first, as it would come into it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prodigy_git.merging.conflicts import touched
from prodigy_git.merging.conflicts.forecast import Clash
from prodigy_git.merging.conflicts.ground import Ground, Ready
from prodigy_git.merging.conflicts.three_way import Merge
from prodigy_git.merging.conflicts.touched import Touched


@dataclass(frozen=True, slots=True)
class _Plan:
    """How two candidates, by their numbers, are merged.

    ``key`` is by what it is remembered, ``trees`` are those of base and sides where it is a plain merge
    of three; ``on_target``: the sides are laid on the target. ``own``: what each changed, as two trees,
    where they began at different commits and one of them conflicts with the target.
    """

    one: int
    other: int
    key: tuple[str, ...]
    trees: tuple[str, str, str] | None
    on_target: bool = False
    own: tuple[tuple[str, str], ...] = ()


def clashes(ground: Ground, ready: Sequence[Ready]) -> list[Clash]:
    """Return the pairs that conflict with each other, or of which it is not known, in order."""
    found: dict[tuple[int, int], Clash] = {}
    plans = []
    for other in range(len(ready)):
        for one in range(other):
            plan = _plan(ground, ready, one, other)
            if isinstance(plan, Clash):
                found[one, other] = plan
            elif plan is not None:
                plans.append(plan)
    asked = _compared(plan for plan in plans if not plan.on_target)
    asked += [pair for plan in plans for pair in plan.own]
    changes = touched.between(ground.scratch, asked)
    # Whether changes can meet is found out sooner than what is remembered of them is read.
    plans = [plan for plan in plans if plan.on_target or _may_meet(plan, changes)]
    for plan, done in _merged(ground, ready, plans):
        clash = _clash(ready, plan, done, changes)
        if clash is not None:
            found[plan.one, plan.other] = clash
    return [found[pair] for pair in sorted(found)]


def _plan(ground: Ground, ready: Sequence[Ready], one: int, other: int) -> _Plan | Clash | None:
    """Return how a pair is to be merged, or what is known of it already; None: it is clean."""
    first, second = ready[one], ready[other]
    mine, theirs = (ground.line.descents[each.commit] for each in (first, second))
    if first.commit in theirs.own or second.commit in mine.own:
        return None  # one has all of the other
    apart = mine.own.isdisjoint(theirs.own)
    elsewhere = apart and mine.bases != theirs.bases
    if elsewhere and first.merge.clean and second.merge.clean:
        trees = (ground.trees[ground.target], first.merge.tree or "", second.merge.tree or "")
        # Not "trees": of those that cannot meet no tree is known, and what merges one of them, when the
        # other is the target, is to have one.
        key = ("laid", trees[0], *sorted(trees[1:]))
        return _Plan(one, other, key, trees, on_target=True)
    bases = ground.line.between(first.commit, second.commit)
    if not bases:
        return Clash(first.name, second.name, trouble="no history in common")
    ground.load_trees(bases)
    key = ground.key(bases, *sorted((first.commit, second.commit)))
    plain = apart and len(bases) == 1 and bases[0] in ground.trees
    three = (ground.trees[bases[0]], first.tree, second.tree) if plain else None
    own: tuple[tuple[str, str], ...] = ()
    if elsewhere and len(mine.bases) == len(theirs.bases) == 1:
        begun = (ground.trees[mine.bases[0]], ground.trees[theirs.bases[0]])
        own = ((begun[0], first.tree), (begun[1], second.tree))
    return _Plan(one, other, key, three, own=own)


def _compared(plans: Iterable[_Plan]) -> list[tuple[str, str]]:
    """Return the pairs of trees by which it is decided whether changes can meet."""
    three = {plan.trees for plan in plans if plan.trees is not None}
    return sorted({(base, tree) for base, *sides in three for tree in sides})


def _may_meet(plan: _Plan, changes: dict[tuple[str, str], Touched]) -> bool:
    if plan.trees is None:
        return True
    base, first, second = plan.trees
    mine, theirs = changes.get((base, first)), changes.get((base, second))
    return mine is None or theirs is None or mine.may_meet(theirs)


def _merged(
    ground: Ground, ready: Sequence[Ready], plans: Sequence[_Plan]
) -> list[tuple[_Plan, Merge]]:
    """Merge pairs, those that are not remembered; the ones that cannot meet are left out."""
    found = []
    fresh = []
    for plan in plans:
        done = ground.known.merge(plan.key)
        if done is None:
            fresh.append(plan)
        else:
            found.append((plan, done))
    on_target = [plan for plan in fresh if plan.on_target]
    ground.lay_on_target([ready[n].commit for plan in on_target for n in (plan.one, plan.other)])
    changes = touched.between(ground.scratch, _compared(on_target))
    asked = []
    for plan in fresh:
        if plan.on_target and not _may_meet(plan, changes):
            # To find that out again, both would have to be laid on the target.
            ground.known.remember(plan.key, Merge("", (), True), tried=False)
        else:
            asked.append(plan)
    pairs = [_sides(ground, ready, plan) for plan in asked]
    for plan, done in zip(asked, ground.scratch.merge(pairs), strict=True):
        ground.known.remember(plan.key, done)
        found.append((plan, done))
    return found


def _sides(ground: Ground, ready: Sequence[Ready], plan: _Plan) -> tuple[str, str]:
    """Return the commits that git is to merge; always the same way round, as remembered."""
    one, other = ready[plan.one], ready[plan.other]
    if not plan.on_target:
        first, second = sorted((one.commit, other.commit))
        return first, second
    first, second = (
        ground.scratch.commit(tree, [ground.target])
        for tree in sorted((one.merge.tree or "", other.merge.tree or ""))
    )
    return first, second


def _clash(
    ready: Sequence[Ready], plan: _Plan, done: Merge, changes: dict[tuple[str, str], Touched]
) -> Clash | None:
    """Return what came of a pair as a clash; None where it is clean."""
    one, other = ready[plan.one], ready[plan.other]
    if done.tree is None:
        return Clash(one.name, other.name, trouble=done.trouble)
    if done.clean:
        return None
    files = done.files
    sides = [changes.get(pair) for pair in plan.own]
    mine, theirs = sides if sides else (None, None)
    if mine is not None and theirs is not None:
        # The later one has what the target did until it began, which the earlier one may conflict with.
        both = mine.paths & theirs.paths
        targets = {path for path, _ in (*one.merge.files, *other.merge.files)}
        files = tuple(pair for pair in files if pair[0] not in targets or pair[0] in both)
    return Clash(one.name, other.name, files) if files else None
