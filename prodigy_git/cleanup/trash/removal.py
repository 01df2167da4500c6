"""Moving a worktree to the trash, whole, and taking up again what a kill interrupted.

The order is DESIGN's, section 7, because git prunes and collects on its own meanwhile. Until the
folder itself has moved (step 5), whatever goes wrong is taken back: the user may be working in it.
From then on it only goes forward, here or in the next command (`interrupted.take_up`).

1. the intent                      entry.json, ``moving``
2. git's ``locked`` file           no prune takes the private directory
3. the rest of the journal is recorded; the salvage
                                   no garbage collection takes an object
4. the private directory           from here on git does nothing in the folder; if it did since step 3,
                                   back to there
5. the folder
6. its ``.git`` gets another name  no command run there reaches a successor of the same name
7. branch, event, session file
8. entry.json, ``trashed`` and ``settled``
"""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence

from prodigy_git import layout
from prodigy_git.cleanup.folders import moving, trees
from prodigy_git.cleanup.salvage import named_objects, salvage, unpublished
from prodigy_git.cleanup.salvage.uncommitted import ask
from prodigy_git.cleanup.trash import branch_removal, intent, settling
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.cleanup.trash.entry import Entry
from prodigy_git.cleanup.trash.together import Together
from prodigy_git.errors import ProdigyError, told
from prodigy_git.git import repository
from prodigy_git.git.ask import said
from prodigy_git.record import drain, files, gitdir, journal, locks, whose, within
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.record.gitdir import Place
from prodigy_git.store import locked
from prodigy_git.store.events import Broken

_LOCK_TEXT = b"being moved to the trash by prodigy-git\n"
_TRIES = 3  # for a worktree in which git is at work
_DEFAULT_LIMIT = 100 * 1024 * 1024


def remove(
    store: str,
    place: Place,
    enrolment: Enrolment,
    *,
    reasons: list[str],
    touched: bool,
    left_out: Sequence[str] = (),
    delete_branch: str | None,
    broken: Broken,
    shared: Together | None = None,
) -> Entry:
    """Move a worktree to the trash and return its entry; the caller holds no lock but, with ``shared``,
    the repository's, and git trusts it (`repository.check_trusted`). Several of one repository may
    then be moved at once, from threads.

    ``reasons`` says, in words, what there was against it; ``touched`` that index or working tree may
    not be HEAD's, and are to be kept as a commit, too; ``left_out`` are paths of which it is known that
    this commit cannot hold them. ``delete_branch`` is to be deleted, if it is
    still at HEAD's commit and nobody else's.
    Raises `ProdigyError` or `OSError`; then everything is where it was. What goes wrong once the
    folder has moved is reported to ``broken``, and the next command goes on with it.
    """
    if shared is None:
        repository.check_trusted(place.common)
    # What cannot be renamed into the store goes there; the git directory is its top, as the store is.
    within.refuse_links(os.path.dirname(place.common), f"{place.common}/prodigy-trash")
    alone = shared is None
    with locked.repository(store, enrolment.repo) if alone else contextlib.nullcontext():
        _end_earlier(store, enrolment, broken)
        found = intent.make(store, place, enrolment, reasons, delete_branch)
        found.left_out = sorted(left_out)
        again = False
        try:
            intent.write(found)
            place = Place(found.private, found.common, found.worktree)
            _freeze(found, place, enrolment, shared, dirty=touched)
            make_writable(found)
            found.folder = moving.move(found.worktree, *_folders(found))
        except BaseException as error:
            again = _moved_in_spite_of(found, error)
            if not again:
                raise
        try:
            _finish(found, broken, shared, again=again)
        except (OSError, ProdigyError, ValueError) as error:
            broken(f"{found.worktree} is in the trash, {found.path}, but not all is done: {error}")
        return found


def _end_earlier(store: str, enrolment: Enrolment, broken: Broken) -> None:
    """End what was begun with the session before, and killed; what cannot be ended goes to ``broken``.

    Raises `ProdigyError` where that is a restore: two entries would have a half of the worktree each.
    """
    for path in intent.begun(store, enrolment.repo, enrolment.session):
        intent.drop(path)
    for found in entries.entries(store, broken, enrolment.repo, enrolment.session):
        if found.state == "restoring":
            raise ProdigyError(
                f"{found.path} is restoring still: 'prodigy-git worktree restore {found.session}' "
                "ends that, or says what is in its way; then remove it again"
            )
        if found.half_way:
            try:
                resume(found, broken)
            except Exception as error:  # whatever it is, the one to be removed is another
                broken(f"{found.path}: not finished ({told(error)})")


def _moved_in_spite_of(found: Entry, error: BaseException) -> bool:
    """Take a removal back that failed; return True where it went too far for that.

    Raises `ProdigyError` where neither can be told.
    """
    try:
        target = next((to for to in _folders(found) if moving.settle(found.worktree, to)), None)
        if target is None:
            _undo(found)
            return False
    except (OSError, ProdigyError) as second:
        raise ProdigyError(
            f"{error}; and it could not be taken back ({second}): the next command tries again"
        ) from error
    found.folder = target
    return isinstance(error, OSError)  # the folder's name is not on the disk yet, perhaps


def resume(found: Entry, broken: Broken) -> str:
    """Finish or take back a removal that was killed; return a line about it.

    The caller holds the repository's lock. Raises `ProdigyError` or `OSError`.
    """
    if found.branch_only:
        return branch_removal.resume(found)
    if found.state == "moving":
        target = next((to for to in _folders(found) if moving.settle(found.worktree, to)), None)
        if target is None:
            _undo(found)
            return f"{found.session}: its removal was interrupted; {found.worktree} is as it was"
        found.folder = target
        found.git = next(filter(os.path.lexists, _privates(found)), found.git)
    _finish(found, broken, None, again=True)
    return f"{found.session}: its removal was interrupted and is finished; it is in {found.path}"


def _folders(found: Entry) -> tuple[str, str]:
    beside = f"{found.common}/prodigy-trash/{found.session}-{found.moment}-worktree"
    return f"{found.path}/worktree", beside


def _privates(found: Entry) -> tuple[str, str]:
    return f"{found.path}/git", f"{found.common}/prodigy-trash/{found.session}-{found.moment}"


def _freeze(
    found: Entry, place: Place, enrolment: Enrolment, shared: Together | None, *, dirty: bool
) -> None:
    """Lock, record the commits, anchor, and take the private directory away, steps 2 to 4.

    Where git has written to it after it was looked at, all of that once more.
    """
    known = set(found.left_out)
    for _ in range(_TRIES):
        _lock(f"{place.private}/locked")
        number = os.stat(place.private).st_ino
        before, before_copied = _signature(place), _signature(place, inodes=False)
        drain.drain(place, enrolment, recovered=True)
        written = (found.branch, found.head, found.left_out)
        found.branch, found.head = intent.head(place)
        with _readable(place) as asked:
            limit = _limit(asked) if dirty else _DEFAULT_LIMIT
            anchors = salvage.anchor(
                asked, found.session, found.moment, limit, dirty=dirty,
                update=None if shared is None else shared.update,
            )  # fmt: skip
        # git says an untracked repository's folder with a slash.
        found.left_out = sorted(known | {path.rstrip("/") for path in anchors.left_out})
        if written != (found.branch, found.head, found.left_out):
            entries.write(found)
        # A hook that is recording a commit may finish that first.
        lock = locks.take(layout.session_lock(settling.store_of(found), found.session))
        try:
            found.git = moving.move(place.private, *_privates(found))
        finally:
            os.close(lock)
        now = Place(found.git, place.common, place.top)
        renamed = os.stat(found.git).st_ino == number
        same = _signature(now, inodes=renamed) == (before if renamed else before_copied)
        undisturbed = same and not os.path.lexists(place.private)
        if undisturbed and salvage.complete(place.common, anchors):
            return
        _put_back_whole(found)
        dirty = True
    raise ProdigyError(f"git is at work in {place.top}: try again when it is at rest")


@contextlib.contextmanager
def _readable(place: Place) -> Iterator[Place]:
    """Give the worktree as git can ask it: one whose HEAD is damaged is no repository to git.

    Then it is one that is copied, with HEAD where the reflog ends; the worktree's own stays as it is.
    """
    if intent.head_is_sound(place):
        yield place
        return
    try:
        movements = journal.parse(files.read(f"{place.private}/logs/HEAD"), 0)
    except OSError:
        movements = []
    with tempfile.TemporaryDirectory(prefix="prodigy-head-") as scratch:
        for name in os.listdir(place.private):
            if name not in ("HEAD", "commondir", "modules"):
                trees.copy(f"{place.private}/{name}", f"{scratch}/{name}")
        # By this file, and not by GIT_COMMON_DIR, git finds where the refs are.
        with open(f"{scratch}/commondir", "wb") as stream:
            stream.write(os.fsencode(place.common) + b"\n")
        head = movements[-1].new if movements else "ref: refs/heads/prodigy-git/unknown"
        with open(f"{scratch}/HEAD", "wb") as stream:
            stream.write(head.encode("ascii") + b"\n")
        yield Place(scratch, place.common, place.top)


def _limit(place: Place) -> int:
    """Return how large a file that is not in git may be to be salvaged, in bytes."""
    status, out, err = ask(place, "config", "--type=int", "--get", "prodigy.salvageLimit")
    if status == 1:
        return _DEFAULT_LIMIT
    if status != 0:
        raise ProdigyError(f"git config prodigy.salvageLimit: {said(err)}")
    return int(out)


def _lock(path: str) -> None:
    """Write git's ``locked`` file, unless somebody else has locked the worktree already."""
    with contextlib.suppress(FileExistsError):
        descriptor = files.create(path, os.O_WRONLY | os.O_EXCL, 0o666)
        try:
            files.write_all(descriptor, _LOCK_TEXT)
        finally:
            os.close(descriptor)


def _signature(place: Place, *, inodes: bool = True) -> tuple[object, ...]:
    """Return what changes whenever git does something in a worktree.

    Without ``inodes``, which a copy has its own of, for a private directory that is copied.
    """
    private = place.private
    about = [
        (path[len(private) :], _state(path, inodes=inodes))
        for path in named_objects.sources(private)
        if not os.path.basename(path).startswith("sharedindex")  # reading it changes its time
    ]
    return (
        # With reftable it cannot be told from a private directory that has moved.
        None if os.path.isdir(f"{private}/reftable") else gitdir.head(place),
        about,
    )


def _state(path: str, *, inodes: bool) -> tuple[int, int, int] | None:
    """Return what tells a file from what it is after a change; None for one that has just gone."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:  # as a lock of git's, between the listing and this
        return None
    return found.st_ino if inodes else 0, found.st_size, found.st_mtime_ns


def make_writable(found: Entry) -> None:
    """Let a folder's owner move it. Raises `OSError`."""
    # rename(2) changes the `..` of a folder that gets another parent.
    if found.root_mode is not None:
        os.chmod(found.worktree, found.root_mode | stat.S_IWUSR)


def _undo(found: Entry) -> None:
    """Take back steps 4 to 1; what is back already, or was never done, stays as it is."""
    _put_back_whole(found)
    if found.root_mode is not None and os.path.isdir(found.worktree):
        os.chmod(found.worktree, found.root_mode)
    if found.locked is None and intent.text(f"{found.private}/locked") in (_LOCK_TEXT.decode(), ""):
        os.unlink(f"{found.private}/locked")
        files.sync_folder(found.private)
    if not found.alone:
        salvage.delete(found.common, found.session, found.moment)
    intent.drop(found.path)


def _put_back_whole(found: Entry) -> None:
    """Bring the private directory back, and what git has collected of what it names meanwhile.

    Raises `ProdigyError` where the folder is gone, too, and `OSError`; then the salvage stays.
    """
    _put_back(found)
    # Only the salvage kept them. From now on the private directory does.
    unpublished.bring_back(found.common, found.session, found.moment)
    unpublished.let_go(found.common, found.session, found.moment)


def _put_back(found: Entry) -> None:
    """Bring the private directory back. Raises `ProdigyError` where the folder is gone, too."""
    for one in _privates(found):
        moving.settle(one, found.private)  # a way back that was killed
    source = next((to for to in _privates(found) if moving.settle(found.private, to)), None)
    if source is None:
        _name_private(found)
        return
    if not os.path.lexists(f"{found.worktree}/.git"):
        raise ProdigyError(
            f"{found.worktree} is neither there nor in the trash (is its disk mounted?); its git "
            f"directory and refs are kept"
        )
    # git removes it when it is empty
    files.make_private(os.path.dirname(found.private), 0o777)
    number = 0
    target = found.private
    while os.path.lexists(target):
        if not os.path.lexists(f"{target}/commondir"):
            _absorb(target, source)
            break
        number += 1  # another worktree of the same name was made meanwhile
        target = f"{found.private}{number}"
    if target != found.private:
        found.private = target
        entries.write(found)
    moving.move(source, target)
    _name_private(found)


def _name_private(found: Entry) -> None:
    """See to it that the folder names the private directory that it has now."""
    path = f"{found.worktree}/.git"
    named = gitdir.find(found.worktree, {})
    if not os.path.isfile(f"{found.private}/commondir") or not os.path.isfile(path):
        return
    if named is None or not files.same(named.private, found.private):
        through = f"{found.worktree}/{entries.free_disabled(found.worktree)}"
        moving.overwrite(path, f"gitdir: {found.private}\n", like=path, through=through)


def _absorb(stray: str, private: str) -> None:
    """Bring into a private directory what git, that was at work in it, wrote where it had been."""
    for root, _, names in trees.walk(stray):
        inside = root[len(stray) :]
        os.makedirs(private + inside, exist_ok=True)
        for name in names:
            if inside.startswith("/logs"):  # the lines that follow ours
                with open(f"{private}{inside}/{name}", "ab") as stream:
                    stream.write(files.read(f"{root}/{name}"))
            else:
                os.replace(f"{root}/{name}", f"{private}{inside}/{name}")
    moving.remove(stray)


def _disable(found: Entry) -> None:
    """Give the folder's ``.git`` its other name, one that is in the document before the file has it."""
    if not os.path.lexists(f"{found.folder}/.git"):
        return
    if os.path.lexists(f"{found.folder}/{found.disabled}"):  # the user's own file
        found.disabled = entries.free_disabled(found.folder)
        entries.write(found)
    os.rename(f"{found.folder}/.git", f"{found.folder}/{found.disabled}")
    files.sync_folder(found.folder)


def _finish(found: Entry, broken: Broken, shared: Together | None, *, again: bool) -> None:
    """Take steps 6 to 8; ``again`` says that a process that was killed may have done some of them."""
    _disable(found)
    if found.root_mode is not None:
        with contextlib.suppress(FileNotFoundError):
            os.chmod(found.folder, found.root_mode)
    if found.state == "moving":
        found.state = "trashed"
        found.cursor = intent.text(f"{found.git}/{layout.CURSOR}{whose.suffix(found.git)}")
    try:
        settling.settle(found, broken, again=again, shared=shared)
    finally:
        entries.write(
            found
        )  # not before: a kill leaves ``moving``, which is told from where it lies
