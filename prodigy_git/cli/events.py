"""events ls, clean; and where follow is."""

import contextlib
import os

import click

from prodigy_git import layout
from prodigy_git.cli import output
from prodigy_git.cli.lazy import LazyGroup
from prodigy_git.cli.when import Duration, Moment
from prodigy_git.errors import ProdigyError
from prodigy_git.model.event import Event, pascal_case
from prodigy_git.names import checked, is_safe


@click.group(cls=LazyGroup, where={"follow": "prodigy_git.cli.follow:follow"})
def events() -> None:
    """The event logs of the jobs."""


@events.command("ls")
@click.option("--job", help="Only this job's. [default: all jobs]")
@click.option("--type", "kind", metavar="TYPE", help="Only events of this type, as CommitCreated.")
@click.option("--agent", help="Only this agent's.")
@click.option("--session", help="Only this session's.")
@click.option("--since", type=Moment(), metavar="TIME", help="Only from then on: 2h, 3d, or ISO.")
@click.option("--json", "as_json", is_flag=True, help="Print one event per line, as JSON.")
def ls(
    job: str | None,
    kind: str | None,
    agent: str | None,
    session: str | None,
    since: int | None,
    as_json: bool,
) -> None:
    """List events in time order, of every dialect that Prodigy's tools have written."""
    from prodigy_git.store import events as logs
    from prodigy_git.store import stream

    store = layout.store_from(os.environ)
    if job is not None:
        checked(job, "job id")
    _catch_up(store, job, session)
    wanted = logs.jobs(store, job=job)
    if job is not None and not wanted:
        raise ProdigyError(f"no events of a job {job}: 'prodigy-git sessions list' names the jobs")
    kind = None if kind is None else pascal_case(kind)
    # Merged over all jobs at once: only so is time order kept without holding the events in memory.
    paths = [path for repo, name in wanted for path in logs.log_files(store, repo, name)]
    found = (
        event
        for event in stream.merge(paths, output.note, kind)
        if agent in (None, event.agent_id)
        and session in (None, event.session_id)
        and (since is None or (event.moment is not None and event.moment >= since))
    )
    if as_json:
        output.stream(map(_json, found))
        return
    headings = ("TIME", "TYPE", "JOB", "SESSION", "AGENT", "WHAT")
    output.listing(headings, map(row, found), ("JOB", "AGENT", "SESSION"))


def _json(event: Event) -> str:
    """Return an event as JSON in ASCII: a line of ours as it is, unless it has raw DEL or spaces."""
    if isinstance(event.written, bytes) and (text := event.written.decode("ascii")).isprintable():
        return text
    return output.json_text(event.fields())


def _catch_up(store: str, job: str | None, session: str | None) -> None:
    """Record what hooks have not, of the sessions asked for: a listing should be complete."""
    from prodigy_git.store import mappings, sessions

    if session is not None:
        wanted = [session] if is_safe(session) else []
    elif job is not None:
        wanted = mappings.sessions_of(store, job, output.note)
    else:
        wanted = sessions.ids(store)
    for name in wanted:
        # A session whose file is damaged or gone has its events all the same.
        with contextlib.suppress(ProdigyError, OSError):
            sessions.catch_up(store, sessions.load(store, name), output.note)


def row(event: Event) -> tuple[str, ...]:
    """Return time, type, job, session, agent and the rest of an event, as texts."""
    own = event.own()
    words = []
    for name in ("commit", "action", "subject", "status", "error", "worktree_name", "base"):
        value = own.get(name)
        if isinstance(value, str) and value:
            words.append(value[:10] if name in ("commit", "base") else value)
    if event.type == "CommitsRewritten" and isinstance(own.get("rewrites"), list):
        words.append(f"{own.get('command')}: {len(own['rewrites'])} replaced")
    return (
        (event.timestamp or "-")[:23].rstrip("Z") + "Z",
        event.type,
        event.job_id or "-",
        event.session_id or "-",
        event.agent_id or "-",
        " ".join(words),
    )


@events.command()
@click.option("--older-than", type=Duration(), default="30d", show_default=True, metavar="AGE")
@click.option("--dry-run", is_flag=True, help="Say what would be done and change nothing.")
@output.json_option
def clean(older_than: int, dry_run: bool, as_json: bool) -> int:
    """Move log files whose every event is old to the trash; never those of a running job."""
    from prodigy_git.cleanup.records import clean_events
    from prodigy_git.cli.clean_report import show_removed

    store = layout.store_from(os.environ)
    removed = clean_events(store, older_than, dry_run=dry_run, broken=output.note)
    return show_removed(removed, dry_run=dry_run, as_json=as_json)
