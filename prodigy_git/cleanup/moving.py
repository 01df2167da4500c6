"""Moving a folder so that a kill at any moment leaves it whole in one place, and that is told apart.

Within one filesystem that is rename(2). Across: a copy beside the target (``{target}.copying``),
verified; the source set aside under a name of its own (it vanishes at once, whole); verified again,
since it may have been written to meanwhile; the copy given its name; what was set aside deleted.
"""

import contextlib
import errno
import os
import shutil
import stat

from prodigy_git.cleanup.erasing import erase
from prodigy_git.errors import ProdigyError
from prodigy_git.record import files


def rename(source: str, target: str) -> None:
    """Rename, durably. Raises `OSError`; also where ``target`` is an empty folder."""
    # rename(2) would replace an empty folder, which may be somebody's new worktree.
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
    os.rename(source, target)
    for folder in {os.path.dirname(source), os.path.dirname(target)}:
        files.sync_folder(folder)


def move(source: str, *targets: str) -> str:
    """Move ``source`` to the first of ``targets`` on its filesystem; else copy it to the first.

    Return the path that it has then. Raises `OSError` or `ProdigyError`; then it is where it was,
    except after a kill or trouble within `settle`'s reach.
    """
    for target in targets:
        files.make_private(os.path.dirname(target))
        try:
            rename(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        else:
            return target
    target = targets[0]
    try:
        _copy(source, f"{target}.copying")
        _check(source, f"{target}.copying")
        rename(source, _aside(source, target))
        _check(_aside(source, target), f"{target}.copying")
    except BaseException:
        if settle(source, target):
            return target
        raise
    settle(source, target)
    return target


def settle(source: str, target: str) -> bool:
    """Finish or take back a move that was killed; return whether all of it is at ``target`` now.

    Raises `ProdigyError` where what is needed for either is in the way.
    """
    copy, aside = f"{target}.copying", _aside(source, target)
    if not os.path.lexists(aside):
        _erase(copy)
        return os.path.lexists(target)
    if os.path.lexists(copy) and _difference(aside, copy) is None:
        rename(copy, target)
    if os.path.lexists(target) and _difference(aside, target) is None:
        _erase(aside)
        files.sync_folder(os.path.dirname(aside))
        return True
    if os.path.lexists(source):
        raise ProdigyError(f"{aside} belongs at {source}, where something else is: move that away")
    rename(aside, source)
    _erase(copy)
    return False


def _aside(source: str, target: str) -> str:
    """Return the name under which ``source`` waits for its deletion, beside where it was."""
    folder, name = os.path.split(source)
    return f"{folder}/.prodigy-{files.sha1_hex(os.fsencode(f'{name}/{target}'))[:16]}"


def _erase(path: str) -> None:
    for left in erase(path):
        raise ProdigyError(f"{left}: delete {path} by hand")


def _copy(source: str, target: str) -> None:
    """Copy a tree durably: contents, links, hard links, modes, owners, times, attributes."""
    _erase(target)
    first: dict[tuple[int, int], str] = {}
    _copy_one(source, target, first)
    files.sync_folder(os.path.dirname(target))


def _copy_one(source: str, target: str, first: dict[tuple[int, int], str]) -> None:
    about = os.lstat(source)
    kind = stat.S_IFMT(about.st_mode)
    if about.st_nlink > 1 and kind != stat.S_IFDIR:
        earlier = first.setdefault((about.st_dev, about.st_ino), target)
        if earlier != target:
            os.link(earlier, target, follow_symlinks=False)
            return
    if kind == stat.S_IFDIR:
        os.mkdir(target, 0o700)
        for name in os.listdir(source):
            _copy_one(f"{source}/{name}", f"{target}/{name}", first)
    elif kind == stat.S_IFLNK:
        os.symlink(os.readlink(source), target)
    elif kind == stat.S_IFREG:
        shutil.copyfile(source, target)
    else:
        os.mknod(target, about.st_mode, about.st_rdev)
    with contextlib.suppress(PermissionError):
        os.chown(target, about.st_uid, about.st_gid, follow_symlinks=False)
    shutil.copystat(source, target, follow_symlinks=False)
    if kind in (stat.S_IFDIR, stat.S_IFREG):
        _sync(target)


def _sync(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        return  # a file that its owner cannot read: the copy could only be made by root
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check(source: str, copy: str) -> None:
    different = _difference(source, copy)
    if different is not None:
        raise ProdigyError(
            f"{different} was changed while it was copied: try again when it is at rest"
        )


def _difference(source: str, copy: str) -> str | None:
    """Return the first path below ``source`` that ``copy`` does not hold equally; None: it has all."""
    about = os.lstat(source)
    try:
        there = os.lstat(copy)
    except FileNotFoundError:
        return source
    kind = stat.S_IFMT(about.st_mode)
    if about.st_mode != there.st_mode:
        return source
    if kind == stat.S_IFDIR:
        for name in os.listdir(source):
            different = _difference(f"{source}/{name}", f"{copy}/{name}")
            if different is not None:
                return different
        return None
    if kind == stat.S_IFLNK:
        return None if os.readlink(source) == os.readlink(copy) else source
    if kind == stat.S_IFREG and not _same_bytes(source, copy):
        return source
    return None


def _same_bytes(one: str, other: str) -> bool:
    with open(one, "rb") as first, open(other, "rb") as second:
        while True:
            part = first.read(1 << 20)
            if part != second.read(1 << 20):
                return False
            if not part:
                return True
