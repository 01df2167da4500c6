"""Drawn sequences of recording, kills, archives and backups: each event is on each host once."""

import contextlib
import itertools
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support_hub import rows
from support_hub_stores import Store, new_hub, on_hub

from prodigy_git.cleanup.records import by_age
from prodigy_git.hub import shipping

TABLES = ("hub", "job", "event", "shipped")
HOSTS = 3
_numbers = itertools.count()

_host = st.integers(0, HOSTS - 1)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("record"), _host, st.integers(1, 3)),
        st.tuples(st.just("ship"), _host, st.none()),
        st.tuples(st.just("pull"), _host, st.none()),
        st.tuples(st.just("killed"), _host, st.integers(0, 90)),
        st.tuples(st.just("archive"), _host, st.none()),
        st.tuples(st.just("rotate"), _host, st.none()),
        st.tuples(st.just("back up store"), _host, st.none()),
        st.tuples(st.just("restore store"), _host, st.none()),
        st.tuples(st.just("back up hub"), st.just(0), st.none()),
        st.tuples(st.just("restore hub"), st.just(0), st.none()),
        st.tuples(st.just("replace hub"), st.just(0), st.none()),
        st.tuples(st.just("let old ones go"), st.just(0), st.integers(1, 5)),
    ),
    min_size=5,
    max_size=25,
)


@pytest.fixture(scope="module")
def hub(postgres_of_all):
    url = postgres_of_all.url(postgres_of_all.database())
    number = new_hub(url)
    yield url, number
    postgres_of_all.clean()


class World:
    """Three hosts and a hub, with the backups that were made of them."""

    def __init__(self, folder, hub):
        self.url, number = hub
        self.folder = folder
        rows(
            self.url,
            *(f"TRUNCATE prodigy_hub.{one}" for one in ("event", "shipped", "host")),
            "DELETE FROM prodigy_hub.job",
            "UPDATE prodigy_hub.hub SET id = gen_random_uuid()",
            "DROP SCHEMA IF EXISTS kept CASCADE",
        )
        self.stores = [Store(folder / str(n), self.url, number) for n in range(HOSTS)]
        self.recorded = set()
        self.has_backup = self.has_let_go = False

    def step(self, what, host, more):
        one = self.stores[host]
        copy = self.folder / f"copy-{host}"
        match what:
            case "record":
                self.recorded.update(one.record(*map(str, range(more))))
            case "ship":
                with contextlib.suppress(shipping.Copied):
                    one.ship()
            case "pull":
                one.pull()
            case "killed":
                one.sync_killed(more)
            case "archive" if one.folder.is_dir():
                found = by_age.find(str(one.path), {"events": 1 << 60}, print, archiving=True)
                by_age.carry_out(str(one.path), found, print)
            case "rotate":
                for path in one.folder.glob("events-????????.jsonl"):
                    path.rename(path.with_name(f"{path.name}.{next(_numbers)}.jsonl.rotated"))
            case "back up store" if one.path.is_dir():
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(one.path, copy)
            case "restore store" if copy.is_dir():
                shutil.rmtree(one.path)
                shutil.copytree(copy, one.path)
            case "back up hub":
                rows(
                    self.url, "DROP SCHEMA IF EXISTS kept CASCADE", "CREATE SCHEMA kept",
                    *(f"CREATE TABLE kept.{t} AS TABLE prodigy_hub.{t}" for t in TABLES),
                )  # fmt: skip
                self.has_backup = True
            case "restore hub" if self.has_backup:
                rows(
                    self.url,
                    *(
                        command for t in TABLES for command in (
                            f"DELETE FROM prodigy_hub.{t}",
                            f"INSERT INTO prodigy_hub.{t} OVERRIDING SYSTEM VALUE TABLE kept.{t}",
                        )
                    ),
                )  # fmt: skip
            case "let old ones go":
                rows(self.url, f"DELETE FROM prodigy_hub.event WHERE seq <= {more}")
                self.has_let_go = True
            case "replace hub":
                rows(
                    self.url, *(f"DELETE FROM prodigy_hub.{t}" for t in TABLES if t != "hub"),
                    "UPDATE prodigy_hub.hub SET id = gen_random_uuid()",
                )  # fmt: skip

    def everything(self):
        there = {one for _, one in on_hub(self.url)}
        return there.union(*(one.ids() for one in self.stores if one.folder.is_dir()))


@settings(
    max_examples=60, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(steps=_steps)
def test_each_event_is_on_each_host_once(hub, tmp_path, steps):
    world = World(tmp_path / str(next(_numbers)), hub)
    for step in steps:
        world.step(*step)
    wanted = sorted(world.everything())
    if not any(what == "restore store" for what, _, _ in steps):
        assert wanted == sorted(world.recorded)
    for _ in range(
        2
    ):  # what a host gives back to the hub goes to those before it in a second round
        for one in world.stores:
            one.sync()
    if world.has_let_go:
        for one in world.stores:
            assert len(one.ids()) == len(set(one.ids()))
        assert set(wanted) == world.everything()
    elif wanted:
        for one in world.stores:
            assert one.ids() == wanted
        assert sorted(one for _, one in on_hub(world.url)) == wanted
        assert [seq for seq, _ in on_hub(world.url)] == list(range(1, len(wanted) + 1))
    shutil.rmtree(world.folder, ignore_errors=True)
