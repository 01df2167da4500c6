"""Being told of what changes: below the event logs' folder, two levels of folders deep, or in folders.

On Linux by inotify(7): waiting costs nothing and ends with the change. watchfiles, which is used
elsewhere, sleeps for a few milliseconds again and again, also where nothing happens, and takes a second
to begin with ten thousand folders.
"""

import contextlib
import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from prodigy_git.store.stream import Broken

Told = list[tuple[bool, str]]
"""What has changed, (whether a file there has only been written to, path)."""

_LOOK = 1000  # milliseconds, after which nothing is told where nothing has changed
_SETTLE, _STEP = 10, 5  # milliseconds, as watchfiles takes them
_DEPTH = 2  # repositories, and jobs in them


def changes(folder: str, stop: threading.Event, broken: Broken) -> Iterator[Told]:
    """Yield what has changed below ``folder``, first of all and after each quiet second nothing.

    Ends at most a second after ``stop`` is set. Where there is no way to be told, this is reported, and
    only the seconds are. What had changed before the first was yielded is not told.
    """
    try:
        yield from _inotify(folder, stop) if sys.platform == "linux" else _watchfiles(folder, stop)
    except OSError as error:  # as for a user who has no watches left
        broken(f"changes are not told, and looked for once a second ({error})")
        while not stop.wait(_LOOK / 1000):
            yield []


def stirred(folders: Callable[[], Iterable[str]], broken: Broken) -> Iterator[None]:
    """Yield at once, then each time that something may have changed in ``folders``, or in a second.

    They are asked for anew each time. Who is told looks at all that it follows: this only says when.
    """
    try:
        yield from _pauses(folders)
    except OSError as error:  # as for a user who has no watches left
        broken(f"changes are not told, and looked for once a second ({error})")
        while True:
            yield None
            time.sleep(_LOOK / 1000)


def _pauses(folders: Callable[[], Iterable[str]]) -> Iterator[None]:
    if sys.platform != "linux":
        while True:
            yield None
            time.sleep(_LOOK / 1000)
    from inotify_simple import INotify, flags

    mask = flags.MODIFY | flags.MOVED_TO | flags.CREATE | flags.ONLYDIR
    with INotify() as inotify:
        while True:
            for one in set(folders()):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                    inotify.add_watch(one, mask)  # again is the same watch
            yield None
            inotify.read(_LOOK, read_delay=_SETTLE)


def _watchfiles(folder: str, stop: threading.Event) -> Iterator[Told]:
    from watchfiles import Change, watch  # takes long to import, and few commands follow

    yield []
    for found in watch(
        folder, stop_event=stop, watch_filter=None, debounce=_SETTLE, step=_STEP,
        rust_timeout=_LOOK, yield_on_timeout=True, raise_interrupt=True,
        ignore_permission_denied=True,
    ):  # fmt: skip
        yield [(kind == Change.modified, path) for kind, path in found]


def _inotify(folder: str, stop: threading.Event) -> Iterator[Told]:
    from inotify_simple import INotify, flags

    mask = (
        flags.MODIFY
        | flags.MOVED_FROM
        | flags.MOVED_TO
        | flags.CREATE
        | flags.DELETE
        | flags.ONLYDIR
    )
    watched: dict[int, tuple[str, int]] = {}

    def watch(path: str, depth: int) -> Iterator[str]:
        """Watch a folder and those in it; yield the jobs' folders, which may have had files before."""
        try:
            watched[inotify.add_watch(path, mask)] = path, depth
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                return  # gone again, or nobody's log
            raise
        if depth == _DEPTH:
            yield path
            return
        try:
            inside = [entry.path for entry in os.scandir(path) if entry.is_dir()]
        except OSError:
            return
        for one in inside:
            yield from watch(one, depth + 1)

    def told(found: Iterable[tuple[int, int, int, str]]) -> Iterator[tuple[bool, str]]:
        for number, what, _, name in found:
            if what & flags.Q_OVERFLOW:  # more than the system keeps: anything may have changed
                watched.clear()
                yield from ((False, path) for path in watch(folder, 0))
            elif what & flags.IGNORED:
                watched.pop(number, None)
            elif number in watched:
                path, depth = watched[number]
                path = f"{path}/{name}"
                if depth == _DEPTH:
                    yield bool(what & flags.MODIFY), path
                elif what & flags.ISDIR and what & (flags.CREATE | flags.MOVED_TO):
                    yield from ((False, one) for one in watch(path, depth + 1))

    with INotify() as inotify:
        for _ in watch(folder, 0):
            pass
        yield []
        while not stop.is_set():
            found = list(inotify.read(_LOOK))
            changed = list(dict.fromkeys(told(found)))
            if changed or not found:
                yield changed
