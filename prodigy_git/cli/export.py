"""events export: events in forms that other programs read."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

import click

from prodigy_git.cli import completing, output
from prodigy_git.cli.events import catch_up, matching
from prodigy_git.cli.filters import Wanted, filters
from prodigy_git.errors import ProdigyError

_FORMATS = ("jsonl", "csv", "parquet", "prodigy")
_PIECE = 1 << 16


@click.command()
@filters()
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), default="jsonl", show_default=True,
    help="jsonl: our dialect; prodigy: Prodigy's records; parquet needs DuckDB.",
)  # fmt: skip
@click.option(
    "-o",
    "--output",
    "path",
    default="-",
    metavar="FILE",
    shell_complete=completing.file_names,
    help="Whole or not at all. [default: stdout]",
)
@click.option("--force", is_flag=True, help="Replace a FILE that is there.")
def export(wanted: Wanted, form: str, path: str, force: bool) -> None:
    """Write events, in time order, as JSON lines, CSV, Parquet or Prodigy's own records.

    Prodigy does not know all types of events: the others are left out, and counted.

    \b
    Example:
      prodigy-git events export --format csv -o events.csv
    """
    if path != "-":
        with _file(path, force=force) as (stream, temporary):
            _write(wanted, form, stream, temporary)
        return
    if sys.stdout is None:
        raise ProdigyError("there is no stdout: give -o FILE")
    if form == "parquet" and sys.stdout.isatty():
        raise click.UsageError("Parquet is not for a terminal: give -o FILE.")
    sys.stdout.flush()
    _write(wanted, form, sys.stdout.buffer, None)
    sys.stdout.buffer.flush()


def _write(wanted: Wanted, form: str, stream: BinaryIO, path: str | None) -> None:
    """Write the events to a stream, which is that of the file ``path`` if it has one."""
    from prodigy_git.views import exporting

    if form == "parquet":
        _write_parquet(wanted, stream, path)
        return
    if form == "csv" and path is None:
        output.csv(exporting.csv_text(matching(wanted)))
        return
    if form == "prodigy":
        texts = exporting.prodigy(matching(wanted), output.note)
    else:
        texts = (exporting.csv_text if form == "csv" else exporting.jsonl)(matching(wanted))
    for text in texts:
        stream.write(text.encode("utf-8"))


def _write_parquet(wanted: Wanted, stream: BinaryIO, path: str | None) -> None:
    from prodigy_git.model.selection import Selection
    from prodigy_git.store import stream as logs
    from prodigy_git.views import duckdb_tables

    catch_up(wanted)
    selection = None if wanted.selection == Selection() else wanted.selection
    rows = (
        (repo, job, event)
        for repo, job, log in wanted.logs()
        for event in logs.unordered(log, output.note, selection)
    )
    with (
        tempfile.TemporaryDirectory(prefix="prodigy-git-export-") as folder,
        contextlib.closing(duckdb_tables.connect(folder)) as connection,
    ):
        duckdb_tables.load_events(connection, folder, rows)
        target = path or f"{folder}/events.parquet"
        duckdb_tables.parquet(connection, target)
        if path is None:
            with open(target, "rb") as made:
                while piece := made.read(_PIECE):
                    stream.write(piece)


@contextlib.contextmanager
def _file(path: str, *, force: bool) -> Iterator[tuple[BinaryIO, str]]:
    """Open a file that is there under its name only when it is whole; give its stream and its path.

    Raises `ProdigyError` where there is one already and not ``force``, or what is there is no file.
    """
    target = os.path.realpath(path)
    if os.path.lexists(target):
        if not os.path.isfile(target):
            raise ProdigyError(f"{path} is no regular file: leave -o out, and redirect the output")
        if not force:
            raise ProdigyError(f"{path} is there already: give --force to replace it")
    folder, name = os.path.split(target)
    temporary = f"{folder}/.{name}.{os.getpid()}.new"
    try:
        with open(temporary, "xb") as stream:
            yield stream, temporary
            stream.flush()
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if force:
            os.rename(temporary, target)
            return
        try:
            os.link(temporary, target)  # unlike a rename it replaces nothing
        except FileExistsError:
            raise ProdigyError(f"{path} has come to be there: give --force to replace it") from None
        except OSError:  # a file system without links
            os.rename(temporary, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
