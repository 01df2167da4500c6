"""psycopg, as the hub uses it: no wait is longer than its deadline, and its errors are in our words.

The one module that imports psycopg, which is an extra: `connection` imports this one when it connects.
"""

import contextlib
import re
import select
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg import sql as sql
from psycopg.waiting import Ready, Wait

from prodigy_git.errors import Away, ProdigyError, Refused
from prodigy_git.hub import socket_waits
from prodigy_git.hub.address import Address
from prodigy_git.hub.socket_waits import Late

if tuple(map(int, psycopg.__version__.split(".")[:2])) < (3, 2):
    raise ImportError(f"it is of version {psycopg.__version__}, and 3.2 is needed")

T = TypeVar("T")


class Raw(psycopg.Connection[tuple[Any, ...]]):
    """A connection of psycopg's on which nothing waits beyond ``deadline``; None: for ever.

    That is a time of `socket_waits.now`. After a `Late` it is closed: what comes later would answer an
    earlier question.
    """

    deadline: float | None = None

    def __del__(self, *_: Any) -> None:
        """Say nothing: what psycopg warns of, a connection dropped while open, libpq's object ends."""

    def wait(self, gen: Generator[Any, Any, T], *arguments: Any, **more: Any) -> T:
        """Do what psycopg waits for. Raises `Late`."""
        if self.deadline is None:
            return super().wait(gen, *arguments, **more)
        try:
            return _waited(gen, self.pgconn.socket, self.deadline)
        except Late:
            self.close()
            raise

    def undo(self) -> None:
        """End a transaction without its work; where that is not to be had at once, the connection."""
        status = self.pgconn.transaction_status
        if status in (psycopg.pq.TransactionStatus.INTRANS, psycopg.pq.TransactionStatus.INERROR):
            self.deadline = socket_waits.now() + socket_waits.UNDO_PATIENCE
            with contextlib.suppress(psycopg.Error, Late):
                self.execute("ROLLBACK")
        # In the midst of an answer, or of a COPY: the server learns of it by the connection's end.
        if not self.is_idle():
            self.close()

    def is_idle(self) -> bool:
        """Whether it is open and no transaction is under way."""
        return self.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE

    def is_quiet(self) -> bool:
        """Whether it may be asked: nothing is under way, and the server has not ended it."""
        return not self.closed and self.is_idle() and socket_waits.is_silent(self.pgconn.socket)


def _waited(gen: Generator[Any, Any, T], socket: int, deadline: float) -> T:
    """Run a generator of psycopg's, which yields what it waits for, until it returns."""
    try:
        wanted = next(gen)
        while True:
            events = select.POLLIN if wanted & Wait.R else 0
            events |= select.POLLOUT if wanted & Wait.W else 0
            got = socket_waits.ready(socket, events, deadline)
            ready = Ready.R if got & ~select.POLLOUT and wanted & Wait.R else 0
            ready |= Ready.W if got & ~select.POLLIN and wanted & Wait.W else 0
            wanted = gen.send(ready)
    except StopIteration as end:
        value: T = end.value
        return value


def connect(address: Address, patience: float) -> Raw:
    """Return a new connection. Raises `psycopg.Error`."""
    parameters: dict[str, Any] = address.for_libpq(patience)
    # No prepared statements: behind PgBouncer the next transaction may be another server process's.
    return Raw.connect(autocommit=True, prepare_threshold=None, **parameters)


_NOT_THERE = ("3F000", "42P01", "42703", "42883")
_NO_RIGHT = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|not permitted to log in"
)
_NOT_FOUND = re.compile(r'(database|role|user) "?[^"]*"? does not exist|no such (database|user)')
_WRONG = re.compile(
    r"^invalid |SSL was required|SSL is not enabled|certificate|connection requires a valid"
)
_BEGINNING = re.compile(
    r"^connection (failed|is bad): (connection to server .*?failed: )?([A-Z]+:  ?)?"
)
_ADVICE = re.compile(
    r"[;\s]*(Is the server running [^?]*\?|Multiple connection attempts failed\..*$)", re.DOTALL
)
"""What libpq and psycopg add to a reason: advice, and the same reason again for each server."""
_SERVICE = re.compile(r"definition of service|service file")


def of_state(said: str, state: str | None) -> psycopg.Error:
    """Return the error that psycopg would raise; without a state the connection is lost, or none."""
    if state is None:
        return psycopg.OperationalError(said)
    try:
        return psycopg.errors.lookup(state)(said)
    except KeyError:
        error = psycopg.DatabaseError(said)
        error.sqlstate = state
        return error


def in_words(error: BaseException, address: Address) -> Away | Refused:
    """Return what an error of psycopg's, or a `Late`, comes to: in one line, without any secret."""
    hub = f"the hub at {address.shown()}"
    if isinstance(error, Late):
        return Away(f"{hub} does not answer in time: try again")
    if not isinstance(error, psycopg.Error):
        raise TypeError(error)
    state = error.sqlstate
    said = _said(error, address)
    if state is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return _not_connected(error, hub, said)
    if (
        isinstance(error, psycopg.OperationalError)
        and state is not None
        and state[:2] in ("08", "53", "57")
    ):
        return Away(f"{hub} cannot now ({said}): try again")
    if state in ("55P03", "57014", "25P03", "40001", "40P01"):
        return Away(f"{hub} is busy ({said}): try again")
    # A standby does not begin a transaction that may write, and has no code of its own for that.
    if state == "25006" or (state == "0A000" and "recovery" in said):
        return Away(f"{hub} takes nothing in ({said}): name its primary, or try again")
    if state == "42501":
        return Refused(
            f"{hub} does not let this user do that ({said}): see 'prodigy-git hub init --role'"
        )
    if state in _NOT_THERE:
        return Refused(f"{hub} has not what it should have ({said}): run 'prodigy-git hub init'")
    if state is None and _WRONG.search(said):
        return Refused(f"the way to {hub} is not to be used ({said}): look at its address")
    return Refused(f"{hub} refuses ({said})")


def _not_connected(error: psycopg.Error, hub: str, said: str) -> Away | Refused:
    """Return what it comes to that a connection was not made, or was lost.

    libpq keeps the server's code for itself then. A server that speaks another language is known by
    whether it has asked for a password; else it counts as away, which is tried again.
    """
    connection = error.pgconn
    if _SERVICE.search(said):
        return Refused(f"the hub's service is not to be used ({said})")
    if connection is not None and connection.needs_password:
        return Refused(
            f"{hub} asks for a password, and none is known: give it in ~/.pgpass, in a service "
            "file of libpq's, or as PGPASSWORD"
        )
    if _NO_RIGHT.search(said):
        return Refused(f"{hub} does not let us in ({said}): look at user and password")
    if _NOT_FOUND.search(said):
        return Refused(f"{hub} is not to be had ({said}): look at its address")
    if _WRONG.search(said):
        return Refused(f"the way to {hub} is not to be used ({said}): look at its address")
    return Away(f"{hub} is not reached ({said})")


def _said(error: psycopg.Error, address: Address) -> str:
    """Return what server or libpq say is wrong, on one line."""
    text = error.diag.message_primary or str(error) or type(error).__name__
    for secret in address.secrets():
        text = text.replace(secret, "***")
    text = "; ".join(" ".join(line.split()) for line in text.splitlines() if line.strip())
    text = _ADVICE.sub("", _BEGINNING.sub("", text))
    return text if len(text) <= 300 else f"{text[:300]}…"


def unforeseen(error: BaseException) -> bool:
    """Whether an error is neither psycopg's nor of time."""
    return isinstance(error, ProdigyError) or not isinstance(error, psycopg.Error | Late)


def rolled_back(error: BaseException) -> bool:
    """Whether a COMMIT that failed has certainly done nothing: a conflict with others, a constraint."""
    return isinstance(error, psycopg.Error) and (error.sqlstate or "")[:2] in ("40", "23")
