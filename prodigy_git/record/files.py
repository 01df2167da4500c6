"""Locks and files of the store: `flock` with a deadline, private modes, atomic replacement."""

from __future__ import annotations

import fcntl
import os
import time

try:
    # hashlib brings OpenSSL with it, which takes two milliseconds to load.
    from _sha1 import sha1  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from hashlib import sha1

PATIENCE = 5.0
"""How many seconds a lock is waited for, where the caller does not say."""


class Busy(OSError):
    """A lock was not to be had before the deadline."""


def sha1_hex(data: bytes) -> str:
    """Return the SHA-1 of ``data`` in hex: an identity, not a protection."""
    digest: str = sha1(data, usedforsecurity=False).hexdigest()
    return digest


def same(one: str, other: str) -> bool:
    """Whether two paths lead to one file or folder: told by device and inode, not by their texts."""
    if one == other:
        return True
    try:
        first, second = os.stat(one), os.stat(other)
    except (OSError, ValueError):
        return False
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)


def make_private(folder: str) -> None:
    """Create ``folder`` and what is missing above it, readable by the owner only."""
    missing = []
    while True:
        try:
            os.mkdir(folder, 0o700)
            break
        except FileExistsError:
            break
        except FileNotFoundError:
            missing.append(folder)
            folder = os.path.dirname(folder)
    for one in reversed(missing):
        try:
            os.mkdir(one, 0o700)
        except FileExistsError:
            continue


def lock(path: str, patience: float = PATIENCE) -> int:
    """Take the exclusive lock ``path`` and return its descriptor; `os.close` gives it back.

    Waits at most ``patience`` seconds, then raises `Busy`. The file is created where it is missing
    and never removed: whoever unlinked it would let two holders in (see flock(2)). The descriptor is
    not inherited by child processes, which would hold the lock on after the holder's death.
    """
    descriptor = _open_lock(path)
    deadline = time.monotonic() + patience
    pause = 0.0002
    while True:
        try:
            # Polling, because the one way to bound a blocking flock is a signal, and the caller may
            # be a thread. Locks here are held for about a tenth of a millisecond.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise Busy(11, f"busy for {patience:g} seconds", path) from None
            time.sleep(pause)
            pause = min(pause * 1.5, 0.01)
        except BaseException:
            os.close(descriptor)
            raise
        else:
            return descriptor


def _open_lock(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        make_private(os.path.dirname(path))
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def read(path: str) -> bytes:
    """Return a file's contents. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        parts = []
        # For files below /proc the kernel sets aside as much as is asked for: 1 MiB costs 0.1 ms.
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data``. Raises `OSError`; some of it may then be written."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def replace(path: str, data: bytes) -> None:
    """Replace the file ``path`` by one that holds ``data``, durably; no reader sees half of it.

    The caller holds the lock that guards ``path``: the temporary file has a fixed name, so that a
    writer that was killed leaves at most one behind, which the next one overwrites. Raises `OSError`.
    """
    folder, name = os.path.split(path)
    temporary = f"{folder}/.{name}.new"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except FileNotFoundError:
        make_private(folder)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(temporary, path)
    sync_folder(folder)


def sync_folder(folder: str) -> None:
    """Make the names in ``folder`` survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
