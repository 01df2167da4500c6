"""What may happen to a repository, to the store, and to what hooks wrote there, between two commits."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support_record import (
    SILENT,
    Templates,
    World,
    commit,
    commits,
    drain_now,
    git,
    place,
    run,
    write_hooks,
)

from prodigy_git import layout


@pytest.fixture(autouse=True)
def _hooks(sealed: Path) -> None:
    write_hooks(sealed, installed=1)


def _expire(top: Path) -> None:
    git("reflog", "expire", "--expire=now", "--all", cwd=top)


def _collect(top: Path) -> None:
    _expire(top)
    git("gc", "-q", "--prune=now", cwd=top)


def _pack(top: Path) -> None:
    git("repack", "-qad", cwd=top)
    git("pack-refs", "--all", cwd=top)


def _no_log(top: Path) -> None:
    (Path(place(top).private) / "logs" / "HEAD").unlink()


def _no_cursor(top: Path) -> None:
    _cursor(top).unlink()


def _cursor(top: Path) -> Path:
    return Path(place(top).private) / layout.CURSOR


def _cut_cursor(top: Path) -> None:
    os.truncate(_cursor(top), 40)


def _empty_cursor(top: Path) -> None:
    os.truncate(_cursor(top), 0)


def _broken_cursor(top: Path) -> None:
    _cursor(top).write_text('{"offset": "many", "log": 3}\n')


def _wrong_cursor(top: Path) -> None:
    fields = json.loads(_cursor(top).read_text())
    _cursor(top).write_text(json.dumps({**fields, "offset": fields["offset"] - 1}))


def _other_boot(top: Path) -> None:
    fields = json.loads(_cursor(top).read_text())
    _cursor(top).write_text(json.dumps({**fields, "boot": "another"}))


def _nothing(top: Path) -> None:
    pass


HAPPENINGS = [
    _nothing, _expire, _collect, _pack, _no_log, _no_cursor, _cut_cursor, _empty_cursor,
    _broken_cursor, _wrong_cursor, _other_boot,
]  # fmt: skip


@pytest.fixture(params=["main", "linked"])
def world(
    request: pytest.FixtureRequest, sealed: Path, tmp_path: Path, templates: Templates
) -> World:
    write_hooks(sealed)
    return templates.copy(request.param, tmp_path)


@pytest.mark.parametrize("happens", HAPPENINGS, ids=lambda happens: happens.__name__)
def test_between_two_commits(happens: object, world: World) -> None:
    assert callable(happens)
    start = commits(world.store)
    one = commit(world.top, "one")
    happens(world.top)
    two = commit(world.top, "two")
    happens(world.top)
    drain_now(world.top)
    assert commits(world.store) == [*start, one, two]
    three = commit(world.top, "three", "--amend")
    assert commits(world.store) == [*start, one, two, three]


@pytest.mark.parametrize("happens", HAPPENINGS, ids=lambda happens: happens.__name__)
def test_before_what_no_hook_reported(happens: object, world: World) -> None:
    """Commits that HEAD still reaches are recorded also where their lines have expired."""
    assert callable(happens)
    start = commits(world.store)
    one = commit(world.top, "one")
    two = commit(world.top, "two", **SILENT)
    three = commit(world.top, "three", **SILENT)
    happens(world.top)
    four = commit(world.top, "four")
    assert sorted(commits(world.store)) == sorted([*start, one, two, three, four])


DAMAGE = {
    "empty": "", "cut": '{"version":1,"store":"/', "no object": "[]", "version": '{"version":99}',
    "relative store": '{"version":1,"store":"x","repo":"r","session":"s","job":"j","worktree":"w",'
    '"nonce":"n"}',
    "unsafe job": '{"version":1,"store":"/x","repo":"r","session":"s","job":"../j","worktree":"w",'
    '"nonce":"n"}',
    "opening": '{"version":1,"store":"/x","repo":"r","session":"s","job":"j","worktree":"w",'
    '"nonce":"n","opening":3}',
}  # fmt: skip


def _complains_once(top: Path, subject: str = "one") -> None:
    """Commit; git must not notice that recording fails, and the user must, by one line."""
    before = git("rev-parse", "HEAD", cwd=top)
    done = run("git", "commit", "-qm", subject, "--allow-empty", cwd=top, check=False)
    assert done.returncode == 0
    assert git("rev-parse", "HEAD^", cwd=top) == before
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith(b"prodigy-git: post-commit: not recorded yet (")


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_enrolment(damage: str, world: World) -> None:
    file = Path(place(world.top).private) / layout.ENROLMENT
    whole = file.read_bytes()
    file.write_text(DAMAGE[damage])
    _complains_once(world.top)
    file.write_bytes(whole)
    commit(world.top, "two")
    assert [row.split("<")[0] for row in world.rows()] == ["commit one", "commit two"]


@pytest.mark.parametrize("part", ["", "locks", "events"])
def test_a_part_of_the_store_is_a_file(part: str, world: World, tmp_path: Path) -> None:
    target = world.store / part if part else world.store
    target.rename(tmp_path / "kept")
    target.write_text("a file\n")
    _complains_once(world.top)
    target.unlink()
    (tmp_path / "kept").rename(target)
    commit(world.top, "two")
    assert [row.split("<")[0] for row in world.rows()] == ["commit one", "commit two"]


def test_home_is_a_file_before_anything_is_enrolled(
    tmp_path: Path, store: Path, sealed: Path
) -> None:
    write_hooks(sealed)
    git("init", "-q", "--template=", "r", cwd=tmp_path)
    top = tmp_path / "r"
    commit(top, "before", **SILENT)
    store.write_text("a file\n")
    _complains_once(top)
    first = git("rev-parse", "HEAD", cwd=top)
    store.unlink()
    two = commit(top, "two")
    assert commits(store) == [first, two]


def test_a_read_only_store(world: World) -> None:
    unprivileged = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root writes everywhere, and setpriv is missing")
        unprivileged = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        probe = subprocess.run([*unprivileged, "true"], capture_output=True, check=False)
        if probe.returncode != 0:
            pytest.skip("root writes everywhere, and may not give that up here")
    folders = [world.store, *(path for path in world.store.rglob("*") if path.is_dir())]
    files = [path for path in world.store.rglob("*") if path.is_file()]
    for path in folders + files:
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        program = "import subprocess,sys;sys.exit(subprocess.call(sys.argv[1:]))"
        done = run(
            *unprivileged, sys.executable, "-c", program,
            "git", "commit", "-qm", "one", "--allow-empty", cwd=world.top, check=False,
        )  # fmt: skip
    finally:
        for path in folders + files:
            path.chmod(0o700 if path.is_dir() else 0o600)
    assert done.returncode == 0
    assert done.stderr.count(b"\n") == 1, done.stderr
    assert b"Permission denied" in done.stderr
    commit(world.top, "two")
    assert [row.split("<")[0] for row in world.rows()] == ["commit one", "commit two"]
