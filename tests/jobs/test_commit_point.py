"""A step is done or not done, and says which: the write to the log is what decides.

Each call that changes something fails once, or from then on, in a process of its own: what raises has
left the log as it was, what returns has its events there.
"""

import errno
import os
import shutil
import sqlite3
import traceback
from collections import Counter

import pytest

from prodigy_git import api, layout
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import books, claims, course, endings, replay, requeue
from prodigy_git.jobs import index as indexes

WHERE = ("r", "j")
CALLS = ("write", "pwrite", "fsync", "rename", "link", "unlink", "ftruncate", "mkdir", "utime")
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS)
CODES = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_NOMEM,
)  # fmt: skip


def quiet(_):
    pass


def held():
    return endings.Claim("j", "i0", "a", 2, 2, None)


# What is done, and the event that says so.
STEPS = {
    "start": (
        lambda s: course.start(s, "r", "new", given=[("i0", 1)], broken=quiet), "JobStarted",
    ),
    "claim": (
        lambda s: claims.claim(s, *WHERE, agent="b", lease=10**12, broken=quiet), "AgentStarted",
    ),
    "complete": (
        lambda s: claims.complete(s, *WHERE, held(), commits=[], broken=quiet), "AgentCompleted",
    ),
    "fail": (lambda s: claims.fail(s, *WHERE, held(), error="x", broken=quiet), "DLQItemAdded"),
    "release": (
        lambda s: claims.release(s, *WHERE, held(), reason="x", broken=quiet), "ClaimReleased",
    ),
    "renew": (lambda s: claims.renew(s, *WHERE, "i0", "a", 10**12, quiet), "ClaimRenewed"),
    "pause": (lambda s: course.pause(s, *WHERE, None, quiet), "JobPaused"),
    "unpause": (lambda s: course.unpause(s, "r", "paused", quiet), "JobResumed"),
    "phase": (lambda s: course.set_phase(s, *WHERE, "reduce", quiet), "JobPhaseChanged"),
    "cancel": (lambda s: course.cancel(s, *WHERE, None, quiet), "JobCancelled"),
    "finish": (lambda s: course.finish(s, *WHERE, error="x", broken=quiet), "JobFailed"),
    "requeue": (lambda s: requeue.requeue(s, *WHERE, None, quiet), "DLQItemsReprocessed"),
    "clear": (lambda s: requeue.clear(s, *WHERE, None, quiet), "DLQItemRemoved"),
}  # fmt: skip


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A job with an item in progress, one in the queue, one pending; and one that is paused."""
    store = str(tmp_path_factory.mktemp("template") / "store")
    given = [(f"i{n}", n) for n in range(3)]
    course.start(store, *WHERE, given=given, max_attempts=2, checkpoint_items=1, broken=quiet)
    job = api.Job(store, *WHERE)
    for _ in range(2):
        api.finish(job, api.claim(job, agent="d", item="i1", broken=quiet), error="x", broken=quiet)
    api.finish(job, api.claim(job, agent="a", item="i0", broken=quiet), error="x", broken=quiet)
    claims.claim(store, *WHERE, agent="a", item="i0", lease=10**12, broken=quiet)
    course.start(store, "r", "paused", given=[("i0", 1)], broken=quiet)
    course.pause(store, "r", "paused", None, quiet)
    return store


class Faults:
    """Lets the n-th call that changes something fail, ``lasting`` every one from then on."""

    def __init__(self, at, *, lasting, error, code):
        self.at, self.lasting, self.error, self.code = at, lasting, error, code
        self.calls = 0

    def due(self):
        self.calls += 1
        return self.calls == self.at or (self.lasting and self.calls > self.at)

    def install(self):
        for name in CALLS:
            setattr(os, name, self.of_system(getattr(os, name)))
        opened, connect = os.open, sqlite3.connect

        def opening(path, flags, *rest, **named):
            if flags & (os.O_WRONLY | os.O_RDWR) and self.due():
                raise OSError(self.error, os.strerror(self.error), path)
            return opened(path, flags, *rest, **named)

        faults = self

        class Connection(sqlite3.Connection):
            def execute(self, *arguments):
                faults.of_index()
                return super().execute(*arguments)

            def executemany(self, *arguments):
                faults.of_index()
                return super().executemany(*arguments)

        def connecting(path, **named):
            return connect(path, **named, **({} if path == ":memory:" else {"factory": Connection}))

        os.open, sqlite3.connect = opening, connecting

    def of_system(self, real):
        def made(*arguments, **named):
            if self.due():
                raise OSError(self.error, os.strerror(self.error), str(arguments[0]))
            return real(*arguments, **named)

        return made

    def of_index(self):
        if self.due():
            error = sqlite3.DatabaseError("injected")
            error.sqlite_errorcode = self.code
            raise error


def run(store, do, faults):
    """Do a step in a process with faults; return whether it succeeded, and how many calls it made."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 2
        tell, leave, out = os.write, os._exit, traceback.format_exc
        try:
            faults.install()
            try:
                do(store)
                status = 0
            except (OSError, ProdigyError):
                status = 1
        except BaseException:
            tell(2, out().encode())
        finally:
            tell(writing, str(faults.calls).encode())
            leave(status)
    os.close(writing)
    with open(reading) as stream:
        calls = int(stream.read())
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 1)
    return status == 0, calls


def kinds(store):
    found = Counter()
    for job in ("j", "paused", "new"):
        found += replay.whole(store, "r", job, quiet).job.counts
    return found


@pytest.mark.parametrize("step", STEPS)
def test_what_fails_at_any_call_is_done_or_not(step, template, tmp_path):
    do, kind = STEPS[step]
    calm = str(tmp_path / "calm")
    shutil.copytree(template, calm)
    before = kinds(calm)[kind]
    done, calls = run(calm, do, Faults(0, lasting=False, error=0, code=0))
    assert done
    assert kinds(calm)[kind] == before + 1
    outcomes = Counter()
    for at in range(1, calls + 1):
        store = str(tmp_path / "tried")
        shutil.copytree(template, store)
        lasting = at % 2 == 0
        error, code = ERRORS[at // 2 % len(ERRORS)], CODES[at // 2 % len(CODES)]
        done, _ = run(store, do, Faults(at, lasting=lasting, error=error, code=code))
        assert kinds(store)[kind] - before == done, (at, lasting, error, code)
        outcomes[done] += 1
        balanced(store)
        shutil.rmtree(store)
    assert outcomes[True] > 3
    assert outcomes[False] > 3


def balanced(store):
    """Log and index say the same, and the next step works."""
    with claims.step(store, *WHERE, quiet) as index:
        found = {one: index.count(one) for one in indexes.NUMBER if index.count(one)}
    items = replay.whole(store, *WHERE, quiet).items.values()
    known = Counter(books.view(item).state for item in items)
    known["pending"] += 3 - sum(known.values())  # what no event names
    assert found == {state: count for state, count in known.items() if count}


def test_what_the_disk_does_not_confirm_is_taken_back(template, tmp_path, monkeypatch):
    store = str(tmp_path / "store")
    shutil.copytree(template, store)
    before = open(log_of(store), "rb").read()  # noqa: SIM115
    real = os.fsync

    def failing(descriptor):
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".jsonl"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="No space"):
        claims.claim(store, *WHERE, agent="b", lease=10**12, broken=quiet)
    with open(log_of(store), "rb") as stream:
        assert stream.read() == before
    monkeypatch.undo()
    assert claims.claim(store, *WHERE, agent="b", lease=10**12, broken=pytest.fail).attempt == 1


def log_of(store):
    folder = layout.job_log(store, *WHERE)
    (name,) = [one for one in os.listdir(folder) if one.endswith(".jsonl")]
    return f"{folder}/{name}"
