"""Carrying out a restore whose intent is written in its entry; every step can be taken again.

The order is DESIGN's, section 7: the folder, its ``.git``, then everything in the private directory
that must be right before git sees it, the private directory itself, and what tells of it. A kill
before the folder has moved leaves an entry that goes back to the trash, a later one an entry that
goes on (`resume`). ``entry.restoring`` is ``{to, private, whole, log, missing}``: where folder and
private directory go; whether they are what the removal took, all of it; where in the job's log the
event was about to be written; where in the private directory goes what `missing_objects` takes out.
"""

import contextlib
import errno
import os
import stat
from typing import Any

from prodigy_git import layout
from prodigy_git.cleanup.folders import moving, trees
from prodigy_git.cleanup.restore import announcing, heads, missing_objects
from prodigy_git.cleanup.salvage import salvage, unpublished
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.cleanup.trash.entry import Entry
from prodigy_git.cleanup.trash.settling import store_of
from prodigy_git.errors import ProdigyError
from prodigy_git.git import registrations
from prodigy_git.git.ask import git_status, said
from prodigy_git.record import files, ownership
from prodigy_git.store.events import Broken


def resume(found: Entry, broken: Broken) -> str:
    """Finish or take back a restore that was killed; return a line about it.

    The caller holds the repository's lock. Raises `ProdigyError` or `OSError`; it can be tried again.
    """
    if _folder_moved(found):
        target = _intent(found)["to"]
        # Nobody but the document says that this is the folder: it must be one of the repository's.
        if (
            not os.path.lexists(f"{target}/{found.disabled}")
            and registrations.named_by(target) is None
        ):
            raise ProdigyError(
                f"{found.path}/entry.json names a place outside, {target}, which is no worktree: "
                "repair it or move it away"
            )
        for text in carry_out(found, broken):
            broken(text)
        return f"{found.session}: its restore was interrupted and is finished, at {target}"
    take_back(found)
    return f"{found.session}: its restore was interrupted and taken back, {found.path} has it whole"


def take_back(found: Entry) -> None:
    """Make an entry whose folder has not moved ``trashed`` again."""
    found.state = "trashed"
    found.restoring = None
    entries.write(found)
    unpublished.let_go(found.common, found.session, found.moment)


def carry_out(found: Entry, broken: Broken) -> list[str]:
    """Bring a worktree back as ``found.restoring`` says; return in words what is not as it was.

    The caller holds the repository's lock and has written the intent. Raises `ProdigyError` or
    `OSError`; then the worktree is in the trash as before, or `resume` goes on.
    """
    target = _intent(found)["to"]
    if not _folder_moved(found):
        try:
            _move_folder(found)
        except BaseException:
            if not _folder_moved(found):
                take_back(found)
            raise
    _enable(found)
    _settle_private(found)
    notes = []
    if os.path.lexists(found.git):
        notes += missing_objects.move_aside(found, target)
        notes += heads.settle(found)
        _unlock(found)
        notes += _point_back(found)
        notes += _register(found)
    _times(found)
    if found.alone:
        announcing.tell_alone(store_of(found), found, broken)
    else:
        notes += announcing.tell(store_of(found), found, broken)
    _drop_salvage(found)
    notes += _remove_entry(found)
    return notes


def _intent(found: Entry) -> dict[str, Any]:
    if found.restoring is None or not isinstance(found.restoring.get("to"), str):
        raise ProdigyError(f"{found.path}/entry.json does not say what it is restoring: repair it")
    return found.restoring


def _folder_moved(found: Entry) -> bool:
    target = _intent(found)["to"]
    moved = moving.settle(found.folder, target)
    # Where both are there, the target is somebody else's.
    if os.path.lexists(found.folder):
        return False
    if not moved:
        raise ProdigyError(
            f"{found.folder} is missing, and so is {target}: find it and move it to {target}"
        )
    return True


def _move_folder(found: Entry) -> None:
    target = _intent(found)["to"]
    parent = os.path.dirname(target)
    if f"{parent}/".startswith(f"{store_of(found)}/"):
        files.make_private(parent)
    else:
        files.make_private(parent, 0o777)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(target)  # an empty one is in nobody's way
    moving.move(found.folder, target)


def _enable(found: Entry) -> None:
    """Give the folder its ``.git`` again, with the private directory's new path if it has one."""
    plan = _intent(found)
    target, private = plan["to"], plan["private"]
    disabled, enabled = f"{target}/{found.disabled}", f"{target}/.git"
    if not os.path.lexists(disabled):
        return
    if (target, private) == entries.names_in_halves(found):
        os.rename(disabled, enabled)
    else:
        path = os.fsdecode(files.read(disabled).removeprefix(b"gitdir: ").rstrip(b"\r\n"))
        if not os.path.isabs(path):
            private = os.path.relpath(private, target)
        text = f"gitdir: {private}\n"
        moving.overwrite(enabled, text, like=disabled, through=f"{disabled}.new")
        os.unlink(disabled)
    files.sync_folder(target)


def _overwrite(path: str, text: str, like: str) -> None:
    """Replace a file in a private git directory or in a submodule; see `moving.overwrite`."""
    moving.overwrite(path, text, like=like, through=f"{path}.prodigy-new")


def _unlock(found: Entry) -> None:
    """Give the private directory its ``locked`` file as it was before the removal.

    Before git sees it: the folder is in its place, so there is nothing to prune.
    """
    path = f"{found.git}/locked"
    if found.locked is None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return
    data = found.locked.encode("utf-8", "surrogateescape")
    with contextlib.suppress(FileNotFoundError):
        if files.read(path) == data:
            return
    with open(f"{path}.prodigy-new", "wb") as stream:  # git's: with the modes that git gives
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    ownership.hand_over(f"{path}.prodigy-new")
    os.rename(f"{path}.prodigy-new", path)


def _point_back(found: Entry) -> list[str]:
    """Write where the worktree is into the private directory, and into those of its submodules.

    Returns in words what could not be written.
    """
    plan = _intent(found)
    target, private = plan["to"], plan["private"]
    worktree, was_private = entries.names_in_halves(found)
    if (target, private) == (worktree, was_private):
        return []
    path = f"{found.git}/gitdir"
    before = os.fsdecode(files.read(path).rstrip(b"\r\n")) if os.path.exists(path) else "/"
    if not os.path.isabs(before):
        _overwrite(path, os.path.relpath(f"{target}/.git", private) + "\n", like=path)
    elif target != worktree:
        _overwrite(path, f"{target}/.git\n", like=path if before != "/" else found.git)
    notes = []
    for root, folders, names in trees.walk(f"{found.git}/modules"):
        if "HEAD" in names and "config" in names:
            folders[:] = [name for name in folders if name == "modules"]
            notes += _point_submodule(found, os.path.relpath(root, found.git))
    return notes


def _point_submodule(found: Entry, inside: str) -> list[str]:
    """Bring right the two files by which a submodule's git directory and folder find each other."""
    plan = _intent(found)
    config = f"{found.git}/{inside}/config"
    status, out, _ = git_status(found.git, "config", "-f", config, "--get", "core.worktree")
    if status != 0:
        return []
    worktree, private = entries.names_in_halves(found)
    old = os.path.normpath(f"{private}/{inside}/{out.removesuffix(chr(10))}")
    if not f"{old}/".startswith(f"{worktree}/"):
        # Written by an earlier, killed run; or it never was in this worktree.
        old = os.path.normpath(f"{plan['private']}/{inside}/{out.removesuffix(chr(10))}")
        if not f"{old}/".startswith(f"{plan['to']}/"):
            return []
        old = worktree + old.removeprefix(plan["to"])
    new = plan["to"] + old.removeprefix(worktree)
    private = f"{plan['private']}/{inside}"
    way = os.path.relpath(new, private)
    status, _, err = git_status(found.git, "config", "-f", config, "core.worktree", way)
    if status != 0:  # a lock that a killed git left, say
        return [
            f"core.worktree in {private}/config, which is to be {way}, could not be written "
            f"({said(err, f'exit status {status}')})"
        ]
    if os.path.isfile(f"{new}/.git"):
        times = os.stat(new)
        _overwrite(f"{new}/.git", f"gitdir: {os.path.relpath(private, new)}\n", like=f"{new}/.git")
        os.utime(new, ns=(times.st_atime_ns, times.st_mtime_ns))
    return []


def _register(found: Entry) -> list[str]:
    """Move the private directory to its place; where the name is taken meanwhile, to another."""
    plan = _intent(found)
    while True:
        private = plan["private"]
        # git removes it when it is empty
        files.make_private(os.path.dirname(private), 0o777)
        try:
            # Taken first: rename(2) would replace a folder that `git worktree add` has just made.
            # The sticky bit, which git never sets, tells a folder that a killed run has made.
            os.mkdir(private, 0o1700)
        except FileExistsError:
            about = os.lstat(private)
            if not about.st_mode & stat.S_ISVTX or not stat.S_ISDIR(about.st_mode):
                plan["private"] = heads.free_private(found)
                entries.write(found)
                os.rename(f"{plan['to']}/.git", f"{plan['to']}/{found.disabled}")
                _enable(found)
                _point_back(found)
                continue
        try:
            os.rename(found.git, private)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _bring_near(found, error)
            continue
        files.sync_folder(os.path.dirname(private))
        files.sync_folder(os.path.dirname(found.git))
        if os.path.basename(private) == os.path.basename(found.private):
            return []
        return [
            f"git knows it as {os.path.basename(private)} now, another worktree is "
            f"{os.path.basename(found.private)}"
        ]


def _near(found: Entry) -> tuple[str, str]:
    """Return where the private directory may wait on the filesystem that it is to be renamed on.

    The second is for a repository whose ``worktrees`` is on yet another one.
    """
    name = f"{found.session}-{found.moment}"
    beside = os.path.dirname(_intent(found)["private"])
    return f"{found.common}/prodigy-trash/{name}-back", f"{beside}/.prodigy-{name}"


def _bring_near(found: Entry, error: OSError) -> None:
    """Copy a private directory that cannot be renamed into its place, whole, to where it can be.

    Not into its place at once: git must not see, or prune, half of it. Raises ``error`` where there
    is no such place.
    """
    near = _near(found)
    left = near[near.index(found.git) + 1 :] if found.git in near else near
    if not left:
        raise error
    found.git = moving.move(found.git, left[0])
    entries.write(found)


def _settle_private(found: Entry) -> None:
    """Finish or take back what `_bring_near` had begun when it was killed."""
    for near in _near(found):
        if near != found.git and moving.settle(found.git, near) and not os.path.lexists(found.git):
            found.git = near
            entries.write(found)


def _times(found: Entry) -> None:
    plan = _intent(found)
    if found.root_mode is not None:
        os.chmod(plan["to"], found.root_mode)
    if found.root_mtime_ns is not None:
        os.utime(plan["to"], ns=(os.stat(plan["to"]).st_atime_ns, found.root_mtime_ns))


def _drop_salvage(found: Entry) -> None:
    """Delete the salvage of a worktree that is back whole: that names all of it itself."""
    if _intent(found)["whole"]:
        salvage.delete(found.common, found.session, found.moment)
    else:
        unpublished.let_go(found.common, found.session, found.moment)


def _remove_entry(found: Entry) -> list[str]:
    """Remove the entry: its document and its folder, and the folders above if they are empty."""
    for name in (".entry.json.new", "entry.json"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{found.path}/{name}")
    folder = found.path
    stop = os.path.dirname(layout.trash(store_of(found), found.repo, found.session))
    while folder != os.path.dirname(stop):
        try:
            os.rmdir(folder)
        except OSError:
            break
        folder = os.path.dirname(folder)
    return [f"what else was in {found.path} stays there"] if os.path.lexists(found.path) else []
