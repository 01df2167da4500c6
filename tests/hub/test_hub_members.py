"""A role that may only take part: all that a host does, and nothing that harms what is there."""

import json
import uuid
from pathlib import Path

import psycopg
import pytest
from support_cli import call
from support_hub import PATIENCE, rows, way

from prodigy_git.errors import Refused
from prodigy_git.hub import connection, host, members, schema

ID = uuid.UUID(int=1)


@pytest.fixture
def member(hub_url, postgres):
    """Return the address of a hub for a member of it."""
    with way(hub_url) as conn:
        schema.made(conn)
        assert members.granted(conn, "ada") is True
    return postgres.url(hub_url.rpartition("/")[2], user="ada")


TAKES_PART = [
    "INSERT INTO prodigy_hub.repository (label) VALUES ('r') RETURNING id",
    "INSERT INTO prodigy_hub.repository_name VALUES ('url:x', 1) ON CONFLICT DO NOTHING",
    "INSERT INTO prodigy_hub.job (repository, name) VALUES (1, 'j') ON CONFLICT DO NOTHING",
    "SELECT h.id, j.seq FROM prodigy_hub.hub h, prodigy_hub.job j WHERE j.id = 1 FOR UPDATE OF j",
    "UPDATE prodigy_hub.job SET seq = 1, mark = 7, shared = true, changed_at = now() WHERE id = 1",
    f"INSERT INTO prodigy_hub.event VALUES (1, 1, 7, '{ID}', true, '{ID}', now(), '{{}}')"
    " ON CONFLICT DO NOTHING",
    f"INSERT INTO prodigy_hub.shipped AS s VALUES ('{ID}', 1, 'f', 1, '{ID}')"
    " ON CONFLICT (host, job, file) DO UPDATE SET size = excluded.size, last_id = excluded.last_id",
    "INSERT INTO prodigy_hub.item_file VALUES (1, 'items.jsonl', 0, '\\x00') ON CONFLICT DO NOTHING",
    f"INSERT INTO prodigy_hub.session VALUES (1, '{ID}', 's', 1, '{{}}')"
    " ON CONFLICT (repository, host, id) DO UPDATE SET seq = excluded.seq, doc = excluded.doc",
    "SELECT pg_notify('prodigy_hub', '1')",
    "LISTEN prodigy_hub",
    "SELECT * FROM prodigy_hub.event",
]  # fmt: skip

HARMS = [
    *(
        f"{what} prodigy_hub.{table}"
        for table in members.RIGHTS
        for what in ("DELETE FROM", "TRUNCATE", "DROP TABLE")
    ),
    "DROP SCHEMA prodigy_hub CASCADE",
    "CREATE TABLE prodigy_hub.mine (n int)",
    "ALTER TABLE prodigy_hub.event ADD COLUMN n int",
    "UPDATE prodigy_hub.event SET line = 'x'",
    "UPDATE prodigy_hub.event SET seq = seq + 1",
    "UPDATE prodigy_hub.item_file SET body = ''",
    "UPDATE prodigy_hub.hub SET version = 99",
    "UPDATE prodigy_hub.host SET id = gen_random_uuid()",
    "UPDATE prodigy_hub.job SET name = 'other'",
    "UPDATE prodigy_hub.repository SET label = 'x'",
    "UPDATE prodigy_hub.repository_name SET repository = 2",
    "UPDATE prodigy_hub.session SET host = gen_random_uuid()",
    "INSERT INTO prodigy_hub.hub (id, version) VALUES (gen_random_uuid(), 1)",
    "CREATE RULE r AS ON INSERT TO prodigy_hub.event DO INSTEAD NOTHING",
    "CREATE ROLE another",
]  # fmt: skip


def test_a_member_can_do_all_that_taking_part_is(member, tmp_path):
    with way(member) as conn:
        hub, made = schema.made(conn)  # as `hub init` does
        assert not made
        own = host.own(str(tmp_path))
        with connection.transaction(conn, within=PATIENCE) as tx:
            host.joined(tx, own)
            host.sign_of_life(tx, own)
            host.note_all(tx, str(tmp_path), hub.id)
    for _ in range(2):
        rows(member, *TAKES_PART)


def test_a_member_can_harm_nothing(member):
    rows(member, *TAKES_PART)
    with psycopg.connect(member, autocommit=True) as raw:
        for command in HARMS:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                raw.execute(command)


def test_hosts_work_on_a_job_as_members(member, new_host, hub_url, postgres):
    """Not one command needs more than a member may: neither by itself nor through PgBouncer."""
    one, two = new_host("one"), new_host("two")
    (one.folder / "items").write_text('{"id": "a"}\n{"id": "b"}\n')
    with postgres.bouncer() as port:
        one.ok("hub", "init", member)
        two.ok("hub", "init", member.replace(f":{postgres.port}/", f":{port}/"))
        one.run("job", "start", "J", "--hub", "--items", one.folder / "items")
        for host, agent in ((one, "ada"), (two, "bob")):
            host.run("new-worktree", f"of-{agent}", "--job", "plain")
            claim = host.run("job", "next", "J", "--agent", agent, "--lease", "10m").json
            host.run("job", "renew", "J", claim["item_id"], "--agent", agent, "--lease", "20m")
            host.run("job", "done", "J", claim["item_id"])
        two.run("job", "pause", "J")
        two.run("job", "resume", "J")
        one.run("job", "finish", "J")
        for host in (one, two, one):
            host.ok("hub", "sync")
        assert one.ok("job", "show", "J")["status"] == two.ok("job", "show", "J")["status"]
        for host in (one, two):
            assert host.ok("hub", "verify")["jobs"]
            assert host.ok("hub", "status")["unshipped"] == []
            assert host.ok("hub", "leave")["host_left"] is True
    assert rows(hub_url, "SELECT count(*) FROM prodigy_hub.host WHERE left_at IS NOT NULL") == [
        (2,)
    ]


def test_a_counter_that_was_set_wrongly_is_set_right_by_what_the_docs_say(
    member, new_host, hub_url
):
    page = (Path(__file__).parents[2] / "docs" / "reference" / "hub.md").read_text()
    mend = page.partition("```sql\nUPDATE")[2].partition("```")[0]
    host = new_host("one")
    (host.folder / "items").write_text('{"id": "a"}\n{"id": "b"}\n{"id": "c"}\n')
    host.ok("hub", "init", member)
    host.run("job", "start", "J", "--hub", "--items", host.folder / "items")
    for wrong in ("seq = 0, mark = 1", f"seq = {2**63 - 1}, mark = 1"):
        rows(member, f"UPDATE prodigy_hub.job SET {wrong}")
        done = host.run("job", "next", "J", "--agent", "ada", "--lease", "10m", check=False)
        assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
        rows(hub_url, f"UPDATE{mend}".rstrip().rstrip(";"))
        host.run("job", "next", "J", "--agent", "ada", "--lease", "10m")
    # A mark alone is mended by whatever is added next.
    rows(member, "UPDATE prodigy_hub.job SET mark = 1")
    host.run("hub", "sync", check=False)
    rows(hub_url, f"UPDATE{mend}".rstrip().rstrip(";"))
    host.run("job", "next", "J", "--agent", "ada", "--lease", "10m")
    assert host.ok("job", "show", "J")["in_progress"] == 3


def test_what_an_earlier_version_gave_is_taken_back(hub_url, member):
    rows(
        hub_url, "GRANT ALL ON ALL TABLES IN SCHEMA prodigy_hub TO ada",
        "GRANT UPDATE (line) ON prodigy_hub.event TO ada", "GRANT CREATE ON SCHEMA prodigy_hub TO ada",
    )  # fmt: skip
    with way(hub_url) as conn:
        assert members.granted(conn, "ada") is False
    test_a_member_can_harm_nothing(member)


def test_a_migration_gives_members_what_the_new_tables_need(hub_url, member, monkeypatch):
    monkeypatch.setattr(schema, "VERSION", 2)
    monkeypatch.setattr(schema, "_sql", lambda _: "CREATE TABLE prodigy_hub.next (n int)")
    monkeypatch.setitem(members.RIGHTS, "next", "SELECT")
    with way(member) as conn, pytest.raises(Refused, match="does not let this user do that"):
        schema.made(conn)
    with way(hub_url) as conn:
        schema.made(conn)
    assert rows(member, "SELECT * FROM prodigy_hub.next") == []


def test_a_role_that_could_do_more_is_refused(hub_url, postgres):
    with way(hub_url) as conn:
        schema.made(conn)
        postgres.sql("CREATE ROLE chief LOGIN", "GRANT hub TO chief")
        for name, why in (("postgres", "is a superuser"), ("hub", "owns"), ("chief", "owns")):
            with pytest.raises(Refused, match=why):
                members.granted(conn, name)


def test_who_may_make_no_roles_is_told_what_to_do(hub_url, postgres):
    postgres.role("owner")
    name = hub_url.rpartition("/")[2]
    postgres.sql(f"GRANT CREATE ON DATABASE {name} TO owner")
    with way(postgres.url(name, user="owner")) as conn:
        schema.made(conn)
        with pytest.raises(Refused, match="may make no roles on the hub: have somebody"):
            members.granted(conn, "ada")
        postgres.role("ada")
        assert members.granted(conn, "ada") is False


def test_any_name_is_one(hub_url, repo, postgres):
    for name in ('a"; DROP SCHEMA prodigy_hub; --', "Grüße", "select"):
        done = call("hub", "init", hub_url, "--role", name, "--json", cwd=repo)
        assert done.code == 0, done.err
        assert json.loads(done.out)["role_made"] is True
        url = (
            f"host=127.0.0.1 port={postgres.port} dbname={hub_url.rpartition('/')[2]} user='{name}'"
        )
        assert rows(url, "SELECT current_user") == [(name,)]


def test_a_database_that_lets_nobody_in_lets_members_in(hub_url, postgres):
    postgres.sql(f"REVOKE CONNECT ON DATABASE {hub_url.rpartition('/')[2]} FROM PUBLIC")
    with way(hub_url) as conn:
        schema.made(conn)
        members.granted(conn, "ada")
    url = postgres.url(hub_url.rpartition("/")[2], user="ada")
    assert rows(url, "SELECT current_user") == [("ada",)]
