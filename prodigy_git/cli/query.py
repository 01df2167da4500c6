"""events query: questions in SQL."""

import datetime
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from prodigy_git.cli import output
from prodigy_git.cli.events import catch_up
from prodigy_git.cli.filters import Wanted, filters
from prodigy_git.model import jsontext

if TYPE_CHECKING:
    from prodigy_git.views.query import Result


@click.command()
@click.argument("sql", required=False)
@filters()
@click.option("--schema", is_flag=True, help="List the views and their columns.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@output.json_option
def query(sql: str | None, wanted: Wanted, schema: bool, as_csv: bool, as_json: bool) -> None:
    """Answer a question in SQL (DuckDB's) on events, commits, sessions and items.

    The filters say which events are there to be asked about. There is a view per type of event, too, as
    AgentFailed or agent_failed; --schema lists them all. A query cannot change the store, nor read or
    write any file. Needs the extra query, in a clone of
    prodigy-git: python3 -m pip install '.[query]'.

    \b
    Example:
      prodigy-git events query 'select type, count(*) from events group by 1'
    """
    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other.")
    if schema == (sql is not None) or (sql is not None and not sql.strip(" \t\r\n;")):
        raise click.UsageError("Give a query in SQL, or --schema.")
    from prodigy_git.views import query as views

    catch_up(wanted)
    if sql is None:
        rows = views.schema(wanted.store, wanted.jobs, wanted.selection, output.note)
        _show(views.Result(["view", "column", "type"], iter(rows), frozenset()), as_csv, as_json)
        return
    with views.asked(sql, wanted.store, wanted.jobs, wanted.selection, output.note) as result:
        _show(result, as_csv, as_json)


def _show(result: "Result", as_csv: bool, as_json: bool) -> None:
    if as_json:
        output.stream(_as_json(result))
    elif as_csv:
        from prodigy_git.views.exporting import csv_rows

        rows = (map(_cell, row) for row in result.rows)
        output.csv(csv_rows(result.columns, rows))
    elif result.columns:
        output.listing(
            [output.clean(name) for name in result.columns],
            ([str(_cell(value)) for value in row] for row in result.rows),
            empty="no rows",
            foreign=True,
        )


def _as_json(result: "Result") -> Iterator[str]:
    """Yield the lines of an array of objects, one per row."""
    before = "["
    for row in result.rows:
        values = {
            name: _from_json(value) if name in result.json else _plain(value)
            for name, value in zip(result.columns, row, strict=True)
        }
        yield before + jsontext.text(values)
        before = ","
    yield "]" if before == "," else "[]"


def _from_json(value: Any) -> Any:
    import json

    return None if value is None else json.loads(value)


def _plain(value: Any) -> Any:
    """Return a value of DuckDB's as JSON has it: times as in events, whatever else as text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.UTC).replace(tzinfo=None)
        return f"{value.isoformat(timespec='microseconds')}Z"
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if type(value).__name__ == "Decimal":
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


def _cell(value: Any) -> Any:
    """Return a value as a table or a CSV file has it; nothing for NULL."""
    found = _plain(value)
    if found is None:
        return ""
    return jsontext.text(found) if isinstance(found, bool | dict | list) else found
