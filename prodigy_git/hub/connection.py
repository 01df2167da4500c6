"""The way to the hub: a connection that is kept, and transactions on it that end in time.

psycopg is loaded when a connection is made. Everything here holds behind PgBouncer in transaction mode:
nothing is left in a session, so each transaction sets its own time-outs, and nothing is prepared.
"""

import importlib.util
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prodigy_git import errors
from prodigy_git.errors import Away, Refused, Unsure
from prodigy_git.hub import forked, socket_waits
from prodigy_git.hub.address import Address

if TYPE_CHECKING:
    from prodigy_git.hub.driver import Raw

IDLE = 10.0
"""After how many seconds without a word within a transaction the server ends it: a host that is paused
must not hold a job."""

MISSING = ("a hub needs psycopg, which is not installed", errors.extra("hub"))
"""What is wrong without the extra, and what to do."""


# By identity: what is kept is this connection, not one to the same address.
@dataclass(eq=False)
class Connection:
    """A way to the hub, of one process and thread; where it is lost, it is made anew for the next
    step."""

    address: Address
    raw: "Raw | None" = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Be known, should this process be forked."""
        forked.leaves(self)

    def ready(self, patience: float) -> "Raw":
        """Return psycopg's connection, outside of a transaction; made now where there is none.

        Waits at most ``patience`` seconds for it. Raises `Away`, `Refused`.
        """
        if self.raw is not None and self.raw.is_quiet():
            self.raw.deadline = None
            return self.raw
        self.close()
        self.raw = _made(self.address, patience)
        return self.raw

    def close(self) -> None:
        """End it."""
        raw, self.raw = self.raw, None
        if raw is not None:
            raw.close()

    def leave(self) -> None:
        """Let go, in a child process, of what is its parent's (`forked`)."""
        raw, self.raw = self.raw, None
        if raw is not None and not raw.closed:
            os.close(raw.fileno())
            _of_parents.append(raw)  # to drop it would be to end it

    def __del__(self) -> None:
        """End it, as a thread of ours ends."""
        self.close()


_of_parents: list["Raw"] = []
_kept = threading.local()


def installed() -> bool:
    """Whether the extra is there that a hub needs."""
    return importlib.util.find_spec("psycopg") is not None


def connected(address: Address, *, patience: float) -> Connection:
    """Return this thread's connection to the hub, which is kept for its next step.

    ``patience`` is how many seconds are waited for it. Raises `Away` where the hub is not reached, and
    `Refused` where it does not let us in, or psycopg is missing.
    """
    kept: Connection | None = getattr(_kept, "connection", None)
    if kept is None or kept.address != address:
        if kept is not None:
            kept.close()
        kept = _kept.connection = Connection(address)
    kept.ready(patience)
    return kept


def _made(address: Address, patience: float) -> "Raw":
    if not installed():
        raise Refused(": ".join(MISSING))
    try:
        from prodigy_git.hub import driver
    except ImportError as error:  # psycopg without libpq, or one that is too old
        why = " ".join(str(error).split())
        raise Refused(f"psycopg cannot be used ({why}): {errors.extra('hub')}") from None

    outcome: list[Raw | BaseException] = []
    given_up = threading.Event()
    lock = threading.Lock()

    def connect() -> None:
        made: Raw | BaseException
        try:
            made = driver.connect(address, patience)
        except BaseException as error:
            made = error
        with lock:
            outcome.append(made)
            if given_up.is_set() and isinstance(made, driver.Raw):
                made.close()

    # In a thread, since nothing else ends the search for an address (getaddrinfo(3)) when it is time.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    try:
        thread.join(patience)
    finally:
        with lock:
            if not outcome:
                given_up.set()
    if not outcome:
        raise Away(f"the hub at {address.shown()} is not reached in {patience:g} seconds")
    made = outcome[0]
    if isinstance(made, driver.Raw):
        return made
    if driver.unforeseen(made):
        raise made
    raise driver.in_words(made, address) from None


@contextmanager
def transaction(conn: Connection, *, within: float) -> "Iterator[Raw]":
    """Do what the body does in one transaction, which ends with it; yields psycopg's connection.

    All of it, the COMMIT too, has ``within`` seconds: on the server by its time-outs, here by a
    deadline at which the connection is cut. A connection that turns out to be dead at its first word is
    made anew, once. An error in the body takes everything back. Raises `Away` (nothing was done),
    `Refused`, and `Unsure` where the COMMIT itself was not answered. READ COMMITTED, whatever the
    user's default is.
    """
    from prodigy_git.hub import driver

    deadline = socket_waits.now() + within
    raw = _begun(conn, deadline, within)
    committing = False
    try:
        yield raw
        committing = True
        if raw.execute("COMMIT").statusmessage == "ROLLBACK":
            raise AssertionError("a statement failed, and its error was not let through")
    except BaseException as error:
        raw.undo()
        if driver.unforeseen(error):
            raise
        told = driver.in_words(error, conn.address)
        if committing and isinstance(told, Away) and not driver.rolled_back(error):
            raise Unsure(str(told)) from None
        raise told from None
    finally:
        raw.deadline = None


def begin_statements(within: float) -> str:
    """Return what begins a transaction of ``within`` seconds: one message, one way there and back.

    Another's lock is given up a little earlier than all of it, so that the reason is heard.
    """
    limit = max(1, int(within * 1000))
    return (
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;"
        f"SET LOCAL statement_timeout = {limit};"
        f"SET LOCAL lock_timeout = {max(1, limit * 9 // 10)};"
        f"SET LOCAL idle_in_transaction_session_timeout = {int(IDLE * 1000)}"
    )


def _begun(conn: Connection, deadline: float, within: float) -> "Raw":
    from prodigy_git.hub import driver

    begin = begin_statements(within)
    last: Away | Refused | None = None
    for kept in (conn.raw is not None, False):
        raw = conn.ready(max(0.001, deadline - socket_waits.now()))
        # To a kept one nobody may listen any more, and nobody say so: a router forgot it, the machine
        # slept. That leaves time for a new one.
        raw.deadline = min(deadline, socket_waits.now() + within / 3) if kept else deadline
        try:
            raw.execute(begin)
            raw.deadline = deadline
            return raw
        except BaseException as error:
            raw.undo()
            if driver.unforeseen(error):
                raise
            last = driver.in_words(error, conn.address)
            if not kept or not raw.closed or isinstance(last, Refused):
                break
    assert last is not None
    raise last from None
