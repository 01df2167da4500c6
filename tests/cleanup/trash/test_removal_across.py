"""Moving a worktree to the trash where that is on another filesystem, or cannot be renamed."""

import errno
import os
from pathlib import Path

import pytest
from support_removal import (
    collect_garbage,
    git,
    place_of,
    staged_twice,
)
from test_removal import elsewhere, inside, never, remove

from prodigy_git.cleanup import interrupted
from prodigy_git.cleanup.folders import moving
from prodigy_git.cleanup.trash import entry
from prodigy_git.errors import ProdigyError


@pytest.fixture
def apart(monkeypatch, tmp_path, store):
    """Pretend that the store, and whatever `also` is given, are filesystems of their own."""
    real = os.rename
    roots = [str(store)]

    def rename(source, target):
        def filesystem(path):
            return [root for root in roots if f"{path}/".startswith(f"{root}/")]

        if filesystem(source) != filesystem(target):
            raise OSError(errno.EXDEV, "Invalid cross-device link", source)
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    return roots.append


def cannot_be_renamed(monkeypatch, *lower: Path | str) -> None:
    """Pretend that folders are in a lower layer of overlayfs: only copies of them can be renamed."""
    real = os.rename
    # Held open: else the filesystem may give a number to the copy.
    held = {os.lstat(path).st_ino: os.open(path, os.O_RDONLY) for path in lower}

    def rename(source, target):
        if os.lstat(source).st_ino in held:
            raise OSError(errno.EXDEV, "Invalid cross-device link", source)
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)


def test_on_another_filesystem_than_the_store(repo, store, tmp_path, apart):
    tree, _ = elsewhere(repo, store, tmp_path / "x.y")
    staged_twice(tree)
    folder, private = inside(tree), inside(place_of(tree).private)
    found = remove(store, tree)
    assert found.folder == f"{repo}/.git/prodigy-trash/x.y-{found.moment}-worktree"
    assert found.git == f"{repo}/.git/prodigy-trash/x.y-{found.moment}"
    assert inside(found.folder) == folder
    assert inside(found.git) == private
    git("worktree", "prune", cwd=repo)
    collect_garbage(repo)
    assert inside(found.git) == private


def _everything(tree: Path) -> None:
    (tree / "deep" / "er").mkdir(parents=True)
    (tree / "deep" / "er" / "x").write_text("x\n")
    os.link(tree / "deep" / "er" / "x", tree / "linked")
    (tree / "loop").symlink_to("deep")
    (tree / "nowhere").symlink_to("not there")
    os.mkfifo(tree / "fifo")
    (tree / "mode").write_text("m\n")
    (tree / "mode").chmod(0o6751)
    (tree / "empty").mkdir(mode=0o500)
    (tree / os.fsdecode(b"\xff\n")).write_bytes(bytes(range(256)) * 5000)
    os.utime(tree / "mode", ns=(1, 1234567890123456789))
    os.utime(tree / "nowhere", ns=(1, 1234567890123456789), follow_symlinks=False)
    os.setxattr(tree / "mode", "user.test", b"kept")


def _about(folder: str) -> dict[str, object]:
    found = {}
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            about = os.lstat(f"{root}/{name}")
            path = os.path.relpath(f"{root}/{name}", folder)
            found[path] = (about.st_mode, about.st_mtime_ns, about.st_nlink, about.st_uid)
    return found


def test_on_a_third_filesystem_it_is_copied_whole(repo, store, tmp_path, apart):
    tree, _ = elsewhere(repo, store, tmp_path / "disk" / "far")
    _everything(tree)
    apart(str(tmp_path / "disk"))
    folder, about = inside(tree), _about(str(tree))
    found = remove(store, tree)
    assert found.folder == f"{found.path}/worktree"
    assert inside(found.folder) == folder
    now = _about(found.folder)
    now[".git"] = now.pop(entry.DISABLED)
    assert now == about
    assert os.getxattr(f"{found.folder}/mode", "user.test") == b"kept"
    assert os.path.samefile(f"{found.folder}/linked", f"{found.folder}/deep/er/x")
    assert os.listdir(tmp_path / "disk") == []


def test_what_changes_while_it_is_copied_is_not_lost(repo, store, tmp_path, apart, monkeypatch):
    tree, _ = elsewhere(repo, store, tmp_path / "disk" / "far")
    apart(str(tmp_path / "disk"))
    check = moving._check
    calls = 0

    def meanwhile(source, copy):
        nonlocal calls
        check(source, copy)
        calls += 1
        if calls == 1:
            (tree / "README").write_text("written at the last moment\n")

    monkeypatch.setattr(moving, "_check", meanwhile)
    before = git("for-each-ref", cwd=repo)
    with pytest.raises(ProdigyError, match="was changed while it was copied"):
        remove(store, tree)
    assert (tree / "README").read_text() == "written at the last moment\n"
    assert "README" in git("status", "--porcelain", cwd=tree)
    assert git("for-each-ref", cwd=repo) == before
    assert entry.entries(str(store), never) == []
    assert os.listdir(tmp_path / "disk") == ["far"]


@pytest.mark.parametrize(
    ("lower", "kill_at"),
    [*((False, at) for at in range(1, 14)), *((True, at) for at in range(1, 40))],
)
def test_a_copying_that_is_killed_is_taken_up(
    repo, store, tmp_path, apart, monkeypatch, lower, kill_at
):
    """A kill is what no handler sees: the exceptions are raised in a process of its own."""
    tree, _ = elsewhere(repo, store, tmp_path / "disk" / "far")
    _everything(tree)
    apart(str(tmp_path / "disk"))
    if lower:
        cannot_be_renamed(monkeypatch, tree, place_of(tree).private)
    folder, private = inside(tree), inside(place_of(tree).private)
    child = os.fork()
    if child == 0:
        steps = 0

        def stop(original):
            def stepped(*arguments):
                nonlocal steps
                steps += 1
                if steps == kill_at:
                    os._exit(9)
                return original(*arguments)

            return stepped

        try:
            for name in ("_copy", "_check", "_mark", "rename", "remove"):
                monkeypatch.setattr(moving, name, stop(getattr(moving, name)))
            remove(store, tree)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (9, 0)
    lines = interrupted.take_up(str(store), "repo", never)
    assert len(lines) == (status == 9)
    if tree.exists():
        assert "as it was" in lines[0]
        assert inside(tree) == folder
        assert inside(place_of(tree).private) == private
        assert git("status", "--porcelain", cwd=tree)
        assert os.listdir(tmp_path / "disk") == ["far"]
        assert os.listdir(repo / ".git" / "worktrees") == ["far"]
    else:
        (found,) = entry.entries(str(store), never)
        assert inside(found.folder) == folder
        assert inside(found.git) == private
        assert os.listdir(tmp_path / "disk") == []
        assert not (repo / ".git" / "worktrees").exists() or not os.listdir(repo / ".git/worktrees")
        assert [name for name in os.listdir(found.path) if name.startswith(".")] == []
