"""report: a job as one HTML file."""

import contextlib
import os
import stat
import tempfile
from typing import Any

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output
from prodigy_git.cli.filters import Wanted, filters
from prodigy_git.cli.when import Duration
from prodigy_git.errors import ProdigyError


@click.command()
@filters("all_jobs", "all_repos", "type")
@click.option(
    "-o", "--output", "target", metavar="FILE|-", shell_complete=completing.file_names,
    help="Where to write it; - for stdout.  [default: report-JOB.html]",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite a FILE that is no report.")
@click.option(
    "--stuck-after", type=Duration(), default="15m", show_default=True, metavar="AGE",
    help="From when on a silent agent is stuck.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what the report holds, as JSON.")
def report(
    wanted: Wanted, target: str | None, force: bool, stuck_after: int, as_json: bool
) -> None:
    """Write a job's report: one HTML file that opens offline, and print its path.

    Without --job it is the job of the worktree that you stand in, $PRODIGY_JOB_ID, git config
    prodigy.job, else the job of the repository that wrote last.

    \b
    Example:
      prodigy-git report --job review -o review.html
    """
    from prodigy_git.views.report import gather, page

    if as_json and target is not None:
        raise click.UsageError("--json prints to stdout: it does not go with --output")
    store, repo, job = _job(wanted)
    path = target or f"report-{job}.html"
    if not as_json and path != "-":
        _check(path, force)
    value = gather.of_job(store, repo, job, wanted.selection, stuck_after, output.note)
    if as_json:
        output.emit_json(value)
        return
    text = page.render(value, output.clean)
    if path == "-":
        click.echo(text, nl=False)
        return
    _write(path, text.encode())
    output.path(path)


def _job(wanted: Wanted) -> tuple[str, str, str]:
    """Return (store, repository key, job id) of the job that is meant. Raises `ProdigyError`."""
    from prodigy_git.jobs import prodigy_runs
    from prodigy_git.lifecycle import whereabouts
    from prodigy_git.views.report import gather

    if wanted.named:
        found = list(
            dict.fromkeys(prodigy_runs.logical(wanted.store, *pair) for pair in wanted.jobs())
        )
        if len(found) > 1:
            names = ", ".join(f"{repo}/{job}" for repo, job in found)
            raise ProdigyError(f"a report is of one job, these are several: {names}")
        return wanted.store, *found[0]
    here = gitenv.here()
    with contextlib.suppress(ProdigyError):
        return whereabouts.job(here, None, told=output.note)
    store, repo = whereabouts.repository(here)
    newest = gather.newest_job(store, repo)
    if newest is None:
        raise ProdigyError("this repository has no job yet: 'prodigy-git job list --all-repos'")
    output.note(f"the report is of job {newest}, which wrote last; --job names another")
    return store, repo, newest


def _check(path: str, force: bool) -> None:
    """Raise `ProdigyError` where a file is in the way that is no report."""
    if os.path.isdir(path):
        raise ProdigyError(f"{path} is a folder: name a file")
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        raise ProdigyError(f"there is no folder {folder} to write the report to")
    if not force and os.path.isfile(path) and not _is_report(path):
        raise ProdigyError(f"{path} is there and no report: give another --output, or --force")


def _is_report(path: str) -> bool:
    """Whether a file is an earlier report, or empty; not so one that cannot be read."""
    from prodigy_git.views.report.page import MARK

    try:
        with open(path, "rb") as stream:
            return stream.read(len(MARK)) in (b"", MARK)
    except OSError:
        return False


def _write(path: str, data: bytes) -> None:
    """Write a file so that nobody ever sees half of it. Raises `OSError`."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe or a device
            with open(path, "wb") as stream:
                stream.write(data)
            return
    # Through a link to an earlier report; of any other link only the link is replaced, by --force.
    foreign = os.path.isfile(path) and not _is_report(path)
    target = path if foreign else os.path.realpath(path)
    whole: Any = tempfile.NamedTemporaryFile(  # noqa: SIM115  # renamed, not closed and gone
        dir=os.path.dirname(target) or ".", prefix=".report-", delete=False
    )
    try:
        with whole:
            whole.write(data)
            mask = os.umask(0)
            os.umask(mask)
            os.fchmod(whole.fileno(), 0o666 & ~mask)  # as any other file that one makes
        os.replace(whole.name, target)
    except BaseException:
        os.unlink(whole.name)
        raise
