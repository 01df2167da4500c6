"""Copying many files at once into a new worktree: cheaply, as they are, and over nothing that is there.

As reflinks where the filesystem has them (ioctl_ficlone(2)), else within the kernel
(copy_file_range(2)), by as many threads as there are processors: nearly all of the time is the
kernel's. Modes, times, owners, attributes, holes, links and hard links are as they were. Both sides are
entered folder by folder, without following links (`measuring.Way`): a branch may have a link where the
main worktree has a folder, and the copy would be written where it leads.

A file that vanishes, changes or cannot be read is passed over, or said to have changed: programs may be
at work in the main worktree. A full disk ends all; whoever called takes the worktree back.
"""

import contextlib
import errno
import fcntl
import os
import stat
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from prodigy_git import holes
from prodigy_git.record import files
from prodigy_git.setup.measuring import Folder, Way

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_CLONE = 0x40049409  # FICLONE, ``_IOW(0x94, 9, int)``
_PIECE = 32 << 20  # bytes between two looks whether to stop
_AT_ONCE = 16  # folders that a thread takes from the list, near each other: it stays on its way
_AT_A_STROKE = 64 << 10  # bytes; what is smaller is copied by one call, and not looked at again
_IN_TURN = 0.1  # seconds between two reports of progress

# What ends it all: each further file would fail, too, or the copy cannot be relied upon.
_FATAL = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
)
_NO_CLONES = frozenset((errno.EOPNOTSUPP, errno.EXDEV, errno.ENOTTY, errno.ENOSYS))
_NO_RANGE = frozenset(
    (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF)
)


@dataclass
class Copied:
    """What came of it: how many files there were (links too), and what was passed over, by path."""

    files: int = 0
    bytes: int = 0
    passed_over: dict[str, str] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)


class _Work:
    """What the threads share; a list's append and pop need no lock."""

    def __init__(self, source: str, target: str, folders: Sequence[Folder], threads: int) -> None:
        self.source = source
        self.target = target
        # Taken from the end, so in the order of the list.
        self.left = [folders[at : at + _AT_ONCE] for at in range(0, len(folders), _AT_ONCE)][::-1]
        self.made: list[str] = []
        self.done = [Copied() for _ in range(threads)]
        self.failed: list[BaseException] = []
        self.stop = threading.Event()
        self.clones = hasattr(os, "copy_file_range")  # as good a sign of Linux as any
        self.ranges = self.clones
        self.modes = _whole_modes(target)


def _whole_modes(target: str) -> int:
    """Return which bits of a mode a new file below ``target`` gets as they are asked for."""
    with contextlib.suppress(OSError, AttributeError):
        # Then the umask counts for nothing, and the list for more (acl(5)).
        if "system.posix_acl_default" in os.listxattr(target):
            return 0
    return 0o777 & ~umask()


def umask() -> int:
    """Return the umask of this process."""
    now = os.umask(0o077)
    os.umask(now)
    return now


def copy(
    source: str,
    target: str,
    folders: Sequence[Folder],
    same: dict[str, str],
    progress: Callable[[int], None],
) -> Copied:
    """Copy files and links from below one folder to the same places below another.

    ``same`` maps further names of a file to its first. ``progress`` is called with the bytes that are
    copied, a few times a second. Raises `OSError` for what stops all (a full disk); interrupted, it
    ends at once. Either way all that was made is left to the caller to remove.
    """
    threads = max(
        1, min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, 8)
    )
    work = _Work(source, target, folders, threads)
    running = [
        threading.Thread(target=_run, args=(work, copied), daemon=True) for copied in work.done
    ]
    try:
        for one in running:
            one.start()
        for one in running:
            while one.is_alive():
                one.join(_IN_TURN)
                progress(sum(copied.bytes for copied in work.done))
    finally:  # also where a signal interrupts the waiting: nobody may write into what is taken back
        work.stop.set()
        for one in running:
            if one.ident is not None:
                one.join()
    if work.failed:
        raise work.failed[0]
    whole = Copied()
    for copied in work.done:
        whole.files += copied.files
        whole.bytes += copied.bytes
        whole.passed_over |= copied.passed_over
        whole.changed += copied.changed
    _link_again(work, same, whole)
    _finish(work)
    return whole


def _run(work: _Work, copied: Copied) -> None:
    """Copy what is left, until nothing is; what a thread of many does."""
    try:
        source, target = Way(work.source), Way(work.target, work.made.append)
        try:
            while not work.stop.is_set():
                try:
                    some = work.left.pop()
                except IndexError:
                    return
                for folder in some:
                    _copy_folder(work, copied, folder, source, target)
        finally:
            source.close()
            target.close()
    except BaseException as error:
        work.failed.append(error)
        work.stop.set()


def _copy_folder(work: _Work, copied: Copied, folder: Folder, source: Way, target: Way) -> None:
    try:
        one, other = source.to(folder.path), target.to(folder.path)
    except OSError as error:
        _pass_over(copied, folder.path or ".", error)
        return
    for name in folder.files:
        if work.stop.is_set():
            return
        try:
            _copy_file(work, copied, folder.path, name, one, other)
        except OSError as error:
            _pass_over(copied, _joined(folder.path, name), error)
    for name in folder.links:
        try:
            _copy_link(name, one, other)
            copied.files += 1
        except OSError as error:
            _pass_over(copied, _joined(folder.path, name), error)


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _pass_over(copied: Copied, path: str, error: OSError) -> None:
    """Note why something is not copied; raise what stops all the others, too."""
    if error.errno in _FATAL:
        raise error
    if error.errno == errno.EEXIST:
        return  # nothing that is there is written over: that is no trouble
    if error.errno == errno.ENOENT:
        copied.passed_over[path] = "has vanished"
    elif error.errno in (errno.ELOOP, errno.ENOTDIR):
        copied.passed_over[path] = "a link, or a file, is in the way"
    else:
        copied.passed_over[path] = str(error.strerror)


def _copy_file(work: _Work, copied: Copied, folder: str, name: str, one: int, other: int) -> None:
    # NONBLOCK: should it be a pipe by now, nobody is waited for.
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=one)
    try:
        about = os.fstat(source)
        if not stat.S_ISREG(about.st_mode):
            raise FileNotFoundError(errno.ENOENT, "is no file any more", name)
        mode = stat.S_IMODE(about.st_mode)
        # With its own mode at once, where nothing takes bits from that: chmod(2) is not free.
        plain = mode == mode & work.modes
        target = os.open(name, _NEW, mode if plain else 0o600, dir_fd=other)
        try:
            if about.st_size:
                _copy_contents(work, copied, source, target, about)
            _finish_one(source, target, about, has_mode=plain)
        finally:
            os.close(target)
        copied.files += 1
        if about.st_size < _AT_A_STROKE:
            return
        now = os.fstat(source)
        if (now.st_size, now.st_mtime_ns) != (about.st_size, about.st_mtime_ns):
            copied.changed.append(_joined(folder, name))
    finally:
        os.close(source)


def _copy_contents(
    work: _Work, copied: Copied, source: int, target: int, about: os.stat_result
) -> None:
    if work.clones:
        try:
            fcntl.ioctl(target, _CLONE, source)
        except OSError as error:
            if error.errno in _FATAL:
                raise
            # EINVAL and others are about this file alone.
            work.clones = error.errno not in _NO_CLONES
        else:
            copied.bytes += about.st_size
            return
    for at, end in holes.data(source):
        if at:
            os.lseek(target, at, os.SEEK_SET)
        while at < end and not work.stop.is_set():
            size = min(_PIECE, end - at)
            went = _copy_piece(work, source, target, at, size)
            if not went:
                break  # it has become shorter
            at += went
            copied.bytes += went
    if about.st_blocks * 512 < about.st_size:
        os.ftruncate(target, about.st_size)  # the hole at its end


def _copy_piece(work: _Work, source: int, target: int, at: int, size: int) -> int:
    """Copy bytes to where the target stands, which moves on; return how many went, 0 at the end."""
    if work.ranges:
        try:
            went = os.copy_file_range(source, target, size, at)
            if went:
                return went
            # Some filesystems, and files of the kernel's, say 0 instead of refusing.
        except OSError as error:
            if error.errno not in _NO_RANGE:
                raise
            work.ranges = error.errno == errno.EINVAL
    piece = os.pread(source, min(size, 1 << 20), at)
    files.write_all(target, piece)
    return len(piece)


def _finish_one(source: int, target: int, about: os.stat_result, *, has_mode: bool = False) -> None:
    """Give what was copied the owner, attributes, mode and times of what it was copied from."""
    if files.ROOT and (about.st_uid or about.st_gid):
        with contextlib.suppress(OSError):  # an owner that this user namespace does not know
            os.fchown(target, about.st_uid, about.st_gid)
    if hasattr(os, "listxattr"):
        try:
            names = os.listxattr(source)
        except OSError:
            names = []  # the filesystem has none
        for name in names:
            with contextlib.suppress(OSError):  # of a kind that only root may set, or none there
                os.setxattr(target, name, os.getxattr(source, name))
    if not has_mode:
        os.fchmod(target, stat.S_IMODE(about.st_mode))
    os.utime(target, ns=(about.st_atime_ns, about.st_mtime_ns))


def _copy_link(name: str, one: int, other: int) -> None:
    about = os.stat(name, dir_fd=one, follow_symlinks=False)
    os.symlink(os.readlink(name, dir_fd=one), name, dir_fd=other)
    if files.ROOT and (about.st_uid or about.st_gid):
        with contextlib.suppress(OSError):
            os.chown(name, about.st_uid, about.st_gid, dir_fd=other, follow_symlinks=False)
    os.utime(name, ns=(about.st_atime_ns, about.st_mtime_ns), dir_fd=other, follow_symlinks=False)


def _link_again(work: _Work, same: dict[str, str], copied: Copied) -> None:
    """Give files that had several names in the main worktree the same ones here."""
    source, target = Way(work.source), Way(work.target, work.made.append)
    first = Way(work.target)
    try:
        for path, earlier in same.items():
            folder, _, name = path.rpartition("/")
            there, _, first_name = earlier.rpartition("/")
            try:
                about = os.stat(
                    earlier.rpartition("/")[2], dir_fd=source.to(there), follow_symlinks=False
                )
                made = os.stat(first_name, dir_fd=first.to(there), follow_symlinks=False)
                # What was there before, or has been changed by somebody, is not what we copied.
                if (made.st_mtime_ns, made.st_size) != (about.st_mtime_ns, about.st_size):
                    raise FileNotFoundError(errno.ENOENT, "is another file", earlier)
                os.link(first_name, name, src_dir_fd=first.to(there), dst_dir_fd=target.to(folder),
                        follow_symlinks=False)  # fmt: skip
                copied.files += 1
            except FileExistsError:
                continue
            except OSError as error:
                if error.errno in _FATAL:
                    raise
                alone = Folder(folder, [name])
                _copy_folder(work, copied, alone, source, target)
    finally:
        for one in (source, target, first):
            one.close()


def make_removable(top: str) -> None:
    """Let the owner of folders write in them, and enter them; never raises `OSError`."""
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        with contextlib.suppress(OSError):
            if stat.S_IMODE(os.lstat(folder).st_mode) & 0o700 != 0o700:
                os.chmod(folder, 0o700)
            with os.scandir(folder) as found:
                waiting += [one.path for one in found if one.is_dir(follow_symlinks=False)]


def _finish(work: _Work) -> None:
    """Give the folders that were made mode and times, the deepest first: each changes the one above."""
    source, target = Way(work.source), Way(work.target)
    try:
        for path in sorted(work.made, key=lambda one: one.split("/"), reverse=True):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                one, other = source.to(path), target.to(path)
                _finish_one(one, other, os.fstat(one))
    finally:
        source.close()
        target.close()
