"""Salvage: what the ref holds, in every state and under every setting, and what stays untouched."""

import os
import shutil
import socket
from pathlib import Path

import pytest
from support_cli import snapshot
from support_removal import (
    STATES,
    collect_garbage,
    commit,
    detached,
    existing,
    files_in,
    files_of,
    git,
    merge,
    named_by,
    place_of,
    private_refs,
    rebase,
    salvaged,
    staged_twice,
)

from prodigy_git.cleanup.salvage import salvage, uncommitted
from prodigy_git.errors import ProdigyError
from prodigy_git.record.gitdir import Place

MOMENT = "20260111T120000.123456Z"
REF = "refs/prodigy/salvage/s/20260111T120000-123456Z"
LIMIT = 1000


@pytest.fixture
def tree(repo, tmp_path):
    folder = tmp_path / "wt"
    git("worktree", "add", "-q", "-b", "work", folder, cwd=repo)
    commit(folder, ".gitignore", "*.ignored\n")
    return folder


def anchor(tree: Path, **options: bool) -> salvage.Anchors:
    return salvage.anchor(place_of(tree), "s", MOMENT, LIMIT, **options)


def reads(repo: Path, found: salvage.Anchors) -> None:
    """Assert that everything is there that the salvage is to hold, and all below."""
    sha, more = salvaged(repo, REF)
    tags = found.kept.tags if found.kept else []
    git("rev-list", "--objects", sha, *tags, *found.refs, cwd=repo, **more)


def vanish(place: Place, repo: Path) -> None:
    """Make away with a worktree and everything else that may hold its objects."""
    shutil.rmtree(place.top)
    shutil.rmtree(place.private)
    for branch in git("for-each-ref", "--format=%(refname)", "refs/heads", cwd=repo).split():
        if branch != "refs/heads/main":
            git("update-ref", "-d", branch, cwd=repo)
    git("reflog", "expire", "--expire=now", "--all", cwd=repo)
    collect_garbage(repo)


@pytest.mark.parametrize("state", STATES, ids=lambda one: one.__name__)
def test_all_that_is_named_survives(tree, repo, state):
    state(tree)
    (tree / "untracked").write_text("u\n")
    (tree / "kept.ignored").write_text("in the trash only\n")
    place = place_of(tree)
    named = named_by(place)
    assert named
    before = snapshot(tree, Path(place.private))
    found = anchor(tree)
    assert snapshot(tree, Path(place.private)) == before
    assert found.refs[:1] in ([REF], [])
    files = files_in(tree)
    files.pop(b"kept.ignored")
    assert files_of(repo, REF) == files
    vanish(place, repo)
    assert existing(repo, named, REF) == named
    assert git("fsck", "--full", "--strict", "--no-dangling", cwd=repo) == ""
    reads(repo, found)
    salvage.delete(place.common, "s", MOMENT)
    assert git("for-each-ref", "refs/prodigy", cwd=repo) == ""


@pytest.mark.parametrize("state", [detached, merge, rebase, private_refs], ids=lambda s: s.__name__)
def test_named_by_git_files_though_the_working_tree_is_said_to_be_clean(tree, repo, state):
    state(tree)
    git("stash", cwd=tree, check=False)
    git("reset", "-q", "--hard", cwd=tree)
    place = place_of(tree)
    named = named_by(place)
    anchor(tree, dirty=False)
    git("update-ref", "-d", "refs/stash", cwd=repo)
    vanish(place, repo)
    assert existing(repo, named, REF) == named


def test_a_clean_worktree_needs_no_object(tree, repo):
    git("branch", "other", "work", cwd=repo)
    before = snapshot(repo / ".git" / "objects"), set(os.listdir(repo / ".git"))
    for dirty in (True, False):
        found = anchor(tree, dirty=dirty)
        assert (found.kept, found.refs) == (None, [REF])
        assert git("rev-parse", REF, cwd=repo) == git("rev-parse", "work", cwd=repo) == found.head
    assert (snapshot(repo / ".git" / "objects"), set(os.listdir(repo / ".git"))) == before


def test_trailers_and_parents_tell_what_is_what(tree, repo):
    staged_twice(tree)
    private_refs(tree)
    staged_twice(tree)
    (tree / "intended").write_text("not yet staged\n")
    git("add", "-N", "intended", cwd=tree)
    index = git("write-tree", cwd=tree)
    found = anchor(tree)
    head = git("rev-parse", "HEAD", cwd=tree)
    sha, more = salvaged(repo, REF)
    assert git("log", "-1", "--format=%(trailers:only)", sha, cwd=repo, **more).splitlines() == [
        "Prodigy-Session: s", f"Prodigy-Head: {head}", "Prodigy-Branch: work",
        f"Prodigy-Index: {index}",
    ]  # fmt: skip
    parents = git("rev-parse", f"{sha}^1", f"{sha}^2^{{tree}}", cwd=repo, **more).split()
    assert parents == [head, index]
    assert [git("cat-file", "-t", tag, cwd=repo, **more) for tag in found.kept.tags] == ["tag"]
    assert git("show", f"{sha}:intended", cwd=repo, **more) == "not yet staged"


SETTINGS = [
    ["core.safecrlf=true", "core.autocrlf=input"],
    ["commit.gpgsign=true", "gpg.program=false", "core.hooksPath=/nonexistent"],
    ["status.showUntrackedFiles=no", "core.fileMode=true", "core.untrackedCache=true"],
    ["core.splitIndex=true"],
    ["feature.manyFiles=true", "index.threads=4"],
    ["core.fsmonitor=/bin/false", "core.ignoreStat=true"],
    ["core.logAllRefUpdates=always", "core.commitGraph=true", "gc.writeCommitGraph=true"],
    ["core.quotePath=true", "core.preloadIndex=true", "i18n.commitEncoding=latin1"],
    ["add.ignoreErrors=false", "core.bigFileThreshold=10", "core.looseCompression=0"],
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda all: all[0])
def test_every_kind_of_file_under_every_setting(tree, repo, settings):
    for setting in settings:
        git("config", *setting.split("=", 1), cwd=repo)
    for name in ("hidden", "skipped", "deleted", "becomes-folder", "becomes-link", "mode", "kept"):
        (tree / name).write_text(f"{name}\n")
    (tree / "folder").mkdir()
    (tree / "folder" / "inside").write_text("x\n")
    git("add", ".", cwd=tree)
    git("-c", "core.hooksPath=/dev/null", "commit", "-qm", "files", "--no-gpg-sign", cwd=tree)
    git("update-index", "--assume-unchanged", "hidden", cwd=tree)
    git("update-index", "--skip-worktree", "skipped", cwd=tree)
    for name in ("hidden", "skipped"):
        (tree / name).write_text("changed behind git's back\n")
    (tree / "deleted").unlink()
    (tree / "becomes-folder").unlink()
    (tree / "becomes-folder").mkdir()
    (tree / "becomes-folder" / "new").write_text("new\n")
    shutil.rmtree(tree / "folder")
    (tree / "folder").symlink_to("becomes-folder")
    (tree / "becomes-link").unlink()
    (tree / "becomes-link").symlink_to("nowhere\nat all")
    (tree / "mode").chmod(0o755)
    (tree / os.fsdecode(b"not \xff utf-8\nand a newline")).write_bytes(b"\0\r\n\xff")
    (tree / "-option").write_text(":(glob)*\n")
    (tree / ":(top)x").write_text("magic\n")
    place = place_of(tree)
    expected = files_in(tree)
    before = snapshot(tree, Path(place.private))
    logs = snapshot(repo / ".git" / "logs")
    found = anchor(tree)
    assert found.left_out == []
    assert files_of(repo, REF).keys() == expected.keys()
    same = {path: value for path, value in files_of(repo, REF).items() if b"\xff" not in path}
    assert same == {path: expected[path] for path in same}
    assert snapshot(tree, Path(place.private)) == before
    assert snapshot(repo / ".git" / "logs") == logs
    assert not list((repo / ".git").rglob("commit-graph*"))


def test_what_git_cannot_hold_is_left_out_and_named(tree, repo, tmp_path):
    git("init", "-q", tree / "nested", cwd=tmp_path)
    commit(tree / "nested", "x", "x\n")
    (tree / "large").write_bytes(b"z" * (LIMIT + 1))
    (tree / "tracked-large").write_bytes(b"x" * (LIMIT + 1))
    git("add", "tracked-large", cwd=tree)
    (tree / "tracked-large").write_bytes(b"y" * (LIMIT + 2))
    (tree / "fits").write_bytes(b"x" * LIMIT)
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tree / "socket"))
        found = anchor(tree)
    assert sorted(found.left_out) == ["large", "nested/"]  # git itself passes fifos and sockets by
    assert files_of(repo, REF)[b"tracked-large"][1] == b"y" * (LIMIT + 2)
    assert b"fits" in files_of(repo, REF)
    sha, more = salvaged(repo, REF)
    assert '"large"' in git("log", "-1", "--format=%B", sha, cwd=repo, **more)
    size = git("hash-object", tree / "large", cwd=tree)
    assert existing(repo, {size}, REF) == set()


def test_a_filter_that_fails_or_hangs_nothing_up(tree, repo):
    git("config", "filter.broken.clean", "false", cwd=repo)
    git("config", "filter.broken.required", "true", cwd=repo)
    git("config", "filter.fine.clean", "tr a-z A-Z", cwd=repo)
    (tree / ".gitattributes").write_text(
        "*.broken filter=broken\n*.fine filter=fine\n*.enc working-tree-encoding=UTF-16\n"
    )
    for number in range(5):
        (tree / f"{number}.broken").write_text(f"{number}\n")
    (tree / "x.fine").write_text("x\n")
    (tree / "x.enc").write_bytes(b"not utf-16\n")
    assert anchor(tree).left_out == []
    files = files_of(repo, REF)
    assert files[b"3.broken"][1] == b"3\n"
    assert files[b"x.fine"][1] == b"X\n"
    assert files[b"x.enc"][1] == b"not utf-16\n"


@pytest.mark.parametrize("index", ["--sparse-index", "--no-sparse-index"])
def test_sparse_checkout(tree, repo, index):
    for folder in ("in", "out"):
        (tree / folder).mkdir()
        commit(tree, f"{folder}/file", "x\n")
    git("sparse-checkout", "set", "--cone", index, "in", cwd=tree)
    assert not (tree / "out").exists()
    (tree / "in" / "file").write_text("changed\n")
    (tree / "out").mkdir()
    (tree / "out" / "untracked").write_text("outside\n")
    before = snapshot(tree, Path(place_of(tree).private))
    anchor(tree)
    files = {path: content for path, (_, content) in files_of(repo, REF).items()}
    assert files[b"in/file"] == b"changed\n"
    assert files[b"out/file"] == b"x\n"
    assert files[b"out/untracked"] == b"outside\n"
    assert snapshot(tree, Path(place_of(tree).private)) == before


def test_a_change_in_the_second_of_the_index_is_seen(tree, repo):
    """What git tells by the index's own time (racy git): same size, same time, other content."""
    for number in range(20):
        (tree / "racy").write_text(f"{number:4}a\n")
        git("add", "racy", cwd=tree)
        about = os.stat(tree / "racy")
        (tree / "racy").write_text(f"{number:4}b\n")
        os.utime(tree / "racy", ns=(about.st_atime_ns, about.st_mtime_ns))
        index = Path(place_of(tree).private) / "index"
        os.utime(index, ns=(about.st_mtime_ns, about.st_mtime_ns))
        anchor(tree)
        assert files_of(repo, REF)[b"racy"][1] == b"%4db\n" % number


@pytest.mark.parametrize("kind", ["sha256", "bare", "shallow", "partial", "submodule"])
def test_kinds_of_repositories(repo, tmp_path, kind):
    commit(repo, "second", "x\n")
    main = tmp_path / "main"
    if kind == "sha256":
        git("init", "-q", "--object-format=sha256", main, cwd=tmp_path)
        commit(main, "README", "x\n")
    elif kind == "submodule":
        git("init", "-q", "super", cwd=tmp_path)
        git("submodule", "--quiet", "add", repo, "sub", cwd=tmp_path / "super")
        main = tmp_path / "super" / "sub"
    else:
        option = {"bare": ["--bare"], "shallow": ["--depth=1"], "partial": ["--filter=blob:none"]}
        git("config", "uploadpack.allowFilter", "true", cwd=repo)
        git("clone", "-q", *option[kind], f"file://{repo}", main, cwd=tmp_path)
    tree = tmp_path / "wt"
    git("worktree", "add", "-q", "-b", "work", tree, cwd=main)
    if kind == "partial":
        git("config", "remote.origin.url", "file:///nonexistent", cwd=main)
    staged_twice(tree)
    (tree / "untracked").write_text("u\n")
    reset = commit(tree, "gone", "x\n")
    git("reset", "-q", "--hard", "HEAD~", cwd=tree)
    staged_twice(tree)
    place = place_of(tree)
    named = named_by(place)
    assert reset in named
    expected = files_in(tree)
    anchor(tree)
    assert {p: v for p, v in files_of(main, REF).items() if p in expected} == expected
    vanish(place, main)
    assert existing(main, named, REF) == named


def test_objects_that_are_missing_already(tree, repo):
    staged_twice(tree)
    lost = commit(tree, "lost", "x\n")
    above = commit(tree, "above", "x\n")
    git("reset", "-q", "--hard", "HEAD~2", cwd=tree)
    staged_twice(tree)
    (tree / "other").write_text("staged\n")
    git("add", "other", cwd=tree)
    blob = git("rev-parse", ":README", cwd=tree)
    for sha in (lost, blob):
        os.unlink(repo / ".git" / "objects" / sha[:2] / sha[2:])
    place = place_of(tree)
    found = anchor(tree)
    assert files_of(repo, REF)[b"README"] == files_in(tree)[b"README"]
    assert b"other" in files_of(repo, REF)
    assert existing(repo, {above}, REF) == {above}
    shutil.rmtree(place.private)
    git("reflog", "expire", "--expire=now", "--all", cwd=repo)
    collect_garbage(repo)
    reads(repo, found)


def test_without_and_with_a_damaged_index(tree, repo):
    (tree / "README").write_text("changed\n")
    index = Path(place_of(tree).private) / "index"
    for damage in (b"DIRC no index", None):
        index.unlink() if damage is None else index.write_bytes(damage)
        anchor(tree)
        assert files_of(repo, REF)[b"README"][1] == b"changed\n"
    head = place_of(tree).private + "/HEAD"
    Path(head).write_text("0123456789" * 4 + "\n")  # a commit that does not exist
    anchor(tree)
    assert files_of(repo, REF)[b"README"][1] == b"changed\n"


@pytest.mark.parametrize("name", ["a.b", "a..b", "x.lock", "end.", "a.lock.b"])
def test_ids_that_are_no_part_of_a_refs_name(tree, repo, name):
    (tree / "new").write_text("x\n")
    (ref,) = salvage.anchor(place_of(tree), name, MOMENT, LIMIT).refs
    assert files_of(repo, ref)[b"new"] == ("100644", b"x\n")
    salvage.delete(place_of(tree).common, name, MOMENT)
    assert git("for-each-ref", "refs/prodigy", cwd=repo) == ""


@pytest.mark.parametrize("command", [["gc", "--prune=now", "--quiet"], ["prune", "--expire=now"]])
def test_garbage_is_collected_between_any_two_commands_of_git(tree, repo, monkeypatch, command):
    private_refs(tree)
    merge(tree)
    (tree / "untracked").write_text("u\n")
    # What a pseudo-ref alone names may be taken before we begin.
    git(*command, cwd=repo)
    named = existing(repo, named_by(place_of(tree)))
    look = uncommitted.look
    calls = 0
    when = -1

    def counted(*arguments, **options):
        nonlocal calls
        calls += 1
        answer = look(*arguments, **options)
        if calls == when:
            git(*command, cwd=repo)
        return answer

    monkeypatch.setattr(uncommitted, "look", counted)
    anchor(tree)
    total = calls
    assert total > 8
    for when in range(1, total + 1):
        salvage.delete(place_of(tree).common, "s", MOMENT)
        calls = 0
        found = anchor(tree)
        assert existing(repo, named, REF) == named, when
        reads(repo, found)
        assert b"untracked" in files_of(repo, REF), when


def test_where_git_cannot_write_nothing_is_anchored(tree, repo):
    (tree / "untracked").write_text("u\n")
    (repo / ".git" / "refs" / "prodigy").write_text("in the way\n")
    with pytest.raises(ProdigyError, match="could not be kept"):
        anchor(tree)


def test_no_hook_and_no_network(tree, repo, sealed, tmp_path):
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("reference-transaction", "post-index-change", "pre-auto-gc", "post-commit"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran-{name}\n")
        (hooks / name).chmod(0o755)
    git("config", "core.hooksPath", hooks, cwd=repo)
    private_refs(tree)
    for ran in tmp_path.glob("ran-*"):
        ran.unlink()
    staged_twice(tree)
    for ran in tmp_path.glob("ran-*"):
        ran.unlink()
    anchor(tree)
    salvage.delete(place_of(tree).common, "s", MOMENT)
    assert list(tmp_path.glob("ran-*")) == []
