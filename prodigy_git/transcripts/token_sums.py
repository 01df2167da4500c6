"""The tokens of many transcripts, remembered by file, so that only what is new is read.

One SQLite file in the store, derived from the transcripts: it may be deleted any time, and is made anew
where it is damaged. Where it cannot be written all is worked out in memory. An answer counts once in
the whole store: for the file that began first, of those that have it (a session that was resumed or
forked may begin with a copy of another's). What is written to it is right in any order and twice, so
that two who read the same file do no harm, nor one who is killed.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from prodigy_git import layout
from prodigy_git.jobs import index_file
from prodigy_git.record import clock, files, jsonline
from prodigy_git.transcripts import token_counts, transcript_file, which_program
from prodigy_git.transcripts.plain import Source, Use, digest
from prodigy_git.transcripts.transcript_file import Broken, Place

_VERSION = 2
_MOST = 1_000_000
"""Answers that are remembered; past it those of files that nobody has asked for longest go."""
_PATIENCE = 2.0  # seconds, that another one's writing is waited for
_TABLES = """
CREATE TABLE files (
  id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, device INTEGER, inode INTEGER, size INTEGER,
  changed INTEGER, offset INTEGER NOT NULL, mark TEXT NOT NULL, form TEXT, state TEXT NOT NULL,
  began INTEGER NOT NULL, asked INTEGER NOT NULL, partial INTEGER NOT NULL
);
CREATE TABLE uses (
  key INTEGER NOT NULL, request INTEGER NOT NULL, file INTEGER NOT NULL, began INTEGER NOT NULL,
  model TEXT NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL, read INTEGER NOT NULL,
  written INTEGER NOT NULL, hour INTEGER NOT NULL, cost INTEGER, PRIMARY KEY (key, request)
) WITHOUT ROWID;
CREATE INDEX of_file ON uses (file);
CREATE TABLE sums (
  file INTEGER NOT NULL, model TEXT NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
  read INTEGER NOT NULL, written INTEGER NOT NULL, hour INTEGER NOT NULL, cost INTEGER
);
CREATE INDEX sums_of_file ON sums (file);
"""
# ``cost`` is of the answers that say theirs; those that do not have a row of their own in `sums`.
_ADD = """
INSERT INTO uses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key, request) DO UPDATE SET
  input = max(input, excluded.input), output = max(output, excluded.output),
  read = max(read, excluded.read), written = max(written, excluded.written),
  hour = max(hour, excluded.hour),
  cost = CASE WHEN cost IS NULL THEN excluded.cost WHEN excluded.cost IS NULL THEN cost
              ELSE max(cost, excluded.cost) END,
  model = CASE WHEN (excluded.began, excluded.file) < (began, file) THEN excluded.model ELSE model END,
  file = CASE WHEN (excluded.began, excluded.file) < (began, file) THEN excluded.file ELSE file END,
  began = min(began, excluded.began)
"""
_SUM = """
INSERT INTO sums
SELECT file, model, sum(input), sum(output), sum(read), sum(written), sum(hour), sum(cost)
FROM uses AS one WHERE file = ? AND (request != 0 OR NOT EXISTS (
  SELECT 1 FROM uses AS other WHERE other.key = one.key AND other.request != 0))
GROUP BY model, cost IS NULL
"""


class Sum(NamedTuple):
    """What one model took in one file, of the answers that say what they cost (``cost``, in
    millionths of a dollar), or of those that do not (None)."""

    model: str
    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    cost: int | None


class Found(NamedTuple):
    """What is known of one file; ``partial``: something of it could not be read, it may be more."""

    sums: list[Sum]
    partial: bool
    costs: dict[str, list[int]]
    """By model what the program itself says of its session: tokens as in `Sum`, and its cost."""


def of_files(store: str, wanted: Iterable[Source], broken: Broken) -> dict[str, Found]:
    """Return what each of some transcripts took, by path; what cannot be read is told, and partial.

    A file that is gone still counts with what was read of it. Never raises for what is in a file.
    """
    sources = sorted(set(wanted), key=lambda one: (one.began, one.path))
    if not sources:
        return {}
    path = layout.tokens(store)
    for again in (True, False):
        try:
            return _remembered(path, sources, broken)
        except (OSError, sqlite3.Error, ValueError) as error:
            if index_file.is_refused(error) or not again:
                # Not ours to write, a full disk, another at it for long: it is only slower then.
                break
        for one in (path, f"{path}-journal"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(one)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    with contextlib.closing(connection):
        connection.executescript(_TABLES)
        return _asked(connection, sources, broken)


def _remembered(path: str, sources: list[Source], broken: Broken) -> dict[str, Found]:
    """Do it with a file. Raises `OSError`, `sqlite3.Error`, `ValueError` for one that is damaged."""
    connection, _ = index_file.connect(path)
    with contextlib.closing(connection):
        connection.execute(f"PRAGMA busy_timeout = {int(_PATIENCE * 1000)}")
        index_file.settle(connection)
        _prepare(connection)
        return _asked(connection, sources, broken)


def _prepare(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == _VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != _VERSION:
        known = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in known:
            connection.execute(f'DROP TABLE "{name}"')
        for statement in filter(str.strip, _TABLES.split(";")):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_VERSION}")
    connection.execute("COMMIT")


def _asked(
    connection: sqlite3.Connection, sources: list[Source], broken: Broken
) -> dict[str, Found]:
    unread: dict[str, bool] = {}
    for one in sources:
        try:
            unread[one.path] = _bring_up_to_date(connection, one, broken)
        except OSError as error:
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                broken(f"{one.path}: {error.strerror or error}: its tokens are not counted")
            unread[one.path] = True
    _bound(connection)
    found = {}
    for path, partial in unread.items():
        rows = connection.execute(
            "SELECT model, input, output, read, written, hour, sums.cost FROM sums "
            "JOIN files ON files.id = sums.file WHERE path = ? ORDER BY model",
            (path,),
        )
        sums = [Sum(*row) for row in rows]
        state = connection.execute("SELECT state FROM files WHERE path = ?", (path,)).fetchone()
        costs = jsonline.decode(state[0]).get("costs") if state is not None else None
        found[path] = Found(sums, partial, costs if isinstance(costs, dict) else {})
    return found


def _bring_up_to_date(connection: sqlite3.Connection, source: Source, broken: Broken) -> bool:
    """Read what is new in a file; return whether something of it could not be. Raises `OSError`."""
    row = connection.execute(
        "SELECT id, device, inode, size, changed, offset, mark, form, state, began, asked, partial "
        "FROM files WHERE path = ?", (source.path,),
    ).fetchone()  # fmt: skip
    about = os.stat(source.path)
    day = clock.now() // (86400 * clock.SECOND)
    same = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
    if row is not None and row[1:5] == same and row[9] <= source.began:
        if row[10] != day:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("UPDATE files SET asked = ? WHERE id = ?", (day, row[0]))
        return bool(row[11])
    with files.solid(source.path) as stream:
        descriptor = stream.fileno()
        about = os.fstat(descriptor)
        place = Place(source.path, source.program)
        goes_on = row is not None and row[1:3] == (about.st_dev, about.st_ino) and (
            row[5] <= about.st_size and row[9] <= source.began
        )  # fmt: skip
        if goes_on:
            place.offset = row[5]
            goes_on = place.offset > 0 and transcript_file.mark(place, descriptor) == row[6]
        if goes_on:
            place.form, place.state = which_program.FORMS.get(row[7] or ""), jsonline.decode(row[8])
            place.told = bool(row[11])
        else:
            place.offset = 0
        began = source.began if row is None else min(source.began, row[9])
        taken = list(token_counts.uses(place, descriptor, broken))
        mark = transcript_file.mark(place, descriptor)
    connection.execute("BEGIN IMMEDIATE")
    try:
        values = (
            about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, place.offset, mark,
            place.form.program if place.form else None, jsonline.encode(place.state), began, day,
            place.told,
        )  # fmt: skip
        connection.execute(
            "INSERT INTO files (path, device, inode, size, changed, offset, mark, form, state, began, "
            "asked, partial) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE "
            "SET device = excluded.device, inode = excluded.inode, size = excluded.size, "
            "changed = excluded.changed, offset = excluded.offset, mark = excluded.mark, "
            "form = excluded.form, state = excluded.state, began = min(began, excluded.began), "
            "asked = excluded.asked, partial = excluded.partial",
            (source.path, *values),
        )
        (number,) = connection.execute(
            "SELECT id FROM files WHERE path = ?", (source.path,)
        ).fetchone()
        changed = _add(connection, number, began, taken)
        if row is not None and not goes_on:
            _forget_what_is_gone(connection, number, taken)
        for one in changed | {number}:
            connection.execute("DELETE FROM sums WHERE file = ?", (one,))
            connection.execute(_SUM, (one,))
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return place.told


def _add(connection: sqlite3.Connection, number: int, began: int, taken: list[Use]) -> set[int]:
    """Note the answers of a file; return the files that had one of them, whose sums may be others."""
    others: set[int] = set()
    for use in taken:
        key, request = _number(use.key), 0 if use.request is None else _number(f"/{use.request}")
        # Also one that gives way, or now has one that it gives way to.
        before = connection.execute("SELECT file FROM uses WHERE key = ?", (key,))
        others.update(file for (file,) in before)
        connection.execute(
            _ADD,
            (key, request, number, began, use.model, use.input, use.output, use.cache_read,
             use.cache_write, use.cache_write_1h, use.cost),
        )  # fmt: skip
    return others


def _number(text: str) -> int:
    """Return 63 bits that stand for a text, and are not 0."""
    return int(digest(text.encode("utf-8", "surrogatepass"))[:16], 16) >> 1 or 1


def _forget_what_is_gone(connection: sqlite3.Connection, number: int, taken: list[Use]) -> None:
    """Take back the answers that a file had, and has not now that it was written anew."""
    kept = {_number(use.key) for use in taken}
    had = connection.execute("SELECT DISTINCT key FROM uses WHERE file = ?", (number,)).fetchall()
    gone = [one for one in had if one[0] not in kept]
    if gone:
        connection.executemany("DELETE FROM uses WHERE key = ?", gone)
        # Another file may have them, too: all others are read again.
        connection.execute("UPDATE files SET size = -1, offset = 0 WHERE id != ?", (number,))


def _bound(connection: sqlite3.Connection) -> None:
    """Where there are more answers than are kept, forget files that nobody has asked for long."""
    (count,) = connection.execute("SELECT count(*) FROM uses").fetchone()
    if count <= _MOST:
        return
    connection.execute("BEGIN IMMEDIATE")
    for (number,) in connection.execute("SELECT id FROM files ORDER BY asked, id").fetchall():
        done = connection.execute("DELETE FROM uses WHERE file = ?", (number,)).rowcount
        connection.execute("DELETE FROM sums WHERE file = ?", (number,))
        connection.execute("DELETE FROM files WHERE id = ?", (number,))
        count -= done
        if count <= _MOST * 3 // 4:
            break
    connection.execute("COMMIT")
