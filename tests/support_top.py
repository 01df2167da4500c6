"""top on a screen of textual's pilot, and what its tests read of it."""

import asyncio
import os

from support_team import JOB
from textual.widgets import DataTable, Input, Log, Static

from prodigy_git.record import log
from prodigy_git.tui.app import Top
from prodigy_git.tui.reader import Reader
from prodigy_git.views.overview.repositories import Wish

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
