"""Commands find a session's worktree, repository and store where they are now."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from support_cli import call, new, ok, refused, rewrite_session, session_file
from support_cli import write_hooks as hooks_into

SILENT = {"PRODIGY_GIT_SILENCE": "1"}


@pytest.fixture
def hooked(repo: Path) -> Path:
    hooks_into(repo / ".git" / "hooks")
    return repo


def commit(git: Any, cwd: Path, subject: str, **env: str) -> str:
    git("commit", "-q", "--allow-empty", "-m", subject, cwd=cwd, env=env)
    sha: str = git("rev-parse", "HEAD", cwd=cwd)
    return sha


def recorded(log: list[dict[str, Any]]) -> list[str]:
    return [one["commit"] for one in log if one["type"] == "CommitCreated"]


MOVES = ["git worktree move", "mv and repair"]


@pytest.fixture(params=MOVES)
def moved(request: pytest.FixtureRequest, hooked: Path, git: Any, tmp_path: Path) -> Path:
    """A worktree ``w`` of job ``j``, moved, with a commit that no hook saw."""
    tree, to = Path(new(hooked, "w", "--job", "j", "--agent", "a")["worktree"]), tmp_path / "else"
    commit(git, tree, "one")
    if request.param == MOVES[0]:
        git("worktree", "move", tree, to, cwd=hooked)
    else:
        tree.rename(to)
        git("worktree", "repair", to, cwd=hooked)
    commit(git, to, "no hook saw it", **SILENT)
    return to


def test_finish_by_name_records_the_rest(hooked, git, store, events, moved):
    done = ok("finish", "w", "--json", cwd=hooked).json
    assert (
        done["commits"]
        == recorded(events("j"))
        == git("rev-list", "--reverse", "HEAD", "^main", cwd=moved).split()
    )
    assert session_file(store, "w")["metadata"]["worktree_path"] == str(moved)
    assert ok("verify", cwd=hooked).out.count("reflog") == 1
    ids = [one["id"] for one in events("j")]
    assert len(ids) == len(set(ids))


def test_verify_finds_what_is_missing_and_fix_records_it_once(hooked, git, events, moved):
    done = call("verify", "--session", "w", "--json", cwd=hooked)
    assert done.code == 1
    assert [one["evidence"] for one in done.json["sessions"]] == ["reflog"]
    ok("verify", "--session", "w", "--fix", cwd=hooked)
    commit(git, moved, "the hook's")
    assert len(recorded(events("j"))) == len(set(recorded(events("j")))) == 3
    ok("verify", "--session", "w", cwd=hooked)


def test_show_path_and_clean_by_name(hooked, git, store, moved):
    assert ok("worktree", "show", "w", "--json", cwd=hooked).json["worktree"] == str(moved)
    assert ok("worktree", "path", "w", cwd="/").out == f"{moved}\n"
    assert [one["worktree"] for one in ok("worktree", "ls", "--all-repos", "--json").json] == [
        str(moved)
    ]
    (moved / "untracked").write_text("u\n")
    ok("worktree", "clean", "-f", "w", cwd=hooked)
    assert not moved.exists()
    assert ok("worktree", "restore", "w", cwd=hooked).out == f"{moved}\n"
    assert (moved / "untracked").read_text() == "u\n"


def test_folder_that_git_was_not_told_of_is_named(hooked, git, store, tmp_path):
    tree = Path(new(hooked, "w", "--job", "j")["worktree"])
    tree.rename(tmp_path / "else")
    git("-C", tmp_path / "else", "commit", "-q", "--allow-empty", "-m", "x", cwd="/", env=SILENT)
    said = ok("worktree", "show", "w", cwd=hooked).out
    assert f"'git -C {hooked}/.git worktree repair PATH' tells git" in said
    # What git knows is recorded all the same.
    assert len(ok("finish", "w", "--json", cwd=hooked).json["commits"]) == 1
    git("worktree", "repair", tmp_path / "else", cwd=hooked)
    assert ok("worktree", "path", "w", cwd="/").out == f"{tmp_path}/else\n"


def test_renamed_repository_is_the_same(hooked, git, store, events):
    tree = Path(new(hooked, "w", "--job", "j", "--agent", "a")["worktree"])
    commit(git, hooked, "one")
    commit(git, tree, "of w")
    (main,) = {path.stem for path in (store / "sessions").iterdir()} - {"w"}
    moved = hooked.rename(hooked.parent / "renamed")
    unseen = commit(git, moved, "no hook saw it", **SILENT)
    said = ok("worktree", "show", "w", cwd=moved).out
    assert f"'git -C {moved}/.git worktree repair {tree}' helps" in said
    status = ok("status", "--json", cwd=moved).json
    assert "resume" not in str(status)
    git("worktree", "repair", tree, cwd=moved)
    assert call("verify", cwd=moved).code == 1
    ok("verify", "--fix", cwd=moved)
    assert unseen in recorded(events(main))
    other = Path(new(moved, "v", "--job", "j", "--agent", "b")["worktree"])
    commit(git, other, "of v")
    assert [path.name for path in (store / "events").iterdir()] == ["repo"]
    assert len(recorded(events("j"))) == 2
    assert len(ok("finish", main, "--json", cwd=moved).json["commits"]) == 2
    assert session_file(store, main)["metadata"]["repo_path"] == f"{moved}/.git"
    assert len(ok("finish", "w", "--json", cwd="/").json["commits"]) == 1
    ok("verify", "--all", cwd="/")


def test_renamed_repository_whose_worktree_was_removed(hooked, git, store):
    tree = Path(new(hooked, "w", "--job", "j", "--agent", "a")["worktree"])
    commit(git, tree, "one")
    git("worktree", "remove", "--force", tree, cwd=hooked)
    moved = hooked.rename(hooked.parent / "renamed")
    assert len(ok("finish", "w", "--json", cwd=moved).json["commits"]) == 1
    (row,) = ok("verify", "--session", "w", "--json", cwd=moved).json["sessions"]
    assert row["evidence"] == "branch"


def test_commands_in_a_copy_leave_the_original_alone(hooked, git, store, events):
    commit(git, hooked, "one")
    (name,) = {path.stem for path in (store / "sessions").iterdir()}
    copy = Path(shutil.copytree(hooked, hooked.parent / "copy", symlinks=True))
    commit(git, copy, "no hook saw it", **SILENT)
    before = (store / "sessions" / f"{name}.json").read_bytes()
    assert "has no session" in refused("finish", cwd=copy)
    assert ok("verify", "--json", cwd=copy).json["sessions"] == []
    ok("verify", "--fix", cwd=copy)
    ok("status", cwd=copy)
    assert [one["session_id"] for one in ok("worktree", "ls", "--json", cwd=copy).json] == [None]
    call("clean", "--yes", cwd=copy)
    assert (store / "sessions" / f"{name}.json").read_bytes() == before
    assert ok("verify", "--json", cwd=hooked).json["sessions"][0]["recorded"] == 1
    adopted = ok("worktree", "adopt", "--json", cwd=copy).json["session_id"]
    assert adopted != name
    assert ok("finish", adopted, "--json", cwd=copy).json["session_id"] == adopted
    assert session_file(store, name)["status"] == "Running"
    assert events(name)


def test_commands_in_a_copy_leave_the_originals_worktrees_alone(hooked, git, store, events):
    tree = Path(new(hooked, "w", "--job", "j")["worktree"])
    (tree / "untracked").write_text("u\n")
    copy = Path(shutil.copytree(hooked, hooked.parent / "copy", symlinks=True))
    commit(git, copy, "gives it a session of its own")
    before = (store / "sessions" / "w.json").read_bytes(), sorted(tree.parent.iterdir())
    for command in (
        ["worktree", "clean", "--all", "-f", "--min-age", "0s"],
        ["worktree", "clean", "-f", tree],
        ["clean", "--yes"],
        ["doctor", "--fix"],
    ):
        call(*command, cwd=copy)
        after = (store / "sessions" / "w.json").read_bytes(), sorted(tree.parent.iterdir())
        assert after == before, command
    rows = ok("worktree", "ls", "--json", cwd=copy).json
    assert [one["session_id"] for one in rows if one["worktree"] == str(tree)] == [None]
    assert git("status", "--porcelain", cwd=tree) == "?? untracked"
    ok("worktree", "clean", "-f", "w", cwd=hooked)


def test_moved_store_is_asked_by_commands(hooked, git, store, tmp_path, monkeypatch, events):
    tree = Path(new(hooked, "w", "--job", "j", "--agent", "a")["worktree"])
    commit(git, tree, "one")
    moved = store.rename(tmp_path / "moved")
    monkeypatch.setenv("PRODIGY_HOME", str(moved))
    tree = moved / tree.relative_to(store)
    git("worktree", "repair", tree, cwd=hooked)
    commit(git, tree, "no hook saw it", **SILENT)
    assert len(ok("finish", "--json", cwd=tree).json["commits"]) == 2
    ok("verify", "--all", cwd=hooked)
    assert ok("status", "--json", cwd=hooked).code == 0
    assert not store.exists()
    assert session_file(moved, "w")["metadata"]["worktree_path"] == str(tree)


def test_resume_makes_no_second_worktree_of_a_moved_one(hooked, git, moved):
    assert ok("resume", "w", "--json", cwd=hooked).json["worktrees"] == []
    assert len(git("worktree", "list", cwd=hooked).splitlines()) == 2


@pytest.mark.parametrize("gone", ["worktree", "worktree and its entry in the trash"])
def test_what_is_made_again_is_made_in_the_store_that_there_is(
    hooked, git, store, tmp_path, monkeypatch, gone
):
    tree = Path(new(hooked, "w", "--job", "j")["worktree"])
    commit(git, tree, "one")
    (tree / "untracked").write_text("u\n")
    if gone == "worktree":
        shutil.rmtree(tree)
        git("worktree", "prune", cwd=hooked)
    else:
        ok("worktree", "clean", "-f", "w", cwd=hooked)
        shutil.rmtree(store / "trash")
    moved = store.rename(tmp_path / "moved")
    monkeypatch.setenv("PRODIGY_HOME", str(moved))
    now = moved / "worktrees" / "repo" / "w"
    if gone == "worktree":
        assert ok("resume", "w", "--json", cwd=hooked).json["worktrees"] == [str(now)]
        assert session_file(moved, "w")["metadata"]["worktree_path"] == str(now)
    else:
        assert ok("worktree", "restore", "w", cwd=hooked).out == f"{now}\n"
        assert (now / "untracked").read_text() == "u\n"
    assert not store.exists()


@pytest.mark.parametrize("instead", ["nothing", "another store"])
def test_store_that_is_gone_is_not_made_by_commands(hooked, git, store, instead):
    commit(git, hooked, "one")
    away = store.rename(store.parent / "away")
    if instead == "another store":
        (store / "sessions").mkdir(parents=True)
    listed = sorted(str(path) for path in store.rglob("*"))
    assert "'prodigy-git doctor --fix'" in refused("finish", cwd=hooked)
    for command in (["status"], ["worktree", "ls"], ["verify", "--fix"], ["sessions", "list"],
                    ["events", "ls"], ["worktree", "show", "."]):  # fmt: skip
        call(*command, cwd=hooked)
        assert sorted(str(path) for path in store.rglob("*")) == listed, command
    assert away.is_dir()


def test_old_session_keeps_its_file_while_a_half_of_its_worktree_is_there(hooked, git, store):
    tree = Path(new(hooked, "w", "--job", "j")["worktree"])
    ok("finish", "w", cwd=hooked)
    rewrite_session(store, "w", completed_at="2025-01-01T00:00:00Z")
    tree.rename(tree.parent / "away")
    assert "w" not in ok("sessions", "clean", "--older-than", "1h", cwd=hooked).out
    git("worktree", "prune", cwd=hooked)
    ok("sessions", "clean", "--older-than", "1h", cwd=hooked)
    assert not (store / "sessions" / "w.json").exists()
