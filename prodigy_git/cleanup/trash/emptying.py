"""Emptying the trash: an entry becomes ``emptying``, its folders are deleted, and it is ``emptied``.

Nothing needs space before the first file is deleted: the intent is a rename (`entry.entomb`), and
where a lock file is not there and cannot be made, nobody holds it. From the intent on an entry is not
restored from its folders. ``emptied`` is written when they are gone: what is left is ``entry.json``,
which `restore` needs to bring back from the salvage ref what git holds. Where that ref holds nothing
that a branch, tag or remote-tracking ref does not hold, ref and entry go too.

What a user asked to delete is deleted at once (`empty_now`), what its retention or limit has let go of
in a process of its own (`expire`). Whoever was killed leaves the rest to the next command. Two at one
entry take turns, by a lock on its folder.
"""

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prodigy_git import layout
from prodigy_git.cleanup.folders.erasing import Freed, erase
from prodigy_git.cleanup.salvage import salvage, unpublished
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.cleanup.trash import expiry, undeletable
from prodigy_git.cleanup.trash.entry import Entry
from prodigy_git.cleanup.trash.settling import store_of
from prodigy_git.errors import ProdigyError, told
from prodigy_git.git import repository
from prodigy_git.git.ask import git_status
from prodigy_git.record import files, locks, log, ownership
from prodigy_git.store import locked, reserve
from prodigy_git.store.events import Broken

Progress = Callable[[int, int], None]
"""Called with how many bytes are deleted, of how many."""
_PAUSE = 0.1  # seconds between two calls of it


@dataclass(frozen=True)
class Emptied:
    """An entry whose deletion was begun: what the disk got back, in bytes, and what is left of it.

    ``left`` is None where all is gone; else it says what could not be deleted, why, and what helps.
    """

    entry: Entry
    bytes: int
    left: str | None


def empty_now(
    wanted: Iterable[Entry], broken: Broken, progress: Progress | None = None
) -> list[Emptied]:
    """Delete entries, whatever their age; return what became of those that could be taken.

    Also such whose deletion was begun before. What cannot be taken is reported. All are taken before
    the first is deleted: after an interruption the next command goes on with the rest.
    """
    taken = _take(wanted, broken)
    total = sum(map(expiry.measured, taken)) if progress is not None else 0
    deleted = 0
    shown = time.monotonic()

    def freed(size: int) -> None:
        nonlocal deleted, shown
        deleted += size
        if progress is not None and time.monotonic() - shown > _PAUSE:
            shown = time.monotonic()
            progress(deleted, max(total, deleted))

    done = []
    for one in taken:
        before = deleted
        try:
            left = _delete(store_of(one), one, broken, freed)
        except (ProdigyError, OSError) as error:
            left = str(error)
        done.append(Emptied(one, deleted - before, left))
    return done


def purge(found: Entry, broken: Broken) -> str | None:
    """Delete what has just been removed; return why it, or some of it, is still there; else None."""
    for done in empty_now([found], broken):
        return done.left
    return f"it is in the trash: 'prodigy-git trash empty {found.session}' deletes it"


def expire(plan: expiry.Plan, broken: Broken) -> list[Entry]:
    """Take what retention and limit have let go of, and start the deleting of it; return it.

    What cannot be taken is reported.
    """
    taken = _take(plan.entries, broken)
    for store in sorted({store_of(one) for one in taken}):
        try:
            start(store)
        except OSError:  # no more processes, or no space for a lock: then here
            mine = [one for one in taken if store_of(one) == store]
            empty_now(mine, broken)
    return taken


def under_way(store: str, repo: str | None = None) -> list[Entry]:
    """Return the entries whose deletion has begun: killed, or something could not be deleted."""
    there = entries.entries(store, lambda _: None, repo)
    return [one for one in there if one.state == "emptying"]


def _take(wanted: Iterable[Entry], broken: Broken) -> list[Entry]:
    """Make entries ``emptying``; leave out what has been restored, or emptied, meanwhile."""
    taken = []
    for one in wanted:
        try:
            with _repository(store_of(one), one.repo):
                now = entries.read(one.path)
                entries.contents(now)
                # Not settled: the branch, event and session of its removal are still to be written.
                if now.state == "trashed" and now.settled:
                    entries.entomb(now)
                elif now.state != "emptying":
                    continue
        except (ProdigyError, OSError) as error:
            if os.path.lexists(one.path):  # or it has been restored
                broken(f"{one.path}: kept ({error})")
            continue
        taken.append(now)
    return taken


@contextlib.contextmanager
def _repository(store: str, repo: str) -> Iterator[None]:
    """Hold the repository's lock; where its file is not there, nor space to make it, nobody does."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked.repository(store, repo))
        except OSError as error:
            if error.errno not in reserve.NO_SPACE:
                raise
        yield


def start(store: str) -> "subprocess.Popen[bytes] | None":
    """Start a process that deletes what is in state ``emptying``; None where one is about to anyway.

    It outlives the terminal. The lock says that a process waits for its turn and has not looked yet:
    that one will see what the caller has marked. It is handed down, so that there is no moment
    without a holder, as only flock(2) allows. Raises `OSError`.
    """
    try:
        waiting = locks.take(layout.emptying_next_lock(store), patience=0)
    except locks.Busy:
        return None
    package = str(Path(__file__).resolve().parents[2])
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from prodigy_git.cleanup.trash import emptying; "
        "emptying.files.MAKES = False; emptying.work(sys.argv[2], int(sys.argv[3]))"
    )
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", code, package, store, str(waiting)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd="/", start_new_session=True, pass_fds=(waiting,),
        )  # fmt: skip
    finally:
        os.close(waiting)


def work(store: str, waiting: int) -> None:
    """Delete every entry in state ``emptying``, at low priority, one such process per store.

    ``waiting`` is the descriptor of the lock that `start` took. Trouble goes to the store's log. A
    store that has been taken away meanwhile, with its disk perhaps, is not made anew. Raises `OSError`.
    """
    _step_back()
    turn = files.create(layout.emptying_lock(store), os.O_RDWR)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)  # for as long as the one before takes, hours perhaps
        os.close(waiting)

        def note(text: str) -> None:
            log.report(store, f"emptying the trash: {text}")

        for one in entries.entries(store, note):
            try:
                if one.state == "emptying":
                    left = _delete(store, one, note, lambda _: None)
                    if left is not None and left != one.left:  # else it was said already
                        note(left)
                elif one.state == "emptied":
                    _retire(store, one)
            except Exception as error:  # whatever one entry causes, the others are deleted
                note(f"{one.path}: {told(error)}")
    finally:
        ownership.hand_over_noted(0)
        os.close(turn)


def _step_back() -> None:
    """Take the processor and the disk only when nobody else wants them."""
    os.nice(19)
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import psutil

        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)


def _delete(store: str, found: Entry, broken: Broken, freed: Freed) -> str | None:
    """Delete an entry's folders; return in words what could not be deleted, and what helps.

    Raises `ProdigyError` or `OSError`; it can be tried again. What goes wrong once they are gone is
    reported: the next command goes on.
    """
    with _alone(found.path):
        if not os.path.lexists(found.path):
            return None  # another process has done it
        now = entries.read(found.path)
        if now.state != "emptying":
            return None
        folders = entries.contents(now)
        left = [one for path in folders for one in erase(path, freed)]
        if left:
            text = undeletable.words(left, folders)
            _note_left(now, text)
            return text
        try:
            with _repository(store, now.repo):
                entries.write_emptied(now)
            _retire(store, now)
        except (ProdigyError, OSError) as error:
            broken(f"{now.path}: its folders are deleted, the rest is not done yet ({error})")
    return None


@contextlib.contextmanager
def _alone(path: str) -> Iterator[None]:
    """Hold an entry's folder; where it has no locks, go without: deleting twice does no harm."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield
        return
    try:
        # On NFS: a folder is not open for writing, as the server wants it (flock(2)).
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _note_left(found: Entry, text: str) -> None:
    """Write down what could not be deleted, for `trash list`; where there is space."""
    if found.left == text:
        return
    found.left = text
    with contextlib.suppress(ProdigyError, OSError), _repository(store_of(found), found.repo):
        entries.write(found)


def _retire(store: str, found: Entry) -> None:
    """Remove an emptied entry, and its salvage, where that holds nothing of its own.

    A branch's goes in any case: it was kept for its time, since what it was for is done otherwise.
    """
    with _repository(store, found.repo):
        if entries.read(found.path).state != "emptied":
            return
        refs = [ref for ref in (found.salvage_ref, *found.tag_refs) if ref]
        tips = _needless(found, refs)
        if tips is None:
            return
        for ref, tip in tips.items():
            # Compare-and-swap: only what was looked at.
            gone = git_status(found.common, "update-ref", "--no-deref", "-d", ref, tip)[0] == 0
            # A git that a killed process of ours had started may just have deleted it.
            if not gone and repository.has_ref(found.common, ref):
                return
        if not found.alone:
            salvage.delete(found.common, found.session, found.moment)
        for left in erase(found.path):
            raise ProdigyError(str(left))
        for folder in (os.path.dirname(found.path), os.path.dirname(os.path.dirname(found.path))):
            with contextlib.suppress(OSError):  # not empty
                os.rmdir(folder)


def _needless(found: Entry, refs: list[str]) -> dict[str, str] | None:
    """Return the salvage refs that there are with what they point to; else None.

    That is, where anything of the salvage is held by no other ref, or that cannot be told.
    """
    if found.alone or (found.branch_only and os.path.isdir(found.common)):
        return {}  # it never had any; or all goes, below
    if not os.path.isdir(found.common):
        return None  # its disk is not mounted, perhaps: who knows what the ref holds
    own = salvage.ref_name(found.session, found.moment)
    tips = {}
    for ref in refs:
        if ref != own and not ref.startswith(f"{own}-tag-"):
            raise ProdigyError(
                f"{found.path}/entry.json names {ref}, which is no salvage ref of it"
            )
        status, out, _ = git_status(found.common, "rev-parse", "--verify", "--quiet", ref)
        if status == 0:
            tips[ref] = out.strip()
    kept = unpublished.read(found.common, found.session, found.moment)
    held = [*tips.values(), *([kept.commit, *kept.tags] if kept is not None else [])]
    if not held:
        return tips
    # Objects, since a salvage may hold a tag object whose commit is on a branch.
    status, out, _ = git_status(
        found.common, "rev-list", "--objects", "--count", *held, "--not", "--branches", "--tags",
        "--remotes", "--", env={
            "GIT_NO_LAZY_FETCH": "1", **unpublished.view(found.common, found.session, found.moment)
        },
    )  # fmt: skip
    return tips if status == 0 and out.strip() == "0" else None
