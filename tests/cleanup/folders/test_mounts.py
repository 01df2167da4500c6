"""Mounts in a worktree, or of it: nothing moves, and the mount is named."""

import os
import subprocess
from pathlib import Path

import pytest
from support_cli import call, new, ok
from support_mounts import mounted, needs_mounts

from prodigy_git.cleanup import worktrees
from prodigy_git.cleanup.folders import mounts
from prodigy_git.record import gitdir

TABLE = rb"""1 1 0:1 / / rw - rootfs rootfs rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
22 27 0:21 / /proc rw - proc proc rw,hidepid=invisible
40 27 254:0 /data/big /home/u rw master:2 - ext4 /dev/vda rw
41 40 0:50 / /home/u/with\040blank\011tab\012line\134back rw - tmpfs tmpfs rw
42 27 0:51 / /home/u/late rw - tmpfs tmpfs rw
43 27 0:60 / /srv rw - tmpfs tmpfs rw
44 27 0:61 / /srv/hidden rw - tmpfs tmpfs rw
45 27 0:70 / /over rw - overlay overlay rw,lowerdir=/etc/low\134:er:/opt/u,upperdir=/opt/up,workdir=w
a line that is none
"""


@pytest.fixture
def table():
    return mounts.parse(TABLE)


@pytest.mark.parametrize(
    ("path", "spot"),
    [
        ("/", ("254:0", "/")),
        ("/etc/x", ("254:0", "/etc/x")),
        ("/home/u", ("254:0", "/data/big")),
        ("/home/u/deep/er", ("254:0", "/data/big/deep/er")),
        ("/home/u2", ("254:0", "/home/u2")),
        ("/home/u/with blank\ttab\nline\\back/x", ("0:50", "/x")),
        # Mounted first, so that what lies on another mount's point hides it.
        ("/srv/hidden/x", ("0:60", "/hidden/x")),
    ],
)  # fmt: skip
def test_a_path_is_what_is_mounted_there(table, path, spot):
    # As the kernel lists it, /srv was mounted over the folder that /srv/hidden was mounted in.
    assert mounts.spot(table, path) == spot


def test_mounts_in_a_folder_are_found_by_every_path_of_it(table):
    blank = "/home/u/with blank\ttab\nline\\back"
    assert mounts.inside(table, "/home/u") == ["/home/u/late", blank, "/home/u"]
    # The folder that is seen at /home/u: what was mounted there is in it, too.
    assert mounts.inside(table, "/data/big") == [blank]
    assert mounts.elsewhere(table, "/data/big") == ["/home/u"]
    assert mounts.elsewhere(table, "/data") == ["/home/u"]
    assert mounts.elsewhere(table, "/data/bi") == []


def test_what_an_overlay_is_made_of_is_in_use_by_it(table):
    for path in ("/etc/low:er", "/etc", "/opt/up", "/opt/u"):
        assert "/over" in mounts.elsewhere(table, path)
    for path in ("/etc/low", "/opt/up/x", "/over", "/w"):
        assert "/over" not in mounts.elsewhere(table, path)


def test_mount_points_of_a_process_with_a_root_of_its_own():
    table = mounts.parse(b"9 8 0:7 /a / rw - ext4 x rw\n10 9 0:8 / /b rw - tmpfs x rw\n", "/jail")
    assert mounts.spot(table, "/jail/c") == ("0:7", "/a/c")
    assert mounts.spot(table, "/jail/b/c") == ("0:8", "/c")
    # Not on any mount that is listed: told by its path alone.
    assert mounts.spot(table, "/elsewhere") == ("", "/elsewhere")
    assert mounts.spot(None, "/elsewhere") == ("", "/elsewhere")


@pytest.fixture
def tree(repo):
    (repo / ".gitignore").write_text("build/\nnode_modules/\n")
    (repo / "dir").mkdir()
    (repo / "dir" / "file").write_text("one\n")
    for words in (("add", "."), ("commit", "-qm", "files")):
        subprocess.run(["git", *words], cwd=repo, check=True)
    made = new(repo, "w1")
    ok("finish", "w1", cwd=repo)
    return Path(made["worktree"])


@pytest.fixture
def source(tmp_path):
    """A folder with a repository that has work in it: none of the worktree's business."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "kept").write_text("the source\n")
    subprocess.run(["git", "init", "-q", str(folder / "inner")], check=True)
    (folder / "inner" / "new").write_text("x")
    return folder


def kept(repo, tree, point):
    """Every way to remove it is refused, and names the mount; nothing has moved."""
    before = sorted(os.listdir(tree))
    for words in (
        ("worktree", "clean", "-f", "w1"),
        ("worktree", "clean", "-f", "--all", "--min-age", "0s"),
        ("worktree", "clean", "-f", "--purge", "--yes", "w1"),
    ):
        done = call(*words, cwd=repo)
        assert "w1: kept (" in done.out, done
        assert f"'umount {point}' first" in done.out
        assert sorted(os.listdir(tree)) == before
    shown = ok("worktree", "show", "w1", cwd=repo).out
    assert str(point).strip("'") in shown
    assert (
        ok("worktree", "show", "--json", "w1", cwd=repo).json["clean_force"]["would_clean"] is False
    )


@pytest.mark.parametrize("kind", ["same filesystem", "another"])
@pytest.mark.parametrize("where", ["node_modules", "build/deep/er", "dir", "new", "blank one"])
def test_a_mount_inside_keeps_it(repo, tree, source, kind, where):
    point = tree / where
    point.mkdir(parents=True, exist_ok=True)
    with mounted(point, source if kind == "same filesystem" else None):
        (point / "also").write_text("x")
        kept(repo, tree, f"'{point}'" if " " in where else point)
    ok("worktree", "clean", "-f", "w1", cwd=repo)
    assert not tree.exists()
    ok("worktree", "restore", "w1", cwd=repo)
    assert point.is_dir()
    assert (source / "kept").read_text() == "the source\n"
    assert (source / "inner" / "new").exists()


def test_what_is_mounted_in_an_ignored_folder_is_not_counted(repo, store, tree, source):
    (tree / "build" / "deep").mkdir(parents=True)
    (tree / "build" / "own").write_text("12345")
    with mounted(tree / "build" / "deep", source):
        e = worktrees.show(str(store), str(repo), "w1")
    assert (e.ignored, e.ignored_bytes, e.nested) == (1, 5, {})
    assert e.mounts == [str(tree / "build" / "deep")]


def test_a_file_that_is_mounted_keeps_it(repo, tree, source):
    with mounted(tree / "README", source / "kept"):
        kept(repo, tree, tree / "README")


def test_a_mount_in_its_private_git_directory_keeps_it(repo, tree, source):
    private = Path(gitdir.find(str(tree), {}).private)
    (private / "modules").mkdir()
    with mounted(private / "modules"):
        kept(repo, tree, private / "modules")


@pytest.mark.parametrize("volume", [True, False], ids=["volume", "bound to itself"])
def test_a_worktree_that_is_a_mount_point_is_kept(repo, store, tmp_path, volume):
    folder = tmp_path / "vol"
    folder.mkdir()
    with mounted(folder, None if volume else folder):
        subprocess.run(["git", "worktree", "add", "-q", str(folder)], cwd=repo, check=True)
        ok("worktree", "adopt", str(folder), cwd=repo)
        (session,) = (path.stem for path in (store / "sessions").glob("*.json"))
        ok("finish", session, cwd=repo)
        done = call("worktree", "clean", "-f", session, cwd=repo)
        assert f"it is a mount point: 'umount {folder}' first" in done.out
        assert (folder / "README").exists()
        assert ok("worktree", "show", session, "--json", cwd=repo).json["locked"] is None


def test_a_mount_made_through_another_path_keeps_it(repo, tree, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (tree / "node_modules").mkdir()
    with mounted(other, tree.parent), mounted(other / "w1" / "node_modules"):
        kept(repo, tree, other / "w1" / "node_modules")


@pytest.mark.parametrize("layer", ["lowerdir", "upperdir"])
def test_an_overlay_over_it_keeps_it(repo, tree, tmp_path, layer):
    needs_mounts()
    names = {"lowerdir": "low", "upperdir": "up", "workdir": "work"}
    # The layers that are written to must be on one filesystem, which is none of an overlay's own.
    (tmp_path / "disk").mkdir()
    with mounted(tmp_path / "disk"):
        folders = {name: tmp_path / "disk" / folder for name, folder in names.items()}
        folders[layer] = tree / "dir"
        if layer == "upperdir":
            folders["workdir"] = tree.parent / "work"
        for folder in (*folders.values(), tmp_path / "over"):
            folder.mkdir(exist_ok=True)
        options = ",".join(f"{name}={path}" for name, path in folders.items())
        done = subprocess.run(
            ["mount", "-t", "overlay", "-o", options, "overlay", str(tmp_path / "over")],
            check=False,
        )
        if done.returncode != 0:
            pytest.skip("no overlay can be mounted here")
        try:
            kept(repo, tree, tmp_path / "over")
        finally:
            subprocess.run(["umount", str(tmp_path / "over")], check=True)


@pytest.mark.parametrize("part", [".", "dir"])
def test_what_is_mounted_elsewhere_keeps_it(repo, tree, tmp_path, part):
    other = tmp_path / "other"
    other.mkdir()
    with mounted(other, tree / part):
        kept(repo, tree, other)
    ok("worktree", "clean", "w1", cwd=repo)


def test_the_folder_above_may_be_mounted_anywhere(repo, tree, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    with mounted(other, tree.parent):
        ok("worktree", "clean", "w1", cwd=repo)
    assert not tree.exists()


@pytest.mark.parametrize("where", ["build/deep/er", "dir", "new"])
def test_without_a_list_of_mounts_the_devices_tell(repo, store, tree, monkeypatch, where):
    monkeypatch.setattr(mounts, "own", lambda: None)
    (tree / where).mkdir(parents=True, exist_ok=True)
    with mounted(tree / where):
        (tree / where / "also").write_text("x")
        e = worktrees.show(str(store), str(repo), "w1")
        assert e.mounts == [str(tree / where)]
        assert "'umount" in call("worktree", "clean", "-f", "w1", cwd=repo).out
    ok("worktree", "clean", "-f", "w1", cwd=repo)
