"""Commands that are run in the workplace: the check of a merged tree, and what resolves a conflict.

They are no part of us: they get a session of their own, no lock, and their output goes to a log.
"""

import contextlib
import os
from collections import deque
from dataclasses import dataclass

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.lifecycle import process
from prodigy_git.lifecycle.command_environment import environment
from prodigy_git.lifecycle.interrupts import Signals
from prodigy_git.lifecycle.sinks import Ours, Sink
from prodigy_git.merging.queue.target import Target
from prodigy_git.merging.queue.workplace import Workplace
from prodigy_git.merging.results.results import Result
from prodigy_git.record import clock, redacting, within
from prodigy_git.setup import what_runs
from prodigy_git.setup.plan import Script
from prodigy_git.store import enrolled
from prodigy_git.store.runlog import LIMIT, RunLog

_SHOWN = 20
_TAIL = 1 << 16


@dataclass(frozen=True)
class Command:
    """What is run by the shell, and for how many seconds at most (None: as long as it takes)."""

    text: str
    source: str
    """Where it is from, in words."""
    timeout: float | None = None
    scripts: tuple[Script, ...] = ()
    """The files that it names, as a person has trusted them."""


@dataclass(frozen=True)
class Ended:
    """How it ended; ``last`` are the last lines of its output, ``log`` has all of it."""

    status: int
    interrupted: int | None
    why: str
    log: str
    last: tuple[str, ...]


def run(
    target: Target,
    place: Workplace,
    command: Command,
    results: list[Result],
    signals: Signals,
    **more: str,
) -> Ended:
    """Run a command in the workplace, on the merged tree of ``results``.

    ``more`` is what else it finds in its environment. Raises `ProdigyError` where it cannot be
    started, `OSError` where its log cannot be written.
    """
    last = results[-1]
    name = last.session_id or last.item_id or (last.head or "")[:12]
    path = layout.check_log(target.store, target.repo, last.job_id, name)
    within.refuse_links(target.store, path)
    other = what_runs.differing(place.top, command.scripts) if command.scripts else None
    if other is not None:
        why = f"{other} is not the script there that was trusted: look at it, then --check runs it"
        with contextlib.closing(RunLog(path, LIMIT)) as refused:
            refused.write(_line(why))
        return Ended(1, None, why, path, ())
    log = RunLog(path, LIMIT)
    try:
        log.write(_line(redacting.text(target.store, target.repo, command.text)))
        begun = os.path.getsize(path)  # what was said before is another run's
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        sink = Sink(nowhere)
        try:
            ran = process.run(
                ["/bin/sh", "-c", command.text], cwd=place.top, log=log, inherited=nowhere,
                redact=not redacting.is_off(target.store, target.repo),
                env=_environment(target, place, last) | more, signals=signals,
                ours=Ours(sink, sink, True), timeout=command.timeout,
            )  # fmt: skip
        finally:
            sink.flush()  # its thread must not write to what bears this number next
            os.close(nowhere)
    except OSError as error:
        raise ProdigyError(f"{command.text!r} cannot be started ({error.strerror})") from error
    finally:
        log.close()
    why = f"exit status {ran.exit_status}"
    if ran.timed_out:
        why = f"it took longer than {command.timeout:g} s"
    elif ran.status < 0:
        why = f"it died by signal {-ran.status}"
    interrupted = ran.interrupted if ran.status != 0 else None
    return Ended(ran.exit_status, interrupted, why, path, _tail(path, begun))


def _line(text: str) -> bytes:
    return f"[prodigy-git {clock.stamp(clock.now())}] {text}\n".encode(errors="surrogateescape")


def _environment(target: Target, place: Workplace, result: Result) -> dict[str, str]:
    env = environment()
    said = {
        "PRODIGY_HOME": target.store, "PRODIGY_WORKTREE": place.top, "PRODIGY_TARGET": target.branch,
        "PRODIGY_JOB_ID": result.job_id, "PRODIGY_ITEM_ID": result.item_id,
        "PRODIGY_AGENT_ID": result.agent_id, "PRODIGY_SESSION_ID": result.session_id,
        "PRODIGY_BRANCH": result.branch,
        "PRODIGY_REPO_ROOT": enrolled.top(target.place.common, target.place.common),
    }  # fmt: skip
    for name, value in said.items():
        env.pop(name, None)  # of a session that we were started from
        if value is not None:
            env[name] = value
    return env


def _tail(path: str, begun: int) -> tuple[str, ...]:
    try:
        with open(path, "rb") as stream:
            stream.seek(max(begun, os.fstat(stream.fileno()).st_size - _TAIL))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ()
    return tuple(deque((line for line in text.splitlines() if line.strip()), _SHOWN))
