"""One live claim of an item, whatever is lost, killed or paused between two messages of a step."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter

import pytest
from support_shared import quiet

from prodigy_git import api
from prodigy_git.errors import Away, Unsure
from prodigy_git.hub import connection, host, libpq, shared_step, shipping, ways
from prodigy_git.jobs import books, claims, owner
from prodigy_git.lifecycle import finish
from prodigy_git.record import clock, session

ITEMS = [{"id": f"i{n}"} for n in range(300)]


class Killed(BaseException):
    """What a test ends a step by."""


@pytest.fixture(params=["libpq", "psycopg"])
def pair(sharers, request, monkeypatch):
    if request.param == "psycopg":
        monkeypatch.setattr(libpq, "library", lambda: None)
    a, b = sharers("a", "b")
    a.open(items=ITEMS, hub=True)
    b.open()
    b.claim("warm")
    return a, b


@pytest.fixture
def impatient(monkeypatch):
    """Lets nobody wait for long."""
    monkeypatch.setattr(shared_step, "PATIENCE", 2.0)
    monkeypatch.setattr(shared_step, "WITHIN", 2.0)
    monkeypatch.setattr(connection, "IDLE", 1.0)


def holders(one):
    """Return (item, attempt, agent) of all that is in progress, as a host has it."""
    with one.step() as index:
        found = [(name, books.view(item)) for name, item in index.in_state("in_progress")]
    return sorted((name, view.attempt, view.agent) for name, view in found)


def agree(a, b):
    """Check that both say the same, and that no event is there twice."""
    assert holders(a) == holders(b)
    for one in (a, b):
        ids = Counter(json.loads(line)["id"] for line in one.lines())
        assert max(ids.values()) == 1
    assert sorted(a.lines()) == sorted(b.lines())


def test_a_step_that_is_cut_off_at_any_byte_was_done_or_not(pair, monkeypatch):
    a, b = pair
    a.claim("first")
    before = a.wire.passed
    whole = a.claim("second")
    size = a.wire.passed - before
    taken = {whole.item_id}
    for cut in range(0, size + 60, max(1, size // 25)):
        a.wire.cut_after(cut)
        with monkeypatch.context() as patch:
            patch.setattr(shared_step, "WITHIN", 0.5)  # for which it is asked whether it was done
            try:
                made = a.claim(f"cut-{cut}")
            except Away:
                made = None
        a.wire.pass_on()
        a.forget()
        held = {agent: name for name, _, agent in holders(b)}
        if made is not None:
            assert held[f"cut-{cut}"] == made.item_id
            assert made.item_id not in taken
            taken.add(made.item_id)
        other = b.claim(f"other-{cut}")
        assert other.item_id not in taken | set(held.values())
        taken.add(other.item_id)
    agree(a, b)


def test_where_a_commit_is_not_answered_the_hub_is_asked(pair, monkeypatch):
    a, b = pair
    a.claim("first")
    real = ways.Way.ask

    def lost(way, text, until):
        found = real(way, text, until)
        if text.startswith("INSERT"):
            a.wire.reset()  # what came is thrown away, as if it had not
            real(way, "SELECT 1", until)
        return found

    monkeypatch.setattr(ways.Way, "ask", lost)
    made = a.claim("lost")
    assert made.agent_id == "lost"
    assert (made.item_id, 1, "lost") in holders(b)
    assert a.finish(made).state == "completed"
    agree(a, b)


def test_where_it_was_not_done_it_is_away_and_nothing_is_written(pair, impatient, monkeypatch):
    a, b = pair
    before = holders(b)
    real = ways.Way.ask

    def lost(way, text, until):
        if text.startswith("INSERT"):
            a.wire.reset()
        return real(way, text, until)

    monkeypatch.setattr(ways.Way, "ask", lost)
    with pytest.raises(Away) as told:
        a.claim("lost")
    assert not isinstance(told.value, Unsure)
    assert holders(b) == before
    agree(a, b)


def test_an_end_that_nobody_knows_to_be_done_is_the_same_event_here_and_there(
    pair, impatient, monkeypatch
):
    a, b = pair
    made = a.claim("first")
    real = ways.Way.ask

    def lost(way, text, until):
        if text.startswith("INSERT"):
            a.wire.mute()
        return real(way, text, until)

    with monkeypatch.context() as patch:
        patch.setattr(ways.Way, "ask", lost)
        assert a.finish(made).state == "completed"
    assert any("not known whether" in text for text in a.said)
    a.wire.pass_on()
    a.forget()
    agree(a, b)


PAUSED = """
import os, signal, sys
from prodigy_git import api
from prodigy_git.hub import connection, shared_step
connection.IDLE = 1.0
real = shared_step.Step._committed
def paused(*given):
    os.kill(os.getpid(), signal.SIGSTOP)
    return real(*given)
shared_step.Step._committed = paused
job = api.Job(*sys.argv[1:])
try:
    api.claim(job, agent="paused", item="i7", lease=60)
except api.ProdigyError as error:
    print(type(error).__name__, flush=True)
"""


def test_a_process_that_is_paused_in_a_step_loses_it(pair):
    a, b = pair
    child = subprocess.Popen(
        [sys.executable, "-c", PAUSED, *a.where], stdout=subprocess.PIPE, text=True,
        env=a.host.environment(),
    )  # fmt: skip
    try:
        assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])
        made = b.claim("other", item="i7")  # when the server has thrown the paused one out
        assert made.agent_id == "other"
    finally:
        child.send_signal(signal.SIGCONT)
        said, _ = child.communicate(timeout=300)
    assert said == "Away\n"
    assert (made.item_id, 1, "other") in holders(a)
    agree(a, b)


def test_a_server_that_is_killed_in_a_step_and_started_again(pair, postgres, impatient):
    a, b = pair
    ours = b.claim("ours")
    with contextlib.ExitStack() as held:
        index = held.enter_context(a.step())
        postgres.kill()
        with pytest.raises(Away):
            claims.record(index, [claims.event(index, "JobPaused")], quiet)
    with pytest.raises(Away):
        b.claim("b")
    assert b.finish(ours).state == "completed"
    postgres.start()
    a.forget()
    assert b.claim("b") is not None
    assert a.claim("a") is not None
    with b.step() as index:
        shipping.ship(index.shared.conn, index.shared.where)
    agree(a, b)


def test_a_worker_that_is_killed_is_given_up_by_its_own_host_at_once_and_by_others_by_its_lease(
    pair,
):
    a, b = pair
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    by = owner.of_process(child.pid).as_json()
    claims.claim(*a.where, agent="killed", item="i9", owner=by, lease=3600 * 10**6, broken=quiet)
    child.communicate(b"\n")
    assert claims.release_dead(*b.where, quiet, unknown_too=True) == []
    (given_up,) = claims.release_dead(*a.where, quiet)
    assert (given_up.item_id, given_up.agent_id, given_up.state) == ("i9", "killed", "pending")
    agree(a, b)


def test_two_stores_that_are_copies_of_each_other(sharers):
    a, b = sharers("a", "b")
    a.open(items=ITEMS[:4], hub=True)
    held = a.claim("a", lease=None)  # by this process
    shutil.copytree(a.host.store, b.host.store)
    b.open()
    assert host.own(str(b.host.store)).id == host.own(str(a.host.store)).id
    others = [b.claim("b", lease=None) for _ in range(2)]
    assert len({one.item_id for one in (held, *others)}) == 3
    last = a.claim("a")
    assert last.item_id not in {one.item_id for one in others}
    assert (a.claim("a"), b.claim("b")) == (None, None)
    agree(a, b)


def test_a_claim_that_lives_is_lost_with_its_lease_also_here(pair):
    a, _ = pair
    old = a.claim("a", lease=0.001)
    owned = claims.claim(
        *a.where, agent="p", item=old.item_id, lease=1, broken=quiet,
        owner=owner.of_process(os.getpid()).as_json(),
    )  # fmt: skip
    assert owned.attempt == 2
    assert a.claim("again", item=old.item_id).attempt == 3
    assert a.finish(owned).late


def test_a_finish_that_was_killed_after_the_hub_had_it_is_not_done_twice(pair):
    a, b = pair
    made = a.host.ok("new-worktree", "w", "--job", "J", "--agent", "w", "--item", "i5")
    name = made["session_id"]
    real = session.write

    def killed(store, found, fields):
        if fields["status"] == "Completed":
            raise Killed
        real(store, found, fields)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "write", killed)
        with pytest.raises(Killed):
            finish.finish(a.where[0], name, broken=quiet)
    done = finish.finish(a.where[0], name, broken=quiet)
    assert done.status == "Completed"
    holders(b)
    ends = [one for one in b.read() if one.type in ("AgentCompleted", "SessionFinished")]
    assert Counter(one.type for one in ends) == {"AgentCompleted": 1, "SessionFinished": 1}
    assert max(Counter(json.loads(line)["id"] for line in a.lines()).values()) == 1


def test_a_clock_that_goes_back_in_a_step_extends_no_lease(pair, monkeypatch):
    a, b = pair
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() - 86400 * clock.SECOND)
    made = a.claim("a", lease=0.001)
    assert b.claim("b", item=made.item_id).attempt == 2


def test_a_local_step_imports_nothing_of_the_hub(sharers):
    (a,) = sharers("a")
    a.open("L", items=ITEMS[:2])
    script = (
        "import sys; from prodigy_git import api; job = api.Job(*sys.argv[1:]);"
        "api.finish(job, api.claim(job, agent='x', lease=60));"
        "print([name for name in sys.modules if 'hub.' in name or 'psycopg' in name])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *a.where], env=a.host.environment(), capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "[]\n"
    assert api.claim(a.job, agent="y").item_id == "i1"
