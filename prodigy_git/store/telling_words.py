"""Which lines of a program's output the gate is to be asked about: told by their words, at its pace.

A program prints faster than two hundred regular expressions are asked, or than `suspicion` asks line
by line. But most of its words it has printed before. Each is looked at once; and of the lines that have
one which may tell of a secret, only those are left in which what is around it fits.
"""

import re
from bisect import bisect_right

from prodigy_git.record.suspicion import OF_KEYS, SEPARATORS, opens, suspicious
from prodigy_git.record.suspicion_words import BESIDE, OPENING, WITHIN

_LOWER = bytes(code | 0x20 if 65 <= code <= 90 else code for code in range(256))
_SPACED = bytes(
    code if 32 < code < 127 and chr(code) not in SEPARATORS else 32 for code in _LOWER
)  # fmt: skip
"""Bytes that end a word are spaces: all that no token has, and all that is no ASCII."""
_PARTED = bytes(code if chr(code).isalnum() or code == 95 else 32 for code in range(128)) + bytes(
    [32] * 128
)
_HEX = b"0123456789abcdef"
_LEAST = 18
"""Letters of a word that may be a token told by its begin."""
_DISCORD = 59

_SIGN = re.compile(rb"[\w-]{0,24}[\"'`\]\\]{0,3}[ \t]{0,24}[=:]")
_VALUE = rb"[\w.-]{0,24}\\?[\"']\s{0,2},?\s{0,2}\\?[\"']?value"  # {"name": "TOKEN", "value": "..."}
_NAMED = re.compile(
    _SIGN.pattern + rb"|[\w-]{0,24}>|" + _VALUE + rb"|[^\n]{0,80}?[ ][\"'`]?[\w+!%^~.-]{12}"
)
_BESIDE = re.compile(rb"[\w.-]{0,50}[ \t\w.-]{0,20}[ \t\"'\\]{0,4}(?:[=>:,]|\|\||\?=)")
_OPTION = re.compile(rb"\S*(?:[ \t]+-p)?[ \t]{1,3}\S{4}")
_OF_KEYS = tuple(word.encode() for word in OF_KEYS)
_ASKED: dict[bytes, "re.Pattern[bytes] | int"] = {
    **dict.fromkeys((b"pass", b"secret", b"token", b"key"), _NAMED),
    **dict.fromkeys((b"pwd", b"_pw", b"credential"), _SIGN),
    **dict.fromkeys(
        (b"--pass", b"--token", b"--secret", b"--api", b"--auth", b"--access", b"--client", b"sshpass"),
        _OPTION,
    ),
    **dict.fromkeys((b"bearer", b"basic"), re.compile(rb":?[ \t]+\S{8}")),
    b"authorization": re.compile(rb"\\?[\"']?\s{0,3}[:=]"),
    b"cookie": re.compile(rb"[:=]"),
    b"curl": re.compile(rb"[^\n]*[ \t](?:-u|--user)"),
    b"login": re.compile(rb"[ \t]+\S+[ \t]+password[ \t]|[^\n]*[ \t]-p[ ]"),
    **dict.fromkeys((b"mysql", b"mariadb"), re.compile(rb"[^\n]*[ \t]-p")),
    b"auth": re.compile(rb"[\"']?\s*[:=]"),
    b"sk": re.compile(rb"[0-9a-f]{32}"),
    **{
        word.encode(): least for least, words in WITHIN for word in words if word != "sk"
    },
    **{
        word.encode(): _BESIDE if word.replace("-", "").replace("_", "").isalnum() else 0
        for least, words in BESIDE for word in words if not set(word) & set(SEPARATORS)
    },
    b"zxlk": 0,
}  # fmt: skip
"""What is looked for in words, with what has to stand behind it, or how long its word has to be."""
_RARE = (b"_", b"-", b".", b"/", b"")


def _by_rare(words: list[bytes]) -> dict[bytes, list[bytes]]:
    """Return words by a rare letter that they have: what has none of these is soon looked through."""
    return {
        mark: [one for one in words if (mark in one if mark else not set(one) & set(b"_-./"))]
        for mark in _RARE
    }


_ALL = _by_rare(list(_ASKED))
_WITHOUT_SIGN = _by_rare(
    [word for word, behind in _ASKED.items() if behind not in (_SIGN, _BESIDE)]
)
"""Those that count where there is no sign between a name and a value."""
_SIGNS = (b"=", b":", b">", b",", b"|")
_BEGINS = {
    word.encode().translate(_PARTED).split(b" ")[0] for _, words in OPENING for word in words
}
_FIRST = frozenset(word[:3] for word in _BEGINS)
_STARTS = tuple(_BEGINS)
_MARKS = (
    *(word.encode() for _, words in BESIDE for word in words if set(word) & set(SEPARATORS)),
    b":5432:",
    b"sonar.login",
    b"$2",
    b"$5$",
    b"$6$",
    b"$y$",
    b"$apr1$",
    b"$argon2",
)
"""What is within no word."""
_URL = re.compile(rb"://[^\s/@]{1,600}@")
_USER = re.compile(rb":[^\s:@/\"'<>]{12,200}@[\w-]")
_PARAMETER = re.compile(rb"[?&][\w-]{0,30}(?:sig|signature|key|code|auth|token|credential|secret)=")
_ESCAPED = re.compile(rb"%(?:2[02-4679bc]|3[a-f]|5[bd]|7[bd])")
_MOST = 100_000
"""Words that are remembered at once: some megabytes."""


_COLOURS = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")

_END = re.compile(rb"\n")


class TellingWords:
    """The words of a stream that were looked at, and what in them may tell of a secret."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: set[bytes] = set()
        self._inside: set[bytes] = set()
        self._begins: set[bytes] = set()

    def lines(self, block: bytes) -> list[tuple[int, int]]:
        """Return where the lines of ``block`` are that the gate is to be asked about, in order."""
        low = block.translate(_LOWER)
        if b"\x1b[" in low:
            low = _COLOURS.sub(b"", low)  # it has as many lines afterwards
        spaced = low.translate(_SPACED)
        new = set(spaced.split()) - self._known
        if new:
            self._look(new, any(sign in low for sign in _SIGNS))
        places = self._places(low, spaced)
        if not places:
            return []
        ends = [found.end() for found in _END.finditer(low)]
        told = {bisect_right(ends, at) for at in places}
        edges = [0, *(found.end() for found in _END.finditer(block)), len(block)]
        spans = ((edges[number], edges[number + 1]) for number in sorted(told))
        return [
            (start, end) for start, end in spans
            if suspicious(block[start:end].decode("utf-8", "replace"))
        ]  # fmt: skip

    def _look(self, new: set[bytes], signs: bool) -> None:
        """Note what there is in words that were not there before; ``signs``: with signs round them."""
        if len(self._known) > _MOST:
            self._known.clear()
        if signs:  # else they are looked at again, where there are
            self._known |= new
        # Numbers and hashes, of which logs are full, have nothing of what is asked for, but one.
        new = {word for word in new if word.strip(_HEX) or b"4b1d" in word}
        text = b" ".join(new)
        for mark, words in (_ALL if signs else _WITHOUT_SIGN).items():
            if mark in text:
                self._inside.update(word for word in words if word in text)
        for word in new:
            if len(word) >= _LEAST and (
                (
                    any(
                        part[:3] in _FIRST and part.startswith(_STARTS)
                        for part in word.translate(_PARTED).split()
                    )
                    and opens(word.decode())
                )
                or (len(word) >= _DISCORD and word.count(b".") >= 2)
            ):
                self._begins.add(word)

    def _places(self, low: bytes, spaced: bytes) -> set[int]:
        """Return where in a block of small letters there is what may tell of a secret."""
        found: set[int] = set()
        for word in self._inside:
            behind = _ASKED[word]
            at = low.find(word)
            while at >= 0:
                end = at + len(word)
                if isinstance(behind, int):
                    # Its word begins behind a space, and ends before one.
                    size = spaced.find(b" ", end) - spaced.rfind(b" ", 0, at) - 1
                    if size >= behind or size < 0:
                        found.add(at)
                elif behind.match(low, end) and (
                    word != b"key" or low[max(0, at - 14) : at].rstrip(b"_- ").endswith(_OF_KEYS)
                ):
                    found.add(at)
                at = low.find(word, end)
        begins, self._begins = self._begins, set()
        for word in begins:
            at = low.find(word)
            while at >= 0:
                found.add(at)
                at = low.find(word, at + len(word))
            self._known.discard(word)  # to be found again
        for mark in _MARKS:
            at = low.find(mark)
            while at >= 0:
                found.add(at)
                at = low.find(mark, at + 1)
        if b"://" in low and b"@" in low:
            found.update(match.start() for match in _URL.finditer(low))
        if b"@" in low:
            found.update(match.start() for match in _USER.finditer(low))
        if b"%" in low:
            found.update(match.start() for match in _ESCAPED.finditer(low))
        if b"=" in low and (b"?" in low or b"&" in low):
            found.update(match.start() for match in _PARAMETER.finditer(low))
        return found
