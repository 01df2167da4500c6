"""What is known of a job, its items and its sessions: what the fold makes, and what it comes to."""

from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

import msgspec

ItemState = Literal["pending", "in_progress", "completed", "dead", "failed"]
"""``dead``: in the queue. ``failed``: neither in the queue nor to be tried again."""
Phase = Literal["setup", "map", "reduce", "complete"]
PHASES: tuple[Phase, ...] = ("setup", "map", "reduce", "complete")
Status = Literal["running", "paused", "completed", "failed", "cancelled"]
ENDED: frozenset[str] = frozenset(("completed", "failed", "cancelled"))

STARTED, FAILED, COMPLETED, QUEUED, REMOVED, REPROCESSED = range(6)
_STATES: tuple[ItemState, ...] = (
    "in_progress", "pending", "completed", "dead", "failed", "pending",
)  # fmt: skip
EVICTED = "evicted"
"""Why earlier versions took the oldest item out of a long queue, which it is still part of."""
FREE = "\0"
"""Begins the key of what an agent does that works on no item; no item's id begins so."""

Key = tuple[int, str, int]
"""(attempt, epoch, stage)."""


Standing = tuple[int, str]
"""(how often a session was resumed, its status)."""
_SESSION_STATUSES = ("Running", "Failed", "Cancelled", "Completed")


class Start(msgspec.Struct, array_like=True, omit_defaults=True, gc=False):
    """The newest start of one agent on an item."""

    attempt: int
    epoch: str
    at: str
    session: str | None = None
    worktree: str | None = None
    owner: dict[str, Any] | None = None
    lease: str | None = None


class End(msgspec.Struct, array_like=True, omit_defaults=True, gc=False):
    """How an attempt at an item ended, or what became of the item afterwards."""

    attempt: int
    epoch: str
    stage: int
    at: str
    agent: str = ""
    session: str | None = None
    error: str | None = None
    reason: str | None = None
    log: str | None = None
    commits: list[str] | None = None
    duration: dict[str, int] | None = None
    final: bool = False  # not to be tried again


class Item(msgspec.Struct, omit_defaults=True, gc=False):
    """What a job's log says of one item; `view` says what that comes to."""

    starts: dict[str, Start] = {}
    begun: str = ""
    """When it was started first."""
    end: End | None = None
    loose: dict[str, End] = {}
    """Ends that bear no attempt, the newest of each agent."""
    failures: dict[str, End] = {}
    """By attempt, or by time where there is none."""
    results: dict[str, End] = {}
    """The completion or failure of each agent, for what is reported of it."""
    retry: tuple[int, str, int] | None = None
    """Attempt that may begin (time of the failure, milliseconds) later."""
    requeued: int = 0
    """The last attempt before the item was put back from the queue; those before do not count."""
    released: list[int] = []
    """The attempts, in order, that were interrupted and given back: they do not count either."""
    signature: tuple[str, str] | None = None
    """(time, error signature) of the last time it was queued."""
    late: int = 0
    """How many ends came when the item was somebody else's."""


class View(msgspec.Struct, frozen=True):
    """An item's state, and who brought it there."""

    state: ItemState
    attempt: int
    agent: str | None = None
    since: str | None = None
    start: Start | None = None
    end: End | None = None


class Tried(msgspec.Struct, frozen=True):
    """How often an item was tried, how often that failed, and by whom: agents' ids.

    An attempt that was given back does not count.
    """

    attempts: int
    failures: int
    agents: frozenset[str]


class Opening(msgspec.Struct, array_like=True, frozen=True):
    """What a job was opened with: the JobStarted."""

    at: str
    total_items: int
    max_attempts: int
    items_sha256: str = ""
    checkpoint_items: int | None = None
    checkpoint_seconds: int | None = None


class Output(msgspec.Struct, array_like=True, frozen=True):
    """What a job was given as the output of its set-up, or of one step of its reduce phase."""

    sequence: int
    at: str
    phase: str
    values: dict[str, Any]


class Job(msgspec.Struct, omit_defaults=True):
    """What a job's log says of the job as a whole."""

    job_id: str
    started_at: str = ""
    updated_at: str = ""
    ended_at: str = ""
    phase_key: tuple[int, str, int] = (0, "", 0)
    status_key: tuple[int, str, int] = (0, "", 0)
    opened: Opening | None = None
    error: str | None = None
    counts: dict[str, int] = {}
    """Lines of each type, duplicates included."""
    parts: dict[str, tuple[int, str, int]] = {}
    """Files of items that were added, by their SHA-256: (which one it is, when, how many items)."""
    unplaced: dict[str, list[End]] = {}
    """Ends, by agent, that name no item and whose agent has not started on one."""
    reached: list[str] = []
    """The phases that its events took it to, in their order."""
    outputs: list[Output] = []
    """In the order in which they were given."""

    @property
    def phase(self) -> Phase:
        """The phase the job is in: set by its events, else map from its first agent on."""
        if self.phase_key[0] or self.phase_key[1]:
            return PHASES[self.phase_key[2]]
        return "map" if self.counts.get("AgentStarted") else "setup"

    @property
    def working_phase(self) -> Literal["setup", "map", "reduce"]:
        """The phase the job is in; of one that has ended the last in which anything was done."""
        if self.phase != "complete":
            return self.phase
        if "reduce" in self.reached:
            return "reduce"
        return "map" if "map" in self.reached or self.counts.get("AgentStarted") else "setup"

    @property
    def setup_outputs(self) -> dict[str, Any]:
        """The outputs of its set-up, by key; of one that was given twice the later."""
        found: dict[str, Any] = {}
        for one in self.outputs:
            found.update(one.values if one.phase == "setup" else {})
        return found

    @property
    def reduce_steps(self) -> list[dict[str, Any]]:
        """The outputs of each step of its reduce phase."""
        return [one.values for one in self.outputs if one.phase == "reduce"]

    @property
    def status(self) -> Status:
        """Whether the job runs, or how it ended."""
        return _STATUSES[self.status_key[2]]

    @property
    def sequence(self) -> int:
        """The number of the last change of phase or status, or output; the next bears a greater one."""
        given = self.outputs[-1].sequence if self.outputs else 0
        return max(self.phase_key[0], self.status_key[0], given)

    @property
    def added(self) -> list[str]:
        """The digests of the files of items that were added, in their order."""
        return sorted(self.parts, key=lambda digest: (*self.parts[digest], digest))

    @property
    def max_attempts(self) -> int:
        """How often an item is tried; a job that was not opened with items tries each once."""
        return self.opened.max_attempts if self.opened is not None else 1


_STATUSES: tuple[Status, ...] = ("running", "paused", "completed", "failed", "cancelled")


class State:
    """A job, its items, its sessions; where only a part is in memory, how to get the rest.

    ``find_item`` and ``find_agent`` (the id of the item that an agent has started on) are asked for
    what is not here. ``touched`` and ``sessions`` hold what has changed since.
    """

    def __init__(
        self,
        job: Job,
        items: dict[str, Item] | None = None,
        sessions: dict[str, Standing] | None = None,
        find_item: Callable[[str], Item | None] = lambda _: None,
        find_agent: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        """Begin with what is known."""
        self.job = job
        self.items = {} if items is None else items
        self.sessions = {} if sessions is None else sessions
        self.touched: set[str] = set()
        self._find_item = find_item
        self._find_agent = find_agent
        self._agents: dict[str, tuple[str, str]] = {}
        for name, item in self.items.items():
            for agent, start in item.starts.items():
                self.note_agent(agent, start.at, name)

    def item(self, name: str) -> Item:
        """Return an item that is about to be changed."""
        found = self.items.get(name)
        if found is None:
            found = self.items[name] = self._find_item(name) or Item()
        self.touched.add(name)
        return found

    def item_of(self, agent: str) -> str | None:
        """Return what an agent has started on last."""
        known = self._agents.get(agent)
        return known[1] if known is not None else self._find_agent(agent)

    def note_agent(self, agent: str, at: str, item: str) -> None:
        """Remember what an agent has started on, and when."""
        known = self._agents.get(agent)
        if known is None or (at, item) > known:
            self._agents[agent] = (at, item)


def standing(one: Standing, other: Standing) -> Standing:
    """Return which of two says how it stands with a session, in whatever order they were written.

    A later stretch of work before an earlier one; within one an end before none, and its own good end
    before what others took for its end: who was only believed dead may come back.
    """
    return max(one, other, key=_standing_order)


def _standing_order(mark: Standing) -> tuple[int, int, str]:
    resumed, status = mark
    known = status in _SESSION_STATUSES
    return resumed, _SESSION_STATUSES.index(status) if known else 1, status


def view(item: Item) -> View:
    """Return what is known of an item as its state."""
    start: tuple[Key, str] | None = None
    for agent, begun in item.starts.items():
        key = ((begun.attempt, begun.epoch, STARTED), agent)
        start = key if start is None or key > start else start
    top = (_key(item.end), item.end) if item.end is not None else None
    for agent, loose in item.loose.items():
        placed = _placed(item, agent, loose, start)
        if placed is None:
            continue
        if (
            top is None
            or placed > top[0]
            or (placed == top[0] and order_of(loose) > order_of(top[1]))
        ):
            top = (placed, loose)
    if top is None or (start is not None and start[0] > top[0]):
        if start is None:
            return View("pending", 0)
        begun = item.starts[start[1]]
        return View("in_progress", begun.attempt, start[1], begun.at, begun)
    (attempt, _, stage), end = top
    state = "failed" if stage == FAILED and end.final else _STATES[stage]
    if stage == REMOVED and end.reason == EVICTED:
        state = "dead"
    who = end.agent or (start[1] if start is not None else None)
    return View(state, attempt, who, end.at, item.starts.get(who) if who else None, end)


def tried(item: Item) -> Tried:
    """Return what was done on an item so far.

    Attempts that bear a number are counted by it, each claim having the next one; others by their
    starts and ends, as far as these are kept.
    """
    last = max(
        (
            *(start.attempt for start in item.starts.values()),
            *(end.attempt for end in item.results.values()),
            *(end.attempt for end in item.failures.values()),
        ),
        default=0,
    )
    unnumbered = Counter(end.agent for end in item.failures.values() if not end.attempt)
    loose = unnumbered.total()
    for agent in item.starts.keys() | item.results.keys():
        start, end = item.starts.get(agent), item.results.get(agent)
        if start is not None and start.attempt == 0:
            # Its failures are counted; what came of the newest start is another, or the same.
            loose += end is None or end.stage == COMPLETED or end.at < start.at
        elif start is not None:
            # Starts with a number, ends without (Prodigy's): an end is that start's, or an earlier
            # one's. What there is more of is a retry, which Prodigy begins without a word.
            well = end is not None and not end.attempt and end.stage == COMPLETED
            loose -= min(unnumbered[agent], start.attempt - well)
        elif end is not None and end.attempt == 0:
            loose += end.stage == COMPLETED
    done = {str(end.attempt) for end in item.results.values() if end.stage == COMPLETED}
    agents = {*item.starts, *item.results, *(end.agent for end in item.failures.values())}
    return Tried(
        last - len(item.released) + loose,
        len(item.failures.keys() - done),
        frozenset(agents - {""}),
    )


def _placed(item: Item, agent: str, loose: End, newest: tuple[Key, str] | None) -> Key | None:
    """Return the key of an end that bears no attempt; None where it is over already."""
    start = item.starts.get(agent)
    if start is None and not agent and newest is not None:
        start = item.starts[newest[1]]
    if start is None or start.attempt == 0:
        return 0, loose.at, loose.stage
    return (start.attempt, "", loose.stage) if loose.at >= start.at else None


def last_attempt(item: Item, most: int) -> int:
    """Return the number of the last attempt that may be made at an item tried ``most`` times."""
    uncounted = sum(attempt > item.requeued for attempt in item.released)
    return item.requeued + uncounted + most


def ready_at(item: Item, attempt: int) -> tuple[str, int] | None:
    """Return from when on a pending item may be tried again: a time, and milliseconds after it."""
    if item.retry is None or item.retry[0] <= attempt:
        return None
    return item.retry[1], item.retry[2]


def _key(end: End) -> Key:
    return end.attempt, end.epoch, end.stage


def order_of(end: End) -> tuple[Any, ...]:
    """Return what puts any two ends in one order, whichever of them came first."""
    return *_key(end), end.at, end.agent, bool(end.commits), repr(end)
