"""What an agent program's hook does: a line where the agent works in a session; never a failure."""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support_agents import kinds, lines, say, states
from support_cli import PACKAGE_PARENT, ok

from prodigy_git import agent_command

ANSWERS = [("gemini", b"{}\n"), ("cursor", b"{}\n"), ("codex", b"")]
PROGRAM = os.path.join(os.path.dirname(sys.executable), "prodigy-git")


@pytest.fixture
def worktree(repo, store):
    """A worktree with a session of ours, ``wt``."""
    ok("install", cwd=repo)
    return made(repo, "wt")


def made(repo, name):
    return Path(ok("new-worktree", name, cwd=repo).out.splitlines()[0])


def errors(store):
    log = store / "logs" / "hook-errors.log"
    return log.read_text() if log.exists() else ""


def silent(done, answer=b""):
    assert (done.returncode, done.stdout, done.stderr) == (0, answer, b"")


@pytest.mark.parametrize("scope", ["user", "project"])
def test_a_session_from_its_start_to_its_end(worktree, store, scope):
    events = [
        ("SessionStart", {"source": "startup", "model": "m", "transcript_path": "/t.jsonl"}),
        ("UserPromptSubmit", {"prompt": "do\nit"}),
        ("PreToolUse", {"tool_name": "Edit", "tool_use_id": "t1", "tool_input": {}}),
        ("PostToolUse", {"tool_name": "Edit", "tool_use_id": "t1", "tool_response": {},
                         "tool_input": {"file_path": f"{worktree}/a"}}),
        ("Stop", {"last_assistant_message": "done"}),
    ]  # fmt: skip
    for event, fields in events:
        silent(say("claude", event, cwd=worktree, scope=scope, **fields))
    assert kinds(store, "wt") == ["start", "prompt", "working", "tool", "idle"]
    assert states(store, "wt") == [("claude", "s1", "idle")]
    tool = lines(store)["wt"][3]
    assert tool.pop("at").endswith("Z")
    assert tool == {
        "program": "claude", "program_session": "s1", "kind": "tool", "event": "PostToolUse",
        "tool": "Edit", "tool_id": "t1", "files": [f"{worktree}/a"], "call": tool["call"],
    }  # fmt: skip
    silent(say("claude", "SessionEnd", cwd=worktree, scope=scope, reason="other"))
    assert states(store, "wt") == [("claude", "s1", "ended")]
    assert "do" not in (store / "activity" / "repo" / "wt.jsonl").read_text().split('"')
    assert errors(store) == ""


def test_it_stays_with_its_session_wherever_it_goes(worktree, store, repo, tmp_path):
    other = made(repo, "other")
    say("claude", "SessionStart", cwd=worktree, source="startup")
    for place in (other, repo, tmp_path):
        began = {"CLAUDE_PROJECT_DIR": str(worktree)}  # as the program says
        silent(say("claude", "PostToolUse", cwd=place, tool_name="Bash", environ=began))
    silent(say("claude", "Stop", cwd=tmp_path))
    subprocess.run(["git", "worktree", "remove", "--force", worktree], cwd=repo, check=True)
    silent(say("claude", "SessionEnd", cwd=repo, reason="other"))
    assert kinds(store, "wt") == ["start", "tool", "tool", "tool", "idle", "end"]
    assert list(lines(store)) == ["wt"]


def test_a_folder_that_a_link_leads_to(worktree, store, tmp_path):
    (worktree / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(worktree / "sub")
    place = tmp_path / "link" / "deep"
    silent(say("claude", "PostToolUse", cwd=place, environ={"PWD": str(place)}))
    assert kinds(store, "wt") == ["tool"]


def test_a_worktree_whose_link_is_relative(worktree, store, git):
    private = git("rev-parse", "--absolute-git-dir", cwd=worktree)
    (worktree / ".git").write_text(f"gitdir: {os.path.relpath(private, worktree)}\n")
    silent(say("claude", "PostToolUse", cwd=worktree))
    assert kinds(store, "wt") == ["tool"]


def test_a_session_that_is_taken_up_elsewhere_is_there_from_then_on(worktree, store, repo):
    other = made(repo, "other")
    say("claude", "SessionStart", cwd=worktree, source="startup")
    say("claude", "SessionStart", cwd=other, source="compact")
    say("claude", "SessionStart", cwd=other, source="resume")
    say("claude", "Stop", cwd=worktree)
    assert kinds(store, "wt") == ["start", "start", "end"]
    assert kinds(store, "other") == ["start", "idle"]


def test_without_a_start_the_first_event_counts(worktree, store, repo):
    other = made(repo, "other")
    say("codex", "PostToolUse", cwd=worktree, tool_name="Bash")
    say("codex", "Stop", cwd=other)
    assert kinds(store, "wt") == ["tool", "idle"]


def test_where_there_is_no_session_nothing_is_noted(repo, store, tmp_path):
    subprocess.run(["git", "config", "prodigy.autoRegister", "false"], cwd=repo, check=True)
    for event in ("SessionStart", "PostToolUse", "SessionEnd"):
        for place in (repo, tmp_path):
            silent(say("claude", event, cwd=place))
    assert lines(store) == {}
    assert errors(store) == ""


@pytest.mark.parametrize("scope", ["user", "project"])
@pytest.mark.parametrize(
    ("program", "answer"), [("gemini", b"{}\n"), ("cursor", b"{}\n"), ("codex", b"")]
)
def test_the_empty_answer_is_what_the_program_wants(worktree, tmp_path, scope, program, answer):
    for place in (worktree, tmp_path):
        silent(say(program, "AfterTool", cwd=place, scope=scope), answer)
    silent(say(program, "AfterTool", cwd=worktree, scope=scope, text=b"{"), answer)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"nonsense", b"\xff\xfe{", b'{"a": "'])
def test_what_is_no_event_is_a_line_in_the_log(worktree, store, text):
    silent(say("claude", "Stop", cwd=worktree, text=text))
    assert errors(store).count("\n") == 1
    assert lines(store) == {}


def pipe():
    reading, writing = os.pipe()
    return open(reading, "rb", 0), open(writing, "wb", 0)


@pytest.mark.parametrize("pair", [pipe, socket.socketpair], ids=["pipe", "socket"])
def test_an_input_that_stays_open_is_not_waited_for(worktree, store, pair):
    """Claude Code's hooks have sockets for their standard descriptors."""
    command = agent_command.text("claude", "SessionStart", "user")
    reading, writing = pair()
    with reading, writing:
        os.write(writing.fileno(), b'{"session_id": "s1", "source": "startup"}')
        done = subprocess.run(["/bin/sh", "-c", command], cwd=worktree, stdin=reading, timeout=60)
    assert done.returncode == 0
    assert kinds(store, "wt") == ["start"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("scope", ["user", "project"])
def test_closed_descriptors(worktree, store, closed, scope):
    command = agent_command.text("claude", "Stop", scope)
    done = subprocess.run(
        ["/bin/sh", "-c", f"{{ {command}; }} {closed}"],
        cwd=worktree, input=b'{"session_id": "s1"}', capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert kinds(store, "wt") == ([] if "<&-" in closed else ["idle"])


def test_an_installation_that_is_gone_is_silent(worktree, tmp_path):
    command = agent_command.text("claude", "Stop", "user")
    script = command.split()[2]
    for broken in (command.replace(script, "/gone.sh"), command.replace(sys.executable, "/gone")):
        done = subprocess.run(
            ["/bin/sh", "-c", broken], cwd=worktree, input=b"{}", capture_output=True
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho trouble >&2; exit 1\n")
    broken.chmod(0o755)
    told = command.replace(sys.executable, str(broken))
    done = subprocess.run(["/bin/sh", "-c", told], cwd=worktree, input=b"{}", capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    nowhere = {**os.environ, "PATH": "/nowhere"}
    project = agent_command.text("claude", "Stop", "project")
    done = subprocess.run(
        ["/bin/sh", "-c", project], env=nowhere, cwd=worktree, capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_program_that_nobody_knows_keeps_nobody_from_working(worktree):
    done = subprocess.run(
        [PROGRAM, "agent-hook", "cluade", "Stop"], cwd=worktree, input=b"{}", capture_output=True
    )
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"not 'cluade'" in done.stderr


def test_its_own_command_is_told_from_others(monkeypatch):
    for program, scope in (("claude", "user"), ("codex", "user"), ("claude", "project")):
        for event in ("PostToolUse", "WorktreeCreate"):
            command = agent_command.text(program, event, scope)
            assert agent_command.read(command) == (program, event)
            assert agent_command.works(command)
        monkeypatch.setattr(sys, "executable", "/a 'folder; of/python")
        command = agent_command.text(program, "Stop", scope)
        assert agent_command.read(command) == (program, "Stop")
        assert agent_command.works(command) == (scope == "project")
        monkeypatch.undo()
    for other in ("true", "echo prodigy-git", "prodigy-git finish", "agent-hook claude Stop", ""):
        assert agent_command.read(other) is None
    gone = agent_command.text("codex", "Stop", "user").replace(sys.executable, "/gone")
    assert not agent_command.works(gone)
    assert agent_command.here(gone) == gone
    now = agent_command.text("codex", "Stop", "user")
    assert agent_command.here(now) == now
    for script in ("it's/agent-hook.sh", "a b/agent-hook.sh"):
        edited = f"test -r {script} || exit 0; exec sh {script} {sys.executable} codex Stop"
        assert not agent_command.works(edited)
        assert agent_command.here(edited) == edited


@pytest.mark.parametrize("scope", ["user", "project"])
def test_a_worktree_that_the_program_wants_is_all_that_it_answers(worktree, repo, store, scope):
    done = say("claude", "WorktreeCreate", cwd=repo, scope=scope, name="feature/auth")
    assert done.returncode == 0, done
    made = Path(os.fsdecode(done.stdout.removesuffix(b"\n")))
    assert (made / ".git").is_file()
    done = say("claude", "WorktreeRemove", cwd=made, scope=scope, worktree_path=str(made))
    assert (done.returncode, done.stdout) == (0, b""), done
    assert not made.exists()


@pytest.mark.parametrize("scope", ["user", "project"])
def test_no_worktree_is_a_failure_that_says_why(repo, tmp_path, scope):
    done = say("claude", "WorktreeCreate", cwd=tmp_path, scope=scope, name="x")
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.startswith(b"prodigy-git: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("~/.tool/hooks/agent-hook.sh Stop", "cursor"),
        ("'/a b/prodigy-git' agent-hook cursor stop", None),
        (None, None),
    ],
)
def test_cursor_tells_by_itself_where_it_has_hooks_of_ours(worktree, store, command, program):
    path = Path(os.environ["HOME"]) / ".cursor" / "hooks.json"
    path.parent.mkdir()
    path.write_text(
        json.dumps({"command": command or agent_command.text("cursor", "stop", "user")})
    )
    say("claude", "SessionStart", cwd=worktree, environ={"CURSOR_VERSION": "2"})
    heard = [line["program"] for line in lines(store).get("wt", [])]
    assert heard == ([program] if program else [])


def test_copilot_runs_the_hooks_of_claude_code_too(worktree, store):
    say("claude", "SessionStart", cwd=worktree, environ={"COPILOT_CLI": "1"})
    say("claude", "SessionStart", cwd=worktree, environ={"COPILOT_CLI": "1", "CLAUDECODE": "1"})
    assert [line["program"] for line in lines(store)["wt"]] == ["copilot", "claude"]


@pytest.mark.parametrize("length", [400, 1000, 1500, 2000])
def test_a_half_of_the_script_keeps_nobody_from_working(worktree, tmp_path, length):
    """pip is about to replace it, and some programs take a status but 0 for a no."""
    command = agent_command.text("claude", "PreToolUse", "user")
    script = Path(command.split()[2])
    half = tmp_path / "agent-hook.sh"
    half.write_bytes(script.read_bytes()[:length])
    assert half.stat().st_size == length
    done = subprocess.run(
        ["/bin/sh", "-c", command.replace(str(script), str(half))],
        cwd=worktree, input=b"{}", capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b"")


SHELLS = [
    ["dash", "-c"],
    ["bash", "-c"],
    ["bash", "-lc"],
    ["busybox", "sh", "-c"],
    ["zsh", "-c"],
    ["fish", "-c"],
]


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize(("program", "scope"), [("codex", "user"), ("claude", "project")])
def test_any_shell_of_the_user_calls_it(worktree, store, shell, program, scope):
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is missing")
    if scope == "project" and "-lc" in shell:
        pytest.skip("the machine's profile says what the PATH is")
    command = agent_command.text(program, "Stop", scope)
    done = subprocess.run(
        [*shell, command], cwd=worktree, input=b'{"session_id": "s1"}', capture_output=True
    )
    silent(done)
    assert kinds(store, "wt") == ["idle"]


@pytest.mark.parametrize("shell", SHELLS[:5], ids=" ".join)
def test_shells_of_sh_read_it_in(worktree, store, tmp_path, shell):
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is missing")
    for place in (worktree, tmp_path):
        command = agent_command.text("copilot", "postToolUse", "user")
        done = subprocess.run(
            [*shell, command], cwd=place, capture_output=True,
            input=b'{"sessionId": "s1", "toolName": "bash"}',
        )  # fmt: skip
        silent(done)
    assert kinds(store, "wt") == ["tool"]


def test_an_installation_in_a_folder_with_any_name(worktree, store, tmp_path):
    odd = tmp_path / "it's a; $(touch x) `folder`"
    odd.mkdir()
    for name in ("hooks", "prodigy_git"):
        (odd / name).symlink_to(Path(PACKAGE_PARENT) / name)
    python = odd / "python"
    python.symlink_to(sys.executable)
    for program in ("claude", "codex"):
        command = agent_command.text(program, "Stop", "user")
        command = command.replace(
            f"{PACKAGE_PARENT}/hooks/agent-hook.sh", shlex.quote(f"{odd}/hooks/agent-hook.sh")
        )
        command = command.replace(sys.executable, shlex.quote(str(python)))
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=worktree,
            input=b'{"session_id": "s1"}',
            capture_output=True,
        )
        silent(done)
        assert agent_command.read(command) == (program, "Stop")
    assert kinds(store, "wt") == ["idle", "idle"]
