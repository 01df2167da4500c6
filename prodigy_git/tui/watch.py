"""What keeps the screen up to date: one thread that follows the log, one that looks when it says so."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from prodigy_git.errors import ProdigyError
from prodigy_git.store import events
from prodigy_git.store.follow import Follower, Found
from prodigy_git.views.overview import last_seen
from prodigy_git.views.overview.agents import Agent
from prodigy_git.views.overview.last_seen import names_of
from prodigy_git.views.overview.memory import Memory
from prodigy_git.views.overview.repositories import Repository, Wish, of_store

KEPT = 500
"""How many events are kept for the stream."""
_AT_FIRST = 50  # events of those that have been
_PAUSE = 0.25  # seconds from one look to the next, at least
_SHARE = 3  # a look may take this fraction of the time at most
_CHANGES = 10.0  # seconds from one question for uncommitted changes to the next
_CHEAP = 50  # worktrees that git is asked about


class Watch:
    """Looks at a store's repositories, and again whenever an event has come.

    ``show`` is called with each look, ``heard`` when events have come (`take` gives them), ``broken``
    with what is wrong; all of them from threads of its own.
    """

    def __init__(
        self,
        store: str,
        keys: Callable[[], list[str]],
        wish: Wish,
        show: Callable[[list[Repository]], None],
        heard: Callable[[], None],
        broken: Callable[[str], None],
    ) -> None:
        """Begin with nothing; ``keys`` is asked again before each look, since repositories begin."""
        self.store = store
        self.wish = wish
        self._keys = keys
        self._show = show
        self._heard = heard
        self._broken = broken
        self._stop = threading.Event()
        self._due = threading.Event()
        self._lock = threading.Lock()
        self._moments: dict[tuple[str, str], dict[str, int]] = {}
        self._new: deque[Found] = deque(maxlen=KEPT)
        self._again = False
        self._dirty: dict[str, bool | None] = {}
        self._asked = float("-inf")
        self._threads = [
            threading.Thread(target=self._follow, name="follow", daemon=True),
            threading.Thread(target=self._look, name="look", daemon=True),
        ]

    def start(self) -> None:
        """Begin to follow and to look."""
        self._new.extend(last_seen.latest(self.store, self._jobs(), _AT_FIRST))
        # Before the first look: what comes meanwhile is then either seen by it or told after it.
        self._follower = Follower(self.store, self._jobs, None, self._broken)
        self._due.set()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End both threads; they are gone soon after."""
        self._stop.set()
        self._due.set()

    def look_again(self) -> None:
        """Look once more without an event: a process that has died tells nobody."""
        self._again = True
        self._due.set()

    def take(self) -> list[Found]:
        """Return the events that have come since the last time, the newest `KEPT` at most."""
        with self._lock:
            found = list(self._new)
            self._new.clear()
        return found

    def waiting(self) -> bool:
        """Whether there is anything to `take`."""
        return bool(self._new)

    def _jobs(self) -> list[tuple[str, str]]:
        keys = self._keys()
        return [pair for key in keys for pair in events.jobs(self.store, key, self.wish.job)]

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                for batch in self._follower.follow(self._stop):
                    self._note(batch)
                    if self._stop.is_set():
                        return
            except (OSError, ProdigyError, RuntimeError) as error:
                self._broken(f"the log cannot be followed ({error}): trying again")
                self._stop.wait(1.0)

    def _note(self, batch: list[Found]) -> None:
        with self._lock:
            for repo, job, event in batch:
                moment = event.moment
                if moment is not None:
                    seen = self._moments.setdefault((repo, job), {})
                    for name in names_of(event):
                        seen[name] = max(moment, seen.get(name, 0))
            self._new.extend(batch)
        self._due.set()
        self._heard()

    def _look(self) -> None:
        memory = Memory(keep=True)
        try:
            while True:
                self._due.wait()
                if self._stop.is_set():
                    return
                self._due.clear()
                begun = time.monotonic()
                try:
                    self._look_once(memory)
                except Exception as error:
                    # Whatever it is, the screen stays, says so, and tries again with the next event.
                    self._broken(f"{type(error).__name__}: {error}")
                taken = time.monotonic() - begun
                self._stop.wait(max(_PAUSE, _SHARE * taken))
        finally:
            memory.close()

    def _look_once(self, memory: Memory) -> None:
        with self._lock:
            moments, self._moments = self._moments, {}
        for pair, names in moments.items():
            memory.heard(*pair, names)
        if self._again:
            self._again = False
            memory.look_again()
        ask = time.monotonic() - self._asked >= _CHANGES and len(self._dirty) <= _CHEAP
        wish = replace(self.wish, dirty=ask, watched=True)
        found = of_store(self.store, self._keys(), wish, memory, self._broken)
        everybody = [one for repository in found for one in repository.agents]
        self._remember_changes(everybody, asked=ask)
        self._show(found)

    def _remember_changes(self, everybody: list[Agent], *, asked: bool) -> None:
        if asked:
            self._asked = time.monotonic()
            self._dirty = {one.worktree: one.dirty for one in everybody if one.worktree}
            return
        for one in everybody:
            one.dirty = self._dirty.get(one.worktree or "")
