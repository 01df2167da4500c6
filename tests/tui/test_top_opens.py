"""top, through textual's pilot: what opens of a row, and how text fits on the screen."""

import json
import os

import pytest
from support_cli import new, write_log
from support_team import FAILED, HOSTILE, JOB, RETRIED
from support_top import on_screen, only, opens, say, stream, until
from textual.widgets import DataTable

from prodigy_git.record import clock
from prodigy_git.tui import app, rows
from prodigy_git.tui.reader import Reader


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
        assert all(
            state in text for state in ("waiting", "dead", "failed", "stuck", "retrying", "idle")
        )
        assert max(map(len, lines)) <= 60

    on_screen(team, scenario)


def test_cells_are_short_and_rows_fit_by_every_word():
    from prodigy_git.views.overview.agents import Agent
    from prodigy_git.views.overview.program_states import Doing

    waits = Doing("claude", "c", "waiting", since=0, seen=0, reason="permission")
    assert rows.fits(
        Agent("waiting", "r", "j", "s", "a", None, activity=waits), "claude permission"
    )
    one = Agent("failed", "r", "j", "s-1", "Agent", "item-7", error="Oh No", branch="b" * 100)
    assert rows.fits(one, "")
    assert rows.fits(one, "AGENT oh item-7")
    assert not rows.fits(one, "agent ah")


COLUMNS = tuple(name for name in rows.COLUMNS if name != "HOST")
"""Those of one host."""


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_note_is_on_the_screen_however_long_the_names(store, width, monkeypatch):
    monkeypatch.setattr(app, "_CLOCK", 3600.0)  # a new size is heeded at once, not at the next tick
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

    def seen(top):
        table = top.query_one("#agents", DataTable)
        shown = list(COLUMNS[: COLUMNS.index("NOTE") + 1])
        assert shown[-1] == "NOTE"
        widths = {str(key.value): one.get_render_width(table) for key, one in table.columns.items()}
        return sum(widths[name] for name in shown)

    async def scenario(top, pilot):
        await until(pilot, lambda: top.query_one("#agents", DataTable).row_count == 1)
        await pilot.pause()
        assert seen(top) <= width
        row = top.query_one("#agents", DataTable).get_row_at(0)
        note = str(row[COLUMNS.index("NOTE")])
        assert note.startswith("Oh no")
        assert note.endswith("…")
        await pilot.resize_terminal(200, 24)
        await until(pilot, lambda: seen(top) > 120)
        await pilot.resize_terminal(width, 24)
        await until(pilot, lambda: seen(top) <= width)

    on_screen(store, scenario, size=(width, 24))
