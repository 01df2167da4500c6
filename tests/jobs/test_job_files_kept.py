"""What a job writes into its files, and reads of them again: a turn that was killed, outputs."""

import json

import pytest
from support_job_files import fail_on

from prodigy_git import api
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import books, checkpoints, course
from prodigy_git.jobs import index as indexes
from prodigy_git.record import session


def test_a_killed_checkpoint_of_a_turn_is_written_by_the_next_step(job, monkeypatch):
    job.work(2)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            job.phase("reduce")
    assert job.names("reduce*") == []
    job.claim()
    assert len(job.names("reduce*")) == 1
    assert job.newest("map*")["completed_items"] == ["i0", "i1"]


def test_checkpoints_of_an_earlier_version_are_read(job):
    """Their ``version`` was that of the fold, and a job without a reduce phase ended with one of it."""
    job.work(3)
    job.finish()
    path = job.folder / job.names("map*")[-1]
    fields = json.loads(path.read_text())
    fields.pop("integrity")
    fields.pop("format")
    del fields["fold"]["job"]["reached"]
    fields = {**fields, "version": 2, "phase": "reduce", "completed_steps": []}
    body = json.dumps(fields, separators=(",", ":")).encode()[:-1]
    sealed = body + b',"integrity":"' + checkpoints._digest(body) + b'"}\n'
    for old in job.folder.glob("*checkpoint*"):
        old.unlink()
    (job.folder / "job-state.json").write_bytes(sealed)
    (job.folder / path.name.replace("map-checkpoint", "reduce-checkpoint-v1")).write_bytes(sealed)
    state, _ = checkpoints.newest(*job.where, fail_on)
    assert {name: books.view(item).state for name, item in state.items.items()} == {
        "i0": "completed", "i1": "completed", "i2": "completed",
    }  # fmt: skip
    indexes.discard(*job.where)
    course.reopen(*job.where, None, fail_on)
    assert json.loads((job.folder / "job-state.json").read_text())["phase"] == "map"


def test_outputs_of_the_map_phase_are_refused(job):
    job.work(1)
    with pytest.raises(ProdigyError, match="an item's result is given with it"):
        job.phase("map", x="1")
    job.phase("reduce", first="step")
    assert job.newest("reduce*")["step_results"] == {"0": {"first": "step"}}


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ({"": 1}, "each key a text"),
        ({"x": float("nan")}, "no form for nan"),
        ({"x": "y" * 500_000}, "more than 500000"),
        (["x"], "give a dictionary"),
    ],
)
def test_outputs_that_the_log_cannot_hold_are_refused_by_the_library(job, outputs, said):
    with pytest.raises(ProdigyError, match=said):
        api.set_phase(api.Job(*job.where), "setup", outputs=outputs)
    assert "outputs" not in job.newest("setup*")


def test_the_library_gives_outputs_of_any_kind(job):
    found = api.Job(*job.where)
    assert api.set_phase(found, "map", outputs={"files": ["a", "b"], "n": 2}) == "setup"
    assert job.newest("setup*")["outputs"] == {"files": ["a", "b"], "n": 2}
    with pytest.raises(ProdigyError, match="give one of setup, map, reduce, complete"):
        api.set_phase(found, "Map")


def test_a_session_that_prodigy_runs_keeps_its_numbers(job, store):
    told = job.session("one")
    fields = session.read(str(store), "one")
    fields["metadata"] = {}
    fields["mapreduce_data"]["total_items"] = 7
    session.write(str(store), "one", fields)
    job.claim()
    assert told()["total_items"] == 7
