"""Whether a run of Prodigy's goes on: told by processes, its lock, and how fresh its files are.

Prodigy writes down no process for a run. While it lasts it holds the run's event log open, its agents'
commands stand in their worktrees, and ``prodigy resume`` has a lock with its process and host in it.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from prodigy_git import layout
from prodigy_git.prodigy import reading
from prodigy_git.prodigy.reading import number, text
from prodigy_git.prodigy.runs import Run

FRESH = 600
"""Seconds for which the files of a run that has not ended say that it may go on, on another host."""


@dataclass(frozen=True)
class Stander:
    """A live process: where it stands, and for one of Prodigy's the files that it has open."""

    pid: int
    name: str
    cwd: str
    opened: tuple[str, ...] = ()


def standers() -> list[Stander]:
    """Return the live processes that can be seen, without those that this one descends from."""
    import psutil  # takes longer than most of what a command does

    own = {os.getpid()}
    with contextlib.suppress(psutil.Error):
        own |= {one.pid for one in psutil.Process().parents()}
    found = []
    for one in psutil.process_iter():
        try:
            if one.pid in own or one.status() == psutil.STATUS_ZOMBIE:
                continue
            name = one.name()
            opened = (
                tuple(file.path for file in one.open_files()) if name.startswith("prodigy") else ()
            )
            found.append(Stander(one.pid, name, one.cwd(), opened))
        except (psutil.Error, OSError):
            continue  # it has ended, or is another user's: then the files say how fresh they are
    return found


def goes_on(store: str, run: Run, there: list[Stander], *, doubt: bool = True) -> str | None:
    """Return why a run may go on, as the end of a sentence; None where it is over.

    ``there`` are `standers`. Without ``doubt`` files that were written lately do not count: somebody
    has said that it is over.
    """
    for name in dict.fromkeys((run.session_id, run.job_id)):
        held = None if name is None else _lock(store, name)
        if held is not None:
            return held
    for one in there:
        if any(path.startswith(f"{run.events}/") for path in one.opened):
            return f"process {one.pid} ({one.name}) has its log open"
        where = next((path for path in _folders(store, run) if _within(one.cwd, path)), None)
        if where is not None:
            return f"process {one.pid} ({one.name}) stands in {where}"
        if run.state == "open" and one.name == "prodigy" and _is_at(one.cwd, run.common):
            return f"process {one.pid} (prodigy) is at work in its repository"
    age = _age(store, run) if run.state == "open" and doubt else None
    if age is not None and age < FRESH:
        ago = max(0, int(age))
        return f"its files were written {ago} s ago, and it has not ended: name it if it is over"
    return None


def _lock(store: str, name: str) -> str | None:
    path = f"{store}/resume_locks/{name}.lock"
    fields = reading.document(store, path, reading.quiet)
    if fields is None:
        return None
    pid, host = number(fields, "process_id"), text(fields, "hostname")
    if host == os.uname().nodename and not _is_alive(pid):
        return None
    return f"process {pid} on {host or 'some host'} holds {path}"


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # another user's
    return True


def _folders(store: str, run: Run) -> Iterator[str]:
    if run.worktree is not None:
        yield os.path.realpath(run.worktree)
    if run.kind == "MapReduce" and run.session_id is not None:
        yield os.path.realpath(layout.worktrees(store, run.key))


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _is_at(cwd: str, common: str | None) -> bool:
    """Whether a folder lies in the working tree of a repository's main worktree."""
    top = None if common is None else os.path.dirname(common)
    return top is not None and common == f"{top}/.git" and _within(cwd, top)


def _age(store: str, run: Run) -> float | None:
    """Return how many seconds ago the newest of a run's files was written; None: there are none."""
    paths = []
    if run.session_id is not None:
        paths.append(layout.session(store, run.session_id))
    if run.worktree is not None:
        above, name = os.path.split(run.worktree)
        paths += [run.worktree, f"{above}/.metadata/{name}.json"]
    for folder in (run.events, *run.queues, run.checkpoints, *_agents(store, run)):
        paths.append(folder)
        paths += [
            f"{folder}/{name}" for name in _listed(folder) if name.endswith((".json", ".jsonl"))
        ]
    times = []
    for path in paths:
        try:
            times.append(os.lstat(path).st_mtime)
        except OSError:
            continue
    return time.time() - max(times) if times else None


def _agents(store: str, run: Run) -> list[str]:
    if run.session_id is None or run.kind != "MapReduce":
        return []
    folder = layout.worktrees(store, run.key)
    names = reading.folders(store, folder, reading.quiet)
    return [f"{folder}/.metadata", *(f"{folder}/{name}" for name in names)]


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
