"""status: every kind of trouble is found, with what to do about it; and nothing is written."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import support_team
from support_cli import (
    call,
    foreign_session,
    new,
    ok,
    refused,
    rewrite_session,
    snapshot,
    write_log,
)
from support_team import DEAD, FAILED, HOSTILE, RETRIED, STUCK, WORKING
from support_terminal import Terminal

from prodigy_git.jobs import claims, owner
from prodigy_git.record import clock


def status(*arguments, cwd):
    done = ok("status", "--json", *arguments, cwd=cwd)
    (found,) = done.json["repositories"]
    return found


def states(found):
    named = {}
    for one in found["agents"]:
        named.setdefault(one["state"], []).append(one["agent_id"] or one["session_id"])
    return named


def of(found, name):
    (one,) = [
        one for one in found["agents"] if name in (one["agent_id"], one["session_id"])
    ]  # fmt: skip
    return one


def commands(found):
    return [command for one in found["advice"] for command in one["commands"]]


@pytest.fixture
def known(repo, store):
    """A repository that the store knows, with hooks."""
    ok("install", cwd=repo)
    ok("job", "start", "other", cwd=repo)
    ok("job", "cancel", "other", cwd=repo)
    return repo


def claimed(repo, store, item, held_by, *arguments):
    """Claim an item for a process, and make its worktree."""
    found = claims.claim(
        str(store), "repo", "work", agent=f"agent-{item}", item=item, worktree=f"w-{item}",
        owner=held_by.as_json(), broken=pytest.fail,
    )  # fmt: skip
    assert found is not None
    return new(repo, f"w-{item}", "--job", "work", "--agent", f"agent-{item}", "--item", item)


def process(**settings):
    """Start a process that lives until it is told a line."""
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, **settings)


def test_the_team_in_one_look(known, store):
    support_team.write(store, "repo")
    before = snapshot(store, known)
    found = status(cwd=known)
    assert states(found) == {
        "dead": DEAD, "failed": FAILED, "stuck": STUCK, "retrying": RETRIED, "running": WORKING,
    }  # fmt: skip
    assert [one["state"] for one in found["agents"]] == sorted(
        (one["state"] for one in found["agents"]),
        key=("dead", "failed", "stuck", "retrying", "running").index,
    )
    (job,) = found["jobs"]
    assert (job["job_id"], job["completed"], job["pending"], job["queued"]) == ("review", 10, 7, 3)
    assert job["failures"][0]["error_signature"] == "tests failed: # of #"
    assert found["queued"] == 3
    assert found["ended_jobs"] == 1
    assert of(found, "agent-12")["error"] == "tests failed: 12 of 40"
    assert of(found, STUCK[0])["silent_seconds"] // 60 == 60
    assert commands(found)[0] == "prodigy-git resume review"
    assert "prodigy-git dlq retry --job review --reprocess-all-eligible" in commands(found)
    assert f"prodigy-git events ls --job review --session {STUCK[0]}" in commands(found)
    # What is silent for less than asked is not stuck.
    assert "stuck" not in states(status("--stuck-after", "2h", cwd=known))
    assert snapshot(store, known) == before


def test_what_is_advised_puts_it_right(known, store):
    support_team.write(store, "repo")
    for command in commands(status(cwd=known)):
        if command.split()[1] in ("resume", "dlq", "job"):
            ok(*command.split()[1:], cwd=known)
    found = status(cwd=known)
    assert set(states(found)) == {"retrying", "running"}
    assert found["counts"]["dead"] == found["counts"]["failed"] == found["counts"]["stuck"] == 0
    assert found["queued"] == 0


def test_real_agents_in_real_worktrees(known, store, git, tmp_path):
    items = tmp_path / "items.json"
    items.write_text(json.dumps([{"id": name} for name in ("dead", "alive", "bad", "last")]))
    ok("job", "start", "work", "--items", items, "--max-attempts", "1", cwd=known)
    me = owner.of_process(os.getpid())
    mortal = process()
    claimed(known, store, "dead", owner.of_process(mortal.pid))
    alive = claimed(known, store, "alive", me)["worktree"]
    claimed(known, store, "bad", me)
    ok("finish", "w-bad", "--failed", "--error", "no\nidea", cwd=known)
    for number in range(3):
        git("commit", "-q", "--allow-empty", "-m", f"step {number}", cwd=alive)
    git("commit", "-q", "--allow-empty", "-m", "on main", cwd=known)
    (store / "worktrees/repo/w-alive/new").write_text("x")
    new(known, "lost")
    shutil.rmtree(store / "worktrees/repo/lost")
    new(known, "binned")
    ok("worktree", "clean", "-f", "binned", cwd=known)
    rewrite_session(store, "binned", status="Running", completed_at=None)
    new(known, "moved")
    git("worktree", "move", store / "worktrees/repo/moved", tmp_path / "else", cwd=known)
    new(known, "paused")
    rewrite_session(store, "paused", status="Paused")
    new(known, "done")
    ok("finish", "done", cwd=known)
    new(known, "broke")
    ok("finish", "broke", "--failed", "--error", "no item at all", cwd=known)
    git("worktree", "add", "-q", "../strange", cwd=known, env={"PRODIGY_GIT_SILENCE": "1"})
    mortal.communicate(b"\n")  # what any command on the job would see, too, and end its claim
    before = snapshot(store)
    found = status(cwd=known)
    (main,) = found["checkouts"]
    assert (main["worktree"], main["commits"]) == (str(known), 1)
    assert states(found) == {
        "dead": ["agent-dead", "lost", "binned"], "failed": ["agent-bad", "broke"],
        "running": ["moved", "agent-alive"], "idle": ["paused"],
    }  # fmt: skip
    one = of(found, "agent-alive")
    assert (one["ahead"], one["behind"], one["commits"], one["dirty"]) == (3, 1, 3, True)
    assert (one["branch"], one["base"], one["attempt"]) == ("prodigy/work/alive", "main", 1)
    assert one["pid"] == os.getpid()
    assert of(found, "broke")["dirty"] is False
    assert of(found, "moved")["worktree"] == str(tmp_path / "else")
    assert of(found, "lost")["missing"] is True
    assert found["counts"]["finished"] == 1
    assert found["trash"]["count"] == 1
    assert found["finished_worktrees"] == 1
    assert found["hooks"]["in_effect"] is True
    assert found["without_session"] == [str(tmp_path / "strange")]
    said = commands(found)
    for command in (
        "prodigy-git resume work", "prodigy-git resume lost", "prodigy-git worktree restore binned",
        "prodigy-git dlq retry --job work --reprocess-all-eligible",
        "prodigy-git worktree show broke", f"prodigy-git worktree adopt {tmp_path}/strange",
    ):  # fmt: skip
        assert command in said
    assert of(status("--no-dirty", cwd=known), "agent-alive")["dirty"] is None
    # Silent for longer than nothing: who has an owner that lives is stuck, not dead.
    assert "agent-alive" in states(status("--stuck-after", "0s", cwd=known))["stuck"]
    assert "paused" in states(status("--stuck-after", "0s", cwd=known))["idle"]
    listed = states(status("--all", cwd=known))
    assert listed["finished"] == ["done"]
    assert [one["state"] for one in status("--job", "work", cwd=known)["agents"]] == [
        "dead", "failed", "running",
    ]  # fmt: skip
    assert snapshot(store) == before


def test_a_session_whose_maker_is_gone_is_dead_once_it_is_silent(known, store):
    new(known, "mine")
    maker = process()
    said = owner.of_process(maker.pid).as_json()
    rewrite_session(store, "mine", metadata=said)
    assert of(status("--stuck-after", "0s", cwd=known), "mine")["state"] == "stuck"
    maker.communicate(b"\n")
    assert of(status(cwd=known), "mine")["state"] == "running"
    assert of(status("--stuck-after", "0s", cwd=known), "mine")["state"] == "dead"
    # A process that stands in its worktree may be its agent.
    inside = process(cwd=store / "worktrees/repo/mine")
    try:
        assert of(status("--stuck-after", "0s", cwd=known), "mine")["state"] == "stuck"
    finally:
        inside.communicate(b"\n")
    assert "prodigy-git finish mine --failed --error 'its process is gone'" in commands(
        status("--stuck-after", "0s", cwd=known)
    )


def test_a_lease_that_has_ended(known, store):
    start = {"type": "AgentStarted", "agent_id": "a", "item_id": "i", "attempt": 1}
    for minutes, name in ((-1, "past"), (60, "ahead")):
        until = clock.stamp(clock.now() + minutes * 60 * clock.SECOND)
        write_log(
            store, "repo", name, "events-20250111.jsonl",
            {**start, "timestamp": clock.stamp(clock.now()), "lease_until": until},
        )  # fmt: skip
    found = status(cwd=known)
    assert {one["job_id"]: one["state"] for one in found["agents"]} == {
        "past": "dead", "ahead": "running",
    }  # fmt: skip
    assert "prodigy-git resume past" in commands(found)


def test_damage_and_what_others_wrote(known, store):
    support_team.write(store, "repo")
    (store / "sessions").mkdir(exist_ok=True)
    (store / "sessions" / "torn.json").write_text('{"id": "torn"')
    foreign_session(store, "theirs", status="Running", mapreduce_data={"job_id": "mr"})
    foreign_session(store, "elsewhere", status="Running")
    now = clock.stamp(clock.now())
    write_log(
        store, "repo", "mr", "events-20250111_120000.jsonl",
        {"id": "1", "timestamp": now, "event": {
            "event_type": "agent_started", "agent_id": "x1", "item_id": "i1", "job_id": "mr"}},
        {"id": "2", "timestamp": now, "AgentStarted": None},
        {"AgentStarted": {"timestamp": now, "agent_id": "x2", "item_id": "i2"}},
        {"event_type": "AgentStarted", "timestamp": now, "agent_id": "x3", "item_id": "i3"},
        {"type": "AgentStarted", "timestamp": now, "agent_id": "x4", "item_id": "i4"},
        {"type": "AgentFailed", "timestamp": now, "agent_id": "x4", "error": HOSTILE},
    )  # fmt: skip
    folder = store / "dlq" / "repo" / "mr" / "items"
    folder.mkdir(parents=True)
    (folder / "z.json").write_text(json.dumps({"item_id": "z", "work_item": {}}))
    before = snapshot(store)
    done = ok("status", "--json", cwd=known)
    (found,) = done.json["repositories"]
    assert sorted(states(found)["running"]) == sorted(["x1", "x2", "x3", *WORKING])
    assert states(found)["dead"] == DEAD
    assert "theirs" in states(found)["stuck"]
    assert "elsewhere" not in str(found["agents"])
    assert of(found, "x4")["error"] == HOSTILE
    assert {job["job_id"]: job["queued"] for job in found["jobs"]}["mr"] == 1
    assert "torn.json is damaged" in done.err
    assert "\x1b" not in done.out
    plain = ok("status", cwd=known)
    assert "\x1b" not in plain.out
    assert "\\x1b[2J" in plain.out
    assert snapshot(store) == before


def test_lines_for_other_programs(known, store):
    support_team.write(store, "repo")
    rows = [line.split("\t") for line in ok("status", cwd=known).out.splitlines()]
    kinds = {row[0] for row in rows}
    assert kinds == {"job", "count", "agent", "trash", "do"}
    stuck = [row for row in rows if row[:3] == ["agent", "repo", "stuck"]]
    assert [row[3:8] for row in stuck] == [["agent-17", "agent-17", "review", "item-17", "1"]]
    assert ["count", "repo", "failed", "3"] in rows


def test_outside_of_any_repository_and_where_nothing_is(known, store, tmp_path, git):
    fresh = tmp_path / "fresh"
    git("init", "-q", fresh, cwd=tmp_path)
    before = snapshot(store)
    done = ok("status", cwd=fresh)
    assert "no sessions and no jobs yet" in done.err
    assert ok("status", "--json", cwd=fresh).json["repositories"] == []
    support_team.write(store, "repo")
    outside = ok("status", "--json", cwd=tmp_path).json
    (found,) = outside["repositories"]
    assert "prodigy-git resume repo/review" in commands(found)
    (alike,) = ok("status", "--json", "--all-repos", cwd=fresh).json["repositories"]
    assert alike["jobs"][0].pop("rates").keys() == found["jobs"][0].pop("rates").keys()
    assert alike == found
    assert "no job nothing" in refused("status", "--job", "nothing", cwd=known)
    refused("status", "--job", "../x", cwd=known)
    refused("status", "--stuck-after", "soon", cwd=known, code=2)
    assert snapshot(store).keys() >= before.keys()
    shutil.rmtree(store)
    assert "no sessions and no jobs yet" in ok("status", cwd=tmp_path).err
    assert not store.exists()


def test_a_repository_that_is_gone_and_hooks_that_are_not_there(repo, store, tmp_path):
    new(repo, "one")
    found = status(cwd=repo)
    assert found["hooks"]["in_effect"] is False
    assert "prodigy-git install" in commands(found)
    there = ok("status", "--json", cwd=tmp_path).json["repositories"][0]
    assert f"cd {repo} && prodigy-git install" in commands(there)
    shutil.rmtree(repo)
    done = call("status", "--json", cwd=tmp_path)
    assert done.code == 0
    assert "is gone" in done.err
    (found,) = done.json["repositories"]
    assert (found["common_dir"], found["hooks"]["in_effect"]) == (None, None)
    assert of(found, "one")["ahead"] is None


def test_many_agents_leave_a_screen_a_screen(known, store):
    now = clock.stamp(clock.now())
    write_log(
        store, "repo", "many", "events-20250111.jsonl",
        *({"type": "AgentStarted", "timestamp": now, "agent_id": f"a{n:03}", "item_id": f"i{n}"}
          for n in range(100)),
        {"type": "AgentFailed", "timestamp": now, "agent_id": "a077", "error": "no"},
    )  # fmt: skip
    for options, shown in (([], 12), (["--all"], 100)):
        screen = Terminal("status", *options, cwd=known)
        try:
            assert screen.end() == 0
            text = screen.text()
        finally:
            screen.close()
        assert len([line for line in text.splitlines() if "  a" in line]) == shown
        assert "a077" in text
        assert ("and 88 more" in text) is (not options)
    assert len(status(cwd=known)["agents"]) == 100


@pytest.mark.parametrize("columns", [60, 80])
def test_on_a_terminal_it_fits(known, store, columns):
    support_team.write(store, "repo")
    screen = Terminal("status", cwd=known, columns=columns)
    try:
        assert screen.end() == 0
        text = screen.text()
    finally:
        screen.close()
    before, _, after = text.partition("what to do")
    assert [line for line in before.splitlines() if len(line) > columns] == []
    assert "review: map, running" in before
    assert "2 dead, 3 failed, 1 stuck, 2 retrying, 2 running" in before
    assert "█" in before
    assert "prodigy-git resume review" in after
    assert "prodigy-git dlq retry --job review --reprocess-all-eligible" in after


def test_the_end_of_a_job_changes_no_number_of_its_agents(known, store, tmp_path):
    (tmp_path / "items").write_text("1\n2\n3\n")
    ok("job", "start", "work", "--items", tmp_path / "items", "--max-attempts", "2", cwd=known)
    ends = (
        ("item-1", True),
        ("item-1", False),
        ("item-2", True),
        ("item-2", True),
        ("item-3", False),
    )
    for number, (item, failed) in enumerate(ends):
        new(known, f"w{number}", "--job", "work", "--agent", f"a{number}", "--item", item)
        ok("finish", f"w{number}", *(("--failed", "--error", "no") if failed else ()), cwd=known)
    before = status(cwd=known)
    assert states(before) == {"failed": ["a3"]}
    assert before["counts"]["finished"] == 4
    ok("job", "finish", "work", cwd=known)
    after = status(cwd=known)
    assert (after["counts"], states(after)) == (before["counts"], states(before))
    # Nobody can try the item again: once what is left of it is gone there is nothing to do.
    assert "prodigy-git worktree clean w3" in commands(after)
    ok("worktree", "clean", "-f", "w3", cwd=known)
    assert status(cwd=known)["counts"]["failed"] == 0
