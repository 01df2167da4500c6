"""A transcript as the store may have it: without what looks like a secret, all else as it is."""

from collections.abc import Iterator
from typing import IO

from prodigy_git.record import jsonline, redacting

_WHOLE = 1 << 26
"""Bytes of a line, or of a transcript that is one JSON value, that are looked at as such."""


def pieces(stream: IO[bytes], size: int, store: str, repo: str) -> Iterator[bytes]:
    """Yield the first ``size`` bytes of a transcript, line by line, mended where that is needed.

    A line of JSON is looked at in its texts, since an escape may hide what a rule looks for, and stays
    JSON. What is more than a line, as the chats of Gemini CLI, is JSON as a whole. What is no JSON is
    looked at as text.
    """
    first = stream.readline(min(_WHOLE, size))
    if _mended(first, store, repo) is None and size <= _WHOLE:
        whole = first + stream.read(size - len(first))
        mended = _mended(whole, store, repo)
        if mended is not None:
            yield mended
            return
        lines = iter(whole.splitlines(keepends=True))
    else:
        lines = _lines(first, stream, size)
    for line in lines:
        mended = _mended(line, store, repo)
        yield _as_text(line, store, repo) if mended is None else mended


def _lines(first: bytes, stream: IO[bytes], size: int) -> Iterator[bytes]:
    line = first
    while line:
        yield line
        size -= len(line)
        line = stream.readline(min(_WHOLE, size))


def _mended(data: bytes, store: str, repo: str) -> bytes | None:
    """Return JSON without secrets, as it was if there are none; None for what is no JSON."""
    try:
        value = jsonline.decode(data.decode("utf-8"))
        mended = redacting.value(store, repo, value)
        return data if mended is value else jsonline.line(mended)
    except (ValueError, RecursionError):
        return None


def _as_text(data: bytes, store: str, repo: str) -> bytes:
    text = data.decode("utf-8", "surrogateescape")
    return redacting.text(store, repo, text).encode("utf-8", "surrogateescape")
