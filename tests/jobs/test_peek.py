"""Looking at a job: the same as its steps see, without a lock, a write, or somebody kept waiting."""

import os
import subprocess
import sys

import pytest
from support_cli import PACKAGE_PARENT, snapshot

from prodigy_git import glance, layout
from prodigy_git.jobs import claims, course, peek, summary
from prodigy_git.jobs import index as indexes
from prodigy_git.record import locks, log


@pytest.fixture
def job(store):
    """Start a job of ten items, two of them claimed and one of these done; return its coordinates."""
    where = (str(store), "r", "j")
    given = [(f"item-{n}", n) for n in range(10)]
    course.start(*where, given=given, broken=pytest.fail)
    for agent in "ab":
        made = claims.claim(*where, agent=agent, broken=pytest.fail)
    claims.complete(*where, made, commits=[], broken=pytest.fail)
    return where


def seen(job):
    with peek.opened(*job, pytest.fail) as index:
        found = summary.of(index)
        return {name: value for name, value in found.items() if name != "rates"}


def stepped(job):
    found = summary.whole(*job, pytest.fail)
    return {name: value for name, value in found.items() if name != "rates"}


def add_behind(job, item):
    """Append what no step has told the index of yet."""
    log.append(*job, [{"id": item, "type": "AgentCompleted", "agent_id": "x", "item_id": item}])


def test_it_sees_what_a_step_sees_and_writes_nothing(job, store):
    add_behind(job, "item-5")
    before = snapshot(store)
    found = seen(job)
    assert snapshot(store) == before
    assert found == stepped(job)
    assert found["completed"] == 2


@pytest.mark.parametrize("damage", ["none", "torn", "missing", "journal", "empty"])
def test_an_index_that_cannot_be_read_is_made_anew_in_memory(job, store, damage):
    add_behind(job, "item-5")
    path = layout.index(*job)
    if damage == "torn":
        with open(path, "r+b") as stream:
            stream.seek(4096)
            stream.write(b"\xff" * 8192)
    elif damage == "missing":
        indexes.discard(*job)
    elif damage == "journal":
        with open(f"{path}-journal", "r+b") as stream:
            stream.write(bytes.fromhex("d9d505f920a163d7"))
    elif damage == "empty":
        open(path, "w").close()
    before = snapshot(store)
    assert seen(job)["completed"] == 2
    assert snapshot(store) == before


def test_nobody_who_holds_the_lock_is_waited_for(job):
    held = locks.take(layout.claims_lock(*job), 0)
    try:
        assert seen(job)["in_progress"] == 1
    finally:
        os.close(held)


WRITING = """\
import sys
from prodigy_git.jobs import claims
where = sys.argv[1:]
print("ready", flush=True)
while (made := claims.claim(*where, agent="w", broken=sys.exit)) is not None:
    claims.complete(*where, made, commits=[], broken=sys.exit)
"""


def test_beside_a_writer_it_never_sees_a_state_that_never_was(store):
    where = (str(store), "r", "busy")
    course.start(*where, given=[(f"item-{n}", "x" * 50) for n in range(400)], broken=pytest.fail)
    child = subprocess.Popen(
        [sys.executable, "-c", WRITING, *where], env={"PYTHONPATH": PACKAGE_PARENT},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with child:
        assert child.stdout.readline() == "ready\n"
        done, looks = 0, 0
        while child.poll() is None:
            found = seen(where)
            assert found["in_progress"] in (0, 1)
            assert found["completed"] + found["pending"] + found["in_progress"] == 400
            assert found["completed"] >= done
            done, looks = found["completed"], looks + 1
    assert child.returncode == 0
    assert seen(where)["completed"] == 400
    assert looks > 1


def test_a_glance_counts_the_states_as_the_index_does():
    assert indexes.NUMBER["in_progress"] == glance.IN_PROGRESS
