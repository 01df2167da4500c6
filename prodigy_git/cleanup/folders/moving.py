"""Moving a folder so that a kill at any moment leaves it whole in one place, and that is told apart.

Within one filesystem that is rename(2). Across:

1. a copy beside the target            ``.prodigy-{hash}.copying``, compared with the source
2. the source is set aside             ``.prodigy-{hash}`` beside it: it vanishes at once, whole
3. compared once more                  it may have been written to meanwhile; else back to the start
4. the copy gets the target's name
5. what was set aside is deleted

overlayfs does not let a folder of its lower layer be renamed, not even within the folder that it is in
(EXDEV, as between filesystems); a copy of it can be. There, instead of 2 to 5: a file in the source
marks it; the copy is called ``.prodigy-{hash}.whole``; what has changed in the source since is copied
too; the source is deleted, the mark last; the copy gets the target's name.

The hash is of names, not of whole paths: it stays when store or repository is moved meanwhile.
"""

import contextlib
import errno
import os
import stat

from prodigy_git.cleanup.folders import mounts, trees
from prodigy_git.cleanup.folders.erasing import erase
from prodigy_git.errors import ProdigyError
from prodigy_git.record import files, within


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
    for mount in mounts.points(source):
        raise ProdigyError(f"{mount} is a mount point: 'umount {mount}', then try again")
    copy, whole, aside = _names(source, target)
    try:
        _copy(source, copy)
        _check(source, copy)
        if _can_rename(source, aside):
            _check(aside, copy)
        else:
            _mark(source, aside)
            rename(copy, whole)
    except BaseException as error:
        if settle(source, target):
            return target
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            raise ProdigyError(
                f"a path in {source} is longer than the system takes, so that it cannot be copied "
                "to another filesystem: it stays where it is"
            ) from None
        raise
    settle(source, target)
    return target


def move_file(source: str, target: str) -> None:
    """Move a file whose lock the caller holds, durably, also to another filesystem.

    A kill leaves it whole, perhaps in both places. Raises `OSError`, also where ``target`` is there.
    """
    try:
        rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy, _, _ = _names(source, target)
        _copy(source, copy)
        _check(source, copy)
        rename(copy, target)
        os.unlink(source)
        files.sync_folder(os.path.dirname(source))


def to_trash(store: str, source: str, target: str) -> None:
    """Move a file of the store to its trash as `move_file` does; not through links (`within`)."""
    within.refuse_links(store, source)
    within.make_folder(store, os.path.dirname(target))
    move_file(source, target)


def settle(source: str, target: str) -> bool:
    """Finish or take back a move that was killed; return whether all of it is at ``target`` now.

    Raises `ProdigyError` where what is needed for either is in the way.
    """
    copy, whole, aside = _names(source, target)
    if os.path.lexists(whole):
        _drain(source, os.path.basename(aside), whole)
        if os.path.lexists(target):
            raise ProdigyError(
                f"{target} is taken by something else: move that away, {whole} belongs there"
            )
        rename(whole, target)
        return True
    if not os.path.lexists(aside):
        _unmark(source, os.path.basename(aside), copy)
        remove(copy)
        return os.path.lexists(target)
    if not os.path.lexists(copy):
        if not os.path.lexists(target):
            raise ProdigyError(
                f"{target} was moved or its disk is not mounted: bring it back; what it was copied "
                f"from is {aside}"
            )
    elif os.path.lexists(target) or trees.difference(aside, copy) is not None:
        if os.path.lexists(source):
            raise ProdigyError(
                f"{aside} belongs at {source}, where something else is: move it away"
            )
        rename(aside, source)
        remove(copy)
        return False
    else:
        rename(copy, target)
    remove(aside)
    files.sync_folder(os.path.dirname(aside))
    return True


def remove(path: str) -> None:
    """Delete what is ours at ``path``, mounts not. Raises `ProdigyError` where something is left."""
    folder, name = os.path.split(path)
    # `erase` follows no link; the folder may be reached by one.
    for left in erase(f"{os.path.realpath(folder)}/{name}"):
        if left.cause == "mount":
            # Whoever deletes the folder that it is in deletes what is mounted there.
            raise ProdigyError(
                f"{left}: 'umount {left.path}', the next command then deletes {path}"
            )
        raise ProdigyError(f"{path} cannot be deleted, the next command tries again ({left})")


def overwrite(path: str, text: str, *, like: str, through: str) -> None:
    """Replace a file of git's, durably, with the permissions that ``like`` has.

    ``through`` is a name beside it that nobody else has. Raises `OSError`.
    """
    mode = stat.S_IMODE(os.stat(like).st_mode)
    descriptor = os.open(through, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        files.write_all(descriptor, os.fsencode(text))
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(through, path)
    files.sync_folder(os.path.dirname(path))


def _names(source: str, target: str) -> tuple[str, str, str]:
    """Return the names of a copy under way and of a whole one, beside the target, and beside the source
    the one under which it waits for its deletion: nobody else's, and the same at each asking."""
    named = "/".join((*source.split("/")[-2:], "", *target.split("/")[-2:]))
    name = f".prodigy-{files.sha1_hex(os.fsencode(named))[:16]}"
    beside = os.path.dirname(target)
    return (
        f"{beside}/{name}.copying",
        f"{beside}/{name}.whole",
        f"{os.path.dirname(source)}/{name}",
    )


def _can_rename(source: str, aside: str) -> bool:
    try:
        rename(source, aside)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _copy(source: str, target: str) -> None:
    remove(target)
    trees.copy(source, target)
    files.sync_folder(os.path.dirname(target))


def _check(source: str, copy: str) -> None:
    different = trees.difference(source, copy)
    if different is not None:
        raise ProdigyError(
            f"{different} was changed while it was copied: try again when it is at rest"
        )


def _mark(source: str, aside: str) -> None:
    os.close(os.open(f"{source}/{os.path.basename(aside)}", os.O_WRONLY | os.O_CREAT, 0o600))
    files.sync_folder(source)


def _unmark(source: str, mark: str, copy: str) -> None:
    """Take a mark away again; the folder's time is as the copy has it."""
    if os.path.lexists(f"{source}/{mark}"):
        os.unlink(f"{source}/{mark}")
        with contextlib.suppress(OSError):
            about = os.lstat(copy)
            os.utime(source, ns=(about.st_atime_ns, about.st_mtime_ns))


def _drain(source: str, mark: str, whole: str) -> None:
    """Delete a source that is copied, after what has changed in it since has been copied, too.

    Without the mark it is gone, and what is there now is somebody else's.
    """
    if os.path.lexists(f"{source}/{mark}"):
        _bring_up_to_date(source, mark, whole)
        for name in os.listdir(source):
            if name != mark:
                remove(f"{source}/{name}")
        os.unlink(f"{source}/{mark}")
    with contextlib.suppress(OSError):  # gone, or somebody else's
        os.rmdir(source)
        files.sync_folder(os.path.dirname(source))


def _bring_up_to_date(source: str, mark: str, copy: str) -> None:
    waiting = [f"/{name}" for name in os.listdir(source) if name != mark]
    while waiting:
        inside = waiting.pop()
        one, other = f"{source}{inside}", f"{copy}{inside}"
        # Not its mode, which an earlier, killed deletion may have changed.
        if trees.is_folder(one) and trees.is_folder(other):
            waiting += [f"{inside}/{name}" for name in os.listdir(one)]
        elif trees.is_folder(one) or not trees.same(one, other):
            remove(other)
            trees.copy(one, other)
