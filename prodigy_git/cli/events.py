"""events ls, clean; and where the other commands on events are."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from prodigy_git.cli import output
from prodigy_git.cli.filters import Wanted, filters
from prodigy_git.cli.lazy import LazyGroup
from prodigy_git.cli.when import Duration
from prodigy_git.errors import ProdigyError
from prodigy_git.names import is_safe
from prodigy_git.store import home

_COMMANDS = {
    "follow": "prodigy_git.cli.follow:follow",
    "stats": "prodigy_git.cli.stats:stats",
    "search": "prodigy_git.cli.search:search",
    "export": "prodigy_git.cli.export:export",
    "query": "prodigy_git.cli.query:query",
}

NONE = "no events: '--all-repos' looks at all repositories, 'prodigy-git doctor' at the hooks"
"""What a terminal is told where no event fits."""

if TYPE_CHECKING:
    from prodigy_git.model.event import Event

_SHORT = {
    "follow": "Print events as they come, until you interrupt it.",
    "stats": "Count events: how many, which share of all, when the first and the last was.",
    "search": "List the events that REGEX, of Python's kind, matches in; in time order.",
    "export": "Write events in time order: JSON lines, CSV, Parquet, Prodigy's records, Agent Trace.",
    "query": "Answer a question in SQL (DuckDB's) on events, commits, sessions and items.",
}


@click.group(cls=LazyGroup, where=_COMMANDS, short=_SHORT)
def events() -> None:
    """The event logs of the jobs.

    \b
    Example:
      prodigy-git events ls --job review --since 1h
      prodigy-git events follow --type AgentFailed
    """


@events.command("ls")
@filters()
@click.option("--json", "as_json", is_flag=True, help="Print one event per line, as JSON.")
def ls(wanted: Wanted, as_json: bool) -> None:
    """List events in time order, of every dialect that Prodigy's tools have written.

    \b
    Example:
      prodigy-git events ls --job review --item item-7
    """
    from prodigy_git.views.exporting import line

    found = matching(wanted)
    if as_json:
        output.stream(map(line, found))
        return
    headings = ("TIME", "TYPE", "JOB", "SESSION", "AGENT", "WHAT")
    output.listing(headings, map(row, found), ("JOB", "AGENT", "SESSION"), empty=NONE)


def matching(wanted: Wanted) -> "Iterator[Event]":
    """Record what hooks have not, and return the events that are wanted, in time order."""
    from prodigy_git.model.selection import Selection
    from prodigy_git.store import stream

    catch_up(wanted)
    # Merged over all jobs at once: only so is time order kept without holding the events in memory.
    selection = None if wanted.selection == Selection() else wanted.selection
    return stream.merge(wanted.paths(), output.note, selection)


def catch_up(wanted: Wanted) -> None:
    """Record what hooks have not, of the sessions asked for: a listing should be complete."""
    from prodigy_git.store import enrolled

    found = list(wanted.selection.sessions)
    if not found:
        # Only a session that has a worktree can have something to record.
        jobs = set(wanted.jobs()) if wanted.named else None
        repos = wanted.repositories() if jobs is None else sorted({repo for repo, _ in jobs})
        found = [
            there.session
            for there in enrolled.in_repositories(wanted.store, repos)
            if jobs is None or (there.repo, there.job) in jobs
        ]
    if not found:
        return
    from prodigy_git.store import sessions

    for name in filter(is_safe, found):
        # A session whose file is damaged or gone has its events all the same.
        with contextlib.suppress(ProdigyError, OSError):
            sessions.catch_up(wanted.store, sessions.load(wanted.store, name), output.note)


def row(event: "Event") -> tuple[str, ...]:
    """Return time, type, job, session, agent and the rest of an event, as texts."""
    return (
        (event.timestamp or "-")[:23].rstrip("Z") + "Z",
        event.type,
        event.job_id or "-",
        event.session_id or "-",
        event.agent_id or "-",
        words(event.type, {**event.own(), "item_id": event.item_id}),
    )


_SAID = (
    "commit", "action", "subject", "status", "from", "to", "error", "error_signature", "reason",
    "worktree_name", "base", "content",
)  # fmt: skip
_OF_ITEMS = ("Agent", "DLQ", "WorkItem", "Claim")
_FEW = 5
"""How many items are named."""


def words(kind: str, own: dict[str, Any]) -> str:
    """Return what is worth saying of an event's fields beside time, job, session and agent.

    The item comes first, with the attempt, for what happens to items.
    """
    from prodigy_git.views import tools_used

    said = tools_used.words(kind, own)
    for name in () if said else _SAID:
        value = own.get(name)
        if isinstance(value, str) and value:
            short = name in ("commit", "base")
            said.append(value[:10] if short else value.strip().partition("\n")[0])
    if kind == "CommitsRewritten" and isinstance(own.get("rewrites"), list):
        said.append(f"{own.get('command')}: {len(own['rewrites'])} replaced")
    if kind in ("BranchPushed", "BranchNotPushed"):
        said = [f"{str(own.get('head'))[:10]} {own.get('remote')} {own.get('ref')}", *said]
    items = _items(own) if kind.startswith(_OF_ITEMS) else ""
    return ": ".join(filter(None, (items, " ".join(said))))


def _items(own: dict[str, Any]) -> str:
    """Return the item that an event is about and which attempt at it, or all that it names."""
    item, several = own.get("item_id"), own.get("items") or own.get("item_ids")
    if isinstance(item, str) and item:
        attempt = own.get("attempt")
        return f"{item}, attempt {attempt}" if isinstance(attempt, int) else item
    if not isinstance(several, (dict, list)):
        return ""
    names = [str(one) for one in several]
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more


@events.command()
@click.option("--older-than", type=Duration(), default="30d", show_default=True, metavar="AGE")
@click.option("--dry-run", is_flag=True, help="Say what would be done and change nothing.")
@output.json_option
def clean(older_than: int, dry_run: bool, as_json: bool) -> int:
    """Move log files whose every event is old to the trash; never those of a running job.

    \b
    Example:
      prodigy-git events clean --older-than 90d --dry-run
    """
    from prodigy_git.cleanup.records.by_age import clean_events
    from prodigy_git.cli.clean_report import show_removed

    store = home.here()
    removed = clean_events(store, older_than, dry_run=dry_run, broken=output.note)
    return show_removed(removed, dry_run=dry_run, as_json=as_json)
