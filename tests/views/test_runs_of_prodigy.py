"""Runs of Prodigy's in the views: shown as such, without a false alarm or advice that harms."""

import os

import pytest
from support_cli import ok, refused, snapshot
from support_prodigy import (
    FAILED_JOB,
    FAILED_SESSION,
    INTERRUPTED_JOB,
    INTERRUPTED_SESSION,
    ITEMS,
    WORKFLOW,
    Whole,
    event_log,
    every_record,
    prodigy_store,
)


@pytest.fixture
def whole(store, repo, monkeypatch) -> Whole:
    """Make what Prodigy leaves, in a store that knows nothing of the repository."""
    store.mkdir()
    monkeypatch.chdir(repo)
    return prodigy_store(store, repo)


def overview():
    (found,) = ok("status", "--json").json["repositories"]
    return found


def test_status_shows_runs_as_prodigys(whole):
    found = overview()
    assert {(one["job_id"], one["program"], one["status"]) for one in found["jobs"]} == {
        (FAILED_JOB, "prodigy", "completed"), (INTERRUPTED_JOB, "prodigy", "interrupted"),
    }  # fmt: skip
    assert found["agents"] == []  # nobody of ours is dead, or has failed
    assert found["without_session"] == []
    assert found["queued"] == 1
    text = ok("status").out
    assert "interrupted (Prodigy)" in text


def test_status_advises_what_goes_on_with_them(whole):
    advice = {one["what"]: one["commands"] for one in overview()["advice"]}
    assert advice[f"Prodigy's run {FAILED_JOB} is completed: of 4 items 1 failed"] == [
        f"prodigy worktree merge {FAILED_SESSION}", f"prodigy-git import {FAILED_JOB}",
    ]  # fmt: skip
    assert advice[f"Prodigy's run {INTERRUPTED_JOB} was interrupted: of 4 items 2 under way"] == [
        f"prodigy-git import {INTERRUPTED_JOB}"
    ]
    every = " ".join(command for commands in advice.values() for command in commands)
    for harmful in ("adopt", "dlq retry", "prodigy-git resume", "job done", "job finish"):
        assert harmful not in every


def test_what_nothing_is_to_do_about_has_ended(whole):
    before = overview()["ended_jobs"]
    queue = whole.store / "dlq" / FAILED_SESSION / FAILED_JOB
    for path in [
        *queue.rglob("*.json"),
        *whole.store.glob(f"worktrees/*/.metadata/{FAILED_SESSION}*"),
    ]:
        path.unlink()
    found = overview()
    assert [one["job_id"] for one in found["jobs"]] == [INTERRUPTED_JOB]
    assert found["ended_jobs"] == before + 1


def test_a_run_that_may_be_at_work_gets_no_advice(whole):
    state = next(whole.store.glob(f"worktrees/*/.metadata/{INTERRUPTED_SESSION}.json"))
    state.write_text(state.read_text().replace('"interrupted"', '"in_progress"'))
    found = overview()
    assert ("open", INTERRUPTED_JOB) in {(one["status"], one["job_id"]) for one in found["jobs"]}
    assert not any(INTERRUPTED_JOB in one["what"] for one in found["advice"])
    shown = ok("job", "show", INTERRUPTED_JOB, "--json").json
    assert "its files were written" in shown["prodigy"]["at_work"]
    assert {one["alive"] for one in shown["in_progress_items"]} == {None}
    long_ago = 1_700_000_000
    for path in whole.store.rglob("*"):
        if INTERRUPTED_SESSION in str(path) and not path.is_symlink():
            os.utime(path, (long_ago, long_ago))
    advice = {one["what"]: one["commands"] for one in overview()["advice"]}
    assert advice[
        f"Prodigy's run {INTERRUPTED_JOB} has stopped without a word: of 4 items 2 under way"
    ] == [f"prodigy-git import {INTERRUPTED_JOB}"]


def test_what_was_taken_over_is_a_job_of_ours(whole):
    ok("import")
    rows = {one["job_id"]: one for one in ok("job", "list", "--json").json}
    assert {one["program"] for one in rows.values()} == {"prodigy-git"}
    assert ok("job", "show", FAILED_JOB, "--json").json["prodigy"] is None
    ok("dlq", "retry", "item_2", "--force", "--job", FAILED_JOB)
    assert ok("dlq", "list", "--job", FAILED_JOB, "--json").json == []
    assert ok("job", "next", FAILED_JOB).json["work_item"]["data"] == ITEMS[2]


def test_no_worktree_that_prodigy_may_go_on_with_is_advised_to_be_cleaned(whole):
    ok("import")
    advice = [command for one in overview()["advice"] for command in one["commands"]]
    looks = [command for command in advice if command.startswith("prodigy-git worktree")]
    assert looks
    assert {command.split()[2] for command in looks} == {"show"}
    for command in looks:
        ok(*command.split()[1:])


def test_nobody_who_looks_leaves_a_trace(whole, monkeypatch):
    before = snapshot(whole.store, whole.repo)
    for words in (
        "job list", f"job show {FAILED_JOB}", "dlq list --all-jobs",
        f"dlq show item_2 --job {FAILED_JOB}",
        f"dlq stats --job {FAILED_JOB}", "status", f"explain item_2 --job {FAILED_JOB}",
        f"explain {FAILED_SESSION}", f"report --job {FAILED_JOB} --json", "events ls",
    ):  # fmt: skip
        ok(*words.split())
    refused("dlq", "retry", "item_2", "--job", FAILED_JOB)
    assert snapshot(whole.store, whole.repo) == before


def test_explain_tells_of_an_item(whole):
    found = ok("explain", "item_2", "--job", FAILED_JOB, "--json").json
    assert (found["state"], found["data"], found["repo"]) == ("dead", ITEMS[2], "repo")
    (tried,) = found["attempts"]
    assert (tried["outcome"], tried["error"]) == ("failed", "Agent failed")
    assert found["next"] == ok("job", "show", FAILED_JOB, "--json").json["prodigy"]["next"]
    done = ok("explain", "item_0", "--job", FAILED_JOB, "--json").json
    assert [one["commit"] for one in done["attempts"][0]["commits"]] == whole.failed.commits[
        "item_0"
    ]
    assert done["events"] == {}  # no log has one
    assert FAILED_JOB in refused(
        "explain", "item_2"
    )  # there are two of that name: --job says which


def test_explain_tells_of_agents_sessions_and_jobs(whole):
    agent = ok("explain", f"{FAILED_JOB}_agent_2", "--json").json
    assert [one["item_id"] for one in agent["attempts"]] == ["item_2"]
    session = ok("explain", FAILED_SESSION, "--json").json
    assert (session["job_id"], session["branch"]) == (FAILED_JOB, f"prodigy-{FAILED_SESSION}")
    assert (session["worktree_state"], session["base_branch"]) == ("there", "main")
    assert f"'prodigy worktree merge {FAILED_SESSION}' merges it" in session["next"]
    workflow = ok("explain", WORKFLOW, "--json").json
    assert (workflow["worktree_state"], workflow["worktree"]) == ("there", str(whole.workflow))
    assert workflow["next"] == [f"'prodigy resume {WORKFLOW}' goes on where it stopped"]
    assert f"'prodigy-git job show {FAILED_JOB}'" in refused("explain", FAILED_JOB)


def test_a_retry_that_no_start_tells_of_is_an_attempt_everywhere(whole):
    event_log(whole.store, FAILED_SESSION, FAILED_JOB, every_record(FAILED_JOB))
    found = ok("explain", "item_0", "--job", FAILED_JOB, "--json").json
    assert [one["error"] for one in found["attempts"]][:2] == ["boom 1", "boom 2"]
    report = ok("report", "--job", FAILED_JOB, "--json").json
    shown = ok("job", "show", FAILED_JOB, "--json").json
    assert report["counts"]["events"] == shown["events"] == 27
    assert report["counts"]["failed_attempts"] == 2


def test_events_are_listed_whole_with_their_nanoseconds(whole):
    event_log(whole.store, FAILED_SESSION, FAILED_JOB, every_record(FAILED_JOB))
    rows = ok("events", "ls", "--json").lines
    assert len(rows) == 27
    assert rows[3]["timestamp"] == "2026-03-01T10:00:03.000000003Z"
    assert ok("events", "ls", "--job", FAILED_JOB, "--json").lines == rows
    assert "DLQItemAdded" in {one["type"] for one in rows}
    counted = ok("events", "stats", "--job", FAILED_JOB, "--json").json
    assert counted["events"] == 27
    assert len(ok("events", "search", "boom", "--json").lines) == 2


def test_a_report_of_a_run_that_logged_nothing_has_its_numbers(whole):
    found = ok("report", "--job", FAILED_JOB, "--json").json["job"]
    assert (found["repo"], found["status"], found["completed"], found["dead"]) == (
        "repo", "completed", 3, 1,
    )  # fmt: skip
    done = ok("report", "--json")
    assert done.json["job"]["job_id"] == INTERRUPTED_JOB  # began last


def test_what_our_hooks_recorded_of_a_run_is_one_job_with_it(store, repo, monkeypatch):
    monkeypatch.chdir(repo)
    ok("install")
    prodigy_store(store, repo)
    rows = ok("job", "list", "--json").json
    assert [one["job_id"] for one in rows] == [FAILED_JOB, INTERRUPTED_JOB]
    found = ok("explain", "item_0", "--job", FAILED_JOB, "--json").json
    (tried,) = found["attempts"]
    assert tried["outcome"] == "completed"
    assert tried["started_at"] is not None  # which the hooks know
    assert found["events"]["CommitCreated"] == 1
    shown = ok("job", "show", FAILED_JOB, "--json").json
    assert (shown["total_items"], shown["completed"], shown["attempts"]) == (4, 3, 4)
    assert shown["events"] > 0
    assert not {FAILED_JOB, INTERRUPTED_JOB} & {one["job_id"] for one in overview()["agents"]}
