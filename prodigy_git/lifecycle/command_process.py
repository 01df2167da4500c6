"""Which process a command of `run` is, noted beside its log, so that others can end it, and only it.

A number alone is no proof, since it may be another process's by now. The first process of a command is
known by its start, boot and namespace; those of its session, once that one is gone, by the session's id
in their environment.
"""

import contextlib
import json
import os
import signal
import time
from dataclasses import dataclass
from typing import Any

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import liveness
from prodigy_git.record import files

GRACE = 10.0  # seconds between asking for the end and enforcing it
_LARGEST = 1 << 16  # bytes of a note


@dataclass(frozen=True)
class Command:
    """A command's first process and the worker's that started it, as `liveness.described`."""

    session_id: str
    process: dict[str, Any]
    worker: dict[str, Any]
    alone: bool
    """Whether it has a session of processes of its own; else it shares its worker's terminal."""
    uid: int
    """Whose the note is."""
    agent_id: str
    item_id: str
    attempt: int
    """What it works on; of a note of an earlier version empty, and 0."""


def _path(store: str, repo: str, job: str, session: str) -> str:
    return f"{layout.run_log(store, repo, job, session).removesuffix('.log')}.process.json"


def note(
    store: str, repo: str, job: str, session: str, pid: int, *, alone: bool, agent: str, item: str,
    attempt: int,
) -> None:  # fmt: skip
    """Note which process a session's command is, and what it works on. Raises `OSError`."""
    found = {
        "process": liveness.described(pid), "worker": liveness.described(os.getpid()), "alone": alone,
        "agent_id": agent, "item_id": item, "attempt": attempt,
    }  # fmt: skip
    if found["process"] is not None:  # else it has ended already
        files.replace(_path(store, repo, job, session), json.dumps(found).encode("ascii"))


def forget(store: str, repo: str, job: str, session: str) -> None:
    """Take the note away: the command has ended."""
    with contextlib.suppress(OSError):
        os.unlink(_path(store, repo, job, session))


def find(store: str, repo: str, job: str, session: str) -> Command | None:
    """Return a session's command, as it was noted; None where nothing is. Raises `ProdigyError`."""
    path = _path(store, repo, job, session)
    try:
        descriptor, about = files.opened(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            said = json.loads(os.read(descriptor, _LARGEST))
        finally:
            os.close(descriptor)
        process, worker, alone = said["process"], said["worker"], said["alone"]
        if not isinstance(process["pid"], int) or not isinstance(worker, dict):
            raise ValueError("it names no process")
        agent, item = str(said.get("agent_id", "")), str(said.get("item_id", ""))
        attempt = int(said.get("attempt", 0))
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise ProdigyError(f"it is another user's: {path} cannot be read") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProdigyError(
            f"{path} is damaged ({error}): which process it is cannot be told"
        ) from None
    return Command(session, process, worker, bool(alone), about.st_uid, agent, item, attempt)


def noted(store: str, repo: str, job: str) -> list[Command]:
    """Return a job's commands that are there, also of items that others have ended meanwhile."""
    folder, end = os.path.dirname(_path(store, repo, job, "any")), ".process.json"
    found = []
    with contextlib.suppress(OSError):  # most jobs have no such folder
        for name in sorted(os.listdir(folder)):
            # What cannot be read, or is elsewhere, is refused where it is asked for by name.
            with contextlib.suppress(ProdigyError):
                session = name.removesuffix(end)
                command = find(store, repo, job, session) if session != name else None
                if command is not None and command.item_id and Ending(command).alive():
                    found.append(command)
    return found


def send(store: str, repo: str, job: str, session: str, number: int) -> int:
    """Send all processes of a session's command a signal (0: none); return how many there are.

    Also those that have made a session of their own: for who may not leave one. They bear its id in
    their environment.
    """
    import psutil

    command = None
    with contextlib.suppress(ProdigyError):
        command = find(store, repo, job, session)
    first = None
    if command is not None and command.alone and liveness.is_it(command.process):
        first = command.process["pid"]
    count = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if os.getsid(process.pid) == first or _bears(process, session):
                count += 1
                if number:
                    process.send_signal(number)  # not where its number is another's by now
    return count


def _bears(process: Any, session: str) -> bool:
    return bool(process.environ().get("PRODIGY_SESSION_ID") == session)


class Ending:
    """Ends a command: its processes are asked to end, and after a while it is enforced."""

    def __init__(self, command: Command, grace: float = GRACE) -> None:
        """Begin with nothing; ``grace`` is in seconds. Raises `ProdigyError` where it is not here."""
        strange = liveness.elsewhere(command.process)
        if strange is not None:
            raise ProdigyError(f"it runs {strange}: stop it from there")
        self.enforced = False
        """Whether it did not end when it was asked to."""
        self._command = command
        self._grace = grace
        self._until: float | None = None

    def alive(self) -> bool:
        """Whether any of its processes is there."""
        return bool(self._members())

    def go_on(self) -> bool:
        """Send what is due by now; return whether all have ended.

        Raises `ProdigyError` where they are another user's.
        """
        found = self._members()
        if not found:
            return True
        now = time.monotonic()
        if self._until is None:
            self._until = now + self._grace
            # A stopped one takes the signal when it is continued.
            self._send(found, signal.SIGTERM, signal.SIGCONT)
        elif now >= self._until:
            self.enforced = True
            self._send(found, signal.SIGKILL)
        return False

    def _send(self, found: list[Any], *numbers: int) -> None:
        import psutil

        for process in found:
            try:
                for number in numbers:
                    process.send_signal(number)  # not where its number is another's by now
            except psutil.NoSuchProcess:
                continue
            except (psutil.AccessDenied, PermissionError) as error:
                raise ProdigyError(
                    f"process {process.pid} is another user's: only that user, or root, can stop it"
                ) from error

    def _members(self) -> list[Any]:
        import psutil

        first = self._command.process["pid"]
        proven = liveness.is_it(self._command.process)
        found = []
        for process in psutil.process_iter():
            try:
                if self._command.alone:
                    if os.getsid(process.pid) != first:
                        continue
                elif process.pid != first and first not in (one.pid for one in process.parents()):
                    continue
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if not (proven or _bears(process, self._command.session_id)):
                    continue
                self._check_user(process)
            except (psutil.Error, OSError):
                continue
            found.append(process)
        return found

    def _check_user(self, process: Any) -> None:
        """Root ends no process on the word of another user's file, but that user's own."""
        if os.geteuid() == 0 and self._command.uid not in (0, process.uids().real):
            raise ProdigyError(
                f"process {process.pid} is not of the user whose note names it: nothing was ended"
            )
