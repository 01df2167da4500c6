"""Salvages out of the reach of every ref, in repositories of every kind, and when they go."""

import contextlib
import os
import resource
import shutil

import pytest
from support_memory import SHARED
from support_removal import (
    commit,
    existing,
    files_of,
    git,
    place_of,
    salvage_folder,
)
from support_restore import bring_back, difference, remove, seen, sh, whole
from support_unpublished import COLLECT, SECRETS, empty

from prodigy_git.cleanup.salvage import salvage, uncommitted, unpublished
from prodigy_git.cleanup.trash import emptying
from prodigy_git.errors import ProdigyError


@pytest.mark.parametrize("form", ["sha1", "sha256"])
def test_a_path_with_what_separates_paths(tmp_path, form):
    main = tmp_path / 'a:b"c' / "main"
    main.mkdir(parents=True)
    git("init", "-q", f"--object-format={form}", main, cwd=tmp_path)
    commit(main, "README", "x\n")
    git("worktree", "add", "-q", "-b", "work", tmp_path / "wt", cwd=main)
    lone = commit(tmp_path / "wt", "c", "x\n")
    (tmp_path / "wt" / "u").write_text("u\n")
    moment = "20260111T120000.123456Z"
    found = salvage.anchor(place_of(tmp_path / "wt"), "s", moment, 1000)
    assert found.kept is not None
    common = str(main / ".git")
    assert unpublished.holding(common, lone) == [("s", moment)]
    how = unpublished.command(common, "s", moment)
    assert sh(main, f"{how} show {found.kept.commit}:u") == "u"


def test_a_shared_repository_stays_shared(tmp_path):
    main = tmp_path / "main"
    git("init", "-q", "--shared=group", main, cwd=tmp_path)
    commit(main, "README", "x\n")
    (main / "u").write_text("u\n")
    git("worktree", "add", "-q", "-b", "work", tmp_path / "wt", cwd=main)
    (tmp_path / "wt" / "u").write_text("u\n")
    salvage.anchor(place_of(tmp_path / "wt"), "s", "20260111T120000.123456Z", 1000)
    objects = (main / ".git" / "objects").stat().st_mode
    top = main / ".git" / "prodigy-salvage"
    for path in (top, *(one for one in top.rglob("*") if one.is_dir())):
        assert path.stat().st_mode == objects, path
    assert all(path.stat().st_mode & 0o040 for path in top.rglob("*.pack"))


def test_objects_of_a_borrower(repo, tmp_path):
    """What lies in another repository's objects only is kept, too: its owner may collect it."""
    lone = git("commit-tree", "-m", "lone", "HEAD^{tree}", cwd=repo)
    git("clone", "-q", "--shared", repo, tmp_path / "borrower", cwd=tmp_path)
    tree = tmp_path / "wt"
    git("worktree", "add", "-q", "--detach", tree, lone, cwd=tmp_path / "borrower")
    found = salvage.anchor(place_of(tree), "s", "20260111T120000.123456Z", 1000)
    shutil.rmtree(tree)
    sh(repo, COLLECT)
    assert existing(repo, {lone}) == set()
    assert found.kept is not None
    assert found.kept.commit == lone
    view = unpublished.view(str(tmp_path / "borrower" / ".git"), "s", "20260111T120000.123456Z")
    git("rev-list", "--objects", lone, cwd=tmp_path / "borrower", **view)


def test_no_room_for_a_pack_moves_nothing(world, monkeypatch):
    for number in range(60):
        (world.tree / f"u{number}").write_bytes(os.urandom(4000))
    before = seen(world)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    run = uncommitted.look

    def limited(place, *arguments, **options):
        # A pack is larger than each of the objects that are written before.
        if "pack-objects" in arguments:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            return run(place, *arguments, **options)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    monkeypatch.setattr(uncommitted, "look", limited)
    with pytest.raises(ProdigyError, match="could not be kept"):
        remove(world)
    monkeypatch.undo()
    assert difference(before, seen(world)) == []
    assert git("for-each-ref", "refs/prodigy", cwd=world.repo) == ""
    assert not list((world.repo / ".git").glob("prodigy-salvage*"))


@pytest.mark.skipif(not SHARED.is_dir(), reason="NOT TESTED: objects on another filesystem")
def test_objects_on_another_filesystem(world):
    away = SHARED / f"prodigy-objects-{os.getpid()}"
    assert away.parent.stat().st_dev != world.repo.stat().st_dev
    sh(world.tree, SECRETS)
    sh(world.repo, f"mv .git/objects {away}; ln -s {away} .git/objects")
    try:
        before = seen(world)
        remove(world)
        sh(world.repo, COLLECT)
        bring_back(world)
        assert difference(before, seen(world)) == []
        assert not list(away.rglob("*.keep"))
        whole(world.repo)
    finally:
        shutil.rmtree(away)


def test_somebody_elses_keep_stays(world):
    sh(world.tree, "printf 's' >s; git add s")
    found = remove(world)
    unpublished.bring_back(found.common, "w", found.moment)
    (keep,) = (world.repo / ".git/objects/pack").glob("*.keep")
    assert "prodigy-git salvage w" in keep.read_text()
    # Killed here; whoever restores next lets it go, and nobody else's.
    other = keep.with_name("pack-other.keep")
    other.write_text("mine\n")
    bring_back(world)
    assert [one.name for one in other.parent.glob("*.keep")] == [other.name]
    found = remove(world)
    (pack,) = salvage_folder(world.repo, found.salvage_ref).glob("pack/*.pack")
    mine = keep.with_name(pack.with_suffix(".keep").name)
    mine.write_text("mine\n")
    bring_back(world)
    assert mine.read_text() == "mine\n"


def test_a_salvage_that_does_not_say_what_it_is_stays(world):
    sh(world.tree, "printf 'u' >u")
    found = remove(world)
    about = salvage_folder(world.repo, found.salvage_ref) / "about"
    text = about.read_text()
    empty(found)
    for damage in ("", "prodigy-git salvage x y\ncommit z\n"):
        about.write_text(damage)
        with pytest.raises(ProdigyError, match="damaged"):
            bring_back(world)
    about.write_text(text)
    bring_back(world)
    assert (world.tree / "u").read_text() == "u"


def test_a_salvage_goes_when_branches_have_all_of_it(world):
    sh(world.tree, "git commit -q --allow-empty -m own; git update-ref -d ORIG_HEAD || :")
    found = remove(world)
    folder = salvage_folder(world.repo, found.salvage_ref)
    assert folder.is_dir()
    sh(world.repo, "git branch -m prodigy-w elsewhere")
    for branch, there in (
        ("git branch -q -D elsewhere", True),
        (f"git branch b {found.head}", False),
    ):
        if there:
            empty(found)
            sh(world.repo, f"{branch}; {COLLECT}")
        else:
            unpublished.bring_back(found.common, "w", found.moment)
            sh(world.repo, branch)
        emptying.work(str(world.store), os.open(os.devnull, os.O_RDONLY))
        assert folder.exists() == there
        assert os.path.exists(found.path) == there
    assert git("for-each-ref", "refs/prodigy", cwd=world.repo) == ""
    assert not list((world.repo / ".git/objects/pack").glob("*.keep"))


def test_deleting_leaves_nothing(world):
    sh(world.tree, SECRETS)
    found = remove(world)
    unpublished.bring_back(found.common, "w", found.moment)
    with contextlib.suppress(FileExistsError):
        os.mkdir(unpublished.scratch(found.common, "w", found.moment))
    salvage.delete(found.common, "w", found.moment)
    assert git("for-each-ref", "refs/prodigy", cwd=world.repo) == ""
    assert not list((world.repo / ".git").glob("prodigy-salvage*"))
    assert not list((world.repo / ".git/objects/pack").glob("*.keep"))
    salvage.delete(found.common, "w", found.moment)


def test_the_tree_of_a_salvage_needs_no_ref(world):
    (world.tree / "u").write_text("u\n")
    found = remove(world)
    git("update-ref", "-d", found.salvage_ref, cwd=world.repo)
    assert files_of(world.repo, found.salvage_ref)[b"u"] == ("100644", b"u\n")
    empty(found)
    bring_back(world)
    assert (world.tree / "u").read_text() == "u\n"
