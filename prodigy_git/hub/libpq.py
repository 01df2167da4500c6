"""PostgreSQL's own client library, for steps: the little of it that they need, without psycopg.

A command that takes one step lasts as long as psycopg takes to be imported; this takes a tenth of that.
It is the library that psycopg brings along, else the system's; where neither is found, psycopg does it.
Questions are text, and so are the answers (PostgreSQL's manual, "libpq - C Library").
"""

import ctypes
import functools
import importlib.util
import os
import select
import threading
from collections.abc import Mapping
from typing import Any

from prodigy_git.hub import forked, socket_waits
from prodigy_git.hub.socket_waits import Late

_OK, _TUPLES, _COMMAND, _EMPTY = 0, 2, 1, 0
_READING, _WRITING, _FAILED, _MADE = 1, 2, 0, 3  # PostgresPollingStatusType
_IDLE = 0  # PGTransactionStatusType
_SQLSTATE, _PRIMARY = ord("C"), ord("M")
_FUNCTIONS = {
    "PQconnectStartParams": (ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)),
    "PQconnectPoll": (ctypes.c_int, (ctypes.c_void_p,)),
    "PQstatus": (ctypes.c_int, (ctypes.c_void_p,)),
    "PQsocket": (ctypes.c_int, (ctypes.c_void_p,)),
    "PQsetnonblocking": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_int)),
    "PQtransactionStatus": (ctypes.c_int, (ctypes.c_void_p,)),
    "PQerrorMessage": (ctypes.c_char_p, (ctypes.c_void_p,)),
    "PQsendQuery": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_char_p)),
    "PQflush": (ctypes.c_int, (ctypes.c_void_p,)),
    "PQconsumeInput": (ctypes.c_int, (ctypes.c_void_p,)),
    "PQisBusy": (ctypes.c_int, (ctypes.c_void_p,)),
    "PQgetResult": (ctypes.c_void_p, (ctypes.c_void_p,)),
    "PQresultStatus": (ctypes.c_int, (ctypes.c_void_p,)),
    "PQresultErrorField": (ctypes.c_char_p, (ctypes.c_void_p, ctypes.c_int)),
    "PQresultErrorMessage": (ctypes.c_char_p, (ctypes.c_void_p,)),
    "PQntuples": (ctypes.c_int, (ctypes.c_void_p,)),
    "PQnfields": (ctypes.c_int, (ctypes.c_void_p,)),
    "PQgetisnull": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_int, ctypes.c_int)),
    "PQgetvalue": (ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_int, ctypes.c_int)),
    "PQgetlength": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_int, ctypes.c_int)),
    "PQclear": (None, (ctypes.c_void_p,)),
    "PQfinish": (None, (ctypes.c_void_p,)),
}


class Failed(Exception):
    """What server or library say; ``sqlstate`` is None where it is the library, or nothing was made."""

    def __init__(self, said: str, sqlstate: str | None = None) -> None:
        """Keep what is said."""
        super().__init__(said)
        self.sqlstate = sqlstate


@functools.cache
def library() -> Any:
    """Return the library, loaded; None where there is none."""
    for path in _paths():
        try:
            found = ctypes.CDLL(path)
            for name, (result, arguments) in _FUNCTIONS.items():
                function = getattr(found, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError):
            continue
        return found
    return None


def _paths() -> list[str]:
    spec = importlib.util.find_spec("psycopg_binary")
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    beside = [
        f"{where}/{name}"
        for folder in folders
        for where in (f"{folder}.libs", f"{folder}/.dylibs")
        for name in sorted(os.listdir(where) if os.path.isdir(where) else ())
        if name.startswith(("libpq-", "libpq."))
    ]
    return [*beside, "libpq.so.5", "libpq.5.dylib"]


class Session:
    """A connection to a server: its ``ask`` takes SQL, several statements if you like."""

    def __init__(self, parameters: Mapping[str, str], deadline: float) -> None:
        """Connect. Raises `Failed`, `Late`."""
        self._library = library()
        self.deadline = deadline
        keys = [name.encode() for name in parameters]
        values = [value.encode() for value in parameters.values()]
        names = (ctypes.c_char_p * (len(keys) + 1))(*keys, None)
        given = (ctypes.c_char_p * (len(keys) + 1))(*values, None)
        self._made: int | None = self._started(names, given)
        if not self._made:
            raise Failed("no memory")
        forked.leaves(self)
        try:
            self._connected()
        except BaseException:
            self.close()
            raise

    def _started(self, names: Any, given: Any) -> int | None:
        # In a thread, since nothing else ends the search for an address (getaddrinfo(3)) in time.
        found: list[int | None] = []
        start = self._library.PQconnectStartParams
        thread = threading.Thread(target=lambda: found.append(start(names, given, 0)), daemon=True)
        thread.start()
        thread.join(max(0.0, self.deadline - socket_waits.now()))
        if not found:
            raise Late
        return found[0]

    def _connected(self) -> None:
        if self._library.PQstatus(self._made) == 1:  # CONNECTION_BAD
            raise Failed(self._message())
        state = _WRITING
        while state != _MADE:
            if state == _FAILED:
                raise Failed(self._message())
            self._wait(select.POLLIN if state == _READING else select.POLLOUT)
            state = self._library.PQconnectPoll(self._made)
        self._library.PQsetnonblocking(self._made, 1)

    @property
    def closed(self) -> bool:
        """Whether it is no connection any more."""
        return self._made is None or self._library.PQstatus(self._made) != _OK

    def is_quiet(self) -> bool:
        """Whether it may be asked: nothing is under way, and the server has not ended it."""
        if self.closed or self._library.PQtransactionStatus(self._made) != _IDLE:
            return False
        return socket_waits.is_silent(self._library.PQsocket(self._made))

    def ask(self, text: str) -> list[list[tuple[Any, ...]]]:
        """Send statements, and return the rows of those that have any: fields are text, or None.

        Raises `Failed`; after `Late` it is closed: what comes later would answer an earlier question.
        """
        try:
            return self._answered(text.encode())
        except BaseException as error:
            if not isinstance(error, Failed):
                self.close()
            raise

    def _answered(self, text: bytes) -> list[list[tuple[Any, ...]]]:
        pq, made = self._library, self._made
        if made is None or not pq.PQsendQuery(made, text):
            raise Failed(self._message())
        while (left := pq.PQflush(made)) != 0:
            if left < 0:
                break  # what the server has said before it ended comes below
            if self._wait(select.POLLIN | select.POLLOUT) & select.POLLIN:
                pq.PQconsumeInput(made)
        found: list[list[tuple[Any, ...]]] = []
        wrong: Failed | None = None
        while True:
            while pq.PQisBusy(made):
                self._wait(select.POLLIN)
                if not pq.PQconsumeInput(made):
                    break
            result = pq.PQgetResult(made)
            if not result:
                break
            try:
                status = pq.PQresultStatus(result)
                if status == _TUPLES:
                    found.append(self._rows(result))
                elif status not in (_COMMAND, _EMPTY):
                    wrong = self._wrong(result)
            finally:
                pq.PQclear(result)
        if wrong is None and self.closed:
            wrong = Failed(self._message())
        if wrong is not None:
            raise wrong
        return found

    def _rows(self, result: int) -> list[tuple[Any, ...]]:
        pq = self._library
        fields = range(pq.PQnfields(result))

        def value(row: int, field: int) -> str | None:
            if pq.PQgetisnull(result, row, field):
                return None
            where, length = pq.PQgetvalue(result, row, field), pq.PQgetlength(result, row, field)
            return ctypes.string_at(where, length).decode()

        return [tuple(value(row, field) for field in fields) for row in range(pq.PQntuples(result))]

    def _wrong(self, result: int) -> Failed:
        pq = self._library
        state = pq.PQresultErrorField(result, _SQLSTATE)
        said = pq.PQresultErrorField(result, _PRIMARY) or pq.PQresultErrorMessage(result) or b""
        return Failed(said.decode("utf-8", "replace"), state.decode() if state else None)

    def undo(self) -> None:
        """End a transaction without its work; where that is not to be had at once, the connection."""
        if self.closed:
            self.close()
            return
        if self._library.PQtransactionStatus(self._made) != _IDLE:
            self.deadline = socket_waits.now() + socket_waits.UNDO_PATIENCE
            try:
                self.ask("ROLLBACK")
            except (Failed, Late):
                self.close()

    def _wait(self, events: int) -> int:
        return socket_waits.ready(self._library.PQsocket(self._made), events, self.deadline)

    def _message(self) -> str:
        said = b"" if self._made is None else self._library.PQerrorMessage(self._made) or b""
        return said.decode("utf-8", "replace")

    def close(self) -> None:
        """End it."""
        made, self._made = self._made, None
        if made is not None:
            self._library.PQfinish(made)

    def leave(self) -> None:
        """Let go, in a child process, of what is its parent's (`forked`)."""
        made, self._made = self._made, None
        if made is not None and (descriptor := self._library.PQsocket(made)) >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        """End it, as a thread of ours ends."""
        if getattr(self, "_made", None) is not None:
            self.close()
