"""Log files that are read a block at a time, perhaps thousands of them at once, with few descriptors.

A job on a hub has files of each of its hosts, and in a merge they all overlap in time. A process may
have 1,024 descriptors open, or fewer. So beyond some files, a plain one is closed behind each block
and opened again for the next; what is in an archive goes into one temporary file, which all of them
share.
"""

import os
import threading
import zlib
from types import TracebackType
from typing import IO, Protocol

from prodigy_git.record import archived, files

_MOST = 64
"""Files that stay open between two blocks."""
_PIECE = 1 << 20
_guard = threading.Lock()
_open = 0


class Text(Protocol):
    """What is read of a log file."""

    closed: bool

    def seek(self, at: int, /) -> object:
        """Go to an offset of the text."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, up to so many. Raises as reading does."""

    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> object:
        """Return itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None, /,
    ) -> object:  # fmt: skip
        """Close it."""


class _Few:
    """A file that is open while few are; else it is opened for each block."""

    def __init__(self, stream: IO[bytes], path: str, plain: bool) -> None:
        self._path, self._plain = path, plain
        self._stream: IO[bytes] | None = stream
        self._at = 0
        self._spooled: tuple[IO[bytes], int, int, BaseException | None] | None = None
        self._stays = _taken()
        self.closed = False

    def seek(self, at: int) -> None:
        self._at = at
        if self._stream is not None:
            self._stream.seek(at)

    def read(self, size: int) -> bytes:
        if not self._stays and not self._plain:
            return self._read_spooled(size)
        if self._stream is None:
            try:
                self._stream = files.stream(self._path)
            except FileNotFoundError:  # archived since
                self._stream, self._plain = _unpacked(self._path), False
                return self._read_spooled(size)
            self._stream.seek(self._at)
        # Of an archive, `read` returns nothing of a block in which it is damaged.
        read = self._stream.read if self._plain else self._stream.read1  # type: ignore[attr-defined]
        data: bytes = read(size)
        self._at += len(data)
        if not self._stays:
            self._stream.close()
            self._stream = None
        return data

    def _read_spooled(self, size: int) -> bytes:
        if self._spooled is None:
            assert self._stream is not None
            self._stream.seek(self._at)
            self._spooled = _spooled(self._stream)
            self._stream.close()
            self._stream = None
        spool, at, end, error = self._spooled
        if at == end and error is not None:
            raise error
        data = os.pread(spool.fileno(), min(size, end - at), at)
        self._spooled = spool, at + len(data), end, error
        return data

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            if self._spooled is not None:
                _let_go()
                self._spooled = None
            if self._stays:
                _given_back()
            if self._stream is not None:
                self._stream.close()

    def __enter__(self) -> "_Few":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def of(stream: IO[bytes], path: str, *, plain: bool) -> Text:
    """Return what reads an open log file ``stream``, plain or an archive; it is closed with that.

    ``path`` is where a plain one is opened again. An archive's `read` returns what there is before it
    is damaged.
    """
    return _Few(stream, path, plain)


def _taken() -> bool:
    global _open
    with _guard:
        if _open >= _MOST:
            return False
        _open += 1
        return True


def _given_back() -> None:
    global _open
    with _guard:
        _open -= 1


def _unpacked(path: str) -> IO[bytes]:
    return archived.stream(f"{path}{archived.ENDING}")  # type: ignore[return-value]


_spool: list[IO[bytes]] = []
_readers = 0


def _let_go() -> None:
    """Empty the spool once nobody reads it any more."""
    global _readers
    with _guard:
        _readers -= 1
        if not _readers:
            _spool[0].truncate(0)


def _spooled(stream: IO[bytes]) -> tuple[IO[bytes], int, int, BaseException | None]:
    """Put the rest of an archive's text into the spool; return where, and what ended it."""
    global _readers
    with _guard:
        _readers += 1
        if not _spool:
            import tempfile  # few stores have so many logs

            _spool.append(tempfile.TemporaryFile())  # noqa: SIM115  # as long as the process
        spool = _spool[0]
        begin = end = spool.seek(0, os.SEEK_END)
        try:
            while data := stream.read1(_PIECE):  # type: ignore[attr-defined]
                spool.write(data)
                end += len(data)
            error = None
        except (OSError, EOFError, zlib.error) as fault:
            error = fault
        spool.flush()
    return spool, begin, end, error
