"""Steps on a shared job, from several hosts: each item is at one of them, and all say the same."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from support_hub import rows
from support_shared import quiet

from prodigy_git import api, layout
from prodigy_git.errors import Away, ProdigyError
from prodigy_git.hub import shared_items, shared_step, ways
from prodigy_git.jobs import claims, course, endings, requeue, unmerged
from prodigy_git.merging.queue import giving_back
from prodigy_git.record import clock, locks

ITEMS = [{"id": f"i{n}"} for n in range(6)]
HOUR = 3600


def opened(sharers, *names, items=ITEMS, **how):
    """Return hosts that have a job, which the first of them has started."""
    hosts = sharers(*names)
    hosts[0].open(items=items, hub=True, **how)
    for one in hosts[1:]:
        one.open()
    return hosts


def test_items_are_handed_out_once_and_all_hosts_say_the_same(sharers):
    a, b = opened(sharers, "a", "b")
    made = [one.claim(f"{n}") for n in range(3) for one in (a, b)]
    assert [one.item_id for one in made] == [one["id"] for one in ITEMS]
    assert a.claim("x") is None
    assert b.claim("x") is None
    for n, one in enumerate(made):
        ended = (a, b)[n % 2].finish(one, error="boom" if n == 5 else None, retry=False)
        assert (ended.state, ended.late) == ("dead" if n == 5 else "completed", False)
    assert requeue.requeue(*b.where, None, quiet) == ["i5"]
    again = a.claim("again")
    assert (again.item_id, again.attempt) == ("i5", 2)
    a.finish(again)
    course.finish(*b.where, broken=quiet)
    states = [one.state() for one in (a, b)]
    for key in ("status", "phase", "items", "completed", "dead", "started_at"):
        assert states[0].get(key) == states[1].get(key)
    assert states[0]["status"] == "completed"
    assert sorted(a.lines()) == sorted(b.lines())
    assert len({json.loads(line)["id"] for line in a.lines()}) == len(a.lines())


def test_each_command_of_a_job_works_on_any_host(sharers):
    a, b = (one.host for one in sharers("a", "b"))
    (a.clone / "items").write_text("".join(f"{json.dumps(one)}\n" for one in ITEMS[:2]))
    (b.clone / "more").write_text('{"id":"more"}\n')
    assert a.ok("job", "start", "J", "--items", "items", "--hub")["total_items"] == 2
    first = b.run("job", "next", "J").json  # which has not heard of it before
    assert (first["item_id"], first["work_item"]["data"]) == ("i0", {"id": "i0"})
    a.run("job", "pause", "J")
    assert "paused" in b.run("job", "next", "J", check=False).err
    b.run("job", "resume", "J")
    assert b.ok("job", "add", "J", "--items", "more")["added"] == ["more"]
    assert a.ok("job", "renew", "J", "i0")["item_id"] == "i0"
    assert a.ok("job", "done", "J", "i0", "--result", "1")["state"] == "completed"
    second, third = a.run("job", "next", "J").json, a.run("job", "next", "J").json
    assert [second["item_id"], third["item_id"]] == ["i1", "more"]
    assert third["work_item"]["data"] == {"id": "more"}
    for one in (second, third):
        b.run("job", "done", "J", one["item_id"], "--failed", "--no-retry")
    assert a.ok("dlq", "retry", "i1", "--job", "J")["item_ids"] == ["i1"]
    b.run("dlq", "clear", "more", "--job", "J", "--yes")
    b.run("job", "phase", "J", "reduce")
    b.run("job", "cancel", "J")
    assert a.run("job", "reopen", "J").code == 0
    assert a.ok("job", "show", "J")["phase"] == "reduce"


def test_a_job_that_the_hub_has_is_not_started_again(sharers):
    a, b = sharers("a", "b")
    a.open(items=ITEMS, hub=True)
    with pytest.raises(ProdigyError, match="the hub has job J: choose another name"):
        b.open(items=[1, 2], hub=True, exist_ok=False)
    assert b.open(items=[1, 2], hub=True) is not None
    assert b.claim("b").item_id == "i0"
    with pytest.raises(ProdigyError, match="was started at"):
        a.open(items=ITEMS, hub=True, exist_ok=False)


def test_a_job_of_one_host_alone_is_not_taken_for_a_shared_one_of_its_name(sharers):
    a, b = sharers("a", "b")
    b.open(items=[{"id": "own"}])
    a.open(items=ITEMS, hub=True)
    assert b.claim("b").item_id == "own"


def test_what_is_missing_of_the_items_comes_from_the_hub_and_what_is_there_stays(sharers):
    a, b, c = opened(sharers, "a", "b", "c")
    course.add(*a.where, [{"id": "more"}], where="items", broken=quiet)
    assert b.claim("b", item="more").data == {"id": "more"}
    path = Path(layout.items(*b.where))
    assert path.read_bytes() == Path(layout.items(*a.where)).read_bytes()
    c.claim("c")
    path = Path(layout.items(*c.where))
    before = path.read_bytes() + b'{"id":"mine","data":1}\n'
    path.write_bytes(before)
    course.add(*a.where, [{"id": "last"}], where="items", broken=quiet)
    Path(layout.index(*c.where)).unlink()
    with pytest.raises(ProdigyError, match="is not what the job was started with"):
        c.claim("c", item="last")
    assert path.read_bytes() == before


def test_what_lies_on_the_hub_in_the_items_place_is_not_taken_in(sharers, postgres, hub_url):
    a, b = sharers("a", "b")
    a.open(items=ITEMS, hub=True)
    database = hub_url.rpartition("/")[2]
    evil = b'{"id":"../../up","data":1}\n'.hex()
    postgres.sql(f"UPDATE prodigy_hub.item_file SET body = '\\x{evil}'", database=database)
    b.open()
    with pytest.raises(ProdigyError, match=r"items.jsonl is missing"):
        b.claim("b")
    assert any("has an item whose id is no name" in text for text in b.said)


@pytest.mark.parametrize("apart", [-3 * HOUR, 3 * HOUR])
def test_leases_go_by_the_servers_clock(sharers, monkeypatch, apart):
    a, b = opened(sharers, "a", "b")
    real = clock.now
    held = a.claim("a", lease=600)
    monkeypatch.setattr(clock, "now", lambda: real() + apart * clock.SECOND)
    assert claims.release_dead(*b.where, quiet) == []
    other = b.claim("b", lease=600)
    assert other.item_id == "i1"
    until = api.renew(b.job, other, lease=900)
    b.finish(b.claim("c"), error="boom", backoff=0)
    assert b.claim("c").item_id == "i2"  # what waits for its time goes by the server's, too
    monkeypatch.undo()
    for text, seconds in ((held.lease_until, 600), (other.lease_until, 600), (until, 900)):
        assert abs(clock.parse(text) - real() - seconds * clock.SECOND) < 300 * clock.SECOND
    assert claims.release_dead(*a.where, quiet) == []


def test_a_late_end_is_recorded_as_such_and_changes_nothing(sharers):
    a, b = opened(sharers, "a", "b", items=ITEMS[:1])
    old = a.claim("a", lease=0.001)
    new = b.claim("b")
    assert (new.item_id, new.attempt) == ("i0", 2)
    ended = a.finish(old)
    assert (ended.state, ended.late) == ("in_progress", True)
    with pytest.raises(ProdigyError, match="cannot be renewed"):
        api.renew(a.job, old)
    assert b.finish(new).state == "completed"
    assert a.state()["completed"] == b.state()["completed"] == 1


def test_an_end_goes_on_without_the_hub_and_a_claim_does_not(sharers):
    a, _ = opened(sharers, "a", "b")
    well, badly = a.claim("a"), a.claim("a2")
    a.wire.drop()
    for what in (
        lambda: a.claim("a3"), lambda: api.renew(a.job, well), lambda: api.set_phase(a.job, "reduce"),
        lambda: course.pause(*a.where, None, quiet), lambda: course.cancel(*a.where, None, quiet),
        lambda: requeue.clear(*a.where, None, quiet), lambda: api.add_items(a.job, [1]),
    ):  # fmt: skip
        with pytest.raises(Away):
            what()
    assert a.finish(well).state == "completed"
    assert a.finish(badly, error="boom", retry=False).state == "dead"
    said = {text for text in a.said if "goes to the hub later" in text}
    assert len(said) == 1, said  # so that a command says it once
    assert "try again" not in said.pop()
    a.wire.pass_on()
    a.forget()
    assert a.claim("a").item_id == "i2"


def test_a_hub_that_goes_while_a_step_asks_it_for_more_is_away(sharers, monkeypatch):
    a, b = opened(sharers, "a", "b")
    b.claim("b")
    course.add(*a.where, [{"id": "more"}], where="items", broken=quiet)
    real = shared_items.fetch

    def cut(*given):
        b.wire.drop()
        real(*given)

    monkeypatch.setattr(shared_items, "fetch", cut)
    with pytest.raises(Away):
        b.claim("b2", item="more")
    monkeypatch.undo()
    b.wire.pass_on()
    with b.step() as index:
        b.wire.drop()
        with pytest.raises(Away):
            index.shared.holds(["00000000-0000-0000-0000-000000000000"])
    b.wire.pass_on()
    assert b.claim("b2", item="more").data == {"id": "more"}


def test_an_end_goes_on_where_the_hub_goes_while_it_is_caught_up_with(sharers, monkeypatch):
    a, b = opened(sharers, "a", "b")
    made = b.claim("b")
    a.claim("a")
    monkeypatch.setattr(shared_step, "_MOST", 2)  # so that what is new is pulled before
    real = shared_step.Step.catch_up

    def cut(step):
        b.wire.drop()
        real(step)

    monkeypatch.setattr(shared_step.Step, "catch_up", cut)
    with b.step(ends=True) as index:
        assert index.away
        with pytest.raises(locks.Busy):
            locks.take(layout.claims_lock(*b.where), 0)
    b.wire.pass_on()
    b.forget()
    assert b.finish(made).state == "completed"
    assert any("goes to the hub later" in text for text in b.said)


def test_waiting_for_the_hub(sharers):
    (a,) = opened(sharers, "a")
    a.wire.drop()
    with pytest.raises(Away):
        a.claim("a", wait=0)

    def back(text):
        a.said.append(text)
        a.wire.pass_on()

    assert api.claim(a.job, agent="a", lease=60, wait=600, broken=back).item_id == "i0"
    assert any("waiting for it" in text for text in a.said)
    a.wire.drop()
    said = a.host.run("job", "next", "J", check=False)
    assert (said.code, said.out, said.err.count("\n")) == (6, "", 1)
    waits = a.host.start("job", "next", "J", "--wait")
    assert "waiting for it" in waits.stderr.readline()
    a.wire.pass_on()
    assert json.loads(waits.communicate(timeout=300)[0])["item_id"] == "i1"


def test_what_ended_without_the_hub_is_told_to_it_by_the_next_claim(sharers):
    a, b = opened(sharers, "a", "b")
    made = a.claim("a", lease=3600)
    a.wire.drop()
    assert a.finish(made, result=7).state == "completed"
    a.wire.pass_on()
    a.forget()
    a.claim("a")
    assert b.state()["completed"] == 1
    assert a.state()["completed"] == 1


def test_a_hub_that_has_lost_the_items_gets_them_back_and_gives_them_on(sharers, postgres, hub_url):
    a, b = sharers("a", "b")
    a.open(items=ITEMS, hub=True)
    course.add(*a.where, [{"id": "more"}], where="items", broken=quiet)
    database = hub_url.rpartition("/")[2]
    before = postgres.sql("SELECT * FROM prodigy_hub.item_file ORDER BY name", database=database)
    postgres.sql("DELETE FROM prodigy_hub.item_file", database=database)
    a.settle()
    after = postgres.sql("SELECT * FROM prodigy_hub.item_file ORDER BY name", database=database)
    assert after == before
    assert before.count("\n") == 1
    b.open()
    assert b.claim("b", item="more").data == {"id": "more"}


def give_back(one, item, told):
    """Give an item back as `merge --requeue` does, with what its next attempt is told."""
    with one.step() as index:
        made = endings.event(
            index, "DLQItemsReprocessed", count=1, items={item: 1}, reason="merge: conflict",
            conflict=told,
        )  # fmt: skip
        endings.record(index, [made], quiet)


def test_what_a_merge_tells_the_next_attempt_comes_to_the_host_that_makes_it(sharers):
    a, b = opened(sharers, "a", "b")
    for item in ("i0", "i1"):
        a.finish(a.claim("a", item=item))
        give_back(
            a, item, {"kind": "conflict", "target": "main", "base": "0" * 40, "item_id": item}
        )
    again = b.claim("b", item="i0")
    assert again.attempt == 2
    told = unmerged.of(*b.where, "i0")
    assert (told.target, told.base) == ("main", "0" * 40)
    assert unmerged.of(*b.where, "i1") is not None
    b.finish(again)
    api.record_event(a.job, "WorktreeMerged", item_id="i0", target_branch="main")
    a.claim("a")  # tells it to the hub
    b.claim("b")
    assert unmerged.of(*b.where, "i0") is None
    assert unmerged.of(*b.where, "i1") is not None


def test_what_is_told_of_an_item_is_foreign_input(sharers):
    a, b = opened(sharers, "a", "b")
    give_back(a, "../../../up", {"kind": "x"})
    give_back(a, "i1", {"kind": "x" * 2_000_000})
    assert b.claim("b").item_id == "i0"
    assert sum("is not written" in text for text in b.said) == 2
    assert not list(b.host.store.rglob("up.json"))
    assert not Path(layout.conflict(*b.where, "i1")).exists()


def test_give_back_says_it_in_the_event_of_a_shared_job_alone(sharers):
    (a,) = sharers("a")
    for name, hub in (("J", True), ("L", False)):
        a.open(name, items=ITEMS[:1], hub=hub)
        made = a.claim("a")
        a.finish(made)
        target = SimpleNamespace(store=a.where[0], repo=a.where[1])
        result = SimpleNamespace(item_id="i0", job_id=name, attempt=1)
        assert giving_back.give_back(target, result, {"kind": "conflict"}, quiet) is None
        (event,) = [one for one in a.read() if one.type == "DLQItemsReprocessed"]
        assert (event.fields().get("conflict") is not None) == hub


def test_many_items_that_are_added_have_the_time_that_it_takes(sharers, monkeypatch):
    a, b = opened(sharers, "a", "b")
    asked = []
    real = ways.Way.ask
    monkeypatch.setattr(
        ways.Way,
        "ask",
        lambda way, text, until: (asked.append(text), real(way, text, until))[1],
    )
    api.add_items(a.job, [{"id": "few"}])
    with a.step() as index:
        index.shared.take_time()
        shown = index.shared._asked_held("SHOW idle_in_transaction_session_timeout")
    assert shown == [[("2min",)]]
    asked.clear()
    monkeypatch.setattr(course, "_MANY", 3)
    api.add_items(a.job, [{"id": f"many{n}"} for n in range(4)])
    assert sum("idle_in_transaction_session_timeout = 120000" in text for text in asked) == 1
    assert b.claim("b", item="many3").data == {"id": "many3"}


@pytest.mark.parametrize("at", ["infinity", "-infinity", "294276-12-31"])
def test_a_time_that_a_member_has_set_for_a_job_keeps_nobody_from_it(sharers, hub_url, at):
    a, b = opened(sharers, "a", "b")
    rows(hub_url, f"UPDATE prodigy_hub.job SET changed_at = '{at}'")
    assert b.claim("x").item_id == "i0"
    assert a.claim("x").item_id == "i1"
