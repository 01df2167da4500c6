"""A MapReduce of Prodigy's is a job to whoever looks, and nobody's to take a step on."""

import pytest
from support_cli import ok, refused
from support_prodigy import (
    FAILED_JOB,
    FAILED_SESSION,
    INTERRUPTED_JOB,
    INTERRUPTED_SESSION,
    ITEMS,
    Whole,
    dead_letter,
    event_log,
    every_record,
    failure,
    job_checkpoint,
    prodigy_store,
)


@pytest.fixture
def whole(store, repo, monkeypatch) -> Whole:
    """Make what Prodigy leaves, in a store that knows nothing of the repository."""
    store.mkdir()
    monkeypatch.chdir(repo)
    return prodigy_store(store, repo)


def test_runs_are_listed_with_their_state(whole):
    rows = {one["job_id"]: one for one in ok("job", "list", "--json").json}
    assert {
        name: (one["program"], one["status"], one["total_items"], one["completed"], one["dead"])
        for name, one in rows.items()
    } == {
        FAILED_JOB: ("prodigy", "completed", 4, 3, 1),
        INTERRUPTED_JOB: ("prodigy", "interrupted", 4, 2, 0),
    }
    assert {one["repo"] for one in rows.values()} == {"repo"}
    assert "interrupted (Prodigy)" in ok("job", "list").out
    everywhere = ok("job", "list", "--all-repos", "--json", cwd=whole.store).json
    assert everywhere == list(rows.values())


def test_a_run_that_is_over(whole):
    found = ok("job", "show", FAILED_JOB, "--json").json
    assert (found["phase"], found["events"], found["commits"]) == ("complete", 0, 3)
    run = found["prodigy"]
    assert (run["session_id"], run["branch"]) == (FAILED_SESSION, f"prodigy-{FAILED_SESSION}")
    assert run["items_known"]
    assert run["next"] == [
        f"'prodigy worktree merge {FAILED_SESSION}' merges it into main",
        f"'prodigy-git import {FAILED_JOB}' takes it over, so that what failed can be tried again (1)",
    ]
    text = ok("job", "show", FAILED_JOB).out
    assert "a run of Prodigy's" in text
    assert f"next: prodigy worktree merge {FAILED_SESSION}\n  merges it into main\n" in text


def test_a_run_that_was_interrupted(whole):
    found = ok("job", "show", INTERRUPTED_JOB, "--json").json
    at = whole.interrupted.agents
    assert {
        (one["item_id"], one["worktree"], one["alive"]) for one in found["in_progress_items"]
    } == {(item, str(path), False) for item, path in at.items()}
    assert found["prodigy"]["at_work"] is None
    assert not found["prodigy"]["items_known"]  # nothing says that there were no more
    assert f"prodigy-git import {INTERRUPTED_JOB}" in found["prodigy"]["next"][0]
    job_checkpoint(whole.store, INTERRUPTED_SESSION, INTERRUPTED_JOB, items=[*ITEMS, {"id": "a5"}])
    found = ok("job", "show", INTERRUPTED_JOB, "--json").json
    assert (found["total_items"], found["pending"]) == (5, 1)
    assert found["prodigy"]["items_known"]


def test_the_queue(whole):
    (item,) = ok("dlq", "list", "--job", FAILED_JOB, "--json").json
    assert item == ok("dlq", "list", "--all-jobs", "--json").json[0]
    assert item["work_item"]["data"] == ITEMS[2]
    (tried,) = item["failure_history"]
    assert (tried["error"], tried["error_type"]) == ("Agent failed", "Unknown")
    assert item["worktree"] == str(whole.failed.agents["item_2"])
    text = ok("dlq", "show", "item_2", "--job", FAILED_JOB).out
    assert '"f": "three"' in text
    assert "Agent failed" in ok("dlq", "list", "--job", FAILED_JOB).out  # and no hash of it
    counted = ok("dlq", "stats", "--job", FAILED_JOB, "--json").json
    assert (counted["items"], counted["signatures"]) == (1, {"Agent failed": 1})


def test_an_errors_type_may_have_fields(whole):
    tried = [failure(1, error_type={"CommandFailed": {"exit_code": 3}}), failure(2, error="again")]
    dead_letter(whole.store, FAILED_SESSION, FAILED_JOB, "item_2", ITEMS[2], history=tried)
    found = ok("dlq", "show", "item_2", "--job", FAILED_JOB, "--json").json
    assert [one["error_type"] for one in found["failure_history"]] == [
        {"CommandFailed": {"exit_code": 3}}, "Unknown",
    ]  # fmt: skip
    shown = ok("job", "show", FAILED_JOB, "--json").json
    assert (shown["attempts"], shown["failed_attempts"]) == (5, 2)


@pytest.mark.parametrize(
    "words",
    [
        "dlq retry item_2 --job {}", "dlq retry --reprocess-all-eligible --job {}",
        "dlq retry item_2 --dry-run --job {}", "dlq clear --all --yes --job {}",
        "job next {}", "job pause {}", "job finish {}", "job done {} item_2",
    ],
)  # fmt: skip
def test_no_step_is_taken_on_a_run(whole, words):
    said = refused(*words.format(FAILED_JOB).split())
    assert f"'prodigy-git import {FAILED_JOB}' takes it over" in said
    assert not (whole.store / "state" / "repo" / "mapreduce").exists()


def test_what_a_log_of_its_own_says_counts_too(whole):
    job, session = "mapreduce-20260301_120001", "session-33333333-3333-4333-8333-333333333333"
    event_log(whole.store, session, job, every_record(job))
    found = ok("job", "show", f"{session}/{job}", "--json").json
    assert (found["total_items"], found["completed"], found["events"]) == (4, 1, 27)
    assert (found["attempts"], found["failed_attempts"]) == (3, 2)
