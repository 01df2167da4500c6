"""What the hub stores: its tables, made and brought to this program's version under a lock."""

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prodigy_git.errors import Refused
from prodigy_git.hub import connection, members
from prodigy_git.hub.connection import Connection

if TYPE_CHECKING:
    from prodigy_git.hub.driver import Raw

VERSION = 1
"""The version that this program works with: the number of the last file ``schema-N.sql``."""
SCHEMA = "prodigy_hub"
_LOCK = 0x70726F64696779  # "prodigy": whoever makes or changes the tables holds it
_WITHIN = 60.0
_RUN_INIT = "run 'prodigy-git hub init'"


@dataclass(frozen=True)
class Hub:
    """Which hub a database holds: a new database, or one from before a loss, is another one."""

    id: uuid.UUID
    version: int


def there(tx: "Raw") -> Hub:
    """Return the hub, as this transaction sees it.

    Raises `Refused` where there is none, or where it is of a version that is not this program's.
    """
    found = _found(tx)
    if found is None:
        raise Refused(f"there is no hub in this database yet: {_RUN_INIT}")
    if found.version < VERSION:
        raise Refused(
            f"the hub's tables are of version {found.version}, older than this program's: {_RUN_INIT}"
        )
    return found


def made(conn: Connection) -> tuple[Hub, bool]:
    """Make the hub's tables, or bring them to this version; return the hub, and whether anything was
    done.

    Whoever else does so meanwhile is waited for. Where this user may not make a schema, one that is
    there and empty does. Raises `Away`, `Refused`.
    """
    with connection.transaction(conn, within=_WITHIN) as tx:
        tx.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        found = _found(tx)
        if found is not None and found.version == VERSION:
            return found, False
        if found is None:
            _check_encoding(tx)
            if not _is_there(tx, "to_regnamespace", SCHEMA):
                _make_schema(tx)
        for version in range(1 if found is None else found.version + 1, VERSION + 1):
            tx.execute(_sql(version))
        if found is None:
            found = Hub(uuid.uuid4(), VERSION)
            tx.execute(
                "INSERT INTO prodigy_hub.hub (id, version) VALUES (%s, %s)", (found.id, VERSION)
            )
        else:
            tx.execute("UPDATE prodigy_hub.hub SET version = %s", (VERSION,))
            members.granted_again(tx)
        return Hub(found.id, VERSION), True


def _found(tx: "Raw") -> Hub | None:
    if not _is_there(tx, "to_regclass", f"{SCHEMA}.hub"):
        return None
    row = tx.execute("SELECT id, version FROM prodigy_hub.hub").fetchone()
    if row is None:
        raise Refused(
            "the hub's table 'hub' has lost its row: restore the database, or drop "
            "the schema prodigy_hub"
        )
    found = Hub(row[0], row[1])
    if found.version > VERSION:
        raise Refused(
            f"the hub's tables are of version {found.version}, newer than this program's {VERSION}: "
            "install a newer prodigy-git"
        )
    return found


def _make_schema(tx: "Raw") -> None:
    row = tx.execute(
        "SELECT has_database_privilege(current_database(), 'CREATE'), current_user"
    ).fetchone()
    assert row is not None
    if not row[0]:
        raise Refused(
            f"{row[1]} may make no tables in the hub's database: have its owner run "
            f"'prodigy-git hub init URL --role {row[1]}', or CREATE SCHEMA {SCHEMA} AUTHORIZATION "
            f"{row[1]}"
        )
    tx.execute(f"CREATE SCHEMA {SCHEMA}")


def _is_there(tx: "Raw", function: str, name: str) -> bool:
    row = tx.execute(f"SELECT {function}(%s) IS NOT NULL", (name,)).fetchone()
    return row is not None and bool(row[0])


def _check_encoding(tx: "Raw") -> None:
    row = tx.execute("SHOW server_encoding").fetchone()
    if row is None or row[0] != "UTF8":
        raise Refused(f"the hub's database is in {row and row[0]}: make one with ENCODING 'UTF8'")


def _sql(version: int) -> str:
    from importlib import resources  # which imports a lot, and a step makes no tables

    return resources.files("prodigy_git.hub").joinpath(f"schema-{version}.sql").read_text("utf-8")
