"""new-worktree: what it makes, from where, and what it says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support_cli import (
    PACKAGE_PARENT,
    call,
    git_version,
    new,
    ok,
    refused,
    session_file,
    snapshot,
    write_hooks,
)

FIELDS = [
    "session_id", "job_id", "agent_id", "item_id", "worktree", "branch", "base_branch",
    "base_commit", "setup",
]  # fmt: skip


def test_stdout_is_the_path_and_nothing_else(repo, store):
    done = ok("new-worktree", cwd=repo)
    path = Path(done.out.removesuffix("\n"))
    assert done.out == f"{path}\n"
    assert path.parent == store / "worktrees" / "repo"
    assert path.name.startswith("session-")
    assert (path / "README").read_text() == "a repository\n"


def test_an_agents_folder_is_named_agent(repo):
    assert Path(new(repo, "--agent", "agent-1")["worktree"]).name.startswith("agent-")


def test_json_has_exactly_these_fields(repo, git):
    made = new(repo, "w1", "--job", "j", "--agent", "a", "--item", "i")
    assert list(made) == FIELDS
    head = git("rev-parse", "HEAD", cwd=repo)
    worktree = made.pop("worktree")
    assert made == {
        "session_id": "w1", "job_id": "j", "agent_id": "a", "item_id": "i",
        "branch": "prodigy/j/i", "base_branch": "main", "base_commit": head, "setup": "none",
    }  # fmt: skip
    assert git("symbolic-ref", "HEAD", cwd=worktree) == "refs/heads/prodigy/j/i"
    assert git("status", "--porcelain", cwd=worktree) == ""


def test_what_is_left_out_is_null(repo):
    made = new(repo, "w1")
    assert (made["job_id"], made["agent_id"], made["item_id"]) == ("w1", None, None)


def test_session_mappings_enrolment_and_events(repo, store, git, events):
    made = new(repo, "w1", "--job", "j", "--agent", "a", "--item", "i")
    fields = session_file(store, "w1")
    assert (fields["status"], fields["session_type"]) == ("Running", "MapReduce")
    assert fields["metadata"].items() >= {
        "repo": "repo", "repo_path": str(repo / ".git"), "worktree_path": made["worktree"],
        "branch": "prodigy/j/i", "base_branch": "main", "base_commit": made["base_commit"],
        "job_id": "j", "agent_id": "a", "item_id": "i", "created_by": "new-worktree",
    }.items()  # fmt: skip
    mappings = store / "state" / "repo" / "mappings"
    assert json.loads((mappings / "session-to-job.json").read_text()) == {"w1": "j"}
    assert json.loads((mappings / "job-to-session.json").read_text()) == {"j": "w1"}
    private = git("rev-parse", "--absolute-git-dir", cwd=made["worktree"])
    enrolment = json.loads(Path(private, "prodigy").read_text())
    assert [enrolment[k] for k in ("store", "session", "job", "agent", "item")] == [
        str(store), "w1", "j", "a", "i",
    ]  # fmt: skip
    first, second, third = (e for e in events("j") if e["type"] != "CheckpointSaved")
    assert [e["type"] for e in (first, second, third)] == [
        "SessionStarted", "WorktreeCreated", "AgentStarted",
    ]  # fmt: skip
    for event in (first, second, third):
        assert event["event_type"] == event["type"]
        assert [event[k] for k in ("job_id", "session_id", "agent_id", "item_id")] == [
            "j", "w1", "a", "i",
        ]  # fmt: skip
        assert event["correlation_id"] == "w1"
    assert (first["created_by"], first["base"]) == ("new-worktree", made["base_commit"])
    assert (second["worktree_name"], second["branch"]) == ("w1", "prodigy/j/i")
    assert (third["worktree"], third["attempt"]) == ("w1", 1)


def test_without_agent_there_is_no_agent_event(repo, events):
    new(repo, "w1", "--job", "j")
    assert {e["type"] for e in events("j")} == {
        "SessionStarted", "WorktreeCreated", "CheckpointSaved",
    }  # fmt: skip


def test_the_first_session_of_a_job_stays_its_opener(repo, store):
    new(repo, "w1", "--job", "j")
    new(repo, "w2", "--job", "j")
    mappings = store / "state" / "repo" / "mappings"
    assert json.loads((mappings / "job-to-session.json").read_text()) == {"j": "w1"}
    assert json.loads((mappings / "session-to-job.json").read_text()) == {"w1": "j", "w2": "j"}


def test_job_from_option_then_environment_then_git_config_then_session(repo, git, monkeypatch):
    assert new(repo, "w1")["job_id"] == "w1"
    git("config", "prodigy.job", "from-config", cwd=repo)
    assert new(repo, "w2")["job_id"] == "from-config"
    monkeypatch.setenv("PRODIGY_JOB_ID", "from-environment")
    assert new(repo, "w3")["job_id"] == "from-environment"
    assert new(repo, "w4", "--job", "from-option")["job_id"] == "from-option"


def test_from_inside_another_worktree_that_ones_head_is_the_base(repo, git):
    first = new(repo, "w1")
    git("commit", "-q", "--allow-empty", "-m", "only here", cwd=first["worktree"])
    second = new(Path(first["worktree"]), "w2")
    assert second["base_commit"] == git("rev-parse", "HEAD", cwd=first["worktree"])
    assert second["base_branch"] == "prodigy-w1"
    assert second["base_commit"] != first["base_commit"]


def test_from_a_subfolder_the_whole_tree_is_checked_out(repo, git):
    (repo / "sub").mkdir()
    (repo / "sub" / "file").write_text("x\n")
    git("add", ".", cwd=repo)
    git("commit", "-qm", "sub", cwd=repo)
    made = new(repo / "sub", "w1")
    assert sorted(os.listdir(made["worktree"])) == [".git", "README", "sub"]


@pytest.mark.parametrize("inside", ["bare.git", "bare.git/refs"])
def test_from_a_bare_repository(repo, store, tmp_path, git, inside, events):
    git("clone", "-q", "--bare", repo, tmp_path / "bare.git", cwd=tmp_path)
    made = new(tmp_path / inside, "w1", "--job", "j")
    assert made["worktree"] == str(store / "worktrees" / "bare" / "w1")
    assert made["base_branch"] == "main"
    write_hooks(tmp_path / "bare.git" / "hooks")
    git("commit", "-q", "--allow-empty", "-m", "recorded", cwd=made["worktree"])
    assert [e["subject"] for e in events("j") if e["type"] == "CommitCreated"] == ["recorded"]


def test_with_a_detached_head_there_is_no_base_branch(repo, git):
    git("checkout", "-q", "--detach", cwd=repo)
    made = new(repo, "w1")
    assert made["base_branch"] is None
    assert made["base_commit"] == git("rev-parse", "HEAD", cwd=repo)


@pytest.mark.parametrize(
    ("base", "branch"),
    [
        ("old", "old"),
        ("v1", None),
        ("light", None),
        ("HEAD~1", None),
        ("SHA", None),
        ("origin/theirs", "origin/theirs"),
        ("refs/heads/old", "old"),
    ],
)
def test_base(repo, git, tmp_path, base, branch):
    first = git("rev-parse", "HEAD", cwd=repo)
    git("branch", "old", cwd=repo)
    git("tag", "-a", "-m", "annotated", "v1", cwd=repo)
    git("tag", "light", cwd=repo)
    git("clone", "-q", repo, tmp_path / "other", cwd=tmp_path)
    git("branch", "theirs", cwd=tmp_path / "other")
    git("remote", "add", "origin", tmp_path / "other", cwd=repo)
    git("fetch", "-q", "origin", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "newer", cwd=repo)
    made = new(repo, "w1", "--base", first if base == "SHA" else base)
    assert (made["base_commit"], made["base_branch"]) == (first, branch)
    assert git("rev-parse", "HEAD", cwd=made["worktree"]) == first
    # No upstream: a push from a session must not go to somebody else's branch.
    assert git("config", "branch.prodigy-w1.remote", cwd=repo, check=False) == ""


def test_branch_can_be_chosen(repo, git):
    made = new(repo, "w1", "--branch", "feature/x")
    assert made["branch"] == "feature/x"
    assert git("symbolic-ref", "--short", "HEAD", cwd=made["worktree"]) == "feature/x"


def test_the_repositorys_own_post_checkout_runs_as_git_runs_it(repo, git, tmp_path, prodigy):
    hook = repo / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        f'#!/bin/sh\nprintf "%s|" "$PWD" "$@" "$GIT_DIR" >"{tmp_path}/ran"\n'
        "echo said; cat README >/dev/null\n"
    )
    hook.chmod(0o755)
    done = prodigy("new-worktree", "w1", cwd=repo, check=True)
    head = git("rev-parse", "HEAD", cwd=repo)
    where, old, now, flag, *_ = (tmp_path / "ran").read_text().split("|")
    assert (where, old, now, flag) == (done.stdout[:-1], "0" * 40, head, "1")
    assert "said" in done.stderr


def test_two_repositories_of_one_basename_get_different_keys(repo, store, tmp_path, git):
    git("clone", "-q", repo, tmp_path / "elsewhere" / "repo", cwd=tmp_path)
    new(repo, "w1")
    made = new(tmp_path / "elsewhere" / "repo", "w2")
    key = Path(made["worktree"]).parent.name
    stem, _, digest = key.rpartition("-")
    assert stem == "repo"
    assert len(digest) == 6
    assert int(digest, 16) >= 0
    for name, folder in (("repo", repo), (key, tmp_path / "elsewhere" / "repo")):
        document = json.loads((store / "state" / name / "repository.json").read_text())
        assert document["common_dir"] == str(folder / ".git")
    assert Path(new(repo, "w3")["worktree"]).parent.name == "repo"


@pytest.mark.parametrize(
    "folder",
    ["with space", 'it\'s "quoted" $(id) `x`', "line\nbreak/inner", "é漢字", b"raw\xff\xfe"],
    ids=["space", "quotes", "newline", "unicode", "bytes"],
)
def test_unusual_repository_paths(tmp_path, git, store, folder, events):
    path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), os.fsencode(folder))))
    path.mkdir(parents=True)
    git("init", "-q", cwd=path)
    write_hooks(path / ".git" / "hooks")
    git("commit", "-q", "--allow-empty", "-m", "start", cwd=path, env={"PRODIGY_GIT_SILENCE": "1"})
    made = new(path, "w1", "--job", "j")
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=made["worktree"])
    assert [e["subject"] for e in events("j") if e["type"] == "CommitCreated"] == ["one"]
    for command in (
        ("sessions", "list"), ("sessions", "show", "w1"), ("worktree", "ls"),
    ):  # fmt: skip
        assert ok(*command, cwd=path).out.isprintable() is False  # a newline at least
        assert "w1" in json.dumps(ok(*command, "--json", cwd=path).json)
    ok("finish", "w1", cwd=path)
    assert ok("worktree", "clean", "w1", cwd=path).code == 0


def test_inherited_variables_of_another_repository_do_not_mislead(
    repo, tmp_path, git, prodigy, store
):
    other = tmp_path / "other"
    git("init", "-q", other, cwd=tmp_path)
    git("commit", "-q", "--allow-empty", "-m", "other", cwd=other)
    before = snapshot(other)
    env = {
        "GIT_DIR": str(other / ".git"),
        "GIT_WORK_TREE": str(other),
        "GIT_INDEX_FILE": str(other / ".git" / "index"),
        "GIT_COMMON_DIR": str(other / ".git"),
        "GIT_PREFIX": "sub/",
    }
    done = prodigy("new-worktree", "w1", "--json", cwd=repo, env=env, check=True)
    assert json.loads(done.stdout)["base_commit"] == git("rev-parse", "HEAD", cwd=repo)
    assert "prodigy-w1" in git("branch", cwd=repo)
    assert "prodigy-w1" not in git("branch", cwd=other)
    assert snapshot(other) == before


def test_submodules_are_left_for_later_and_do_not_disturb(repo, git, tmp_path):
    library = tmp_path / "library"
    git("init", "-q", library, cwd=tmp_path)
    git("commit", "-q", "--allow-empty", "-m", "library", cwd=library)
    git("submodule", "--quiet", "add", library, "lib", cwd=repo)
    git("commit", "-qm", "with a submodule", cwd=repo)
    git("config", "submodule.recurse", "true", cwd=repo)
    made = new(repo, "w1")
    assert git("status", "--porcelain", cwd=made["worktree"]) == ""
    assert os.listdir(Path(made["worktree"], "lib")) == []
    # The submodule's own repository is another one, with a key and worktrees of its own.
    inner = new(repo / "lib", "w2")
    assert Path(inner["worktree"]).parent.name == "lib"


@pytest.mark.skipif(git_version() < (2, 36), reason="sparse patterns are copied since git 2.36")
@pytest.mark.parametrize("where", ["main", "linked"])
def test_a_sparse_checkout_stays_sparse(repo, git, tmp_path, where):
    for name in ("in", "out"):
        (repo / name).mkdir()
        (repo / name / "file").write_text(name)
    git("add", ".", cwd=repo)
    git("commit", "-qm", "two folders", cwd=repo)
    here = repo
    if where == "linked":
        here = tmp_path / "linked"
        git("worktree", "add", "-q", here, cwd=repo)
    git("sparse-checkout", "set", "in", cwd=here)
    made = new(here, "w1")
    assert sorted(os.listdir(made["worktree"])) == [".git", "README", "in"]
    assert git("status", "--porcelain", cwd=made["worktree"]) == ""


def test_a_moved_store_is_followed_from_the_enrolment(repo, store, git, events, monkeypatch):
    made = new(repo, "w1", "--job", "j")
    write_hooks(repo / ".git" / "hooks")
    monkeypatch.setenv("PRODIGY_HOME", str(store.parent / "another"))
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=made["worktree"])
    assert [e["type"] for e in events("j")][-1] == "CommitCreated"
    assert not (store.parent / "another").exists()


@pytest.mark.parametrize("value", ["/dev/null", "nowhere"])
def test_where_hooks_are_switched_off_it_is_made_all_the_same(repo, git, value):
    git("config", "core.hooksPath", value, cwd=repo)
    done = ok("new-worktree", "w1", cwd=repo)
    assert Path(done.out[:-1]).is_dir()
    assert "recorded late" in done.err


def test_hooks_that_the_repositorys_own_hook_installs_are_in_effect(repo, prodigy, tmp_path):
    hook = repo / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        f'#!/bin/sh\nPYTHONPATH="{PACKAGE_PARENT}" "{sys.executable}" -m prodigy_git install --ensure\n'
    )
    hook.chmod(0o755)
    assert prodigy("new-worktree", "w1", cwd=repo, check=True).stderr == ""
    assert "in effect" not in ok("new-worktree", "w2", cwd=repo).err


def test_outside_of_a_repository(tmp_path):
    assert "not in a git repository" in refused("new-worktree", cwd=tmp_path)


def test_in_a_repository_without_a_commit(tmp_path, git):
    git("init", "-q", "empty", cwd=tmp_path)
    assert "no commit yet" in refused("new-worktree", cwd=tmp_path / "empty")


def test_the_program_as_a_process(repo, prodigy):
    done = prodigy("new-worktree", "w1", cwd=repo, check=True)
    assert Path(done.stdout[:-1]).is_dir()
    assert call("new-worktree", "--no-such-option", cwd=repo).code == 2
    assert subprocess.run(["git", "fsck", "--strict"], cwd=repo, check=False).returncode == 0
