"""Exchanging with the hub for as long as one likes: at once when something happens, here or there.

Here, the system tells of changed logs (`store.watching`). There, the server notifies who listens, on a
connection of its own; that is a wake-up, and may not come: behind PgBouncer in transaction mode nobody
hears anything. So it is tried, and where nothing is heard, the hub is asked again and again, less often
while nothing happens.
"""

import contextlib
import secrets
import select
import threading
import time
from dataclasses import dataclass, field

from prodigy_git.errors import Away
from prodigy_git.hub import connection, job_streams
from prodigy_git.hub.connection import Connection
from prodigy_git.hub.syncing import Done, Exchange
from prodigy_git.record import files
from prodigy_git.store import host_files, watching
from prodigy_git.store.broken import Broken

_PATIENCE = 10.0
_QUICKEST, _SLOWEST = 0.1, 1.0
"""Seconds between two questions where nothing is heard: right after something happened, and at rest."""
_LISTENED = 10.0
"""Seconds between two questions where the hub is heard."""
_SESSIONS, _SESSIONS_BUSY = 5.0, 1.0
_SETTLE = 10.0
_ALIVE = 60.0
_WHOLE = 600.0
"""Seconds from one look at the sessions to the next; so for syncing files, a sign of life, and all.
Where something happens, sessions are looked at sooner: there may be ten thousand of them."""
_FIRST, _LONGEST = 1.0, 30.0
"""Seconds until a hub that was not reached is tried again."""


@dataclass
class _Wakes:
    """What the threads that listen have noticed, for the one that exchanges."""

    said: threading.Condition = field(default_factory=threading.Condition)
    jobs: set[str] = field(default_factory=set)
    """Jobs whose logs have changed here."""
    hub: bool = False
    """Something has changed on the hub."""
    begun: bool = False
    """The hub is listened to, and it was not tried yet whether anything is heard."""
    word: str = ""
    """What is to be heard."""
    heard: float = float("-inf")
    """When it was, by the monotonic clock."""

    def listens(self) -> bool:
        """Whether what the hub notifies of is heard."""
        return time.monotonic() - self.heard < 1.5 * _ALIVE

    def wait(self, seconds: float) -> tuple[set[str], bool]:
        """Wait until something is noticed, at most so long; return what, and forget it."""
        with self.said:
            self.said.wait_for(lambda: self.jobs or self.hub or self.begun, seconds)
            jobs, hub = self.jobs, self.hub
            self.jobs, self.hub = set(), False
        return jobs, hub

    def changed_here(self, job: str) -> None:
        """Notice that a job's log has changed here."""
        with self.said:
            self.jobs.add(job)
            self.said.notify_all()

    def listening(self, listens: bool) -> None:
        """Notice that the hub is listened to, or is not any more."""
        with self.said:
            self.begun, self.heard = listens, float("-inf")
            self.said.notify_all()

    def notified(self, payloads: list[str]) -> None:
        """Notice what the hub has notified of."""
        with self.said:
            for one in payloads:
                if one.isdigit():
                    self.hub = True
                elif one == self.word:
                    self.heard = time.monotonic()
            self.said.notify_all()


def follow(exchange: Exchange, tell: Broken) -> None:
    """Exchange for ever; ``tell`` hears when the hub is not reached, and when it is again.

    Raises `Refused`, `ProdigyError` for what trying again does not mend.
    """
    wakes, stop = _Wakes(), threading.Event()
    threads = [
        threading.Thread(target=_watch, args=(exchange, wakes, stop), daemon=True),
        threading.Thread(target=_listen, args=(exchange.conn, wakes, stop), daemon=True),
    ]
    for one in threads:
        one.start()
    pause = _FIRST
    away = False
    told: dict[str, str] = {}
    try:
        while True:
            try:
                exchange.begin()
                _tell(exchange, exchange.whole(), told)
                if away:
                    tell("the hub is reached again")
                away, pause = False, _FIRST
                _go_on(exchange, wakes, told)
            except Away as error:
                if not away:
                    tell(f"{error.why}; it is tried again by itself, and nothing is lost meanwhile")
                away = True
                # Not all hosts at once when the server is back.
                time.sleep(pause * (0.5 + secrets.randbelow(1000) / 1000))
                pause = min(_LONGEST, 2 * pause)
    finally:
        stop.set()


def _go_on(exchange: Exchange, wakes: _Wakes, told: dict[str, str]) -> None:
    """Exchange what happens, until all is to be looked at again."""
    begun = time.monotonic()
    due = dict.fromkeys(("sessions", "settle", "alive"), begun)
    rest = _QUICKEST
    came: set[str] = set()
    asked = float("-inf")
    while time.monotonic() - begun < _WHOLE:
        # What one host tells of has all others ask: of many, at once would be all the time.
        time.sleep(max(0.0, asked + _QUICKEST - time.monotonic()))
        jobs, hub = wakes.wait(_LISTENED if wakes.listens() and not came else rest)
        now = time.monotonic()
        if wakes.begun or now - due["alive"] > _ALIVE:
            exchange.begin()
            _test(exchange, wakes)
            due["alive"] = now
        done = Done()
        if exchange.only is not None:
            jobs &= {exchange.only}
        exchange.ship(sorted(jobs), done)
        exchange.pull(exchange.changed(), done)
        came.update(job for job, count in done.pulled.items() if count)
        if now - due["sessions"] > (_SESSIONS_BUSY if jobs else _SESSIONS):
            exchange.exchange_sessions(done)
            due["sessions"] = now
        if now - due["settle"] > _SETTLE:
            exchange.settle(sorted(came), done)
            came, due["settle"] = set(), now
        _tell(exchange, done, told)
        asked = time.monotonic()
        rest = _QUICKEST if jobs or hub or done.moved() else min(_SLOWEST, rest * 1.5)


def _tell(exchange: Exchange, done: Done, told: dict[str, str]) -> None:
    """Say what keeps jobs from being exchanged, each once: it is tried again several times a second."""
    for job, why in done.failed.items():
        if told.get(job) != why:
            exchange.say(f"job {job}: {why}")
        told[job] = why
    for job in {*done.pulled, *done.shipped} - {*done.failed}:
        told.pop(job, None)


def _test(exchange: Exchange, wakes: _Wakes) -> None:
    """Send a word that whoever listens hears; it is not waited for."""
    with wakes.said:
        wakes.begun, wakes.word = False, f"test {secrets.token_hex(8)}"
    with connection.transaction(exchange.conn, within=_PATIENCE) as tx:
        tx.execute("SELECT pg_notify(%s, %s)", (job_streams.CHANNEL, wakes.word))


def _watch(exchange: Exchange, wakes: _Wakes, stop: threading.Event) -> None:
    """Notice what is appended to logs here."""
    folder = f"{exchange.store}/events"
    files.make_private(folder)
    for told in watching.changes(folder, stop, exchange.say):
        for _, path in told:
            repo, _, rest = path[len(folder) + 1 :].partition("/")
            job, _, name = rest.partition("/")
            if repo == exchange.repo and job and host_files.tag_in(name) is None:
                wakes.changed_here(job)


def _listen(conn: Connection, wakes: _Wakes, stop: threading.Event) -> None:
    """Hear what the hub notifies of; where that ends, begin again after a while."""
    own = Connection(conn.address)
    while not stop.is_set():
        # Whatever it is: the hub is asked instead, and that says what is wrong with it.
        with contextlib.suppress(Exception):
            raw = own.ready(_PATIENCE)
            raw.execute(f"LISTEN {job_streams.CHANNEL}")
            wakes.listening(True)
            while not stop.is_set():
                select.select([raw.pgconn.socket], [], [], 1.0)
                found = [one.payload for one in raw.notifies(timeout=0)]
                if found:
                    wakes.notified(found)
        wakes.listening(False)
        own.close()
        stop.wait(_LONGEST)
