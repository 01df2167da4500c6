"""How a job comes to be shared: killed at each step, tried again, found by hosts that are new to it."""

import contextlib
import os

import pytest
from support_shared import quiet

from prodigy_git import api, layout
from prodigy_git.errors import Away, ProdigyError
from prodigy_git.hub import job_streams, shared_items, shared_start, taken_rows
from prodigy_git.jobs import claims, items, snapshots

ITEMS = [{"id": f"i{n}"} for n in range(4)]


class Killed(BaseException):
    """What a test ends a start by."""


STEPS = {
    "items written": (items, "write", True),
    "place on the hub": (job_streams, "entered", True),
    "noted": (shared_start, "_noted", True),
    "items on the hub": (shared_items, "put", True),
    "event on the hub": (job_streams, "append", True),
    "committed": (taken_rows, "wrote", False),
    "written here": (taken_rows, "wrote", True),
    "checkpoint": (snapshots, "write", False),
    "brought": (shared_start, "join", False),
}


def kill(patch, step):
    where, name, after = STEPS[step]
    real = getattr(where, name)

    def killed(*given, **how):
        if after:
            real(*given, **how)
        raise Killed

    patch.setattr(where, name, killed)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("who", ["again", "another", "nobody"])
def test_a_start_that_is_killed_was_done_or_can_be_tried_again(sharers, step, who):
    a, b = sharers("a", "b")
    with pytest.MonkeyPatch.context() as patch:
        kill(patch, step)
        with pytest.raises(Killed):
            a.open(items=ITEMS, hub=True)
    if who == "nobody":
        # As it is, no host hands out what another hands out, too.
        a.open()
        b.open()
        taken = []
        for one in (a, b, a):
            with contextlib.suppress(ProdigyError):
                taken.append(one.claim("x"))
        names = [made.item_id for made in taken if made is not None]
        assert len(set(names)) == len(names)
        return
    first, second = (a, b) if who == "again" else (b, a)
    other = ITEMS if who == "again" else [{"id": f"other{n}"} for n in range(4)]
    first.open(items=other, hub=True)
    second.open(items=other, hub=True)
    made = [one.claim("x") for one in (first, second) * 2]
    assert len({one.item_id for one in made}) == 4
    assert all(one.data == {"id": one.item_id} for one in made)
    assert first.claim("x") is None
    assert len({one.item_id[0] for one in made}) == 1
    for one in made:
        first.finish(one)
    assert first.state()["completed"] == second.state()["completed"] == 4


def test_a_start_needs_the_hub(sharers):
    (a,) = sharers("a")
    a.wire.drop()
    with pytest.raises(Away):
        a.open(items=ITEMS, hub=True)
    a.wire.pass_on()
    a.open(items=ITEMS, hub=True, exist_ok=False)
    assert a.claim("a").item_id == "i0"


def test_without_a_hub_it_is_said(sharers, monkeypatch):
    (a,) = sharers("a")
    a.host.git("config", "--unset", "prodigy.hub")
    with pytest.raises(ProdigyError, match="has no hub"):
        a.open(items=ITEMS, hub=True)
    monkeypatch.delenv("PRODIGY_HUB", raising=False)
    said = a.host.run("job", "show", "J", check=False)
    assert (said.code, "no job J" in said.err) == (1, True)


def test_who_only_looks_finds_a_job_on_the_hub_too(sharers):
    a, b = sharers("a", "b")
    a.open(items=ITEMS, hub=True)
    assert b.host.ok("job", "show", "J")["total_items"] == 4
    assert b.host.run("job", "show", "K", check=False).code == 1


def test_a_job_that_was_worked_on_before_it_was_started(sharers):
    a, b = sharers("a", "b")
    b.host.run("new-worktree", "w", "--job", "J", "--agent", "w")
    a.open(items=ITEMS, hub=True)
    b.open(items=ITEMS, hub=True)
    assert b.claim("b").item_id == "i0"
    assert a.claim("a").item_id == "i1"


def test_behind_pgbouncer_the_steps_are_the_same(sharers, pgbouncer):
    a, b = sharers("a", "b")
    for one in (a, b):
        one.host.git("config", "prodigy.hub", pgbouncer)
    a.open(items=ITEMS, hub=True)
    b.open()
    made = [one.claim("x") for one in (a, b, a)]
    assert [one.item_id for one in made] == ["i0", "i1", "i2"]
    with a.step():  # a transaction that is left
        pass
    assert b.finish(made[0]).state == "completed"
    assert a.claim("y", item="i3").attempt == 1
    assert os.path.exists(layout.items(*b.where))
    assert claims.release_dead(*a.where, quiet) == []
    assert api.job_state(a.job)["in_progress"] == 3


def test_a_host_that_has_a_log_of_the_job_hears_that_another_has_started_it(sharers):
    a, b = sharers("a", "b")
    b.open()
    api.record_event(b.job, "AgentWaiting", agent_program="x", program_session="y", reason="z")
    a.wire.stall()
    b.wire.drop()
    assert b.claim("early") is None  # nobody has started it, as far as is known
    assert any("whether another host has started job J is not known" in text for text in b.said)
    a.wire.pass_on()
    b.wire.pass_on()
    b.forget()
    a.open(items=ITEMS, hub=True)
    assert a.claim("a").item_id == "i0"
    with pytest.raises(ProdigyError, match="i0 is in progress: agent a"):
        b.claim("b", item="i0")
    assert b.claim("b").item_id == "i1"


def test_a_job_whose_note_was_lost_gives_out_nothing_until_a_sync(sharers):
    a, b = sharers("a", "b")
    a.open(items=ITEMS, hub=True)
    b.open()
    assert b.claim("b").item_id == "i0"
    os.unlink(layout.hub_job(*b.where))
    with pytest.raises(ProdigyError, match=r"hub\.json is missing: 'prodigy-git hub sync'"):
        b.claim("b2")
    assert a.claim("a").item_id == "i1"
    b.host.run("hub", "sync")
    assert b.claim("b2").item_id == "i2"
    assert len({event.id for event in b.read()}) == len(b.read())
