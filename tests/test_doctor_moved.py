"""doctor: what was moved, copied, deleted or put back is told, and put right by --fix, once."""

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support_cli import new, ok, session_file, standing_in
from support_cli import write_hooks as hooks_into

from prodigy_git import doctor
from prodigy_git.record import enrolment, gitdir, session
from prodigy_git.record.drain import drain

SILENT = {"PRODIGY_GIT_SILENCE": "1"}


@pytest.fixture
def hooked(repo: Path) -> Path:
    hooks_into(repo / ".git" / "hooks")
    return repo


@pytest.fixture(autouse=True)
def _without_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what other tests are about: the hooks, and the commit that tries them."""
    monkeypatch.setattr(doctor, "_hooks", lambda cwd, fix: [])
    monkeypatch.setattr(doctor, "_called", lambda cwd: doctor.Finding("recording", "ok", ""))


def commit(git: Any, cwd: Path, subject: str, **env: str) -> str:
    git("commit", "-q", "--allow-empty", "-m", subject, cwd=cwd, env=env)
    sha: str = git("rev-parse", "HEAD", cwd=cwd)
    return sha


def wrong(cwd: Path, *, fix: bool = False) -> list[str]:
    """Return what doctor says is wrong and not put right."""
    with standing_in(cwd):
        return [
            f"{one.what}: {one.words} ({one.remedy})"
            for one in doctor.examine(str(cwd), fix=fix)
            if one.level != "ok" and not one.fixed
        ]


def recorded(store: Path, name: str | None = None) -> list[str]:
    found = []
    for file in sorted((store / "events").glob("*/*/*.jsonl")):
        found += [json.loads(line) for line in file.read_text().splitlines()]
    return [
        one["commit"]
        for one in found
        if one["type"] == "CommitCreated" and name in (None, one["session_id"])
    ]


def place(top: Path) -> gitdir.Place:
    found = gitdir.find(str(top), {})
    assert found is not None
    return found


def session_of(top: Path) -> str:
    found = enrolment.read(place(top).private)
    assert found is not None
    return found.session


def test_deleted_store_is_begun_anew(hooked, git, store):
    tree = Path(new(hooked, "w", "--job", "j", "--agent", "a")["worktree"])
    elsewhere = tree.parents[3] / "tree"  # not in the store, which is deleted with all in it
    git("worktree", "move", tree, elsewhere, cwd=hooked)
    made = [commit(git, elsewhere, "one")]
    shutil.rmtree(store)
    made.append(commit(git, elsewhere, "two"))
    assert not store.exists()
    (text,) = wrong(hooked)
    assert f"its store {store} is not there" in text
    assert not store.exists()
    assert wrong(hooked, fix=True) == []
    made.append(commit(git, elsewhere, "three"))
    assert recorded(store, "w") == made
    assert wrong(hooked) == []
    ok("verify", "--all", cwd=hooked)
    assert ok("finish", "--json", cwd=elsewhere).json["commits"] == made
    assert session_file(store, "w")["metadata"]["agent_id"] == "a"


def test_store_of_before_the_session_put_back(hooked, git, store):
    commit(git, hooked, "enrols the main worktree")
    backup = Path(shutil.copytree(store, store.parent / "backup", symlinks=True))
    elsewhere = store.parent / "tree"
    git("worktree", "add", "-q", elsewhere, cwd=hooked)
    made = [commit(git, elsewhere, "one")]
    name = session_of(elsewhere)
    shutil.rmtree(store)
    backup.rename(store)
    made.append(commit(git, elsewhere, "two"))
    (text,) = wrong(hooked)
    assert f"the store {store} does not know its session {name}" in text
    assert wrong(hooked, fix=True) == []
    assert recorded(store, name) == made
    ok("verify", "--all", cwd=hooked)


def test_older_log_is_filled_by_verify(hooked, git, store):
    made = [commit(git, hooked, "one")]
    backup = Path(shutil.copytree(store, store.parent / "backup", symlinks=True))
    made += [commit(git, hooked, name) for name in ("two", "three")]
    shutil.rmtree(store)
    backup.rename(store)
    made.append(commit(git, hooked, "four"))
    ok("verify", "--fix", cwd=hooked)
    assert sorted(recorded(store)) == sorted(made)
    ok("verify", cwd=hooked)


def test_session_whose_id_another_has_here(hooked, git, store):
    elsewhere = store.parent / "tree"
    git("worktree", "add", "-q", elsewhere, cwd=hooked)
    made = [commit(git, elsewhere, "one")]
    name = session_of(elsewhere)
    shutil.rmtree(store)
    fields = session.document(name, None, "x", {"repo": "repo", "job_id": name, "nonce": "other"})
    fields["metadata"][session.NONCE] = "0" * 32
    assert session.reserve(str(store), fields)
    assert wrong(hooked, fix=True) == [
        f"sessions: 1 not ended and without a worktree: {name} ('prodigy-git finish NAME' ends one)"
    ]
    assert session_of(elsewhere) != name
    assert recorded(store, session_of(elsewhere)) == made
    assert recorded(store, name) == []


@pytest.mark.parametrize("step", range(1, 8))
def test_taking_over_that_was_killed(hooked, git, store, monkeypatch, step):
    from prodigy_git.record import files

    elsewhere = store.parent / "tree"
    git("worktree", "add", "-q", elsewhere, cwd=hooked)
    made = [commit(git, elsewhere, "one"), commit(git, elsewhere, "two")]
    shutil.rmtree(store)
    left, whole = [step], files.replace

    def replace(path: str, data: bytes) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        whole(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(files, "replace", replace)
        with contextlib.suppress(KeyboardInterrupt):
            doctor.examine(str(hooked), fix=True)
    assert wrong(hooked, fix=True) == []
    made.append(commit(git, elsewhere, "three"))
    assert recorded(store) == made
    assert len(list((store / "sessions").glob("*.json"))) == 1
    ok("verify", "--all", cwd=hooked)


def test_moved_store_and_repository_are_noted_and_linked(hooked, git, store, monkeypatch, tmp_path):
    tree = Path(new(hooked, "w", "--job", "j")["worktree"])
    commit(git, hooked, "one")
    commit(git, tree, "of w")
    moved, away = hooked.rename(tmp_path / "new place"), store.rename(tmp_path / "moved")
    monkeypatch.setenv("PRODIGY_HOME", str(away))
    tree = away / tree.relative_to(store)
    texts = wrong(moved)
    assert any(f"'git -C '{moved}/.git' worktree repair {tree}' links them" in one for one in texts)
    assert any("its store or its repository was moved" in one for one in texts)
    assert wrong(moved, fix=True) == []
    assert git("rev-parse", "--git-common-dir", cwd=tree) == f"{moved}/.git"
    assert wrong(moved) == []
    for top in (moved, tree):
        written = enrolment.as_written(place(top).private)
        assert written is not None
        assert written.store == str(away)
        assert enrolment.is_at(written, place(top).private)
    commit(git, tree, "after")
    assert len(recorded(away)) == 3
    assert not store.exists()
    ok("verify", "--all", cwd=moved)


def test_healthy_worktree_is_not_linked_again(hooked, git, store):
    tree = Path(new(hooked, "w", "--job", "j")["worktree"])
    before = Path(place(tree).private, "gitdir").stat()
    assert wrong(hooked, fix=True) == []
    after = Path(place(tree).private, "gitdir").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_copy_gets_its_session_at_once(hooked, git, store):
    commit(git, hooked, "one")
    name = session_of(hooked)
    copy = Path(shutil.copytree(hooked, hooked.parent / "copy", symlinks=True))
    (text,) = wrong(copy)
    assert f"is a copy of a worktree of session {name}" in text
    assert wrong(copy, fix=True) == []
    assert session_of(copy) != name
    made = commit(git, copy, "in the copy")
    assert recorded(store, session_of(copy)) == [made]
    assert len(recorded(store, name)) == 1
    assert wrong(hooked) == []


@pytest.mark.parametrize("run_in", ["the copy", "the original, after it"])
def test_what_a_copy_recorded_for_the_original_is_put_right(hooked, git, store, run_in):
    first = commit(git, hooked, "one")
    name = session_of(hooked)
    copy = Path(shutil.copytree(hooked, hooked.parent / "copy", symlinks=True))
    made = commit(git, copy, "in the copy", **SILENT)
    # As a release did that did not know copies.
    there = enrolment.as_written(place(copy).private)
    assert there is not None
    drain(place(copy), there)
    assert recorded(store, name) == [first, made]
    assert ok("worktree", "ls", "--json", cwd=hooked).code == 0
    (text,) = wrong(hooked)
    assert made in text
    if run_in == "the copy":
        assert wrong(copy, fix=True) == []
    else:
        commit(git, copy, "the hook gives it a session of its own")
        assert wrong(hooked, fix=True) == []
    assert made in recorded(store, session_of(copy))
    ok("verify", "--all", cwd=hooked)
    later = commit(git, hooked, "in the original")
    assert recorded(store, name) == [first, made, later]
    assert wrong(hooked) == []


def test_older_state_of_the_repository_put_back(hooked, git, store):
    first = commit(git, hooked, "one")
    name = session_of(hooked)
    backup = Path(shutil.copytree(hooked, hooked.parent / "backup", symlinks=True))
    lost = commit(git, hooked, "not in the backup")
    shutil.rmtree(hooked)
    backup.rename(hooked)
    (text,) = [one for one in wrong(hooked) if one.startswith("recorded")]
    assert lost in text
    assert wrong(hooked, fix=True) == []
    later = commit(git, hooked, "after")
    assert recorded(store, name) == [first, lost, later]
    ok("verify", cwd=hooked)
    assert wrong(hooked) == []


def test_foreign_commit_that_nobody_else_made_stays_foreign(hooked, git, store):
    first = commit(git, hooked, "one")
    name = session_of(hooked)
    (log,) = (store / "events").glob("*/*/*.jsonl")
    event = json.loads(log.read_text().splitlines()[-1])
    old = git("rev-parse", f"{first}^", cwd=hooked)
    log.write_text(log.read_text() + json.dumps({**event, "id": "0" * 36, "commit": old}) + "\n")
    assert len(wrong(hooked, fix=True)) == 1
    assert session.ELSEWHERE not in session_file(store, name)["metadata"]
