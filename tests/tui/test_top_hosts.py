"""top, where a hub has other hosts: a column for them, and what the gone ones had."""

from support_cli import snapshot
from support_other_hosts import AWAY, BUILD, claimed, join, pulled, tell
from support_team import JOB, WORKING
from support_top import cell, names, on_screen, until
from textual.widgets import DataTable, Static

HEAD = "#head"


def columns(app):
    table = app.query_one("#agents", DataTable)
    return [str(one.key.value) for one in table.ordered_columns]


def test_a_host_that_comes_gets_a_column_and_the_cursor_stays(team):
    async def scenario(app, pilot):
        assert "HOST" not in columns(app)
        await pilot.press("end")
        before = app._rows.selected()
        join(team)
        tell(team, BUILD, "s-build", job=JOB, agent_id="ada", item_id="item-24")
        pulled(team, BUILD, claimed(BUILD, "item-24", "ada", "s-build", lease=60), job=JOB)
        tell(team, AWAY, "s-away", job=JOB, agent_id="bob", item_id="item-23", minutes=120)
        pulled(team, AWAY, claimed(AWAY, "item-23", "bob", "s-away", minutes=120), job=JOB)
        await until(pilot, lambda: "s-away" in names(app))
        assert columns(app)[:3] == ["STATE", "AGENT", "HOST"]
        assert app._rows.selected() == before
        assert (cell(app, "s-build", "HOST"), cell(app, "s-build", "STATE")) == (
            "build-7",
            "running",
        )
        assert cell(app, "s-build", "NOTE") == "seen 3m ago"
        assert (cell(app, "s-away", "HOST"), cell(app, "s-away", "STATE")) == ("ci-2", "dead")
        assert cell(app, WORKING[0], "HOST") == "here"
        head = str(app.query_one(HEAD, Static).render())
        assert "ci-2 is gone, seen 2h ago, had 1 of" in head
        await pilot.press("slash", *"ci-2", "enter")
        assert names(app) == ["s-away"]

    on_screen(team, scenario)


def test_a_small_window_holds_the_column_and_nothing_is_written(team):
    join(team)
    for number in range(3):
        tell(team, BUILD, f"s-{number}", job=JOB, agent_id=f"ada-of-a-very-long-name-{number}")
    before = snapshot(team)

    async def scenario(app, pilot):
        await until(pilot, lambda: "s-2" in names(app))
        table = app.query_one("#agents", DataTable)
        shown = columns(app)[: columns(app).index("NOTE") + 1]
        widths = {str(key.value): one.get_render_width(table) for key, one in table.columns.items()}
        assert sum(widths[name] for name in shown) <= 60 + 8
        head = str(app.query_one(HEAD, Static).render()).splitlines()
        assert all(len(line) <= 58 for line in head)
        assert len(head) <= 5

    on_screen(team, scenario, size=(60, 20))
    assert snapshot(team) == before
