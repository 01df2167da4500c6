"""The activity file: each line whole and once, whoever else writes; and what its end says."""

import errno
import fcntl
import json
import os
import subprocess
import sys

import pytest
from support_cli import PACKAGE_PARENT

from prodigy_git.record import files
from prodigy_git.record.conversations import activity
from prodigy_git.record.conversations.normal_form import Heard

AGENTS, EACH = 16, 200
WRITER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from prodigy_git.record.conversations import activity
from prodigy_git.record.conversations.normal_form import Heard
sys.stdin.readline()
for number in range(int(sys.argv[4])):
    heard = Heard("claude", "tool", "PostToolUse")
    heard.program_session, heard.tool_id, heard.tool = sys.argv[3], f"t{number}", "Bash"
    activity.append(sys.argv[2], "repo", "one", heard)
"""


def heard(kind, session="s1", program="claude", **fields):
    found = Heard(program, kind, None)
    found.program_session = session
    for name, value in fields.items():
        setattr(found, name, value)
    return found


@pytest.fixture
def say(tmp_path):
    def append(kind, **fields):
        return activity.append(str(tmp_path), "repo", "one", heard(kind, **fields))

    return append


@pytest.fixture
def path(tmp_path):
    return tmp_path / "activity" / "repo" / "one.jsonl"


@pytest.fixture
def tail(tmp_path):
    return lambda: activity.tail(str(tmp_path), "repo", "one")


def test_many_agents_at_once(tmp_path, path):
    writers = [
        subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-S",
                "-c",
                WRITER,
                PACKAGE_PARENT,
                tmp_path,
                f"s{n}",
                str(EACH),
            ],
            stdin=subprocess.PIPE,
        )
        for n in range(AGENTS)
    ]
    for writer in writers:
        writer.stdin.write(b"\n")
        writer.stdin.close()
    assert [writer.wait(120) for writer in writers] == [0] * AGENTS
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    for n in range(AGENTS):
        own = [line for line in lines if line["program_session"] == f"s{n}"]
        assert [line["tool_id"] for line in own] == [f"t{number}" for number in range(EACH)]
        assert [line["at"] for line in own] == sorted(line["at"] for line in own)


def test_a_lock_that_is_held_is_not_waited_for(say, path, monkeypatch):
    monkeypatch.setattr(activity, "PATIENCE", 0.05)
    say("start")
    with open(path) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        say("tool", tool="Bash")
    assert [json.loads(line)["kind"] for line in path.open()] == ["start", "tool"]


def test_a_torn_line_is_closed_off_and_passed_over(say, path, tail):
    say("prompt")
    with open(path, "a") as torn:
        torn.write('{"at":"2026-01-01T00:00:00Z","program":"claude","kind":"en')
    say("idle")
    assert len(path.read_text().splitlines()) == 3
    (state,) = tail()
    assert state.state == activity.IDLE


def test_a_line_that_is_being_written_is_not_read_yet(say, path, tail):
    say("prompt")
    with open(path, "a") as half:
        half.write(
            '{"at":"2026-01-01T00:00:00Z","program":"claude","program_session":"s1","kind":"end"}'
        )
    assert tail()[0].state == activity.WORKING


def test_what_is_no_file_of_ours_is_left_alone(say, path, tail, tmp_path):
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    with pytest.raises(files.NotRegular):
        say("start")
    with pytest.raises(files.NotRegular):
        tail()
    path.unlink()
    (tmp_path / "theirs").write_text("theirs")
    path.symlink_to(tmp_path / "theirs")
    with pytest.raises(files.NotRegular):
        say("start")
    assert (tmp_path / "theirs").read_text() == "theirs"


def test_a_full_disk_leaves_the_file_as_it_was(say, path, monkeypatch):
    say("start")
    before = path.read_bytes()
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:10]))
    with pytest.raises(OSError) as caught:
        say("tool")
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == before


def test_a_line_is_never_long(say, path):
    say("tool", tool="Edit", files=tuple(f"/{'é' * 4000}{n}" for n in range(64)))
    (line,) = path.read_bytes().splitlines()
    assert len(line) < activity.LONGEST
    assert json.loads(line)["files"] == [f"/{'é' * 4000}0"]


def test_no_text_is_in_it(say, path):
    for kind in ("start", "prompt", "waiting", "idle", "subagent_end"):
        say(kind, text="what was said")
    assert "said" not in path.read_text().replace('"said":', "")


STEPS = [
    (["start"], "idle", None),
    (["start", "prompt"], "working", None),
    (["prompt", "working", "tool"], "working", None),
    (["prompt", "waiting"], "waiting", "permission"),
    (["prompt", "waiting", "tool"], "working", None),
    (["prompt", "waiting", "idle"], "idle", None),
    (["prompt", "idle", "seen", "cwd"], "idle", None),
    (["prompt", "end"], "ended", "why"),
    (["end", "seen"], "ended", "why"),
    (["prompt", "end", "start"], "ended", "why"),
    (["prompt", "end", "tool"], "ended", "why"),
    (["start", "end", "prompt", "idle"], "ended", "why"),
    (["seen"], "idle", None),
    ([("subagent_start", "a")], "working", None),
    (["prompt", ("subagent_start", "a"), ("waiting", "a"), "tool"], "waiting", "permission"),
    (["prompt", ("waiting", "a"), ("tool", "a")], "working", None),
    (["prompt", ("waiting", "a"), ("subagent_end", "a")], "working", None),
    (["prompt", ("subagent_start", "a"), "idle"], "idle", None),
    (["prompt", ("subagent_start", "a"), "idle", ("tool", "a")], "working", None),
    (["prompt", ("subagent_start", "a"), "idle", ("waiting", "a")], "waiting", "permission"),
    (["prompt", ("waiting", "a"), "idle"], "waiting", "permission"),
    (["prompt", ("waiting", "a"), "prompt"], "working", None),
    (["prompt", ("waiting", "a"), "prompt", "idle"], "idle", None),
]


@pytest.mark.parametrize(("steps", "state", "reason"), STEPS)
def test_the_state_that_follows(say, tail, steps, state, reason):
    for step in steps:
        kind, subagent = step if isinstance(step, tuple) else (step, None)
        why = {"waiting": "permission", "end": "why"}.get(kind)
        say(kind, subagent=subagent, reason=why)
    (found,) = tail()
    assert (found.state, found.reason) == (state, reason)


@pytest.mark.parametrize(
    ("kind", "source", "seconds", "state"),
    [
        ("prompt", None, 9, "ended"),
        ("prompt", None, 11, "working"),
        ("tool", None, 11, "working"),
        ("start", "startup", 9, "ended"),
        ("start", "startup", 11, "idle"),
        ("start", "resume", 1, "idle"),
    ],
)
def test_what_is_said_right_behind_an_end_is_late(kind, source, seconds, state):
    said = {"program": "claude", "program_session": "s1"}
    lines = [
        {"at": "2025-01-11T12:00:00Z", **said, "kind": "end"},
        {"at": f"2025-01-11T12:00:{seconds:02}Z", **said, "kind": kind, "source": source},
    ]
    (found,) = activity.states(json.dumps(line).encode() for line in lines)
    assert found.state == state


def test_compacting_in_the_midst_of_a_turn_tells_nothing(say, tail):
    say("prompt")
    say("start", source="compact")
    assert tail()[0].state == activity.WORKING


def test_since_when_and_what_else_is_known(say, tail):
    say("start", transcript="/t", model="m")
    first = say("prompt")["at"]
    say("tool", subagent="a", model="small")
    say("subagent_start", subagent="a")
    say("subagent_start", subagent="b")
    last = say("subagent_end", subagent="b")["at"]
    (found,) = tail()
    assert (found.since, found.seen) == (activity.clock.parse(first), activity.clock.parse(last))
    assert (found.transcript, found.model, found.subagents) == ("/t", "m", ("a",))


def test_each_session_of_a_program_has_its_own(say, tail):
    say("prompt", session="s1")
    say("waiting", session="s2", reason="question")
    say("idle", session="s1", program="codex")
    say("tool", session="s1")
    assert [(one.program, one.program_session, one.state) for one in tail()] == [
        ("claude", "s2", "waiting"), ("codex", "s1", "idle"), ("claude", "s1", "working"),
    ]  # fmt: skip


def test_only_the_end_of_a_long_file_is_read(say, path, tail):
    say("start", session="old")
    line = path.read_bytes()
    with open(path, "ab") as stream:
        stream.write(line.replace(b"old", b"s1") * (2 * activity.READ // len(line)))
    say("prompt", session="s1")
    (found,) = tail()
    assert (found.program_session, found.state) == ("s1", "working")


def test_damage_is_passed_over(path, tail):
    assert tail() == []
    path.parent.mkdir(parents=True)
    path.write_bytes(
        b'\xff\n[]\n{"program":5}\n{"program":"claude","kind":[],"at":{},"subagent":1}\n\n{"a"\n'
        b'{"program":"claude","program_session":"s1","kind":"prompt","at":"nonsense"}\n'
        + b"\0"
        * 5000
    )
    assert [(one.program_session, one.state) for one in tail()] == [
        (None, "idle"),
        ("s1", "working"),
    ]
