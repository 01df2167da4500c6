"""sync: when it returns, all that git knows is in the log."""

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output
from prodigy_git.errors import ProdigyError
from prodigy_git.store import home


@click.command()
@click.option("--session", "name", help="This session.", shell_complete=completing.sessions)
@click.option("--job", help="The sessions of this job.", shell_complete=completing.jobs)
@click.option("--all", "every", is_flag=True, help="All sessions of the store.")
@output.json_option
def sync(name: str | None, job: str | None, every: bool, as_json: bool) -> int:
    """Wait until all that git knows is in the log, and say what was recorded.

    [default: the sessions of this repository] For programs that read the files of the store themselves:
    a commit is in the log a moment after git returns, and every prodigy-git command sees to that by
    itself. Exits 1 where a session could not be brought up to date; stderr says why.

    \b
    Example:
      prodigy-git sync && tail -n 1 ~/.prodigy/events/shop/review/*.jsonl
    """
    from prodigy_git.lifecycle import whereabouts
    from prodigy_git.store import pending

    if sum((job is not None, name is not None, every)) > 1:
        raise click.UsageError("Give one of --session, --job and --all.")
    if name is not None:
        store = home.here()
        found = pending.of_session(store, name)
    elif job is not None:
        store, repo, wanted = whereabouts.job(gitenv.here(), job)
        found = pending.of_job(store, repo, wanted)
        if not found and not pending.has_job(store, repo, wanted):
            raise ProdigyError(f"no job {job}: 'prodigy-git job list' names the jobs")
    elif every:
        store = home.here()
        found = pending.of_store(store)
    else:
        store, repo = whereabouts.repository(gitenv.here())
        found = pending.of_repository(store, repo)
    done = pending.record(store, found, output.note)
    if as_json:
        output.emit_json(
            {
                "recorded_now": sum(one.recorded or 0 for one in done),
                "sessions": [one.as_json() for one in done],
            }
        )
    else:
        for one in done:
            if one.recorded:
                output.line(f"{one.session_id}: {_counted(one.recorded, 'commit')} recorded now")
        well = [one for one in done if one.error is None]
        output.line(f"{_counted(len(well), 'session')} up to date")
    return 1 if any(one.error is not None for one in done) else 0


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
