"""What is made in a worktree of Prodigy's is recorded for the job that Prodigy has for it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import support_prodigy as made_by
import support_record as support

from prodigy_git.record import change_of_job, cursor, enrolment, files, log, prodigys
from prodigy_git.record.drain import drain

SESSION, JOB = made_by.FAILED_SESSION, made_by.FAILED_JOB
Events = Callable[[str], list[dict]]


@pytest.fixture(scope="module")
def hooks(tmp_path_factory):
    """Return hooks that take each worktree for one that was made after them."""
    return support.write_hooks(tmp_path_factory.mktemp("hooks") / "home", installed=1)


@pytest.fixture
def watched(repo, hooks, git):
    """Return the repository, with hooks."""
    git("config", "core.hooksPath", hooks, cwd=repo)
    return repo


def logs(store: Path) -> set[str]:
    """Return the jobs that have a line in their log, as ``key/job``."""
    return {
        f"{path.parent.parent.name}/{path.parent.name}"
        for path in store.glob("events/*/*/*.jsonl")
        if path.stat().st_size
    }


def session_of(store: Path, top: Path) -> dict:
    path = store / "sessions" / f"{support.session_of(top)}.json"
    return json.loads(path.read_text())


def begun(store: Path, repo: Path) -> tuple[Path, str]:
    """Make a MapReduce's worktree, and a commit of its set-up phase: the job is not known yet."""
    top = made_by.worktree(store, repo, repo.name, SESSION)
    made_by.worktree_state(store, repo.name, SESSION)
    sha = support.commit(top, "set-up")
    made_by.session_file(store, SESSION)
    return top, sha


def agent(store: Path, repo: Path, number: int) -> Path:
    made_by.event_log(store, SESSION, JOB)
    name = f"mapreduce-agent-{JOB}_agent_{number}"
    return made_by.worktree(store, repo, SESSION, name, f"prodigy-{SESSION}")


def test_a_mapreduce_is_recorded_as_one_job_with_what_its_set_up_made(
    watched: Path, store: Path, events: Events, git: Callable[..., str]
) -> None:
    top, before = begun(store, watched)
    assert logs(store) == {f"repo/{SESSION}"}
    at = agent(store, watched, 2)
    theirs = support.commit(at, "work")
    branch = f"agent-{JOB}_agent_2-item_2"
    git("checkout", "-q", "-b", branch, cwd=at)
    git("merge", "-q", "--no-ff", "-m", f"Merge agent {branch}", branch, cwd=top)
    merge = git("rev-parse", "HEAD", cwd=top)
    after = support.commit(top, "reduce")

    assert logs(store) == {f"repo/{JOB}"}
    assert not (store / "events" / "repo" / SESSION).exists()
    there = events(JOB)
    assert {event["job_id"] for event in there} == {JOB}
    commits = [event for event in there if event["type"] == "CommitCreated"]
    assert [event["commit"] for event in commits] == [before, theirs, merge, after]
    mine = commits[1]
    assert (mine["agent_id"], mine["item_id"]) == (f"{JOB}_agent_2", "item_2")
    assert "item_id" not in commits[0]
    assert [event["type"] for event in there[:3]] == [
        "SessionStarted", "WorktreeCreated", "CommitCreated",
    ]  # fmt: skip
    parent, part = session_of(store, top), session_of(store, at)
    for document, name in ((parent, SESSION), (part, at.name)):
        assert document["metadata"]["job_id"] == JOB
        assert document["metadata"]["repo"] == "repo"
        assert document["metadata"]["prodigy_session"] == name
        assert document["session_type"] == "MapReduce"
        assert document["mapreduce_data"]["job_id"] == JOB
    mappings = store / "state" / "repo" / "mappings"
    jobs = json.loads((mappings / "session-to-job.json").read_text())
    assert jobs == {parent["id"]: JOB, part["id"]: JOB}
    assert json.loads((mappings / "job-to-session.json").read_text()) == {JOB: parent["id"]}
    # What Prodigy wrote of its session is as it was.
    own = json.loads((store / "sessions" / f"{SESSION}.json").read_text())
    assert own["metadata"] == {}


def test_a_sequential_workflow_is_a_job_called_as_prodigy_calls_it(
    watched: Path, store: Path, events: Events
) -> None:
    top = made_by.worktree(store, watched, "repo", made_by.WORKFLOW)
    sha = support.commit(top, "step")
    assert logs(store) == {f"repo/{made_by.WORKFLOW}"}
    assert [event.get("commit") for event in events(made_by.WORKFLOW)] == [None, None, sha]
    document = session_of(store, top)
    assert document["session_type"] == "Workflow"
    assert document["metadata"]["job_id"] == made_by.WORKFLOW
    assert document["workflow_data"]["workflow_name"] == made_by.WORKFLOW


def test_a_worktree_that_is_registered_late_gets_the_job_that_is_there(
    repo: Path, store: Path, hooks: Path, git: Callable[..., str]
) -> None:
    top, _ = begun(store, repo)
    agent(store, repo, 0)
    made_by.event_log(store, SESSION, "mapreduce-20250101_000000")  # an earlier attempt of the run
    git("config", "core.hooksPath", hooks, cwd=repo)
    support.commit(top, "reduce")
    assert logs(store) == {f"repo/{JOB}"}


@pytest.mark.parametrize("how", ["environment", "configuration"])
def test_what_the_user_says_goes_before(
    how: str, watched: Path, store: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "environment":
        monkeypatch.setenv("PRODIGY_JOB_ID", "mine")
    else:
        git("config", "prodigy.job", "mine", cwd=watched)
    begun(store, watched)
    support.commit(agent(store, watched, 1), "work")
    assert logs(store) == {"repo/mine"}


def test_a_log_called_after_the_second_before_does_not_name_the_job(store: Path):
    early = "mapreduce-20260301_100000"
    (store / "events" / SESSION / early).mkdir(parents=True)
    top = f"{store}/worktrees/repo/{SESSION}"
    found = prodigys.origin(str(store), top, f"prodigy-{SESSION}")
    assert found is not None
    assert found.job == early
    (store / "dlq" / SESSION / "mapreduce-20260301_100001").mkdir(parents=True)
    found = prodigys.origin(str(store), top, f"prodigy-{SESSION}")
    assert found is not None
    assert found.job == "mapreduce-20260301_100001"


@pytest.mark.parametrize(
    ("key", "name", "branch"),
    [
        ("repo", SESSION, "elsewhere"),
        ("repo", "session-bcdfghjk", "prodigy-session-bcdfghjk"),
        ("repo", "workflow-next", "prodigy-workflow-next"),
        ("repo", f"mapreduce-agent-{JOB}_agent_0", f"prodigy-mapreduce-agent-{JOB}_agent_0"),
        (SESSION, "mapreduce-agent-of-mine", "prodigy-mapreduce-agent-of-mine"),
        (SESSION, f"mapreduce-agent-{JOB}_agent_x", "b"),
        (SESSION, "mapreduce-agent-_agent_0", "b"),
    ],
)
def test_what_is_only_called_like_it_is_a_session_of_its_own(
    key: str, name: str, branch: str, store: Path
) -> None:
    assert prodigys.origin(str(store), f"{store}/worktrees/{key}/{name}", branch) is None
    assert prodigys.origin(str(store), f"{store}/elsewhere/{key}/{name}", branch) is None


class Killed(BaseException):
    """The process ends here."""


def steps(monkeypatch: pytest.MonkeyPatch, kill_at: int | None = None) -> list[str]:
    """Note each step that changes a file; at number ``kill_at`` raise `Killed` instead of doing it."""
    done: list[str] = []

    def watch(module: object, name: str) -> None:
        original = getattr(module, name)

        def step(*arguments: object, **named: object) -> object:
            if len(done) == kill_at:
                raise Killed
            done.append(name)
            return original(*arguments, **named)

        monkeypatch.setattr(module, name, step)

    watch(files, "replace")
    watch(log, "append")
    watch(cursor, "write")
    watch(change_of_job.os, "unlink")
    watch(change_of_job.os, "rmdir")
    return done


def test_killed_at_each_step_nothing_is_lost_and_nothing_stands_twice(
    watched: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top, before = begun(store, watched)
    made_by.event_log(store, SESSION, JOB)
    place = support.place(top)
    keep = [store / "events", store / "sessions", store / "state", Path(place.private)]
    kept = [tmp_path / f"kept-{number}" for number in range(len(keep))]
    for folder, copy in zip(keep, kept, strict=True):
        shutil.copytree(folder, copy)
    identities = {event["id"] for event in support.events(store)}

    def again() -> None:
        for folder, copy in zip(keep, kept, strict=True):
            # Into the folder that is there: its inode is in the enrolment.
            for one in folder.iterdir():
                shutil.rmtree(one) if one.is_dir() else one.unlink()
            shutil.copytree(copy, folder, dirs_exist_ok=True)

    with monkeypatch.context() as patch:
        whole = steps(patch)
        change_of_job.give_parent(place, SESSION, JOB)
    assert {"replace", "append", "write", "unlink", "rmdir"} <= set(whole)
    for at in range(len(whole)):
        again()
        with monkeypatch.context() as patch:
            steps(patch, at)
            with pytest.raises(Killed):
                change_of_job.give_parent(place, SESSION, JOB)
        sha = support.commit(top, f"after {at}")
        change_of_job.give_parent(place, SESSION, JOB)  # again; a no-op where the hook did it
        assert logs(store) == {f"repo/{JOB}"}, whole[at]
        there = support.events(store)
        assert len({event["id"] for event in there}) == len(there) == len(identities) + 1
        assert {event["job_id"] for event in there} == {JOB}
        assert support.commits(store) == [before, sha], whole[at]
        assert session_of(store, top)["metadata"]["job_id"] == JOB
        support.git("reset", "-q", "--soft", before, cwd=top)


def test_a_hook_that_has_read_the_enrolment_before_records_for_the_new_job(
    watched: Path, store: Path, git: Callable[..., str]
) -> None:
    top, before = begun(store, watched)
    place = support.place(top)
    stale = enrolment.read(place.private)
    assert stale is not None
    made_by.event_log(store, SESSION, JOB)
    change_of_job.give_parent(place, SESSION, JOB)
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=top, env=support.SILENT)
    assert drain(place, stale) == 1
    assert logs(store) == {f"repo/{JOB}"}
    assert support.commits(store)[0] == before
    assert len(support.commits(store)) == 2


def test_a_second_job_of_the_run_does_not_take_the_first_ones_commits(
    watched: Path, store: Path
) -> None:
    top, _ = begun(store, watched)
    place = support.place(top)
    for job in (JOB, "mapreduce-20260302_000000"):
        change_of_job.give_parent(place, SESSION, job)
    assert logs(store) == {f"repo/{JOB}"}
