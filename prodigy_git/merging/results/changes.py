"""What results change: commits, lines and files against where they parted from their target.

A handful of git's processes for all results together, however many there are.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from prodigy_git.git import divergence, integration, repository
from prodigy_git.git.ask import look
from prodigy_git.merging.results import ancestry
from prodigy_git.merging.results.results import Result
from prodigy_git.record.gitdir import Place


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that was changed; ``former`` is its path before, where it was renamed.

    ``lines_added`` and ``lines_removed`` are None for a binary file.
    """

    path: str
    former: str | None
    lines_added: int | None
    lines_removed: int | None


@dataclass(slots=True)
class Change:
    """What a result changes against ``base``: its merge base with the branch ``target``.

    Of one that is in its target, ``merged``, the base is the commit that its worktree began at. None:
    it is not known, as where the commits are gone.
    """

    target: str | None = None
    base: str | None = None
    merged: bool | None = None
    commits: int | None = None
    files: list[FileChange] | None = None

    @property
    def added(self) -> int:
        """How many lines were added, binary files left aside."""
        return sum(one.lines_added or 0 for one in self.files or ())

    @property
    def removed(self) -> int:
        """How many lines were removed, binary files left aside."""
        return sum(one.lines_removed or 0 for one in self.files or ())


def of(place: Place, results: Sequence[Result]) -> list[Change]:
    """Return what results change, in their order. ``place`` is the common git directory.

    Raises `ProdigyError` where git cannot be started.
    """
    known = integration.refs(place)
    configured = repository.config(place.common, "init.defaultBranch")
    default = next(iter(integration.defaults(known, configured)), None)
    made = [Change() for _ in results]
    groups: dict[str, list[int]] = {}
    for number, one in enumerate(results):
        target = _target(one, known, default)
        if target is not None:
            made[number].target = target.removeprefix("refs/heads/").removeprefix("refs/remotes/")
            groups.setdefault(known[target], []).append(number)
        elif one.head is not None and one.base is not None:
            groups.setdefault("", []).append(number)
    for tip, numbers in groups.items():
        mine = [number for number in numbers if results[number].head is not None]
        if tip:
            _against(place, tip, [(made[number], results[number]) for number in mine])
        else:
            for number in mine:
                made[number].base = results[number].base
        _count(place, [(made[number], results[number]) for number in mine])
    return made


def _target(one: Result, known: Mapping[str, str], default: str | None) -> str | None:
    """Return the full name of the branch that a result is compared with."""
    own = f"refs/heads/{one.branch}"
    names = (f"refs/heads/{one.base_branch}", f"refs/remotes/{one.base_branch}", default)
    return next((ref for ref in names if ref in known and ref != own), None)


_Pair = tuple[Change, Result]


def _against(place: Place, tip: str, pairs: Iterable[_Pair]) -> None:
    """Find the merge bases with a target's tip."""
    wanted = [(change, one) for change, one in pairs if one.head is not None]
    found = ancestry.of(place, tip, [str(one.head) for _, one in wanted])
    for change, one in wanted:
        descent = found.descents[str(one.head)]
        if descent.trouble is not None:
            continue
        change.merged = not descent.own
        change.commits = len(descent.own)
        change.base = next(iter(descent.bases), None)
        if change.merged:
            # What it did is in the target: told by where it began, if that is known.
            change.base, change.commits = one.base, None


def _count(place: Place, pairs: Sequence[_Pair]) -> None:
    """Count lines, files, and the commits that are not counted yet."""
    wanted: dict[tuple[str, str], list[Change]] = {}
    for change, one in pairs:
        if one.head is not None and change.base is not None:
            wanted.setdefault((one.head, change.base), []).append(change)
    compared = _compared(place, list(wanted))
    uncounted = [
        pair
        for pair, changes in wanted.items()
        if pair in compared and any(one.commits is None for one in changes)
    ]
    # A commit that is missing would make git fail for all of them: it is not among those compared.
    apart = divergence.ahead_behind(place, uncounted)
    for pair, changes in wanted.items():
        for change in changes:
            change.files = compared.get(pair)
            if change.commits is None and pair in apart:
                change.commits = apart[pair][0]


def _compared(
    place: Place, pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], list[FileChange]]:
    """Return the files in which commits (later, earlier) differ; what cannot be compared is left out.

    ``git diff-tree --stdin`` takes the second commit of a line for the parent of the first. It passes
    over what it does not find, and says the first commit of each line that it did.
    """
    found: dict[tuple[str, str], list[FileChange]] = {}
    # The same commit against several others could not be told apart: each has its turn.
    while pairs:
        turn = {later: (later, earlier) for later, earlier in reversed(pairs)}
        pairs = [pair for pair in pairs if turn[pair[0]] != pair]
        _ask(place, turn, found)
    return found


def _ask(
    place: Place,
    turn: Mapping[str, tuple[str, str]],
    found: dict[tuple[str, str], list[FileChange]],
) -> None:
    status, out, _ = look(
        place, "diff-tree", "--stdin", "--always", "-r", "-z", "-M", "--numstat",
        "--no-ext-diff", "--no-textconv",
        stdin="".join(f"{one} {other}\n" for one, other in turn.values()).encode("ascii"),
    )  # fmt: skip
    if status == 0:
        _read(out, turn, found)
    elif len(turn) > 1:
        # git ends at the first object that is missing: the others are asked for without it.
        every = list(turn.items())
        half = len(every) // 2
        _ask(place, dict(every[:half]), found)
        _ask(place, dict(every[half:]), found)


def _read(
    out: bytes,
    turn: Mapping[str, tuple[str, str]],
    found: dict[tuple[str, str], list[FileChange]],
) -> None:
    """Read what ``--numstat -z`` has for each commit: headers, ``+\\t-\\tpath``, renames in three."""
    fields = iter(out.split(b"\0"))
    files: list[FileChange] | None = None
    for text in fields:
        added, tab, rest = text.partition(b"\t")
        if not tab:
            if text:
                files = found.setdefault(turn[text.decode("ascii")], [])
            continue
        removed, _, path = rest.partition(b"\t")
        former = None
        if not path:
            former, path = os.fsdecode(next(fields)), next(fields)
        assert files is not None
        files.append(FileChange(os.fsdecode(path), former, _number(added), _number(removed)))


def _number(text: bytes) -> int | None:
    return None if text == b"-" else int(text)


@dataclass
class OfItem:
    """An item, and what was done on it: the result that counts first, then the other attempts."""

    item_id: str
    state: str
    attempts: int
    results: list[tuple[Result, Change]] = field(default_factory=list)


def as_json(one: Result, change: Change) -> dict[str, Any]:
    """Return a result and its change as commands' JSON has them."""
    files = change.files
    return {
        "job_id": one.job_id, "item_id": one.item_id, "attempt": one.attempt,
        "agent_id": one.agent_id, "session_id": one.session_id, "state": one.state,
        "is_result": one.counts, "branch": one.branch, "head": one.head, "merge_base": change.base,
        "target_branch": change.target, "merged": change.merged, "commits": change.commits,
        "lines_added": None if files is None else change.added,
        "lines_removed": None if files is None else change.removed,
        "changed_files": None if files is None else [asdict(file) for file in files],
        "worktree": one.worktree, "ended_at": one.completed_at, "error": one.error,
    }  # fmt: skip
