"""Make prodigy_git/record/suspicion_words.py from the gate's rules: what their matches have for sure.

The gate asks each rule's regular expression. A hook cannot: `re` alone costs it more than all else.
So each expression is taken apart here, once, and of each way to match it is kept what a match has:
one of the rule's words, and a run of so many letters without a space or a bracket between them.

Example:
    python tools/suspicion_words.py
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from re import _constants as c  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from prodigy_git.record.suspicion import SEPARATORS
from prodigy_git.redaction.gate import _rules
from prodigy_git.redaction.own_rules import RULES

TARGET = Path(__file__).parents[1] / "prodigy_git" / "record" / "suspicion_words.py"
BY_HAND = {
    "private-key", "named", "option", "curl-user", "curl-auth-user", "url-password", "url-user",
    "url-query", "authorization", "cookie", "netrc", "password-hash", "basic-auth-of-a-registry",
    "discord-bot-token", "mysql-password", "login", "pgpass", "user-password", "said",
    "element", "value-of-a-name",
}  # fmt: skip
"""Rules that `suspicion` asks for with code of its own: their words are in many lines, or are none."""
SHORTEST_WITHIN = 12
"""Letters of a run from which on it tells more that the word is in it."""
STEPS = (0, 9, 12, 14, 18, 20, 22, 24, 26, 30, 32, 36, 40, 59)
"""Sizes that runs are told apart by: fewer groups are asked sooner."""
_ANY, _PERHAPS_MORE, _BEGIN, _BREAK = "\x01", "\x00", "\x02", " "
_MOST, _FEW = 20_000, 5
"""Ways of an expression, and letters of a class that make a way each: ``gh[pousr]_``."""


def ways(parsed: Any) -> list[str]:
    """Return each way in which a parsed expression can match, at its shortest.

    A letter stands for itself, `_ANY` for one that belongs to a run, `_PERHAPS_MORE` for any number of
    these, `_BREAK` for what may end a run, `_BEGIN` for a place with no ASCII letter or digit before.
    Raises `ValueError` for what is not known here.
    """
    out = [""]
    for kind, what in parsed:
        if (kind is c.AT and what is c.AT_BOUNDARY) or (
            kind is c.ASSERT_NOT and what[0] < 0 and what[1] and _has_words(what[1][0])
        ):
            here = [_BEGIN]
        elif kind in (c.AT, c.ASSERT, c.ASSERT_NOT):
            continue  # takes no room
        elif kind is c.LITERAL:
            here = [_BREAK if chr(what) in SEPARATORS or chr(what).isspace() else chr(what)]
        elif kind is c.IN:
            of_runs = all(map(_is_of_runs, what))
            named = of_runs and len(what) <= _FEW and all(part[0] is c.LITERAL for part in what)
            here = [chr(part[1]) for part in what] if named else [_ANY if of_runs else _BREAK]
        elif kind in (c.ANY, c.NOT_LITERAL):
            here = [_BREAK]
        elif kind is c.SUBPATTERN:
            here = ways(what[3])
        elif kind is c.BRANCH:
            here = [way for branch in what[1] for way in ways(branch)]
        elif kind in (c.MAX_REPEAT, c.MIN_REPEAT):
            here = _repeated(what[0], what[1], ways(what[2]))
        else:
            raise ValueError(f"not known: {kind}")
        out = [before + way for before in out for way in dict.fromkeys(here)]
        if len(out) > _MOST:
            raise ValueError("too many ways")
    return list(dict.fromkeys(out))


def _has_words(part: Any) -> bool:
    """Whether a class of letters has all that a word is of."""
    return part[0] is c.IN and (c.CATEGORY, c.CATEGORY_WORD) in part[1]


def _is_of_runs(part: Any) -> bool:
    """Whether a part of a class of letters has only what belongs to a run."""
    kind, what = part
    if kind is c.LITERAL:
        return chr(what) not in SEPARATORS and not chr(what).isspace()
    if kind is c.RANGE:
        return not any(
            chr(n) in SEPARATORS or chr(n).isspace() for n in range(what[0], what[1] + 1)
        )
    return kind is c.CATEGORY and what in (c.CATEGORY_WORD, c.CATEGORY_DIGIT)


def _repeated(least: int, most: int, inner: list[str]) -> list[str]:
    whole = all(_BREAK not in way for way in inner)
    more = "" if least == most else _PERHAPS_MORE if whole else _BREAK
    if len(inner) == 1:
        return [inner[0] * least + more]
    if least == most == 1:
        return inner
    if not whole:
        return [_BREAK]
    return [_ANY * (least * min(map(_size, inner))) + _PERHAPS_MORE]


def _size(run: str) -> int:
    return len(run.replace(_PERHAPS_MORE, "").replace(_BEGIN, ""))


def _marks(run: str, words: tuple[str, ...]) -> tuple[str, bool] | None:
    """Return the longest text that ``run`` has for sure with one of ``words`` in it, if there is one.

    And whether no letter is before it, so that it begins a word.
    """
    pieces = run.replace(_PERHAPS_MORE, _ANY).split(_ANY)
    found = [
        (len(piece.replace(_BEGIN, "")), piece) for piece in pieces
        if any(word in piece.replace(_BEGIN, "") for word in words)
    ]  # fmt: skip
    if not found:
        return None
    piece = max(found)[1]
    return piece.replace(_BEGIN, ""), piece.startswith(_BEGIN)


def tables() -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Return the texts that a run begins with, or a word in it; those that are in one; words that are
    anywhere: each with the least size of the run.
    """
    opening: dict[str, int] = {}
    within: dict[str, int] = {}
    beside: dict[str, int] = {}
    for rule in _rules():
        if rule.name in BY_HAND:
            continue
        for way in ways(_parser.parse(rule.pattern)):
            runs = way.lower().split(_BREAK)
            size = _step(max(map(_size, runs)))
            marked = [(_size(run), mark) for run in runs if (mark := _marks(run, rule.words))]
            inner, (text, begins) = max(marked, default=(0, ("", False)))
            if inner >= SHORTEST_WITHIN and _step(inner) == size:
                table = opening if begins else within
                table[text] = min(size, table.get(text, size))
                continue
            for word in rule.words:
                beside[word] = min(size, beside.get(word, size))
    return opening, within, beside


def _step(size: int) -> int:
    """Return the greatest of `STEPS` that is not above ``size``."""
    return max(step for step in STEPS if step <= size)


def _rows(words: dict[str, int]) -> str:
    """Return the words by size, as source."""
    out = ""
    for size in sorted(set(words.values())):
        of_size = [f'"{word}",' for word in sorted(words) if words[word] == size]
        lines = textwrap.fill(" ".join(of_size), 92, break_on_hyphens=False, break_long_words=False)
        out += f"    ({size}, (\n{textwrap.indent(lines, ' ' * 8)}\n    )),\n"
    return out


def source() -> str:
    """Return the text of the module."""
    opening, within, beside = tables()
    return f'''"""Words that things have which look like secrets, with how long a run they have: made by
tools/suspicion_words.py from the rules of the redaction.
"""

from __future__ import annotations

OPENING: tuple[tuple[int, tuple[str, ...]], ...] = (
{_rows(opening)})  # fmt: skip
"""How many letters a run has at least in which one of these begins a word."""

WITHIN: tuple[tuple[int, tuple[str, ...]], ...] = (
{_rows(within)})  # fmt: skip
"""How many letters a run has at least in which one of these is, wherever."""

BESIDE: tuple[tuple[int, tuple[str, ...]], ...] = (
{_rows(beside)})  # fmt: skip
"""How many letters some run of a text has at least that has one of the words, wherever."""
'''


if __name__ == "__main__":
    TARGET.write_text(source())
    print(f"{TARGET.name}: from {len(_rules())} rules, {len(RULES)} of them ours")
