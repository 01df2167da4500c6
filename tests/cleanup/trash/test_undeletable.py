"""What cannot be deleted from the trash is said, with commands that help and delete nothing else."""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support_cli import call, environment, ok, snapshot
from support_trash import DAY, NOBODY, as_user, make, state, work

from prodigy_git.cleanup.folders.erasing import Left
from prodigy_git.cleanup.trash import entry, undeletable

root = pytest.mark.skipif(
    os.getuid() != 0, reason="NOT TESTED: what root has made immutable, mounted or owned"
)


def advised(text):
    """Return the commands that a message gives, without sudo: the tests are root."""
    found = re.findall(r"'(?:sudo )?((?:chattr|rm|umount) [^']*)'", text)
    assert found, text
    return found


def follow(text):
    for command in advised(text):
        subprocess.run(["sh", "-c", command], check=True)


@contextlib.contextmanager
def immutable(path, flag="+i"):
    done = subprocess.run(["chattr", flag, path], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("NOT TESTED: immutable files; this filesystem has none")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-f", "-i", "-a", path], capture_output=True, check=False)


def held(made, where):
    """Return what is to be immutable, made if need be."""
    path = Path(made.folder) / "sub" / "a file's name"
    path.write_text("x")
    return {"file": path, "folder": path.parent, "top": Path(made.folder)}[where]


@root
@pytest.mark.parametrize("flag", ["+i", "+a"])
@pytest.mark.parametrize("where", ["file", "folder", "top"])
@pytest.mark.parametrize("command", [("trash", "empty", "--yes"), ("clean", "--trash", "--yes")])
def test_immutable(store, repo, git, where, flag, command):
    made = make(store, repo, git, age=8 * DAY)
    other = make(store, repo, git, "other")
    whole = snapshot(Path(other.folder), Path(other.git))
    (store / "state" / "repo").mkdir(parents=True)
    command = (*command, "--all-repos") if command[0] == "clean" else (*command, "w1")
    with immutable(held(made, where), flag):
        done = call(*command, cwd=repo)
        assert done.code == 1
        assert "could not be deleted (it is immutable or append-only)" in done.err
        assert "deleted for good" not in done.out
        assert state(made) == "emptying"
        listed = ok("trash", "list", cwd=repo)
        assert f"w1: {entry.read(made.path).left}" in listed.err
        (row,) = (
            one for one in ok("trash", "list", "--json", cwd=repo).json if one["session_id"] == "w1"
        )
        assert row["left"] in done.err
        again = call(*command, cwd=repo)  # tried again, and said again
        assert (again.code, row["left"] in again.err) == (1, True)
        follow(done.err)
        ok(*command, cwd=repo)
    assert state(made) == "emptied"
    assert snapshot(Path(other.folder), Path(other.git)) == whole


@root
def test_how_many(store, repo, git):
    made = make(store, repo, git)
    for name in ("a", "b", "c"):
        (Path(made.folder) / name).write_text("x")
    with contextlib.ExitStack() as stack:
        for name in ("a", "b", "c"):
            stack.enter_context(immutable(Path(made.folder) / name))
        done = call("trash", "empty", "--yes", cwd=repo)
        assert " and 2 more could not be deleted" in done.err
        assert sorted(os.listdir(made.folder)) == ["a", "b", "c"]
        follow(done.err)
        ok("trash", "empty", "--yes", cwd=repo)
    assert state(made) == "emptied"


@root
@pytest.mark.parametrize("kind", ["bind", "tmpfs", "file", "twice"])
def test_something_mounted_inside(store, repo, git, tmp_path, kind):
    made = make(store, repo, git)
    precious, inside = tmp_path / "precious", Path(made.folder) / "a b"
    for folder in (precious, inside):
        folder.mkdir()
    (precious / "file").write_text("kept")
    (inside / "file").write_text("under it")
    # As a container leaves it: beside the mount what belongs to another user.
    mount = {
        "bind": [["--bind", precious, inside]],
        "tmpfs": [["-t", "tmpfs", "none", inside]],
        "file": [["--bind", precious / "file", inside / "file"]],
        "twice": [["--bind", precious, inside], ["-t", "tmpfs", "none", inside]],
    }[kind]
    try:
        for some in mount:
            if subprocess.run(["mount", *some], capture_output=True, check=False).returncode:
                pytest.skip("NOT TESTED: mounts in an entry; mount does not work here")
        for _ in mount:
            done = call("trash", "empty", "--yes", cwd=repo)
            assert done.code == 1
            (command,) = advised(done.err)
            assert command.startswith("umount ")
            follow(done.err)
            if kind == "twice":
                break  # one command takes both
        ok("trash", "empty", "--yes", cwd=repo)
    finally:
        for path in (inside / "file", inside, inside):
            subprocess.run(["umount", path], capture_output=True, check=False)
    assert state(made) == "emptied"
    assert (precious / "file").read_text() == "kept"


AS_NOBODY = """
import sys
from prodigy_git.cleanup.trash import emptying
from prodigy_git.cleanup.trash import entry
(found,) = entry.entries(sys.argv[1], print)
(done,) = emptying.empty_now([found], print)
print(done.left)
"""


def as_nobody(store):
    done = subprocess.run(
        [*as_user(NOBODY), sys.executable, "-c", AS_NOBODY, store],
        capture_output=True, text=True, check=False, env=environment(), cwd="/",
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.splitlines()[-1]


@root
@pytest.mark.parametrize("mounted", [False, True])
def test_what_a_container_left(repo, git, tmp_path, mounted):
    """Root's folders in an ordinary user's trash; perhaps with a mount somewhere below them."""
    with tempfile.TemporaryDirectory(prefix="prodigy-stuck-") as top:
        store = Path(top) / "store"
        made = make(store, repo, git)
        for path in (Path(top), *Path(top).rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        theirs = Path(made.folder) / "node_modules"
        (theirs / "x" / "mounted").mkdir(parents=True)
        (theirs / "x" / "file").write_text("root's")
        theirs.chmod(0o700)
        precious = tmp_path / "precious"
        precious.mkdir()
        (precious / "file").write_text("kept")
        (store / "outside").write_text("kept")
        if mounted:
            mount = ["mount", "--bind", precious, theirs / "x" / "mounted"]
            if subprocess.run(mount, capture_output=True, check=False).returncode:
                pytest.skip("NOT TESTED: mounts in an entry; mount does not work here")
        try:
            said = as_nobody(store)
            assert "node_modules could not be deleted" in said
            if mounted:
                (command,) = advised(said)
                assert command.startswith("umount ")
                follow(said)
                said = as_nobody(store)
            follow(said)
            assert as_nobody(store) == "None"
        finally:
            subprocess.run(["umount", "-q", theirs / "x" / "mounted"], check=False)
        assert (precious / "file").read_text() == "kept"
        assert (store / "outside").read_text() == "kept"
        assert state(made) == "emptied"


@root
def test_purge(repo, store, git):
    made = Path(ok("new-worktree", "w1", "--json", cwd=repo).json["worktree"])
    (repo / ".git" / "info" / "exclude").write_text("stuck\n")
    (made / "stuck").write_text("x")
    ok("finish", "w1", cwd=repo)
    with immutable(made / "stuck"):
        done = call("worktree", "clean", "-f", "--purge", "--yes", "--json", "w1", cwd=repo)
        assert done.code == 1
        (one,) = json.loads(done.out)
        assert (one["result"], one["purged"]) == ("failed", False)
        assert "immutable" in one["reasons"][0]
        assert one["trash_path"]
        follow(one["reasons"][0])
        ok("trash", "empty", "--yes", cwd=repo)
    assert not Path(one["trash_path"], "worktree").exists()


@root
def test_the_background_says_it_once(store, repo, git):
    made = make(store, repo, git, state="emptying")
    with immutable(held(made, "file")):
        for _ in range(3):
            work(store)
        log = (store / "logs" / "hook-errors.log").read_text()
        assert log.count("could not be deleted") == 1
    work(store)
    assert state(made) == "emptied"


def test_a_restore_says_why_it_waits(store, repo, git):
    made = make(store, repo, git, state="emptying")
    made.left = "a thing could not be deleted: 'a command'"
    entry.write(made)
    done = call("worktree", "restore", "w1", cwd=repo)
    assert done.code == 1
    assert "'a command'" in done.err


@pytest.mark.parametrize(
    ("uid", "sudo", "expected"),
    [
        (1000, True, "'sudo rm -rf --one-file-system {}'"),
        (1000, False, "as root: 'rm -rf --one-file-system {}'"),
        (0, True, "as root, or outside of this container: 'rm -rf --one-file-system {}'"),
    ],
)
def test_whose_command_it_is(tmp_path, monkeypatch, uid, sudo, expected):
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    (tmp_path / "bin").mkdir()
    if sudo:
        (tmp_path / "bin" / "sudo").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    said = undeletable.words([Left(f"{tmp_path}/x", "no", "owner", 0)], [str(tmp_path)])
    assert said.endswith(expected.format(tmp_path))
    # What there is no command for is said all the same.
    assert undeletable.words([Left("/x", "Input/output error")], []).endswith(
        "(Input/output error)"
    )
