"""events export: events in forms that other programs read."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

import click

from prodigy_git.cli import completing, output
from prodigy_git.cli.events import catch_up, matching
from prodigy_git.cli.filters import Wanted, filters
from prodigy_git.errors import ProdigyError

if TYPE_CHECKING:
    from prodigy_git.attribution.records import Source

_FORMATS = ("jsonl", "csv", "parquet", "prodigy", "agent-trace")
_TRACE = "agent-trace"
_PIECE = 1 << 16


@click.command()
@filters()
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), default="jsonl", show_default=True,
    help="jsonl: our dialect; prodigy: Prodigy's records; parquet needs DuckDB; agent-trace: who "
    "wrote which lines of each commit (agent-trace.dev).",
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
@click.option(
    "--notes", is_flag=True,
    help="With agent-trace: write each record as a note of its commit, instead of printing it.",
)  # fmt: skip
def export(wanted: Wanted, form: str, path: str, force: bool, notes: bool) -> None:
    """Write events in time order: JSON lines, CSV, Parquet, Prodigy's records, Agent Trace.

    Prodigy does not know all types of events: the others are left out, and counted.

    \b
    Example:
      prodigy-git events export --format csv -o events.csv
      prodigy-git events export --format agent-trace --notes
    """
    if notes:
        if form != _TRACE or path != "-":
            raise click.UsageError("--notes goes with --format agent-trace, and without -o.")
        _write_notes(wanted)
        return
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
    if form == _TRACE:
        texts = _traces(wanted)
    elif form == "prodigy":
        texts = exporting.prodigy(matching(wanted), output.note)
    else:
        texts = (exporting.csv_text if form == "csv" else exporting.jsonl)(matching(wanted))
    for text in texts:
        stream.write(text.encode("utf-8"))


def _traces(wanted: Wanted) -> Iterator[str]:
    """Yield Agent Trace records as lines, repository by repository."""
    from prodigy_git.attribution import records
    from prodigy_git.model import jsontext

    wants = _wants(wanted)
    for source in _sources(wanted):
        for _, record in records.of_repository(source, wants, output.note):
            yield jsontext.text(record) + "\n"


def _write_notes(wanted: Wanted) -> None:
    """Write Agent Trace records as git notes, and say how many."""
    from prodigy_git.attribution import git_notes, records

    wants = _wants(wanted)
    for source in _sources(wanted):
        done = git_notes.write(
            source.common, records.of_repository(source, wants, output.note, portable=True)
        )
        more = f", {done.others} left to the tool that wrote them" if done.others else ""
        output.note(
            f"{git_notes.REF}: {done.written} notes written, {done.there} there already{more}"
        )


def _wants(wanted: Wanted) -> "Callable[[str], bool]":
    """Return what says whether an event that a record may come from is meant, by its id."""
    from prodigy_git.attribution import records
    from prodigy_git.model.selection import Selection

    selection = wanted.selection
    named = set(wanted.jobs()) if wanted.named else None
    if named is None and selection == Selection():
        catch_up(wanted)
        return lambda _: True
    chosen = {event.id for event in matching(wanted) if event.type in records.FROM}
    return chosen.__contains__


def _sources(wanted: Wanted) -> "Iterator[Source]":
    """Yield the repositories that are meant; one that is not in sight is named, and left out."""
    from prodigy_git.attribution.records import Source
    from prodigy_git.record import repokey
    from prodigy_git.store import events

    for repo in sorted({repo for repo, _ in wanted.jobs()}):
        common = repokey.common_of(wanted.store, repo)
        if common is None or not os.path.isdir(common):
            output.note(f"{repo}: its repository is not in sight, and has no records")
            continue
        # Of all its jobs: a commit may stand for another job's.
        logs = [
            path
            for _, job in events.jobs(wanted.store, repo)
            for path in events.log_files(wanted.store, repo, job)
        ]
        yield Source(wanted.store, repo, common, logs)


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
