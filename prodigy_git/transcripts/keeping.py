"""Copies of transcripts in the store, so that a program's own clean-up does not take them away.

Claude Code deletes its own after thirty days. A copy lies with the output of the session's job, and is
cleaned with that.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.record import files, locks, within
from prodigy_git.transcripts import of_sessions, redacted_copy
from prodigy_git.transcripts.of_sessions import Transcribed
from prodigy_git.transcripts.transcript_file import Broken

_LINES = ".jsonl"
"""The end of a transcript's name to which its program only adds; others are written anew each time."""
_COPY = ".transcript.jsonl"


def keep(store: str, one: Transcribed, broken: Broken) -> list[tuple[str, str]]:
    """Copy a session's transcripts; return (transcript, copy) for each that has one now.

    A copy that is there is brought up to date, and one that has more stays beside it. What
    cannot be copied is told, and the others are. Raises `ProdigyError` for a session of no repository.
    """
    if one.repo is None:
        raise ProdigyError(f"session {one.id} is of no repository of ours: copy its files by hand")
    there = frozenset(of_sessions.kept(store, one.repo, one.job, one.id))
    made = []
    for source in one.sources:
        if source.path in there:  # the original is gone
            made.append((source.path, source.path))
            continue
        name = of_sessions.name_of_copy(source.path)
        copy = layout.kept_transcript(store, one.repo, one.job, one.id, name)
        try:
            _copy(store, one.repo, source.path, copy, os.stat(layout.session(store, one.id)).st_uid)
        except OSError as error:
            broken(f"{source.path} is not kept: {error.strerror or error}")
        else:
            made.append((source.path, copy))
    return made


def _copy(store: str, repo: str, path: str, copy: str, owner: int) -> None:
    """Copy a file, without secrets, to a temporary name and then into its place. Raises `OSError`.

    Only one that belongs to whom the session does: the path is what a program has said, and whoever
    reads the store could be shown by it what he may not read, root's files or another user's.
    """
    with files.solid(path) as stream:
        about = os.fstat(stream.fileno())
        if about.st_uid != owner:
            raise PermissionError(1, "it is another user's than the session", path)
        within.make_folder(store, os.path.dirname(copy))
        temporary = f"{copy}.new"
        with _alone(temporary) as descriptor:
            os.ftruncate(descriptor, 0)
            # What is written meanwhile is for the next copy.
            for piece in redacted_copy.pieces(stream, about.st_size, store, repo):
                files.write_all(descriptor, piece)
            os.fsync(descriptor)
            if path.endswith(_LINES) and _lines(temporary) < _lines(copy):
                os.rename(copy, _aside(copy))
            os.rename(temporary, copy)
    files.sync_folder(os.path.dirname(copy))


def _lines(path: str) -> int:
    """Return how many lines a file has; 0 where there is none."""
    try:
        with files.stream(path) as stream:
            return sum(part.count(b"\n") for part in iter(lambda: stream.read(1 << 20), b""))
    except FileNotFoundError:
        return 0


def _aside(copy: str) -> str:
    """Return where a copy stays that has more than the transcript now: it was cut, or begun anew.

    Its name is one of a session's copies too, and its time is the one when it was made.
    """
    before = copy.removesuffix(_COPY)
    return f"{before}-{os.stat(copy).st_mtime_ns:x}{_COPY}"


@contextlib.contextmanager
def _alone(path: str) -> Iterator[int]:
    """Make a file that nobody else writes meanwhile; take it away where that was for nothing."""
    descriptor = files.create(path, os.O_WRONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another may have put it in its place between our opening it and the lock.
            mine = os.path.samestat(os.fstat(descriptor), os.stat(path))
        except (BlockingIOError, FileNotFoundError):
            mine = False
        if not mine:
            raise locks.Busy(11, "another process is copying it now", path)
        try:
            yield descriptor
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise
    finally:
        os.close(descriptor)
