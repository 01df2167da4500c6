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

TYPE_CHECKING = False
if TYPE_CHECKING:
    import io

PATIENCE = 5.0
"""How many seconds a lock is waited for, where the caller does not say."""
LONGEST_WAIT = float("inf")
"""How many seconds any lock is waited for in this process, at most, whatever the caller says."""
ROOT = os.geteuid() == 0
"""Whether root runs this: asked once, a hook of an ordinary user pays nothing more."""

LARGEST = 1 << 28
"""How many bytes `read` takes in at most, where the caller does not say: a quarter of a GiB. No
document of the store is near that; a file with a hole in it may claim any size."""

LARGEST_OF_GIT = 1 << 32
"""The same for what git itself reads as a whole: the index and the packed refs."""

# NONBLOCK: opening a FIFO waits for its other end, for ever. On a regular file it does nothing.
# NOCTTY: a terminal must not become a hook's controlling one.
_DOOR = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_REGULAR = 0o100000
_KINDS = {
    0o010000: "a FIFO",
    0o020000: "a character device",
    0o040000: "a folder",
    0o060000: "a block device",
    0o140000: "a socket",
}


class Busy(OSError):
    """A lock was not to be had before the deadline."""


class Unusable(OSError):
    """A file or folder is not what it has to be: ``filename`` and ``strerror`` are one sentence."""

    def __str__(self) -> str:
        """Return that sentence."""
        return f"{self.filename} {self.strerror}"


class NotRegular(Unusable):
    """What should be a file is something else; ``strerror`` says what, ``filename`` where."""


class TooLarge(Unusable):
    """A file holds more than is ever read of its kind."""


class Damaged(ValueError):
    """What a file holds is not what it has to be; the text names the file."""


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


def open_regular(path: str, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """Open a regular file without ever waiting, and return its descriptor, which children do not get.

    The one door to what others may have put in a place of ours or of git's: a FIFO there would hang
    whoever opens it, a device would be written to. Raises `NotRegular` for both, for a socket and a
    folder; `FileNotFoundError` also for a name that no file can have; `OSError` as open(2) does.
    """
    return opened(path, flags, mode)[0]


def opened(
    path: str, flags: int = os.O_RDONLY, mode: int = 0o600, *, folder: int | None = None
) -> tuple[int, os.stat_result]:
    """Do what `open_regular` does, and return with the descriptor what fstat(2) said of it.

    ``folder`` is an open one that a relative ``path`` begins in.
    """
    try:
        descriptor = os.open(path, flags | _DOOR, mode, dir_fd=folder)
    except ValueError:  # a NUL, or a character that no file name has
        raise FileNotFoundError(errno.ENOENT, "no file can have such a name", path) from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            what = "is a link" if flags & os.O_NOFOLLOW else "is a link that leads in a circle"
            raise NotRegular(errno.ELOOP, f"{what}, not a file", path) from None
        if error.errno == errno.ENXIO:  # for writing, and nobody reads; or a socket
            raise NotRegular(errno.ENXIO, "is a FIFO or a socket, not a file", path) from None
        if error.errno == errno.EISDIR:
            raise NotRegular(errno.EISDIR, "is a folder, not a file", path) from None
        raise
    about = os.fstat(descriptor)
    if about.st_mode & 0o170000 != _REGULAR:
        os.close(descriptor)
        kind = _KINDS.get(about.st_mode & 0o170000, "something else")
        code = errno.EISDIR if kind == "a folder" else errno.EINVAL
        raise NotRegular(code, f"is {kind}, not a file", path)
    return descriptor, about


def stream(path: str) -> io.BufferedReader:
    """Open a regular file for reading, as `open_regular` does, and return it as a stream of bytes."""
    return open(open_regular(path), "rb")


def solid(path: str) -> io.BufferedReader:
    """Open a file as `stream` does; `TooLarge` where it has a hole: nobody who writes it makes one.

    A damaged file of a few blocks may claim gigabytes, which would all be read (lseek(2), SEEK_HOLE).
    """
    descriptor, about = opened(path)
    try:
        hole = os.lseek(descriptor, 0, os.SEEK_HOLE)
        os.lseek(descriptor, 0, os.SEEK_SET)
    except OSError:  # it is empty, or its filesystem cannot tell
        hole = about.st_size
    if hole < about.st_size:
        os.close(descriptor)
        raise TooLarge(errno.EFBIG, "has a hole: restore it", path)
    return open(descriptor, "rb")


MAKES = True
"""Whether folders are made that are missing. A recorder in the background makes none: what is missing
then has just been deleted, and should not come back."""


def make_private(folder: str, mode: int = 0o700) -> None:
    """Create ``folder`` and what is missing above it, readable by the owner only.

    With ``mode`` as that says, less the umask: git's own folders are not private. What root makes
    belongs to the owner of the folder above.
    """
    missing = []
    if not MAKES and not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "is gone", folder)
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
    """Open a file for writing, made where it is missing, as `open_regular` does. Raises `OSError`.

    Never through a link in its place (`NotRegular`): what that leads to is not ours to write to. What
    root makes in somebody's folder belongs to that folder's owner: it would shut the owner out of the
    own store from then on.
    """
    flags |= os.O_CREAT | os.O_NOFOLLOW
    if not ROOT:
        return open_regular(path, flags, mode)
    folder, name = os.path.split(path)
    above = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        owner = os.fstat(above)
        descriptor, found = opened(name, flags, mode, folder=above)
        if owner.st_uid != 0:
            _give(descriptor, owner, found)
        return descriptor
    except OSError as error:
        error.filename = path  # not the name alone
        raise
    finally:
        os.close(above)


def create_anew(path: str, flags: int, mode: int = 0o600) -> int:
    """Open a new file in the place of whatever has this name, which was only ever meant for a while.

    The caller holds the lock that guards it. What a killed writer left is not written over: by a
    link, or a second name, that could be anybody's. Makes folders that are missing. Raises `OSError`.
    """
    try:
        return create(path, flags | os.O_EXCL, mode)
    except FileExistsError:
        os.unlink(path)
    except FileNotFoundError:
        make_private(os.path.dirname(path))
    return create(path, flags | os.O_EXCL, mode)


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
            _give(descriptor, owner, os.fstat(descriptor))
        finally:
            os.close(descriptor)


def _give(descriptor: int, owner: os.stat_result, found: os.stat_result) -> None:
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
    patience = min(patience, LONGEST_WAIT)
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
        descriptor = open_regular(path)
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


def read(path: str, most: int = LARGEST) -> bytes:
    """Return a file's contents. Raises `TooLarge` for more than ``most`` bytes, `OSError`."""
    descriptor, about = opened(path)
    try:
        if about.st_size > most:
            raise TooLarge(
                errno.EFBIG, f"is larger than the {most} bytes that are read of it", path
            )
        # For files below /proc the kernel sets aside as much as is asked for: 1 MiB costs 0.1 ms.
        size = about.st_size
        parts = [os.read(descriptor, size + 1 if 0 < size < 1 << 16 else 1 << 16)]
        if len(parts[0]) == size:  # nearly always
            return parts[0]
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
    descriptor = create_anew(temporary, os.O_WRONLY)
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except OSError:
        try:
            os.unlink(temporary)  # on a full disk it takes room
        except OSError:
            pass
        raise
    sync_folder(folder)


def sync_folder(folder: str) -> None:
    """Make the names in ``folder`` survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
