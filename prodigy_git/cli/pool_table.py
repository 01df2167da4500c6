"""The live table of run --parallel: who works on what under the lines that the agents write."""

import contextlib
import sys
import time
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table as Rows
from rich.text import Text

from prodigy_git import duration
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import summary
from prodigy_git.lifecycle.pool import Seat
from prodigy_git.lifecycle.sinks import Ours
from prodigy_git.record import clock
from prodigy_git.views.harmless import clean

_PAUSE = 0.15  # seconds from one drawing to the next, at least
_COUNT_AGAIN = 10.0  # seconds; others may work on the job, too
_WIDE, _NARROW = 70, 40  # columns of a terminal


class Table:
    """Draws on standard error; lines are written above it."""

    every: float | None = 1.0

    def __init__(self, where: tuple[str, str, str], ours: Ours, *, also_out: bool) -> None:
        """Begin; ``also_out``: standard output is a terminal as well, so its lines go above it too."""
        self._where = where
        self._ours = ours
        self._also_out = also_out
        self._begun = self._drawn = time.monotonic()
        self._counted = float("-inf")
        self._counts: dict[str, Any] = {}
        self._since: dict[int, tuple[str, float]] = {}
        self._says: dict[str, str] = {}
        self._last = ""
        self._lines: list[str] = []
        self._console = Console(file=sys.stderr, force_terminal=True, highlight=False, markup=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def out(self, lines: bytes) -> None:
        """Write lines of the workers' standard output."""
        if self._also_out:
            self.err(lines)
        else:
            self._ours.out.put(lines)

    def err(self, lines: bytes) -> None:
        """Write lines above the table."""
        for line in lines.decode("utf-8", "replace").splitlines():
            self._lines.append(line)
            agent, _, said = line.removeprefix("[").partition("] ")
            if line.startswith("[") and said.strip():
                self._says[agent] = said.strip()

    def say(self, text: str) -> None:
        """Say something that is not an agent's."""
        self._lines.append(f"prodigy-git: {clean(text)}")

    def ended(self, attempt: dict[str, Any]) -> None:
        """Count what became of an attempt."""
        self._says.pop(str(attempt["agent_id"]), None)
        if attempt["state"] in ("completed", "dead", "failed") and self._counts:
            self._counts[attempt["state"]] += 1
            self._counts["given_up"] += attempt["state"] != "completed"
        failed = attempt["signal"] is None and attempt["state"] != "completed"
        if attempt["error"] and failed:
            self._last = clean(f"{attempt['item_id']}: {attempt['error']}")

    def refresh(self, seats: list[Seat]) -> None:
        """Draw, unless that was a moment ago."""
        now = time.monotonic()
        self.every = 1.0
        if now - self._drawn < _PAUSE:
            self.every = _PAUSE
            return
        self._drawn = now
        self._count()
        self._live.update(Group(*self._drawing(seats, now)))
        if self._lines:
            above, self._lines = "\n".join(self._lines), []
            self._console.print(Text(above), soft_wrap=True)
        self._live.refresh()

    def close(self) -> None:
        """Take the table away, and write what is left."""
        if self._lines:
            self._console.print(Text("\n".join(self._lines)), soft_wrap=True)
        self._live.update(Text(""))
        self._live.stop()

    def _count(self) -> None:
        if time.monotonic() - self._counted < _COUNT_AGAIN:
            return
        with contextlib.suppress(ProdigyError, OSError):  # it is shown beside the rest
            self._counts = summary.line(*self._where, lambda _: None)
        self._counted = time.monotonic()

    def _drawing(self, seats: list[Seat], now: float) -> list[Any]:
        width = self._console.width
        rows = Rows(box=None, expand=True, pad_edge=False, header_style="bold")
        rows.add_column("AGENT", no_wrap=True, ratio=3)
        rows.add_column("ITEM", no_wrap=True, ratio=3)
        if width >= _NARROW:
            rows.add_column("TRY", no_wrap=True, justify="right")
            rows.add_column("FOR", no_wrap=True, justify="right")
        if width >= _WIDE:
            rows.add_column("SAYS", no_wrap=True, ratio=6)
        for seat in seats:
            found = self._row(seat, now)
            if found is not None:
                rows.add_row(*map(Text, found[: len(rows.columns)]))
        # A line for the cursor: behind a full one what a key echoes (Ctrl-C) would move it further
        # down, and what is above the table would not be taken away.
        return [self._headline(seats, now), rows, Text("")]

    def _row(self, seat: Seat, now: float) -> list[str] | None:
        if seat.state == "gone":
            return None
        if seat.state != "working":
            return ["-", "waits" if seat.state == "idle" else "", "", "", ""]
        session = str(seat.attempt["session_id"])
        if self._since.get(seat.number, ("", 0.0))[0] != session:
            self._since[seat.number] = session, now
        agent = str(seat.attempt["agent_id"])
        spent = duration.text(int((now - self._since[seat.number][1]) * clock.SECOND))
        return [
            agent, str(seat.attempt["item_id"]), str(seat.attempt["attempt"]), spent,
            self._says.get(agent, ""),
        ]  # fmt: skip

    def _headline(self, seats: list[Seat], now: float) -> Text:
        counts = self._counts
        working = sum(seat.state == "working" for seat in seats)
        text = f"{self._where[2]}: {working} at work"
        if counts:
            text = f"{self._where[2]}: {counts['completed']} of {counts['total_items']} done"
            if counts["given_up"]:
                text += f", {counts['given_up']} given up"
            text += f", {working} at work"
        text += f", {duration.text(int((now - self._begun) * clock.SECOND))}"
        if self._last:
            text += f"; last failure: {self._last}"
        return Text(text, no_wrap=True, overflow="ellipsis", style="bold")
