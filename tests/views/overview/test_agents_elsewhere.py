"""Agents on other hosts are shown as they were told, and nobody there is called what cannot be seen."""

import json
import os

import pytest
from support_cli import call, new, ok, snapshot
from support_json_documented import wrong
from support_other_hosts import AWAY, BUILD, claimed, join, pulled, stamp, tell
from support_terminal import Terminal

from prodigy_git import layout


@pytest.fixture
def known(repo, store):
    """A repository with a job of four items."""
    ok("install", cwd=repo)
    items = repo / "items.json"
    items.write_text(json.dumps([{"id": f"i{n}"} for n in range(4)]))
    ok("job", "start", "review", "--items", items, cwd=repo)
    items.unlink()
    return repo


@pytest.fixture
def shared(known, store):
    """The same, with two other hosts: one at work on an item, and one that is gone and had two."""
    join(store)
    tell(
        store, BUILD, "s-build", agent_id="ada", item_id="i0", branch="prodigy/review/i0", commits=2
    )
    pulled(store, BUILD, claimed(BUILD, "i0", "ada", "s-build", lease=60))
    tell(store, AWAY, "s-away", agent_id="bob", item_id="i1", minutes=120)
    pulled(
        store, AWAY, claimed(AWAY, "i1", "bob", "s-away", minutes=120),
        claimed(AWAY, "i2", "eve", "s-unknown", minutes=120),
    )  # fmt: skip
    return known


def status(*arguments, cwd):
    (found,) = ok("status", "--json", *arguments, cwd=cwd).json["repositories"]
    return found


def by_agent(found):
    return {one["agent_id"] or one["session_id"]: one for one in found["agents"]}


def test_each_has_its_host_and_stands_as_it_was_told(shared):
    found = status(cwd=shared)
    assert wrong(found, "repository", "status", set()) == []
    agents = by_agent(found)
    assert {name: (one["host"], one["state"]) for name, one in agents.items()} == {
        "ada": ("build-7", "running"), "bob": ("ci-2", "dead"), "eve": ("ci-2", "dead"),
    }  # fmt: skip
    assert agents["ada"]["host_id"] == str(BUILD)
    assert (agents["ada"]["worktree"], agents["ada"]["missing"]) == (None, False)
    assert agents["ada"]["commits"] == 2
    assert found["host"] == "desk"
    hosts = {one["host"]: one for one in found["hosts"]}
    assert hosts["build-7"]["gone"] is False
    assert hosts["build-7"]["in_progress"] == {"review": 1}
    assert hosts["ci-2"]["gone"] is True
    assert hosts["ci-2"]["in_progress"] == {"review": 2}
    assert (hosts["ci-2"]["sessions"], hosts["ci-2"]["seen_at"] is not None) == (1, True)


def test_what_a_gone_host_had_is_given_back_by_one_command(shared):
    todo = [one for one in status(cwd=shared)["advice"] if "leases of job" in one["what"]]
    assert [one["commands"] for one in todo] == [["prodigy-git resume review"]]
    assert "ci-2, which is gone: 2 items" in todo[0]["what"]
    ok("resume", "review", cwd=shared)
    assert {one["state"] for one in by_agent(status(cwd=shared)).values()} >= {"running"}
    assert status(cwd=shared)["jobs"][0]["in_progress"] == 1


def test_nobody_there_is_called_stuck_or_dead_for_being_silent(known, store):
    join(store, build=1)
    tell(store, BUILD, "s-build", agent_id="ada", minutes=600)
    tell(store, BUILD, "s-paused", agent_id="bob", minutes=600, status="Paused")
    agents = by_agent(status(cwd=known))
    assert {name: one["state"] for name, one in agents.items()} == {"ada": "running", "bob": "idle"}


def test_a_lease_that_may_have_been_renewed_since_the_hub_was_asked_is_not_over(known, store):
    join(store)
    pulled(store, BUILD, claimed(BUILD, "i0", "ada", "s-build", minutes=40, lease=30))
    assert by_agent(status(cwd=known))["ada"]["state"] == "dead"
    path = layout.hub_hosts(str(store))
    about = os.stat(path)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns - 20 * 60 * 10**9))
    assert by_agent(status(cwd=known))["ada"]["state"] == "running"
    (item,) = ok("job", "show", "review", "--json", cwd=known).json["in_progress_items"]
    assert item["alive"] is None


def test_a_host_that_renews_its_leases_is_not_gone(known, store):
    """Its workers take steps and nothing else: no sync has said that it is there."""
    join(store)
    tell(store, AWAY, "s-away", agent_id="bob", item_id="i1", minutes=100)
    renewed = {"session_id": "s-away", "agent_id": "bob", "item_id": "i1", "attempt": 1}
    pulled(
        store, AWAY, claimed(AWAY, "i1", "bob", "s-away", minutes=100, lease=10),
        ("ClaimRenewed", 1, {**renewed, "lease_until": stamp(-5)}),
    )  # fmt: skip
    found = status(cwd=known)
    one = by_agent(found)["bob"]
    assert (one["state"], one["host"]) == ("running", "ci-2")
    hosts = {one["host"]: one for one in found["hosts"]}
    assert hosts["ci-2"]["gone"] is False
    assert hosts["ci-2"]["in_progress"] == {"review": 1}
    assert not [one for one in found["advice"] if "leases" in one["what"]]


def test_a_gone_hosts_session_without_an_item_is_counted_and_no_row(known, store):
    join(store)
    tell(store, AWAY, "s-away", agent_id="bob", minutes=200)
    found = status(cwd=known)
    assert found["agents"] == []
    assert [one["sessions"] for one in found["hosts"] if one["host"] == "ci-2"] == [1]
    assert by_agent(status("--all", cwd=known))["bob"]["state"] == "running"


def test_sessions_of_one_name_on_two_hosts_are_two(shared, store):
    own = new(shared, "s-build", "--job", "review", "--agent", "ada", "--item", "i3")
    found = [one for one in status(cwd=shared)["agents"] if one["session_id"] == "s-build"]
    assert {(one["host"], one["item_id"], one["worktree"]) for one in found} == {
        ("build-7", "i0", None), ("desk", "i3", own["worktree"]),
    }  # fmt: skip
    pulled(store, BUILD, ("SessionFinished", 0, {"session_id": "s-build", "status": "Completed"}))
    found = [one for one in status(cwd=shared)["agents"] if one["host"] == "desk"]
    assert [one["state"] for one in found] == ["running"]


def test_a_path_of_another_host_is_not_looked_for_here(known, store, tmp_path):
    join(store)
    (tmp_path / "out.log").write_text("not theirs\n")
    end = {
        "session_id": "s-build", "agent_id": "ada", "item_id": "i0", "attempt": 1, "error": "no",
        "retry_eligible": False, "json_log_location": str(tmp_path / "out.log"),
    }  # fmt: skip
    pulled(store, BUILD, claimed(BUILD, "i0", "ada", "s-build"), ("AgentFailed", 1, end))
    one = by_agent(status(cwd=known))["ada"]
    assert (one["state"], one["log"], one["host"]) == ("failed", None, "build-7")


def test_without_other_hosts_nothing_of_them_is_said(known, store):
    before = status(cwd=known)
    assert not {"host", "hosts"} & before.keys()
    new(known, "one", "--agent", "ada")
    assert not [name for name in status(cwd=known)["agents"][0] if name.startswith("host")]


def test_the_screen_has_a_column_and_lines_that_fit(shared):
    new(shared, "mine", "--job", "review", "--agent", "mia")
    for width in (60, 80, 120):
        terminal = Terminal("status", cwd=shared, columns=width)
        assert terminal.end() == 0
        terminal.close()
        text = terminal.text().replace("\r", "")
        lines = text.splitlines()
        assert all(len(line) <= width for line in lines if "prodigy-git" not in line)
        head = next(line for line in lines if line.startswith("STATE"))
        assert "HOST" in head
        assert "NOTE" in head
        flat = " ".join(text.split())
        assert "ci-2 is gone, seen 2h ago, had 2 of review" in flat
        assert "build-7 seen 3m ago, has 1 of review" in flat
        assert "prodigy-git resume review" in text


def test_lines_for_programs_name_the_host(shared):
    new(shared, "mine", "--job", "review", "--agent", "mia")
    lines = [line.split("\t") for line in call("status", cwd=shared).out.splitlines()]
    agents = {line[3]: line for line in lines if line[0] == "agent"}
    assert {name: line[-1] for name, line in agents.items()} == {
        "ada": "build-7", "bob": "ci-2", "eve": "ci-2", "mia": "desk",
    }  # fmt: skip
    assert len({len(line) for line in agents.values()}) == 1
    hosts = {line[2]: line for line in lines if line[0] == "host"}
    assert hosts["ci-2"][4] == "gone"
    assert hosts["ci-2"][7] == "2 of review"


def test_looking_writes_nothing(shared, store):
    before = snapshot(store)
    status(cwd=shared)
    call("status", cwd=shared)
    assert snapshot(store) == before
