"""Telling the hub of a shared job what an attempt has left, beside the next one: nobody waits for it.

What is not told when `run` ends is by the next that does, or by `hub sync`: nothing is lost by a kill.
"""

import sqlite3
import threading
import time

from prodigy_git.errors import ProdigyError
from prodigy_git.lifecycle.interrupts import Signals
from prodigy_git.record import repokey
from prodigy_git.store.broken import Broken

_LAST = 10.0
"""Seconds that are waited at the end of `run` for what is being told."""


class Teller:
    """Exchanges a job with its hub, by a thread that is there while there is something to tell."""

    def __init__(self, where: tuple[str, str, str], say: Broken) -> None:
        """Begin with nothing to tell; ``where`` is (store, repository, job)."""
        self._where, self._say = where, say
        self._lock = threading.Lock()
        self._again = False
        self._thread: threading.Thread | None = None
        self._said = False

    def tell(self) -> None:
        """Have it told soon, all that is recorded by now."""
        with self._lock:
            self._again = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._exchange, daemon=True)
                self._thread.start()

    def finish(self, signals: Signals) -> None:
        """Wait until it is told, for a few seconds, or until a signal comes."""
        until, heard = time.monotonic() + _LAST, len(signals.came)
        while (thread := self._thread) is not None and time.monotonic() < until:
            thread.join(0.1)
            if len(signals.came) != heard:
                return

    def _exchange(self) -> None:
        while True:
            with self._lock:
                if not self._again:
                    self._thread = None
                    return
                self._again = False
            try:
                _once(*self._where)
            except (ProdigyError, OSError, ValueError, sqlite3.Error) as trouble:
                if not self._said:
                    self._say(
                        f"the hub was not told all of it ({trouble}): 'prodigy-git hub sync' does that"
                    )
                self._said = True


def _once(store: str, repo: str, job: str) -> None:
    from prodigy_git.hub import connection, shared_step, syncing

    address, common = shared_step.address_of(store, repo), repokey.common_of(store, repo)
    if address is None or common is None:
        return
    conn = connection.connected(address, patience=shared_step.PATIENCE)
    exchange = syncing.Exchange(conn, store, repo, common, lambda _: None, job)
    exchange.begin()
    done = exchange.whole()
    for why in done.failed.values():
        raise ProdigyError(why)
