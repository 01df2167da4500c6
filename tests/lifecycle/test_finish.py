"""finish: how a session ends, once, with the commits that survive."""

import json
from pathlib import Path

import pytest
from support_cli import call, foreign_session, new, ok, refused, rewrite_session, session_file
from support_cli import write_hooks as hooks_into


@pytest.fixture
def hooked(repo):
    hooks_into(repo / ".git" / "hooks")
    return repo


def types(log, *wanted):
    return [event for event in log if event["type"] in wanted]


ENDINGS = ("AgentCompleted", "AgentFailed", "SessionFinished")


@pytest.mark.parametrize("where", ["inside", "by name"])
def test_an_agents_session_completes(hooked, store, git, events, where, tmp_path):
    made = new(hooked, "w1", "--job", "j", "--agent", "a", "--item", "i")
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=made["worktree"])
    sha = git("rev-parse", "HEAD", cwd=made["worktree"])
    name, cwd = ((), made["worktree"]) if where == "inside" else (("w1",), tmp_path)
    done = ok("finish", *name, "--log", "agent.json", "--json", cwd=cwd).json
    assert (done["status"], done["commits"]) == ("Completed", [sha])
    agent, session = types(events("j"), *ENDINGS)
    assert agent["type"] == "AgentCompleted"
    assert agent["commits"] == [sha]
    assert agent["json_log_location"] == f"{cwd}/agent.json"
    assert set(agent["duration"]) == {"secs", "nanos"}
    assert [agent[k] for k in ("job_id", "session_id", "agent_id", "item_id")] == [
        "j", "w1", "a", "i",
    ]  # fmt: skip
    assert (session["type"], session["status"]) == ("SessionFinished", "Completed")
    fields = session_file(store, "w1")
    assert (fields["status"], fields["error"]) == ("Completed", None)
    assert fields["completed_at"] >= fields["started_at"]
    assert set(fields["timings"]["total"]) == {"secs", "nanos"}
    assert "finishing" not in fields["metadata"]


def test_ends_that_only_the_log_has_are_listed_and_noted_for_each_of_many(repo, store):
    names = ["w1", "w2", "w3"]
    before = {}
    for name in names:
        new(repo, name, "--job", "j", "--agent", f"agent-of-{name}")
        before[name] = (store / "sessions" / f"{name}.json").read_bytes()
        ok("finish", name, cwd=repo)
    new(repo, "w4", "--job", "j")
    ok("job", "list", cwd=repo)  # its index is up to the log
    for look in (("sessions", "list", "--json"), ("worktree", "ls", "--json")):
        for name, text in before.items():
            (store / "sessions" / f"{name}.json").write_bytes(text)
        found = {one["session_id"]: one["status"] for one in ok(*look, cwd=repo).json}
        assert {found[name] for name in names} == {"Completed"}
        assert found["w4"] == "Running"
        assert {session_file(store, name)["status"] for name in names} == {"Completed"}


def test_failed_with_its_reason(hooked, store, events):
    made = new(hooked, "w1", "--job", "j", "--agent", "a")
    ok("finish", "--failed", "--error", "Timeout", "--log", "/l.json", cwd=made["worktree"])
    agent, session = types(events("j"), *ENDINGS)
    assert agent["type"] == "AgentFailed"
    assert (agent["error"], agent["json_log_location"]) == ("Timeout", "/l.json")
    assert "failure_reason" in agent
    assert isinstance(agent["retry_eligible"], bool)
    assert session["status"] == "Failed"
    assert (session_file(store, "w1")["status"], session_file(store, "w1")["error"]) == (
        "Failed", "Timeout",
    )  # fmt: skip


def test_without_agent_there_is_no_agent_event(hooked, events):
    made = new(hooked, "w1", "--job", "j")
    ok("finish", cwd=made["worktree"])
    assert [event["type"] for event in types(events("j"), *ENDINGS)] == ["SessionFinished"]


@pytest.mark.parametrize("arguments", [("--error", "x"), ("--failed", "--error")])
def test_usage(hooked, arguments):
    made = new(hooked, "w1")
    refused("finish", "w1", *arguments, cwd=made["worktree"], code=2)


def test_twice_is_refused_and_writes_nothing(hooked, store, events):
    made = new(hooked, "w1", "--job", "j", "--agent", "a")
    ok("finish", cwd=made["worktree"])
    before = events("j"), session_file(store, "w1")
    assert "already Completed" in refused("finish", "--failed", cwd=made["worktree"])
    assert (events("j"), session_file(store, "w1")) == before


@pytest.mark.parametrize("name", ["", "../../x", "nobody"])
def test_a_name_that_is_none_does_not_mean_the_worktree_one_stands_in(hooked, store, name):
    made = new(hooked, "w1")
    refused("finish", name, cwd=made["worktree"])
    assert session_file(store, "w1")["status"] == "Running"


def test_where_there_is_no_session(hooked, tmp_path):
    assert "NAME" in refused("finish", cwd=hooked)
    assert "not in a git repository" in refused("finish", cwd=tmp_path)


def test_a_session_of_prodigys_own_is_not_ours_to_finish(repo, store):
    foreign_session(store, "theirs", status="Running", completed_at=None)
    assert "is Prodigy's" in refused("finish", "theirs", cwd=repo)


def test_only_surviving_commits_oldest_first(hooked, git, events):
    made = new(hooked, "w1", "--job", "j", "--agent", "a")
    cwd = made["worktree"]

    def commit(*arguments):
        git("commit", "-q", "--allow-empty", "-m", f"{len(events('j'))}", *arguments, cwd=cwd)
        return git("rev-parse", "HEAD", cwd=cwd)

    first = commit()
    amended_away = commit()
    second = commit("--amend")
    reset_away = commit()
    git("reset", "-q", "--hard", "HEAD~1", cwd=cwd)
    third = commit()
    ok("finish", cwd=cwd)
    log = events("j")
    assert types(log, "AgentCompleted")[0]["commits"] == [first, second, third]
    recorded = [event["commit"] for event in types(log, "CommitCreated")]
    assert recorded == [first, amended_away, second, reset_away, third]


def test_commits_made_with_the_hooks_silenced_are_recorded_first(hooked, git, events):
    made = new(hooked, "w1", "--job", "j", "--agent", "a")
    silenced = {"PRODIGY_GIT_SILENCE": "1"}
    git("commit", "-q", "--allow-empty", "-m", "late", cwd=made["worktree"], env=silenced)
    assert types(events("j"), "CommitCreated") == []
    ok("finish", cwd=made["worktree"])
    log = types(events("j"), "CommitCreated", *ENDINGS)
    assert [e["type"] for e in log] == ["CommitCreated", "AgentCompleted", "SessionFinished"]
    assert log[0]["recovered"] is True
    assert log[1]["commits"] == [log[0]["commit"]]


def test_the_worktree_may_be_gone_already(hooked, git, events):
    made = new(hooked, "w1", "--job", "j", "--agent", "a")
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=made["worktree"])
    sha = git("rev-parse", "HEAD", cwd=made["worktree"])
    git("worktree", "remove", made["worktree"], cwd=hooked)
    ok("finish", "w1", cwd=hooked)
    assert types(events("j"), "AgentCompleted")[0]["commits"] == [sha]


def test_worktree_and_branch_may_be_gone_if_the_work_was_merged(hooked, git):
    made = new(hooked, "w1", "--job", "j")
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=made["worktree"])
    sha = git("rev-parse", "HEAD", cwd=made["worktree"])
    git("worktree", "remove", "--force", made["worktree"], cwd=hooked)
    git("merge", "-q", "--no-ff", "--no-edit", "prodigy-w1", cwd=hooked)
    git("branch", "-q", "-D", "prodigy-w1", cwd=hooked)
    assert ok("finish", "w1", "--json", cwd=hooked).json["commits"] == [sha]


def _killed_before_the_status(hooked, store, monkeypatch_mark=None):
    """Bring about what a finish leaves that was killed between appending and updating."""
    made = new(hooked, "w1", "--job", "j", "--agent", "a")
    (log,) = (store / "events" / "repo" / "j").glob("*.jsonl")
    size = log.stat().st_size
    running = session_file(store, "w1")
    ok("finish", cwd=made["worktree"])
    running["metadata"]["finishing"] = [log.name, size]
    (store / "sessions" / "w1.json").write_text(json.dumps(running))
    return Path(made["worktree"])


def test_killed_between_log_and_status_it_is_not_written_twice(hooked, store, events):
    cwd = _killed_before_the_status(hooked, store)
    ok("finish", cwd=cwd)
    assert [e["type"] for e in types(events("j"), *ENDINGS)] == [
        "AgentCompleted", "SessionFinished",
    ]  # fmt: skip
    fields = session_file(store, "w1")
    assert fields["status"] == "Completed"
    assert "finishing" not in fields["metadata"]


@pytest.mark.parametrize(
    "mark", [["x", "y"], ["", -5], [None, None], "text", [], {}, ["../../x", 0], [[], []]]
)
def test_a_damaged_mark_does_not_stop_it(hooked, store, events, mark):
    cwd = _killed_before_the_status(hooked, store)
    rewrite_session(store, "w1", metadata={"finishing": mark})
    ok("finish", cwd=cwd)
    assert session_file(store, "w1")["status"] == "Completed"
    assert len(types(events("j"), "SessionFinished")) == 1


def test_unknown_fields_survive_commit_and_finish(hooked, store, git):
    made = new(hooked, "w1", "--job", "j", "--agent", "a")
    rewrite_session(
        store, "w1", metadata={"their": {"own": [1, None, "é"]}}, from_the_future={"a": [1.5]},
        timings={"setup": {"secs": 1, "nanos": 2}},
    )  # fmt: skip
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=made["worktree"])
    assert session_file(store, "w1")["metadata"]["commits"] == 1
    assert session_file(store, "w1")["from_the_future"] == {"a": [1.5]}
    ok("finish", cwd=made["worktree"])
    fields = session_file(store, "w1")
    assert fields["status"] == "Completed"
    assert fields["from_the_future"] == {"a": [1.5]}
    assert fields["metadata"]["their"] == {"own": [1, None, "é"]}
    assert fields["timings"]["setup"] == {"secs": 1, "nanos": 2}


@pytest.mark.parametrize("metadata", [{"repo": "../../x"}, {"repo": "a/b"}])
@pytest.mark.parametrize("job", ["../../../escaped", "a/b", ""])
def test_unsafe_ids_in_a_session_file_lead_nowhere(hooked, store, metadata, job, tmp_path):
    new(hooked, "w1", "--job", "j", "--agent", "a")
    data = {**session_file(store, "w1")["mapreduce_data"], "job_id": job or "j"}
    rewrite_session(store, "w1", metadata=metadata if not job else {}, mapreduce_data=data)
    before = sorted(p for p in tmp_path.rglob("*") if "locks" not in p.parts)
    assert "not a safe name" in refused("finish", "w1", cwd=hooked)
    assert "w1" in call("sessions", "list", cwd=hooked).err
    assert sorted(p for p in tmp_path.rglob("*") if "locks" not in p.parts) == before
