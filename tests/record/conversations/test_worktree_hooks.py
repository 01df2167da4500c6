"""WorktreeCreate and WorktreeRemove, as Claude Code calls them: through the command in its settings."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support_agents import kinds, say
from support_cli import ok, session_file
from support_setup import until

from prodigy_git import agent_command

AS_A_PROGRAM = """
import subprocess, sys
event = sys.stdin.readline()
subprocess.run(["/bin/sh", "-c", sys.argv[1]], input=event, text=True, check=True)
print("told", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def known(repo):
    ok("install", cwd=repo)
    return repo


def create(cwd, scope="user", **fields):
    done = say("claude", "WorktreeCreate", cwd=cwd, scope=scope, **fields)
    assert done.returncode == 0, done
    assert done.stderr == b"" or "text" in fields
    return Path(os.fsdecode(done.stdout.removesuffix(b"\n")))


@pytest.mark.parametrize("scope", ["user", "project"])
def test_a_worktree_from_its_making_to_the_trash(known, store, git, scope):
    path = create(known, scope, name="feature/auth")
    assert path == store / "worktrees" / "repo" / "feature-auth"
    say("claude", "SessionStart", cwd=path, scope=scope, source="startup")
    (path / "new").write_text("not committed")
    # As the program does at its end: from within, while its own process is there still.
    done = say(
        "claude", "WorktreeRemove", cwd=path, scope=scope, worktree_path=str(path),
        environ={"CLAUDE_PID": str(os.getpid())},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert not path.exists()
    say("claude", "SessionEnd", cwd=known, scope=scope, reason="other")
    assert kinds(store, "feature-auth")[-1] == "end"
    assert session_file(store, "feature-auth")["status"] == "Completed"
    ok("worktree", "restore", "feature-auth", cwd=known)
    assert (path / "new").read_text() == "not committed"


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"worktree_name": "older"}, "older"),
        ({"worktree_path": "/repo/.claude/worktrees/oldest"}, "oldest"),
        ({"name": 7}, "session-"),
        ({}, "session-"),
    ],
)
def test_the_name_under_every_name_that_it_had(known, fields, name):
    assert create(known, **fields).name.startswith(name)


@pytest.mark.parametrize("scope", ["user", "project"])
@pytest.mark.parametrize("text", [b"", b"{", b'{"session_id": "s1", "name": "lo', b"no JSON"])
def test_who_says_nothing_that_can_be_read_gets_one_all_the_same(known, text, scope):
    assert create(known, scope, text=text).name.startswith(("session-", "lo"))


def test_what_is_kept_is_said(known):
    done = say("claude", "WorktreeRemove", cwd=known, worktree_path=str(known))
    assert done.returncode == 3
    assert b"main worktree" in done.stderr


def test_a_repository_without_a_commit_has_no_worktree(tmp_path, git):
    git("init", "-q", tmp_path / "empty", cwd=tmp_path)
    done = say("claude", "WorktreeCreate", cwd=tmp_path / "empty", name="x")
    assert (done.returncode, done.stdout) == (3, b"")
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("gone", ["script", "interpreter", "package", "library", "prodigy-git"])
def test_an_installation_that_is_broken_leaves_it_to_git(known, git, tmp_path, gone):
    command = agent_command.text("claude", "WorktreeCreate", "user")
    environ = dict(os.environ)
    if gone == "script":
        command = command.replace("agent-hook.sh", "gone.sh")
    if gone == "prodigy-git":  # as with who has the repository, and no prodigy-git
        command = agent_command.text("claude", "WorktreeCreate", "project")
        environ["PATH"] = os.path.dirname(shutil.which("git"))
        assert shutil.which("prodigy-git", path=environ["PATH"]) is None
    if gone == "interpreter":
        command = command.replace(shlex.quote(sys.executable), "/nonexistent/python")
    if gone == "package":
        script = tmp_path / "package" / "hooks" / "agent-hook.sh"
        script.parent.mkdir(parents=True)
        script.write_bytes(Path(shlex.split(command)[2]).read_bytes())
        command = command.replace(shlex.split(command)[2], str(script))
    if gone == "library":
        (tmp_path / "click.py").write_text("raise ImportError('half of it is gone')\n")
        environ["PYTHONPATH"] = str(tmp_path)
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=known, env=environ, capture_output=True,
        input=b'{"session_id": "s1", "name": "login"}',
    )  # fmt: skip
    path = Path(os.fsdecode(done.stdout.strip()))
    assert done.returncode == 0, done
    assert path.parent == known / ".claude" / "worktrees"
    assert git("symbolic-ref", "--short", "HEAD", cwd=path) == f"worktree-{path.name}"


def test_a_session_whose_worktree_was_made_for_the_program_ends_with_it(known, store):
    path = create(known, name="login")
    say("claude", "SessionStart", cwd=path, source="startup")
    say("claude", "SessionEnd", cwd=path, reason="other")
    until(lambda: session_file(store, "login")["status"] == "Completed")
    assert path.is_dir()


def test_a_worktree_stays_while_another_conversation_goes_on_in_it(known, store):
    path = create(known, name="login")
    whose = {"cwd": path, "session_id": "another", "source": "startup"}
    with subprocess.Popen(
        [sys.executable, "-c", AS_A_PROGRAM, agent_command.text("claude", "SessionStart", "user")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=known,
    ) as other:  # fmt: skip
        event = json.dumps({**whose, "hook_event_name": "SessionStart"}, default=str)
        other.stdin.write(f"{event}\n".encode())
        other.stdin.flush()
        assert other.stdout.readline() == b"told\n"
        done = say("claude", "WorktreeRemove", cwd=known, worktree_path=str(path))
        assert (done.returncode, path.is_dir()) == (3, True)
        assert f"another conversation of claude (pid {other.pid})" in done.stderr.decode()
        assert session_file(store, "login")["status"] == "Running"
        other.communicate(b"\n")
    done = say("claude", "WorktreeRemove", cwd=known, worktree_path=str(path))
    assert (done.returncode, done.stderr, path.is_dir()) == (0, b"", False)
    assert session_file(store, "login")["status"] == "Completed"


def test_a_subagents_worktree_ends_with_the_program(known, store, git):
    """What happens in it is told of the program's own session; kept, since something was committed."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as program:
        path = create(known, name="agent-a1", environ={"CLAUDE_PID": str(program.pid)})
        git("commit", "-q", "--allow-empty", "-m", "work", cwd=path)
        ok("sessions", "list", cwd=known)
        assert session_file(store, "agent-a1")["status"] == "Running"
        program.communicate(b"\n")
    found = ok("status", "--json", "--stuck-after", "0s", cwd=known).json["repositories"][0]
    assert (found["counts"]["dead"], found["counts"]["stuck"]) == (0, 0)
    ok("sessions", "list", cwd=known)
    assert session_file(store, "agent-a1")["status"] == "Completed"
    assert path.is_dir()


@pytest.mark.parametrize("commits", [0, 1])
@pytest.mark.parametrize("end", ["before", "after", "never"])
def test_a_worktree_that_the_program_made_and_removed_itself(
    known, store, git, events, end, commits
):
    """So it does where it asks nobody: git removes the branch, too; the end may be heard elsewhere."""
    path = known / ".claude" / "worktrees" / "talk"
    git("worktree", "add", "-q", "-b", "worktree-talk", path, cwd=known)
    say("claude", "SessionStart", cwd=path, source="startup")
    (name,) = [one.stem for one in (store / "sessions").iterdir()]
    for number in range(commits):
        (path / "new").write_text(str(number))
        git("add", ".", cwd=path)
        git("commit", "-q", "-m", "work", cwd=path)
    tip = git("rev-parse", "HEAD", cwd=path)
    if end == "before":
        say("claude", "SessionEnd", cwd=path, reason="prompt_input_exit")
        until(lambda: session_file(store, name)["status"] == "Completed")
    git("worktree", "remove", "--force", path, cwd=known)
    git("branch", "-q", "-D", "worktree-talk", cwd=known)
    if end == "after":
        say("claude", "SessionEnd", cwd=known, reason="prompt_input_exit")
        until(lambda: session_file(store, name)["status"] == "Completed")
    found = ok("status", "--json", cwd=known).json["repositories"][0]
    assert (found["counts"]["dead"], found["counts"]["failed"]) == (0, 0)
    assert name not in str(found["advice"])
    (row,) = [
        one for one in ok("sessions", "list", "--json", cwd=known).json if one["session_id"] == name
    ]
    assert row["status"] == "Completed"
    assert "AgentFailed" not in {one["type"] for one in events(name)}
    in_trash = ok("trash", "list", "--json", cwd=known).json
    assert [one["session_id"] for one in in_trash] == [name] * commits
    if commits:
        git("gc", "-q", "--prune=now", cwd=known)
        ok("worktree", "restore", name, cwd=known)
        assert git("rev-parse", "worktree-talk", cwd=path) == tip
