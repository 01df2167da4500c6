"""Each file of Prodigy's, damaged in each way: that is named, nothing hangs, and the rest is read."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support_prodigy import (
    FAILED_JOB,
    FAILED_SESSION,
    INTERRUPTED_JOB,
    ITEMS,
    WORKFLOW,
    WORKFLOW_STARTED,
    Whole,
    dead_letter,
    event_log,
    every_record,
    job_checkpoint,
    prodigy_store,
)

from prodigy_git.prodigy import checkpoints as their_checkpoints
from prodigy_git.prodigy import dead_letters as their_dead_letters
from prodigy_git.prodigy import events as their_events
from prodigy_git.prodigy import items as their_items
from prodigy_git.prodigy import runs as their_runs
from prodigy_git.record import repokey

AGENT = f"mapreduce-agent-{FAILED_JOB}_agent_2"
SHAPES = {
    "session": f"sessions/{FAILED_SESSION}.json",
    "worktree's state": f"worktrees/repo/.metadata/{FAILED_SESSION}.json",
    "agent's state": f"worktrees/{FAILED_SESSION}/.metadata/{AGENT}.json",
    "dead letter": f"dlq/{FAILED_SESSION}/{FAILED_JOB}/mapreduce/dlq/{FAILED_JOB}/items/item_2.json",
    "index": f"dlq/{FAILED_SESSION}/{FAILED_JOB}/mapreduce/dlq/{FAILED_JOB}/index.json",
    "events": f"events/{FAILED_SESSION}/{FAILED_JOB}/events-20260301_100001.jsonl",
    "checkpoint": f"state/{FAILED_SESSION}/mapreduce/jobs/{FAILED_JOB}/checkpoint-v1.json",
    "metadata": f"state/{FAILED_SESSION}/mapreduce/jobs/{FAILED_JOB}/metadata.json",
    "workflow": f"state/{WORKFLOW}/checkpoints/{WORKFLOW_STARTED}.checkpoint.json",
}


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def _swapped(value: object) -> object:
    if isinstance(value, dict):
        return {name: _swapped(one) for name, one in value.items()}
    return {} if isinstance(value, str | list) else "text"


def _wrong_types(path: Path) -> None:
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    path.write_text("\n".join(json.dumps(_swapped(json.loads(line))) for line in lines) + "\n")


def _hole(path: Path) -> None:
    os.truncate(path, 1 << 33)


def _linked(path: Path) -> None:
    away = path.parent / "elsewhere"
    path.rename(away)
    path.symlink_to(away)


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _bytes(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00 no text\n")


def _deep(path: Path) -> None:
    path.write_text("[" * 100_000 + "\n")


DAMAGES: list[Callable[[Path], None]] = [
    _cut, _wrong_types, _hole, _linked, _fifo, _folder, _bytes, _deep,
]  # fmt: skip


@pytest.fixture(scope="module")
def made(scratch: Path) -> Whole:
    """Make the store once; each test damages a copy."""
    from support_prodigy import git

    repo, store = scratch / "repo", scratch / "store"
    repo.mkdir()
    store.mkdir()
    with pytest.MonkeyPatch.context() as patched:
        for name in ("AUTHOR", "COMMITTER"):
            patched.setenv(f"GIT_{name}_NAME", "a")
            patched.setenv(f"GIT_{name}_EMAIL", "a@example.org")
        git("init", "-q", "-b", "main", cwd=repo)
        git("commit", "-q", "--allow-empty", "-m", "Start", cwd=repo)
        repokey.take(str(store), f"{repo}/.git")
        whole = prodigy_store(store, repo)
    job_checkpoint(store, FAILED_SESSION, FAILED_JOB, completed={"item_0": []})
    event_log(store, FAILED_SESSION, FAILED_JOB, every_record(FAILED_JOB))
    return whole


def everything(store: Path, told: list[str]) -> dict[str, their_runs.Run]:
    """Read all that there is to read."""
    found = {run.job_id: run for run in their_runs.runs(str(store), "repo", broken=told.append)}
    for run in found.values():
        list(their_events.events(str(store), run, broken=told.append))
        their_checkpoints.workflow_checkpoints(str(store), run, broken=told.append)
        their_runs.agent_states(str(store), run, broken=told.append)
        if run.kind == "MapReduce":
            their_items.items(str(store), run, broken=told.append)
    return found


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda one: one.__name__.strip("_"))
@pytest.mark.parametrize("shape", SHAPES)
def test_a_damaged_file_is_named_and_the_rest_is_read(made, shape, damage):
    path = made.store / SHAPES[shape]
    kept = path.read_bytes()
    damage(path)
    try:
        told: list[str] = []
        found = everything(made.store, told)
    finally:
        for one in (path, path.parent / "elsewhere"):
            if one.is_dir() and not one.is_symlink():
                one.rmdir()
            else:
                one.unlink(missing_ok=True)
        path.write_bytes(kept)
    # The files that have nothing but words in them are of use without one, or with other types.
    harmless = damage is _wrong_types and shape in ("session", "metadata")
    assert harmless or any(str(path) in one for one in told), told
    assert {INTERRUPTED_JOB, WORKFLOW} <= found.keys()
    assert all("\n" not in one and "Traceback" not in one for one in told)


def test_an_untouched_store_says_nothing(made):
    told: list[str] = []
    assert len(everything(made.store, told)) == 3
    assert told == []


@pytest.mark.parametrize("name", ["../../x", "a/b", "", ".hidden", "x" * 200, "a\x1b[31m", 7, None])
def test_an_item_that_cannot_be_called_so_is_left_out(made, name):
    path = dead_letter(made.store, FAILED_SESSION, FAILED_JOB, "odd", ITEMS[0], item_id=name)
    try:
        told: list[str] = []
        run = everything(made.store, told)[FAILED_JOB]
        found = their_dead_letters.dead_letters(str(made.store), run)
    finally:
        path.unlink()
    assert [one.item_id for one in found] == ["item_2"]
    assert any(str(path) in one for one in told)
    assert not any("\x1b" in one for one in told)


def test_a_session_that_names_another_s_worktree_is_left_out(made):
    path = made.store / SHAPES["worktree's state"]
    kept = path.read_bytes()
    fields = json.loads(kept)
    try:
        for name, value in (("worktree_name", "../../../etc"), ("session_id", "other")):
            path.write_text(json.dumps(fields | {name: value}))
            told: list[str] = []
            run = everything(made.store, told).get(FAILED_JOB)
            assert run is None or run.worktree is None
            assert any(str(path) in one for one in told)
    finally:
        path.write_bytes(kept)


@pytest.mark.parametrize("top", ["events", "dlq", "state", "worktrees"])
def test_what_is_behind_a_link_is_not_read(made, top, tmp_path):
    link = made.store / top / "session-99999999-9999-4999-8999-999999999999"
    away = tmp_path / "away" / "mapreduce-1" / "items"
    away.mkdir(parents=True)
    link.symlink_to(tmp_path / "away")
    try:
        assert len(everything(made.store, [])) == 3
    finally:
        link.unlink()
