"""The job commands, as a runner's script calls them."""

import json
import shutil
import subprocess
import sys

import pytest
from support_cli import call, new, ok, refused


@pytest.fixture
def items(tmp_path):
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"files": [{"id": "a", "path": "a.py"}, {"path": "b.py"}]}))
    return path


@pytest.fixture
def job(repo, items):
    made = ok("job", "start", "j", "--items", items, "--json-path", "$.files[*]", cwd=repo)
    assert made.out == "j\n"
    return repo


def test_a_job_from_start_to_end(job, store):
    first = ok("job", "next", "j", "--agent", "a1", cwd=job).json
    assert first["work_item"] == {"id": "a", "data": {"id": "a", "path": "a.py"}}
    assert (first["item_id"], first["attempt"], first["max_attempts"]) == ("a", 1, 3)
    assert first["lease_ends_at"] is not None
    assert ok("job", "done", "j", "a", "--commit", "abcdef1", cwd=job).out.startswith(
        "a: completed, "
    )
    second = ok("job", "next", "j", "--agent", "a2", cwd=job).json
    assert second["item_id"] == "item-2"
    none = call("job", "next", "j", cwd=job)
    assert (none.code, none.out) == (3, "")
    assert "1 in progress" in none.err
    shown = ok("job", "show", "j", "--json", cwd=job).json
    assert (shown["completed"], shown["in_progress"], shown["pending"]) == (1, 1, 0)
    (working,) = shown["in_progress_items"]
    assert (working["item_id"], working["agent_id"]) == ("item-2", "a2")
    assert "1 in progress" in refused("job", "finish", "j", cwd=job)
    ended = ok("job", "done", "j", "item-2", "--failed", "--error", "E 5", "--no-retry", cwd=job)
    assert ended.out.startswith("item-2: dead, ")
    shown = ok("job", "show", "j", "--json", cwd=job).json
    assert [(one["error_signature"], one["item_count"]) for one in shown["failures"]] == [
        ("E #", 1)
    ]
    text = ok("job", "show", "j", cwd=job).out
    assert "1 completed" in text
    assert "1 x E # (as item-2)" in text
    assert "a1: 0 in progress, 1 completed, 0 failed" in text
    assert ok("job", "phase", "j", "reduce", cwd=job).out == "j: map -> reduce\n"
    given = ("--output", "merged=a=b", "--output", "left=")
    assert ok("job", "phase", "j", "reduce", *given, cwd=job).out == "j: reduce -> reduce\n"
    state = json.loads((store / "state/repo/mapreduce/jobs/j/job-state.json").read_text())
    assert state["step_results"] == {"0": {"merged": "a=b", "left": ""}}
    assert ok("job", "finish", "j", "--json", cwd=job).json["failure_count"] == 1
    (row,) = ok("job", "list", "--json", cwd=job).json
    assert (row["status"], row["phase"], row["total_items"]) == ("completed", "complete", 2)
    assert ok("job", "list", cwd=job).out.startswith("j\tcompleted\tcomplete\t1\t2\t")
    assert call("job", "next", "j", cwd=job).code == 3


def test_pause_resume_cancel(job):
    assert ok("job", "pause", "j", "--reason", "lunch", cwd=job).out == "j: paused\n"
    paused = call("job", "next", "j", cwd=job)
    assert (paused.code, "the job is paused" in paused.err) == (3, True)
    assert "paused already" in refused("job", "pause", "j", cwd=job)
    assert ok("job", "resume", "j", cwd=job).out == "j: running again\n"
    assert call("job", "next", "j", cwd=job).code == 0
    ended = ok("job", "cancel", "j", cwd=job)
    assert ended.out == "j: cancelled, 1 still in progress\n"
    assert "item a: agent" in ended.err
    assert "its lease ends at" in ended.err
    assert "is cancelled since" in refused("job", "finish", "j", cwd=job)


def test_a_job_that_has_ended_has_nothing_left_to_do(job):
    made = ok("job", "next", "j", cwd=job).json
    ok("job", "done", "j", made["item_id"], cwd=job)
    assert ok("job", "show", "j", "--json", cwd=job).json["rates"]["seconds_left"] is not None
    ok("job", "cancel", "j", cwd=job)
    rates = ok("job", "show", "j", "--json", cwd=job).json["rates"]
    assert rates["seconds_left"] is None
    assert rates["ended_per_minute"] > 0
    assert ok("job", "show", "j", "--json", cwd=job).json["rates"] == rates


def test_a_claim_lives_as_long_as_its_process(job):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    ok("job", "next", "j", "--item", "a", "--owner-pid", child.pid, cwd=job)
    assert "agent" in refused("job", "next", "j", "--item", "a", cwd=job)
    child.communicate(b"\n")
    again = call("job", "next", "j", "--item", "a", cwd=job)
    assert again.json["attempt"] == 2
    assert "the process that owned it is gone" in again.err


def test_a_lease_is_extended(job):
    before = ok("job", "next", "j", "--lease", "1h", cwd=job).json["lease_ends_at"]
    after = ok("job", "renew", "j", "a", "--lease", "2h", cwd=job).out.strip()
    assert after > before
    assert "cannot be renewed" in refused("job", "renew", "j", "a", "--agent", "other", cwd=job)


def test_a_worker_that_lost_its_item_ends_nobody_else_s_claim(job, events):
    ok("job", "next", "j", "--item", "a", "--agent", "A", "--lease", "0s", cwd=job)
    got = ok("job", "next", "j", "--item", "a", "--agent", "B", cwd=job).json
    assert got["attempt"] == 2
    for command in ("done", "renew"):
        said = refused("job", command, "j", "a", cwd=job)
        assert "has had 2 attempts, and is in progress by agent B, attempt 2" in said
    assert "by agent B, attempt 2" in refused("job", "renew", "j", "a", "--attempt", "1", cwd=job)
    late = call("job", "done", "j", "a", "--attempt", "1", "--json", cwd=job)
    assert (late.code, late.json["late"], late.json["agent_id"]) == (4, True, "A")
    assert late.json["state"] == "in_progress"
    assert "recorded as late" in late.err
    assert "no attempt 3" in refused("job", "done", "j", "a", "--attempt", "3", cwd=job)
    said = refused("job", "done", "j", "a", "--attempt", "1", "--agent", "B", cwd=job)
    assert "was not agent B's" in said
    assert ok("job", "renew", "j", "a", "--attempt", "2", cwd=job)
    done = ok("job", "done", "j", "a", "--attempt", "2", "--json", cwd=job).json
    assert (done["state"], done["agent_id"], done["late"]) == ("completed", "B", False)
    ends = [one for one in events("j") if one["type"] == "AgentCompleted"]
    assert [(one["attempt"], one.get("late")) for one in ends] == [(1, True), (2, None)]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["show", "unknown"], 1, "no job unknown"),
        (["start", "j", "--items", "-"], 1, "was started"),
        (["start", "x", "--items", "/does/not/exist"], 2, "No such file"),
        (["start", "x", "--json-path", "$"], 2, "goes with --items"),
        (["start", "../x"], 1, "not a safe name"),
        (["start", "x", "--checkpoint-every", "often"], 1, "5m"),
        (["next", "j", "--item", "zzz"], 1, "no item zzz"),
        (["done", "j", "a"], 1, "has not been claimed"),
        (["done", "j", "a", "--error", "x"], 2, "go with --failed"),
        (["reopen", "j"], 1, "has not ended"),
        (["phase", "j", "complete"], 1, "2 pending"),
        (["phase", "j", "map", "--output", "novalue"], 2, "KEY=VALUE"),
        (["show", "other/j"], 1, "no job j"),
    ],
)
def test_what_is_refused(job, arguments, code, said, monkeypatch, tmp_path):
    (tmp_path / "in").write_text("1\n")
    with (tmp_path / "in").open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert said in refused("job", *arguments, cwd=job, code=code)


def test_outside_of_a_repository(job, tmp_path):
    assert ok("job", "show", "j", "--json", cwd=tmp_path).json["job_id"] == "j"
    assert ok("job", "show", "repo/j", "--json", cwd=tmp_path).json["job_id"] == "j"
    assert "no repository has one" in refused("job", "show", "k", cwd=tmp_path)
    refused("job", "list", cwd=tmp_path)
    assert len(ok("job", "list", "--all-repos", "--json", cwd=tmp_path).json) == 1


def test_where_checkpoints_are_configured(repo, git, items, store):
    git("config", "prodigy.checkpointItems", "7", cwd=repo)
    ok("job", "start", "j", "--items", items, "--json-path", "$.files", cwd=repo)
    ok("job", "start", "k", "--items", items, "--json-path", "$.files", "--checkpoint-every", "5m",
       cwd=repo)  # fmt: skip
    for name, expected in (("j", ("checkpoint_items", 7)), ("k", ("checkpoint_seconds", 300))):
        (log,) = (store / "events/repo" / name).iterdir()
        opened = json.loads(log.read_text().splitlines()[0])
        assert opened[expected[0]] == expected[1]
    git("config", "prodigy.checkpointItems", "x", cwd=repo)
    assert "has to be a number" in refused("job", "start", "l", cwd=repo)


def test_a_worktree_for_a_claimed_item_and_its_finish(job, events):
    ok("job", "next", "j", "--agent", "a1", cwd=job)
    made = ok("new-worktree", "--job", "j", "--agent", "a1", "--item", "a", "--json", cwd=job).json
    started = [one for one in events("j") if one["type"] == "AgentStarted"]
    assert len(started) == 1  # the claim; not once more
    done = ok("finish", "--failed", "--error", "x", "--json", cwd=made["worktree"]).json
    assert done["item_state"] == "pending"
    again = ok("new-worktree", "--job", "j", "--agent", "a2", "--item", "a", "--json", cwd=job).json
    started = [one for one in events("j") if one["type"] == "AgentStarted"]
    assert [one["attempt"] for one in started] == [1, 2]  # the job hands it out: a claim was made
    assert "is in progress" in refused(
        "new-worktree", "--job", "j", "--agent", "a3", "--item", "a", cwd=job
    )
    assert ok("finish", "--json", cwd=again["worktree"]).json["item_state"] == "completed"
    kinds = [one["type"] for one in events("j")]
    assert kinds.count("SessionFinished") == kinds.count("SessionStarted") == 2
    assert kinds.count("WorkItemProcessed") == 1


def test_no_worktree_no_claim(job, git, events):
    who = ("--job", "j", "--agent", "a", "--item", "a")
    refused("new-worktree", *who, "--branch", "main", cwd=job)
    assert ok("job", "show", "j", "--json", cwd=job).json["pending"] == 2


def test_text_of_others_does_not_reach_the_terminal_raw(job):
    ok("job", "next", "j", "--agent", "a1", cwd=job)
    ok("job", "done", "j", "a", "--failed", "--error", "\x1b[31mred\x07", "--no-retry", cwd=job)
    for words in (("job", "show", "j"), ("dlq", "list", "--job", "j"), ("dlq", "stats", "--job", "j"),
                  ("dlq", "show", "a", "--job", "j")):  # fmt: skip
        out = ok(*words, cwd=job).out
        assert "\x1b" not in out
        assert "\\x07" in out


def test_what_was_ended_is_said_with_what_it_yielded(job, events, tmp_path):
    ok("job", "next", "j", "--agent", "a1", cwd=job)
    for wrong in ("{", '"\\ud83d"', "NaN", "@/does/not/exist"):
        code = 1 if wrong[:2] == '"\\' or wrong == "NaN" else 2
        refused("job", "done", "j", "a", "--result", wrong, cwd=job, code=code)
    refused("job", "done", "j", "a", "--commit", "\udcff", cwd=job)
    (tmp_path / "yield.json").write_text('{"verdict": "fine"}')
    done = ok("job", "done", "j", "a", "--result", f"@{tmp_path}/yield.json", "--commit", "ABCDEF1",
              cwd=job)  # fmt: skip
    assert done.out == "a: completed, attempt 1, agent a1\n"
    (processed,) = [one for one in events("j") if one["type"] == "WorkItemProcessed"]
    assert processed["result"] == {"verdict": "fine"}
    made = ok(
        "new-worktree", "--job", "j", "--agent", "a2", "--item", "item-2", "--json", cwd=job
    ).json
    refused("finish", "--failed", "--result", "1", cwd=made["worktree"], code=2)
    ok("finish", "--result", "[1]", cwd=made["worktree"])
    assert [one["result"] for one in events("j") if one["type"] == "WorkItemProcessed"][1:] == [[1]]
    assert "works on no item" in refused(
        "finish", "--result", "1", cwd=new(job, "free")["worktree"]
    )


def test_items_are_added_while_it_runs(job, tmp_path):
    (tmp_path / "more").write_text('{"x": [{"id": "b", "after": ["a"]}, {"id": "a"}, {"y": 1}]}')
    more = ("job", "add", "j", "--items", tmp_path / "more", "--json-path", "$.x[*]")
    assert "give --skip-known" in refused(*more, cwd=job)
    assert ok(*more, "--skip-known", cwd=job).out == "j: 2 items added, 1 known already\n"
    again = ok(*more, "--skip-known", "--json", cwd=job).json
    assert (again["added"], again["skipped"]) == (["item-7"], ["b", "a"])
    for name in ("a", "item-2", "item-5", "item-7"):
        assert ok("job", "next", "j", "--agent", name, cwd=job).json["item_id"] == name
    assert "1 wait for other items" in call("job", "next", "j", cwd=job).err
    assert "waiting for other items: 1" in ok("job", "show", "j", cwd=job).out
    ok("job", "done", "j", "a", "--failed", "--no-retry", cwd=job)
    assert "for a, given up: 'prodigy-git dlq retry'" in call("job", "next", "j", cwd=job).err
    assert "given up: a (dead), 1 wait for it" in ok("job", "show", "j", cwd=job).out
    ok(
        "job",
        "start",
        "k",
        "--items",
        tmp_path / "more",
        "--json-path",
        "$.x",
        "--no-order",
        cwd=job,
    )
    assert ok("job", "next", "k", cwd=job).json["item_id"] == "b"


def test_a_failed_end_waits_its_backoff(job, events):
    ok("job", "next", "j", "--item", "a", cwd=job)
    ok("job", "done", "j", "a", "--failed", cwd=job)
    ok("job", "next", "j", "--item", "a", cwd=job)
    ok("job", "done", "j", "a", "--attempt", "2", "--failed", "--backoff", "1h", cwd=job)
    ok("job", "next", "j", "--item", "item-2", cwd=job)
    ok("job", "done", "j", "item-2", "--failed", "--backoff", "0s", cwd=job)
    waits = [one["backoff_ms"] for one in events("j") if one["type"] == "AgentRetrying"]
    assert waits == [1000, 60_000]
    assert ok("job", "next", "j", cwd=job).json["item_id"] == "item-2"


def test_who_works_on_is_said_when_others_end_it(job):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    ok("job", "next", "j", "--item", "a", "--agent", "a1", "--owner-pid", child.pid, cwd=job)
    made = ok("new-worktree", "--job", "j", "--agent", "a1", "--item", "a", "--json", cwd=job).json
    said = f"item a: agent a1 works on, process {child.pid} on "
    assert said in ok("job", "pause", "j", cwd=job).err
    failed = ok("job", "finish", "j", "--failed", "no more", "--json", cwd=job)
    assert said in failed.err
    assert [one["item_id"] for one in failed.json["in_progress_items"]] == ["a"]
    again = ok("job", "reopen", "j", "--json", cwd=job).json
    assert (again["status"], again["phase"], again["pending"]) == ("running", "map", 1)
    (row,) = ok("job", "show", "j", "--json", cwd=job).json["in_progress_items"]
    assert row["agent_id"] == "a1"
    ended = ok("finish", made["session_id"], "--failed", "--error", "stuck", cwd=job)
    assert f"process {child.pid} on " in ended.err
    child.communicate(b"\n")


def test_a_job_that_was_cleaned_is_not_listed(job, store):
    shutil.rmtree(store / "events/repo/j")
    folder = store / "state/repo/mapreduce/jobs/j"
    for path in folder.glob("*.json"):
        path.unlink()
    assert (folder / "items.jsonl").exists()
    assert ok("job", "list", "--json", cwd=job).json == []
