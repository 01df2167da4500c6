"""The recorder in the background: one process that a hook wakes, that drains, and that ends.

The shell opens what is needed of the worktree before git returns, and passes it as descriptors: the
worktree may be removed, moved or rewritten a moment later. By the journal's descriptor the next hook
sees that a recorder is awake and has yet to look. What keeps a wake-up from being lost is the order:

    git      writes the journal      then its hook looks whether a recorder holds the journal
    recorder lets go of the journal  then it looks whether the journal is still what it has read

Whichever is first, one of the two sees the other. What a kill leaves, the next hook or the next command
records from the journal; the recorder's mark in the store (see `underway`) stays, so that that hook
waits and says what is wrong.

No file is made in a repository here: a folder that somebody is deleting must not fail to go.
"""

from __future__ import annotations

import os
import time

from prodigy_git import layout
from prodigy_git.record import enrolment as enrolments
from prodigy_git.record import files, gitdir, log, underway, wake
from prodigy_git.record.drain import drain
from prodigy_git.record.gitdir import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prodigy_git.record.enrolment import Enrolment

JOURNAL, ENROLMENT, CURSOR, HEAD, PRIVATE, LOCK, NOTE = range(3, 10)
"""The descriptors that the shell opens, see ``hooks/wake.sh``."""
PATIENCE = 120.0
"""Seconds that a lock is waited for, at most: nobody waits for the recorder."""
LINGER, LONGEST = 0.1, 2.0
"""Seconds for which a recorder waits for the next commit before it lets go: ten times what it took to
start, but no less and no more than these. So one does for a burst, also on a machine that is so busy
that the commits of a worktree come seldom, and starting one takes long."""
SHARE = 3
"""How many times as long as it took to record, a recorder waits before it records again: where many
write at once, they take turns at the disk with what git writes."""
_PAUSE = 0.005


def main(mark: str, top: str) -> None:
    """Record what the worktree ``top`` has made, and end the process with exit status 0.

    ``mark`` is the path of the mark without the process id; it stays where not all could be recorded.
    """
    files.MAKES = False
    try:
        _be_alone()
        run(top, _patience(f"{mark}{os.getpid()}"))
        os.unlink(f"{mark}{os.getpid()}")
    except FileNotFoundError:
        pass  # the store has just been taken away, or the hook has not come to make the mark
    except Exception as error:
        try:
            note = wake.parsed(gitdir.read_held(NOTE))
        except OSError:
            note = None
        if note is not None and os.path.isdir(note.store):
            files.MAKES = True
            log.report(note.store, f"recorder: {type(error).__name__}: {error}")
    finally:
        os._exit(0)


def _be_alone() -> None:
    """Let go of what the shell could not: higher descriptors, and an ignored signal."""
    for name in os.listdir("/dev/fd"):
        if int(name) > NOTE:
            try:
                os.close(int(name))
            except OSError:
                pass  # the listing's own
    for descriptor in range(JOURNAL, NOTE + 1):
        os.set_inheritable(descriptor, False)
    # signal(3) without its enums, which take a millisecond. A shutdown is to be heeded from here on.
    from _signal import (  # type: ignore[import-not-found, unused-ignore]
        SIG_DFL,
        SIGTERM,
        signal,
    )

    signal(SIGTERM, SIG_DFL)


def _patience(mark: str) -> float:
    """Return for how many seconds to linger: by what has passed since the hook made the mark."""
    try:
        return min(max(LINGER, 10 * (time.time() - os.stat(mark).st_mtime)), LONGEST)
    except OSError:
        return LINGER


def run(top: str, linger: float) -> None:
    """Drain until the journal is what was read, and for ``linger`` seconds stays it.

    Raises `OSError`, `ValueError`.
    """
    journal = os.dup(JOURNAL)
    while True:
        seen, begun = _look(), time.monotonic()
        _record(journal, top)
        taken = time.monotonic() - begun
        if seen is not None and _changes(seen, linger):
            if _private() is not None:
                time.sleep(min(SHARE * taken, LINGER))
            continue
        os.close(JOURNAL)  # from here on a hook wakes another
        if _look() == seen:
            return
        os.dup2(journal, JOURNAL, inheritable=False)


def _look() -> tuple[Any, Any] | None:
    """Return what tells one state of the journal from another: it, and HEAD with its branch's commit.

    git writes the journal first and moves the branch then, and a look may fall in between. None where
    the worktree is gone: nobody writes there any more.
    """
    private = _private()
    if private is None:
        return None
    try:
        return _journal_in(private), gitdir.head(_place(private, ""))
    except OSError:
        return _journal_in(private), None


def _journal_in(private: str) -> tuple[int, int, int, int] | None:
    try:
        about = os.stat(f"{private}/logs/HEAD")
    except OSError:
        return None
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def _changes(seen: tuple[Any, Any], linger: float) -> bool:
    """Wait ``linger`` seconds for another state than ``seen``; say whether there is one."""
    until, pause = time.monotonic() + linger, _PAUSE
    while _look() == seen:
        if time.monotonic() >= until:
            return False
        time.sleep(pause)
        pause = min(1.3 * pause, 8 * _PAUSE)
    return True


def _private() -> str | None:
    """Return where the private git directory is now; None where it is no more, or out of sight."""
    try:
        found = os.readlink(f"/proc/self/fd/{PRIVATE}")
    except OSError:
        try:
            os.fchdir(PRIVATE)
            found = os.getcwd()
        except OSError:
            return None
        finally:
            os.chdir("/")
    try:
        about, there = os.fstat(PRIVATE), os.stat(found)
    except OSError:
        return None
    return found if (about.st_dev, about.st_ino) == (there.st_dev, there.st_ino) else None


def _place(private: str, top: str) -> Place:
    common = gitdir.common_of(private)
    # In the trash, or gone, that leads nowhere; after a move of all, what the note says does.
    if not os.path.isdir(f"{common}/objects"):
        note = wake.parsed(gitdir.read_held(NOTE))
        common = common if note is None else note.common
    return Place(private, common, top, held=CURSOR)


def _record(journal: int, top: str) -> None:
    """Drain once: the worktree as it is, or what is held open of it."""
    private = _private()
    if private is not None and _is_whole(private):
        try:
            there = enrolments.read(private)
            if there is None and _is_whole(private):
                return  # another's by now: a copy, which a hook that git waits for looks at
            if there is not None and not there.known:
                raise ValueError(f"no store knows the session of {private}")
            if there is not None:
                there.stale = False  # what is to be written anew, a hook that git waits for writes
                place = _place(private, top)
                if _is_rewritten(journal, private):
                    _record_held(journal, place, there)
                else:
                    underway.let_pass(there.store, there.session, private)
                drain(place, there, burst=True, patience=PATIENCE)
                return
        except (OSError, ValueError):
            if _is_whole(private):
                raise
    there = enrolments.parsed(gitdir.read_held(ENROLMENT), layout.ENROLMENT)
    if not enrolments.knows(there.store, there):
        from prodigy_git.record import whose

        whose.follow_store(there)
        if not there.known:
            raise ValueError(f"no store knows the session of {top}")
        there.stale = False
    _record_held(journal, _place(private or "/", top), there)


def _is_whole(private: str) -> bool:
    """Whether all is there that is needed: nobody has deleted it, or is deleting it just now."""
    names = ("HEAD", "logs/HEAD", layout.ENROLMENT, layout.CURSOR)
    return all(os.path.lexists(f"{private}/{name}") for name in names)


def _is_rewritten(journal: int, private: str) -> bool:
    """Whether the worktree has another journal by now (``reflog expire``) with the same cursor."""
    held, now = os.fstat(journal), os.stat(f"{private}/logs/HEAD")
    if (now.st_dev, now.st_ino) == (held.st_dev, held.st_ino):
        return False
    held, now = os.fstat(CURSOR), os.stat(f"{private}/{layout.CURSOR}")
    return (now.st_dev, now.st_ino) == (held.st_dev, held.st_ino)


def _record_held(journal: int, place: Place, there: Enrolment) -> None:
    """Drain the journal that is held open, in a stand-in for the private directory that it was in."""
    import tempfile  # not on the usual way

    with tempfile.TemporaryDirectory(prefix="prodigy-git-recorder-") as standin:
        os.mkdir(f"{standin}/logs")
        for name, data in (
            ("logs/HEAD", gitdir.read_held(journal)),
            ("HEAD", gitdir.read_held(HEAD)),
            ("commondir", os.fsencode(place.common) + b"\n"),
        ):
            descriptor = os.open(f"{standin}/{name}", os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                files.write_all(descriptor, data)
            finally:
                os.close(descriptor)
        # What is new in the repository is told by the time of the journal.
        when = os.fstat(journal).st_mtime_ns
        os.utime(f"{standin}/logs/HEAD", ns=(when, when))
        drain(
            Place(standin, place.common, place.top, held=CURSOR, gone=True),
            there,
            patience=PATIENCE,
        )
