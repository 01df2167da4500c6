"""Files of the store: regular ones only, private modes, atomic replacement."""

from __future__ import annotations

import errno
import os

try:
    # hashlib brings OpenSSL with it, which takes two milliseconds to load.
    from _sha1 import sha1  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from hashlib import sha1

TYPE_CHECKING = False
if TYPE_CHECKING:
    import io

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
    missing: list[str] = []
    made: list[str] = []
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
            made.append(folder)
            break
    for one in reversed(missing):
        try:
            os.mkdir(one, mode)
        except FileExistsError:
            continue  # somebody else has been quicker
        made.append(one)
    if ROOT and made:
        from prodigy_git.record import ownership

        for one in made:
            ownership.hand_over(one)


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
            from prodigy_git.record import ownership  # a store is rarely another's than root's

            ownership.give_open(descriptor, owner, found)
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
    put(path, data, through=f"{folder}/.{name}.new", durably=True)
    sync_folder(folder)


def put(path: str, data: bytes, *, through: str, durably: bool = False) -> None:
    """Put a file that holds ``data`` in the place of ``path`` at once, by way of a temporary one.

    Not synced, unless ``durably``: then what the file holds is, and its name is not. Raises `OSError`.
    """
    write_new(through, data, durably=durably)
    try:
        os.rename(through, path)
    except OSError:
        os.unlink(through)
        raise


def put_if_missing(path: str, data: bytes, *, through: str, durably: bool = False) -> bool:
    """Do what `put` does where nothing is at ``path`` (link(2)); return False where something is."""
    write_new(through, data, durably=durably)
    try:
        os.link(through, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(through)
    return True


def write_new(path: str, data: bytes, *, durably: bool = False) -> None:
    """Write a file that is only meant for a while, as `create_anew` makes it, whole or not at all.

    Raises `OSError`.
    """
    descriptor = create_anew(path, os.O_WRONLY)
    try:
        try:
            write_all(descriptor, data)
            if durably:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        try:
            os.unlink(path)  # on a full disk it takes room
        except OSError:
            pass
        raise


def sync_folder(folder: str) -> None:
    """Make the names in ``folder`` survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
