"""A step's way to the hub: one connection of a thread, on which text is asked and answered.

It is `libpq`'s, where the library is found, and else psycopg's: they say the same.
"""

import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prodigy_git.errors import Away, Refused
from prodigy_git.hub import connection, libpq, socket_waits
from prodigy_git.hub.address import Address
from prodigy_git.hub.socket_waits import Late

if TYPE_CHECKING:
    from prodigy_git.hub.connection import Connection
    from prodigy_git.hub.driver import Raw


@dataclass
class Way:
    """A thread's way to a hub; ``raw`` is the connection, which is made anew where it was lost."""

    address: Address
    raw: "libpq.Session | Raw | None" = field(default=None, repr=False)
    _psycopgs: "Connection | None" = field(default=None, repr=False)
    """What ``raw`` is of, if it is psycopg's: it ends with that."""

    def ready(self, patience: float) -> bool:
        """Have a connection, outside of a transaction; return whether it is one from before.

        Waits at most ``patience`` seconds. Raises `Away`, `Refused`.
        """
        if self.raw is not None and self.raw.is_quiet():
            return True
        if self.raw is not None:
            self.raw.close()
        self.raw = self._made(patience)
        return False

    def _made(self, patience: float) -> "libpq.Session | Raw":
        parameters = self.address.for_libpq(patience)
        if connection.installed() and libpq.library() is not None and not _several(parameters):
            try:
                return libpq.Session(parameters, socket_waits.now() + patience)
            except Late:
                raise Away(
                    f"the hub at {self.address.shown()} is not reached in {patience:g} seconds"
                ) from None
            except libpq.Failed:
                pass  # psycopg has the words for it
        self._psycopgs = connection.Connection(self.address)
        return self._psycopgs.ready(patience)

    def ask(self, text: str, until: float) -> list[list[tuple[Any, ...]]]:
        """Return the rows of each statement that has any; ``until`` is a time of `socket_waits.now`.

        Raises what `told` takes.
        """
        raw = self.raw
        assert raw is not None
        raw.deadline = until
        if isinstance(raw, libpq.Session):
            return raw.ask(text)
        cursor = raw.execute(text)
        found = []
        while True:
            if cursor.description is not None:
                found.append(cursor.fetchall())
            if not cursor.nextset():
                return found

    def undo(self) -> None:
        """End a transaction without its work. Never raises."""
        if self.raw is not None:
            self.raw.undo()

    @property
    def lost(self) -> bool:
        """Whether there is no connection any more."""
        return self.raw is None or bool(self.raw.closed)

    def told(self, error: BaseException) -> Away | Refused:
        """Return what an error of `ask` comes to, in words; one that is none of the way's is raised."""
        from prodigy_git.hub import driver

        if isinstance(error, libpq.Failed):
            error = driver.of_state(str(error), error.sqlstate)
        elif driver.unforeseen(error):
            raise error
        return driver.in_words(error, self.address)

    def whole(self) -> "Connection":
        """Return psycopg's connection, another one, for what is more than a step. Raises as `ready`."""
        return connection.connected(self.address, patience=_PATIENCE)


def _several(parameters: dict[str, str]) -> bool:
    """Whether there may be several hosts: libpq gives each of them time only where it waits itself."""
    given = [parameters.get("host"), parameters.get("hostaddr"), parameters.get("service")]
    named = [os.environ.get(name) for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE")]
    return any("," in (one or "") for one in (*given[:2], *named[:2])) or bool(given[2] or named[2])


_PATIENCE = 10.0
_kept = threading.local()


def way(address: Address) -> Way:
    """Return this thread's way to a hub, which is kept for its next step."""
    there: Way | None = getattr(_kept, "way", None)
    if there is None or there.address != address:
        if there is not None and there.raw is not None:
            there.raw.close()
        there = _kept.way = Way(address)
    return there


def forget() -> None:
    """End this thread's way."""
    there: Way | None = getattr(_kept, "way", None)
    if there is not None and there.raw is not None:
        there.raw.close()
        there.raw = None
