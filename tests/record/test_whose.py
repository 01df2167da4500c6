"""A worktree, its repository or its store that was moved, copied, put back, or is another one here."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support_record import (
    AFTER_ALL,
    SILENT,
    commit,
    commits,
    drain_now,
    events,
    git,
    place,
    run,
    session_of,
    write_hooks,
)

from prodigy_git import layout
from prodigy_git.record import enrolment, files, repokey, session, whose


@pytest.fixture(autouse=True)
def _hooks(sealed: Path, repo: Path) -> None:
    write_hooks(sealed, AFTER_ALL)


def said(cwd: Path, subject: str, *more: str, **env: str) -> str:
    """Commit; return what the hook says. git must not notice anything."""
    before = git("rev-parse", "HEAD", cwd=cwd)
    done = run("git", "commit", "-q", "--allow-empty", "-m", subject, *more, cwd=cwd, **env)
    assert git("rev-parse", "HEAD^", cwd=cwd) == before
    return done.stderr.decode()


def snapshot(*paths: Path) -> dict[str, bytes]:
    """Return the contents of all files below, git's objects and what a commit changes left out."""
    return {
        str(file): file.read_bytes()
        for path in paths
        for file in sorted([path] if path.is_file() else path.rglob("*"))
        if file.is_file()
    }


def of_session(store: Path, name: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((store / "sessions" / f"{name}.json").read_text())
    return fields


def as_of_before(top: Path, store: Path) -> None:
    """Make enrolment, lock and session's file what an earlier release wrote."""
    path = Path(place(top).private, "prodigy")
    fields = json.loads(path.read_text())
    del fields["private"], fields["inode"]
    path.write_text(json.dumps(fields) + "\n")
    Path(layout.session_lock(str(store), fields["session"])).write_text("")
    document = of_session(store, fields["session"])
    del document["metadata"][session.NONCE]
    (store / "sessions" / f"{fields['session']}.json").write_text(json.dumps(document))


@pytest.fixture(params=["now", "of before"])
def enrolled(request: pytest.FixtureRequest, repo: Path, store: Path) -> Path:
    """``repo``, with one recorded commit; enrolled now or by an earlier release."""
    commit(repo, "one")
    assert len(commits(store)) == 1
    if request.param == "of before":
        as_of_before(repo, store)
    return repo


# Copies


def test_copy_gets_a_session_of_its_own_and_says_so_once(enrolled: Path, store: Path) -> None:
    first = session_of(enrolled)
    unseen = commit(enrolled, "no hook saw it before the copy", **SILENT)
    copy = Path(shutil.copytree(enrolled, enrolled.parent / "copy", symlinks=True))
    before = snapshot(
        enrolled / ".git", store / "events", store / "sessions", store / "state" / "repo",
        Path(layout.session_lock(str(store), first)),
    )  # fmt: skip
    message = said(copy, "in the copy")
    assert message == (
        f"prodigy-git: {copy} is a copy of a worktree of session {first}: "
        f"from here on it is session {session_of(copy)} (said once)\n"
    )
    assert said(copy, "again") == ""
    after = snapshot(enrolled / ".git", *(Path(path) for path in before if "store" in path))
    assert after == before
    assert session_of(copy) != first
    assert commits(store, session_of(copy)) == git(
        "rev-list", "--reverse", "HEAD", f"^{unseen}", cwd=copy
    ).split("\n")
    assert of_session(store, session_of(copy))["metadata"]["parent_session"] == first
    # The original goes on as if nothing had been.
    later = commit(enrolled, "in the original")
    assert session_of(enrolled) == first
    assert commits(store, first)[-2:] == [unseen, later]
    assert len(events(store)) == len({one["id"] for one in events(store)})


def test_copy_of_a_copy(repo: Path, store: Path) -> None:
    commit(repo, "one")
    copies = [Path(shutil.copytree(repo, repo.parent / "c0", symlinks=True))]
    commit(copies[0], "first copy")
    copies.append(Path(shutil.copytree(copies[0], repo.parent / "c1", symlinks=True)))
    assert "is a copy of a worktree of session" in said(copies[1], "second copy")
    names = [session_of(one) for one in (repo, *copies)]
    assert len(set(names)) == 3
    assert [len(commits(store, name)) for name in names] == [1, 1, 1]


def test_checkout_in_a_copy_does_not_enrol_it(repo: Path, store: Path) -> None:
    commit(repo, "one")
    copy = Path(shutil.copytree(repo, repo.parent / "copy", symlinks=True))
    git("checkout", "-q", "-b", "other", cwd=copy)
    assert enrolment.read(place(copy).private) is None
    made = commit(copy, "in the copy")
    assert commits(store, session_of(copy)) == [made]


def test_linked_worktree_of_a_copy(repo: Path, store: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    git("worktree", "add", "-q", tree, cwd=repo)
    commit(tree, "linked")
    first = session_of(tree)
    copy = Path(shutil.copytree(repo, tmp_path / "copy", symlinks=True))
    other = Path(shutil.copytree(tree, tmp_path / "other", symlinks=True))
    # As git has it, what is done in the copied folder is done to the original's worktree.
    assert place(other).private == place(tree).private
    (other / ".git").write_text(f"gitdir: {copy}/.git/worktrees/tree\n")
    (copy / ".git" / "worktrees" / "tree" / "gitdir").write_text(f"{other}/.git\n")
    made = commit(other, "in the copy's worktree")
    assert session_of(other) != first
    assert commits(store, session_of(other)) == [made]
    assert session_of(tree) == first


def test_original_moved_and_a_copy_put_where_it_was(repo: Path, store: Path) -> None:
    commit(repo, "one")
    first = session_of(repo)
    old = repo.rename(repo.parent / "old")
    shutil.copytree(old, repo, symlinks=True)
    assert said(old, "in the one that was moved") == ""
    assert session_of(old) == first
    assert "is a copy" in said(repo, "in the copy that lies where it was")
    assert len(commits(store, first)) == 2
    assert repokey.common_of(str(store), "repo") == f"{old}/.git"
    assert repokey.known(str(store), f"{repo}/.git") not in ("repo", None)


def test_copy_where_the_original_was_acts_first(repo: Path, store: Path) -> None:
    commit(repo, "one")
    old = repo.rename(repo.parent / "old")
    shutil.copytree(old, repo, symlinks=True)
    said(repo, "in the copy")
    said(old, "in the one that was moved")
    assert session_of(old) != session_of(repo)
    assert len(events(store)) == len({one["id"] for one in events(store)})
    assert sorted(len(commits(store, session_of(top))) for top in (old, repo)) == [1, 2]


def test_command_on_a_copy_finds_no_session(enrolled: Path, store: Path) -> None:
    copy = Path(shutil.copytree(enrolled, enrolled.parent / "copy", symlinks=True))
    commit(copy, "no hook saw it", **SILENT)
    before = snapshot(store)
    assert enrolment.read(place(copy).private) is None
    assert snapshot(store) == before


# Moves


def test_moved_repository_goes_on(enrolled: Path, store: Path) -> None:
    name = session_of(enrolled)
    moved = enrolled.rename(enrolled.parent / "moved")
    assert said(moved, "two") == ""
    assert said(moved, "three") == ""
    assert session_of(moved) == name
    assert commits(store, name) == git("rev-list", "--reverse", "HEAD", cwd=moved).split()[1:]
    written = enrolment.as_written(place(moved).private)
    assert written is not None
    assert enrolment.is_at(written, place(moved).private)
    about = of_session(store, name)["metadata"]
    assert (about["worktree_path"], about["repo_path"]) == (str(moved), f"{moved}/.git")
    document = json.loads((store / "state" / "repo" / "repository.json").read_text())
    assert document["common_dir"] == f"{moved}/.git"


def test_put_back_from_a_backup(enrolled: Path, store: Path) -> None:
    name = session_of(enrolled)
    backup = Path(shutil.copytree(enrolled, enrolled.parent / "backup", symlinks=True))
    lost = commit(enrolled, "not in the backup")
    shutil.rmtree(enrolled)
    shutil.copytree(backup, enrolled, symlinks=True)
    assert said(enrolled, "after") == ""
    assert session_of(enrolled) == name
    assert commits(store).count(lost) == 1
    assert len(commits(store)) == 3
    written = enrolment.as_written(place(enrolled).private)
    assert written is not None
    assert enrolment.is_at(written, place(enrolled).private)
    assert "is a copy" in said(backup, "in the backup")


def test_path_through_a_link_changes_nothing(repo: Path, store: Path) -> None:
    commit(repo, "one")
    link = repo.parent / "link"
    link.symlink_to(repo)
    before = (repo / ".git" / "prodigy").read_bytes()
    assert said(link, "two") == ""
    assert (repo / ".git" / "prodigy").read_bytes() == before
    assert len(commits(store)) == 2


def test_enrolment_of_before_is_written_anew(repo: Path, store: Path) -> None:
    commit(repo, "one")
    name = session_of(repo)
    as_of_before(repo, store)
    commit(repo, "two")
    written = enrolment.as_written(place(repo).private)
    assert written is not None
    assert enrolment.is_at(written, place(repo).private)
    assert enrolment.knows(str(store), written)
    assert of_session(store, name)["metadata"][session.NONCE] == written.nonce
    assert len(commits(store, name)) == 2


# Stores


@pytest.mark.parametrize("how", ["PRODIGY_HOME", "HOME"])
def test_moved_store_is_followed(
    enrolled: Path, store: Path, sealed: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    ids = [one["id"] for one in events(store)]
    if how == "HOME":
        new = store.rename(sealed / ".prodigy")
        monkeypatch.delenv("PRODIGY_HOME")
    else:
        new = store.rename(store.parent / "new")
        monkeypatch.setenv("PRODIGY_HOME", str(new))
    unseen = commit(enrolled, "two", **SILENT)
    assert said(enrolled, "three") == ""
    assert not store.exists()
    found = events(new)
    assert [one["id"] for one in found][: len(ids)] == ids
    assert len(found) == len({one["id"] for one in found}) == len(ids) + 2
    assert unseen in commits(new)
    written = enrolment.as_written(place(enrolled).private)
    assert written is not None
    assert written.store == str(new)


def test_deleted_store_is_not_made_anew(enrolled: Path, store: Path) -> None:
    away = store.rename(store.parent / "away")
    cursor = Path(place(enrolled).private, layout.CURSOR).read_bytes()
    message = said(enrolled, "two")
    assert message.count("\n") == 1
    assert f"its store {store} is not there (any more)" in message
    assert "'prodigy-git doctor --fix'" in message
    assert said(enrolled, "three") == ""
    assert not store.exists()
    assert not (Path(os.environ["HOME"]) / ".prodigy").exists()
    assert Path(place(enrolled).private, layout.CURSOR).read_bytes() == cursor
    with pytest.raises(whose.Unknown):
        drain_now(enrolled)
    assert not store.exists()
    # A disk that was not mounted is mounted again: all of it is recorded, once.
    away.rename(store)
    assert said(enrolled, "four") == ""
    assert len(commits(store)) == len(set(commits(store))) == 4


def other_store(tmp_path: Path, name: str) -> Path:
    """Return a store that has a session of that id, and nothing to do with the first one."""
    other = tmp_path / "other"
    fields = session.document(name, None, "w", {"repo": "repo", "job_id": name})
    fields["metadata"][session.NONCE] = "0" * 32
    assert session.reserve(str(other), fields)
    Path(files.make_private(f"{other}/locks") or other)
    return other


@pytest.mark.parametrize("has", ["nothing", "a session of that id"])
def test_another_store_at_the_same_path(repo: Path, store: Path, tmp_path: Path, has: str) -> None:
    commit(repo, "one")
    name = session_of(repo)
    away = store.rename(tmp_path / "away")
    if has == "nothing":
        (store / "sessions").mkdir(parents=True)
    else:
        other_store(tmp_path, name).rename(store)
    before, cursor = snapshot(store), Path(place(repo).private, layout.CURSOR).read_bytes()
    assert f"the store {store} does not know its session {name}" in said(repo, "two")
    assert said(repo, "three") == ""
    assert snapshot(store) == before
    assert Path(place(repo).private, layout.CURSOR).read_bytes() == cursor
    shutil.rmtree(store)
    away.rename(store)
    said(repo, "four")
    assert len(commits(store)) == len(set(commits(store))) == 4


def test_locks_that_were_deleted_are_no_other_store(repo: Path, store: Path) -> None:
    commit(repo, "one")
    shutil.rmtree(store / "locks")
    assert said(repo, "two") == ""
    assert len(commits(store)) == 2


def test_session_without_a_file_is_still_the_stores(repo: Path, store: Path) -> None:
    commit(repo, "one")
    for path in (store / "sessions").iterdir():
        path.unlink()
    said(repo, "two")
    assert len(commits(store)) == 2


# What it costs


def test_usual_way_asks_once_each_where_it_is_and_whose(repo: Path, store: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("NOT TESTED: strace is missing")
    commit(repo, "one")
    private = place(repo).private
    trace = repo.parent / "trace"
    program = (
        "import sys;sys.path.insert(0,sys.argv[1]);from prodigy_git.record import enrolment;"
        "print(enrolment.read(sys.argv[2]).session, 'prodigy_git.record.whose' in sys.modules)"
    )
    package = str(Path(whose.__file__).parents[2])
    done = subprocess.run(
        ["strace", "-f", "-o", trace, "python3", "-I", "-S", "-c", program, package, private],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [session_of(repo), "False"]
    calls = trace.read_text()
    asked = [line for line in calls.splitlines() if re.search(rf'"{re.escape(private)}[/"]', line)]
    assert len([line for line in asked if "openat" in line]) == 1
    assert len([line for line in asked if "stat" in line and "openat" not in line]) == 1
    assert len([line for line in calls.splitlines() if f'"{store}/' in line]) == 1


def test_killed_between_any_two_steps_of_following(
    enrolled: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write of `settle` fails in turn; then it is done, and nothing is recorded twice."""
    new = store.rename(store.parent / "new")
    moved = enrolled.rename(enrolled.parent / "moved")
    monkeypatch.setenv("PRODIGY_HOME", str(new))
    commit(moved, "no hook saw it", **SILENT)

    def failing(count: int) -> Callable[..., None]:
        left = [count]
        whole = files.replace

        def replace(path: str, data: bytes) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            whole(path, data)

        return replace

    for count in range(1, 10):
        with monkeypatch.context() as patched:
            patched.setattr(files, "replace", failing(count))
            try:
                drain_now(moved)
                break
            except KeyboardInterrupt:
                continue
    else:
        pytest.fail("never done")
    assert count > 1
    assert not store.exists()
    said(moved, "the next")
    assert len(commits(new)) == len(set(commits(new))) == 3
