"""hub: the database that joins hosts: made, and taken part in."""

import os
from typing import TYPE_CHECKING, Any

import click

from prodigy_git import gitenv
from prodigy_git.cli import output
from prodigy_git.cli.lazy import LazyGroup
from prodigy_git.store import home

if TYPE_CHECKING:
    from prodigy_git.hub.address import Address
    from prodigy_git.hub.connection import Connection
    from prodigy_git.hub.host import Host
    from prodigy_git.hub.schema import Hub

PATIENCE = 10.0
"""How many seconds a command of a person's waits for the hub."""


_ELSEWHERE = {
    "status": "prodigy_git.cli.hub_status:status",
    "sync": "prodigy_git.cli.hub_sync:sync",
    "verify": "prodigy_git.cli.hub_verify:verify",
    "leave": "prodigy_git.cli.hub_leave:leave",
}
_SHORT = {
    "status": "Show whether the hub is reached, what it has not been told yet, and its hosts.",
    "sync": "Ship what was recorded on this host, and pull what the others have.",
    "verify": "Compare the log here with the hub, event by event, and say what is missing where.",
    "leave": "Take part in the hub no more; all that is here stays.",
}


@click.group(cls=LazyGroup, where=_ELSEWHERE, short=_SHORT)
def hub() -> None:
    """The hub: a PostgreSQL database that joins hosts, whose agents work on the same jobs.

    \b
    Example:
      prodigy-git hub init postgresql://agents@db.example.org/prodigy
      prodigy-git hub status
    """


@hub.command()
@click.argument("url", required=False)
@click.option(
    "--global", "everywhere", is_flag=True, help="For all your repositories, not this one."
)
@click.option(
    "--role", metavar="NAME", help="Make a role that may only take part, for others to connect as."
)
@output.json_option
def init(url: str | None, everywhere: bool, role: str | None, as_json: bool) -> None:
    """Take part in a hub: make its tables where they are missing, and note its URL.

    URL is libpq's: postgresql://USER@HOST/DATABASE, or service=NAME. It is noted in git config
    prodigy.hub; without one, what is noted there or in PRODIGY_HUB counts. A password is not noted:
    give it in ~/.pgpass, in libpq's service file, or as PGPASSWORD. May be called again at any time:
    after an update, it brings the tables to the new version, and after a loss makes them anew.

    Who owns the tables can drop them. With --role NAME others take part as NAME, which can add events,
    and neither drop anything nor rewrite an event; a role that is there gets these rights. It has no
    password until somebody gives it one, as with psql's \\password.

    \b
    Example:
      prodigy-git hub init postgresql://owner@db.example.org/prodigy --role agents
    """
    from prodigy_git.git import repository
    from prodigy_git.hub import address, connection, host, members, schema

    common = None if everywhere else repository.find(gitenv.here()).common
    where = _configured(common) if url is None else address.parsed(url, "URL")
    store = home.here()
    conn = connection.connected(where, patience=PATIENCE)
    there, made = schema.made(conn)
    role_made = None if role is None else members.granted(conn, role)
    own = host.own(store)
    with connection.transaction(conn, within=PATIENCE) as tx:
        host.joined(tx, own)
        host.note_all(tx, store, there.id)
    number = None if common is None else _matched(conn, there, store, common)
    noted = None
    if url is not None:
        address.note(where, common)
        noted = "global" if common is None else "repository"
        if where.secrets():
            output.note(f"the password is not noted: {address.ADVICE}")
    if as_json:
        told = {"role": role, "role_made": role_made, "repository": number}
        output.emit_json(_joined(where, there, own, made, noted) | told)
    else:
        output.line(
            f"{'made' if made else 'found'} the hub at {where.shown()}; this host is {own.name} "
            f"({own.short})"
        )
        if role is not None:
            output.line(f"{role} {'was made, and ' if role_made else ''}may take part, and no more")


def _matched(conn: "Connection", there: "Hub", store: str, common: str) -> int | None:
    """Find the repository on the hub, or enter it; None, with a word: nothing tells which it is."""
    from prodigy_git.hub import identity, repository_number
    from prodigy_git.record import repokey

    repo = repokey.take(store, common)
    try:
        return repository_number.number(conn, there.id, store, repo, common, within=PATIENCE)
    except identity.Unidentified as error:
        output.note(str(error))
        return None


def _joined(
    where: "Address", there: "Hub", own: "Host", made: bool, noted: str | None
) -> dict[str, Any]:
    return {
        "address": where.shown(), "hub_id": str(there.id), "schema": there.version, "made": made,
        "host_id": str(own.id), "host": own.name, "noted": noted,
    }  # fmt: skip


def _configured(common: str | None) -> "Address":
    from prodigy_git.hub import address

    return address.required(common, os.environ)
