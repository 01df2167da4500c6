"""Two hosts may each have a session of one name on a shared job: what each does is recorded."""

import json
from pathlib import Path

import pytest


@pytest.fixture
def two(new_host, hub_url, tmp_path):
    items = tmp_path / "items.json"
    items.write_text(json.dumps([{"id": f"i{n}"} for n in range(2)]))
    hosts = [new_host(name) for name in ("alpha", "beta")]
    for one in hosts:
        one.ok("hub", "init", hub_url)
        one.run("install")
    hosts[0].run("job", "start", "review", "--hub", "--items", items)
    hosts[1].run("hub", "sync")
    return hosts


def work(host, number):
    agent, item = f"of-{host.name}", f"i{number}"
    host.run("job", "next", "review", "--agent", agent, "--item", item)
    made = host.run(
        "new-worktree", "login", "--job", "review", "--agent", agent, "--item", item
    ).out.strip()
    (Path(made) / host.name).write_text("done\n")
    host.git("add", ".", cwd=Path(made))
    host.git("commit", "-q", "-m", f"By {host.name}", cwd=Path(made))


def finished(host):
    found = host.run("events", "ls", "--job", "review", "--type", "SessionFinished", "--json").out
    return len(found.splitlines())


def test_each_ends_and_the_ends_of_both_are_everywhere(two):
    for number, one in enumerate(two):
        work(one, number)
    for one in two:
        one.run("finish", "login")
    for one in (*two, *two):
        one.run("hub", "sync")
    shows = [one.ok("job", "show", "review") for one in two]
    assert [one["completed"] for one in shows] == [2, 2]
    assert [finished(one) for one in two] == [2, 2]
    for one in two:
        (own,) = [
            s for s in one.ok("sessions", "list") if s["session_id"] == "login"
            and s["host"] == one.name
        ]  # fmt: skip
        assert own["status"] == "Completed"
        assert one.ok("verify", "--session", "login")["sessions"][0]["missing"] == []


def test_one_that_ends_ends_no_other(two):
    alpha, beta = two
    for number, one in enumerate(two):
        work(one, number)
    alpha.run("finish", "login", "--failed", "--error", "no")
    for one in (alpha, beta):
        one.run("hub", "sync")
    beta.run("clean", "--older-than", "0d", "--yes", check=False)
    beta.run("doctor", "--fix", check=False)
    (own,) = [
        s for s in beta.ok("sessions", "list") if s["session_id"] == "login"
        and s["host"] == "beta"
    ]  # fmt: skip
    assert own["status"] == "Running"
    (item,) = beta.ok("job", "show", "review")["in_progress_items"]
    assert (item["item_id"], item["host"], item["alive"]) == ("i1", "beta", True)
