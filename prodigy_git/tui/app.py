"""The application: agents above, events below; what is looked at closely has a screen of its own."""

import asyncio
import contextlib
import signal
import sys
from collections import Counter, deque
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable, Footer, Input, Log, Static

from prodigy_git.errors import ProdigyError
from prodigy_git.record import clock
from prodigy_git.tui import rows, terminal
from prodigy_git.tui.reader import Reader, plain, shown
from prodigy_git.tui.watch import KEPT, Watch
from prodigy_git.views import trouble
from prodigy_git.views.harmless import clean
from prodigy_git.views.overview import closeup, words
from prodigy_git.views.overview.agents import Agent, judge_again
from prodigy_git.views.overview.repositories import Repository, Wish

_CLOCK = 5.0  # seconds; ages grow, and processes die, without an event
_BREATH = 0.1  # seconds between two batches of events
_JOBS = 3  # that the head has room for
HELP = """\
Agents: who waits for you, who is in trouble, the others.
Events change the rows.

waiting   for a permission, an answer or a prompt of yours
dead      what it ran in is gone
failed    given up: somebody has to look
stuck     silent for long
retrying  its item waits for another try
running   at work
idle      its turn is over, or it is paused

Up Down PgUp PgDn  choose an agent
Enter l    its log, or its events where it has none
d          its last commit
i          the history of its item
/          filter: words of a row, as 'dead review'
Esc        no filter
s          next order: trouble, last event, name, item
p          hold the stream of events, let it go on
Left Right columns that do not fit
?          this text
Tab        to the events and back
q          quit, or back from a screen like this one

BASE is commits ahead of and behind the base branch.
'prodigy-git status' says what to do."""


class Looked(Message):
    """A look at the repositories is there."""

    def __init__(self, found: list[Repository]) -> None:
        """Take what was found."""
        super().__init__()
        self.found = found


class Heard(Message):
    """Events have come."""


class Wrong(Message):
    """Something is wrong, in words."""

    def __init__(self, text: str) -> None:
        """Take the words."""
        super().__init__()
        self.text = text


class Top(App[int]):
    """Shows what the agents do; its result is the exit status."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c", "leave", "Quit"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("l", "log", "Log"),
        Binding("d", "diff", "Diff"),
        Binding("i", "history", "Item"),
        Binding("s", "sort", "Sort"),
        Binding("p", "pause", "Pause"),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("escape", "show_all", "Show all", show=False),
    ]
    CSS = """
    #head { height: auto; max-height: 5; padding: 0 1; }
    #filter { height: 1; border: none; padding: 0 1; display: none; background: $panel; }
    #filter.on { display: block; }
    #agents { height: 2fr; min-height: 5; }
    #about { height: 1; background: $panel; padding: 0 1; }
    #events { height: 1fr; min-height: 3; scrollbar-size-vertical: 1; }
    """

    def __init__(self, store: str, keys: Callable[[], list[str]], wish: Wish) -> None:
        """Take what is to be looked at, as `Watch` does."""
        super().__init__()
        self._watch = Watch(
            store, keys, wish,
            show=lambda found: self._post(Looked(found)),
            heard=self._tell,
            broken=lambda text: self._post(Wrong(text)),
        )  # fmt: skip
        self._found: list[Repository] = []
        self._stream: deque[str] = deque(maxlen=KEPT)
        self._told = False
        self._paused = False
        self._wanted = ""
        self._sort = 0
        self._wrong = ""

    def compose(self) -> ComposeResult:
        """Make head, filter, table, stream, keys."""
        yield Static("looking …", id="head", markup=False)
        yield Input(placeholder="words that a row must have", id="filter", select_on_focus=False)
        yield DataTable(id="agents", cursor_type="row", zebra_stripes=True)
        yield Static("", id="about", markup=False)
        yield Log(id="events", max_lines=KEPT)
        yield Footer()

    def on_mount(self) -> None:
        """Begin to watch; signals end it as a key does."""
        table: DataTable[Text] = self.query_one("#agents", DataTable)
        self._rows = rows.Rows(table)
        table.focus()
        self._about()
        if not self.is_headless:
            self._heed_signals()
        try:
            self._watch.start()
            self.on_heard(Heard())
        except (OSError, ProdigyError) as error:
            self._post(Wrong(str(error)))
        self.set_interval(_CLOCK, self._tick)

    def on_unmount(self) -> None:
        """End the watch's threads."""
        self._watch.stop()

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                loop.add_signal_handler(number, self.exit, terminal.INTERRUPTED)
        assert sys.__stderr__ is not None
        terminal.leave_when_gone(sys.__stderr__.fileno())

    # From the watch's threads ----------------------------------------------------------------

    def _post(self, message: Message) -> None:
        self.post_message(message)

    def _tell(self) -> None:
        # One message is enough, however many events come before it is read.
        if not self._told:
            self._told = True
            self._post(Heard())

    # What is shown ---------------------------------------------------------------------------

    def on_looked(self, message: Looked) -> None:
        """Show a look."""
        if self._is_leaving():
            return
        self._found = message.found
        self._draw()

    def on_heard(self, _: Heard) -> None:
        """Show what has come."""
        if self._is_leaving():
            return
        lines = [closeup.summary(event) for _, _, event in self._watch.take()]
        self.set_timer(_BREATH, self._listen)
        self._stream.extend(lines)
        if not self._paused:
            self._write(lines)

    def _listen(self) -> None:
        self._told = False
        if self._watch.waiting():
            self._tell()

    def on_wrong(self, message: Wrong) -> None:
        """Say what is wrong, until something else is."""
        self._wrong = message.text
        if not self._is_leaving():
            self._about()

    def on_resize(self) -> None:
        """Fit the rows and the head to the window, once textual has taken over its new size."""
        self.call_next(self._fit)

    def _fit(self) -> None:
        if self._found and not self._is_leaving():
            self._draw()

    def _tick(self) -> None:
        if self._is_leaving():
            return
        judge_again(self._everybody(), clock.now(), self._watch.wish.stuck_after)
        self._draw()
        self._watch.look_again()

    def _is_leaving(self) -> bool:
        """Whether the screen has been taken down: messages from the watch may still come."""
        return not self.query("#head")

    def _everybody(self) -> list[Agent]:
        # Of people's own checkouts those in which a program is at work.
        return [
            one
            for repository in self._found
            for one in (*repository.agents, *filter(_is_at_work, repository.checkouts))
        ]

    def _shown(self) -> list[Agent]:
        some = (one for one in self._everybody() if rows.fits(one, self._wanted))
        return rows.ordered(some, rows.SORTS[self._sort])

    def _draw(self) -> None:
        with contextlib.suppress(LookupError):
            self._rows.show(self._shown(), clock.now(), self.size.width)
        self.query_one("#head", Static).update(self._head())
        self._about()

    def _head(self) -> Text:
        width = max(20, self.size.width - 2)
        lines = []
        counts = Counter(one.state for one in self._everybody() if not one.persons)
        counts["finished"] = sum(one.counts["finished"] for one in self._found)
        said = ", ".join(f"{counts[state]} {state}" for state in trouble.ORDER if counts[state])
        where = ", ".join(one.key for one in self._found) or "nothing here yet"
        lines.append(plain(f"{where}: {said or 'no agents'}", "bold"))
        lines += [
            plain(f"edited by several: {words.same_files(one)}", "yellow")
            for one in self._found
            if one.same_files
        ]
        lines += [
            plain(f"other hosts: {words.hosts(one, clock.now())}")
            for one in self._found
            if one.hosts
        ]
        jobs = [job for repository in self._found for job in repository.jobs]
        # Those that somebody has to see to are not among those that have no room.
        room = _JOBS - any(one.hosts for one in self._found)
        jobs.sort(key=lambda job: (not job["queued"], not job["in_progress"]))
        lines += [_job(job, width) for job in jobs[:room]]
        if len(jobs) > room:
            more = len(jobs) - room
            lines.append(plain(f"and {more} more job{'' if more == 1 else 's'}"))
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return Text("\n").join(lines)

    def _about(self) -> None:
        parts = [f"by {rows.SORTS[self._sort]}"]
        if self._wanted:
            parts.append(f"only '{self._wanted}'")
        parts.append("events: held" if self._paused else "events")
        if self._wrong:
            parts.append(self._wrong)
        self.query_one("#about", Static).update(plain(", ".join(parts)))

    def _write(self, lines: list[str]) -> None:
        self.query_one("#events", Log).write_lines(map(shown, lines))

    # Keys ------------------------------------------------------------------------------------

    def action_leave(self) -> None:
        """Quit."""
        self.exit(0)

    def action_filter(self) -> None:
        """Let the filter be written."""
        box = self.query_one("#filter", Input)
        box.add_class("on")
        box.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is written."""
        self._wanted = event.value.strip()
        self._draw()

    def on_input_submitted(self, _: Input.Submitted) -> None:
        """Go back to the table, with the filter on."""
        if not self._wanted:
            self.query_one("#filter", Input).remove_class("on")
        self.query_one("#agents", DataTable).focus()

    def action_show_all(self) -> None:
        """Take the filter off."""
        box = self.query_one("#filter", Input)
        box.value = ""
        box.remove_class("on")
        self.query_one("#agents", DataTable).focus()

    def action_sort(self) -> None:
        """Take the next order."""
        self._sort = (self._sort + 1) % len(rows.SORTS)
        self._draw()

    def action_pause(self) -> None:
        """Hold the stream of events, or let it go on with all that came."""
        self._paused = not self._paused
        if not self._paused:
            self.query_one("#events", Log).clear()
            self._write(list(self._stream))
        self._about()

    def action_help(self) -> None:
        """Show what there is to know."""
        self.push_screen(Reader("prodigy-git top", HELP.splitlines()))

    def on_data_table_row_selected(self, _: DataTable.RowSelected) -> None:
        """Open the log of the agent that was chosen."""
        self.action_log()

    def action_log(self) -> None:
        """Open the agent's log."""
        store = self._watch.store
        self._read(lambda one: closeup.log(store, one, self._note), end=True)

    def action_diff(self) -> None:
        """Open the agent's last commit."""
        commons = {repository.key: repository.common for repository in self._found}
        self._read(lambda one: closeup.diff(one, commons.get(one.repo or "")))

    def action_history(self) -> None:
        """Open the history of the agent's item."""
        store = self._watch.store
        self._read(lambda one: closeup.history(store, one, self._note))

    def _note(self, text: str) -> None:
        self._post(Wrong(text))

    def _read(self, look: Callable[[Agent], tuple[str, list[str]]], *, end: bool = False) -> None:
        key = self._rows.selected()
        chosen = next((one for one in self._everybody() if one.key == key), None)
        if chosen is not None:
            self._open(look, chosen, end)

    @work(exclusive=True, group="reader")
    async def _open(
        self, look: Callable[[Agent], tuple[str, list[str]]], chosen: Agent, end: bool
    ) -> None:
        try:
            title, lines = await asyncio.to_thread(look, chosen)
        except (OSError, ProdigyError) as error:
            self.notify(clean(str(error)), markup=False, timeout=4)
            return
        self.push_screen(Reader(title, lines, end=end))


def _is_at_work(own: Agent) -> bool:
    return own.activity is not None and own.activity.state != "ended" and not own.activity.gone


def _job(job: dict[str, object], width: int) -> Text:
    total = job["total_items"]
    assert isinstance(total, int)
    done = job["completed"]
    assert isinstance(done, int)
    # That it runs goes without saying.
    status = "" if job["status"] == "running" else f", {job['status']}"
    head = f"{job['job_id']}: {job['phase']}{status}"
    if not total:
        return plain(head)
    bar = words.bar(done, total, 10 if width < 90 else 20)
    return plain(f"{head} {bar} {done}/{total}, {words.items(job, 'completed')}")
