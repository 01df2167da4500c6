"""What would come of merging some commits into a target: alone, with each other, one after the other.

Nothing is touched: merges are made in a folder of ours (`three_way`). That each pair is clean does not
mean that a sequence is: so the order that is given was tried, merge by merge.
"""

from collections.abc import Sequence

from prodigy_git.merging.conflicts import known_merges, pairs, sequence, three_way
from prodigy_git.merging.conflicts.forecast import Candidate, Forecast
from prodigy_git.merging.conflicts.ground import Ground
from prodigy_git.merging.conflicts.known_merges import Known
from prodigy_git.merging.conflicts.three_way import Scratch
from prodigy_git.record.gitdir import Place


def foresee(
    common: Place,
    target: str,
    candidates: Sequence[Candidate],
    *,
    store: str | None = None,
    repo: str = "",
    as_given: bool = False,
    with_pairs: bool = True,
    keep: bool = True,
) -> Forecast:
    """Return what would come of merging ``candidates`` into the commit ``target``.

    ``common`` is the repository, its three parts the same. What was tried is remembered in ``store``,
    under the repository's key; ``keep`` False only reads that. ``as_given``: each has its turn in the
    order of the candidates, and what does not merge then is left out; ``with_pairs`` False does without
    comparing them with each other. Raises `ProdigyError` where git is too old, or does not have the
    target; `OSError`.
    """
    version = three_way.check_version()
    with Scratch(common, target) as scratch:
        about = known_merges.settings(common, version, scratch.attributes)
        known = Known(None if about is None else store, repo, about or "")
        commits = [one.commit for one in candidates if one.commit is not None]
        ground = Ground(common, target, scratch, known, commits)
        standings, ready = ground.stand(candidates)
        clashes = pairs.clashes(ground, ready) if with_pairs else []
        order, left = sequence.in_order(ground, ready, clashes, as_given=as_given)
        if keep:
            known.save()
        return Forecast(target, standings, clashes, order, left, known.tried)
