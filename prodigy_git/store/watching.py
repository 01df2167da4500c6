"""Being told of what changes below the event logs' folder, two levels of folders deep.

On Linux by inotify(7) itself: waiting costs nothing and ends with the change. watchfiles, which is used
elsewhere, sleeps for a few milliseconds again and again, also where nothing happens, and takes a second
to begin with ten thousand folders.
"""

import ctypes
import errno
import os
import select
import struct
import sys
import threading
from collections.abc import Iterator

from prodigy_git.store.stream import Broken

Told = list[tuple[bool, str]]
"""What has changed, (whether a file there has only been written to, path)."""

_LOOK = 1000  # milliseconds, after which nothing is told where nothing has changed
_SETTLE, _STEP = 10, 5  # milliseconds, as watchfiles takes them
_DEPTH = 2  # repositories, and jobs in them

_MODIFY, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x2, 0x40, 0x80, 0x100, 0x200
_OVERFLOW, _IGNORED, _ONLY_FOLDERS, _IS_FOLDER = 0x4000, 0x8000, 0x01000000, 0x40000000
_MASK = _MODIFY | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _ONLY_FOLDERS
_HEAD = struct.Struct("iIII")


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
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    watched: dict[int, tuple[str, int]] = {}

    def watch(path: str, depth: int) -> Iterator[str]:
        """Watch a folder and those in it; yield the jobs' folders, which may have had files before."""
        number = libc.inotify_add_watch(descriptor, os.fsencode(path), _MASK)
        if number < 0:
            code = ctypes.get_errno()
            if code in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                return  # gone again, or nobody's log
            raise OSError(code, os.strerror(code))
        watched[number] = path, depth
        if depth == _DEPTH:
            yield path
            return
        try:
            inside = [entry.path for entry in os.scandir(path) if entry.is_dir()]
        except OSError:
            return
        for one in inside:
            yield from watch(one, depth + 1)

    def told(data: bytes) -> Iterator[tuple[bool, str]]:
        at = 0
        while at < len(data):
            number, mask, _, length = _HEAD.unpack_from(data, at)
            name = os.fsdecode(data[at + _HEAD.size : at + _HEAD.size + length].rstrip(b"\0"))
            at += _HEAD.size + length
            if mask & _OVERFLOW:  # more than the system keeps: anything may have changed
                watched.clear()
                yield from ((False, path) for path in watch(folder, 0))
            elif mask & _IGNORED:
                watched.pop(number, None)
            elif number in watched:
                path, depth = watched[number]
                path = f"{path}/{name}"
                if depth == _DEPTH:
                    yield bool(mask & _MODIFY), path
                elif mask & _IS_FOLDER and mask & (_CREATE | _MOVED_TO):
                    yield from ((False, one) for one in watch(path, depth + 1))

    try:
        for _ in watch(folder, 0):
            pass
        yield []
        ready = select.poll()
        ready.register(descriptor, select.POLLIN)
        while not stop.is_set():
            if not ready.poll(_LOOK):
                yield []
                continue
            found = dict.fromkeys(told(os.read(descriptor, 1 << 16)))
            if found:
                yield list(found)
    finally:
        os.close(descriptor)
