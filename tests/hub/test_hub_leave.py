"""hub leave: what is not told goes first, what is held is given back, and all that is here stays."""

import json

import pytest
from support_hub import rows
from support_json_documented import COMMANDS, SHAPES, wrong

ITEMS = '{"id": "a"}\n{"id": "b"}\n'


@pytest.fixture
def host(new_host, postgres, hub_url):
    """Have a host that takes part in a hub, and has something to tell."""
    made = new_host("one", to=postgres.port)
    made.ok("hub", "init", hub_url.replace(f":{postgres.port}/", f":{made.wire.port}/"))
    made.run("new-worktree", "w", "--job", "plain")
    return made


def left(hub_url):
    return rows(hub_url, "SELECT left_at IS NOT NULL FROM prodigy_hub.host")


def told(hub_url):
    return rows(
        hub_url,
        "SELECT count(*) FROM prodigy_hub.event e JOIN prodigy_hub.job j ON j.id = e.job"
        " WHERE j.name = 'plain'",
    )[0][0]


def shared(host):
    """Open a job on the hub, and have an agent work on an item of it."""
    (host.folder / "items").write_text(ITEMS)
    host.run("job", "start", "J", "--hub", "--items", host.folder / "items")
    return host.run("job", "next", "J", "--agent", "ada", "--lease", "10m").json


def test_what_is_left_is_told_and_the_hub_is_left(host, hub_url):
    before = sorted(host.store.glob("events/*/plain/*"))
    done = host.ok("hub", "leave")
    seen = set()
    assert wrong(done, COMMANDS["hub leave"], "hub leave", seen) == []
    assert (done["shipped"] > 0, done["host_left"], done["error"]) == (True, True, None)
    assert told(hub_url) == done["shipped"]
    assert left(hub_url) == [(True,)]
    assert host.git("config", "prodigy.hub", check=False) == ""
    assert sorted(host.store.glob("events/*/plain/*")) == before
    assert "no hub is configured" in host.run("hub", "leave", check=False).err
    assert host.run("job", "list").code == 0


def test_it_is_taken_back_by_taking_part_again(host, hub_url):
    url = host.git("config", "prodigy.hub")
    first = host.ok("hub", "leave")
    again = host.ok("hub", "init", url)
    assert left(hub_url) == [(False,)]
    assert again["made"] is False
    assert host.ok("hub", "leave")["shipped"] == 0
    assert told(hub_url) == first["shipped"]


def test_while_agents_hold_items_it_refuses_and_force_gives_them_back(host, hub_url):
    claim = shared(host)
    done = host.run("hub", "leave", check=False)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert f"such as {claim['item_id']} of J" in done.err
    assert "'prodigy-git stop --job J' ends those of run, 'job done' others" in done.err
    assert host.git("config", "prodigy.hub")
    assert left(hub_url) == [(False,)]
    done = host.ok("hub", "leave", "--force")
    seen = set()
    assert wrong(done, COMMANDS["hub leave"], "hub leave", seen) == []
    assert {key for name, key in seen if name == "hub-left"} == set(SHAPES["hub-left"])
    assert done["given_back"] == [{"job_id": "J", "item_id": claim["item_id"]}]
    lines = rows(hub_url, "SELECT line FROM prodigy_hub.event WHERE step ORDER BY seq")
    assert json.loads(lines[-1][0])["type"] == "ClaimReleased"


def test_an_item_that_was_ended_keeps_nobody(host):
    claim = shared(host)
    host.run("job", "done", "J", claim["item_id"])
    assert host.ok("hub", "leave")["given_back"] == []


def test_another_hosts_claims_are_left_alone(host, new_host, postgres, hub_url):
    shared(host)
    other = new_host("two", to=postgres.port)
    other.ok("hub", "init", hub_url)
    claim = other.run("job", "next", "J", "--agent", "bob", "--lease", "10m").json
    done = host.ok("hub", "leave", "--force")
    assert [one["item_id"] for one in done["given_back"]] == [
        next(name for name in ("a", "b") if name != claim["item_id"])
    ]


def test_a_hub_that_is_away_is_left_by_force_alone(host, hub_url):
    host.wire.drop()
    done = host.run("hub", "leave", check=False)
    assert (done.code, "is not reached" in done.err) == (6, True)
    assert done.err.endswith(": --force leaves it untold\n")
    assert host.git("config", "prodigy.hub")
    done = host.run("hub", "leave", "--force", "--json")
    assert "is not reached" in done.json["error"]
    assert (done.json["host_left"], done.json["shipped"]) == (False, 0)
    assert "stays here" in done.err
    assert host.git("config", "prodigy.hub", check=False) == ""
    assert left(hub_url) == [(False,)]


def test_a_users_own_hub_is_switched_off_for_this_repository(host, hub_url):
    url = host.git("config", "prodigy.hub")
    host.git("config", "--global", "prodigy.hub", url)
    host.ok("hub", "leave")
    assert host.git("config", "prodigy.hub") == ""
    assert host.git("config", "--global", "prodigy.hub") == url
    assert "no hub is configured" in host.run("hub", "status", check=False).err
    host.ok("hub", "init", url)
    assert host.ok("hub", "status")["reached"] is True


def test_a_host_whose_other_repositories_stay_has_not_left(host, hub_url):
    url = host.git("config", "prodigy.hub")
    second = host.folder / "second"
    host.git("init", "-q", second)
    host.git("commit", "-q", "--allow-empty", "-m", "Start", cwd=second)
    host.run("hub", "init", url, cwd=second)
    assert host.ok("hub", "leave")["host_left"] is False
    assert left(hub_url) == [(False,)]
    assert host.ok("hub", "leave", cwd=second)["host_left"] is True


def test_one_in_the_environment_is_named(host):
    done = host.run("hub", "leave", PRODIGY_HUB=host.git("config", "prodigy.hub"))
    assert "PRODIGY_HUB is set, and still names a hub: unset it" in done.err
