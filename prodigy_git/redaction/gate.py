"""The gate that foreign text goes through: what looks like a secret is taken out of it."""

import functools
import json
import os
import re
import string
from collections.abc import Iterable, Iterator, Mapping

from prodigy_git.redaction.own_rules import RULES, Rule, Span, is_word_or_path


def redact(text: str, env: Mapping[str, str] | None = None) -> str:
    """Return ``text`` with ``[redacted: RULE]`` in the place of each thing that looks like a secret.

    ``env`` is the environment of who wrote it: values of variables that are secret by their names are
    taken out, unless they are a word or a path, as ``[redacted: NAME]``. Doing it twice changes nothing
    more. A secret without a name before it or a form of its own (a plain password in a sentence, forty
    letters of base64) is not found, nor one that is cut into lines.
    """
    for name, value in secret_values(env or {}):
        text = text.replace(value, f"{_TAKEN}{name}]")
    found = sorted(_found_within(text) if _COLOUR in text else _found(text))
    if _ESCAPED.search(text):  # an address within another one; else a % is a letter of a password's
        found = sorted([*found, *_found_within(text, _COLOURS_AND_ESCAPES)])
    if not found:
        return text
    out: list[str] = []
    at = 0
    for (start, end), name in found:
        if start < at:  # two rules took the same place: what more there is goes, too
            at = max(at, end)
            continue
        out += [text[at:start], f"{_TAKEN}{name}]"]
        at = end
    return "".join([*out, text[at:]])


def secret_values(env: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return names and values of what an environment says is secret, the longest values first.

    Of a value of several lines, as a private key, each that is long enough is one.
    """
    found = (
        (name, line.strip()) for name, value in env.items()
        if name != _FOLDER and _OF_VARIABLES.search(name)
        for line in value.splitlines()
    )  # fmt: skip
    secret = [one for one in found if len(one[1]) >= _SHORTEST and not is_word_or_path(one[1])]
    return sorted(secret, key=lambda one: -len(one[1]))


_SHORTEST = 8
"""Characters of a variable's value: a shorter one may be any word."""
_OF_VARIABLES = re.compile(
    r"(?i)(?:api_?key|access_?key|private_?key|secret(?:_?key)?|token|passw(?:or)?d|passphrase|credentials?)$"
    r"|(?:^|_)(?:key|auth|pat|pass|pwd)$"
)
_FOLDER = "PWD"
"""Which everybody has: a folder, and in many of the lines that say why."""


def _found(text: str) -> Iterator[tuple[Span, str]]:
    """Yield where the secrets of ``text`` are, and the name of the rule that says so."""
    folded = text.lower()
    if len(folded) != len(text):  # of one letter, the Turkish capital i with a dot, two are made
        folded = text.translate(_FOLDED)
    for rule, words in _asked(folded):
        for start, end in _places(rule, words, text, folded):
            for span in rule.spans(text, start, end):
                if not text.startswith(_TAKEN, span[0]):
                    yield _whole(text, span), rule.name


_COLOUR = "\x1b["
_COLOURS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_COLOURS_AND_ESCAPES = re.compile(rf"{_COLOURS.pattern}|%(?P<code>[2-7][0-9A-Fa-f])")
_ESCAPED = re.compile(r"%(?:2[02-4679BCbc]|3[A-Fa-f]|5[BDbd]|7[BDbd])")
"""What ends a word, as an address has it in a part of its own (RFC 3986, 2.1)."""


def _found_within(text: str, hidden: "re.Pattern[str]" = _COLOURS) -> Iterator[tuple[Span, str]]:
    """Yield as `_found` what is in a text for a terminal, or within an address.

    Its colours are no part of any word, and what is escaped is one letter.
    """
    plain: list[str] = []
    places: list[tuple[int, int]] = []  # where each letter of the plain text is
    at = 0
    for one in hidden.finditer(text):
        plain.append(text[at : one.start()])
        places.extend((n, n + 1) for n in range(at, one.start()))
        at = one.end()
        code = one["code"] if one.re.groups else None
        if code:
            plain.append(chr(int(code, 16)))
            places.append(one.span())
    plain.append(text[at:])
    places.extend((n, n + 1) for n in range(at, len(text)))
    for (start, end), name in _found("".join(plain)):
        yield (places[start][0], places[end - 1][1]), name


def _whole(text: str, span: Span) -> Span:
    """Return where a secret is that is longer than its pattern has room for: it goes to its end."""
    if span[1] - span[0] < _LONG:
        return span
    further = _FURTHER.match(text, span[1])
    return span[0], span[1] if further is None else further.end()


_LONG = 200  # characters
_FURTHER = re.compile(r"[\w+/=%~-]*")


def _asked(folded: str) -> Iterable[tuple[Rule, Iterable[str]]]:
    """Return the rules of which a word may be in a text, and which words these are.

    To look for each word takes most of the time: in a line each run of three letters is looked up.
    """
    if len(folded) > _LINE:
        return ((rule, rule.words) for rule in _rules())
    always, by_begin = _begins()
    words = {number: list(some) for number, some in always.items()}
    for begin in {folded[at : at + _BEGIN] for at in range(len(folded) - _BEGIN + 1)}:
        for number, word in by_begin.get(begin, ()):
            words.setdefault(number, []).append(word)
    rules = _rules()
    return [(rules[number], words[number]) for number in sorted(words)]


_LINE = 2000
"""Letters of a text up to which that is quicker than to look for each word."""
_BEGIN = 3


@functools.cache
def _begins() -> tuple[dict[int, list[str]], dict[str, list[tuple[int, str]]]]:
    """Return the words that are always looked for, by the rule, and the others by their begin."""
    always: dict[int, list[str]] = {}
    by_begin: dict[str, list[tuple[int, str]]] = {}
    for number, rule in enumerate(_rules()):
        if not rule.words:
            always[number] = []
        for word in rule.words:
            if len(word) < _BEGIN:
                always.setdefault(number, []).append(word)
            else:
                by_begin.setdefault(word[:_BEGIN], []).append((number, word))
    return always, by_begin


def _places(rule: Rule, words: Iterable[str], text: str, folded: str) -> Iterator[Span]:
    """Yield the parts of ``text`` that have one of ``words``: the line, or what of it is near.

    Some of the patterns take time by the square of what they are asked of.
    """
    if not rule.words:
        yield 0, len(text)
    for word in words:
        at = folded.find(word)
        while at >= 0:
            end = -1 if rule.has_lines else text.find("\n", at)
            line_end = len(text) if end < 0 else end
            end = min(line_end, at + _AFTER)
            start = max(0 if rule.has_lines else text.rfind("\n", 0, at) + 1, at - _BEFORE, 0)
            yield start, end
            at = folded.find(word, end if end == line_end else end - _OVERLAP)


_BEFORE, _AFTER, _OVERLAP = 300, 24_000, 5_000
"""Characters round a word that are looked at: the longest secret is a private key."""
_TAKEN = "[redacted: "
_FOLDED = {ord(letter): letter.lower() for letter in string.ascii_uppercase}


_ENDS = r"""(?:[\x60'"\s;]|\\[nr]|$)"""
_ENDS_HERE = r"""(?=[\x60'"\s;,&<>(){}\[\]|\\%]|\.?$|\.\s)"""
"""What stands behind a token: in files, which gitleaks looks at, and in what programs print, too."""


@functools.cache
def _rules() -> tuple[Rule, ...]:
    """Return all rules: ours, and those of gitleaks that read a line."""
    with open(os.path.join(os.path.dirname(__file__), "gitleaks_rules.json"), "rb") as stream:
        foreign = json.load(stream)["rules"]
    return (
        *RULES,
        *(Rule(name, tuple(words), pattern.replace(_ENDS, _ENDS_HERE), None, group, least)
          for name, words, pattern, group, least in foreign),
    )  # fmt: skip
