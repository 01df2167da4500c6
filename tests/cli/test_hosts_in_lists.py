"""Lists name the host where a hub has several; and what is another host's is left alone."""

import os

import pytest
from support_cli import call, new, ok, snapshot
from support_json_documented import wrong
from support_other_hosts import AWAY, BUILD, claimed, join, pulled, tell
from support_terminal import Terminal

from prodigy_git.store import other_sessions


@pytest.fixture
def shared(repo, store):
    """A job of three items; another host is at work on one and gave one up."""
    ok("install", cwd=repo)
    items = repo / "items.json"
    items.write_text('[{"id": "i0"}, {"id": "i1"}, {"id": "i2"}]')
    ok("job", "start", "review", "--items", items, "--max-attempts", "1", cwd=repo)
    items.unlink()
    new(repo, "mine", "--job", "review", "--agent", "mia", "--item", "i2")
    join(store)
    tell(store, BUILD, "s-build", agent_id="ada", item_id="i0", branch="b/i0", worktree="s-build",
         base_branch="main", commits=2)  # fmt: skip
    tell(
        store, BUILD, "s-failed", agent_id="bob", item_id="i1", status="Failed", error="no such API"
    )
    pulled(
        store, BUILD,
        claimed(BUILD, "i0", "ada", "s-build", lease=60),
        ("CommitCreated", 4, {"session_id": "s-build", "agent_id": "ada", "item_id": "i0",
                              "commit": "1" * 40, "parent": "2" * 40, "subject": "Theirs"}),
        claimed(BUILD, "i1", "bob", "s-failed", lease=60),
        ("AgentFailed", 1, {"session_id": "s-failed", "agent_id": "bob", "item_id": "i1",
                            "attempt": 1, "error": "no such API", "retry_eligible": False}),
        ("DLQItemAdded", 1, {"item_id": "i1", "agent_id": "bob", "session_id": "s-failed",
                             "attempt": 1, "error_signature": "no such API"}),
    )  # fmt: skip
    return repo


def by(rows, key):
    return {one[key]: one for one in rows}


def test_sessions_list_has_those_of_all_hosts(shared):
    found = by(ok("sessions", "list", "--json", cwd=shared).json, "session_id")
    assert {name: one["host"] for name, one in found.items() if name != "repo"}.items() >= {
        "mine": "desk", "s-build": "build-7", "s-failed": "build-7",
    }.items()  # fmt: skip
    assert found["s-build"]["host_id"] == str(BUILD)
    assert found["s-build"]["worktree"] is None
    assert found["s-failed"]["error"] == "no such API"
    assert wrong(list(found.values()), "list of session", "sessions list", set()) == []
    running = ok("sessions", "list", "--status", "Failed", "--json", cwd=shared).json
    assert [one["session_id"] for one in running] == ["s-failed"]
    assert "HOST" in _screen("sessions", "list", cwd=shared)


def test_one_session_is_shown_as_far_as_it_was_told(shared):
    found = ok("sessions", "show", "s-build", "--json", cwd=shared).json
    assert (found["host"], found["branch"], found["worktree"]) == ("build-7", "b/i0", None)
    assert "host: build-7" in ok("sessions", "show", "s-build", cwd=shared).out
    assert wrong(found, "session", "sessions show", set()) == []


def test_worktree_ls_names_the_host_and_no_path(shared):
    found = by(ok("worktree", "ls", "--json", cwd=shared).json, "name")
    assert (found["mine"]["host"], found["s-build"]["host"]) == ("desk", "build-7")
    assert found["s-build"]["worktree"] is None
    assert "s-failed" not in found
    assert wrong(list(found.values()), "list of worktree", "worktree ls", set()) == []
    done = call("worktree", "ls", "--all-repos", cwd=shared)
    assert ("build-7" in done.out, "is gone" in done.err) == (True, False)


def test_job_show_and_dlq_list_name_the_host(shared):
    found = by(
        ok("job", "show", "review", "--json", cwd=shared).json["in_progress_items"], "item_id"
    )
    assert {name: one["host"] for name, one in found.items()} == {"i0": "build-7", "i2": "desk"}
    assert "i0: ada, attempt 1" in (text := ok("job", "show", "review", cwd=shared).out)
    assert "on build-7" in text
    (item,) = ok("dlq", "list", "--job", "review", "--json", cwd=shared).json
    assert (item["host"], item["worktree"], item["branch"]) == ("build-7", None, None)
    assert wrong([item], "list of queued-item", "dlq list", set()) == []
    assert "build-7" in ok("dlq", "list", "--job", "review", cwd=shared).out
    own = new(shared, "s-failed", "--job", "review", "--agent", "another")
    (item,) = ok("dlq", "list", "--job", "review", "--json", cwd=shared).json
    assert item["host"] == "build-7"
    assert own["worktree"] not in ok("dlq", "show", "i1", "--job", "review", cwd=shared).out


def test_explain_says_on_which_host(shared):
    found = ok("explain", "s-build", "--json", cwd=shared).json
    assert (found["host"], found["worktree_state"], found["worktree"]) == (
        "build-7",
        "elsewhere",
        None,
    )
    assert found["next"] == []
    text = ok("explain", "s-build", cwd=shared).out
    assert "build-7" in text
    assert "gone" not in text
    (attempt,) = ok("explain", "i0", "--job", "review", "--json", cwd=shared).json["attempts"]
    assert (attempt["host"], attempt["worktree_state"]) == ("build-7", "elsewhere")
    assert "on host build-7" in ok("explain", "i0", "--job", "review", cwd=shared).out


def test_explain_of_a_commit_and_of_an_item_knows_sessions_of_one_name_apart(shared, store, git):
    sha = git("rev-parse", "HEAD", cwd=shared)
    tell(store, BUILD, "mine", agent_id="joe", item_id="i0", branch="b/theirs")
    pulled(store, BUILD, ("CommitCreated", 1, {
        "session_id": "mine", "agent_id": "joe", "item_id": "i0", "commit": sha, "subject": "Start",
    }))  # fmt: skip
    (recorded,) = ok("explain", sha, "--json", cwd=shared).json["recorded"]
    assert (recorded["host"], recorded["worktree_state"]) == ("build-7", "elsewhere")
    assert wrong(recorded, "recorded", "explain", set()) == []
    assert "on host build-7" in ok("explain", sha, cwd=shared).out
    (attempt,) = ok("explain", "i2", "--as", "item", "--json", cwd=shared).json["attempts"]
    assert (attempt["session_id"], attempt["worktree_state"]) == ("mine", "there")


def test_a_report_names_the_host_and_calls_nobody_there_stuck(shared, store):
    tell(store, BUILD, "s-quiet", agent_id="zoe", minutes=6000)
    pulled(store, BUILD, ("AgentStarted", 6000, {"session_id": "s-quiet", "agent_id": "zoe"}))
    found = by(ok("report", "--job", "review", "--json", cwd=shared).json["attempts"], "session_id")
    assert {name: one["host"] for name, one in found.items()} == {
        "s-build": "build-7", "s-failed": "build-7", "s-quiet": "build-7", "mine": "desk",
    }  # fmt: skip
    assert found["s-quiet"]["outcome"] == "running"
    assert wrong(list(found.values()), "list of report-attempt", "report", set()) == []


def test_a_job_that_is_only_a_session_of_another_host_is_none(shared, store):
    tell(store, BUILD, "s-alone", job="s-alone")
    pulled(store, BUILD, ("SessionStarted", 0, {"session_id": "s-alone"}), job="s-alone")
    assert [one["job_id"] for one in ok("job", "list", "--json", cwd=shared).json] == ["review"]
    (found,) = ok("status", "--json", cwd=shared).json["repositories"]
    assert [one["job_id"] for one in found["jobs"]] == ["review"]
    assert "s-alone" in {one["session_id"] for one in found["agents"]}
    assert ok("report", "--json", cwd=shared).json["job"]["job_id"] == "review"


def _screen(*arguments, cwd, columns=60):
    terminal = Terminal(*arguments, cwd=cwd, columns=columns)
    code = terminal.end()
    terminal.close()
    text = terminal.text().replace("\r", "")
    assert code == 0, text
    # A command is there to be copied, and is not wrapped.
    lines = [line for line in text.splitlines() if not line.startswith("    prodigy-git ")]
    assert all(len(line) <= columns for line in lines)
    return text


def test_a_narrow_terminal_holds_them(shared):
    for arguments in (
        ("sessions", "list"), ("worktree", "ls"), ("dlq", "list", "--job", "review"), ("status",),
    ):  # fmt: skip
        text = _screen(*arguments, cwd=shared)
        assert "HOST" in text, arguments
        assert "build-7" in text, arguments


COMMANDS = [
    ("finish", "s-build"),
    ("finish", "s-build", "--failed", "--error", "x"),
    ("stop", "s-build"),
    ("worktree", "clean", "s-build"),
    ("worktree", "clean", "-f", "s-build"),
    ("worktree", "restore", "s-build"),
    ("worktree", "show", "s-build"),
    ("worktree", "path", "s-build"),
    ("worktree", "env", "s-build"),
    ("resume", "s-build"),
    ("sync", "--session", "s-build"),
    ("verify", "--session", "s-build"),
    ("setup", "run", "s-build"),
    ("diff", "s-build"),
    ("logs", "s-build"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_nothing_is_done_here_to_a_session_of_another_host(shared, store, arguments):
    before = snapshot(store / "sessions", store / "events", store / "hub", store / "worktrees")
    done = call(*arguments, cwd=shared)
    assert done.code != 0
    said = done.out + done.err
    assert "build-7" in said
    assert "Traceback" not in said
    assert said.count("\n") == 1
    assert (
        snapshot(store / "sessions", store / "events", store / "hub", store / "worktrees") == before
    )


def test_cleaning_passes_them_by(shared, store):
    """By age, all of it, and what has drifted apart."""
    tell(store, AWAY, "s-old", status="Completed", minutes=60 * 24 * 400)
    there = {one.id for one in other_sessions.read(str(store), None, ended=True)}
    for arguments in (
        ("sessions", "clean", "--older-than", "0d"),
        ("worktree", "clean", "--all"),
        ("clean", "--older-than", "0d", "--yes"),
        ("doctor", "--fix"),
    ):
        done = call(*arguments, cwd=shared)
        assert "s-build" not in done.out + done.err, (arguments, done)
        assert "s-old" not in done.out + done.err, (arguments, done)
    assert {one.id for one in other_sessions.read(str(store), None, ended=True)} == there
    assert os.path.isdir(store / "worktrees" / "repo" / "mine")
