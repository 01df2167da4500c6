"""SQL on events, sessions, items and commits: a database of views that is thrown away afterwards.

Nothing that a query does reaches a file: before it is run DuckDB is cut off from all but the temporary
database, and its settings are locked.
"""

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from prodigy_git.errors import ProdigyError
from prodigy_git.model.event_fields import Duration
from prodigy_git.model.known_events import KNOWN
from prodigy_git.model.selection import Selection
from prodigy_git.store import events, stream
from prodigy_git.store.events import Broken
from prodigy_git.views import duckdb_tables
from prodigy_git.views.exporting import snake_case

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Jobs = list[tuple[str, str]]

_SESSIONS = {
    "id": "VARCHAR", "repo": "VARCHAR", "job": "VARCHAR", "agent_id": "VARCHAR",
    "item_id": "VARCHAR", "status": "VARCHAR", "session_type": "VARCHAR", "branch": "VARCHAR",
    "base_branch": "VARCHAR", "base_commit": "VARCHAR", "worktree_path": "VARCHAR",
    "started_at": "TIMESTAMP", "updated_at": "TIMESTAMP", "completed_at": "TIMESTAMP",
    "commits": "BIGINT", "last_commit": "VARCHAR", "created_by": "VARCHAR", "error": "VARCHAR",
    "persons": "BOOLEAN",
}  # fmt: skip
_ITEMS = {
    "repo": "VARCHAR", "job": "VARCHAR", "item_id": "VARCHAR", "state": "VARCHAR",
    "attempts": "BIGINT", "agent_id": "VARCHAR", "session_id": "VARCHAR", "since": "TIMESTAMP",
    "failures": "BIGINT", "error": "VARCHAR", "error_signature": "VARCHAR",
}  # fmt: skip
# A commit that only AgentCompleted names was made by an agent without our hooks.
_COMMITS = """
CREATE VIEW commits AS
WITH replaced AS (
  SELECT repo, job, rewrite ->> 'old' AS old, last(rewrite ->> 'new' ORDER BY timestamp) AS new
  FROM (SELECT repo, job, timestamp, unnest(TRY_CAST(event -> 'rewrites' AS JSON[])) AS rewrite
        FROM _events WHERE type = 'CommitsRewritten')
  GROUP BY ALL
), told AS (
  SELECT repo, job, timestamp, session_id, agent_id, item_id,
    unnest(TRY_CAST(event -> 'commits' AS VARCHAR[])) AS commit
  FROM _events WHERE type = 'AgentCompleted'
), made AS (
  SELECT repo, job, "commit", timestamp, action, subject, branch, parent, session_id, agent_id,
    item_id, worktree FROM "CommitCreated"
  UNION ALL BY NAME
  SELECT DISTINCT ON (repo, job, commit) repo, job, commit, 'unknown' AS action, session_id, agent_id,
    item_id FROM told ANTI JOIN "CommitCreated" AS known USING (repo, job, commit)
)
SELECT made.*, replaced.new AS replaced_by FROM made
LEFT JOIN replaced ON (made.repo, made.job, made.commit) = (replaced.repo, replaced.job, replaced.old)
"""


@dataclass(frozen=True)
class Result:
    """What a query gives: the names of its columns, no two alike, and its rows as they come.

    ``json`` names the columns whose values are texts of JSON.
    """

    columns: list[str]
    rows: Iterator[tuple[Any, ...]]
    json: frozenset[str]


@contextlib.contextmanager
def asked(
    sql: str, store: str, jobs: Callable[[], Jobs], wanted: Selection, broken: Broken
) -> Iterator[Result]:
    """Run a query on what the jobs' logs, sessions and items hold; only what it names is read.

    ``wanted`` limits the events, and the commits with them. Raises `ProdigyError` for a query that
    fails, with one line, and where DuckDB is missing.
    """
    with _database(store, jobs(), wanted, broken, lambda name: _names(sql, name)) as connection:
        import duckdb

        try:
            done = _interruptibly(connection, lambda: connection.execute(sql))
            described = done.description or []
            columns = _different([column[0] for column in described])
            json = (
                name
                for name, column in zip(columns, described, strict=True)
                if str(column[1]) == "JSON"
            )
            yield Result(columns, _rows(connection, done), frozenset(json))
        except duckdb.Error as error:
            raise ProdigyError(_explained(str(error))) from error


def schema(
    store: str, jobs: Callable[[], Jobs], wanted: Selection, broken: Broken
) -> list[tuple[str, str, str]]:
    """Return (view, column, SQL type) of every view; of the types that logs alone know, too."""
    with _database(store, jobs(), wanted, broken, lambda name: name == "events") as connection:
        return connection.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'main' AND table_name != '_events' AND NOT"
            " regexp_matches(table_name, '^[a-z]+(_[a-z]+)+$') ORDER BY"
            " CASE table_name WHEN 'events' THEN 0 WHEN 'commits' THEN 1 WHEN 'sessions' THEN 2"
            " WHEN 'items' THEN 3 ELSE 4 END, table_name, ordinal_position"
        ).fetchall()


@contextlib.contextmanager
def _database(
    store: str, jobs: Jobs, wanted: Selection, broken: Broken, needed: Callable[[str], bool]
) -> Iterator["DuckDBPyConnection"]:
    """Make the database, with the tables filled that are ``needed``; nothing can be read or written."""
    with (
        tempfile.TemporaryDirectory(prefix="prodigy-git-query-") as folder,
        contextlib.closing(duckdb_tables.connect(folder)) as connection,
    ):
        # A name that is not known may be that of a type which only the logs know.
        others = needed("sessions") or needed("items")
        mine = needed("events") or needed("commits") or _any(needed) or not others
        selection = None if wanted == Selection() else wanted
        rows = (
            (repo, job, event)
            for repo, job in (jobs if mine else ())
            for path in events.log_files(store, repo, job)
            for event in stream.unordered(path, broken, selection)
        )
        duckdb_tables.load_events(connection, folder, rows)
        _make_views(connection)
        found = _sessions(store, set(jobs), broken) if needed("sessions") else ()
        duckdb_tables.load(connection, folder, "sessions", _SESSIONS, found)
        items = _items(store, jobs, broken) if needed("items") else ()
        duckdb_tables.load(connection, folder, "items", _ITEMS, items)
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection


def _names(sql: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", sql, re.IGNORECASE) is not None


def _any(needed: Callable[[str], bool]) -> bool:
    return any(needed(kind) or needed(snake_case(kind)) for kind in KNOWN)


def _make_views(connection: "DuckDBPyConnection") -> None:
    envelope = ", ".join(("repo", "job", "timestamp", *duckdb_tables.ENVELOPE))
    connection.execute(
        f"CREATE VIEW events AS SELECT {envelope}, {duckdb_tables.FIELDS} AS fields FROM _events"
    )
    for kind, known in KNOWN.items():
        own = "".join(
            f', {_value(field.encode_name, field.type)} AS "{field.encode_name}"'
            for field in msgspec.structs.fields(known)
            if field.encode_name not in duckdb_tables.ENVELOPE
        )
        _make_view(connection, kind, f"{envelope}{own}, {duckdb_tables.FIELDS} AS fields")
    connection.execute(_COMMITS)
    taken = {name.lower() for name in (*KNOWN, *map(snake_case, KNOWN))}
    taken |= {"events", "_events", "commits", "sessions", "items"}
    for (kind,) in connection.execute(
        "SELECT type FROM _events GROUP BY type ORDER BY count(*) DESC LIMIT 500"
    ).fetchall():
        if kind and kind.lower() not in taken and kind.isprintable():
            taken.add(kind.lower())
            _make_view(
                connection, kind, f"{envelope}, {duckdb_tables.FIELDS} AS fields", alias=False
            )


def _make_view(
    connection: "DuckDBPyConnection", kind: str, columns: str, *, alias: bool = True
) -> None:
    names = [kind, snake_case(kind)] if alias else [kind]
    for name in names:
        connection.execute(
            f"CREATE VIEW {_quoted(name)} AS SELECT {columns} FROM _events"
            f" WHERE type = '{kind.replace(chr(39), 2 * chr(39))}'"
        )


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))


def _value(name: str, kind: Any) -> str:
    """Return SQL for a field of an event, in the type that it has there."""
    info = msgspec.inspect.type_info(kind)
    if isinstance(info, msgspec.inspect.UnionType):
        info = next(one for one in info.types if not isinstance(one, msgspec.inspect.NoneType))
    if isinstance(info, msgspec.inspect.IntType):
        return f"TRY_CAST(event ->> '$.{name}' AS BIGINT)"
    if isinstance(info, msgspec.inspect.BoolType):
        return f"TRY_CAST(event ->> '$.{name}' AS BOOLEAN)"
    if isinstance(info, msgspec.inspect.StrType | msgspec.inspect.LiteralType):
        return f"event ->> '$.{name}'"
    if isinstance(info, msgspec.inspect.StructType) and info.cls is Duration:
        secs, nanos = (
            f"TRY_CAST(event ->> '$.{name}.{part}' AS DOUBLE)" for part in ("secs", "nanos")
        )
        return f"{secs} + coalesce({nanos}, 0) / 1e9"
    if isinstance(info, msgspec.inspect.ListType) and isinstance(
        info.item_type, msgspec.inspect.StrType
    ):
        return f"TRY_CAST(event -> '$.{name}' AS VARCHAR[])"
    return f"event -> '$.{name}'"


def _sessions(
    store: str, jobs: set[tuple[str, str]], broken: Broken
) -> Iterator[Mapping[str, Any]]:
    from prodigy_git.store import sessions

    for found in sessions.load_all(store, broken):
        repo = found.text("repo")
        if (repo, found.job) in jobs or (repo is None and found.job in {job for _, job in jobs}):
            fields = {**found.metadata, **found.as_json(), "persons": found.persons}
            yield {name: fields.get(name) for name in _SESSIONS} | {"repo": repo, "job": found.job}


def _items(store: str, jobs: Jobs, broken: Broken) -> Iterator[Mapping[str, Any]]:
    from prodigy_git.jobs import books, index, peek, summary

    for repo, job in jobs:
        if job not in summary.known(store, repo):
            continue
        try:
            with peek.opened(store, repo, job, broken) as opened:
                for name, item in opened.in_state(*index.NUMBER):
                    view, tried = books.view(item), books.tried(item)
                    start = view.start
                    last = index.last_failure(item)
                    yield {
                        "repo": repo, "job": job, "item_id": name, "state": view.state,
                        "attempts": tried.attempts, "agent_id": view.agent, "since": view.since,
                        "session_id": (start.worktree or start.session) if start else None,
                        "failures": tried.failures, "error": last.error if last else None,
                        "error_signature": index.last_signature(item),
                    }  # fmt: skip
        except ProdigyError as error:
            broken(str(error))


def _rows(
    connection: "DuckDBPyConnection", done: "DuckDBPyConnection"
) -> Iterator[tuple[Any, ...]]:
    while some := _interruptibly(connection, lambda: done.fetchmany(1000)):
        yield from some


def _interruptibly(connection: "DuckDBPyConnection", work: Callable[[], Any]) -> Any:
    """Return what ``work`` does; a signal ends it, which DuckDB would look at only at the end."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            return future.result()
        except BaseException:
            connection.interrupt()
            raise


def _different(columns: list[str]) -> list[str]:
    """Return names for columns of which several may have the same one."""
    found: list[str] = []
    for name in columns:
        number, new = 1, name
        while new in found:
            number += 1
            new = f"{name}_{number}"
        found.append(new)
    return found


def _explained(said: str) -> str:
    """Return DuckDB's error on one line: what is wrong, and what it thinks was meant."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    hint = next((line for line in lines[1:] if line.startswith("Did you mean")), "")
    return " ".join(filter(None, (lines[0] if lines else "the query failed", hint)))
