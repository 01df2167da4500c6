"""Roles that may only take part: they add to what the hub has, and can take away nothing of it.

What a member can do to others all the same is in docs/reference/hub.md: whoever changes the rights here
changes it there.
"""

from typing import TYPE_CHECKING

from prodigy_git.errors import Refused
from prodigy_git.hub import connection
from prodigy_git.hub.connection import Connection

if TYPE_CHECKING:
    from prodigy_git.hub.driver import Raw

_WITHIN = 30.0
_SCHEMA = "prodigy_hub"

RIGHTS = {
    "hub": "SELECT",
    "host": "SELECT, INSERT,"
    " UPDATE (name, seen_at, left_at, program_version, clock_apart_us, session_seq)",
    "repository": "SELECT, INSERT",
    "repository_name": "SELECT, INSERT",
    "job": "SELECT, INSERT, UPDATE (seq, mark, shared, changed_at)",
    "event": "SELECT, INSERT",
    "shipped": "SELECT, INSERT, UPDATE (size, last_id)",
    "item_file": "SELECT, INSERT",
    "session": "SELECT, INSERT, UPDATE (seq, doc)",
}
"""What a member may do with each table. An UPDATE has columns: events and items are never rewritten."""


def granted(conn: Connection, name: str) -> bool:
    """Let a role take part, and no more, making it where there is none; return whether it was made.

    It gets no password here: that would stand in the command. Raises `Refused` where this user may not
    make roles or does not own the tables, and for a role that could do more whatever it is granted:
    one that owns the tables, or a superuser. `Away`.
    """
    from prodigy_git.hub.driver import sql

    with connection.transaction(conn, within=_WITHIN) as tx:
        made = not _is_known(tx, name)
        if made:
            row = tx.execute(
                "SELECT rolcreaterole OR rolsuper, rolname FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
            assert row is not None
            if not row[0]:
                raise Refused(
                    f"{row[1]} may make no roles on the hub: have somebody who may run "
                    f"'CREATE ROLE {name} LOGIN' there, then call this again"
                )
            tx.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        else:
            _check(tx, name)
        _grant(tx, name)
    return made


def granted_again(tx: "Raw") -> None:
    """Give every member the rights that this version has; for who has changed the tables."""
    rows = tx.execute(
        "SELECT DISTINCT grantee.rolname FROM pg_class c, aclexplode(c.relacl) a, pg_roles grantee"
        " WHERE c.oid = 'prodigy_hub.event'::regclass AND a.privilege_type = 'INSERT'"
        " AND grantee.oid = a.grantee AND a.grantee <> c.relowner ORDER BY 1"
    ).fetchall()
    for (name,) in rows:
        _grant(tx, name)


def _is_known(tx: "Raw", name: str) -> bool:
    return tx.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone() is not None


def _check(tx: "Raw", name: str) -> None:
    row = tx.execute(
        "SELECT r.rolsuper, pg_has_role(r.oid, c.relowner, 'MEMBER')"
        " FROM pg_roles r, pg_class c WHERE r.rolname = %s AND c.oid = 'prodigy_hub.hub'::regclass",
        (name,),
    ).fetchone()
    assert row is not None
    if row[0] or row[1]:
        what = "is a superuser" if row[0] else "owns the hub's tables"
        raise Refused(f"{name} {what}, and can do more than take part: name another role")


def _grant(tx: "Raw", name: str) -> None:
    from prodigy_git.hub.driver import sql

    role = sql.Identifier(name)

    def run(command: str, **parts: sql.Composable) -> None:
        tx.execute(sql.SQL(command).format(role=role, **parts))

    database = tx.execute(
        "SELECT current_database(), has_database_privilege(%s, current_database(), 'CONNECT')",
        (name,),
    ).fetchone()
    assert database is not None
    if not database[1]:
        run("GRANT CONNECT ON DATABASE {name} TO {role}", name=sql.Identifier(database[0]))
    # What an earlier version gave, and this one does not, is taken first. With the table's rights go
    # those on its columns (PostgreSQL's manual, REVOKE).
    run("REVOKE ALL ON ALL TABLES IN SCHEMA prodigy_hub FROM {role}")
    run("REVOKE ALL ON SCHEMA prodigy_hub FROM {role}")
    run("GRANT USAGE ON SCHEMA prodigy_hub TO {role}")
    for table, rights in RIGHTS.items():
        run(
            "GRANT {rights} ON {table} TO {role}",
            rights=sql.SQL(rights),
            table=sql.Identifier(_SCHEMA, table),
        )
