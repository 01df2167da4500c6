"""What is copied to another filesystem: holes, depth, names that are taken, copies that are killed."""

import os
import subprocess
from pathlib import Path

import pytest
from support_cli import new
from support_crossing import never
from support_removal import enrolled
from support_restore import (
    World,
    bring_back,
    files_of,
    remove,
    sh,
)

from prodigy_git.cleanup.folders import moving, trees
from prodigy_git.cleanup.folders.erasing import erase
from prodigy_git.cleanup.trash import entry, removal


def _far(world: World, disk: Path) -> World:
    """A second worktree of the world's repository, on the other filesystem."""
    sh(
        world.repo,
        f"git worktree add -q -b far {disk}/far && prodigy-git worktree adopt {disk}/far",
    )
    return World(world.repo, world.store, disk / "far")


def test_holes_stay_holes(world: World, disk: Path) -> None:
    far = _far(world, disk)
    # git's reading of them would fill holes: tmpfs does that where a file is mapped.
    (far.tree / ".gitignore").write_text("sparse\nempty\n")
    with open(far.tree / "sparse", "wb") as stream:
        stream.truncate(50 << 20)
        stream.seek(10 << 20)
        stream.write(b"in the middle")
    with open(far.tree / "empty", "wb") as stream:
        stream.truncate(20 << 20)
    before = files_of(far.tree)
    session = enrolled(far.tree)[1].session
    found = remove(far)
    for name in ("sparse", "empty"):
        about = os.stat(f"{found.folder}/{name}")
        assert about.st_blocks * 512 < 1 << 20
    bring_back(far, session)
    for name in ("sparse", "empty"):
        assert os.stat(far.tree / name).st_blocks * 512 < 1 << 20
    assert files_of(far.tree) == before


def test_what_a_hole_hides_counts_as_different(tmp_path: Path) -> None:
    """A file of zeros, or one with other data where the first has a hole, is another file."""
    one, other = tmp_path / "one", tmp_path / "other"
    for path in (one, other):
        with open(path, "wb") as stream:
            stream.truncate(8 << 20)
    assert trees.same(str(one), str(other))
    with open(other, "r+b") as stream:
        stream.seek(5 << 20)
        stream.write(b"x")
    assert not trees.same(str(one), str(other))
    assert not trees.same(str(other), str(one))
    with open(one, "r+b") as stream:
        stream.write(bytes(1 << 20))
    with open(other, "wb") as stream:
        stream.truncate(8 << 20)
    assert trees.same(str(one), str(other))


def _dig(top: Path, levels: int) -> None:
    """Make folders in one another, deeper than a path can say."""
    back = os.open(".", os.O_RDONLY)
    try:
        os.chdir(top)
        for _ in range(levels):
            os.mkdir("d")
            os.chdir("d")
        Path("bottom").write_text("bottom\n")
    finally:
        os.fchdir(back)
        os.close(back)


def _bottom(top: Path, levels: int) -> str:
    return Path(f"{top}/{'d/' * levels}bottom").read_text()


def test_folders_1200_deep(world: World, disk: Path) -> None:
    far = _far(world, disk)
    (far.tree / ".gitignore").write_text("/d\n")
    _dig(far.tree, 1200)
    session = enrolled(far.tree)[1].session
    found = remove(far)
    assert _bottom(Path(found.folder), 1200) == "bottom\n"
    assert not far.tree.exists()
    bring_back(far, session)
    assert _bottom(far.tree, 1200) == "bottom\n"
    assert erase(str(far.tree / "d")) == []


def test_deeper_than_a_path_can_say(world: World, disk: Path, cleaning: list[str]) -> None:
    """It stays as it is, with one line; the others are cleaned."""
    far = _far(world, disk)
    (far.tree / ".gitignore").write_text("/d\n")
    _dig(far.tree, 2200)
    done = subprocess.run(cleaning, cwd=world.repo, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    line = next(line for line in done.stdout.splitlines() if "far" in line or "failed" in line)
    assert "longer than the system takes" in line
    assert len(line) < 400
    assert "Traceback" not in done.stderr
    assert not world.tree.exists()
    assert sh(far.tree, "git status --porcelain") == "?? .gitignore"
    assert os.listdir(disk) == ["far"]
    assert [one.session for one in entry.entries(str(world.store), never)] == ["w"]
    assert erase(str(far.tree / "d")) == []


@pytest.fixture
def cleaning() -> list[str]:
    return ["prodigy-git", "worktree", "clean", "--all", "-f", "--min-age", "0s"]


def test_one_that_nobody_foresaw_stops_no_other(
    world: World, cleaning: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from prodigy_git.cleanup import worktrees
    from prodigy_git.cleanup.account import one_worktree

    new(world.repo, "x", "--job", "j")
    look = one_worktree.look_at

    def odd(e, subject, *more):
        if subject.name == "w":
            raise RecursionError("too deep")
        return look(e, subject, *more)

    monkeypatch.setattr(one_worktree, "look_at", odd)
    options = worktrees.Options(every=True, force=True, min_age=0)
    outcomes = worktrees.clean(str(world.store), str(world.repo), None, options, never)
    assert {one.name: one.result for one in outcomes} == {"w": "refused", "x": "cleaned"}
    assert any("RecursionError: too deep" in text for one in outcomes for text in one.reasons)
    monkeypatch.undo()

    def broken(store, place, there, **more):
        raise RecursionError("too deep")

    monkeypatch.setattr(removal, "remove", broken)
    (outcome,) = worktrees.clean(str(world.store), str(world.repo), ["w"], options, never)
    assert (outcome.result, outcome.reasons) == ("failed", ["RecursionError: too deep"])


def test_a_killed_move_is_not_taken_back_once_the_copy_has_its_name(
    tmp_path: Path, disk: Path
) -> None:
    """What is set aside may be half deleted then, and the user may be at work in the target."""
    source, target = tmp_path / "m" / "worktree", disk / "w"
    source.mkdir(parents=True)
    for name in ("a", "b"):
        (source / name).write_text(name)
    copy, _, aside = moving._names(str(source), str(target))
    trees.copy(str(source), copy)
    os.rename(source, aside)
    os.rename(copy, target)
    os.unlink(f"{aside}/a")
    (target / "b").write_text("changed by the user\n")
    assert moving.settle(str(source), str(target))
    assert sorted(os.listdir(target)) == ["a", "b"]
    assert (target / "b").read_text() == "changed by the user\n"
    assert not source.exists()
    assert os.listdir(source.parent) == []


def test_a_target_that_is_taken_at_the_last_moment(tmp_path: Path, disk: Path) -> None:
    source, target = tmp_path / "m" / "worktree", disk / "w"
    source.mkdir(parents=True)
    (source / "a").write_text("a")
    copy, _, aside = moving._names(str(source), str(target))
    trees.copy(str(source), copy)
    os.rename(source, aside)
    target.mkdir()
    (target / "mine").write_text("mine")
    assert not moving.settle(str(source), str(target))
    assert (source / "a").read_text() == "a"
    assert os.listdir(target) == ["mine"]
    assert os.listdir(disk) == ["w"]


def test_a_folder_beside_the_target_is_not_taken_for_a_copy(world: World) -> None:
    """Restoring deleted ``w.copying`` beside ``w``, whoever had made it."""
    remove(world)
    mine = world.tree.parent / "w.copying"
    mine.mkdir()
    (mine / "file").write_text("mine\n")
    bring_back(world)
    assert (mine / "file").read_text() == "mine\n"
