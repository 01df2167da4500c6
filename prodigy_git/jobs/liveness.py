"""What can be said of a process that somebody else recorded: it lives, it is gone, or neither.

A process id means something in its namespace, during one run of its machine; a host name is no
machine's own. What cannot be proved is said by None: who calls a living process dead gives its work
away.
"""

import contextlib
import functools
import os
from typing import Any

from prodigy_git import digest
from prodigy_git.record import cursor, files
from prodigy_git.record.conversations import bindings, what_follows

_CLOCK_TICK = 0.02  # seconds by which two readings of a process's start may differ
_INITIAL = "pid:[4026531836]"  # PROC_PID_INIT_INO of the kernel, the same on every system
_LOCAL = frozenset(
    ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs", "reiserfs", "overlay",
     "tmpfs", "apfs", "hfs")
)  # fmt: skip
"""Filesystems that no two running kernels have mounted at once."""


def described(pid: int) -> dict[str, Any] | None:
    """Return what a process is known by, as events and sessions have it; None where there is none.

    ``host``, ``pid``, ``pid_started`` (seconds since 1970) and, on Linux, ``pid_ticks`` (its start in
    clock ticks since the boot, which no clock change moves), ``pid_namespace``, ``boot``, ``machine``.
    """
    known: dict[str, Any] = {
        "host": os.uname().nodename, "pid": pid, "pid_namespace": _namespace(),
        "boot": cursor.boot_id() or None, "machine": _machine(),
    }  # fmt: skip
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError, ValueError):
        return None
    except PermissionError:
        pass  # another user's
    else:
        if _proc_is_ours():
            ticks = known["pid_ticks"] = _ticks(str(pid))
            try:
                known["pid_started"] = _began(pid, ticks)
            except ProcessLookupError:
                return None
    return {name: value for name, value in known.items() if value is not None}


def alive(store: str, known: dict[str, Any]) -> bool | None:
    """Whether a process, as `described`, is still there; None where that cannot be told from here.

    ``store`` is where it was recorded.
    """
    pid = known.get("pid")
    if known.get("host") != os.uname().nodename or not isinstance(pid, int) or pid < 1:
        return None
    boot, namespace = known.get("boot"), known.get("pid_namespace")
    if boot and cursor.boot_id() and boot != cursor.boot_id():
        return False if _was_here(store, known) else None
    if namespace == _namespace():
        return _here(pid, known)
    if namespace is not None:
        return _below(pid, known)
    # An earlier version recorded it. Outside of containers it can be seen, unless it was in one.
    found = _here(pid, known)
    return found if found or (_namespace() or "").startswith(_INITIAL) else None


def program_alive(
    store: str, state: dict[str, Any], program: str, program_session: str
) -> bool | None:
    """Whether the process of an agent program's session is still there; None: that is not known.

    ``state`` is what was told of the worktree's activity (`telling.state_of`): what has called our hook
    only once has passed the call on, perhaps.
    """
    known = bindings.process(store, program, program_session)
    lives = None if known is None else alive(store, known)
    if known is None or lives is not False:
        return lives
    name = what_follows.name_of(program, program_session)
    by = f"{known.get('pid')}:{known.get('pid_ticks')}"
    return False if what_follows.is_the_programs(state, name, by) else None


def elsewhere(known: dict[str, Any]) -> str | None:
    """Return in words where a process is, as `described`; None where its number means something."""
    if known.get("host") != os.uname().nodename:
        return f"on host {known.get('host') or 'unknown'}"
    if known.get("boot") != (cursor.boot_id() or None):
        return "on another machine, or ran before this one was started"
    if known.get("pid_namespace") != _namespace():
        return "in another container (process namespace)"
    return None


def is_it(known: dict[str, Any]) -> bool:
    """Whether the process that has this number here is certainly the one `described`."""
    pid, ticks, started = known.get("pid"), known.get("pid_ticks"), known.get("pid_started")
    certain = isinstance(ticks, int) or isinstance(started, int | float)
    return (
        certain and isinstance(pid, int) and elsewhere(known) is None and _here(pid, known) is True
    )


def _here(pid: int, known: dict[str, Any]) -> bool | None:
    """Whether a process of this namespace is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    except OverflowError:
        return None
    if not _proc_is_ours():
        return True if pid == os.getpid() else None
    ticks, started = known.get("pid_ticks"), known.get("pid_started")
    if isinstance(ticks, int):
        now = _ticks(str(pid))
        # /proc may hide other users' processes (hidepid): this one was there a moment ago.
        return None if now is None else now == ticks
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        begun = process.create_time()
    except (psutil.Error, OverflowError, ValueError):
        return None
    return not isinstance(started, int | float) or abs(begun - started) <= _CLOCK_TICK


def _below(pid: int, known: dict[str, Any]) -> bool | None:
    """Whether a process of another namespace is there, as far as that one is below this one."""
    ticks, ours = known.get("pid_ticks"), _namespace()
    theirs, _, time_there = str(known.get("pid_namespace")).partition(" ")
    if not isinstance(ticks, int) or ours is None or ours.partition(" ")[2] != time_there:
        return None
    if not _proc_is_ours() or _ticks("1") is None:
        return None  # /proc does not show all there is
    below = ours.startswith(_INITIAL)
    for name in filter(str.isdigit, os.listdir("/proc")):
        found = _link(f"/proc/{name}/ns/pid")
        below = below or found == theirs
        if found in (theirs, None) and _ticks(name) == ticks and _innermost(name) == pid:
            return True
    return False if below else None


def _ticks(name: str) -> int | None:
    """Return when a process of /proc began; None where there is none, -1 where it has ended."""
    try:
        state, *fields = files.read(f"/proc/{name}/stat").rpartition(b")")[2].split()
        return -1 if state in (b"Z", b"X") else int(fields[18])
    except (OSError, ValueError, IndexError):
        return None


def _began(pid: int, ticks: int | None) -> float | None:
    """Return when a process began, in seconds since 1970; None where that is not told.

    Raises `ProcessLookupError` where there is none.
    """
    if ticks is not None and ticks >= 0:
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in files.read("/proc/stat").split(b"\n"):
                if line.startswith(b"btime "):
                    return int(line.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")
    import psutil  # takes longer than all that is asked of it

    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess as error:
        raise ProcessLookupError(pid) from error
    except (psutil.Error, OSError):
        return None  # another user's


def _innermost(name: str) -> int | None:
    """Return the id that a process has in its own namespace."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in files.read(f"/proc/{name}/status").split(b"\n"):
            if line.startswith(b"NSpid:"):
                return int(line.split()[-1])
    return None


def _namespace() -> str | None:
    """Return what tells this process's numbers from those of other namespaces; None: there are none."""
    pids, times = _link("/proc/self/ns/pid"), _link("/proc/self/ns/time")
    return pids if pids is None or times is None else f"{pids} {times}"


def _proc_is_ours() -> bool:
    """Whether /proc numbers processes as this one does: it may be that of a namespace above."""
    return _link("/proc/self") == str(os.getpid())


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


@functools.cache
def _machine() -> str | None:
    """Return what stands for this machine's id, which is not to be shown itself (machine-id(5))."""
    try:
        found = files.read("/etc/machine-id").strip()
    except OSError:
        return None
    return digest.sha256_hex(b"prodigy-git\0" + found)[:32] if found else None


def _was_here(store: str, known: dict[str, Any]) -> bool:
    """Whether a process of another boot was certainly one of this machine's earlier boots.

    Name and id are copied with an image. But then its store is a copy as well, unless it is shared: and
    what two kernels can have at once is none of the filesystems that are asked for.
    """
    if _machine() is None or known.get("machine") != _machine():
        return False
    import psutil

    path = os.path.realpath(store)
    kind, longest = "", -1
    for one in psutil.disk_partitions(all=True):
        point = one.mountpoint.rstrip("/")
        if (path == point or path.startswith(f"{point}/")) and len(point) >= longest:
            kind, longest = one.fstype, len(point)
    return kind in _LOCAL
