"""Process groups: everything that a command of ours has started, ended together.

A number of a process says nothing for long: it is given out again. So a group is ended only where its
first process is the one that was recorded (`liveness`), or where its processes carry, in their
environment, a mark that was made for them.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil

MARK = "PRODIGY_SETUP_MARK"
"""The environment variable by which the processes of one worktree's set-up are known."""
_DYING = 2.0  # seconds that the system may take for what was killed
_GRACE = 5.0  # seconds between asking for the end and enforcing it


@contextlib.contextmanager
def signals_held_back() -> Iterator[None]:
    """Let a signal that arrives meanwhile act at the end only.

    One that interrupts `subprocess.Popen` leaves a process behind that nobody has a name for.
    """
    held: list[int] = []
    previous = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            if callable(signal.getsignal(number)):
                previous[number] = signal.signal(number, lambda came, _: held.append(came))
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for came in held:  # also where something fails in there: it was asked for all the same
            signal.raise_signal(came)


def wait(leader: "subprocess.Popen[bytes]", limit: float | None) -> bool:
    """Wait until a child has ended, and leave it to be waited for; False where it took too long.

    Until then its number is nobody else's, and with it that of its group.
    """
    until = None if limit is None else time.monotonic() + limit
    pause = 0.001
    while not _has_ended(leader):
        left = pause if until is None else until - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(2 * pause, 0.05)
    return True


def _has_ended(child: "subprocess.Popen[bytes]") -> bool:
    if child.returncode is not None or not hasattr(os, "waitid"):  # which macOS has of late only
        return child.poll() is not None
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def end_child(leader: "subprocess.Popen[bytes]", grace: float = _GRACE) -> None:
    """End a child that leads a process group, and the group; by force what does not heed a request."""
    if leader.returncode is None:
        _send(leader.pid, signal.SIGTERM)
        until = time.monotonic() + grace
        wait(leader, grace)
        end_group(leader.pid, grace=max(0.0, until - time.monotonic()), asked=True)
    leader.wait()


def end_group(group: int, *, grace: float = _GRACE, asked: bool = False) -> int:
    """End the processes of a group that is surely ours; return how many those were.

    ``asked``: they have had their request to end. The group's first process is there, at least as one
    that is still to be waited for: so its number is nobody else's.
    """
    there = _members(group)
    count = len(there)
    if there and not asked:
        _send(group, signal.SIGTERM)
    until = time.monotonic() + grace
    while there and time.monotonic() < until:
        time.sleep(0.02)
        there = _members(group)
    if there:
        _send(group, signal.SIGKILL)
        # Which acts a moment later: whoever looks next is to find them gone.
        until = time.monotonic() + _DYING
        while any(map(_runs, there)) and time.monotonic() < until:
            time.sleep(0.002)
    return count


def end_recorded(store: str, known: dict[str, Any], mark: str) -> tuple[int, bool]:
    """End a group by its first process, as `liveness.described` had it; return how many ended.

    Second: whether that is all; False where it cannot be told from here whether it is still there.
    """
    from prodigy_git.jobs import liveness

    group = known.get("pid")
    alive = liveness.alive(store, known)
    if alive is None or not isinstance(group, int) or group < 2:
        return 0, False
    if alive:
        return end_group(group), True
    # The first has ended. What it started may go on, in the group whose number nobody else gets
    # meanwhile; but if nothing of it went on, that number may be anybody's by now.
    there = [process for process in _members(group) if is_marked(process, mark)]
    for process in there:
        _ask_to_end(process)
    until = time.monotonic() + _GRACE
    while time.monotonic() < until and any(map(_runs, there)):
        time.sleep(0.02)
    for process in filter(_runs, there):
        _kill(process)
    return len(there), True


def marked_leaders(mark: str) -> list[int]:
    """Return the groups of processes that carry a mark: also of one that could not be recorded."""
    import psutil

    groups = set()
    for process in psutil.process_iter():
        if is_marked(process, mark):
            with contextlib.suppress(OSError):
                groups.add(os.getpgid(process.pid))
    return sorted(groups - {os.getpgrp()})


def is_marked(process: "psutil.Process", mark: str) -> bool:
    """Whether a process carries a mark, as far as its environment may be read."""
    import psutil

    try:
        return process.environ().get(MARK) == mark
    except (psutil.Error, OSError):
        return False


def _members(group: int) -> "list[psutil.Process]":
    import psutil

    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return []
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            # One that has ended stays in its group until its parent asks for it.
            if os.getpgid(process.pid) == group and _runs(process):
                found.append(process)
    return found


def _runs(process: "psutil.Process") -> bool:
    import psutil

    try:
        # psutil looks at when it began: a number that was given out again is another's.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _ask_to_end(process: "psutil.Process") -> None:
    import psutil

    with contextlib.suppress(psutil.Error):
        process.terminate()


def _kill(process: "psutil.Process") -> None:
    import psutil

    with contextlib.suppress(psutil.Error):
        process.kill()


def _send(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
