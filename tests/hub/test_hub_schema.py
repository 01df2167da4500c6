"""What the hub stores: made once, whoever makes it; a newer one is refused, an older one named."""

import threading

import pytest
from support_hub import PATIENCE, rows, way

from prodigy_git.errors import Refused
from prodigy_git.hub import connection, schema


def there(url):
    with way(url) as conn, connection.transaction(conn, within=PATIENCE) as tx:
        return schema.there(tx)


def test_it_is_made_once_and_known_again(hub_url):
    with pytest.raises(Refused, match="no hub in this database yet: run 'prodigy-git hub init'"):
        there(hub_url)
    with way(hub_url) as conn:
        hub, made = schema.made(conn)
        assert (made, hub.version) == (True, schema.VERSION)
        assert schema.made(conn) == (hub, False)
    assert there(hub_url) == hub


def test_many_make_one(hub_url):
    found, trouble = [], []
    begin = threading.Barrier(6)

    def make():
        try:
            with way(hub_url) as conn:
                begin.wait(60)
                found.append(schema.made(conn))
        except Exception as error:
            trouble.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert trouble == []
    assert len({hub.id for hub, _ in found}) == 1
    assert [made for _, made in found].count(True) == 1


def test_a_newer_one_is_refused_and_left_alone(hub_url):
    with way(hub_url) as conn:
        schema.made(conn)
        rows(hub_url, "UPDATE prodigy_hub.hub SET version = 99")
        for what in (lambda: schema.made(conn), lambda: there(hub_url)):
            with pytest.raises(Refused, match=r"of version 99, newer than .* install a newer"):
                what()


def test_an_older_one_is_named(hub_url, monkeypatch):
    with way(hub_url) as conn:
        schema.made(conn)
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    with pytest.raises(Refused, match="older than this program's: run 'prodigy-git hub init'"):
        there(hub_url)


def test_a_migration_is_all_or_nothing(hub_url, monkeypatch):
    with way(hub_url) as conn:
        hub, _ = schema.made(conn)
        monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
        monkeypatch.setattr(
            schema, "_sql", lambda _: "CREATE TABLE prodigy_hub.next (n int); SELECT 1/0"
        )
        with pytest.raises(Refused, match="division"):
            schema.made(conn)
        assert rows(hub_url, "SELECT to_regclass('prodigy_hub.next')") == [(None,)]
        monkeypatch.setattr(schema, "_sql", lambda _: "CREATE TABLE prodigy_hub.next (n int)")
        assert schema.made(conn) == (schema.Hub(hub.id, schema.VERSION), True)
    assert there(hub_url) == schema.Hub(hub.id, schema.VERSION)


def test_one_who_may_make_no_schema_uses_one_that_is_there(hub_url, postgres):
    name = hub_url.rpartition("/")[2]
    postgres.role("ada")
    url = postgres.url(name, user="ada")
    with way(url) as conn:
        advice = "hub init URL --role ada', or CREATE SCHEMA prodigy_hub AUTHORIZATION ada$"
        with pytest.raises(Refused, match=advice):
            schema.made(conn)
        postgres.sql("CREATE SCHEMA prodigy_hub AUTHORIZATION ada", database=name)
        assert schema.made(conn)[1]
    assert there(url)


def test_it_is_made_through_pgbouncer(pgbouncer):
    with way(pgbouncer) as conn:
        assert schema.made(conn)[1]
    assert there(pgbouncer)


def test_a_database_that_cannot_hold_all_text_is_refused(postgres):
    postgres.sql("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C' OWNER hub")
    with way(postgres.url("latin")) as conn, pytest.raises(Refused, match="ENCODING 'UTF8'"):
        schema.made(conn)


def test_nothing_depends_on_what_a_user_has_set(hub_url, postgres):
    """A role's defaults reach each session: a search path, an isolation level, a read-only default."""
    postgres.role("ada")
    name = hub_url.rpartition("/")[2]
    postgres.sql(
        f"GRANT CREATE ON DATABASE {name} TO ada",
        "ALTER ROLE ada SET search_path = ''",
        "ALTER ROLE ada SET default_transaction_isolation = 'serializable'",
        "ALTER ROLE ada SET default_transaction_read_only = on",
        "ALTER ROLE ada SET datestyle = 'German'",
    )
    with way(postgres.url(name, user="ada")) as conn:
        assert schema.made(conn)[1]
