"""Who is in a worktree: live processes, as far as they can be seen, and git commands that hold a lock.

A process is in a worktree if its working directory is, by whatever path: the same folder has another
one behind a bind mount or in a container. So folders are compared by device and path within the
filesystem (`mounts`), in each mount namespace once.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import psutil

from prodigy_git.cleanup.folders import mounts
from prodigy_git.cleanup.folders.mounts import Namespace, Spot
from prodigy_git.errors import ProdigyError
from prodigy_git.model.session import Session
from prodigy_git.record.gitdir import Place

YOUNG = 60
"""Seconds for which a lock file of git's is taken for one in use."""

_SAME_START = 10  # seconds; a clock that was set meanwhile moves what psutil computes from it
_FIRST_PIDS = "pid:[4026531836]"  # PROC_PID_INIT_INO: the namespace that has all processes
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD
_NOT_LISTED = re.compile(r"(?:^|,)hidepid=(2|4|invisible|ptraceable)(?:,|$)")
_GROUP = re.compile(r"(?:^|,)gid=([0-9]+)(?:,|$)")
_STANDS = "stands in it"


@dataclass(frozen=True)
class Process:
    """A live process: its id, name, and what it has to do with the worktree."""

    pid: int
    name: str
    why: str


@dataclass
class Sight:
    """What can be seen of all live processes, and what cannot.

    ``own`` are our mounts, None where the system has no list. ``there`` has (process id, what it does)
    by each folder that a working directory, or the source of a mount elsewhere, lies in; ``inodes`` the
    same by device and inode, for processes whose mounts are not told. ``unseen`` is how many processes
    could not be looked at; ``why`` says so in words, and what else is out of sight.
    """

    own: Namespace | None = None
    there: dict[Spot, list[tuple[int, str]]] = field(default_factory=dict)
    inodes: dict[tuple[int, int], list[tuple[int, str]]] = field(default_factory=dict)
    unseen: int = 0
    why: list[str] = field(default_factory=list)


def scan() -> Sight:
    """Look at all live processes; nobody is asked about one worktree alone, so once for many.

    Without those that this command descends from: a shell that stands in a worktree and asks for it
    to be cleaned is not in the way of that. Raises `ProdigyError` where none can be looked at.
    """
    sight = Sight(mounts.own())
    if sight.own is None:
        _scan_anywhere(sight)
    else:
        _scan_proc(sight, sight.own)
    if sight.unseen:
        processes = "process" if sight.unseen == 1 else "processes"
        sight.why.insert(0, f"{sight.unseen} {processes} of other users")
    return sight


def _note(sight: Sight, spot: Spot, pid: int, what: str) -> None:
    device, path = spot
    for folder in mounts.folders(path):
        sight.there.setdefault((device, folder), []).append((pid, what))


def _scan_anywhere(sight: Sight) -> None:
    """Look by what psutil knows, on systems without mount namespaces."""
    asking = _asking()
    try:
        running = list(psutil.process_iter())
    except (psutil.Error, OSError, LookupError) as error:  # as in a chroot without /proc
        raise ProdigyError(
            "nobody can tell here which processes stand in a worktree: is /proc mounted?"
        ) from error
    for process in running:
        if process.pid in asking:
            continue
        try:
            cwd = process.cwd()  # the kernel tells it without links; a zombie has none
        except psutil.AccessDenied:
            sight.unseen += 1
            continue
        except (psutil.Error, OSError):
            continue
        if cwd:
            _note(sight, ("", cwd), process.pid, _STANDS)


def _scan_proc(sight: Sight, own: Namespace) -> None:
    """Look by /proc itself: psutil asks for more of each process than is needed of hundreds."""
    asking = _asking()
    here = _link("self/ns/mnt")
    # By what tells one namespace from another, the root of a process that is shut into a folder too.
    known: dict[tuple[str, str], Namespace] = {}
    seen: set[bytes] = {_first_mount("self")}
    spots: dict[str, Spot] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        pid = int(name)
        if pid in asking:
            continue
        try:
            cwd = os.readlink(f"/proc/{name}/cwd")
            namespace = os.readlink(f"/proc/{name}/ns/mnt")
            if namespace == here:
                if cwd not in spots:
                    spots[cwd] = mounts.spot(own, cwd)
                _note(sight, spots[cwd], pid, _STANDS)
                continue
            root = os.readlink(f"/proc/{name}/root")
            if (namespace, root) not in known:
                known[namespace, root] = _of_process(name, root)
                _note_mounts(sight, known[namespace, root], pid)
                seen.add(_first_mount(name))
            spot = mounts.spot(known[namespace, root], cwd)
            if spot[0]:
                _note(sight, spot, pid, _STANDS)
            else:
                _note_inodes(sight, pid)
        except PermissionError:
            if _is_kernels(name):
                continue
            sight.unseen += 1
            # Its mounts are no secret: they tell of containers that hold a worktree.
            first = _first_mount(name)
            if first not in seen:
                seen.add(first)
                _note_mounts(sight, _of_process(name, "/"), pid)
        except OSError:
            continue  # a zombie, or gone meanwhile
    sight.why += _out_of_sight(own)


def _note_inodes(sight: Sight, pid: int) -> None:
    """Note a process that is shut into a folder: the mount that this lies on is not told."""
    path, last = f"/proc/{pid}/cwd", (-1, -1)
    while True:
        about = os.stat(path)  # the link is followed to the folder itself, and `..` from there
        if last == (about.st_dev, about.st_ino):
            return
        last = about.st_dev, about.st_ino
        sight.inodes.setdefault(last, []).append((pid, _STANDS))
        path += "/.."


def _of_process(name: str, root: str) -> Namespace:
    try:
        with open(f"/proc/{name}/mountinfo", "rb") as stream:
            return mounts.parse(stream.read(), root)
    except OSError:
        return Namespace()


def _first_mount(name: str) -> bytes:
    """Return the first mount's number, which no other namespace has; empty where it is not told."""
    try:
        with open(f"/proc/{name}/mountinfo", "rb", buffering=0) as stream:
            return stream.read(16).partition(b" ")[0]
    except OSError:
        return b""


def _note_mounts(sight: Sight, other: Namespace, pid: int) -> None:
    for one in other.mounts.values():
        _note(sight, (one.device, one.root), pid, f"has it mounted at {one.point}")


def _is_kernels(name: str) -> bool:
    """Whether a process is a thread of the kernel, which has no business in a worktree."""
    try:
        with open(f"/proc/{name}/stat", "rb") as stream:
            # The name in parentheses may hold blanks and parentheses (proc(5)).
            return bool(int(stream.read().rpartition(b")")[2].split()[6]) & _KERNEL_THREAD)
    except (OSError, ValueError, IndexError):
        return False


def _out_of_sight(own: Namespace) -> list[str]:
    """Return, in words, which processes are not even listed."""
    found = []
    proc = mounts.mount_of(own, "/proc")
    options = "" if proc is None else proc.options
    hides, group = _NOT_LISTED.search(options), _GROUP.search(options)
    # One group is let see them (proc(5)): root's, if nothing else is said.
    member = (int(group[1]) if group else 0) in (*os.getgroups(), os.getegid())
    exempt = os.geteuid() == 0 or (member and hides is not None and hides[1] in ("2", "invisible"))
    if hides is not None and not exempt:
        found.append("processes of other users that /proc hides (hidepid)")
    # A /proc of the first namespace may be seen from a later one; only there are kernel threads.
    if _link("self/ns/pid") != _FIRST_PIDS and not _is_kernels("2"):
        found.append("processes outside of this container (PID namespace)")
    return found


def _link(name: str) -> str:
    try:
        return os.readlink(f"/proc/{name}")
    except OSError:
        return ""


def inside(place: Place, sight: Sight) -> list[Process]:
    """Return the processes that stand in a worktree or its private git directory, or mount it."""
    found: dict[int, str] = {}
    for path in (place.top, place.private):
        if path != place.common:
            # The kernel tells paths without symlinks.
            there = sight.there.get(mounts.spot(sight.own, os.path.realpath(path)), [])
            if sight.inodes and os.path.isdir(path):
                about = os.stat(path)
                there = there + sight.inodes.get((about.st_dev, about.st_ino), [])
            for pid, what in there:
                found[pid] = what if what == _STANDS else found.get(pid, what)
    named = ((pid, _name(pid), what) for pid, what in sorted(found.items()))
    return [Process(pid, name, what) for pid, name, what in named if name is not None]


def _name(pid: int) -> str | None:
    """Return a process's name; None for one that has ended meanwhile."""
    try:
        return psutil.Process(pid).name()
    except (psutil.NoSuchProcess, ValueError):
        return None
    except (psutil.Error, OSError):
        return "a process"


def recorded(found: Session) -> Process | None:
    """Return the process that a session was started by, where it lives and the session has not ended.

    None on another host, for a process id that is used again, and for a process that this very command
    descends from: that is who asks for the removal.
    """
    pid, started = found.metadata.get("pid"), found.metadata.get("pid_started")
    if found.ended or found.text("host") != os.uname().nodename:
        return None
    if not isinstance(pid, int) or not isinstance(started, int | float):
        return None
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - started) > _SAME_START:
            return None
        if process.status() == psutil.STATUS_ZOMBIE or pid in _ancestors():
            return None
        return Process(pid, process.name(), "started its session")
    except (psutil.Error, OSError, ValueError, OverflowError):
        return None


def away(found: Session | None) -> list[str]:
    """Return, in words, what of a session's own processes is on another machine."""
    host = None if found is None else found.text("host")
    if host in (None, os.uname().nodename):
        return []
    return [f"processes on {host}, where its session began"]


_programs: list[int] = []
"""Whose processes are in nobody's way: see `asked_by`."""


@contextlib.contextmanager
def asked_by(pid: int | None) -> Iterator[None]:
    """Have processes that a program started not be in the way of what that program asks for.

    Only if this command descends from it, and it is not the system's first process. They go on,
    wherever their folder is.
    """
    if pid is None or pid <= 1:
        yield
        return
    _programs.append(pid)
    try:
        yield
    finally:
        _programs.remove(pid)


def _asking() -> set[int]:
    """Return the processes whose wish is what this command does, as /proc numbers them."""
    found = _ancestors()
    for pid in _programs:
        if pid in found:
            with contextlib.suppress(psutil.Error, OSError):
                found.update(one.pid for one in psutil.Process(pid).children(recursive=True))
    return found


def _ancestors() -> set[int]:
    """Return the ids of this process and those that it descends from, as /proc numbers them."""
    found = set()
    # A /proc may be another PID namespace's: there we have another number.
    pid = int(_link("self") or os.getpid())
    while pid and pid not in found:
        found.add(pid)
        try:
            pid = psutil.Process(pid).ppid()
        except (psutil.Error, OSError):
            break
    return found


def git_locks(place: Place, branch: str | None) -> tuple[list[str], list[str]]:
    """Return git's lock files in a private directory, and its branch's: young ones, old ones.

    A young one belongs to a command that is running, an old one most likely to one that was killed.
    """
    young: list[str] = []
    old: list[str] = []
    for path in _locks(place, branch):
        try:
            # A time in the future is a clock that was wrong: not young for ever.
            age = time.time() - os.lstat(path).st_mtime
        except OSError:
            continue  # gone meanwhile
        (young if abs(age) < YOUNG else old).append(os.path.basename(path))
    return young, old


def _locks(place: Place, branch: str | None) -> Iterator[str]:
    try:
        for name in sorted(os.listdir(place.private)):
            if name.endswith(".lock"):
                yield f"{place.private}/{name}"
    except OSError:
        return
    if branch is not None:
        path = f"{place.common}/refs/heads/{branch}.lock"
        if os.path.lexists(path):
            yield path
