"""top, through textual's pilot: rows, filter, orders, what opens, and text that means harm."""

import asyncio
import json
import os

import pytest
import support_team
from support_cli import new, snapshot, write_log
from support_team import COMPLETED, DEAD, FAILED, HOSTILE, JOB, RETRIED, STUCK, WORKING
from textual.widgets import DataTable, Input, Log, Static

from prodigy_git.jobs import owner
from prodigy_git.record import clock, log
from prodigy_git.tui import rows
from prodigy_git.tui.app import Heard, Looked, Top, Wrong
from prodigy_git.tui.reader import Reader
from prodigy_git.views.overview.repositories import Wish

TROUBLE = {*DEAD, *FAILED, *STUCK, *RETRIED}
PATIENCE = 30  # seconds


def on_screen(store, scenario, *, keys=("repo",), size=(80, 24), **wish):
    """Run the application, and a scenario with it and its pilot once the first look is there."""

    async def run():
        app = Top(str(store), lambda: list(keys), Wish(**wish))
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app._found)
            await scenario(app, pilot)

    asyncio.run(run())


async def until(pilot, condition):
    """Let the application go on until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await pilot.pause(0.01)


def names(app):
    table = app.query_one("#agents", DataTable)
    return [str(row.key.value).split("/")[2] for row in table.ordered_rows]


def chosen(app):
    return app._rows.selected().split("/")[2]


def cell(app, name, column):
    table = app.query_one("#agents", DataTable)
    key = next(row.key for row in table.ordered_rows if str(row.key.value).split("/")[2] == name)
    return str(table.get_cell(key, column))


def stream(app):
    return list(app.query_one("#events", Log).lines)


def read(app):
    """Return the title and the lines of the screen that was opened."""
    assert isinstance(app.screen, Reader)
    title = str(app.screen.query_one("#title", Static).render())
    return title, list(app.screen.query_one(Log).lines)


async def only(pilot, wanted):
    """Filter, with the cursor on the first row that fits."""
    box = pilot.app.query_one("#filter", Input)
    await pilot.press("slash")
    box.value = wanted
    await pilot.press("enter")
    pilot.app.query_one("#agents", DataTable).move_cursor(row=0)


async def opens(pilot, key):
    await pilot.press(key)
    await until(pilot, lambda: isinstance(pilot.app.screen, Reader))
    await until(pilot, lambda: pilot.app.screen.query_one(Log).lines)
    return read(pilot.app)


def say(store, kind="ClaudeMessage", **fields):
    log.append(str(store), "repo", JOB, [{"id": os.urandom(8).hex(), "type": kind, **fields}])


@pytest.fixture
def team(store):
    support_team.write(store, "repo")
    return store


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


def test_the_log_of_an_agent(team, tmp_path):
    long = tmp_path / "long.log"
    long.write_text("".join(f"line {n} [red]x[/]\n" for n in range(60_000)) + "the \x1b[2Jend\n")
    say(team, "AgentFailed", agent_id=RETRIED[0], item_id="item-13", attempt=1, error="again",
        json_log_location=str(long))  # fmt: skip
    os.mkfifo(tmp_path / "pipe")
    say(team, "AgentFailed", agent_id=RETRIED[1], item_id="item-14", attempt=1, error="again",
        json_log_location=str(tmp_path / "pipe"))  # fmt: skip

    async def scenario(app, pilot):
        await only(pilot, RETRIED[0])
        title, lines = await opens(pilot, "l")
        assert title == str(long)
        assert lines[0] == "(the last 256 KiB)"
        assert lines[-2:] == ["line 59999 [red]x[/]", "the \\x1b[2Jend"]
        await pilot.press("q")
        assert not isinstance(app.screen, Reader)
        await only(pilot, RETRIED[1])
        title, lines = await opens(pilot, "enter")
        assert "no log of its own" in title
        assert any("AgentFailed" in line for line in lines)

    on_screen(team, scenario)


def test_the_last_commit_of_an_agent(repo, store, git):
    made = new(repo, "one", "--job", "j", "--agent", "writer")
    new(repo, "two", "--job", "j", "--agent", "idler")
    (repo / "evil").write_text("")
    worktree = store / "worktrees/repo/one"
    (worktree / "file").write_text("[bold]new[/bold]\n\x1b]0;title\x07\n" + "x" * 5000 + "\n")
    git("add", ".", cwd=worktree)
    git("commit", "-q", "-m", HOSTILE, cwd=worktree)
    assert made["session_id"] == "one"

    async def scenario(app, pilot):
        await only(pilot, "writer")
        title, lines = await opens(pilot, "d")
        assert title.startswith("writer: ")
        text = "\n".join(lines)
        assert "+[bold]new[/bold]" in text
        assert "+\\x1b]0;title\\x07" in text
        assert "\\x1b[2J\\u202egnp.exe" in text
        assert "\x1b" not in text
        assert max(map(len, lines)) < 2100
        await pilot.press("escape")
        await only(pilot, "idler")
        await pilot.press("d")
        await until(
            pilot, lambda: any("no commit yet" in one.message for one in app._notifications)
        )
        assert not isinstance(app.screen, Reader)

    on_screen(store, scenario)


def test_the_history_of_an_item(team):
    async def scenario(app, pilot):
        await only(pilot, FAILED[0])
        title, lines = await opens(pilot, "i")
        assert title == "item-10 of job review"
        assert [line for line in lines if line.startswith("attempt")] == [
            f"attempt {n}: agent-10, failed, after 5m 00s" for n in (1, 2, 3)
        ]
        assert lines.count("  tests failed: 10 of 40") == 3

    on_screen(team, scenario)


def test_the_stream_is_held_and_goes_on(team):
    async def scenario(app, pilot):
        await until(pilot, lambda: stream(app))
        await pilot.press("p")
        before = stream(app)
        say(team, agent_id="x", content="while it is held")
        await until(pilot, lambda: any("while it is held" in line for line in app._stream))
        assert stream(app) == before
        await pilot.press("p")
        await until(pilot, lambda: any("while it is held" in line for line in stream(app)))

    on_screen(team, scenario)


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


@pytest.mark.parametrize("size", [(80, 24), (20, 6)])
def test_text_that_means_harm_is_text(store, size):
    bad = f"[red]x[/] [/] [@click=app.leave]x[/] {HOSTILE}"
    start = {
        "type": "AgentStarted", "timestamp": clock.stamp(clock.now()), "agent_id": bad,
        "session_id": bad, "item_id": bad, "attempt": 1, "owner": {"pid": bad},
    }  # fmt: skip
    fail = {**start, "type": "AgentFailed", "error": bad, "json_log_location": bad}
    write_log(store, "repo", JOB, "events-20250111.jsonl", start, fail, "\x1b[2J no event")
    (store / "sessions").mkdir()
    (store / "sessions" / "evil.json").write_text(
        json.dumps({
            "id": "evil", "status": "Running", "error": bad, "metadata": {
                "repo": "repo", "branch": bad, "base_branch": bad, "worktree_path": bad,
                "agent_id": bad, "item_id": bad}})
    )  # fmt: skip

    async def scenario(app, pilot):
        assert len(app._everybody()) == 2
        table = app.query_one("#agents", DataTable)
        for column, begin in ("AGENT", "[red"), ("NOTE", "[red]x[/] ["):  # as it is, and cut
            told = [str(table.get_cell(row.key, column)) for row in table.ordered_rows]
            assert any(text.startswith(begin) for text in told), told
        for key in "ldi":
            await pilot.press(key)
            await until(pilot, lambda: app._notifications or isinstance(app.screen, Reader))
            await pilot.press("escape")
            app.clear_notifications()
        for sheet in app.screen._compositor.render_strips() or []:
            assert "\x1b[2J" not in "".join(segment.text for segment in sheet)

    on_screen(store, scenario, size=size)


def test_help_names_every_key(team):
    async def scenario(app, pilot):
        _, lines = await opens(pilot, "question_mark")
        text = "\n".join(lines)
        for binding in app.BINDINGS:
            for key in binding.key.split(","):
                name = {"slash": "/", "question_mark": "?", "escape": "Esc", "ctrl+c": "q"}
                assert f"\n{name.get(key, key)} " in text or f" {name.get(key, key)} " in text, key
        assert all(state in text for state in ("dead", "failed", "stuck", "retrying", "idle"))
        assert max(map(len, lines)) <= 60

    on_screen(team, scenario)


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


def test_cells_are_short_and_rows_fit_by_every_word():
    from prodigy_git.views.overview.agents import Agent

    one = Agent("failed", "r", "j", "s-1", "Agent", "item-7", error="Oh No", branch="b" * 100)
    assert rows.fits(one, "")
    assert rows.fits(one, "AGENT oh item-7")
    assert not rows.fits(one, "agent ah")


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_note_is_on_the_screen_however_long_the_names(store, width):
    failed = {
        "type": "AgentFailed", "agent_id": "an-agent-" * 9, "item_id": "an-item-" * 12,
        "session_id": "s-1", "error": "Oh no, " * 20,
    }  # fmt: skip
    started = {key: value for key, value in failed.items() if key != "error"}
    write_log(
        store, "repo", "j", "events-20250111.jsonl",
        {"timestamp": "2025-01-11T12:00:01Z", **started, "type": "AgentStarted"},
        {"timestamp": "2025-01-11T12:00:02Z", **failed},
    )  # fmt: skip

    def seen(app):
        table = app.query_one("#agents", DataTable)
        shown = list(rows.COLUMNS[: rows.COLUMNS.index("NOTE") + 1])
        assert shown[-1] == "NOTE"
        widths = {str(key.value): one.get_render_width(table) for key, one in table.columns.items()}
        return sum(widths[name] for name in shown)

    async def scenario(app, pilot):
        await until(pilot, lambda: app.query_one("#agents", DataTable).row_count == 1)
        await pilot.pause()
        assert seen(app) <= width
        row = app.query_one("#agents", DataTable).get_row_at(0)
        note = str(row[rows.COLUMNS.index("NOTE")])
        assert note.startswith("Oh no")
        assert note.endswith("…")
        await pilot.resize_terminal(200, 24)
        await until(pilot, lambda: seen(app) > 120)
        await pilot.resize_terminal(width, 24)
        await until(pilot, lambda: seen(app) <= width)

    on_screen(store, scenario, size=(width, 24))
