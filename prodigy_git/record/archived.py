"""Log files that clean-up has compressed: ``events-….jsonl.gz`` in the place of ``events-….jsonl``.

Positions in a log name the file as it was before, and count its bytes; an archive has the same ones.
An archive is never appended to, and no file is given a name again that one stands for. The gzip
header's time is the newest event's, rounded up to the second.

Who archives gives the archive its name and then unlinks the original. Killed in between, both are
there: an archive that repeats the beginning of its original is no log of its own.
"""

from __future__ import annotations

import gzip
import os
import zlib

from prodigy_git.record import clock, files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ENDING = ".gz"
_PIECE = 1 << 20


def is_copy(path: str) -> bool:
    """Whether the archive of the log file ``path`` repeats what ``path`` begins with.

    False where either is missing or cannot be read.
    """
    try:
        with files.stream(f"{path}{ENDING}") as packed:
            # Checksum and length of what was compressed stand at the end of a gzip file.
            packed.seek(-8, os.SEEK_END)
            trailer = packed.read(8)
        wanted = int.from_bytes(trailer[:4], "little")
        left = int.from_bytes(trailer[4:], "little")
        checksum = 0
        with files.stream(path) as original:
            while left and (piece := original.read(min(left, _PIECE))):
                checksum = zlib.crc32(piece, checksum)
                left -= len(piece)
    except OSError:
        return False
    return left == 0 and checksum == wanted


def newest(path: str) -> int | None:
    """Return a moment not before an archive's newest event; None where its header has none."""
    with files.stream(path) as stream:
        header = stream.read(8)
    seconds = int.from_bytes(header[4:8], "little") if header[:2] == b"\x1f\x8b" else 0
    return seconds * clock.SECOND or None


def length(path: str) -> int:
    """Return how many bytes an archive's text has, as its end says. Raises `OSError`."""
    with files.stream(path) as packed:
        packed.seek(-4, os.SEEK_END)
        return int.from_bytes(packed.read(4), "little")


def stream(path: str) -> gzip.GzipFile:
    """Open an archive's text for reading, as `files.stream` does a file. Raises `OSError`."""
    packed = files.solid(path)  # `gzip` passes zeros over one by one
    text = gzip.GzipFile(fileobj=packed, mode="rb")
    text.myfileobj = packed  # type: ignore[assignment]  # what it closes with itself
    return text


def lines(path: str, start: int) -> Iterator[bytes]:
    """Yield the lines of an archive from an offset of the original on, up to where it is damaged."""
    try:
        with stream(path) as text:
            text.seek(start)
            yield from text
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return  # what follows is lost; what is recorded once more for it is not
