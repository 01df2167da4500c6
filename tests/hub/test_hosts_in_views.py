"""What three real hosts see of each other, by way of a real server."""

import json
import time
from pathlib import Path

import pytest


@pytest.fixture
def three(new_host, hub_url, postgres, tmp_path):
    """Hosts with a shared job of six items; beta and gamma work on one each, in worktrees."""
    items = tmp_path / "items.json"
    items.write_text(json.dumps([{"id": f"i{n}"} for n in range(6)]))
    hosts = [new_host(name) for name in ("alpha", "beta", "gamma")]
    for one in hosts:
        one.ok("hub", "init", hub_url)
        one.run("install")
    alpha, beta, gamma = hosts
    alpha.run("job", "start", "review", "--hub", "--items", items)
    for one in (beta, gamma):
        one.run("hub", "sync")
        lease = "1s" if one is gamma else "1h"
        claim = json.loads(one.run(
            "job", "next", "review", "--agent", f"of-{one.name}", "--lease", lease
        ).out)  # fmt: skip
        made = Path(one.run(
            "new-worktree", f"work-{one.name}", "--job", "review", "--agent", f"of-{one.name}",
            "--item", claim["item_id"],
        ).out.strip())  # fmt: skip
        (made / one.name).write_text("done\n")
        one.git("add", ".", cwd=made)
        one.git("commit", "-q", "-m", f"By {one.name}", cwd=made)
        one.run("hub", "sync")
    return hosts


def of(host, *arguments):
    (found,) = host.ok("status", *arguments)["repositories"]
    return {one["agent_id"]: one for one in found["agents"]}, found


def test_each_sees_the_others_and_what_the_gone_one_had_is_given_back(three, postgres, hub_url):
    alpha, beta, gamma = three
    database = hub_url.rpartition("/")[2]
    postgres.sql(
        "UPDATE prodigy_hub.host SET seen_at = seen_at - interval '2 hours' WHERE name = 'gamma'",
        database=database,
    )
    until = time.monotonic() + 60
    while True:  # a lease of a second is over
        alpha.run("hub", "sync")
        agents, found = of(alpha)
        if agents["of-gamma"]["state"] == "dead":
            break
        assert time.monotonic() < until, agents
    assert {name: (one["host"], one["state"]) for name, one in agents.items()} == {
        "of-beta": ("beta", "running"), "of-gamma": ("gamma", "dead"),
    }  # fmt: skip
    assert agents["of-beta"]["session_id"] == "work-beta"
    assert agents["of-beta"]["commits"] == 1
    assert agents["of-beta"]["worktree"] is None
    hosts = {one["host"]: one for one in found["hosts"]}
    assert (hosts["gamma"]["gone"], hosts["beta"]["gone"]) == (True, False)
    assert hosts["gamma"]["in_progress"] == {"review": 1}
    (todo,) = [one for one in found["advice"] if "gamma" in one["what"]]
    assert todo["commands"] == ["prodigy-git resume review"]
    lines = [line.split("\t") for line in alpha.run("status").out.splitlines()]
    assert {line[2]: line[4] for line in lines if line[0] == "host"} == {
        "beta": "seen", "gamma": "gone",
    }  # fmt: skip
    # On another host than whose it was, and than who looked.
    given = beta.ok("resume", "review")
    assert [one["agent_id"] for one in given["released"]] == ["of-gamma"]
    for one in three:
        one.run("hub", "sync")
    assert of(alpha)[0]["of-gamma"]["state"] == "retrying"
    own, _ = of(gamma)
    assert own["of-gamma"]["host"] == "gamma"
    shows = [one.ok("job", "show", "review") for one in three]
    assert shows[0]["in_progress"] == shows[1]["in_progress"] == shows[2]["in_progress"] == 1


def test_nothing_that_came_makes_anything_of_ones_own(three):
    alpha, beta, _ = three
    alpha.run("hub", "sync")
    assert not (alpha.store / "sessions" / "work-beta.json").exists()
    listed = {one["session_id"]: one["host"] for one in alpha.ok("sessions", "list")}
    assert listed.items() >= {"work-beta": "beta", "work-gamma": "gamma"}.items()
    for arguments in (
        ("clean", "--older-than", "0d", "--yes"), ("worktree", "clean", "--all"),
        ("verify", "--all"), ("doctor",),
    ):  # fmt: skip
        done = alpha.run(*arguments, check=False)
        assert "work-beta" not in done.out + done.err, done
    done = alpha.run("finish", "work-beta", check=False)
    assert "session work-beta is on host beta" in done.err
    assert (beta.store / "worktrees" / beta.clone.name / "work-beta").is_dir()
    told = alpha.ok("explain", "work-beta")
    assert (told["host"], len(told["commits"])) == ("beta", 1)
