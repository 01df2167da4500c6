"""A session whose claim's owner is gone ends with the claim; and whoever comes back loses nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support_cli import new, ok, refused, session_file

from prodigy_git import layout
from prodigy_git.jobs import claims, owner
from prodigy_git.record import locks

ENDS = ("AgentFailed", "AgentCompleted", "SessionFinished", "SessionResumed")


def process():
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


@pytest.fixture
def agent(repo, store, tmp_path, git):
    """An agent with a commit that no hook recorded, whose process is gone."""
    (tmp_path / "items").write_text("1\n2\n")
    ok("install", cwd=repo)
    ok("job", "start", "j", "--items", tmp_path / "items", cwd=repo)
    mortal = process()
    claims.claim(
        str(store), "repo", "j", agent="a", item="item-1", worktree="w",
        owner=owner.of_process(mortal.pid).as_json(), broken=pytest.fail,
    )  # fmt: skip
    made = Path(new(repo, "w", "--job", "j", "--agent", "a", "--item", "item-1")["worktree"])
    silenced = {"PRODIGY_GIT_SILENCE": "1"}
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=made, env=silenced)
    mortal.communicate(b"\n")
    return made


def ends(events):
    return [one for one in events("j") if one["type"] in ENDS]


def standing(repo):
    return ok("job", "show", "j", "--json", cwd=repo).json["sessions"]


def item(repo, name="item-1"):
    text = ok("events", "ls", "--job", "j", "--item", name, "--json", cwd=repo).out
    return [json.loads(line)["type"] for line in text.splitlines()]


def test_the_session_ends_with_its_claim_in_one_write(repo, agent, git, events, store):
    said = ok("resume", "j", cwd=repo).out
    assert "item-1: agent a is gone, pending again; session w is Failed" in said
    assert "0 sessions not ended" in said
    failed, finished = ends(events)
    assert failed["commits"] == [git("rev-parse", "HEAD", cwd=agent)]
    assert (finished["status"], finished["because"]) == (
        "Failed", "the process that owned it is gone",
    )  # fmt: skip
    assert failed["timestamp"] == finished["timestamp"]
    fields = session_file(store, "w")
    assert (fields["status"], fields["error"]) == ("Failed", "the process that owned it is gone")
    assert standing(repo) == {"Failed": 1}
    ok("verify", cwd=repo)


def test_who_comes_back_and_finishes_well_has_done_it(repo, agent, events, store):
    ok("resume", "j", cwd=repo)
    done = ok("finish", "--json", cwd=agent).json
    assert (done["status"], done["item_state"], len(done["commits"])) == (
        "Completed",
        "completed",
        1,
    )
    assert [one["type"] for one in ends(events)] == [
        "AgentFailed", "SessionFinished", "AgentCompleted", "SessionFinished",
    ]  # fmt: skip
    fields = session_file(store, "w")
    assert (fields["status"], fields["error"]) == ("Completed", None)
    assert "ended_because" not in fields["metadata"]
    assert standing(repo) == {"Completed": 1}
    assert "already Completed" in refused("finish", "w", cwd=repo)


def test_who_comes_back_when_another_has_the_item_is_late(repo, agent, events):
    ok("job", "next", "j", "--item", "item-1", "--agent", "b", cwd=repo)
    ok("finish", cwd=agent)
    (completed,) = [one for one in ends(events) if one["type"] == "AgentCompleted"]
    assert completed["late"] is True
    assert len(completed["commits"]) == 1
    assert standing(repo) == {"Completed": 1}
    show = ok("job", "show", "j", "--json", cwd=repo).json
    assert [one["agent_id"] for one in show["in_progress_items"]] == ["b"]


def test_who_is_late_at_its_own_lease_has_not_failed_first(repo, agent, store, events):
    ok("resume", "j", cwd=repo)
    claims.claim(
        str(store), "repo", "j", agent="c", item="item-2", worktree="w2", lease=10**10,
        broken=pytest.fail,
    )  # fmt: skip
    new(repo, "w2", "--job", "j", "--agent", "c", "--item", "item-2")
    log = next((store / "events/repo/j").glob("*.jsonl"))
    lines = log.read_text().splitlines()
    (until,) = [json.loads(one)["lease_until"] for one in lines if "lease_until" in one]
    log.write_text("\n".join(lines).replace(until, "2025-01-11T12:00:00.000000Z") + "\n")
    Path(layout.index(str(store), "repo", "j")).unlink()
    ok("finish", "w2", cwd=repo)
    mine = [one["type"] for one in ends(events) if one.get("agent_id") == "c"]
    assert mine == ["AgentCompleted", "SessionFinished"]


@pytest.mark.parametrize("look", [("sessions", "list"), ("sessions", "show", "w"), ("resume", "j")])
def test_killed_between_log_and_file_the_next_look_mends_it(repo, agent, store, look):
    path = store / "sessions" / "w.json"
    before = path.read_bytes()
    ok("resume", "j", cwd=repo)
    after = session_file(store, "w")
    path.write_bytes(before)
    assert "Running" not in ok(*look, cwd=repo).out
    fields = session_file(store, "w")
    assert fields["metadata"]["ended_because"] == after["metadata"]["ended_because"]
    assert (fields["status"], fields["error"]) == (after["status"], after["error"])
    ok("finish", "w", cwd=repo)
    assert session_file(store, "w")["status"] == "Completed"


def test_a_session_that_somebody_holds_keeps_no_claim(repo, agent, store, events):
    lock = locks.take(layout.session_lock(str(store), "w"))
    try:
        assert ok("job", "next", "j", "--item", "item-1", cwd=repo).json["attempt"] == 2
        assert session_file(store, "w")["status"] == "Running"
        assert [one["type"] for one in ends(events)] == ["AgentFailed", "SessionFinished"]
    finally:
        os.close(lock)
    assert "Failed" in ok("sessions", "list", cwd=repo).out


@pytest.mark.parametrize("gone", [False, True])
def test_it_can_be_taken_up_again(repo, agent, store, events, gone, git):
    ok("resume", "j", cwd=repo)
    if gone:
        shutil.rmtree(agent)
        git("worktree", "prune", cwd=repo)
    done = ok("resume", "w", "--json", cwd=repo).json
    assert done["taken_up"] == ["w"]
    assert done["worktrees"] == ([str(agent)] if gone else [])
    assert session_file(store, "w")["status"] == "Running"
    assert session_file(store, "w")["metadata"]["pid"] == os.getppid()
    assert standing(repo) == {"Running": 1}
    assert "Running" in ok("sessions", "list", cwd=repo).out  # the earlier end is not this one's
    git("commit", "-q", "--allow-empty", "-m", "two", cwd=agent)
    ok("finish", "--failed", "--error", "no", cwd=agent)
    assert [one["type"] for one in ends(events)].count("SessionResumed") == 1
    assert standing(repo) == {"Failed": 1}
    subjects = [one["subject"] for one in events("j") if one["type"] == "CommitCreated"]
    assert subjects == ["one", "two"]
    assert "is Failed" in refused("resume", "w", cwd=repo)  # it said so itself
    ok("verify", cwd=repo)


def test_a_session_of_one_item_after_the_other_goes_on(repo, agent, store):
    new(repo, "mine", "--job", "j", "--agent", "m")
    claims.claim(
        str(store), "repo", "j", agent="m", item="item-2", worktree="mine", lease=-1,
        broken=lambda _: None,
    )  # fmt: skip
    (one,) = ok("resume", "j", "--json", cwd=repo).json["released"]
    assert (one["item_id"], one["session_id"]) == ("item-2", None)
    assert session_file(store, "mine")["status"] == "Running"
