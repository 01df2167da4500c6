"""Events in DuckDB: how they get there, in little memory, and out again as Parquet.

They are read by our own reader, which knows the dialects and passes over what is broken, and reach
DuckDB as JSON lines, some thousands at a time.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from prodigy_git.errors import ProdigyError, extra
from prodigy_git.model import jsontext
from prodigy_git.model.event import Event
from prodigy_git.record import clock

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Row = tuple[str, str, Event]
"""(repository key, job id, event)."""

ENVELOPE = ("type", "job_id", "session_id", "agent_id", "item_id", "correlation_id", "id")
"""The columns of an event beside ``repo``, ``job`` and ``timestamp``, all of them texts."""

_PIECE = 32 << 20
"""In bytes, how much is handed to DuckDB at a time."""
_LEAST = 16 << 20
"""DuckDB's own limit of a JSON object, in bytes; a longer line needs a higher one."""


def connect(folder: str) -> "DuckDBPyConnection":
    """Open a new database in a folder of its own. Raises `ProdigyError` where DuckDB is missing."""
    try:
        import duckdb
    except ImportError:
        raise ProdigyError(f"this needs DuckDB, which is not installed; {extra('query')}") from None
    return duckdb.connect(
        f"{folder}/events.duckdb",
        config={
            "temp_directory": f"{folder}/spilt",
            "memory_limit": "1GB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
        },
    )


def load_events(connection: "DuckDBPyConnection", folder: str, rows: Iterable[Row]) -> None:
    """Make the table ``_events``: repo, job, timestamp, the envelope, and ``event``, the whole."""
    columns = "".join(f", {name} VARCHAR" for name in ENVELOPE)
    connection.execute(
        f"CREATE TABLE _events (repo VARCHAR, job VARCHAR, timestamp TIMESTAMP{columns}, event JSON)"
    )
    paths = ", ".join(f"'$.{name}'" for name in ("timestamp", *ENVELOPE))
    found = ", ".join(f"found[{number}]" for number in range(2, len(ENVELOPE) + 2))
    stamp = "coalesce(stamp, CASE WHEN length(found[1]) = 27 THEN found[1] END)"
    connection.execute("BEGIN")  # one transaction, or each piece would be written twice
    for piece, longest in _pieces(f"{folder}/piece.ndjson", map(_line, rows)):
        connection.execute(
            f"INSERT INTO _events SELECT repo, job, TRY_CAST({stamp} AS TIMESTAMP), {found}, event"
            f" FROM (SELECT *, event ->> [{paths}] AS found FROM read_json(?,"
            " format = 'newline_delimited', maximum_object_size = ?, columns ="
            " {repo: 'VARCHAR', job: 'VARCHAR', stamp: 'VARCHAR', event: 'JSON'}))",
            (piece, max(_LEAST, longest)),
        )
    connection.execute("COMMIT")


def load(
    connection: "DuckDBPyConnection",
    folder: str,
    table: str,
    columns: Mapping[str, str],
    rows: Iterable[Mapping[str, Any]],
) -> None:
    """Make a table of columns, by name and SQL type, from rows of JSON values by name."""
    made = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    connection.execute(f"CREATE TABLE {table} ({made})")
    read = ", ".join(f"\"{name}\": 'VARCHAR'" for name in columns)
    cast = ", ".join(f'TRY_CAST("{name}" AS {kind})' for name, kind in columns.items())
    lines = (jsontext.utf8(row) + b"\n" for row in rows)
    for piece, longest in _pieces(f"{folder}/piece.ndjson", lines):
        connection.execute(
            f"INSERT INTO {table} SELECT {cast} FROM read_json(?, format = 'newline_delimited',"
            f" maximum_object_size = ?, columns = {{{read}}})",
            (piece, max(_LEAST, longest)),
        )


def parquet(connection: "DuckDBPyConnection", path: str) -> None:
    """Write the table ``_events`` as a Parquet file, with the columns of `exporting.COLUMNS`."""
    columns = ", ".join(ENVELOPE)
    connection.execute(
        f"COPY (SELECT repo, job, timestamp, {columns}, {FIELDS} AS fields FROM _events"
        " ORDER BY timestamp) TO "
        f"'{path.replace(chr(39), 2 * chr(39))}' (FORMAT parquet, COMPRESSION zstd)"
    )


FIELDS = "json_merge_patch(event, '{{{}}}')".format(
    ",".join(f'"{name}":null' for name in ("timestamp", "event_type", *ENVELOPE))
)
"""What is the type's own of an event, as SQL: the whole without the envelope."""


def _line(row: Row) -> bytes:
    """Return an event as a line for DuckDB, with a ``stamp`` where its time is not in our form."""
    repo, job, event = row
    head, written, stamp = _head(repo, job), event.written, event.timestamp
    if isinstance(written, bytes) and stamp is not None and len(stamp) == 27 and stamp[-1] == "Z":
        return b'%b,"event":%b}\n' % (head, written)
    moment = event.moment
    if moment is not None:
        head += f',"stamp":"{clock.stamp(moment)}"'.encode("ascii")
    whole = written if isinstance(written, bytes) else jsontext.utf8(written)
    return b'%b,"event":%b}\n' % (head, whole)


@lru_cache
def _head(repo: str, job: str) -> bytes:
    # Safe names, which JSON writes as they are.
    return f'{{"repo":"{repo}","job":"{job}"'.encode("ascii")


def _pieces(path: str, lines: Iterable[bytes]) -> Iterator[tuple[str, int]]:
    """Write lines to a file, some at a time; yield (path, length of the longest of them) each time."""
    left = iter(lines)
    line = next(left, None)
    while line is not None:
        size = longest = 0
        with open(path, "wb") as piece:
            while line is not None and size < _PIECE:
                piece.write(line)
                size += len(line)
                longest = max(longest, len(line))
                line = next(left, None)
        yield path, longest
        os.unlink(path)
