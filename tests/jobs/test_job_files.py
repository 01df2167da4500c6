"""What of a job is on disk at each moment: one test for each row of docs/reference/job-files.md."""

import json
import re
from pathlib import Path

import pytest
from support_job_files import Job, fail_on

from prodigy_git import api
from prodigy_git.jobs import claims, course

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "job-files.md"
ROWS = {}
"""The test of each row, by the row's file, field and when."""


def row(file, field, when):
    def put(test):
        assert (file, field, when) not in ROWS
        ROWS[file, field, when] = test
        return test

    return put


@row("`setup-checkpoint.json`", "", "the job is started, or its first worktree is made")
def _(job):
    assert job.names() == ["setup-checkpoint.json"]


@row(
    "`setup-checkpoint.json`",
    "`completed`",
    "false until the job leaves its set-up, as with its first claim",
)
def _(job):
    assert job.newest("setup*")["completed"] is False
    job.claim()
    assert job.newest("setup*")["completed"] is True


@row(
    "`setup-checkpoint.json`",
    "`outputs`",
    "absent; from the first `job phase --output` in the set-up, or out of it",
)
def _(job):
    assert "outputs" not in job.newest("setup*")
    job.phase("setup", base="one", kept="yes")
    assert job.newest("setup*")["outputs"] == {"base": "one", "kept": "yes"}
    assert job.newest("setup*")["completed"] is False
    job.phase("map", base="two")
    assert job.newest("setup*")["outputs"] == {"base": "two", "kept": "yes"}
    assert job.newest("setup*")["completed"] is True


@row("`map-checkpoint-{timestamp}.json`", "", "the first item is claimed, or `job phase JOB map`")
def _(job, tmp_path):
    job.claim()
    assert len(job.names("map-checkpoint-*")) == 1
    other = Job(tmp_path / "other")
    other.phase("map")
    assert len(other.names("map-checkpoint-*")) == 1


@row(
    "`map-checkpoint-{timestamp}.json`",
    "",
    "as many items have ended as `--checkpoint-every` says, or 5 % of all, whichever is more",
)
def _(store):
    job = Job(store, 60, checkpoint_items=3)
    job.work(4)
    assert len(job.names("map-checkpoint-*")) == 2
    assert len(job.newest("map*")["completed_items"]) == 3
    large = Job(store, 200, "large", checkpoint_items=3)
    large.work(9)
    assert len(large.names("map-checkpoint-*")) == 1
    large.work(1)
    assert len(large.newest("map*")["completed_items"]) == 10


@row(
    "`map-checkpoint-{timestamp}.json`",
    "",
    "the last item of a job ends that has fewer than `--checkpoint-every`",
)
def _(job):
    job.work(2)
    assert job.newest("map*")["completed_items"] == []
    job.work(1)
    assert job.newest("map*")["completed_items"] == ["i0", "i1", "i2"]


@row(
    "`map-checkpoint-{timestamp}.json`",
    "",
    "the job leaves its map phase, is paused, or ends in it",
)
def _(job, store):
    job.work(1)
    course.pause(*job.where, None, fail_on)
    assert job.newest("map*")["completed_items"] == ["i0"]
    assert job.newest("map*")["status"] == "paused"
    course.unpause(*job.where, fail_on)
    job.work(1)
    job.phase("reduce")
    assert job.newest("map*")["completed_items"] == ["i0", "i1"]
    small = Job(store, 1, "small")
    small.work()
    small.finish()
    assert small.newest("map*")["status"] == "completed"


@row(
    "`map-checkpoint-{timestamp}.json`",
    "`completed_items`, `in_progress_items`, `pending_items`, `failed_items`, `agent_results`",
    "always; an item is in one of the first four",
)
def _(store):
    job = Job(store, 4)
    job.work(1)
    job.fail()
    job.claim()
    course.pause(*job.where, None, fail_on)
    found = job.newest("map*")
    assert (found["completed_items"], found["failed_items"]) == (["i0"], ["i1"])
    assert found["in_progress_items"]["i2"]["work_item"] == {"id": "i2", "data": {"n": 2}}
    assert found["pending_items"] == [{"id": "i3", "data": {"n": 3}}]
    assert set(found["agent_results"]) == {"i0", "i1"}


@row(
    "`reduce-checkpoint-v1-{timestamp}.json`",
    "",
    "the job comes to its reduce phase, and ends in it; never in a job that had none",
)
def _(job, store):
    job.work(3)
    assert job.names("reduce*") == []
    job.phase("reduce")
    assert len(job.names("reduce*")) == 1
    job.finish()
    assert len(job.names("reduce*")) == 2
    assert job.newest("reduce*")["status"] == "completed"
    for number, end in enumerate((course.finish, course.cancel)):
        other = Job(store, 1, f"other-{number}")
        other.work()
        end(*other.where, *([] if end is course.finish else [None]), broken=fail_on)
        assert other.names("reduce*") == []


@row(
    "`reduce-checkpoint-v1-{timestamp}.json`",
    "`completed_steps`, `current_step`, `step_results`",
    "absent; from the first `job phase --output` of the reduce phase, a step for each",
)
def _(job):
    job.work(3)
    job.phase("reduce")
    assert (
        job.newest("reduce*").keys().isdisjoint(("completed_steps", "current_step", "step_results"))
    )
    job.phase("reduce", merged="3")
    found = job.newest("reduce*")
    assert (found["completed_steps"], found["current_step"]) == ([0], 1)
    assert found["step_results"] == {"0": {"merged": "3"}}
    job.phase("complete", report="r.md")
    found = job.newest("reduce*")
    assert (found["completed_steps"], found["current_step"]) == ([0, 1], 2)
    assert found["step_results"] == {"0": {"merged": "3"}, "1": {"report": "r.md"}}


@row("`reduce-checkpoint-v1-{timestamp}.json`", "`map_results`", "always: the results of all items")
def _(job):
    job.work(2)
    job.fail()
    job.phase("reduce")
    found = job.newest("reduce*")["map_results"]
    assert {name: one["status"] for name, one in found.items()} == {
        "i0": "Completed", "i1": "Completed", "i2": "Failed",
    }  # fmt: skip


@row(
    "each checkpoint",
    "`version`",
    "always 1, as the name of the reduce phase's says; `format` is that of the part `fold`",
)
def _(job):
    job.work(3)
    job.phase("reduce")
    for name in job.names():
        assert json.loads((job.folder / name).read_text())["version"] == 1
    saved = [one for one in api.read_events(api.Job(*job.where)) if one.type == "CheckpointSaved"]
    assert {one.fields()["version"] for one in saved} == {1}


@row("`job-state.json`", "", "with each of them: it is the newest")
def _(job):
    state = job.folder / "job-state.json"
    for step, newest in (
        (lambda: None, "setup*"), (lambda: job.work(3), "map*"),
        (lambda: job.phase("reduce"), "reduce*"), (job.finish, "reduce*"),
    ):  # fmt: skip
        step()
        assert state.read_text() == (job.folder / job.names(newest)[-1]).read_text()


@row("`items.jsonl`", "", "before the job is started")
def _(job):
    lines = (job.folder / "items.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["i0", "i1", "i2"]


@row(
    "`dlq-items.json`",
    "",
    "an item comes into the queue or leaves it: at once where no other is left, else within a second",
)
def _(job, store):
    path = store / "dlq" / "r" / "j" / "dlq-items.json"
    job.work(2)
    assert not path.exists()
    job.fail()
    assert [one["item_id"] for one in json.loads(path.read_text())["items"]] == ["i2"]


@row(
    "`dlq-items.json`",
    "`item_data`, `error_message`, `error_type`, `step_failed`",
    "always: what Prodigy's reader asks for beside `work_item` and `error`",
)
def _(job, store):
    made = job.claim()
    claims.fail(
        *job.where,
        made,
        error="exit status 7: no",
        reason="CommandFailed",
        broken=fail_on,
    )
    made = job.claim()
    claims.fail(*job.where, made, error="odd", reason="OfOurOwn", broken=fail_on)
    job.work(1)
    items = json.loads((store / "dlq" / "r" / "j" / "dlq-items.json").read_text())["items"]
    first, second = items
    assert (first["work_item"], first["item_data"]) == ({"id": "i0", "data": {"n": 0}}, {"n": 0})
    (failure,) = first["failure_history"]
    assert failure["error"] == failure["error_message"] == "exit status 7: no"
    assert failure["error_type"] == {"CommandFailed": {"exit_code": 7}}
    assert (failure["step_failed"], failure["agent_id"]) == ("", "a")
    (failure,) = second["failure_history"]
    assert (failure["error_type"], failure["failure_reason"]) == ("Unknown", "OfOurOwn")


@row("`session-to-job.json`, `job-to-session.json`", "", "a session is registered")
def _(job, store):
    job.session("one")
    folder = store / "state" / "r" / "mappings"
    assert json.loads((folder / "session-to-job.json").read_text()) == {"one": "j"}
    assert json.loads((folder / "job-to-session.json").read_text()) == {"j": "one"}


@row(
    "`{session}.json`, `{job}.json`",
    "`session_id`, `job_id`, `workflow_name`, `created_at`",
    "after these two: of each session, and of a job with the session that opened it",
)
def _(job, store):
    job.session("one")
    job.session("two")
    folder = store / "state" / "r" / "mappings"
    found = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    assert {name: found[name]["session_id"] for name in ("one", "two", "j")} == {
        "one": "one", "two": "two", "j": "one",
    }  # fmt: skip
    assert set(found["two"]) == {"session_id", "job_id", "workflow_name", "created_at"}
    assert found["two"]["job_id"] == "j"


@row(
    "`sessions/{session}.json`",
    "`mapreduce_data`",
    "with each checkpoint while the session has not ended, when it ends, when the job ends",
)
def _(store):
    job = Job(store, 4)
    told = job.session("one")
    assert told()["total_items"] == 0
    job.claim()
    assert told() == {
        "job_id": "j", "total_items": 4, "processed_items": 0, "failed_items": 0, "agent_count": 1,
        "phase": "Map", "reduce_results": None,
    }  # fmt: skip
    job.work(2)
    assert told()["processed_items"] == 0
    job.phase("reduce", merged="2")
    assert (told()["processed_items"], told()["phase"]) == (2, "Reduce")
    course.cancel(*job.where, None, fail_on)
    assert (told()["phase"], told()["reduce_results"]) == ("Reduce", {"merged": "2"})


@pytest.mark.parametrize("key", ROWS, ids=lambda key: f"{key[0]} {key[1]} {key[2]}"[:70])
def test_what_lies_there_when(key, request, store, tmp_path):
    test = ROWS[key]
    wanted = test.__code__.co_varnames[: test.__code__.co_argcount]
    test(**{name: request.getfixturevalue(name) for name in wanted})


def test_each_row_of_the_table_has_a_test():
    rows = [
        tuple(re.split(r"(?<!\\)\|", line)[1:-1]) for line in PAGE.read_text().splitlines()
        if line.startswith("| ") and not line.startswith(("| file", "| ---"))
    ]  # fmt: skip
    assert [tuple(cell.strip() for cell in one) for one in rows] == list(ROWS)
