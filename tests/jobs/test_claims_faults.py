"""Each step of a job, killed at every system call that changes something in the store.

Afterwards the step has been done or it has not; nothing is torn, nobody is in the way of the next
step, and the job can be brought to its end with books that balance.
"""

import contextlib
import os
import shutil
from collections import Counter

import pytest
from support_faults import KILL, STOP, calls_on, can_trace, injected, run_traced, strace

from prodigy_git import api
from prodigy_git.jobs import books, claims, course, index, replay
from tests.support_cli import PACKAGE_PARENT

CALLS = ("write", "pwrite64", "rename", "link", "unlink", "ftruncate", "fsync", "mkdir")
PRELUDE = """\
import os, sys
from prodigy_git.jobs import claims, course, requeue
from prodigy_git.jobs.endings import Claim
store = sys.argv[1]
quiet = lambda _: None
held = Claim("j", "i0", "a", 2, 2, None)
"""
STEPS = {
    "start": "course.start(store, 'r', 'new', given=[('i0', 1)], broken=quiet)",
    "claim": "claims.claim(store, 'r', 'j', agent='b', lease=10**12, broken=quiet)",
    "complete": "claims.complete(store, 'r', 'j', held, commits=[], broken=quiet)",
    "fail": "claims.fail(store, 'r', 'j', held, error='x', broken=quiet)",
    "requeue": "requeue.requeue(store, 'r', 'j', None, quiet)",
    "clear": "requeue.clear(store, 'r', 'j', None, quiet)",
    "add": "course.add(store, 'r', 'j', [{'id': 'i9', 'after': ['i2']}], where='f', broken=quiet)",
    "reopen": "course.reopen(store, 'r', 'over', None, quiet)",
    "pause": "course.pause(store, 'r', 'j', None, quiet)",
}

pytestmark = pytest.mark.skipif(
    not can_trace(), reason="NOT TESTED: what a kill does to a job; strace or ptrace is missing"
)


def quiet(_):
    pass


def refuse(text):
    raise AssertionError(text)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A job with an item that failed once and is in progress again, one in the queue, one pending."""
    store = tmp_path_factory.mktemp("template") / "store"
    given = [(f"i{n}", n) for n in range(3)]
    course.start(str(store), "r", "j", given=given, max_attempts=2, broken=quiet)
    job = api.Job(str(store), "r", "j")
    for _ in range(2):
        held = api.claim(job, agent="d", item="i1", broken=quiet)
        api.finish(job, held, error="x", broken=quiet)
    api.finish(job, api.claim(job, agent="a", item="i0", broken=quiet), error="x", broken=quiet)
    claims.claim(str(store), "r", "j", agent="a", item="i0", lease=10**12, broken=quiet)
    course.start(str(store), "r", "over", given=[("i0", 1)], broken=quiet)
    course.cancel(str(store), "r", "over", None, quiet)
    return store


def run(step, store, *traced):
    """Run a step in a process of its own; return its exit status."""
    program = ["-c", PRELUDE + STOP + STEPS[step], str(store)]
    env = {**os.environ, "PYTHONPATH": PACKAGE_PARENT}
    return run_traced(program, traced, env=env).returncode


def states(store, job):
    found = replay.whole(str(store), "r", job, refuse).items
    return {name: books.view(item).state for name, item in found.items()}


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_call(step, template, tmp_path):
    job = "new" if step == "start" else "j"
    calm = tmp_path / "calm"
    shutil.copytree(template, calm)
    assert run(step, calm) == 0
    allowed = [states(template, job), states(calm, job)]
    changes = 0
    traced, trace = tmp_path / "traced", tmp_path / "trace"
    shutil.copytree(template, traced)
    assert run(step, traced, *strace(",".join(CALLS), output=str(trace))) == 0
    for name in CALLS:
        for at in calls_on(trace, name, [str(traced)]):
            changes += 1
            store = tmp_path / f"{name}-{at}"
            shutil.copytree(template, store)
            assert run(step, store, *injected(name, f"{KILL}:when={at}")) == -9
            assert states(store, job) in allowed, (name, at)
            to_its_end(store, step, job)
            shutil.rmtree(store)
    assert changes > 5


def to_its_end(store, step, job):
    """Go on as others would, and look whether log, index and queue say the same."""
    if step == "start":
        with contextlib.suppress(course.Started):
            course.start(str(store), "r", job, given=[("i0", 1)], broken=quiet)
    course.unpause(str(store), "r", job, quiet)
    claims.release_dead(str(store), "r", job, quiet, unknown_too=True)
    whole = api.Job(str(store), "r", job)
    with claims.step(str(store), "r", job, quiet) as opened:
        for name, item in list(opened.in_state("in_progress")):
            held = claims.claim_of(opened, name, books.view(item).agent)
            claims.end_well(opened, held, commits=[], broken=quiet)
    while (held := api.claim(whole, agent="z", broken=quiet)) is not None:
        api.finish(whole, held, broken=quiet)
    found = states(store, job)
    assert set(found.values()) <= {"completed", "dead", "failed"}
    with claims.step(str(store), "r", job, quiet) as opened:
        counts = {one: opened.count(one) for one in index.NUMBER if opened.count(one)}
    assert counts == Counter(found.values())
    kinds = Counter(event.type for event in api.read_events(whole, broken=refuse))
    assert kinds["AgentStarted"] == kinds["AgentCompleted"] + kinds["AgentFailed"]
    from prodigy_git.store import dead_letters

    queue = dead_letters.read(str(store), "r", job)
    dead = {name for name, one in found.items() if one == "dead"}
    assert {item.item_id for item in queue.items} == dead
