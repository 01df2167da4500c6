"""The SQLite file of a job's index: how it is opened, and what its errors say of it."""

import contextlib
import errno
import os
import sqlite3
import stat

from prodigy_git.record import files

_REFUSED = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PROTOCOL,
)  # fmt: skip


def is_refused(error: BaseException) -> bool:
    """Whether an error says that the file cannot be written, or read, now; else it is damaged."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, OSError) or (isinstance(code, int) and code & 0xFF in _REFUSED)


def why(error: BaseException) -> str:
    """Return an error in words."""
    return getattr(error, "strerror", None) or str(error)


def connect(path: str) -> tuple[sqlite3.Connection, int]:
    """Open an index's file, made where it is missing; return the connection, and the file's inode.

    Raises `OSError`, also where it is no file; `sqlite3.Error`.
    """
    journal = f"{path}-journal"
    with contextlib.suppress(FileNotFoundError):
        # SQLite would wait for the other end of a FIFO, and write where a link leads.
        if not stat.S_ISREG(os.lstat(journal).st_mode):
            raise files.NotRegular(errno.EINVAL, "its journal is no file", journal)
    try:
        descriptor = files.create(path, os.O_RDWR)  # the journal gets the same mode and owner
    except FileNotFoundError:
        files.make_private(os.path.dirname(path))
        descriptor = files.create(path, os.O_RDWR)
    inode = os.fstat(descriptor).st_ino
    os.close(descriptor)
    return sqlite3.connect(path, isolation_level=None), inode


def settle(connection: sqlite3.Connection) -> None:
    """Set how an index's file is written. Raises `sqlite3.Error` for one that is damaged."""
    # A killed process leaves a journal, which the next one takes back. A loss of power may leave a
    # torn file: synchronous=OFF does not guard against it, and the boot in `Meta` has it made anew.
    # PERSIST: the journal is overwritten, since making and removing a file costs more.
    connection.execute("PRAGMA journal_mode = PERSIST")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
