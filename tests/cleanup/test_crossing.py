"""Removing and restoring where repository, store and trash lie on different filesystems.

``/dev/shm`` is another filesystem that needs no mount; what does need one is for root.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

import pytest
from support_cli import new, ok
from support_crossing import never
from support_mounts import mounted
from support_removal import salvaged
from support_restore import (
    World,
    bring_back,
    difference,
    remove,
    restored,
    seen,
    sh,
    whole,
)

from prodigy_git import layout
from prodigy_git.cleanup import interrupted
from prodigy_git.cleanup.drift import mending
from prodigy_git.cleanup.folders import moving
from prodigy_git.cleanup.folders.erasing import erase
from prodigy_git.cleanup.records import by_age
from prodigy_git.cleanup.trash import emptying, entry, removal
from prodigy_git.errors import ProdigyError
from prodigy_git.record import clock
from prodigy_git.record.gitdir import Place

CAN_MOUNT = (
    os.geteuid() == 0
    and subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode == 0
)
mounting = pytest.mark.skipif(not CAN_MOUNT, reason="NOT TESTED: mounts; this user makes none")


def _work(tree: Path) -> None:
    script = "printf m >README; printf s >s; git add s; printf u >u; ln u h; mkdir e; mkfifo p"
    sh(tree, f"{script}; touch -d 2001-01-01 u .")


def _empty(found: entry.Entry) -> None:
    """What the trash is after its retention."""
    for path in (found.folder, found.git):
        assert erase(path) == []
    found.state = "emptied"
    entry.write(found)


def test_restored_after_the_retention(repo: Path, store: Path, disk: Path) -> None:
    far = disk / "repo"
    shutil.copytree(repo, far, symlinks=True)
    new(far, "w", "--job", "j")
    world = World(far, store, store / "worktrees/repo/w")
    _work(world.tree)
    _empty(remove(world))
    done = bring_back(world)
    assert done.source == "salvage"
    assert sh(world.tree, "git status --porcelain") == " M README\nA  s\n?? h\n?? u"
    assert entry.entries(str(store), never) == []
    assert not list((far / ".git").glob("prodigy-trash/*"))
    whole(far)


def test_what_is_copied_goes_alone_so_that_a_signal_ends_it(
    repo: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["far1", "far2", "near1", "near2"]
    for name in names:
        if name.startswith("far"):
            sh(repo, f"git worktree add -q {disk}/{name}")
            ok("worktree", "adopt", disk / name, cwd=repo)
        else:
            new(repo, name)
    really, heard = removal.remove, {}

    def noted(store: str, place: Place, *more: Any, **options: Any) -> entry.Entry:
        # Only in this thread a signal's exception is raised, even amid a long copy.
        heard[os.path.basename(place.top)] = current_thread() is main_thread()
        return really(store, place, *more, **options)

    monkeypatch.setattr(removal, "remove", noted)
    ok("worktree", "clean", "--force", *names, cwd=repo)
    assert heard == {"far1": True, "far2": True, "near1": False, "near2": False}


def test_the_trash_is_a_link(world: World, disk: Path) -> None:
    (disk / "trash").mkdir()
    (world.store / "trash").symlink_to(disk / "trash")
    _work(world.tree)
    before = seen(world)
    found = remove(world)
    assert list((disk / "trash").glob("*/w/*/entry.json"))
    assert os.path.isdir(found.folder)
    bring_back(world)
    assert difference(before, seen(world)) == []


def test_so_is_the_trash_beside_the_repository(world: World, disk: Path) -> None:
    (disk / "one").mkdir()
    (world.store / "trash").symlink_to(disk / "one")
    beside = world.repo / ".git/prodigy-trash"
    beside.mkdir()
    with mounted(beside):
        _work(world.tree)
        before = seen(world)
        remove(world)
        assert os.listdir(world.repo / ".git" / "worktrees") == []
        bring_back(world)
        assert difference(before, seen(world)) == []
        assert not list(beside.iterdir())


def test_nothing_goes_behind_a_link_beside_the_repository(world: World, disk: Path) -> None:
    (world.repo / ".git/prodigy-trash").symlink_to(disk)
    _work(world.tree)
    before = seen(world)
    with pytest.raises(OSError, match="prodigy-trash is a link"):
        remove(world)
    assert difference(before, seen(world)) == []
    assert not list(disk.iterdir())


def test_so_are_the_objects(world: World, disk: Path) -> None:
    objects = world.repo / ".git" / "objects"
    shutil.copytree(objects, disk / "objects")
    shutil.rmtree(objects)
    objects.symlink_to(disk / "objects")
    _work(world.tree)
    before = seen(world)
    found = remove(world)
    commit, more = salvaged(world.repo, str(found.salvage_ref))
    assert sh(world.repo, f"git show {commit}:u", **more) == "u"
    bring_back(world)
    assert difference(before, seen(world)) == []
    whole(world.repo)


@pytest.fixture
def apart_sessions(world: World, disk: Path) -> Path:
    shutil.copytree(world.store / "sessions", disk / "sessions")
    shutil.rmtree(world.store / "sessions")
    (world.store / "sessions").symlink_to(disk / "sessions")
    return disk / "sessions"


def test_a_sessions_file_goes_to_the_trash_and_back(world: World, apart_sessions: Path) -> None:
    sh(world.store.parent, "prodigy-git finish w")
    before = (apart_sessions / "w.json").read_bytes()
    remove(world)
    limits = {"sessions": clock.now() + 1}
    (one,) = by_age.find(str(world.store), limits, never)
    (done,) = by_age.carry_out(str(world.store), [one], never)
    assert done.error is None
    assert os.listdir(apart_sessions) == []
    assert json.loads(Path(str(done.trash_path)).read_bytes())["id"] == "w"
    bring_back(world)
    assert json.loads((apart_sessions / "w.json").read_bytes())["id"] == json.loads(before)["id"]
    assert not os.path.lexists(str(done.trash_path))


def test_a_sessions_file_is_brought_back_by_a_repair(world: World, apart_sessions: Path) -> None:
    path = layout.session(str(world.store), "w")
    kept = world.store / "trash" / "repo" / "w" / "session.json"
    kept.parent.mkdir(parents=True)
    shutil.move(path, kept)
    found = [
        one for one in mending.find(str(world.store), "repo", never) if one.kind == "enrolment"
    ]
    (done,) = mending.repair(str(world.store), found, never)
    assert (done.done, done.error) == ("brought back from the trash", "")
    assert os.listdir(apart_sessions) == ["w.json"]
    assert not kept.exists()


def test_an_entry_that_cannot_be_finished_is_not_restored_a_second_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It made a second entry from the salvage ref, and half of a worktree from each."""
    from prodigy_git.cleanup.restore import carrying_out

    _work(world.tree)
    remove(world)

    def fails(found):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(carrying_out, "_register", fails)
    with pytest.raises(OSError, match="Input/output"):
        bring_back(world)

    said: list[str] = []
    with pytest.raises(ProdigyError, match="is restoring still"):
        restored(world.store, "w", broken=said.append)
    assert "Input/output error" in said[0]
    assert len(entry.entries(str(world.store), never)) == 1
    monkeypatch.undo()
    interrupted.take_up(str(world.store), "repo", print)
    assert sh(world.tree, "git status --porcelain") == " M README\nA  s\n?? h\n?? u"


@mounting
def test_in_the_lower_layer_of_overlayfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything was baked into an image: repository, store, a worktree, one in the trash."""
    for name in ("low", "up", "work", "mnt"):
        (tmp_path / name).mkdir()
    sh(tmp_path, "mount --bind low mnt")
    try:
        repo, store = tmp_path / "mnt" / "repo", tmp_path / "mnt" / "store"
        monkeypatch.setenv("PRODIGY_HOME", str(store))
        sh(
            tmp_path,
            "git init -q mnt/repo; cd mnt/repo; echo x >README; git add .; git commit -qm 1",
        )
        worlds = {}
        for name in ("here", "trashed", "emptied"):
            new(repo, name, "--job", "j")
            worlds[name] = World(repo, store, store / "worktrees" / "repo" / name)
            _work(worlds[name].tree)
        before = {name: seen(one) for name, one in worlds.items()}
        remove(worlds["trashed"])
        _empty(remove(worlds["emptied"]))
    finally:
        sh(tmp_path, "umount mnt")
    mount = f"lowerdir={tmp_path}/low,upperdir={tmp_path}/up,workdir={tmp_path}/work"
    sh(tmp_path, f"mount -t overlay overlay -o {mount} mnt")
    try:
        before["here"] = seen(worlds["here"])
        found = remove(worlds["here"])
        assert os.path.isdir(found.folder)
        assert not worlds["here"].tree.exists()
        whole(repo)
        for name in ("here", "trashed", "emptied"):
            bring_back(worlds[name], name)
        for name in ("here", "trashed"):
            after = seen(worlds[name])
            for one in (before[name], after):
                del one["list"], one["refs"]
            assert difference(before[name], after) == []
        assert sh(worlds["emptied"].tree, "git status --porcelain") == " M README\nA  s\n?? h\n?? u"
        assert entry.entries(str(store), never) == []
        whole(repo)
        remove(worlds["here"])
        (taken,) = emptying.empty_now(entry.entries(str(store), never), never)
        assert taken.entry.session == "here"
    finally:
        sh(tmp_path, "umount -l mnt")


@mounting
def test_no_advice_deletes_what_is_mounted(tmp_path: Path, disk: Path) -> None:
    """A mount inside of what is copied: nothing moves, and what is said names the mount."""
    source, shared = tmp_path / "w", tmp_path / "shared"
    for folder in (source / "in side", shared):
        folder.mkdir(parents=True)
    (shared / "file").write_text("somebody's\n")
    (source / "own").write_text("own\n")
    sh(tmp_path, "mount --bind shared 'w/in side'")
    try:
        with pytest.raises(ProdigyError, match="in side is a mount point: 'umount"):
            moving.move(str(source), str(disk / "w"))
        assert (source / "own").read_text() == "own\n"
        assert os.listdir(disk) == []
        with pytest.raises(ProdigyError, match="umount") as caught:
            moving.remove(str(source))
        assert "by hand" not in str(caught.value)
    finally:
        sh(tmp_path, "umount 'w/in side'")
    assert (shared / "file").read_text() == "somebody's\n"
