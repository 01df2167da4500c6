"""Whether a recorded process is still there: also across namespaces, boots, machines, clock changes."""

import contextlib
import json
import os
import subprocess
import sys

import psutil
import pytest
from support_cli import PACKAGE_PARENT
from support_mounts import needs_mounts

from prodigy_git import api
from prodigy_git.jobs import books, claims, clocks, course, liveness, owner
from prodigy_git.record import clock

HOUR = 3600 * clock.SECOND


def quiet(_):
    pass


@pytest.fixture
def child():
    """A process that ends when its stdin is closed."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as made:
        yield made
        end(made)


def end(process):
    if process.stdin and not process.stdin.closed:
        process.stdin.close()
    process.wait()


@contextlib.contextmanager
def in_a_namespace(program, *arguments, proc=True):
    """Run a Python program in a new namespace of processes, which waits when it has printed a line."""
    needs_mounts()
    command = ["unshare", "--pid", "--fork", *(["--mount-proc"] if proc else []), sys.executable]
    with subprocess.Popen(
        [*command, "-c", program + "\nimport sys; sys.stdout.flush(); input()", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": PACKAGE_PARENT},
    ) as made:  # fmt: skip
        yield made
        end(made)


SAY = """\
import os, json
from prodigy_git.jobs import liveness
print(json.dumps(liveness.described(os.getpid())))
"""
ASK = """\
import sys, json
from prodigy_git.jobs import liveness
print(liveness.alive("/", json.loads(sys.argv[1])))
"""


def told(process):
    return json.loads(process.stdout.readline())


def test_a_process_of_this_namespace(child, tmp_path):
    known = liveness.described(child.pid)
    store = str(tmp_path)
    assert liveness.alive(store, known) is True
    moved = {**known, "pid_started": known["pid_started"] - 3600}
    assert liveness.alive(store, moved) is True  # the clock was set meanwhile
    assert liveness.alive(store, {**known, "pid_ticks": known["pid_ticks"] - 100}) is False
    assert liveness.alive(store, {**known, "host": "elsewhere"}) is None
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert liveness.alive(store, known) is False  # a zombie
    child.wait()
    assert liveness.alive(store, known) is False
    assert liveness.described(child.pid) is None


@pytest.mark.parametrize("pid", [0, -1, 1 << 70, "1", None])
def test_what_is_no_process_id_says_nothing(pid, tmp_path):
    assert liveness.alive(str(tmp_path), {**liveness.described(os.getpid()), "pid": pid}) is None


def test_another_boot_is_over_only_where_that_is_proved(child, tmp_path, monkeypatch):
    known = {**liveness.described(child.pid), "boot": "of-another-time"}
    monkeypatch.setattr(liveness, "_machine", lambda: "this")
    monkeypatch.setattr(liveness, "_LOCAL", frozenset())
    assert liveness.alive(str(tmp_path), {**known, "machine": "this"}) is None  # shared, perhaps
    kinds = {one.fstype for one in psutil.disk_partitions(all=True)}
    monkeypatch.setattr(liveness, "_LOCAL", kinds)
    assert liveness.alive(str(tmp_path), {**known, "machine": "this"}) is False
    assert liveness.alive(str(tmp_path), {**known, "machine": "that"}) is None
    monkeypatch.setattr(liveness, "_machine", lambda: None)
    assert liveness.alive(str(tmp_path), known) is None


def test_what_an_earlier_version_recorded(child, tmp_path, monkeypatch):
    found = liveness.described(child.pid)
    known = {name: found[name] for name in ("host", "pid", "pid_started")}
    gone = {**known, "pid_started": known["pid_started"] - 60}
    monkeypatch.setattr(liveness, "_namespace", lambda: f"{liveness._INITIAL} time:[1]")
    assert liveness.alive(str(tmp_path), known) is True
    assert liveness.alive(str(tmp_path), gone) is False
    monkeypatch.setattr(liveness, "_namespace", lambda: "pid:[4026532000] time:[1]")
    assert liveness.alive(str(tmp_path), known) is True
    assert (
        liveness.alive(str(tmp_path), gone) is None
    )  # of the host, or another container: not seen


def test_from_above_a_namespace_all_is_seen_from_within_and_beside_nothing(child, tmp_path):
    store = str(tmp_path)
    with in_a_namespace(SAY) as inner:
        known = told(inner)
        assert known["pid"] == 1
        assert known["pid_namespace"] != liveness.described(os.getpid())["pid_namespace"]
        assert liveness.alive(store, known) is True
        assert liveness.alive(store, {**known, "pid": 77}) is False
        with in_a_namespace(SAY) as beside:
            other = told(beside)
            assert liveness.alive(store, other) is True
            for asked in (known, liveness.described(child.pid)):
                with in_a_namespace(ASK, json.dumps(asked)) as asking:
                    assert asking.stdout.readline() == "None\n"
    if liveness._namespace().startswith(liveness._INITIAL):
        assert liveness.alive(store, known) is False


def test_a_proc_of_the_namespace_above_is_not_believed(child, tmp_path):
    with in_a_namespace(SAY, proc=False) as inner:
        known = told(inner)
        assert "pid_ticks" not in known
        assert liveness.alive(str(tmp_path), known) is None
    program = (
        "import os; from prodigy_git.jobs import liveness; k = liveness.described(os.getpid());"
        "print(liveness.alive('/', k), liveness.alive('/', {**k, 'pid': 77}))"
    )
    with in_a_namespace(program, proc=False) as inner:
        assert inner.stdout.readline() == "True False\n"


CLAIM = """\
import sys
from prodigy_git import api
job = api.Job(sys.argv[1], "r", "j")
made = api.claim(job, agent="inner", broken=print)
print(made and made.item_id)
"""


def test_an_item_claimed_in_a_container_is_not_handed_out_beside_it(store):
    course.start(str(store), "r", "j", given=[(f"i{n}", n) for n in range(4)], broken=quiet)
    job = api.Job(str(store), "r", "j")
    with in_a_namespace(CLAIM, str(store)) as first:
        assert first.stdout.readline() == "i0\n"
        assert api.claim(job, agent="outer", broken=pytest.fail).item_id == "i1"
        with in_a_namespace(CLAIM, str(store)) as second:
            assert second.stdout.readline() == "i2\n"
            assert api.claim(job, agent="outer", broken=pytest.fail).item_id == "i3"
            assert api.claim(job, agent="outer", broken=pytest.fail) is None


def claimed(store, **how):
    course.start(str(store), "r", "j", given=[("i0", 0)], broken=quiet)
    unseen = {**owner.of_process(os.getpid()).as_json(), "host": "elsewhere"}
    return claims.claim(str(store), "r", "j", agent="a", owner=unseen, broken=quiet, **how)


def test_who_cannot_be_seen_has_the_item_as_long_as_was_said(store):
    claimed(store, lease=-1)
    again = claims.claim(str(store), "r", "j", agent="b", lease=HOUR, broken=quiet)
    assert (again.item_id, again.attempt) == ("i0", 2)


def test_who_cannot_be_seen_has_the_item_for_a_day_and_renews_it(store, monkeypatch):
    claimed(store)
    monkeypatch.setattr(clocks, "ahead", lambda _: 0)  # time passes for the store, too
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + 23 * HOUR)
    assert claims.release_dead(str(store), "r", "j", quiet) == []
    claims.renew(str(store), "r", "j", "i0", "a", 5 * HOUR, quiet)
    monkeypatch.setattr(clock, "now", lambda: real() + 27 * HOUR)
    assert claims.release_dead(str(store), "r", "j", quiet) == []
    monkeypatch.setattr(clock, "now", lambda: real() + 29 * HOUR)
    assert [one.item_id for one in claims.release_dead(str(store), "r", "j", quiet)] == ["i0"]


def test_who_is_seen_keeps_the_item_whatever_its_lease_says(child, store):
    start = books.Start(
        1, "", clock.stamp(0), owner=liveness.described(child.pid), lease=clock.stamp(1)
    )
    assert owner.has(str(store), "r", "j", start, clock.now())[0] is True


def test_a_lock_is_asked_in_a_store_that_cannot_be_written(store, monkeypatch):
    course.start(str(store), "r", "j", given=[("i0", 0)], broken=quiet)
    held, descriptor = owner.hold(str(store), "r", "j")
    try:
        opened = os.open

        def refusing(path, flags, *rest, **named):
            if flags & (os.O_WRONLY | os.O_RDWR):
                raise OSError(30, "Read-only file system", path)
            return opened(path, flags, *rest, **named)

        monkeypatch.setattr(os, "open", refusing)
        assert owner.alive(str(store), "r", "j", held.as_json()) is True
    finally:
        os.close(descriptor)
    assert owner.alive(str(store), "r", "j", held.as_json()) is False
