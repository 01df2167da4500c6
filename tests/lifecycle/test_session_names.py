"""What a new worktree's session is called, and names that are used again."""

import shutil
from pathlib import Path

from support_cli import (
    new,
    ok,
    refused,
    rewrite_session,
    session_file,
    start,
)
from support_naming import put_away

from prodigy_git.lifecycle import naming


def test_a_name_is_used_again_once_what_bore_it_is_gone(repo, store, git, events):
    first = new(repo, "w1")
    (Path(first["worktree"]) / "mine").write_text("work")
    assert "w1 is Running; choose" in refused("new-worktree", "w1", cwd=repo)
    ok("finish", "w1", cwd=repo)
    assert "'prodigy-git worktree clean w1' puts it away" in refused("new-worktree", "w1", cwd=repo)
    ok("worktree", "clean", "-f", "w1", cwd=repo)
    done = ok("new-worktree", "w1", cwd=repo)
    second = Path(done.out[:-1])
    assert second.name == "w1-2"
    assert "the name w1 was used before: the session is w1-2" in done.err
    assert session_file(store, "w1-2")["metadata"]["name"] == "w1"
    assert git("branch", "--show-current", cwd=second) == "prodigy-w1"
    assert "the name w1 is in use: session w1-2 is Running" in refused(
        "new-worktree", "w1", cwd=repo
    )
    # The old one comes back beside it, with all that was in it.
    back = Path(ok("worktree", "restore", "w1", cwd=repo).out[:-1])
    assert (str(back), (back / "mine").read_text()) == (first["worktree"], "work")
    assert git("branch", "--show-current", cwd=second) == "prodigy-w1"
    assert session_file(store, "w1")["status"] == "Completed"


def test_a_session_whose_maker_was_killed_can_be_ended(repo, store, git):
    made = new(repo, "w1")
    git("worktree", "remove", "--force", made["worktree"], cwd=repo)
    git("branch", "-qD", "prodigy-w1", cwd=repo)
    rewrite_session(store, "w1", status="Initializing")
    said = refused("new-worktree", "w1", cwd=repo)
    # Whoever is just making it looks the same.
    assert "Initializing and has no worktree, unless it is being made just now, 'prodigy" in said
    ok("finish", "w1", cwd=repo)
    assert new(repo, "w1")["session_id"] == "w1-2"


def test_a_name_whose_sessions_were_cleaned_is_not_an_id_again(repo, store):
    for number in range(1, 4):
        made = new(repo, "w1")
        assert made["session_id"] == ("w1" if number == 1 else f"w1-{number}")
        put_away(repo, made["session_id"])
        ok("sessions", "clean", "--older-than", "0s", cwd=repo)
    assert list((store / "sessions").glob("*.json")) == []


def test_a_branch_that_is_left_still_bears_the_name(repo, git):
    made = new(repo, "w1")
    git("commit", "-q", "--allow-empty", "-m", "work", cwd=made["worktree"])
    ok("finish", "w1", cwd=repo)
    ok("worktree", "clean", "--force", "w1", cwd=repo)
    git("branch", "-f", "prodigy-w1", made["base_commit"], cwd=repo)
    assert "--branch prodigy-w1 checks it out" in refused("new-worktree", "w1", cwd=repo)
    assert new(repo, "w1", "--branch", "prodigy-w1")["session_id"] == "w1-2"
    git("switch", "-q", "-c", "prodigy-w9", cwd=repo)
    assert f"is checked out at {repo}: work there" in refused("new-worktree", "w9", cwd=repo)


def test_another_repository_has_names_of_its_own(repo, tmp_path, git):
    git("clone", "-q", repo, tmp_path / "other", cwd=tmp_path)
    assert new(repo, "w1")["session_id"] == "w1"
    made = new(tmp_path / "other", "w1")
    assert (made["session_id"], made["branch"]) == ("w1-2", "prodigy-w1")
    assert ok("worktree", "path", "w1", cwd=repo).out != f"{made['worktree']}\n"


def test_two_who_want_one_name_at_once_get_one(repo):
    children = [start("new-worktree", "w1", cwd=repo) for _ in range(4)]
    codes = []
    for child in children:
        child.communicate(timeout=120)
        codes.append(child.returncode)
    assert sorted(codes) == [0, 1, 1, 1]


def test_commands_take_the_name_and_the_branch(repo, store, git):
    made = new(repo, "feature/login")
    again = new(repo, "w1")
    put_away(repo, "w1")
    again = new(repo, "w1")
    for name, session in (("feature/login", "feature-login"), ("prodigy-w1", "w1-2")):
        assert ok("sessions", "show", name, "--json", cwd=repo).json["session_id"] == session
        assert ok("worktree", "show", name, "--json", cwd=repo).json["session_id"] == session
    assert ok("worktree", "path", "feature/login", cwd=repo).out == f"{made['worktree']}\n"
    assert ok("finish", "w1", "--json", cwd=repo).json["session_id"] == "w1-2"
    assert ok("finish", "feature/login", "--json", cwd=repo).json["session_id"] == "feature-login"
    assert ok("worktree", "clean", "feature/login", cwd=repo).out.startswith(
        "feature-login: cleaned"
    )
    assert ok("worktree", "restore", "feature/login", cwd=repo).out == f"{made['worktree']}\n"
    assert again["session_id"] == "w1-2"
    shutil.rmtree(made["worktree"])
    git("worktree", "prune", cwd=repo)
    assert "feature/none" in refused("sessions", "show", "feature/none", cwd=repo)


def test_a_name_of_several_is_not_guessed(repo, tmp_path, git, monkeypatch):
    git("clone", "-q", repo, tmp_path / "other", cwd=tmp_path)
    new(repo, "a/b")
    new(tmp_path / "other", "a/b")
    assert ok("sessions", "show", "a/b", "--json", cwd=repo).json["session_id"] == "a-b"
    assert "give one of a-b, a-b-2" in refused("sessions", "show", "a/b", cwd=tmp_path)


def test_stems_are_safe_ids():
    for text in (
        "a/b",
        "../x",
        "a..b",
        "x.lock",
        "",
        "///",
        "ü",
        "a" * 300,
        "-x-",
        "a b",
        "\x1b[2J",
    ):
        made = naming.stem(text)
        assert made is None or (naming.names.is_safe(made) and naming.names.fits_into_ref(made))
    assert naming.stem("a" * 300) != naming.stem("a" * 301)
