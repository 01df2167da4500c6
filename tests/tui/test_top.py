"""top, through textual's pilot: rows, filter, orders, and what changes them."""

from support_cli import snapshot, write_log
from support_team import COMPLETED, DEAD, FAILED, JOB, RETRIED, STUCK, WORKING
from support_top import cell, chosen, names, on_screen, say, stream, until
from textual.widgets import DataTable, Input, Static

from prodigy_git.jobs import owner
from prodigy_git.record import clock, log
from prodigy_git.tui.app import Heard, Looked, Wrong

TROUBLE = {*DEAD, *FAILED, *STUCK, *RETRIED}


def test_trouble_comes_first_and_nothing_is_written(team):
    before = snapshot(team)

    async def scenario(app, pilot):
        assert names(app) == [
            *DEAD, *FAILED, *STUCK, *RETRIED, *WORKING,
        ]  # fmt: skip
        head = str(app.query_one("#head", Static).render())
        assert "2 dead, 3 failed, 1 stuck, 2 retrying, 2 running" in head
        assert "review: map" in head
        assert "10/25" in head
        assert chosen(app) == DEAD[0]

    on_screen(team, scenario)
    assert snapshot(team) == before


def test_filter_and_orders(team):
    async def scenario(app, pilot):
        await pilot.press("slash", *"stuck")
        assert names(app) == STUCK
        await pilot.press("space", *"zzz")
        assert names(app) == []
        await pilot.press(*["backspace"] * 4, "enter")
        assert names(app) == STUCK
        assert not app.query_one("#filter", Input).has_focus
        await pilot.press("escape")
        assert len(names(app)) == 10
        await pilot.press("slash", *"item-1 fail", "enter", "escape")
        await pilot.press("s", "s")
        assert names(app) == sorted(names(app))
        await pilot.press("s")
        assert [cell(app, name, "ITEM") for name in names(app)] == sorted(
            f"item-{n}" for n in range(10, 20)
        )
        await pilot.press("s")
        assert names(app)[:2] == DEAD

    on_screen(team, scenario)


def test_events_change_the_rows_and_the_cursor_stays_with_its_agent(team):
    async def scenario(app, pilot):
        await pilot.press("down", "down", "down", "down", "down")
        assert chosen(app) == STUCK[0]
        say(team, "CommitCreated", session_id=STUCK[0], agent_id=STUCK[0], commit="c" * 40)
        await until(pilot, lambda: cell(app, STUCK[0], "STATE") == "running")
        assert chosen(app) == STUCK[0]
        assert names(app).index(STUCK[0]) > names(app).index(RETRIED[0])
        assert any("cccccccccc" in line for line in stream(app))
        say(team, "AgentStarted", session_id="new", agent_id="new", item_id="item-20", attempt=1)
        await until(pilot, lambda: "new" in names(app))
        say(team, "AgentFailed", session_id="new", agent_id="new", item_id="item-20", attempt=1,
            error="oh no")  # fmt: skip
        await until(pilot, lambda: cell(app, "new", "STATE") == "retrying")
        assert cell(app, "new", "NOTE") == "oh no"
        assert chosen(app) == STUCK[0]
        say(team, "AgentCompleted", session_id=STUCK[0], agent_id=STUCK[0], item_id="item-17",
            attempt=1)  # fmt: skip
        await until(pilot, lambda: STUCK[0] not in names(app))

    on_screen(team, scenario)


def test_ages_grow_and_agents_get_stuck_without_an_event(team):
    async def scenario(app, pilot):
        (at_work,) = [one for one in app._everybody() if one.agent_id == WORKING[0]]
        assert cell(app, WORKING[0], "STATE") == "running"
        later = clock.now() + 20 * 60 * clock.SECOND
        clock.now, now = (lambda: later), clock.now
        try:
            app._tick()
        finally:
            clock.now = now
        assert at_work.state == "stuck"
        assert cell(app, WORKING[0], "STATE") == "stuck"
        assert cell(app, WORKING[0], "LAST") == "20m"

    on_screen(team, scenario)


def test_a_look_that_comes_when_the_screen_has_gone_is_dropped(team):
    async def scenario(app, pilot):
        found = app._found
        await app.query("*").remove()
        app.on_looked(Looked(found))
        app.on_heard(Heard())
        app.on_wrong(Wrong("x"))
        app.on_resize()
        app._tick()

    on_screen(team, scenario)


def test_one_that_dies_is_seen_to_be_dead(store):
    import subprocess
    import sys

    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    write_log(
        store, "repo", JOB, "events-20250111.jsonl",
        {"type": "AgentStarted", "timestamp": clock.stamp(clock.now()), "agent_id": "a",
         "item_id": "i", "attempt": 1, "owner": owner.of_process(child.pid).as_json()},
    )  # fmt: skip

    async def scenario(app, pilot):
        assert cell(app, "a", "STATE") == "running"
        child.communicate(b"\n")
        app._tick()
        await until(pilot, lambda: cell(app, "a", "STATE") == "dead")

    on_screen(store, scenario)


def test_five_hundred_agents(store):
    now = clock.now()
    write_log(
        store, "repo", JOB, "events-20250111.jsonl",
        *({"type": "AgentStarted", "timestamp": clock.stamp(now - n * 10 * clock.SECOND),
           "agent_id": f"a{n:03}", "session_id": f"a{n:03}", "item_id": f"i{n}", "attempt": 1}
          for n in reversed(range(500))),
    )  # fmt: skip

    async def scenario(app, pilot):
        assert len(names(app)) == 500
        assert names(app)[0] == "a499"
        await pilot.press("end")
        await pilot.press("pageup")
        there = chosen(app)
        updated = []
        table = app.query_one("#agents", DataTable)
        update = table.update_cell
        table.update_cell = lambda key, *more, **how: (
            updated.append(key) or update(key, *more, **how)
        )
        say(store, agent_id="a499", session_id="a499", content="here I am")
        await until(pilot, lambda: names(app)[-1] == "a499")
        assert chosen(app) == there
        # What has not changed is left alone; an age may have turned meanwhile.
        assert len(set(updated)) < 250
        assert "a499" in str(updated)

    on_screen(store, scenario)


def test_one_job_of_several(team):
    write_log(
        team, "repo", "another", "events-20250111.jsonl",
        {"type": "AgentStarted", "timestamp": clock.stamp(clock.now()), "agent_id": "elsewhere",
         "item_id": "i"},
    )  # fmt: skip

    async def one(app, pilot):
        assert "elsewhere" not in names(app)
        say(team, agent_id="x", content="heard")
        log.append(str(team), "repo", "another", [{"id": "1", "type": "NotMine"}])
        say(team, agent_id="x", content="heard last")
        await until(pilot, lambda: any("heard last" in line for line in stream(app)))
        assert not any("NotMine" in line for line in stream(app))

    async def both(app, pilot):
        assert "elsewhere" in names(app)
        assert set(names(app)) >= TROUBLE
        assert not set(COMPLETED) & set(names(app))

    on_screen(team, one, job=JOB)
    on_screen(team, both)
