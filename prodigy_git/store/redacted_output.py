"""A command's output on its way to a log: whole lines, without what looks like a secret.

A secret may come in pieces, so a line is looked at when it is whole. What is long in coming, a prompt,
goes on by itself (`Redacted.pause`). The gate is asked about few lines (`telling_words`).
"""

import re
import time
from collections.abc import Callable, Mapping

from prodigy_git.redaction.gate import redact, secret_values
from prodigy_git.store.telling_words import TellingWords

PAUSE = 0.5
"""Seconds for which the begin of a line is kept back; then it is a prompt, for which somebody waits."""
_LONGEST = 1 << 16
"""Bytes of a line that are kept back; of a longer one so much is a line."""
_OVERLAP = 4096
"""Bytes of these that stay back all the same: where it is cut a secret may be, if it is no binary."""
_KEY_LINES = 400
_PROMPTS = b":>?$#%])!"
_WORD = 3
"""Bytes of a last word that are no secret, whatever follows."""


class Redacted:
    """Takes a stream's pieces, and gives what of them is fit to be kept to ``write``."""

    def __init__(self, write: Callable[[bytes], None], env: Mapping[str, str]) -> None:
        """Begin with nothing; ``env`` is the environment of the program, whose secrets are known."""
        self._write = write
        self._env = env
        self._values = [value.encode(errors="surrogateescape") for _, value in secret_values(env)]
        self._words = TellingWords()
        self._held = b""
        self._shown = b""  # what of the held line has gone on
        self._in_key = 0  # lines of a private key that may still come
        self._last = 0.0

    @property
    def waits(self) -> bool:
        """Whether something is kept back that `pause` has not looked at."""
        return bool(self._held) and self._last > 0

    def add(self, data: bytes) -> None:
        """Take a piece."""
        if not data:
            return
        self._last = time.monotonic()
        held = self._held + data
        end = max(held.rfind(b"\n"), held.rfind(b"\r")) + 1
        if len(held) - end > _LONGEST:
            end = _cut(held)
        if end:
            self._pass_on(held[:end])
        self._held = held[end:]

    def pause(self) -> None:
        """Let a prompt go on, if nothing has come for a while: no secret has begun in it."""
        if not self._held or time.monotonic() - self._last < PAUSE:
            return
        self._last = 0.0
        line = self._shown + self._held
        space = max(line.rfind(b" "), line.rfind(b"\t")) + 1
        whole = len(line) - space <= _WORD or line[-1:] in _PROMPTS
        part = self._held if whole else self._held[: max(0, space - len(self._shown))]
        if part and not self._in_key and self._clean(self._shown + part) == self._shown + part:
            self._write(part)
            self._shown += part
            self._held = self._held[len(part) :]

    def close(self) -> None:
        """Let all go on that there is."""
        held, self._held = self._held, b""
        if held:
            self._pass_on(held)

    def _pass_on(self, lines: bytes) -> None:
        shown, self._shown = self._shown, b""
        # What a prompt asked for tells what the answer is. A secret that begins within it, by three
        # letters at most, ends here all the same.
        clean = self._clean(shown + lines)
        self._write(clean[_alike(shown, clean) :])

    def _clean(self, block: bytes) -> bytes:
        if self._in_key:
            block = self._behind_key(block)
        if any(value in block for value in self._values):
            block = _redacted(block, self._env)
        if b"PRIVATE KEY" in block and b"-----BEGIN" in block:
            return self._without_key(block)
        spans = self._words.lines(block)
        if not spans:
            return block
        out, at = [], 0
        for start, end in spans:
            out += [block[at:start], _redacted(block[start:end], None)]
            at = end
        return b"".join([*out, block[at:]])

    def _without_key(self, block: bytes) -> bytes:
        begin = block.rfind(b"-----BEGIN")
        clean = _redacted(block, None)
        if b"-----END" not in block[begin:] and clean.endswith(b"[redacted: private-key]"):
            self._in_key = _KEY_LINES  # what follows is for `_behind_key`
            clean += b"\n"
        return clean

    def _behind_key(self, block: bytes) -> bytes:
        """Leave out the rest of a private key whose begin is taken out."""
        at = 0
        while self._in_key and at < len(block):
            end = block.find(b"\n", at) + 1 or len(block)
            line = block[at:end]
            last = line.find(b"-----END")
            if last >= 0:
                self._in_key = 0
                mark = line.find(b"-----", last + 8)
                return (line[mark + 5 :].lstrip(b"\r\n") if mark >= 0 else b"") + block[end:]
            if not _KEY_LINE.fullmatch(line):
                self._in_key = 0
                break
            self._in_key -= 1
            at = end
        return block[at:]


_KEY_LINE = re.compile(
    rb"(?:[^\n]*\s)?[A-Za-z0-9+/]{40,}={0,2}\s*|\s*[A-Za-z0-9+/]*={0,2}\s*"
    rb"|(?:Proc-Type|DEK-Info|Comment|Version|Hash): [^\n]*\s*"
)
"""A line of base64, perhaps with what a program that passes it on puts before it; a header."""


def _alike(one: bytes, other: bytes) -> int:
    """Return with how many bytes both begin."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _redacted(block: bytes, env: Mapping[str, str] | None) -> bytes:
    # Bytes that are no UTF-8 come through as they are.
    text = block.decode("utf-8", "surrogateescape")
    return redact(text, env).encode("utf-8", "surrogateescape")


def _cut(held: bytes) -> int:
    """Return where a line without an end is cut: where no secret is, if there is such a place."""
    nothing = held.rfind(b"\0")
    if nothing >= _LONGEST - _OVERLAP:
        return nothing + 1
    space = max(held.rfind(b" "), held.rfind(b","), held.rfind(b";"))
    return space + 1 if space >= _LONGEST - _OVERLAP else len(held) - _OVERLAP
