"""sessions list, show, clean."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from prodigy_git import duration, gitenv, layout
from prodigy_git.cli import completing, output
from prodigy_git.cli.when import Duration
from prodigy_git.record import clock
from prodigy_git.store import home

if TYPE_CHECKING:
    from prodigy_git.model.session import Session
    from prodigy_git.store.other_hosts import Hosts
    from prodigy_git.views.overview.program_states import Doing

NONE = "no sessions: 'prodigy-git new-worktree' begins one"
"""What a terminal is told where there are none."""


@click.group()
def sessions() -> None:
    """Sessions: one worktree's stretch of work each.

    \b
    Example:
      prodigy-git sessions list --status Running
    """


@sessions.command("list")
@click.option("--job", help="Only sessions of this job.", shell_complete=completing.jobs)
@click.option(
    "--status",
    help="Only sessions of this status, as Running or Completed.",
    shell_complete=completing.statuses,
)
@output.json_option
def list_(job: str | None, status: str | None, as_json: bool) -> None:
    """List all sessions of the store, oldest first.

    \b
    Example:
      prodigy-git sessions list --job review --status Running
    """
    from prodigy_git.cli import over
    from prodigy_git.prodigy.sessions import filled
    from prodigy_git.store import sessions as stored

    store = home.here()
    over.settle(store, job=job)
    known = stored.Known()
    found = [
        stored.catch_up(store, one, output.note, known)
        for one in filled(store, stored.load_all(store, output.note))
        if job in (None, one.job)
    ]
    found = [one for one in found if status in (None, one.status)]
    doing = _doing(store, found)
    from prodigy_git.store import other_hosts

    hosts = other_hosts.known(store)
    there = _elsewhere(store, hosts, job, status)
    where = [*((one, None) for one in found), *there]
    where.sort(key=lambda pair: (pair[0].started_at, pair[0].id))
    if as_json:
        output.emit_json([
            {**_as_json(one, None if host else doing.get(one.id)), **_host_as_json(hosts, host)}
            for one, host in where
        ])  # fmt: skip
        return
    headings: tuple[str, ...] = (
        "SESSION", "STATUS", "JOB", "AGENT", "ITEM", "COMMITS", "STARTED", "BRANCH", "NOTE",
    )  # fmt: skip
    none = "no session is like that" if job or status else NONE
    rows: Iterable[tuple[Any, ...]] = (
        _row(one, None if host else doing.get(one.id)) for one, host in where
    )
    if there:
        headings = ("SESSION", "HOST", *headings[1:])
        rows = (
            (row[0], "here" if host is None else hosts.named(host), *row[1:])
            for row, (_, host) in zip(rows, where, strict=True)
        )
    output.table(headings, rows, ("STARTED", "JOB", "COMMITS", "AGENT"), empty=none)


def _elsewhere(
    store: str, hosts: "Hosts", job: str | None, status: str | None
) -> "list[tuple[Session, str | None]]":
    """Return the sessions of other hosts, as they told of them, each with its host's id."""
    if not hosts.several():
        return []
    from prodigy_git.model.session import Session
    from prodigy_git.store import other_sessions

    return [
        (Session.of(other_sessions.document(one)), one.other_host)
        for one in other_sessions.read(store, None, ended=True)
        if job in (None, one.job) and status in (None, one.status)
    ]


def _host_as_json(hosts: "Hosts", host: str | None) -> dict[str, Any]:
    """Return which host a session is on; nothing where there is only one."""
    return {"host": hosts.named(host), "host_id": host} if hosts.several() else {}


_TEXTS = (
    "repo", "agent_id", "item_id", "branch", "base_branch", "base_commit", "last_commit",
    "created_by", "trash_path", "salvage_ref",
)  # fmt: skip
"""What of a session's metadata is text, and as it is called in JSON, too."""
_SAID = frozenset((*_TEXTS, "worktree_path", "parent_session", "commits", "job_id"))
PERSON = "(person)"
"""What stands where an agent's name does, of a person's own checkout: no agent can be called so."""


def _as_json(one: "Session", doing: "Doing | None") -> dict[str, Any]:
    """Return a session as every command's JSON names things; what its file has besides stays.

    ``doing`` is what an agent program does there. The file itself has the names of Prodigy's own tools
    (docs/reference/store.md).
    """
    fields: dict[str, Any] = one.as_json()
    rest = {name: value for name, value in fields.pop("metadata").items() if name not in _SAID}
    return {
        "session_id": fields.pop("id"),
        "session_type": fields.pop("session_type"),
        "status": fields.pop("status"),
        "job_id": one.job,
        "worktree": one.text("worktree_path"),
        "commits": one.metadata.get("commits"),
        **{name: one.text(name) for name in _TEXTS},
        "persons": one.persons,
        "activity": None if doing is None else doing.as_json(clock.now()),
        "parent_session_id": one.text("parent_session"),
        "started_at": fields.pop("started_at"),
        "updated_at": fields.pop("updated_at"),
        "ended_at": fields.pop("completed_at"),
        "error": fields.pop("error"),
        **fields,
        "metadata": rest,
    }


def _doing(store: str, some: "list[Session]") -> "dict[str, Doing]":
    """Return what agent programs do in the worktrees of those that have not ended, by session."""
    if not os.path.isdir(layout.activities(store)):
        return {}  # where no program tells anything the views are not imported
    from prodigy_git.views.overview import program_states

    return program_states.of_sessions(
        store,
        (
            (one.text("repo"), one.job, one.id, one.text("worktree_path"), one.persons)
            for one in some
            if not one.ended
        ),
        output.note,
    )


def _does(doing: "Doing") -> str:
    from prodigy_git.views.overview import words

    return words.does(doing, clock.now())


def _row(one: "Session", doing: "Doing | None") -> tuple[Any, ...]:
    note = (one.error or "").strip().partition("\n")[0]
    if doing is not None and not note:
        note = _does(doing)
    return (
        one.id,
        one.status,
        one.job,
        PERSON if one.persons else one.text("agent_id") or "-",
        one.text("item_id") or "-",
        one.metadata.get("commits", "-"),
        duration.moment(one.started_at),
        one.text("branch") or "-",
        note or "-",
    )


@sessions.command()
@click.argument("id_", metavar="ID", shell_complete=completing.sessions)
@output.json_option
def show(id_: str, as_json: bool) -> None:
    """Show one session.

    \b
    Example:
      prodigy-git sessions show login
    """
    from prodigy_git.cli import over
    from prodigy_git.prodigy.sessions import filled
    from prodigy_git.setup import ports
    from prodigy_git.store import by_name
    from prodigy_git.store import sessions as stored

    store = home.here()
    id_ = by_name.session(store, gitenv.here(), id_)
    if not os.path.lexists(layout.session(store, id_)) and _show_elsewhere(store, id_, as_json):
        return
    over.settle(store, name=id_)
    (found,) = filled(store, [stored.catch_up(store, stored.load(store, id_), output.note)])
    where = stored.enrolled_place(store, found)
    port = None if where is None else ports.block(where[0], output.note)
    doing = _doing(store, [found]).get(found.id)
    if as_json:
        output.emit_json({**_as_json(found, doing), "port": port})
        return
    ports_ = None if port is None else f"{port}-{port + ports.COUNT - 1}"
    _tell(found, now=None if doing is None else _does(doing), ports=ports_)


def _show_elsewhere(store: str, name: str, as_json: bool) -> bool:
    """Show what other hosts have told of sessions of that name; False: none has."""
    from prodigy_git.model.session import Session
    from prodigy_git.store import other_hosts, other_sessions

    hosts = other_hosts.known(store)
    there = other_sessions.find(store, name)
    for one in there:
        found = Session.of(other_sessions.document(one))
        if as_json:
            host = {"host": hosts.named(one.other_host), "host_id": one.other_host}
            output.emit_json({**_as_json(found, None), **host, "port": None})
            break  # one value; 'sessions list' has all of them
        _tell(found, host=hosts.named(one.other_host))
    return bool(there)


def _tell(found: "Session", **more: str | None) -> None:
    """Print what there is to say of a session; ``more`` is what its file does not have."""
    whose = ", a person's own checkout" if found.persons else ""
    output.prose(f"{found.id}: {found.session_type}, {found.status}{whose}")
    rows = [
        ("host", more.get("host")),
        ("job", found.job),
        ("started", duration.moment(found.started_at)),
        ("ended", found.completed_at and duration.moment(found.completed_at)),
        ("error", found.error),
        ("now", more.get("now")),
        *(
            (name, one)
            for name, value in found.metadata.items()
            if name != "job_id"
            for one in (value if isinstance(value, list) else [value])
        ),
        ("checkpoints", len(found.checkpoints)),
        ("ports", more.get("ports")),
    ]
    for name, value in rows:
        if value is not None:
            output.prose(f"  {name.replace('_', ' ')}: {_in_words(value)}")


def _in_words(value: object) -> str:
    """Return a value of a session's file, an object as ``program claude, id 5f0c``."""
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{name.replace('_', ' ')} {_in_words(one)}" for name, one in value.items())


@sessions.command()
@click.option("--older-than", type=Duration(), default="7d", show_default=True, metavar="AGE")
@click.option("--dry-run", is_flag=True, help="Say what would be done and change nothing.")
@output.json_option
def clean(older_than: int, dry_run: bool, as_json: bool) -> int:
    """Move the files of sessions that ended long ago, and have no worktree, to the trash.

    \b
    Example:
      prodigy-git sessions clean --older-than 30d --dry-run
    """
    from prodigy_git.cleanup.records.by_age import clean_sessions
    from prodigy_git.cli.clean_report import show_removed

    store = home.here()
    removed = clean_sessions(store, older_than, dry_run=dry_run, broken=output.note)
    return show_removed(removed, dry_run=dry_run, as_json=as_json)
