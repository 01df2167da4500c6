"""The session's checkpoint: written with a commit, put off in a burst, made up for by any command."""

import json
from pathlib import Path
from typing import Any

import pytest
from support_cli import ok
from support_record import SILENT, Templates, World, commit, place, session_of, write_hooks

from prodigy_git.record import clock, drain, enrolment


@pytest.fixture
def world(
    sealed: Path, tmp_path: Path, templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> World:
    write_hooks(sealed)
    made = templates.copy("main", tmp_path)
    monkeypatch.setenv("PRODIGY_HOME", str(made.store))
    drain_as_hook(made)
    return made


def drain_as_hook(world: World) -> None:
    where = place(world.top)
    found = enrolment.read(where.private)
    assert found is not None
    drain.drain(where, found, burst=True)


def noted(world: World) -> dict[str, Any]:
    path = world.store / "sessions" / f"{session_of(world.top)}.json"
    fields = json.loads(path.read_text())
    metadata = fields["metadata"]
    newest = fields["checkpoints"][-1]["state"]
    assert (newest["commit"], newest["commits"]) == (metadata["last_commit"], metadata["commits"])
    return {"last": metadata["last_commit"], "commits": metadata["commits"]}


def shown(world: World) -> dict[str, Any]:
    """Return the same as a reading command says it."""
    (row,) = ok("sessions", "list", "--json", cwd=world.top).json
    return {"last": row["last_commit"], "commits": row["commits"]}


def test_in_a_burst_the_file_waits_and_a_command_does_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = clock.now() + 10 * clock.SECOND
    monkeypatch.setattr(drain.clock, "now", lambda: at)
    first = commit(world.top, "first", **SILENT)
    drain_as_hook(world)
    assert noted(world) == {"last": first, "commits": 2}
    at += drain.BURST - 1
    second = commit(world.top, "second", **SILENT)
    drain_as_hook(world)
    assert noted(world) == {"last": first, "commits": 2}
    assert world.rows() == ["commit first<Start@work", "commit second<first@work"]
    assert shown(world) == {"last": second, "commits": 3}
    assert noted(world) == shown(world)
    at += 1  # the burst is over
    third = commit(world.top, "third", **SILENT)
    drain_as_hook(world)
    assert noted(world) == {"last": third, "commits": 4}
    at -= 3600 * clock.SECOND  # the clock was put back: not a burst of an hour
    fourth = commit(world.top, "fourth", **SILENT)
    drain_as_hook(world)
    assert noted(world) == {"last": fourth, "commits": 5}


def test_a_drain_killed_before_the_checkpoint_is_made_up_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = commit(world.top, "last", **SILENT)
    with monkeypatch.context() as patch:
        patch.setattr(drain, "_checkpoint", _killed)
        patch.setattr(drain, "BURST", 0)
        with pytest.raises(KeyboardInterrupt):
            drain_as_hook(world)
    assert noted(world)["commits"] == 1
    assert shown(world) == {"last": last, "commits": 2}
    assert noted(world) == shown(world)
    assert world.rows() == ["commit last<Start@work"]


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_command_that_finds_the_file_up_to_date_leaves_it(world: World) -> None:
    path = world.store / "sessions" / f"{session_of(world.top)}.json"
    shown(world)
    before = path.stat()
    shown(world)
    assert path.stat().st_ino == before.st_ino


@pytest.mark.parametrize("left", [b"", b"{", b'{"offset":1}\n'])
def test_a_damaged_cursor_is_a_lost_one(world: World, left: bytes) -> None:
    commit(world.top, "first", **SILENT)
    drain_as_hook(world)
    (world.top / ".git" / "prodigy-cursor").write_bytes(left)
    commit(world.top, "second", **SILENT)
    drain_as_hook(world)
    assert world.rows() == ["commit first<Start@work", "commit second<first@work"]


def test_what_a_longer_cursor_left_behind_is_not_read(world: World) -> None:
    path = world.top / ".git" / "prodigy-cursor"
    path.write_bytes(path.read_bytes() + b'"rest of a longer one"}\n' * 20)
    commit(world.top, "first", **SILENT)
    drain_as_hook(world)
    commit(world.top, "second", **SILENT)
    drain_as_hook(world)
    assert world.rows() == ["commit first<Start@work", "commit second<first@work"]
