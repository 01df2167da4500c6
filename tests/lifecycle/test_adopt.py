"""worktree adopt: a worktree that another tool made gets a session, and its commits from then on."""

import json
import os
from pathlib import Path

import pytest
from support_cli import new, ok, snapshot, standing_in, write_hooks

from prodigy_git import layout
from prodigy_git.cli.adopt import adopt as command
from prodigy_git.errors import ProdigyError
from prodigy_git.lifecycle import adopt as adopting
from prodigy_git.record import repokey


@pytest.fixture
def tree(repo, git, tmp_path):
    """A worktree of another tool, with a commit of its own and uncommitted work."""
    path = tmp_path / "other tool" / "wt"
    git("worktree", "add", "-q", "-b", "theirs", path, cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "before", cwd=path)
    (path / "README").write_text("changed\n")
    (path / "untracked").write_text("x\n")
    return path


def adopt(path, **options):
    return adopting.adopt(str(path), broken=pytest.fail, **options)


def commits(events, job):
    return [e["subject"] for e in events(job) if e["type"] == "CommitCreated"]


def test_commits_from_then_on_are_recorded_by_the_real_hook(tree, repo, git, events, store):
    done = adopt(tree, job="j", agent="a1", item="i1")
    write_hooks(repo / ".git" / "hooks")
    git("commit", "-qam", "after", cwd=tree)
    assert commits(events, "j") == ["after"]
    started, agent = (e for e in events("j") if e["type"] in ("SessionStarted", "AgentStarted"))
    assert events("j")[0] == started
    head = git("rev-parse", "HEAD^", cwd=tree)
    assert (started["created_by"], started["base"]) == ("adopt", head)
    assert (agent["agent_id"], agent["item_id"]) == ("a1", "i1")
    (row,) = (
        r for r in ok("worktree", "ls", "--json", cwd=repo).json if r["worktree"] == str(tree)
    )
    assert row["session_id"] == done.session_id
    assert done.session_id.startswith("session-")
    ok("finish", done.session_id, cwd=repo)
    (tree / "untracked").unlink()
    ok("worktree", "clean", done.session_id, cwd=repo)
    assert not tree.exists()


def test_nothing_of_the_worktree_is_changed(tree, repo):
    before = snapshot(repo, tree)
    adopt(tree)
    after = snapshot(repo, tree)
    assert {path for path in after if path not in before} == {
        f"{repo}/.git/{repokey.MARK}",
        *(f"{repo}/.git/worktrees/wt/{name}" for name in (layout.ENROLMENT, layout.CURSOR)),
    }
    assert {path: after[path] for path in before} == before


@pytest.mark.parametrize("where", ["wt", "sub"])
def test_an_enrolled_one_is_refused_and_its_session_named(tree, repo, store, where):
    (tree / "sub").mkdir()
    done = adopt(tree)
    before = snapshot(store)
    with pytest.raises(ProdigyError, match=f"belongs to session {done.session_id}"):
        adopt(tree if where == "wt" else tree / "sub")
    made = new(repo, "w1")
    with pytest.raises(ProdigyError, match="belongs to session w1"):
        adopt(made["worktree"])
    assert {p: c for p, c in snapshot(store).items() if p in before and "mappings" not in p} == {
        p: c for p, c in before.items() if "mappings" not in p
    }


def test_the_main_worktree(repo, git, events):
    done = adopt(repo)
    write_hooks(repo / ".git" / "hooks")
    git("commit", "-q", "--allow-empty", "-m", "mine", cwd=repo)
    assert commits(events, done.job_id) == ["mine"]


def test_what_cannot_be_adopted(repo, git, tmp_path, store):
    git("init", "-q", "--bare", tmp_path / "bare.git", cwd=tmp_path)
    (tmp_path / "plain").mkdir()
    for path, words in (
        (tmp_path / "plain", "not in a git repository"),
        (tmp_path / "nowhere", "not a folder"),
        (tmp_path / "bare.git", "without a working tree"),
        (repo / ".git", "without a working tree"),
    ):
        with pytest.raises(ProdigyError, match=words):
            adopt(path)
    with pytest.raises(ValueError, match="safe name"):
        adopt(repo, name="../x")
    with pytest.raises(ProdigyError, match="ref's name"):
        adopt(repo, name="a..b")
    assert not list(store.glob("sessions/*"))


def test_ids(repo, git, store, tree):
    """One under the store's own folder keeps its name as the id, if that was never used."""
    ours = store / "worktrees" / "repo" / "mine"
    git("worktree", "add", "-q", ours, cwd=repo)
    assert adopt(ours).session_id == "mine"
    with pytest.raises(ProdigyError, match="used before"):
        adopt(tree, name="mine")
    assert adopt(tree, name="theirs").session_id == "theirs"


@pytest.mark.parametrize("setting", ["false", "true"])
@pytest.mark.parametrize("unborn", [False, True])
def test_without_a_journal(tmp_path, git, events, setting, unborn):
    """core.logAllRefUpdates false: the journal begins with the adoption, and takes nothing older in."""
    repo = tmp_path / "quiet"
    git("init", "-q", repo, cwd=tmp_path)
    git("config", "core.logAllRefUpdates", setting, cwd=repo)
    if not unborn:
        git("commit", "-q", "--allow-empty", "-m", "older", cwd=repo)
    done = adopt(repo)
    write_hooks(repo / ".git" / "hooks")
    git("commit", "-q", "--allow-empty", "-m", "newer", cwd=repo)
    assert commits(events, done.job_id) == ["newer"]


def test_in_the_middle_of_a_rebase_the_rebase_is_the_sessions(tree, repo, git, events):
    git("checkout", "-q", "--", "README", cwd=tree)
    for subject in ("one", "two"):
        (tree / subject).write_text(subject)
        git("add", subject, cwd=tree)
        git("commit", "-qm", subject, cwd=tree)
    stop = {"GIT_SEQUENCE_EDITOR": "sed -i '2s/pick/edit/'"}
    git("rebase", "-q", "-i", "--force-rebase", "HEAD~2", cwd=tree, env=stop)
    done = adopt(tree)
    write_hooks(repo / ".git" / "hooks")
    git("commit", "-q", "--amend", "-m", "two again", cwd=tree)
    git("rebase", "--continue", cwd=tree)
    ok("sessions", "show", done.session_id, cwd=repo)
    assert commits(events, done.job_id) == ["one", "two again"]


def test_a_registration_that_fails_leaves_nothing(tree, repo, store, monkeypatch):
    adopt(repo)
    before, private = snapshot(store / "sessions", store / "state"), snapshot(repo / ".git")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("prodigy_git.record.enrolment.write", full)
    with pytest.raises(OSError, match="No space"):
        adopt(tree)
    monkeypatch.undo()
    assert snapshot(store / "sessions", store / "state") == before
    assert snapshot(repo / ".git") == private


def test_the_command(tree, repo, store, capsys):
    with standing_in(tree):
        command.main(["--job", "j", "--json"], standalone_mode=False)
    said = capsys.readouterr()
    fields = json.loads(said.out)
    assert fields["worktree"] == str(tree)
    assert fields["job_id"] == "j"
    assert fields["branch"] == "theirs"
    assert Path(store, "sessions", f"{fields['session_id']}.json").exists()
    assert "not all git hooks are in effect" in said.err
    relative = os.path.relpath(repo)
    command.main([relative], standalone_mode=False)
    assert f": {repo}, job session-" in capsys.readouterr().out
