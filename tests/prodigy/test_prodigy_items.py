"""What became of each item of a MapReduce is told from git, queue, checkpoints and events together."""

import pytest
from support_prodigy import (
    FAILED_JOB,
    FAILED_SESSION,
    INTERRUPTED_JOB,
    INTERRUPTED_SESSION,
    ITEMS,
    Whole,
    event_log,
    every_record,
    git,
    job_checkpoint,
    prodigy_store,
)

from prodigy_git.errors import ProdigyError
from prodigy_git.prodigy import items as their_items
from prodigy_git.prodigy import runs as their_runs
from prodigy_git.record import repokey


@pytest.fixture
def whole(store, repo) -> Whole:
    store.mkdir()
    repokey.take(str(store), f"{repo}/.git")
    return prodigy_store(store, repo)


def of(whole, job):
    run = their_runs.run_of(str(whole.store), "repo", job)
    return run, their_items.items(str(whole.store), run, broken=pytest.fail)


def test_what_was_merged_is_done_with_its_commits_and_the_queue_is_dead(whole):
    _, found = of(whole, FAILED_JOB)
    assert {name: one.outcome for name, one in found.items()} == {
        "item_0": "completed", "item_1": "completed", "item_2": "dead", "item_3": "completed",
    }  # fmt: skip
    assert {n: list(one.commits) for n, one in found.items() if one.commits} == whole.failed.commits
    assert found["item_2"].data == ITEMS[2]
    assert [one.said for one in found["item_2"].failures] == ["Agent failed"]
    assert found["item_0"].data is their_items.UNKNOWN
    assert all(found[name].merged for name in whole.failed.commits)


def test_what_an_agent_was_at_is_under_way(whole):
    run, found = of(whole, INTERRUPTED_JOB)
    assert [one.outcome for one in found.values()] == [
        "completed", "completed", "under_way", "under_way",
    ]  # fmt: skip
    told = their_items.with_input(found, [*ITEMS, {"id": "a5"}], run)
    assert told["item_2"].data == ITEMS[2]
    assert (told["item_4"].outcome, told["item_4"].data) == ("pending", {"id": "a5"})


def test_another_input_is_refused(whole):
    run, found = of(whole, FAILED_JOB)
    with pytest.raises(ProdigyError, match="item_2 has other data"):
        their_items.with_input(found, list(reversed(ITEMS)), run)
    with pytest.raises(ProdigyError, match="the input ends with item_2"):
        their_items.with_input(found, ITEMS[:3], run)


def test_commits_are_known_without_the_run_s_branch(whole):
    git("merge", "-q", "--no-ff", "-m", "all of it", whole.failed.branch, cwd=whole.repo)
    git("worktree", "remove", "--force", whole.failed.worktree, cwd=whole.repo)
    git("branch", "-q", "-D", whole.failed.branch, cwd=whole.repo)
    _, found = of(whole, FAILED_JOB)
    assert {n: list(one.commits) for n, one in found.items() if one.commits} == whole.failed.commits


def test_an_agent_without_a_commit_is_done_without(whole):
    git("branch", f"prodigy-mapreduce-agent-{FAILED_JOB}_agent_4", cwd=whole.repo)
    _, found = of(whole, FAILED_JOB)
    assert (found["item_4"].outcome, found["item_4"].commits) == ("completed", ())


def test_a_checkpoint_knows_what_nobody_began(whole):
    job_checkpoint(
        whole.store, INTERRUPTED_SESSION, INTERRUPTED_JOB, items=[*ITEMS, {"id": "a5"}],
        completed={"item_0": []}, failed={"item_3": "boom"},
    )  # fmt: skip
    _, found = of(whole, INTERRUPTED_JOB)
    assert {name: one.outcome for name, one in found.items()} == {
        "item_0": "completed", "item_1": "completed", "item_2": "under_way", "item_3": "dead",
        "item_4": "pending",
    }  # fmt: skip
    assert found["item_4"].data == {"id": "a5"}
    assert [one.said for one in found["item_3"].failures] == ["boom"]
    assert list(found["item_0"].commits) == whole.interrupted.commits["item_0"]


def test_events_tell_each_try(whole):
    event_log(whole.store, FAILED_SESSION, FAILED_JOB, every_record(FAILED_JOB))
    for path in (whole.store / "dlq").rglob("*.json"):
        path.unlink()
    run = their_runs.run_of(str(whole.store), "repo", FAILED_JOB)
    found = their_items.items(str(whole.store), run, broken=pytest.fail)
    assert [one.said for one in found["item_0"].failures] == ["boom 1", "boom 2"]
