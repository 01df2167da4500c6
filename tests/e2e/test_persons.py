"""People and agents are told apart: a person's own checkout is no agent, wherever one looks."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from support_agents import say
from support_cli import call, new, ok, refused, rewrite_session, session_file
from support_terminal import Terminal

from prodigy_git.model.session import Session
from prodigy_git.record import persons


@pytest.fixture
def own(repo, git):
    """A checkout with hooks that its owner has committed in; return its session's id."""
    ok("install", cwd=repo)
    git("config", "prodigy.record", "wait", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "mine", cwd=repo)
    return ok("status", "--json", cwd=repo).json["repositories"][0]["checkouts"][0]["session_id"]


def look(repo, *arguments):
    (found,) = ok("status", "--json", *arguments, cwd=repo).json["repositories"]
    return found


def is_persons(store, name):
    return Session.of(session_file(store, name)).persons


def session_at(path: Path):
    text = ok("sessions", "list", "--json").json
    (found,) = [one["session_id"] for one in text if one["worktree"] == str(path)]
    return found


def test_status_has_it_beside_the_agents(repo, own):
    found = look(repo, "--stuck-after", "0s")
    assert found["agents"] == []
    assert set(found["counts"].values()) == {0}
    (mine,) = found["checkouts"]
    assert (mine["session_id"], mine["state"], mine["persons"]) == (own, "idle", True)
    assert not any(own in text for one in found["advice"] for text in one["commands"])


@pytest.mark.parametrize("fields", [{"status": "Failed", "error": "x"}, {"status": "Completed"}])
def test_one_that_was_ended_is_no_trouble(repo, store, own, fields):
    rewrite_session(store, own, **fields)
    found = look(repo)
    assert (found["agents"], found["checkouts"], found["finished_worktrees"]) == ([], [], 0)
    assert set(found["counts"].values()) == {0}
    (mine,) = look(repo, "--all")["checkouts"]
    assert mine["state"] == "finished"


def test_one_that_is_gone_is_not_dead(repo, own):
    repo.rename(repo.parent / "elsewhere")
    (found,) = ok("status", "--all-repos", "--json", cwd="/").json["repositories"]
    assert (found["agents"], found["counts"]["dead"]) == ([], 0)
    assert [one["session_id"] for one in found["checkouts"]] == [own]


def test_lists_say_whose_it_is(repo, own):
    row = ok("sessions", "list", cwd=repo).out.split("\t")
    assert (row[0], row[3]) == (own, "(person)")
    assert ok("worktree", "ls", cwd=repo).out.split("\t")[3] == "(person)"
    for command in (("sessions", "list"), ("worktree", "ls")):
        assert ok(*command, "--json", cwd=repo).json[0]["persons"] is True
    assert "a person's own checkout" in ok("sessions", "show", own, cwd=repo).out
    told = ok("explain", own, "--json", cwd=repo).json
    assert (told["persons"], told["next"]) == (True, [])
    assert "a person's own checkout" in ok("explain", own, cwd=repo).out
    assert f"session {own} is a person's own checkout" in ok("explain", "HEAD", cwd=repo).out


def test_it_is_never_the_job_that_is_meant(repo, own):
    for command in (("job", "show"), ("dlq", "list"), ("report", "--json")):
        assert own not in refused(*command, cwd=repo)
    new(repo, "login")
    assert call("report", "--json", cwd=repo).json["job"]["job_id"] == "login"


def test_it_is_not_ended_by_a_slip(repo, store, own):
    said = refused("finish", cwd=repo)
    assert f"'prodigy-git finish {own}'" in said
    assert said.count("\n") == 1
    assert session_file(store, own)["status"] == "Running"
    ok("finish", own, cwd=repo)
    assert session_file(store, own)["status"] == "Completed"


def test_of_a_job_it_is_no_attempt_at_work(repo, store, git):
    ok("install", cwd=repo)
    git("config", "prodigy.record", "wait", cwd=repo)
    git("config", "prodigy.job", "shared", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "mine", cwd=repo)
    new(repo, "login", "--agent", "ada")
    told = ok("report", "--json", cwd=repo).json
    assert told["counts"]["outcomes"] == {"own": 1, "running": 1}
    assert look(repo)["counts"]["running"] == 1


def test_a_session_of_an_earlier_version(repo, store, own):
    metadata = session_file(store, own)["metadata"]
    del metadata["git_dir"]
    path = store / "sessions" / f"{own}.json"
    path.write_text(json.dumps({**session_file(store, own), "metadata": metadata}))
    assert is_persons(store, own)
    assert [one["session_id"] for one in look(repo)["checkouts"]] == [own]


@pytest.mark.parametrize("known", [True, False])
def test_a_git_directory_elsewhere(tmp_path, store, git, known):
    git("init", "-q", "--separate-git-dir", tmp_path / "data", tmp_path / "tree", cwd=tmp_path)
    ok("install", cwd=tmp_path / "tree")
    git("config", "prodigy.record", "wait", cwd=tmp_path / "tree")
    git("commit", "-q", "--allow-empty", "-m", "mine", cwd=tmp_path / "tree")
    metadata = session_file(store, session_at(tmp_path / "tree"))["metadata"]
    if not known:
        del metadata["git_dir"]
    assert persons.is_persons(metadata)


@pytest.mark.parametrize("known", [True, False])
def test_a_linked_worktree_is_an_agents_whoever_made_it(repo, store, own, git, known):
    git("worktree", "add", "-q", "../linked", cwd=repo)
    made = session_at(repo.parent / "linked")
    metadata = session_file(store, made)["metadata"]
    if not known:
        del metadata["git_dir"]
    assert not persons.is_persons(metadata)
    # Nobody said that an agent was set to work there: that it is silent means nothing.
    (one,) = look(repo, "--stuck-after", "0s")["agents"]
    assert (one["session_id"], one["state"]) == (made, "idle")
    ok("finish", cwd=repo.parent / "linked")


def test_a_bare_repositorys_worktrees(tmp_path, repo, store, git):
    git("clone", "-q", "--bare", repo, tmp_path / "bare.git", cwd=tmp_path)
    ok("install", cwd=tmp_path / "bare.git")
    git("worktree", "add", "-q", "../first", cwd=tmp_path / "bare.git")
    assert not is_persons(store, session_at(tmp_path / "first"))


def test_submodules_are_whose_worktree_they_are_in(repo, store, git, tmp_path):
    git("commit", "-q", "--allow-empty", "-m", "r", cwd=repo)
    git("init", "-q", tmp_path / "top", cwd=tmp_path)
    add = ("-c", "protocol.file.allow=always", "submodule")
    git(*add, "add", "-q", repo, "sub", cwd=tmp_path / "top")
    git("commit", "-qm", "sub", cwd=tmp_path / "top")
    git("worktree", "add", "-q", "../linked", cwd=tmp_path / "top")
    git(*add, "update", "-q", "--init", cwd=tmp_path / "linked")
    found = {}
    for place in ("top", "linked"):
        inside = tmp_path / place / "sub"
        ok("install", cwd=inside)
        git("config", "prodigy.record", "wait", cwd=inside)
        git("commit", "-q", "--allow-empty", "-m", "in it", cwd=inside)
        metadata = session_file(store, session_at(inside))["metadata"]
        earlier = {name: value for name, value in metadata.items() if name != "git_dir"}
        found[place] = (persons.is_persons(metadata), persons.is_persons(earlier))
    assert found == {"top": (True, True), "linked": (False, False)}


def test_a_copy_is_a_persons_too(repo, store, own, git):
    copy = repo.parent / "copy"
    subprocess.run(["cp", "-a", repo, copy], check=True)
    git("commit", "-q", "--allow-empty", "-m", "in the copy", cwd=copy)
    assert is_persons(store, session_at(copy))
    made = new(copy, "there")
    assert not is_persons(store, made["session_id"])


def test_who_names_an_agent_is_one(repo, store, git, monkeypatch):
    ok("install", cwd=repo)
    git("config", "prodigy.record", "wait", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=repo, env={"PRODIGY_AGENT_ID": "ada"})
    found = look(repo)
    assert found["checkouts"] == []
    assert [(one["agent_id"], one["persons"]) for one in found["agents"]] == [("ada", False)]
    ok("finish", cwd=repo)


@pytest.mark.parametrize("earlier", [False, True])
def test_a_program_that_ends_there_ends_nothing(repo, store, own, earlier):
    if earlier:
        metadata = session_file(store, own)["metadata"]
        del metadata["git_dir"]
        path = store / "sessions" / f"{own}.json"
        path.write_text(json.dumps({**session_file(store, own), "metadata": metadata}))
    say("claude", "SessionStart", cwd=repo, source="startup")
    say("claude", "UserPromptSubmit", cwd=repo, prompt="x")
    say("claude", "SessionEnd", cwd=repo, reason="other")
    ok("sync", cwd=repo)
    ok("sessions", "list", cwd=repo)
    assert session_file(store, own)["status"] == "Running"
    assert is_persons(store, own)


def test_one_that_a_program_began_is_a_persons_too(repo, store, git):
    git("commit", "-q", "--allow-empty", "-m", "there is something", cwd=repo)
    ok("install", cwd=repo)
    say("claude", "SessionStart", cwd=repo, source="startup")
    say("claude", "UserPromptSubmit", cwd=repo, prompt="x")
    name = session_at(repo)
    assert session_file(store, name)["metadata"]["created_by"] == "agent-hook:claude"
    assert is_persons(store, name)
    found = look(repo)
    assert (found["agents"], [one["state"] for one in found["checkouts"]]) == ([], ["running"])


def test_damaged_metadata_is_nobodys():
    for metadata in ({}, {"git_dir": "."}, {"repo_path": 1, "worktree_path": []}):
        assert not persons.is_persons(metadata)
    assert not persons.is_persons({"repo_path": "/a\0", "worktree_path": "/b\0"})


def test_on_a_terminal_it_has_its_line(repo, own):
    shown = Terminal("status", cwd=repo, columns=200)
    assert shown.end() == 0
    text = shown.text()
    assert re.search(r"your own: \S+, 1 commit recorded", text)
    assert "running" not in text
