"""A worker on a host of a hub, in a process of its own: it does one step after another as it is told.

In the midst of a step it can be stopped, before the n-th of the calls that touch what is outside of it:
one that opens, locks, writes or renames files, asks the index, waits for the server; or the n-th of one
name. There it is killed, or waits until it is told to go on.
"""

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
from support_forkserver import Forked

from prodigy_git import api
from prodigy_git.errors import Away, ProdigyError
from prodigy_git.record import clock, log, repokey

_MOMENTS = frozenset((
    "open", "write", "pwrite", "rename", "replace", "link", "unlink", "ftruncate", "fsync", "mkdir",
    "flock", "execute", "poll",
))  # fmt: skip
JOB, OTHER = "J", "other"
"""The job that the hosts share, and one that is only recorded."""


class Worker:
    """The process, as whoever tells it what to do has it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        """Start it in ``folder``."""
        here = os.path.dirname(__file__)
        code = (
            f"import sys; sys.path[:0] = [{here!r}, {os.path.dirname(here)!r}]\n"
            "import support_hub_worker as worker; worker.serve()"
        )
        self.process = Forked(
            [sys.executable, "-c", code], cwd=folder, env=environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip

    def do(self, what: str, at_moment: Callable[[], None], **how: Any) -> dict[str, Any] | None:
        """Have a step done; return what came of it, or None where the worker was killed in it.

        ``at_moment`` is called where ``how`` has a ``moment`` that is not the worker's death.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"what": what, **how}).encode() + b"\n")
        self.process.stdin.flush()
        while line := self.process.stdout.readline():
            answer: dict[str, Any] = json.loads(line)
            if "moment" not in answer:
                return answer
            at_moment()
            self.process.stdin.write(b"\n")
            self.process.stdin.flush()
        self.end()
        return None

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


class _Told:
    """What the worker's process knows: where it is, and what it has recorded in a step."""

    def __init__(self) -> None:
        self.job = api.Job("/", "r", JOB)
        self.recorded: list[str] = []
        self.said: list[str] = []
        self.left = 0
        self.calls = _MOMENTS
        self.dies = False

    def at_call(self, _frame: Any, kind: str, called: Any) -> None:
        """Stop before the call that is meant."""
        if kind != "c_call" or getattr(called, "__name__", "") not in self.calls:
            return
        self.left -= 1
        if self.left:
            return
        sys.setprofile(None)
        if self.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        _tell({"moment": called.__name__})
        sys.stdin.buffer.readline()


_told = _Told()


def serve() -> None:
    """Do what stands on stdin, a line for each step, until that ends."""
    from prodigy_git.hub.shared_step import Step

    real_record, real_append = Step.record, log.append

    def record(self: Step, events: list[dict[str, Any]], before: Any) -> None:
        real_record(self, events, before)
        _told.recorded += [one["id"] for one in events]

    def append(store: str, repo: str, job: str, events: list[dict[str, Any]], **how: Any) -> Any:
        done = real_append(store, repo, job, events, **how)
        _told.recorded += [one["id"] for one in events]
        return done

    Step.record = record  # type: ignore[method-assign]
    log.append = append
    for line in sys.stdin.buffer:
        _tell(_done(json.loads(line)))


def _tell(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()


def _done(asked: dict[str, Any]) -> dict[str, Any]:
    told = _told
    told.job = api.Job(asked.pop("store"), asked.pop("repo"), JOB)
    told.recorded, told.said = [], []
    told.left, call = asked.pop("moment")
    told.calls = frozenset((call,)) if call else _MOMENTS
    told.dies = asked.pop("dies")
    _be_patient(asked.pop("patience"), asked.pop("idle"))
    apart = asked.pop("apart")
    clock.now = lambda: _now() + apart
    work = globals()[f"_{asked.pop('what')}"]
    if told.left:
        sys.setprofile(told.at_call)
    try:
        answer = {"done": work(**asked)}
    except Away as error:
        answer = {"away": str(error)}
    except ProdigyError as error:
        answer = {"refused": str(error)}
    except BaseException:
        answer = {"fault": traceback.format_exc()}
    finally:
        sys.setprofile(None)
    local = any("is written here" in text for text in told.said)
    return {**answer, "recorded": told.recorded, "said": told.said, "local": local}


_now = clock.now


def _be_patient(seconds: float, idle: float) -> None:
    """Wait so long for the hub, and let it wait so long for one that is silent within a step."""
    from prodigy_git.hub import (
        connection,
        offering,
        pulling,
        shared_start,
        shared_step,
        shipping,
        syncing,
    )

    shared_step.PATIENCE = shared_step.WITHIN = seconds
    for module in (offering, pulling, shared_start, shipping, syncing):
        module._WITHIN = seconds  # type: ignore[attr-defined]
    connection.IDLE = idle
    shared_step._not_reached.clear()


def _start(items: list[Any], most: int) -> int:
    from prodigy_git.jobs import course

    given = [(one["id"], one) for one in items]
    job = _told.job
    return course.start(
        job.store, job.repo, job.job_id, given=given, max_attempts=most, hub=True,
        broken=_told.said.append,
    )  # fmt: skip


def _where() -> tuple[str, str, str]:
    return _told.job.store, _told.job.repo, _told.job.job_id


def _claim(agent: str, lease: float | None) -> dict[str, Any] | None:
    made = api.claim(_told.job, agent=agent, lease=lease, broken=_told.said.append)
    return None if made is None else {**asdict(made), "pid": None if lease else os.getpid()}


def _finish(claim: dict[str, Any], **how: Any) -> dict[str, Any]:
    return asdict(api.finish(_told.job, api.Claim(**claim), broken=_told.said.append, **how))


def _release(claim: dict[str, Any]) -> dict[str, Any]:
    from prodigy_git.jobs import claims

    made = api.Claim(**claim)
    return asdict(claims.release(*_where(), made, reason="interrupted", broken=_told.said.append))


def _renew(claim: dict[str, Any], lease: float) -> str:
    return api.renew(_told.job, api.Claim(**claim), lease=lease, broken=_told.said.append)


def _retry() -> list[str]:
    from prodigy_git.jobs import requeue

    return requeue.requeue(*_where(), None, _told.said.append)


def _clear() -> list[str]:
    from prodigy_git.jobs import requeue

    return requeue.clear(*_where(), None, _told.said.append)


def _pause() -> None:
    from prodigy_git.jobs import course

    course.pause(*_where(), None, _told.said.append)


def _unpause() -> bool:
    from prodigy_git.jobs import course

    return course.unpause(*_where(), _told.said.append)


def _cancel() -> None:
    from prodigy_git.jobs import course

    course.cancel(*_where(), None, _told.said.append)


def _reopen() -> list[str]:
    from prodigy_git.jobs import course

    return course.reopen(*_where(), None, _told.said.append)


def _phase(phase: str) -> str:
    return api.set_phase(_told.job, phase, outputs=None, broken=_told.said.append)


def _add(items: list[Any]) -> list[str]:
    return api.add_items(_told.job, items, broken=_told.said.append)


def _say(word: str, job: str) -> list[str]:
    there = api.Job(_told.job.store, _told.job.repo, job)
    return api.record_events(there, [{"type": "WordSaid", "word": word}])


def _sync() -> dict[str, Any]:
    from prodigy_git.hub import address, connection, shared_step, syncing

    job = _told.job
    common = repokey.common_of(job.store, job.repo)
    found = shared_step.address_of(job.store, job.repo)
    assert isinstance(found, address.Address)
    assert common is not None
    conn = connection.connected(found, patience=shared_step.PATIENCE)
    exchange = syncing.Exchange(conn, job.store, job.repo, common, _told.said.append)
    exchange.begin()
    done = exchange.whole()
    return {"moved": done.moved(), "failed": done.failed, "stay": done.stay}


def _show() -> dict[str, Any]:
    """Return what is known here of the job, by all ways to ask."""
    from prodigy_git.jobs import books, peek, replay, snapshots
    from prodigy_git.jobs.index import NUMBER

    said = _told.said.append
    state = api.job_state(_told.job, broken=said)
    with peek.opened(*_where(), said) as index:
        found = {name: one for every in NUMBER for name, one in index.in_state(every)}
        queue = sorted(one.item_id for one in snapshots.queue(index, said).items)
    for name, item in replay.whole(*_where(), said).items.items():
        assert _coded(item) == _coded(found[name]), f"{name}: index and log differ"
    return {
        "state": state,
        "items": {name: books.view(one).state for name, one in found.items()},
        "queue": queue,
        "records": {name: _coded(one) for name, one in found.items()},
    }


def _coded(item: Any) -> str:
    return msgspec.json.encode(item, order="deterministic").decode()
