"""The hook of an agent program where something is wrong: silent, soon over, and nothing torn."""

import json
import marshal
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support_agents import kinds, say
from support_cli import PACKAGE_PARENT, environment, ok
from support_faults import KILL, STOP, can_trace, compiled_copy, injected, run_traced, strace
from support_run import until
from support_user import become, interpreter

from prodigy_git import agent_command
from prodigy_git.record import agent_hook, locks
from prodigy_git.record.conversations import activity, bindings, normal_form
from prodigy_git.record.conversations.normal_form import Heard

PROGRAM = (
    f"import sys; sys.path.insert(0, {PACKAGE_PARENT!r})\n"
    "from prodigy_git.record import agent_hook, enrolment, gitdir, log, whose\n"
    "from prodigy_git.record.conversations import activity, bind_and_tell, bindings, dispatch\n"
    "from prodigy_git.record.conversations import first_object, normal_form\n"
    "import select, fcntl, _signal, time\n"
    f"{STOP}"
    "agent_hook.main('claude', sys.argv[1])\n"
)
TOOL = {"session_id": "s1", "tool_name": "Edit", "tool_use_id": "t1"}
CALLS = "openat,read,write,pread64,flock,fstat,newfstatat,close,poll,lseek,rt_sigaction,setitimer"


@pytest.fixture
def worktree(repo, store):
    ok("install", cwd=repo)
    made = Path(ok("new-worktree", "wt", cwd=repo).out.splitlines()[0])
    say("claude", "SessionStart", cwd=made, source="startup")
    return made


@pytest.fixture
def bound(tmp_path):
    """A store in which a program's session belongs to the session ``wt``, and nothing else is."""
    store = tmp_path / "store"
    (store / "sessions").mkdir(parents=True)
    (store / "sessions" / "wt.json").write_text("{}")
    heard = Heard("claude", "start", None)
    heard.program_session = "s1"
    there = bindings.Binding(
        store=str(store), repo="repo", session="wt", job="wt", worktree=str(tmp_path)
    )
    bindings.bind(there, heard, anew=True)
    activity.append(str(store), "repo", "wt", heard)
    return store


def traced(event, raw, cwd, tracing):
    reading, writing = os.pipe()
    os.write(writing, json.dumps(raw).encode())
    os.close(writing)
    env = {**environment(), "CLAUDECODE": "1"}
    try:
        return run_traced(["-c", PROGRAM, event], tracing, cwd=cwd, env=env, stdin=reading)
    finally:
        os.close(reading)


def calls(event, raw, cwd, trace):
    """Return the calls that the hook makes, as (name, which of that name)."""
    done = traced(event, raw, cwd, strace(CALLS, output=str(trace)))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    found, counts = [], {}
    for line in trace.read_text().splitlines():
        name = line.partition("(")[0]
        if name in CALLS.split(","):
            counts[name] = counts.get(name, 0) + 1
            found.append((name, counts[name]))
    return found


def whole(path):
    """Return the kinds of the lines of an activity file; all that a reader takes."""
    data = path.read_bytes()
    assert data.endswith(b"\n")
    return [json.loads(line)["kind"] for line in data.splitlines()]


@pytest.mark.skipif(not can_trace(), reason="strace is missing, or may not trace")
@pytest.mark.parametrize("rule", [KILL, "error=EIO", "error=ENOSPC", "error=EACCES"])
def test_each_call_of_a_tool_killed_or_refused(bound, tmp_path, rule):
    path = bound / "activity" / "repo" / "wt.jsonl"
    before = path.read_bytes()
    for name, at in calls("PostToolUse", TOOL, tmp_path, tmp_path / "trace"):
        path.write_bytes(before)
        done = traced("PostToolUse", TOOL, tmp_path, injected(name, f"{rule}:when={at}"))
        assert (done.stdout, done.stderr) == (b"", b""), (name, at)
        assert done.returncode == (-9 if rule == KILL else 0), (name, at)
        assert whole(path) in (["start"], ["start", "tool"]), (name, at)


@pytest.mark.skipif(not can_trace(), reason="strace is missing, or may not trace")
def test_a_start_that_is_killed_or_refused_leaves_it_to_the_next(worktree, store, tmp_path):
    raw = {"session_id": "s2", "source": "startup", "cwd": str(worktree)}
    found = [one for one in calls("SessionStart", raw, worktree, tmp_path / "trace")
             if one[0] in ("openat", "write")]  # fmt: skip
    for number, (name, at) in enumerate(found[::9]):
        rule = (KILL, "error=EIO", "error=ENOSPC")[number % 3]
        session = {**raw, "session_id": f"s{number + 3}"}
        done = traced("SessionStart", session, worktree, injected(name, f"{rule}:when={at}"))
        assert (done.returncode in (0, -9), done.stdout, done.stderr) == (True, b"", b"")
        say("claude", "Stop", cwd=worktree, session=session["session_id"])
        last = (store / "activity" / "repo" / "wt.jsonl").read_bytes().splitlines()[-1]
        assert json.loads(last)["program_session"] == session["session_id"]
    assert found


@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_a_full_disk(worktree, store, scratch, blocks):
    """A limit of the file's size takes a part of a line, as a full disk does.

    Of a compiled module, too (CPython before 3.12.8 does not look how much was written): so there is a
    copy of the package, in which none has to be written.
    """
    installed = scratch / "installed"
    if not installed.exists():
        compiled_copy(installed)
        shutil.copytree(Path(PACKAGE_PARENT) / "hooks", installed / "hooks")
    path = store / "activity" / "repo" / "wt.jsonl"
    for number in range(6):  # the line that goes over the limit is one of these
        command = agent_command.text("claude", "PostToolUse", "user")
        command = command.replace(f"{PACKAGE_PARENT}/hooks", f"{installed}/hooks")
        raw = {**TOOL, "tool_use_id": f"t{number}", "tool_input": {"file_path": "/x"}}
        done = subprocess.run(
            ["/bin/sh", "-c", f"ulimit -f {blocks}; {command}"], cwd=worktree,
            input=json.dumps(raw).encode(), capture_output=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert path.stat().st_size <= max(512 * blocks, 512)
    assert ("tool" in whole(path)) == (blocks > 0)


def replaced(path, how, tmp_path):
    """Put something else in the place of a file or a folder of the store."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if how == "fifo":
        os.mkfifo(path)
    elif how == "folder":
        path.mkdir()
    elif how == "file":
        path.write_text("nonsense")
    elif how == "link":
        path.symlink_to(tmp_path / "theirs")


@pytest.mark.parametrize("how", ["fifo", "folder", "file", "link"])
@pytest.mark.parametrize("what", ["activity/repo/wt.jsonl", "activity", "agents", "binding",
                                  "logs/hook-errors.log", "sessions/wt.json"])  # fmt: skip
def test_something_else_in_the_place_of_what_is_needed(worktree, store, tmp_path, what, how):
    (tmp_path / "theirs").write_text("theirs")
    if what == "binding":
        (path,) = store.glob("agents/claude/*.json")
    else:
        path = store / what
    replaced(path, how, tmp_path)
    for event in ("PostToolUse", "Stop", "SessionEnd", "SessionStart"):
        done = say("claude", event, cwd=worktree)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (tmp_path / "theirs").read_text() == "theirs"


@pytest.mark.parametrize(
    "home", ["", "relative", "/nonexistent/store", "/dev/null", "/proc/1", "fifo"]
)
def test_a_store_that_cannot_be(worktree, tmp_path, home):
    if home == "fifo":
        home = str(tmp_path / "fifo")
        os.mkfifo(home)
    done = say("claude", "Stop", cwd=worktree, environ={"PRODIGY_HOME": home, "HOME": home})
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_another_users_worktree_and_store(worktree, store, tmp_path):
    """Neither is touched by who may not even look."""
    for folder in (store, *store.rglob("*")):
        if folder.is_dir() and not folder.is_symlink():
            folder.chmod(0o755)
    before = kinds(store, "wt")
    python = interpreter()
    program = (
        f"import sys; sys.path.insert(0, {PACKAGE_PARENT!r})\n"
        "from prodigy_git.record.agent_hook import main; main('claude', 'PostToolUse')"
    )
    done = subprocess.run(
        [*become(), python, "-I", "-S", "-c", program], cwd="/", capture_output=True,
        input=json.dumps({**TOOL, "cwd": str(worktree)}).encode(), check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert kinds(store, "wt") == before


@pytest.mark.parametrize("name", ["session-wt.lock", "log-repo-wt.lock"])
def test_a_lock_that_is_held_keeps_nobody_from_working(worktree, store, events, name):
    lock = locks.take(str(store / "locks" / name))
    for event in ("UserPromptSubmit", "Stop", "PostToolUse"):
        done = say("claude", event, cwd=worktree, prompt="do it", tool_name="Bash")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    os.close(lock)
    assert kinds(store, "wt") == ["start", "prompt", "idle", "tool"]
    say("claude", "Stop", cwd=worktree)
    # Who holds the text waits longer, in the background.
    until(lambda: "ClaudeMessage" in [one["type"] for one in events("wt")])
    (said,) = [one for one in events("wt") if one["type"] == "ClaudeMessage"]
    assert said["content"] == "do it"
    assert not (store / "logs" / "hook-errors.log").exists()


@pytest.mark.parametrize(("event", "status"), [("Stop", 0), ("WorktreeCreate", 1)])
def test_it_ends_wherever_it_hangs(bound, tmp_path, event, status):
    program = (
        f"import sys; sys.path.insert(0, {PACKAGE_PARENT!r})\n"
        "import time\nfrom prodigy_git.record import agent_hook\n"
        "from prodigy_git.record.conversations import first_object\n"
        "agent_hook.LIMIT = 0.05\nfirst_object.read = lambda descriptor: time.sleep(3600)\n"
        f"agent_hook.main('gemini', {event!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], cwd=tmp_path, capture_output=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (status, b"{}\n", b"")
    assert "longer than" in (bound / "logs" / "hook-errors.log").read_text()


def test_it_ends_though_its_alarm_was_blocked_and_ignored(bound, tmp_path):
    program = (
        f"import sys; sys.path.insert(0, {PACKAGE_PARENT!r})\n"
        "import signal, time\nfrom prodigy_git.record import agent_hook\n"
        "from prodigy_git.record.conversations import first_object\n"
        "signal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n"
        "agent_hook.LIMIT = 0.05\nfirst_object.read = lambda descriptor: time.sleep(3600)\n"
        "agent_hook.main('claude', 'Stop')\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], cwd=tmp_path, timeout=60, check=False
    )
    assert done.returncode == 0


def test_who_reads_no_answer_and_who_is_interrupted(worktree, store):
    command = agent_command.text("gemini", "AfterTool", "user")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=worktree, input=b'{"session_id": "g"}', stdout=writing,
        stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
    assert kinds(store, "wt") == ["start", "tool"]


def test_every_program_has_an_answer_that_is_silence_or_json():
    assert set(agent_hook.ANSWERS) <= set(normal_form.PROGRAMS)
    assert all(json.loads(answer) == {} for answer in agent_hook.ANSWERS.values())


def test_a_full_disk_halves_no_module_of_ours(worktree, scratch, store):
    """What is wrong is looked at for secrets before it is written down: with modules to be compiled."""
    installed = scratch / "not-compiled"
    shutil.copytree(
        Path(PACKAGE_PARENT), installed,
        ignore=lambda folder, names: {
            name for name in names
            if name == "__pycache__"
            or (folder == PACKAGE_PARENT and name not in ("hooks", "prodigy_git"))
        },
    )  # fmt: skip
    command = agent_command.text("claude", "PostToolUse", "user")
    command = command.replace(f"{PACKAGE_PARENT}/hooks", f"{installed}/hooks")
    for given in (TOOL, TOOL, None):  # the first has the modules compiled that are needed anyway
        text = json.dumps(given).encode() if given else b'{"token": "ghp_' + b"a1B2" * 9
        limit = "unlimited" if given else "1"
        done = subprocess.run(
            ["/bin/sh", "-c", f"ulimit -f {limit}; {command}"], cwd=worktree, input=text,
            capture_output=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    compiled = list(installed.rglob("*.pyc"))
    assert compiled
    for path in compiled:
        marshal.loads(path.read_bytes()[16:])
