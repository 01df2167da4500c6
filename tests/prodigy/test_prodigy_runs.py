"""What Prodigy left in the store is found, read and joined to its repository; nothing is written."""

import os
from pathlib import Path

import pytest
from support_prodigy import (
    BEGAN,
    FAILED_JOB,
    FAILED_SESSION,
    INTERRUPTED_JOB,
    ITEMS,
    LATER,
    WORKFLOW,
    WORKFLOW_STARTED,
    Whole,
    dead_letter,
    event_log,
    every_record,
    failure,
    git,
    job_checkpoint,
    prodigy_store,
    session_file,
    worktree_state,
)

from prodigy_git.prodigy import checkpoints as their_checkpoints
from prodigy_git.prodigy import dead_letters as their_dead_letters
from prodigy_git.prodigy import events as their_events
from prodigy_git.prodigy import runs as their_runs
from prodigy_git.record import repokey


@pytest.fixture
def whole(store: Path, repo: Path) -> Whole:
    store.mkdir()
    repokey.take(str(store), f"{repo}/.git")
    return prodigy_store(store, repo)


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return mode, time and contents of everything below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path)] = (about.st_mode, about.st_mtime_ns, data)
    return found


def test_each_run_is_found_with_its_repository_and_state(whole):
    before = tree(whole.store)
    found = {run.job_id: run for run in their_runs.runs(str(whole.store), broken=pytest.fail)}
    assert set(found) == {FAILED_JOB, INTERRUPTED_JOB, WORKFLOW}
    assert {run.repo for run in found.values()} == {"repo"}
    failed = found[FAILED_JOB]
    assert failed.kind == "MapReduce"
    assert failed.key == failed.session_id == FAILED_SESSION
    assert failed.state == "completed"
    assert (failed.began, failed.ended) == (BEGAN, LATER)
    assert failed.worktree == str(whole.failed.worktree)
    assert failed.branch == whole.failed.branch
    assert failed.target == "main"
    assert found[INTERRUPTED_JOB].state == "interrupted"
    assert found[INTERRUPTED_JOB].ended == LATER
    workflow = found[WORKFLOW]
    assert (workflow.kind, workflow.state, workflow.workflow) == ("Workflow", "failed", "seq")
    assert workflow.error == "Step 'shell: exit 4' failed with exit code 4"
    assert tree(whole.store) == before


def test_a_log_that_is_called_after_the_second_before_its_job_is_no_run(whole):
    early = whole.store / "events" / FAILED_SESSION / "mapreduce-20260301_100000"
    early.mkdir(parents=True)
    log = early / "events-20260301_100000.jsonl"
    log.touch()
    known = {FAILED_JOB, INTERRUPTED_JOB, WORKFLOW}
    assert {run.job_id for run in their_runs.runs(str(whole.store))} == known
    assert their_runs.run_of(str(whole.store), "repo", early.name) is None
    log.write_text("{}")  # what says something is not passed over
    assert {run.job_id for run in their_runs.runs(str(whole.store))} == {*known, early.name}


def test_runs_of_one_repository_are_its_own(whole, tmp_path):
    other = tmp_path / "elsewhere" / "repo"
    other.parent.mkdir()
    git("clone", "-q", whole.repo, other, cwd=tmp_path)
    key = repokey.take(str(whole.store), f"{other}/.git")
    assert their_runs.runs(str(whole.store), key) == []
    assert len(their_runs.runs(str(whole.store), "repo")) == 3
    one = their_runs.run_of(str(whole.store), "repo", FAILED_JOB)
    assert one is not None
    assert one.job_id == FAILED_JOB
    assert their_runs.run_of(str(whole.store), key, FAILED_JOB) is None
    assert their_runs.run_of(str(whole.store), "repo", "../etc") is None


def test_a_run_whose_worktree_is_gone_is_joined_by_its_branch(whole):
    git("worktree", "remove", "--force", whole.workflow, cwd=whole.repo)
    one = their_runs.run_of(str(whole.store), "repo", WORKFLOW)
    assert one is not None
    assert not one.exists
    git("branch", "-q", "-D", f"prodigy-{WORKFLOW}", cwd=whole.repo)
    assert their_runs.run_of(str(whole.store), "repo", WORKFLOW) is None
    unproven = their_runs.run_of(str(whole.store), None, WORKFLOW)
    assert unproven is not None
    assert unproven.repo is None


def test_a_worktree_that_git_does_not_know_proves_nothing(whole, tmp_path):
    git("worktree", "remove", "--force", whole.workflow, cwd=whole.repo)
    git("branch", "-q", "-D", f"prodigy-{WORKFLOW}", cwd=whole.repo)
    whole.workflow.mkdir()
    (whole.workflow / ".git").write_text((whole.failed.worktree / ".git").read_text())
    assert their_runs.run_of(str(whole.store), "repo", WORKFLOW) is None


def test_a_run_at_the_documented_place_is_the_repository_s(whole):
    dead_letter(whole.store, "repo", "mapreduce-123", "item_0", {"n": 1}, documented=True)
    one = their_runs.run_of(str(whole.store), "repo", "mapreduce-123")
    assert one is not None
    assert (one.key, one.session_id, one.state) == ("repo", None, "unknown")


def test_jobs_of_ours_are_no_runs(whole, prodigy):
    items = whole.repo.parent / "items.json"
    items.write_text('[{"id": "x"}]')
    prodigy("install", cwd=whole.repo, check=True)
    prodigy("job", "start", "mine", "--items", items, cwd=whole.repo, check=True)
    prodigy("new-worktree", "--job", "mine", cwd=whole.repo, check=True)
    assert len(their_runs.runs(str(whole.store))) == 3


def test_an_agent_is_known_by_its_item(whole):
    one = their_runs.run_of(str(whole.store), "repo", INTERRUPTED_JOB)
    assert one is not None
    states = their_runs.agent_states(str(whole.store), one)
    assert {item: state.worktree for item, state in states.items()} == {
        item: str(path) for item, path in whole.interrupted.agents.items()
    }
    assert {state.original_branch for state in states.values()} == {whole.interrupted.branch}


def test_a_dead_letter_has_its_data_and_its_errors(whole):
    history = [
        failure(1, error="first", error_type={"CommandFailed": {"exit_code": 3}}),
        failure(2, error="second", error_type="Timeout", json_log_location="/tmp/log.json"),
    ]
    dead_letter(whole.store, FAILED_SESSION, FAILED_JOB, "item_2", ITEMS[2], history=history)
    run = their_runs.run_of(str(whole.store), "repo", FAILED_JOB)
    (item,) = their_dead_letters.dead_letters(str(whole.store), run, broken=pytest.fail)
    assert item.work_item == {"id": "item_2", "data": ITEMS[2]}
    assert [one.said for one in item.failure_history] == ["first", "second"]
    assert [one.reason for one in item.failure_history] == ["CommandFailed", "Timeout"]
    assert item.failure_history[1].json_log_location == "/tmp/log.json"
    assert item.failure_history[0].timestamp == LATER
    assert item.failure_count == 2
    assert item.reprocess_eligible is False


def test_every_record_is_read_with_its_nanoseconds(whole):
    records = every_record(FAILED_JOB)
    event_log(whole.store, FAILED_SESSION, FAILED_JOB, records)
    run = their_runs.run_of(str(whole.store), "repo", FAILED_JOB)
    found = list(their_events.events(str(whole.store), run, broken=pytest.fail))
    assert [one.timestamp for one in found] == [one["timestamp"] for one in records]
    assert [one.id for one in found] == [one["id"] for one in records]
    by_type = {one.type: one for one in found}
    assert by_type["JobStarted"].own()["total_items"] == 4
    assert by_type["DLQItemAdded"].own()["error_signature"] == "cafe"
    assert by_type["AgentCompleted"].own()["duration"] == {"secs": 7, "nanos": 250000000}
    assert sum(one.type == "AgentFailed" for one in found) == 2
    assert len(by_type) == 25


def test_the_checkpoint_of_a_job_says_what_is_done(whole):
    job_checkpoint(
        whole.store, FAILED_SESSION, FAILED_JOB, version=1, completed={"item_0": ["a" * 40]}
    )
    job_checkpoint(
        whole.store, FAILED_SESSION, FAILED_JOB, version=2,
        completed={"item_0": ["a" * 40]}, failed={"item_2": "boom"},
    )  # fmt: skip
    run = their_runs.run_of(str(whole.store), "repo", FAILED_JOB)
    found = their_checkpoints.job_checkpoint(str(whole.store), run, broken=pytest.fail)
    assert found.version == 2
    assert list(found.items.values()) == ITEMS
    assert found.completed == {"item_0": ("a" * 40,)}
    assert found.failed == {"item_2": "boom"}
    assert found.pending == ("item_1", "item_3")
    newest = Path(run.checkpoints) / "checkpoint-v2.json"
    newest.write_text(newest.read_text()[:100])
    told: list[str] = []
    older = their_checkpoints.job_checkpoint(str(whole.store), run, broken=told.append)
    assert older.version == 1
    assert len(told) == 1
    assert str(newest) in told[0]


def test_the_checkpoint_of_a_workflow_has_its_steps_and_no_environment(whole):
    run = their_runs.run_of(str(whole.store), "repo", WORKFLOW)
    (found,) = their_checkpoints.workflow_checkpoints(str(whole.store), run, broken=pytest.fail)
    assert found.workflow_id == WORKFLOW_STARTED
    assert found.next_step == 1
    assert [one.command for one in found.steps] == ["shell: echo a > a.txt"]
    assert found.error == "Step 'shell: exit 4' failed with exit code 4"
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("noted", "status", "expected"),
    [
        ("in_progress", "Running", "open"),
        ("interrupted", "Running", "interrupted"),
        ("interrupted", "Paused", "interrupted"),
        ("merged", "Running", "completed"),
        ("failed", "Running", "failed"),
        ("abandoned", "Running", "cancelled"),
        ("in_progress", "Failed", "failed"),
        ("in_progress", "Cancelled", "cancelled"),
    ],
)
def test_the_state_is_what_the_files_prove(whole, noted, status, expected):
    session_file(whole.store, WORKFLOW, status=status)
    worktree_state(whole.store, "repo", WORKFLOW, status=noted)
    assert their_runs.run_of(str(whole.store), "repo", WORKFLOW).state == expected


def test_many_foreign_folders_are_passed_by_without_reading_them(store, repo, monkeypatch):
    store.mkdir()
    repokey.take(str(store), f"{repo}/.git")
    for number in range(300):
        (store / "worktrees" / f"session-{number}" / ".metadata").mkdir(parents=True)
        event_log(store, f"session-{number}", f"mapreduce-{number}")
    opened = []
    real = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *more, **named: opened.append(path) or real(path, *more, **named)
    )
    assert their_runs.runs(str(store), "repo") == []
    assert len(opened) < 100
