"""Where commits parted from a target: what each has of its own, and the merge bases of two of them.

A few processes of git's for all commits together; one more only for a commit, or a pair, whose history
is entangled: the target was merged into it meanwhile, or one was built on the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from prodigy_git.git.ask import look
from prodigy_git.record.gitdir import Place


@dataclass(frozen=True, slots=True)
class Descent:
    """How a commit descends from a target's history. All SHAs are whole.

    ``own`` are the commits that the target has not; none where it has the commit. ``bases`` are the
    merge bases with the target: none where the histories have nothing in common. ``trouble``: why that
    is not known; then the rest is empty.
    """

    own: frozenset[str] = frozenset()
    bases: tuple[str, ...] = ()
    trouble: str | None = None


@dataclass(slots=True)
class Ancestry:
    """The descents of some commits, by their SHAs; and what was asked of two of their bases."""

    descents: Mapping[str, Descent]
    _common: Place
    _between: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    def between(self, one: str, other: str) -> tuple[str, ...]:
        """Return the merge bases of two of the commits; none where they have nothing in common."""
        mine, theirs = self.descents[one], self.descents[other]
        pair = (one, other)
        if mine.own.isdisjoint(theirs.own) and len(mine.bases) == len(theirs.bases) == 1:
            # Whatever both have, the target has: so it is the bases' own base.
            pair = (mine.bases[0], theirs.bases[0])
            if pair[0] == pair[1]:
                return pair[:1]
        pair = min(pair, pair[::-1])
        if pair not in self._between:
            self._between[pair] = _merge_bases(self._common, *pair)
        return self._between[pair]


def of(common: Place, target: str, commits: Sequence[str]) -> Ancestry:
    """Return how commits descend from a target commit; all of them exist."""
    wanted = list(dict.fromkeys(commits))
    ahead = _ahead(common, target, wanted)
    if ahead is None:  # something that one of them descends from is missing
        each = {sha: _ahead(common, target, [sha]) for sha in wanted}
    else:
        each = dict.fromkeys(wanted, ahead)
    found = {sha: _descent(common, target, sha, known) for sha, known in each.items()}
    return Ancestry(found, common)


def _ahead(common: Place, target: str, commits: Sequence[str]) -> dict[str, list[str]] | None:
    """Return the commits that some have and ``target`` has not, with their parents; None: git fails."""
    stdin = "".join(f"{sha}\n" for sha in (*commits, f"^{target}")).encode()
    status, out, _ = look(common, "rev-list", "--parents", "--stdin", stdin=stdin)
    if status != 0:
        return None
    lines = (line.split() for line in out.decode("ascii", "replace").splitlines())
    return {line[0]: line[1:] for line in lines}


def _descent(common: Place, target: str, sha: str, ahead: dict[str, list[str]] | None) -> Descent:
    if ahead is None:
        return Descent(trouble="a commit of its history, or of the target's, is missing")
    if sha not in ahead:
        return Descent(bases=(sha,))
    own: set[str] = set()
    bases: set[str] = set()
    waiting = [sha]
    while waiting:
        one = waiting.pop()
        if one not in ahead:
            bases.add(one)
        elif one not in own:
            own.add(one)
            waiting += ahead[one]
    if len(bases) > 1:  # one of them may be an ancestor of another
        return Descent(frozenset(own), _merge_bases(common, sha, target))
    return Descent(frozenset(own), tuple(bases))


def _merge_bases(common: Place, one: str, other: str) -> tuple[str, ...]:
    status, out, _ = look(common, "merge-base", "--all", one, other)
    return tuple(sorted(out.decode("ascii").split())) if status == 0 else ()
