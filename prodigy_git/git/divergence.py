"""How far many branches are ahead of and behind their bases, with three processes for all of them.

`git rev-list --left-right --count` answers for one pair; a process for each of 200 worktrees takes
longer than people wait. `for-each-ref` can do it since git 2.41, for refs only.
"""

from collections.abc import Iterable

from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import look, said
from prodigy_git.record.gitdir import Place

_MOST = 200_000
"""How many commits are looked at: without an ancestor common to all it would be the whole history."""


def resolve(place: Place, revisions: Iterable[str]) -> dict[str, str]:
    """Return the commits that revisions name, by revision; what names none is left out."""
    asked = [one for one in dict.fromkeys(revisions) if one.isprintable() and " " not in one]
    if not asked:
        return {}
    request = "".join(f"{one}^{{commit}}\n" for one in asked).encode("utf-8", "surrogateescape")
    status, out, _ = look(place, "cat-file", "--batch-check", stdin=request)
    answers = out.split(b"\n")[:-1]
    if status != 0 or len(answers) != len(asked):
        return {}
    return {
        one: words[0].decode("ascii")
        for one, words in zip(asked, (line.split(b" ") for line in answers), strict=True)
        if len(words) == 3 and words[1] == b"commit"
    }


def ahead_behind(
    place: Place, pairs: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], tuple[int, int]]:
    """Return, for pairs of commits (one, base), how many either has that the other has not.

    All have to exist. What would take too long to count is left out.
    """
    wanted = list(dict.fromkeys(pairs))
    apart = [pair for pair in wanted if pair[0] != pair[1]]
    found = {pair: (0, 0) for pair in wanted if pair[0] == pair[1]}
    if apart:
        tips = sorted({one for pair in apart for one in pair})
        reached = _reached_by(place, tips)
        if reached is not None:
            bits = {tip: 1 << number for number, tip in enumerate(tips)}
            for one, base in apart:
                mine, theirs = bits[one], bits[base]
                both = mine | theirs
                ahead = sum(n for mask, n in reached.items() if mask & both == mine)
                behind = sum(n for mask, n in reached.items() if mask & both == theirs)
                found[one, base] = ahead, behind
    return found


def _reached_by(place: Place, tips: list[str]) -> dict[int, int] | None:
    """Return how many commits are reached by just these tips (a bit each), by each such set.

    Without those that all tips reach, for the most part. None where there are too many.
    """
    status, out, _ = look(place, "merge-base", "--octopus", *tips)
    common = out.decode("ascii").split() if status == 0 else []
    request = "".join(f"{tip}\n" for tip in tips) + "".join(f"^{one}\n" for one in common)
    status, out, err = look(
        place, "rev-list", "--topo-order", "--parents", f"--max-count={_MOST}", "--stdin",
        stdin=request.encode("ascii"),
    )  # fmt: skip
    if status != 0:
        raise ProdigyError(f"git rev-list: {said(err, f'exit status {status}')}")
    lines = out.decode("ascii").splitlines()
    if len(lines) == _MOST:
        return None
    # A commit comes before its parents: by then all that reach it are known.
    masks = {tip: 1 << number for number, tip in enumerate(tips)}
    reached: dict[int, int] = {}
    for line in lines:
        commit, *parents = line.split(" ")
        mask = masks.pop(commit, 0)
        reached[mask] = reached.get(mask, 0) + 1
        for parent in parents:
            masks[parent] = masks.get(parent, 0) | mask
    return reached
