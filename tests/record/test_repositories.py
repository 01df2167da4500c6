"""Repositories that are not the usual kind, and names of any bytes in them."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from support_record import (
    SILENT,
    commit,
    commits,
    drain_now,
    events,
    git,
    run,
    session_of,
    write_hooks,
)


@pytest.fixture(autouse=True)
def _hooks(sealed: Path) -> None:
    write_hooks(sealed, installed=1)


def _two_and_amend(top: Path) -> list[str]:
    one = commit(top, "one")
    two = commit(top, "two", **SILENT)
    three = commit(top, "three", "--amend")
    return [one, two, three]


def _new(tmp_path: Path, *options: str) -> Path:
    git("init", "-q", "--template=", *options, "r", cwd=tmp_path)
    return tmp_path / "r"


@pytest.mark.parametrize(
    "options",
    [("--object-format=sha256",), ("--separate-git-dir=elsewhere/git dir",), ("--shared=all",)],
    ids=lambda options: options[0],
)
def test_a_kind_of_repository(options: tuple[str, ...], tmp_path: Path, store: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    top = _new(tmp_path, *options)
    made = _two_and_amend(top)
    tree = tmp_path / "tree"
    git("worktree", "add", "-q", tree, cwd=top)
    assert commits(store) == made
    more = _two_and_amend(tree)
    assert commits(store, session_of(tree)) == more
    assert commits(store, session_of(top)) == made


def _knows(*options: str) -> bool:
    with tempfile.TemporaryDirectory() as scratch:
        command = ["git", "init", "-q", *options, scratch]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


needs_reftable = pytest.mark.skipif(
    not _knows("--ref-format=reftable"), reason="NOT TESTED: reftable; git here does not know it"
)


@needs_reftable
def test_reftable(tmp_path: Path, store: Path) -> None:
    test_a_kind_of_repository(("--ref-format=reftable",), tmp_path, store)


@needs_reftable
@pytest.mark.parametrize("backend", ["--merge", "--apply"])
def test_reftable_where_head_is_back_where_it_was_within_a_second(
    backend: str, tmp_path: Path, store: Path
) -> None:
    """git tells that journal without offsets: a commit and a second do not name a place in it."""
    top = _new(tmp_path, "--ref-format=reftable")
    script = """
        git commit -q --allow-empty -m base; git branch other
        echo mine >f; git add f; git commit -qm mine; git switch -q other
        echo theirs >f; git add f; git commit -qm theirs; git switch -q -
        ! git rebase -q "$0" other; git reset -q --hard
        git commit -q --allow-empty -m "by hand"; git rebase --abort
        git commit -q --allow-empty -m last; echo x >x; git add x; git commit -qm moved
        git rebase -q "$0" --onto other HEAD~1
    """
    run("sh", "-ec", script, backend, cwd=top)
    drain_now(top)
    found = {e["commit"]: (e["action"], e["subject"], e.get("branch")) for e in events(store)
             if e["type"] == "CommitCreated"}  # fmt: skip
    branch = git("symbolic-ref", "--short", "HEAD", cwd=top)
    assert list(found.values()) == [
        ("initial", "base", branch), ("commit", "mine", branch), ("commit", "theirs", "other"),
        ("commit", "by hand", branch), ("commit", "last", branch), ("commit", "moved", branch),
        ("rebase", "moved", branch),
    ]  # fmt: skip
    assert [e["command"] for e in events(store) if e["type"] == "CommitsRewritten"] == ["rebase"]


@needs_reftable
@pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="NOT TESTED: signed commits; ssh-keygen is missing"
)
def test_reftable_with_signatures_shown_in_every_log(tmp_path: Path, store: Path) -> None:
    top = _new(tmp_path, "--ref-format=reftable")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key", cwd=top)
    for name, value in (
        ("gpg.format", "ssh"), ("user.signingKey", f"{tmp_path}/key.pub"),
        ("gpg.ssh.allowedSignersFile", f"{tmp_path}/allowed"), ("commit.gpgSign", "true"),
        ("log.showSignature", "true"),
    ):  # fmt: skip
        git("config", name, value, cwd=top)
    (tmp_path / "allowed").write_text(f"* {(tmp_path / 'key.pub').read_text()}")
    git("commit", "-q", "--allow-empty", "-m", "1", cwd=top)
    git("commit", "-q", "--allow-empty", "-m", "2", cwd=top, **SILENT)
    # From then on only the journal knows of the second.
    git("commit", "-q", "--allow-empty", "--amend", "-m", "3", cwd=top, **SILENT)
    drain_now(top)
    made = [one["subject"] for one in events(store) if one["type"] == "CommitCreated"]
    assert made == ["1", "2", "3"]


@pytest.mark.parametrize("value", ["false", "true", "always"])
def test_reflogs_off(value: str, tmp_path: Path, store: Path) -> None:
    top = _new(tmp_path)
    git("config", "core.logAllRefUpdates", value, cwd=top)
    made = _two_and_amend(top)
    tree = tmp_path / "tree"
    git("worktree", "add", "-q", tree, cwd=top)
    more = _two_and_amend(tree)
    assert commits(store, session_of(top)) == made
    assert commits(store, session_of(tree)) == more


@pytest.mark.parametrize("option", ["--depth=1", "--filter=blob:none", "--filter=tree:0"])
def test_a_clone_of_a_part(option: str, tmp_path: Path, store: Path) -> None:
    source = _new(tmp_path)
    for name in ("a", "b", "c"):
        (source / "f").write_text(name)
        git("add", "f", cwd=source)
        commit(source, name, **SILENT)
    git("config", "uploadpack.allowFilter", "true", cwd=source)
    git("branch", "far", "HEAD~2", cwd=source)
    git(
        "clone", "-q", "--no-single-branch", option, source.as_uri(), "part", cwd=tmp_path, **SILENT
    )
    part = tmp_path / "part"
    made = _two_and_amend(part)
    git("rebase", "-q", "--onto", "origin/far", "HEAD~1", cwd=part)
    made.append(git("rev-parse", "HEAD", cwd=part))
    assert commits(store) == made
    git("merge", "-q", "--ff-only", "HEAD", cwd=part)
    assert drain_now(part) == 0


def test_a_sparse_checkout(repo: Path, store: Path) -> None:
    git("sparse-checkout", "set", "nothing", cwd=repo)
    start = commits(store)
    made = _two_and_amend(repo)
    assert commits(store) == [*start, *made]


def test_a_worktree_moved(repo: Path, tmp_path: Path, store: Path) -> None:
    git("worktree", "add", "-q", tmp_path / "before", cwd=repo)
    one = commit(tmp_path / "before", "one")
    session = session_of(tmp_path / "before")
    git("worktree", "move", tmp_path / "before", tmp_path / "after", cwd=repo)
    two = commit(tmp_path / "after", "two")
    assert session_of(tmp_path / "after") == session
    assert commits(store, session) == [one, two]


@pytest.mark.parametrize("through", ["", "link"], ids=["straight", "through a symlink"])
def test_relative_worktree_paths(through: str, repo: Path, tmp_path: Path, store: Path) -> None:
    """As git 2.48 writes them with worktree.useRelativePaths."""
    tree = tmp_path / "deep" / "down" / "tree"
    git("worktree", "add", "-q", tree, cwd=repo)
    (tree / ".git").write_text("gitdir: ../../../repo/.git/worktrees/tree\n")
    (repo / ".git/worktrees/tree/gitdir").write_text("../../../../deep/down/tree/.git\n")
    top = tree
    if through:
        top = tmp_path / through
        top.symlink_to(tree)
    made = _two_and_amend(top)
    assert commits(store, session_of(top)) == made


NAMES = [
    b"with spaces", b"new\nline", b"quote's \"both\"", "umlaut \u00fc \u4e2d \U0001f40d".encode(),
    b"latin-1 \xe9\xff", b"-dash", b"$(touch x);`y`", b"tab\there ", b"back\\slash\\n",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[2:-1])
def test_a_path_of_any_bytes(name: bytes, repo: Path, tmp_path: Path, store: Path) -> None:
    top = os.fsencode(tmp_path) + b"/" + name
    git("worktree", "add", "-q", "--detach", top, cwd=repo)
    one = commit(top, "one")
    two = commit(top, "two", **SILENT)
    three = commit(top, "three")
    assert commits(store, session_of(top)) == [one, two, three]
    shown = name.decode("utf-8", "replace")
    own = (event for event in events(store) if event["session_id"] == session_of(top))
    assert {event["worktree"] for event in own if "commit" in event} == {shown}


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[2:-1])
def test_a_repository_in_a_path_of_any_bytes(name: bytes, tmp_path: Path, store: Path) -> None:
    top = os.fsencode(tmp_path) + b"/" + name
    os.mkdir(top)
    git("init", "-q", cwd=top)
    made = [commit(top, subject) for subject in ("one", "two")]
    assert commits(store) == made
    assert [event["branch"] for event in events(store) if "branch" in event] == ["main", "main"]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[2:-1])
def test_subject_author_and_branch_of_any_bytes(name: bytes, repo: Path, store: Path) -> None:
    commit(repo, "enrols")
    branch = name.translate(None, b" \n\t\\\"'~^:?*[;") or b"x"
    git("symbolic-ref", "HEAD", b"refs/heads/b" + branch, cwd=repo)
    who = name.replace(b"\n", b" ")
    env = {key: os.fsdecode(who) for key in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME")}
    git("commit", "-q", "--allow-empty", "--cleanup=verbatim", "-m", b"s " + name, cwd=repo, **env)
    git("commit", "-q", "--allow-empty", "-m", "silent", cwd=repo, **env, **SILENT)
    git("commit", "-q", "--allow-empty", "-m", "last", cwd=repo, **env)
    out = run("git", "log", "--reverse", "--format=%H", "HEAD", cwd=repo).stdout.decode().split()
    recorded = events(store)[-3:]
    assert [event["commit"] for event in recorded] == out
    subject = run("git", "log", "-1", "--format=%s", "HEAD~2", cwd=repo).stdout[:-1]
    assert recorded[0]["subject"] == subject.decode("utf-8", "replace").rstrip(" ")
    assert {e["branch"] for e in recorded} == {(b"b" + branch).decode("utf-8", "replace")}
