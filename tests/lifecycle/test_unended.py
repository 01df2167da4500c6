"""Sessions that are over, and that nobody ends: worktrees that others removed, items that are done."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support_cli import call, new, ok, refused, rewrite_session, session_file

from prodigy_git.cleanup.salvage import salvage
from prodigy_git.cleanup.trash import branch_removal, lost_branch
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import claims, owner


@pytest.fixture
def known(repo, store):
    ok("install", cwd=repo)
    return repo


def added(known, git, name="feature", commits=1):
    """Let another tool make a worktree with commits; return its folder and its session."""
    path = known.parent / f"tree-{name}"
    git("worktree", "add", "-q", "-b", name, path, cwd=known)
    for number in range(commits):
        git("commit", "-q", "--allow-empty", "-m", f"{name} {number}", cwd=path)
    listed = ok("worktree", "ls", "--json", cwd=known).json
    (session,) = [one["session_id"] for one in listed if one["worktree"] == str(path)]
    return path, session


def agents(known, *options):
    return {
        one["session_id"]: one
        for one in ok("status", "--json", *options, cwd=known).json["repositories"][0]["agents"]
    }


def listed(known):
    return {one["session_id"]: one for one in ok("sessions", "list", "--json", cwd=known).json}


@pytest.mark.parametrize(
    ("then", "where"),
    [
        ("merge", "merged into main"),
        ("squash", "merged into main"),
        ("keep", "on feature"),
        ("delete", "in no branch any more: 'prodigy-git worktree restore"),
        ("prune", "no longer in the repository"),
    ],
)
def test_a_worktree_that_others_removed_is_finished_with_what_it_did(
    known, git, events, store, then, where
):
    path, session = added(known, git, commits=2)
    (path / "new").write_text("x")
    git("add", ".", cwd=path)
    git("commit", "-q", "-m", "third", cwd=path)
    git("worktree", "remove", path, cwd=known)
    if then == "merge":
        git("merge", "-q", "--no-ff", "--no-edit", "feature", cwd=known)
    if then == "squash":
        git("merge", "-q", "--squash", "feature", cwd=known)
        git("commit", "-q", "-m", "all of it", cwd=known)
    if then != "keep":
        git("branch", "-q", "-D", "feature", cwd=known)
    if then == "prune":
        git("prune", "--expire=now", cwd=known)
    before = session_file(store, session)
    found = ok("status", "--json", cwd=known).json["repositories"][0]
    assert session not in {one["session_id"] for one in found["agents"]}
    assert session not in str(found["advice"])
    assert found["counts"]["dead"] == 0
    assert found["counts"]["finished"] == 1
    assert agents(known, "--all")[session]["removed"] is True
    assert session_file(store, session) == before  # who looks changes nothing
    assert listed(known)[session]["status"] == "Completed"
    now = session_file(store, session)
    assert (now["status"], now["metadata"]["commits"]) == ("Completed", 3)
    assert now["metadata"]["commits_are"].startswith(where)
    (finished,) = [one for one in events(session) if one["type"] == "SessionFinished"]
    assert (finished["status"], finished["because"]) == (
        "Completed", "its worktree was removed with git",
    )  # fmt: skip
    assert agents(known, "--all")[session]["state"] == "finished"
    ok("sessions", "list", cwd=known)
    assert len([one for one in events(session) if one["type"] == "SessionFinished"]) == 1
    ok("verify", cwd=known)


@pytest.mark.parametrize("command", [("clean", "--yes"), ("sessions", "show"), ("resume",)])
def test_each_command_that_records_ends_it(known, git, store, command):
    path, session = added(known, git, commits=0)
    git("worktree", "remove", path, cwd=known)
    if command == ("clean", "--yes"):
        ok(*command, cwd=known)
    else:
        call(*command, session, cwd=known)
    assert session_file(store, session)["status"] in ("Cancelled", "Running")
    if command != ("resume",):  # which makes it again, and it goes on
        assert session_file(store, session)["status"] == "Cancelled"


@pytest.mark.parametrize("when", ["never", "before", "between", "after"])
def test_commits_whose_branch_goes_with_the_worktree_come_back(known, git, store, when):
    """As an agent program does with its own; its session may end before that, or after."""
    path, session = added(known, git, commits=2)
    tip = git("rev-parse", "HEAD", cwd=path)
    if when == "before":
        ok("finish", session, cwd=known)
    git("worktree", "remove", "--force", path, cwd=known)
    if when == "between":  # somebody looks just then
        assert listed(known)[session]["status"] == "Completed"
        assert "commits_settled" not in session_file(store, session)["metadata"]
    git("branch", "-q", "-D", "feature", cwd=known)
    if when == "after":
        ok("finish", session, cwd=known)
    assert agents(known, "--all")[session]["state"] == "finished"
    assert listed(known)[session]["status"] == "Completed"
    git("reflog", "expire", "--expire=now", "--all", cwd=known)
    git("gc", "-q", "--prune=now", cwd=known)
    assert [one["session_id"] for one in ok("trash", "list", "--json", cwd=known).json] == [session]
    listed(known)
    assert len(ok("trash", "list", "--json", cwd=known).json) == 1  # and not once more
    told = ok("explain", session, "--json", cwd=known).json
    assert (told["worktree_state"], told["worktree"]) == ("gone", str(path))
    assert f"worktree restore {session}" in str(told["next"])
    assert "prodigy-git resume" not in ok("worktree", "show", session, cwd=known).out  # from what?
    done = ok("worktree", "restore", session, "--json", cwd=known).json
    assert done["worktree"] == str(path)
    assert git("rev-parse", "feature", "HEAD", cwd=path).split() == [tip, tip]
    ok("verify", cwd=known)


def test_what_another_ref_has_needs_no_keeping(known, git, store):
    for name, keeps in (("tagged", "tag"), ("copied", "branch")):
        path, session = added(known, git, name)
        git(keeps, f"other-{name}", name, cwd=known)
        git("worktree", "remove", path, cwd=known)
        git("branch", "-q", "-D", name, cwd=known)
        assert listed(known)[session]["status"] == "Completed"
        assert session_file(store, session)["metadata"]["commits_settled"] is True
    assert ok("trash", "list", "--json", cwd=known).json == []


def test_a_program_that_only_talked_leaves_nothing_that_failed(known, git, store, events):
    path, session = added(known, git, commits=0)
    rewrite_session(store, session, metadata={"agent_program": "claude", "agent_id": "claude-1"})
    git("worktree", "remove", path, cwd=known)
    git("branch", "-q", "-D", "feature", cwd=known)
    assert listed(known)[session]["status"] == "Completed"
    assert "AgentFailed" not in {one["type"] for one in events(session)}
    assert ok("trash", "list", "--json", cwd=known).json == []


@pytest.mark.parametrize("step", ["anchor_branch", "finish", "_note"])
def test_a_keeping_that_was_killed_is_done_again(known, git, store, monkeypatch, step):
    path, session = added(known, git)
    tip = git("rev-parse", "HEAD", cwd=path)
    git("worktree", "remove", path, cwd=known)
    git("branch", "-q", "-D", "feature", cwd=known)
    room = {"anchor_branch": salvage, "finish": branch_removal, "_note": lost_branch}[step]
    with monkeypatch.context() as patch:
        patch.setattr(room, step, _killed)
        patch.setattr(branch_removal, "resume", _killed)  # nobody is there to take it back
        assert "as if killed" in call("sessions", "list", cwd=known).err
    ok("clean", "--yes", cwd=known)
    assert "commits_settled" in session_file(store, session)["metadata"]
    git("gc", "-q", "--prune=now", cwd=known)
    ok("worktree", "restore", session, cwd=known)
    assert git("rev-parse", "HEAD", cwd=path) == tip
    assert len(ok("trash", "list", "--json", cwd=known).json) == 0


def _killed(*_: object, **__: object) -> None:
    raise ProdigyError("as if killed")


def test_what_is_only_out_of_sight_is_not_over(known, git, store, tmp_path):
    sessions = {}
    for name in ("moved", "away", "disk", "trashed", "held"):
        path, sessions[name] = added(known, git, name)
        if name == "moved":
            shutil.move(path, tmp_path / "elsewhere")
        if name == "away":
            git("worktree", "move", path, tmp_path / "away", cwd=known)
        if name == "disk":
            rewrite_session(
                store, sessions[name], metadata={"worktree_path": str(tmp_path / "no" / "disk")}
            )
        if name == "trashed":
            ok("worktree", "clean", "-f", sessions[name], cwd=known)
            rewrite_session(store, sessions[name], status="Running")
        if name == "held":
            inside = subprocess.Popen(
                [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, cwd=path
            )
            git("worktree", "remove", "--force", path, cwd=known)
    try:
        now = listed(known)
        assert {one["status"] for name, one in now.items() if name in sessions.values()} == {
            "Running"
        }
        assert agents(known)[sessions["held"]]["removed"] is False
    finally:
        inside.communicate(b"\n")
    assert listed(known)[sessions["held"]]["status"] == "Completed"


def test_it_can_be_taken_up_where_its_branch_is(known, git, store, events):
    path, session = added(known, git)
    git("worktree", "remove", path, cwd=known)
    assert listed(known)[session]["status"] == "Completed"
    assert ok("resume", session, "--json", cwd=known).json["taken_up"] == [session]
    git("commit", "-q", "--allow-empty", "-m", "more", cwd=path)
    assert session_file(store, session)["status"] == "Running"
    git("worktree", "remove", path, cwd=known)
    last = git("rev-parse", "feature", cwd=known)
    git("branch", "-q", "-D", "feature", cwd=known)
    assert listed(known)[session]["status"] == "Completed"
    done = call("resume", session, cwd=known)
    assert done.code == 1
    back = f"git branch feature {last}"
    assert back in done.err
    git(*back.split()[1:], cwd=known)
    ok("resume", session, cwd=known)
    ends = [one.get("resumed", 0) for one in events(session) if one["type"] == "SessionFinished"]
    assert ends == [0, 1]
    assert Path(path).is_dir()


def test_the_end_of_a_job_ends_the_sessions_that_nobody_works_in(known, store, tmp_path):
    (tmp_path / "items").write_text("1\n2\n3\n")
    ok("job", "start", "j", "--items", tmp_path / "items", cwd=known)
    mortal = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    who = {
        "item-1": owner.of_process(mortal.pid), "item-2": owner.of_process(os.getpid()),
        "item-3": owner.of_process(mortal.pid),
    }  # fmt: skip
    for item, by in who.items():
        claims.claim(
            str(store), "repo", "j", agent=f"a-{item}", item=item, worktree=f"w-{item}",
            owner=by.as_json(), broken=pytest.fail,
        )  # fmt: skip
        new(known, f"w-{item}", "--job", "j", "--agent", f"a-{item}", "--item", item)
    for item in ("item-1", "item-2"):
        ok("job", "done", "j", item, "--agent", f"a-{item}", cwd=known)
    ok("job", "done", "j", "item-3", "--failed", "--no-retry", cwd=known)
    mortal.communicate(b"\n")
    said = ok("job", "finish", "j", cwd=known).err
    now = {item: session_file(store, f"w-{item}")["status"] for item in who}
    assert now == {"item-1": "Completed", "item-2": "Running", "item-3": "Failed"}
    assert "session w-item-2 goes on" in said
    assert "session w-item-1 was over, is Completed" in said
    ok("finish", "w-item-2", cwd=known)
    assert "is Failed" not in refused("resume", "j", cwd=known)
