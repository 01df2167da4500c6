"""Which lines a commit brought: the ranges of its files that no parent has, as git's patch says."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import look
from prodigy_git.record.gitdir import Place

_AT_ONCE = 50
"""How many comparisons one process of git makes; its answer is in memory as a whole."""
# No setting of the user's, and no attribute, may make another patch of it.
_ASKED = (
    "diff-tree", "--stdin", "--always", "--root", "-r", "-p", "-U0", "-M",
    "--no-color", "--no-ext-diff", "--no-textconv", "--no-relative", "--full-index",
    "--src-prefix=a/", "--dst-prefix=b/", "--ignore-submodules=none", "--submodule=short",
)  # fmt: skip
_HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_ID = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_ESCAPES = {b"a": 7, b"b": 8, b"t": 9, b"n": 10, b"v": 11, b"f": 12, b"r": 13, b'"': 34, b"\\": 92}


class Line(NamedTuple):
    """A line that was brought: its number, from 1 on, and its text without the line break."""

    number: int
    text: bytes


class Range(NamedTuple):
    """Lines in a row, the first and the last one's number, and the SHA-256 of their text."""

    start: int
    end: int
    digest: str


Brought = dict[str, list[Line]]
"""The lines that a commit brought, by the file's path in it; none for a file of which it only took
lines, that it only renamed, or that is binary. Files that it removed, and submodules, are left out."""


def ranges(lines: Iterable[Line]) -> list[Range]:
    """Return lines, in their order, as ranges."""
    found: list[Range] = []
    row: list[Line] = []
    for line in lines:
        if row and line.number != row[-1].number + 1:
            found.append(_range(row))
            row = []
        row.append(line)
    return [*found, _range(row)] if row else found


def _range(row: Sequence[Line]) -> Range:
    text = b"".join(line.text + b"\n" for line in row)
    return Range(row[0].number, row[-1].number, hashlib.sha256(text).hexdigest())


def parents_of(place: Place, commits: Iterable[str]) -> dict[str, list[str]]:
    """Return the parents of those of some commits that are in a repository with all that is said of.

    Raises `ProdigyError` where git cannot be asked.
    """
    asked = "".join(f"{one}\n" for one in commits).encode()
    status, out, err = look(place, "cat-file", "--batch", stdin=asked)
    if status != 0:
        raise ProdigyError(f"git cat-file: {err.strip()}")
    found: dict[str, list[str]] = {}
    at = 0
    while at < len(out):
        end = out.index(b"\n", at)
        words = out[at:end].split(b" ")
        at = end + 1
        if len(words) == 3 and words[2].isdigit():
            body = out[at : at + int(words[2])]
            at += int(words[2]) + 1
            if words[1] == b"commit":
                head = body.partition(b"\n\n")[0].split(b"\n")
                found[words[0].decode()] = [
                    line[7:].decode() for line in head if line.startswith(b"parent ")
                ]
    return found


def brought(place: Place, commits: dict[str, list[str]]) -> Iterator[tuple[str, Brought]]:
    """Yield what each of some commits brought, given with their parents; a merge, what no parent has.

    One that cannot be compared, as where a tree is missing, is left out. Raises `ProdigyError` where
    git cannot be started.
    """
    wanted = list(commits.items())
    for first in range(0, len(wanted), _AT_ONCE):
        some = wanted[first : first + _AT_ONCE]
        try:
            found = _compared(place, some)
        except ProdigyError:
            found = {}
            for one in some:
                try:
                    found |= _compared(place, [one])
                except ProdigyError:
                    continue
        for commit, _ in some:
            if commit in found:
                yield commit, found[commit]


def _compared(place: Place, some: Sequence[tuple[str, list[str]]]) -> dict[str, Brought]:
    asked = [(commit, parent) for commit, parents in some for parent in (parents or [""])]
    status, out, err = look(
        place, *_ASKED, stdin="".join(f"{' '.join(one).strip()}\n" for one in asked).encode()
    )
    if status != 0:
        raise ProdigyError(f"git diff-tree: {err.strip()}")
    sides = list(_parsed(out))
    if [commit for commit, _ in sides] != [commit for commit, _ in asked]:
        raise ProdigyError("git diff-tree: not what was asked for")
    found: dict[str, Brought] = {}
    for commit, there in sides:
        found[commit] = there if commit not in found else _in_both(found[commit], there)
    return found


def _in_both(one: Brought, other: Brought) -> Brought:
    """Return what is new against both parents."""
    both = {}
    for path in one.keys() & other.keys():
        numbers = {line.number for line in other[path]}
        both[path] = [line for line in one[path] if line.number in numbers]
    return both


def _parsed(out: bytes) -> Iterator[tuple[str, Brought]]:
    """Yield the patches that `git diff-tree --stdin` wrote, each behind its commit's id."""
    lines = iter(out.split(b"\n"))
    commit: str | None = None
    there: Brought = {}
    path: str | None = None
    module = False
    for line in lines:
        if _ID.fullmatch(line):
            if commit is not None:
                yield commit, there
            commit, there, path = line.decode(), {}, None
        elif line.startswith(b"diff --git "):
            path, module = _same_twice(line[11:]), False
            if path is not None:
                there[path] = []
        elif line.startswith((b"rename to ", b"copy to ")):
            path = _unquoted(line.partition(b" to ")[2])
            there[path] = []
        elif line.startswith(b"deleted file mode") or line.endswith(b" 160000"):
            module = True
            if path is not None:
                there.pop(path, None)
        elif line.startswith(b"+++ "):
            if line != b"+++ /dev/null" and not module:
                path = _unquoted(line[4:].removesuffix(b"\t")).removeprefix("b/")
                there[path] = []
        elif hunk := _HUNK.match(line):
            taken, start, put = (1 if one is None else int(one) for one in hunk.groups())
            for _ in range(taken):
                _next(lines)
            added = [Line(start + n, _next(lines)[1:]) for n in range(put)]
            if path is not None and not module:
                there.setdefault(path, []).extend(added)
    if commit is not None:
        yield commit, there


def _next(lines: Iterator[bytes]) -> bytes:
    """Return the next line of a hunk, past git's note that the one before has no line break."""
    line = next(lines)
    return next(lines) if line.startswith(b"\\") else line


def _same_twice(text: bytes) -> str | None:
    """Return the path of ``a/PATH b/PATH``; None where the two differ, as of a renamed file."""
    half = len(text) // 2
    one, other = _unquoted(text[:half]), _unquoted(text[half + 1 :])
    same = text[half : half + 1] == b" " and one[2:] == other[2:]
    return other.removeprefix("b/") if same else None


def _unquoted(text: bytes) -> str:
    """Return a path as it is: git quotes one with control characters, quotes or backslashes in it."""
    if len(text) >= 2 and text.startswith(b'"') and text.endswith(b'"'):
        text = re.sub(rb"\\([0-7]{3}|.)", _escaped, text[1:-1])
    return text.decode("utf-8", "surrogateescape")


def _escaped(found: re.Match[bytes]) -> bytes:
    return bytes(
        [int(found[1], 8) & 255 if len(found[1]) == 3 else _ESCAPES.get(found[1], found[1][0])]
    )
