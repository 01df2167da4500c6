"""What amends and rebases replaced: old commits paired with new ones.

Loaded only where there was an amend or a rebase.
"""

from __future__ import annotations

from prodigy_git.record import files, gitdir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prodigy_git.record.gitdir import Commit, Place
    from prodigy_git.record.journal import Span


class Rewrite:
    """What one amend or rebase replaced: ``pairs`` of old and new; ``name`` tells it from others."""

    __slots__ = ("command", "doubtful", "name", "pairs")

    def __init__(
        self, command: str, name: str, pairs: list[tuple[str, str]], doubtful: bool
    ) -> None:
        """Name the operation; see the class."""
        self.command = command
        self.name = name
        self.pairs = pairs
        self.doubtful = doubtful


def link(
    place: Place,
    amends: list[tuple[str, str, bool]],
    ended: list[Span],
    commits: dict[str, Commit],
    doubtful: bool,
) -> list[Rewrite]:
    """Return what ``amends`` and the rebases that have ``ended`` replaced.

    An amend is the commit before it, its own, and whether the log may hold it already; ``doubtful``
    says this of the rebases'.
    """
    found = [
        Rewrite("amend", f"amend:{old}:{new}", [(old, new)], again) for old, new, again in amends
    ]
    for span in ended:
        if not span.kept:
            continue
        # git's own list belongs to the rebase whose folder is still there: the last one.
        pairs = _rewritten_list(place) if span is ended[-1] else []
        pairs = pairs or _matched(place, span, commits)
        if pairs:
            name = f"rebase:{span.start.old}:{span.final}"
            found.append(Rewrite("rebase", name, pairs, doubtful))
    return found


def _rewritten_list(place: Place) -> list[tuple[str, str]]:
    """Return git's own list of what a rebase replaced; it exists until the rebase's last hook is over.

    It is what post-rewrite gets on its standard input, which wrappers such as pre-commit swallow.
    """
    for name in ("rebase-merge/rewritten-list", "rebase-apply/rewritten"):
        try:
            text = files.read(f"{place.private}/{name}").decode("ascii", "replace")
        except OSError:
            continue
        words = [line.split() for line in text.splitlines()]
        return [(pair[0], pair[1]) for pair in words if len(pair) == 2]
    return []


def _matched(place: Place, span: Span, commits: dict[str, Commit]) -> list[tuple[str, str]]:
    """Pair the commits before a rebase with those after it, by author (with time) and subject."""
    status, out = gitdir.ask(
        place, "rev-list", "--reverse", span.start.old, f"^{span.start.new}", "--"
    )
    olds = out.decode("ascii").split() if status == 0 else []
    before = gitdir.read_commits(place, olds)
    after = {(commits[sha].author, commits[sha].subject): sha for sha in span.kept}
    pairs = []
    for old in olds:
        if old in before:
            new = after.get((before[old].author, before[old].subject))
            if new is not None and new != old:
                pairs.append((old, new))
    return pairs
