"""Compressing a log file to ``.jsonl.gz`` beside it, so that no reader misses or doubles an event.

What is killed in between leaves the original, alone or with an archive that repeats it, which readers
pass over (`prodigy_git.record.archived`).
"""

import contextlib
import hashlib
import os
import zlib
from collections.abc import Iterator

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.record import archived, clock, files, locks

LEVEL = 6
"""zlib's level. Measured with 100 MB of commit events: 1 takes 0.4 s and leaves 17 MB, 6 takes 1.0 s
and leaves 14 MB, 9 takes 2.5 s and leaves 13 MB: the rest is SHAs and ids, which hardly compress."""
_PIECE = 1 << 20
_LARGEST = 1 << 32  # what the length at the end of a gzip file can tell


def compress(store: str, repo: str, job: str, path: str, size: int, newest: int) -> int | None:
    """Put an archive in the place of a log file; return its bytes, None where the file has changed.

    ``size`` is the file's size when it was read, ``newest`` its newest event then, in microseconds
    since 1970. The caller holds the job's lock (`locked.job`), so that nobody else archives; the log's
    lock is taken for the last step only, since writers wait for it. Raises `ProdigyError` or `OSError`,
    and the original is there.
    """
    temporary = _temporary(path)
    try:
        with files.stream(path) as original:
            before = os.fstat(original.fileno())
            if before.st_size >= _LARGEST:
                raise ProdigyError(f"{path} is larger than 4 GiB, so it is kept: split it by hand")
            packed = _write(temporary, original.fileno(), -(-newest // clock.SECOND))
        lock = locks.take(layout.log_lock(store, repo, job))
        try:
            now = os.stat(path)
            if (now.st_ino, now.st_size) != (before.st_ino, size):
                return None
            drop_copy(path)
            if os.path.lexists(f"{path}{archived.ENDING}"):
                raise ProdigyError(
                    f"{path}{archived.ENDING} is there and holds other events: rename one of the two"
                )
            os.rename(temporary, f"{path}{archived.ENDING}")
            files.sync_folder(os.path.dirname(path))
            os.unlink(path)
            files.sync_folder(os.path.dirname(path))
        finally:
            os.close(lock)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    return packed


def drop_copy(path: str) -> None:
    """Remove the archive that repeats a log file that is still there; the caller holds a lock."""
    if archived.is_copy(path):
        os.unlink(f"{path}{archived.ENDING}")


def drop_torn(folder: str) -> None:
    """Remove what a kill has left of archives being made; the caller holds the job's lock."""
    for name in os.listdir(folder):
        if name.startswith(".") and name.endswith(f"{archived.ENDING}.new"):
            os.unlink(f"{folder}/{name}")


def _temporary(path: str) -> str:
    folder, name = os.path.split(path)
    return f"{folder}/.{name}{archived.ENDING}.new"


def _write(path: str, source: int, seconds: int) -> int:
    """Compress what ``source`` holds into a new file, durably; read it back and compare."""
    descriptor = files.create(path, os.O_RDWR | os.O_TRUNC)
    try:
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        checksum, length = 0, 0
        wanted = hashlib.sha256()
        files.write_all(descriptor, _header(seconds))
        for piece in _pieces(source):
            checksum = zlib.crc32(piece, checksum)
            length += len(piece)
            wanted.update(piece)
            files.write_all(descriptor, packer.compress(piece))
        files.write_all(descriptor, packer.flush())
        files.write_all(descriptor, checksum.to_bytes(4, "little") + length.to_bytes(4, "little"))
        os.fsync(descriptor)
        os.lseek(descriptor, 0, os.SEEK_SET)
        if _unpacked(descriptor) != (length, wanted.digest()):
            raise ProdigyError(f"{path} does not read back as it was written: is the disk sound?")
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def _header(seconds: int) -> bytes:
    # Written here, since gzip.open would put the temporary file's name and today into it.
    return (
        b"\x1f\x8b\x08\x00" + min(max(seconds, 1), _LARGEST - 1).to_bytes(4, "little") + b"\x00\xff"
    )


def _pieces(descriptor: int) -> Iterator[bytes]:
    while piece := os.read(descriptor, _PIECE):
        yield piece


def _unpacked(descriptor: int) -> tuple[int, bytes]:
    """Return the length and the SHA-256 of what a gzip file holds."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS + 16)
    length, digest = 0, hashlib.sha256()
    for packed in _pieces(descriptor):
        while packed:  # in bounded pieces: what repeats itself unpacks to a thousand times as much
            piece = unpacker.decompress(packed, _PIECE)
            packed = unpacker.unconsumed_tail
            length += len(piece)
            digest.update(piece)
    return (length, digest.digest()) if unpacker.eof else (-1, b"")
