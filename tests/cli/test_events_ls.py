"""events ls: every file, every dialect, in time order, and past what is broken."""

import gzip
import json
import os
import subprocess

import pytest
from support_cli import call, environment, new, ok, refused, start, write_log


def at(second, kind="X", **more):
    return {"timestamp": f"2025-01-11T12:00:{second:02}Z", "type": kind, **more}


def kinds(done):
    return [event["type"] for event in done.lines]


def test_files_of_every_name_merge_by_time_then_position(store):
    write_log(store, "r", "j", "events-20250111.jsonl", at(5, "Five"), at(9, "Nine"))
    write_log(store, "r", "j", "events-20250111_120000.jsonl", at(4, "Four"), at(9, "NineToo"))
    write_log(store, "r", "j", "events-20250110.jsonl.rotated", at(8, "Eight"), {"type": "None"})
    write_log(store, "r", "j", "older.jsonl.rotated", at(7, "Seven"))
    zipped = store / "events" / "r" / "j" / "events-20250109.jsonl.gz"
    zipped.write_bytes(gzip.compress(json.dumps(at(6, "Six")).encode() + b"\n"))
    write_log(store, "r", "j", "notes.txt", "not a log")
    done = ok("events", "ls", "--job", "j", "--json")
    assert kinds(done) == [
        "Four", "Five", "Six", "Seven", "Eight", "None", "Nine", "NineToo",
    ]  # fmt: skip
    assert done.err == ""


def test_the_four_dialects_come_out_as_one(store):
    write_log(
        store, "r", "j", "events-20250111.jsonl",
        at(1, "AgentStarted", agent_id="a"),
        {"timestamp": "2025-01-11T12:00:02Z", "event_type": "AgentStarted", "agent_id": "a"},
        {"id": "i", "timestamp": "2025-01-11T12:00:03Z", "correlation_id": "c",
         "event": {"event_type": "agent_started", "agent_id": "a"}, "metadata": {}},
        {"AgentStarted": {"timestamp": "2025-01-11T12:00:04Z", "agent_id": "a"}},
    )  # fmt: skip
    for event in ok("events", "ls", "--json").lines:
        assert (event["type"], event["event_type"]) == ("AgentStarted", "AgentStarted")
        assert event["agent_id"] == "a"
        assert "event" not in event


def test_broken_and_torn_lines_are_named_and_the_rest_is_listed(store):
    path = write_log(store, "r", "j", "events-20250111.jsonl", at(1, "A"), "{broken", at(2, "B"))
    with path.open("ab") as stream:
        stream.write(b"\xff\xfe\n[]\nnull\n{}\n\n" + json.dumps(at(3, "C")).encode() + b'\n{"torn')
    done = ok("events", "ls", "--job", "j", "--json")
    assert kinds(done) == ["A", "B", "C"]
    named = [line.split(": ")[1] for line in done.err.splitlines()]
    assert named == [f"{path}:{number}" for number in (2, 4, 5, 6, 7, 10)]


@pytest.mark.parametrize("damage", ["header", "middle", "cut", "empty"])
def test_a_damaged_archive_is_named_and_the_rest_is_listed(store, damage):
    write_log(store, "r", "j", "events-20250111.jsonl", at(1, "A"))
    whole = bytearray(gzip.compress(os.urandom(3000) + b"\n"))
    if damage == "header":
        whole[0] = 0
    elif damage == "middle":
        whole[10:200] = bytes(190)
        whole[10] = 0xFF
    elif damage == "cut":
        del whole[-500:]
    else:
        whole.clear()
    path = store / "events" / "r" / "j" / "events-20250110.jsonl.gz"
    path.write_bytes(whole)
    done = ok("events", "ls", "--json")
    assert kinds(done) == ["A"]
    assert (str(path) in done.err) == (damage != "empty")


def test_filters(store):
    write_log(
        store, "r", "j", "events-20250111.jsonl",
        at(1, "CommitCreated", agent_id="a", session_id="s"),
        at(2, "CommitCreated", agent_id="b", session_id="s"), at(3, "Other", agent_id="a"),
    )  # fmt: skip
    write_log(store, "q", "k", "events-20250111.jsonl", at(0, "Elsewhere"))

    def times(*arguments):
        return [e["timestamp"][18:19] for e in ok("events", "ls", *arguments, "--json").lines]

    assert times() == ["0", "1", "2", "3"]
    assert times("--job", "k") == ["0"]
    assert times("--type", "CommitCreated") == ["1", "2"]
    assert times("--type", "commit_created", "--agent", "a") == ["1"]
    assert times("--agent", "a") == ["1", "3"]
    assert times("--session", "s") == ["1", "2"]
    assert times("--since", "2025-01-11T12:00:02Z") == ["2", "3"]
    assert times("--since", "2025-01-11T14:00:02+02:00") == ["2", "3"]
    assert times("--since", "2025-01-11") == ["0", "1", "2", "3"]
    assert times("--since", "2025-01-12") == []
    assert times("--since", "2h") == []
    assert times("--since", "5000w") == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    "value", ["", "yesterday", "2025-13-01", "2h3", "d", "-1d", "9" * 5000 + "d", "²d"]
)
@pytest.mark.parametrize("option", [("ls", "--since"), ("clean", "--older-than")])
def test_times_that_are_none(store, option, value):
    refused("events", *option, value, code=2)


def test_an_empty_store_and_an_unknown_job():
    assert ok("events", "ls").out == ""
    assert ok("events", "ls", "--json").out == ""
    assert "nobody" in refused("events", "ls", "--job", "nobody")
    assert "not a safe name" in refused("events", "ls", "--job", "../../x")


def test_fields_without_a_value_and_numbers_beyond_json_are_printed_as_json(store):
    write_log(
        store, "r", "j", "events-20250111.jsonl",
        '{"type":"WorkItemProcessed","result":null,"deep":{"a":null}}',
        '{"type":"X","big":1e999,"nan":NaN}', '{"type":"X","half":"\\ud800"}',
    )  # fmt: skip
    done = ok("events", "ls", "--json")
    strict = [json.loads(line, parse_constant=pytest.fail) for line in done.out.splitlines()]
    assert strict[0]["result"] is None
    assert strict[0]["deep"] == {"a": None}
    assert strict[2]["half"] == "\ud800"
    assert "id" not in strict[0]


def test_what_hooks_did_not_record_is_recorded_and_listed(repo, git):
    made = new(repo, "w1", "--job", "j")
    git("commit", "-q", "--allow-empty", "-m", "no hooks here", cwd=made["worktree"])
    done = ok("events", "ls", "--job", "j", "--type", "CommitCreated", "--json")
    assert [e["subject"] for e in done.lines] == ["no hooks here"]


HOSTILE = "\x1b]0;title\x07\x1b[2J\u202egnp.exe\u2066\u200b\x9b31m\rover\x7f"
RAW = [c for c in HOSTILE if not c.isprintable()]


@pytest.mark.parametrize("listing", ["events", "sessions", "worktrees", "show"])
def test_nothing_raw_reaches_the_terminal(repo, git, store, listing):
    made = new(repo, "w1", "--branch", "b\u202eidi")
    git("commit", "-q", "--allow-empty", "-m", HOSTILE, cwd=made["worktree"])
    command = {
        "events": ("events", "ls"), "sessions": ("sessions", "list"),
        "worktrees": ("worktree", "ls"), "show": ("sessions", "show", "w1"),
    }[listing]  # fmt: skip
    done = ok(*command, cwd=repo)
    assert not [c for c in done.out + done.err if c in RAW]
    assert "\\u202e" in done.out
    assert ok(*command, "--json", cwd=repo).out.isascii()


def test_a_reader_that_leaves_early_hears_nothing(store):
    write_log(store, "r", "j", "events-20250111.jsonl", *[at(1, "X" * 200)] * 5000)
    child = start("events", "ls", "--json")
    assert child.stdout.readline().startswith("{")
    child.stdout.close()
    assert child.stderr.read() == ""
    assert child.wait() == 0
    child.stderr.close()


def test_a_full_disk_behind_stdout_is_one_line(store):
    write_log(store, "r", "j", "events-20250111.jsonl", at(1))
    with open("/dev/full", "w") as full:
        child = start("events", "ls", "--json", stdout=full)
        _, err = child.communicate()
    assert child.returncode == 1
    assert err.count("\n") == 1
    assert err.startswith("prodigy-git: error: ")


def test_without_stdout_at_all(store):
    write_log(store, "r", "j", "events-20250111.jsonl", at(1))
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -m prodigy_git events ls --json >&-', os.sys.executable],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr
    assert "internal" not in done.stderr


@pytest.mark.parametrize("broken", [".", "events", "events/r"])
def test_a_store_that_is_no_folder(store, broken):
    path = store / broken
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a file")
    done = call("events", "ls", "--job", "j")
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert "internal" not in done.err


def test_what_an_agent_program_did_is_said_in_words(store):
    who = {"agent_program": "claude", "program_session": "c1"}
    tools = {"Edit": 3, "Bash": 12, "Read": 1, "Grep": 1, "Glob": 1, "Task": 1}
    write_log(
        store, "r", "j", "events-20250111.jsonl",
        at(1, "AgentProgramStarted", **who, source="startup", model="opus"),
        at(2, "ClaudeMessage", **who, content="do\nit"),
        at(3, "AgentWaiting", **who, reason="permission", message="May I?"),
        at(4, "ToolsUsed", **who, tools=tools, failed=2, files=["/a"]),
        at(5, "SubagentStarted", **who, subagent_id="a1", subagent_type="Explore"),
        at(6, "ToolsUsed", **who, tools={"x": "y"}, files=7),
    )  # fmt: skip
    said = [line.split("\t")[-1] for line in ok("events", "ls", "--job", "j").out.splitlines()]
    assert said == [
        "claude startup opus", "do", "claude permission May I?",
        "12 Bash, 3 Edit, 1 Glob, 1 Grep, 1 Read, and 1 more, 2 failed, 1 file edited",
        "claude Explore", "",
    ]  # fmt: skip


def test_what_happens_to_items_names_them(store):
    who = {"agent_id": "a", "item_id": "i7", "attempt": 2}
    write_log(
        store, "r", "j", "events-20250111.jsonl",
        at(1, "AgentStarted", **who), at(2, "AgentFailed", **who, error="no\nspace"),
        at(3, "DLQItemAdded", **who, error_signature="no"),
        at(4, "DLQItemsReprocessed", items={f"i{n}": n for n in range(1, 8)}, count=7),
        at(5, "AgentCompleted", agent_id="a", item_id="i8"),
        at(6, "CommitCreated", **who, commit="1" * 40, action="commit", subject="s"),
    )  # fmt: skip
    said = [line.split("\t")[-1] for line in ok("events", "ls", "--job", "j").out.splitlines()]
    assert said == [
        "i7, attempt 2", "i7, attempt 2: no", "i7, attempt 2: no", "i1, i2, i3, i4, i5 and 2 more",
        "i8", "1111111111 commit s",
    ]  # fmt: skip


def test_what_was_said_is_listed_on_one_line(store):
    said = at(1, "ClaudeMessage", content="Looking\tat a.py\nand more", message_type="assistant")
    write_log(store, "r", "j", "events-20250111.jsonl", said)
    assert ok("events", "ls", "--job", "j").out.rstrip("\n").endswith("\tLooking\\tat a.py")
