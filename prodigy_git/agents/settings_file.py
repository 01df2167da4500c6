"""A settings file of another program: read, and replaced so that at each moment it is whole.

The program, and its user's editor, write it too. So nothing is replaced but what we have read, and a
file that somebody took care to make unwritable stays as it is.
"""

import contextlib
import dataclasses
import errno
import os
import stat
from collections.abc import Sequence

from prodigy_git.errors import ProdigyError
from prodigy_git.record import files, ownership

_LARGEST = 16 << 20  # bytes


class Changed(Exception):
    """Somebody else has written the file since it was read: begin again."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """A settings file as it was read: ``path`` as named, ``target`` behind its links.

    ``content`` is None where nothing is there.
    """

    path: str
    target: str
    content: bytes | None

    def text(self) -> str:
        """Return the content as text, empty where nothing is there. Raises `ProdigyError`."""
        try:
            return (self.content or b"").decode("utf-8")
        except UnicodeDecodeError as error:
            raise ProdigyError(
                f"{self.path} is not UTF-8 (at byte {error.start}), and was left alone: mend it"
            ) from None


def look(path: str) -> Seen:
    """Return what is at a path, through links. Raises `ProdigyError` where that is no readable file."""
    target = os.path.realpath(path)
    try:
        return Seen(path, target, files.read(target, _LARGEST))
    except FileNotFoundError:
        if os.path.lexists(target):
            raise ProdigyError(f"{path} is a link that leads in a circle: mend it") from None
        return Seen(path, target, None)
    except files.Unusable as error:
        raise ProdigyError(f"{path} {error.strerror}; it was left alone: move it away") from None
    except OSError as error:
        raise ProdigyError(f"{path} cannot be read ({error.strerror}); it was left alone") from None


def missing_folders(seen: Seen) -> tuple[str, ...]:
    """Return the folders that have to be made for a file, the deepest first. Raises `ProdigyError`."""
    missing = []
    folder = os.path.dirname(seen.target)
    if os.path.islink(seen.path) and not os.path.isdir(folder):
        raise ProdigyError(f"{seen.path} is a link that leads nowhere: mend it, or remove it")
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    return tuple(missing)


def has_other_name(seen: Seen) -> bool:
    """Whether a file has another name, a hard link, under which it will not be replaced."""
    try:
        return os.stat(seen.target).st_nlink > 1
    except OSError:
        return False


def sweep(path: str) -> None:
    """Remove what a process that was killed as it wrote has left beside a file; never raises."""
    with contextlib.suppress(OSError):
        os.unlink(_temporary(os.path.realpath(path)))


def replace(seen: Seen, content: bytes) -> None:
    """Put new content in the place of what was seen.

    Mode, owner and extended attributes stay. Raises `Changed`; `ProdigyError` where it may not, or
    cannot, be done: then nothing has changed.
    """
    about = None
    if seen.content is not None:
        about = _may_be_replaced(seen)
    made = _make_folders(seen)
    temporary = _temporary(seen.target)
    try:
        descriptor = files.create_anew(temporary, os.O_WRONLY, 0o600)
        try:
            files.write_all(descriptor, content)
            _dress(descriptor, seen.target, about)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if look(seen.path) != seen:
            raise Changed
        os.rename(temporary, seen.target)
    except OSError as error:
        _undo(temporary, made)
        raise ProdigyError(
            f"{seen.path} cannot be written ({error.strerror}); nothing was changed"
            f"{_remedy(error, seen.target)}"
        ) from None
    except BaseException:
        _undo(temporary, made)
        raise
    with contextlib.suppress(
        OSError
    ):  # it is there; a folder that cannot be synced changes nothing
        files.sync_folder(os.path.dirname(seen.target))


def remove(seen: Seen, folders: Sequence[str]) -> None:
    """Delete a file that we made, and the folders that we made for it where they are empty.

    Raises as `replace`.
    """
    _may_be_replaced(seen)
    if look(seen.path) != seen:
        raise Changed
    try:
        os.unlink(seen.target)
    except OSError as error:
        raise ProdigyError(
            f"{seen.path} cannot be removed ({error.strerror}){_remedy(error, seen.target)}"
        ) from None
    remove_folders(folders)


def _temporary(target: str) -> str:
    folder, name = os.path.split(target)
    return f"{folder}/.{name}.prodigy-git"


def _may_be_replaced(seen: Seen) -> os.stat_result:
    """Return what stat(2) says of a file. Raises `ProdigyError` where it is not ours to change."""
    try:
        about = os.stat(seen.target)
    except FileNotFoundError:
        raise Changed from None
    why = ""
    if not files.ROOT and about.st_uid != os.geteuid():
        why, remedy = "belongs to another user", "call it as that user"
    elif os.statvfs(seen.target).f_flag & os.ST_RDONLY:
        why, remedy = "is on a read-only filesystem", "call it where that can be written"
    # Whoever owns a folder can replace a file in it that is read-only. Nobody means that by it.
    elif not about.st_mode & 0o222 or not os.access(seen.target, os.W_OK):
        why, remedy = "is read-only", "make it writable first"
    if why and os.path.islink(seen.path):
        # As home-manager has it, which links into a store that nobody may write.
        why = f"is a link to {seen.target}, which {why}"
        remedy = "change it where that file is made"
    if why:
        raise ProdigyError(f"{seen.path} {why}, and was left alone: {remedy}")
    return about


def _remedy(error: OSError, path: str) -> str:
    """Return what to do where a file could not be put in its place; empty where nobody knows."""
    if error.errno == errno.EBUSY:  # rename(2), of what a container has for itself
        return ": it is mounted by itself, call it where it is mounted from"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        folder = os.path.dirname(path)
        while not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        return f": make {folder} writable first"
    return ""


def _dress(descriptor: int, target: str, about: os.stat_result | None) -> None:
    """Give a new file the mode, owner and extended attributes of the one it stands in for."""
    if about is None:
        mask = os.umask(0)
        os.umask(mask)
        os.fchmod(descriptor, 0o666 & ~mask)
        return
    now = os.fstat(descriptor)
    if (now.st_uid, now.st_gid) != (about.st_uid, about.st_gid):
        try:
            os.fchown(descriptor, about.st_uid, about.st_gid)
        except PermissionError:
            # A group that its owner has left: the file keeps what it can.
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, about.st_uid, -1)
    os.fchmod(descriptor, stat.S_IMODE(about.st_mode))
    if hasattr(os, "listxattr"):
        with contextlib.suppress(OSError):
            for name in os.listxattr(target):
                with contextlib.suppress(OSError):  # the kernel's own, as security.selinux
                    os.setxattr(descriptor, name, os.getxattr(target, name))


def _make_folders(seen: Seen) -> list[str]:
    """Make the folders above a file; return those that were made, the deepest first."""
    made: list[str] = []
    try:
        for one in reversed(missing_folders(seen)):
            os.mkdir(one)
            made.insert(0, one)
            ownership.hand_over(one)
    except OSError as error:
        remove_folders(made)
        raise ProdigyError(
            f"{seen.path} cannot be made ({error.strerror}); nothing was changed"
            f"{_remedy(error, seen.target)}"
        ) from None
    return made


def _undo(temporary: str, made: list[str]) -> None:
    with contextlib.suppress(OSError):
        os.unlink(temporary)
    remove_folders(made)


def remove_folders(folders: Sequence[str]) -> None:
    """Remove folders, the deepest first, up to one in which something is."""
    with contextlib.suppress(OSError):
        for folder in folders:
            os.rmdir(folder)
