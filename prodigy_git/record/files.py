"""Locks and files of the store: `flock` with a deadline, private modes, atomic replacement."""

from __future__ import annotations

import errno
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


ROOT = os.geteuid() == 0
"""Whether root runs this: asked once, a hook of an ordinary user pays nothing more."""


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


def make_private(folder: str, mode: int = 0o700) -> None:
    """Create ``folder`` and what is missing above it, readable by the owner only.

    With ``mode`` as that says, less the umask: git's own folders are not private. What root makes
    belongs to the owner of the folder above.
    """
    missing = []
    while True:
        try:
            os.mkdir(folder, mode)
        except FileExistsError:
            break
        except FileNotFoundError:
            missing.append(folder)
            folder = os.path.dirname(folder)
        else:
            hand_over(folder)
            break
    for one in reversed(missing):
        try:
            os.mkdir(one, mode)
        except FileExistsError:
            continue  # somebody else has been quicker
        hand_over(one)


def create(path: str, flags: int, mode: int = 0o600) -> int:
    """Open a file, made where it is missing, and return its descriptor. Raises `OSError`.

    What root makes in somebody's folder belongs to that folder's owner: it would shut the owner out
    of the own store from then on.
    """
    if not ROOT:
        return os.open(path, flags | os.O_CREAT, mode)
    folder, name = os.path.split(path)
    above = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        owner = os.fstat(above)
        if owner.st_uid == 0:
            return os.open(name, flags | os.O_CREAT, mode, dir_fd=above)
        try:
            # Whose file is given away must be beyond doubt. Through a link it could be any of root's.
            descriptor = os.open(name, flags | os.O_CREAT | os.O_NOFOLLOW, mode, dir_fd=above)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return os.open(name, flags, mode, dir_fd=above)
        _give(descriptor, owner)
        return descriptor
    except OSError as error:
        error.filename = path  # not the name alone
        raise
    finally:
        os.close(above)


def hand_over(path: str) -> None:
    """Give a file or folder that root has made to the owner of the folder above; never raises.

    Nothing happens where that is root too, or where somebody else runs this.
    """
    if not ROOT:
        return
    folder, name = os.path.split(path)
    try:
        above = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        owner = os.fstat(above)
        if owner.st_uid != 0:
            give(above, name, owner)
    except OSError:
        pass
    finally:
        os.close(above)


def give(folder: int, name: str, owner: os.stat_result) -> None:
    """Give what is root's in an open folder to the folder's ``owner``. Raises `OSError`."""
    kind = os.lstat(name, dir_fd=folder).st_mode & 0o170000
    if kind == 0o120000:  # it cannot be opened, and whose it is says nothing of where it leads
        os.chown(name, owner.st_uid, owner.st_gid, dir_fd=folder, follow_symlinks=False)
    elif kind in (0o100000, 0o040000):
        # NONBLOCK: should it be a pipe by now, nobody is waited for.
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        try:
            _give(descriptor, owner)
        finally:
            os.close(descriptor)


def _give(descriptor: int, owner: os.stat_result) -> None:
    found = os.fstat(descriptor)
    # Under a second name it may be a file of root's from elsewhere (link(2)). A folder has none.
    if found.st_uid == 0 and (found.st_nlink == 1 or found.st_mode & 0o170000 == 0o040000):
        try:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        except OSError:
            pass  # in a namespace, where the owner is nobody that can be named


def lock(path: str, patience: float = PATIENCE) -> int:
    """Take the exclusive lock ``path`` and return its descriptor; `os.close` gives it back.

    Waits at most ``patience`` seconds, then raises `Busy`. The file is created where it is missing
    and never removed: whoever unlinked it would let two holders in (see flock(2)). The descriptor is
    not inherited by child processes, which would hold the lock on after the holder's death.
    """
    return _hold(_open_lock(path), path, patience)


def lock_folder(path: str, patience: float = PATIENCE) -> int:
    """Take the lock of the folder ``path`` itself, as `lock` does; nothing is written there.

    On a network filesystem that locks only what is open for writing, nobody is kept out. Raises
    `Busy`, and `OSError` where the folder cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return _hold(descriptor, path, patience)
    except Busy:
        raise
    except OSError:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


def _hold(descriptor: int, path: str, patience: float) -> int:
    """Lock what ``descriptor`` is open on; close it where that fails."""
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


def is_held(path: str) -> bool:
    """Whether another process holds the lock ``path`` now, whichever way it was taken."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        # Shared, and for a moment: whoever wants the lock meanwhile tries again in 10 ms.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _open_lock(path: str) -> int:
    try:
        return create(path, os.O_RDWR)
    except FileNotFoundError:
        make_private(os.path.dirname(path))
        return create(path, os.O_RDWR)


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
        descriptor = create(temporary, os.O_WRONLY | os.O_TRUNC)
    except FileNotFoundError:
        make_private(folder)
        descriptor = create(temporary, os.O_WRONLY | os.O_TRUNC)
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
