"""A hub, or a store, that was restored from a backup, replaced by an empty one, or copied."""

import shutil

import pytest
from support_hub import rows
from support_hub_stores import Store, new_hub, on_hub

from prodigy_git.hub import host


@pytest.fixture
def three(hub_url, tmp_path):
    number = new_hub(hub_url)
    return [Store(tmp_path / name, hub_url, number) for name in ("a", "b", "c")]


def sync_all(stores):
    """Let all hosts sync until nothing moves."""
    while sum(sum(one.sync()) for one in stores):
        pass


def rolled_back(url, seq):
    """Take the hub back to when the only job's stream ended with ``seq``, as a backup does."""
    rows(
        url,
        f"DELETE FROM prodigy_hub.event WHERE seq > {seq}",
        "UPDATE prodigy_hub.job SET (seq, mark) ="
        " (SELECT seq, mark FROM prodigy_hub.event ORDER BY seq DESC LIMIT 1)",
    )


@pytest.mark.parametrize("grown", [0, 1, 5])
def test_a_hub_from_yesterday_gets_everything_back_once(three, hub_url, grown):
    a, b, c = three
    a.record("a1", "a2")
    b.record("b1")
    sync_all((a, b))
    kept = rows(hub_url, "TABLE prodigy_hub.shipped")
    seq = on_hub(hub_url)[-1][0]
    a.record("a3")
    b.record("b2")
    sync_all((a, b))
    rolled_back(hub_url, seq)
    rows(hub_url, "DELETE FROM prodigy_hub.shipped")
    for who, job, file, size, last in kept:
        rows(
            hub_url,
            f"INSERT INTO prodigy_hub.shipped VALUES ('{who}', {job}, '{file}', {size}, '{last}')",
        )
    # It may have grown beyond what hosts know of it, before any of them looks.
    ids = c.record(*(f"c{n}" for n in range(grown))) if grown else []
    if grown:
        c.ship()
    sync_all(three)
    wanted = sorted({*a.ids(), *ids})
    assert len(wanted) == 5 + grown
    assert a.ids() == b.ids() == c.ids() == wanted
    assert sorted(one for _, one in on_hub(hub_url)) == wanted
    assert not any(one.cursor()["again"] or one.cursor()["offer"] for one in three)


def test_an_empty_hub_gets_everything_back_also_of_a_host_that_is_gone(three, hub_url, postgres):
    a, b, c = three
    a.record("a1", "a2")
    sync_all(three)
    b.record("b1")
    sync_all(three)
    wanted = a.ids()
    shutil.rmtree(a.path)
    url = postgres.url(postgres.database())
    number = new_hub(url)
    for one in (b, c):
        one.url, one.repository = url, number
    sync_all((b, c))
    assert b.ids() == c.ids() == wanted
    assert sorted(one for _, one in on_hub(url)) == wanted
    hosts = {str(who) for (who,) in rows(url, "SELECT DISTINCT host FROM prodigy_hub.event")}
    assert len(hosts) == 2  # the one that is gone keeps what was its


def test_a_store_from_yesterday_is_another_host_and_has_everything_again(three, hub_url, tmp_path):
    a, b, c = three
    a.record("a1")
    sync_all(three)
    shutil.copytree(a.path, tmp_path / "yesterday")
    a.record("a2", "a3")
    b.record("b1")
    sync_all(three)
    wanted = a.ids()
    old = host.own(str(a.path))
    shutil.rmtree(a.path)
    (tmp_path / "yesterday").rename(a.path)
    late = a.record("a4")
    sync_all(three)
    assert host.own(str(a.path)).earlier == (old.id,)
    wanted = sorted({*wanted, *late})
    assert a.ids() == b.ids() == c.ids() == wanted
    assert sorted(one for _, one in on_hub(hub_url)) == wanted


def test_a_copy_beside_its_original_is_another_host(three, hub_url, tmp_path):
    a, b, _ = three
    a.record("a1")
    sync_all((a, b))
    shutil.copytree(a.path, tmp_path / "copy")
    copy = Store(tmp_path / "copy", hub_url, a.repository)
    a.record("of the first", "and more")
    sync_all((a, b))
    copy.record("of the second")
    sync_all((a, b, copy))
    sync_all((a, b, copy))
    assert host.own(str(copy.path)).id != host.own(str(a.path)).id
    assert a.ids() == b.ids() == copy.ids()
    assert len(a.ids()) == 4


def test_what_was_cleaned_here_does_not_come_back(three, hub_url):
    from prodigy_git.cleanup.records import by_age

    a, b, _ = three
    a.record("old")
    b.record("old too")
    sync_all((a, b))
    said = []
    by_age.clean_events(str(b.path), -10_000_000, dry_run=False, broken=said.append)
    assert said == []
    assert b.ids() == []
    a.record("new")
    sync_all((a, b))
    assert b.words() == ["new"]
    assert host.own(str(b.path)).earlier == ()
    rolled_back(hub_url, 2)
    sync_all((a, b))
    assert b.words() == ["new"]
    assert len(a.ids()) == 3


def test_archives_stand_for_their_files(three, hub_url):
    from prodigy_git.cleanup.records import by_age

    a, b, c = three
    a.record("a1", "a2")
    b.record("b1")
    sync_all((a, b))
    for one in (a, b):
        found = by_age.find(str(one.path), {"events": 1 << 60}, one.said.append, archiving=True)
        done = by_age.carry_out(str(one.path), found, one.said.append)
        assert [record.error for record in done] == [None, None]
        assert all(name.endswith(".gz") for name in [p.name for p in one.folder.iterdir()])
    assert a.sync() == b.sync() == (0, 0)
    a.record("a3")
    sync_all(three)
    assert a.ids() == b.ids() == c.ids()
    assert len(a.ids()) == 4
    rolled_back(hub_url, 1)
    rows(hub_url, "DELETE FROM prodigy_hub.shipped")
    sync_all(three)
    assert a.ids() == b.ids() == c.ids() == sorted(one for _, one in on_hub(hub_url))
    assert len(a.ids()) == 4
    assert host.own(str(a.path)).earlier == ()
