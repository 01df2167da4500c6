"""What becomes of what agent programs say: events, once each, and a session that begins and ends."""

import contextlib
import fcntl
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support_agent_calls import (
    events,
    hear,
    hear_killed,
    nothing_in_the_background,
    payload,
    sessions,
)
from support_agents import say
from support_cli import call, ok
from support_drift import find, repair
from support_record import commit, git

from prodigy_git import agent_command, layout
from prodigy_git.lifecycle import made_for_program, program_ended
from prodigy_git.record import locks
from prodigy_git.record.conversations import speech, telling

TOKEN = "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345"


@pytest.fixture
def killed():
    """Every process in the background is killed before it does anything."""
    with nothing_in_the_background() as started:
        yield started


@pytest.fixture
def linked(repo, tmp_path, store):
    """A worktree that git made, without a session."""
    git("worktree", "add", "-q", tmp_path / "linked", cwd=repo)
    return tmp_path / "linked"


def told(store, *wanted):
    return [one for one in events(store) if not wanted or one["type"] in wanted]


def types(store):
    return [one["type"] for one in events(store)]


def session_of(store, top):
    return sessions(store)[top.name]


def settle(store):
    trouble = []
    program_ended.settle(str(store), trouble.append)
    assert trouble == []


def conversation(top, name="c1"):
    """Return a conversation as Claude Code tells of it."""
    return [
        payload(name, "SessionStart", top, source="startup", model="opus"),
        payload(name, "UserPromptSubmit", top, prompt="do it", prompt_id="p1"),
        payload(name, "PreToolUse", top, tool_name="Edit", tool_use_id="t1"),
        payload(name, "PostToolUse", top, tool_name="Edit", tool_use_id="t1",
                tool_input={"file_path": f"{top}/a"}),
        payload(name, "PermissionRequest", top, tool_name="Bash"),
        payload(name, "Notification", top, notification_type="permission_prompt", message="May I?"),
        payload(name, "PostToolUseFailure", top, tool_name="Bash", tool_use_id="t2", error="exit 1"),
        payload(name, "PermissionRequest", top, tool_name="Bash"),
        payload(name, "PostToolUse", top, tool_name="Bash", tool_use_id="t3"),
        payload(name, "SubagentStart", top, agent_id="a1", agent_type="Explore"),
        payload(name, "PostToolUse", top, tool_name="Read", tool_use_id="t4", agent_id="a1"),
        payload(name, "Stop", top, last_assistant_message="done", prompt_id="p1"),
        payload(name, "SubagentStop", top, agent_id="a1", agent_type="Explore",
                agent_transcript_path="/a1.jsonl", last_assistant_message="found", prompt_id="p1"),
        payload(name, "SessionEnd", top, reason="other"),
    ]  # fmt: skip


WHOLE = [
    "SessionStarted", "AgentStarted", "AgentProgramStarted", "ClaudeMessage", "AgentWaiting",
    "AgentWaiting", "SubagentStarted", "ToolsUsed", "ClaudeMessage", "ToolsUsed", "ClaudeMessage",
    "SubagentEnded", "AgentProgramEnded", "AgentCompleted", "SessionFinished",
]  # fmt: skip


@pytest.mark.parametrize("seen_to", [False, True])
def test_a_tool_that_the_end_has_overtaken_is_counted(repo, linked, store, killed, seen_to):
    start, _, _, tool, *_, end = conversation(linked)
    for raw in (start, end):
        hear(raw)
    if seen_to:
        settle(store)
    hear(tool)
    for _ in range(2):
        ok("sync", cwd=repo)
    (used,) = told(store, "ToolsUsed")
    assert used["tools"] == {"Edit": 1}


def test_a_start_that_its_end_has_overtaken_is_told(linked, store, killed):
    hear(conversation(linked, "another")[0])
    start, prompt, *_, end = conversation(linked)
    for raw in (end, start, prompt, start):
        hear(raw)
    settle(store)
    mine = [one["type"] for one in told(store) if one.get("program_session") == "c1"]
    assert sorted(mine) == ["AgentProgramEnded", "AgentProgramStarted", "ClaudeMessage"]


def test_a_conversation_from_its_start_to_its_end(linked, store, killed):
    for raw in conversation(linked):
        hear(raw)
    settle(store)
    assert types(store) == WHOLE
    found = session_of(store, linked)
    begun, ended = told(store, "AgentProgramStarted", "AgentProgramEnded")
    assert (begun["source"], begun["model"]) == ("startup", "opus")
    assert begun["json_log_location"] == "/transcripts/c1.jsonl"
    assert (ended["agent_program"], ended["program_session"], ended["reason"]) == (
        "claude", "c1", "other",
    )  # fmt: skip
    assert [(one["message_type"], one["content"]) for one in told(store, "ClaudeMessage")] == [
        ("user", "do it"), ("assistant", "done"), ("assistant", "found"),
    ]  # fmt: skip
    whole, of_subagent = told(store, "ToolsUsed")
    assert (whole["tools"], whole["failed"], whole["files"]) == (
        {"Edit": 1, "Bash": 2}, 1, [f"{linked}/a"],
    )  # fmt: skip
    assert (of_subagent["tools"], of_subagent["correlation_id"]) == ({"Read": 1}, "a1")
    (_, child) = told(store, "SubagentStarted", "SubagentEnded")
    assert (child["parent_session"], child["correlation_id"]) == (found["id"], "a1")
    assert child["json_log_location"] == "/a1.jsonl"
    assert found["status"] == "Completed"
    assert found["metadata"]["created_by"] == "agent-hook:claude"
    assert found["metadata"]["json_log_location"] == "/transcripts/c1.jsonl"
    (noted,) = found["metadata"]["program_sessions"]
    assert (noted["program"], noted["id"], noted["model"]) == ("claude", "c1", "opus")
    assert call("verify", cwd=linked).code == 0


@pytest.mark.parametrize("how", ["each twice", "all twice", "first half twice", "in pairs"])
def test_what_is_told_again_is_told_once(linked, store, killed, how):
    calls = conversation(linked)
    half = calls[: len(calls) // 2]
    again = {
        "each twice": [one for one in calls for _ in "12"],
        "all twice": calls + calls,
        "first half twice": half + calls,
        "in pairs": [one for two in zip(calls[::2], calls[1::2], strict=True) for one in two + two],
    }[how]
    for raw in again:
        hear(raw)
    settle(store)
    assert sorted(types(store)) == sorted(WHOLE)
    assert session_of(store, linked)["status"] == "Completed"


@pytest.mark.parametrize("kill", range(0, 60, 3))
def test_what_a_killed_hook_has_noted_is_told(linked, store, killed, kill):
    """The last prompt's hook is killed somewhere, and called again; then everything ends."""
    calls = conversation(linked)
    for raw in calls[:-3]:
        hear(raw)
    hear_killed(calls[-3], kill)
    hear(calls[-3])
    hear(calls[-2])
    hear_killed(calls[-1], kill)
    hear(calls[-1])
    settle(store)
    assert sorted(types(store)) == sorted(WHOLE)


def test_a_killed_end_is_seen_to_by_the_next_command(linked, store, killed):
    *before, last = conversation(linked)
    for raw in before:
        hear(raw)
    at = next(n for n in range(60) if not _noted(store) and hear_killed(last, n) and _noted(store))
    assert at
    ok("status", cwd=linked)
    assert session_of(store, linked)["status"] == "Completed"
    assert sorted(types(store)) == sorted(WHOLE)
    assert not _noted(store)


def _noted(store):
    folder = store / "agents" / "ended"
    return [one for one in folder.glob("*") if not one.name.endswith(".new")]


def test_what_no_hook_has_told_yet_a_command_tells(linked, store, killed, monkeypatch):
    for raw in conversation(linked)[:2]:
        hear(raw)
    waits = payload("c1", "PermissionRequest", linked, tool_name="Bash")
    at = 0
    while '"waiting"' not in _activity(store):
        hear_killed(waits, at := at + 1)
    assert "AgentWaiting" not in types(store)
    name = session_of(store, linked)["id"]
    done = ok("verify", cwd=linked)
    assert f"session {name}: what an agent program said" in done.err
    ok("verify", "--fix", cwd=linked)
    assert "AgentWaiting" not in types(store)  # its text may come still
    assert "not in the log yet" not in ok("verify", cwd=linked).err
    monkeypatch.setattr(telling, "OPEN", -1)
    ok("verify", "--fix", cwd=linked)
    assert types(store).count("AgentWaiting") == 1


def test_a_long_file_whose_cursor_is_lost_is_told_in_parts(linked, store, monkeypatch):
    with nothing_in_the_background() as started:
        for raw in conversation(linked)[:-1]:
            hear(raw)
        before = events(store)
        name = session_of(store, linked)["id"]
        Path(layout.activity_cursor(str(store), "repo", name)).unlink()
        monkeypatch.setattr(telling, "OPEN", -1)  # it is an old one
        monkeypatch.setattr(telling, "AT_ONCE", 1000)
        assert telling.bring(str(store), name).behind
        assert telling.is_due(str(store), "repo", name)
        # Who says something meanwhile has it written by a process that goes to the file's end.
        hear(payload("c1", "UserPromptSubmit", linked, prompt="more", prompt_id="p2"))
        ((_, _, repo, _, call),) = started
    text = telling.Text(call, "more")
    assert not telling.bring_all(str(store), name, text=text).behind
    assert repo == "repo"
    added = events(store)[len(before) :]
    assert [(one["type"], one.get("content")) for one in added] == [("ClaudeMessage", "more")]
    assert not telling.is_due(str(store), "repo", name)


def test_many_hooks_at_once(linked, store, killed):
    hear(payload("c1", "SessionStart", linked, source="startup"))
    children = []
    for number in range(12):
        child = os.fork()
        if child == 0:
            try:
                for one in range(4):
                    said = f"say {number}-{one // 2}"  # each twice
                    hear(payload("c1", "UserPromptSubmit", linked, prompt=said, prompt_id=said))
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    assert {os.waitpid(child, 0)[1] for child in children} == {0}
    said = [one["content"] for one in told(store, "ClaudeMessage")]
    assert sorted(said) == sorted(f"say {n}-{one}" for n in range(12) for one in (0, 1))


def test_doctor_finds_an_end_that_nobody_sees_to(linked, store, killed, monkeypatch):
    for raw in conversation(linked):
        hear(raw)
    monkeypatch.setattr(program_ended, "_LOOK", 0.0)
    monkeypatch.setattr(locks, "PATIENCE", 0.0)
    (note,) = _noted(store)
    with _seen_to(store, linked):
        assert "its agent program has ended" not in call("doctor", cwd=linked).out
        os.utime(note, (time.time() - 100,) * 2)
        assert "its agent program has ended" in call("doctor", cwd=linked).out
    call("doctor", "--fix", cwd=linked)
    assert session_of(store, linked)["status"] == "Completed"
    assert not _noted(store)


@contextlib.contextmanager
def _seen_to(store, top):
    """Hold the lock of who sees to the end of a program in a worktree."""
    path = layout.program_end_lock(str(store), session_of(store, top)["id"])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_a_checkout_of_a_persons_is_no_agents(repo, store, killed):
    for raw in conversation(repo):
        hear(raw)
    settle(store)
    found = session_of(store, repo)
    assert (found["status"], found["metadata"].get("agent_id")) == ("Running", None)
    assert found["metadata"]["agent_program"] == "claude"
    assert not {"AgentStarted", "AgentCompleted"} & set(types(store))


def test_a_repository_that_is_to_have_no_sessions_gets_none(repo, linked, store, killed):
    git("config", "prodigy.autoRegister", "false", cwd=repo)
    for raw in conversation(linked):
        hear(raw)
    assert not (store / "sessions").exists()


@pytest.mark.parametrize(
    ("setting", "status"), [(None, "Running"), ("finish", "Completed"), ("keep", "Running")]
)
def test_what_a_person_made_goes_on_unless_it_is_said(repo, store, killed, setting, status):
    top = repo / ok("new-worktree", "mine", cwd=repo).out.strip()
    if setting:
        git("config", "prodigy.agentEnd", setting, cwd=repo)
    for raw in conversation(top):
        hear(raw)
    settle(store)
    found = session_of(store, top)
    assert found["status"] == status
    assert found["metadata"]["agent_id"].startswith("agent-")
    assert types(store).count("AgentStarted") == 1


def test_the_session_of_a_worktree_made_for_the_program_ends_with_it(repo, store, killed):
    made = made_for_program.create(str(repo), "its", "claude", broken=pytest.fail)
    for raw in conversation(Path(made.worktree)):
        hear(raw)
    settle(store)
    assert session_of(store, Path(made.worktree))["status"] == "Completed"


def test_in_an_attempt_of_runs_it_joins_that(repo, store, tmp_path):
    (tmp_path / "items").write_text('{"id": "i1"}\n')
    ok("job", "start", "j", "--items", tmp_path / "items", cwd=repo)
    calls = [
        (one["hook_event_name"], json.dumps(one | {"cwd": None})) for one in conversation(repo)
    ]
    hooks = [
        f"printf %s {shlex.quote(text)} | {{ {agent_command.text('claude', event, 'user')}; }}"
        for event, text in calls
    ]
    command = "\n".join([*hooks, "git commit -q --allow-empty -m work"])
    ok("run", "--job", "j", "--item", "i1", "--agent", "ann", "--", "sh", "-c", command, cwd=repo)
    _wait(lambda: not _noted(store))
    ends = told(store, "SessionFinished", "AgentCompleted", "AgentStarted", "AgentProgramEnded")
    assert sorted(one["type"] for one in ends) == [
        "AgentCompleted", "AgentProgramEnded", "AgentStarted", "SessionFinished",
    ]  # fmt: skip
    assert {one.get("agent_id") for one in ends} == {"ann"}
    assert {one["session_id"] for one in ends} == {ends[0]["session_id"]}


def test_made_for_the_program_it_goes_on_where_that_is_wanted(repo, linked, store, killed):
    git("config", "prodigy.agentEnd", "keep", cwd=repo)
    for raw in conversation(linked):
        hear(raw)
    settle(store)
    assert session_of(store, linked)["status"] == "Running"


def test_who_has_an_item_ends_with_whoever_gave_it(repo, store, killed, tmp_path):
    (tmp_path / "items").write_text('{"id": "i1"}\n')
    ok("job", "start", "j", "--items", tmp_path / "items", cwd=repo)
    top = repo / ok(
        "new-worktree", "w", "--job", "j", "--item", "i1", "--agent", "ann", cwd=repo
    ).out.strip()  # fmt: skip
    git("config", "prodigy.agentEnd", "finish", cwd=repo)
    for raw in conversation(top):
        hear(raw)
    settle(store)
    assert session_of(store, top)["status"] == "Running"
    ok("finish", cwd=top)
    # Taken up again, it has its item no more, and ends as it had ended.
    hear(payload("c1", "SessionStart", top, source="resume"))
    assert session_of(store, top)["status"] == "Running"
    hear(payload("c1", "SessionEnd", top, reason="other"))
    settle(store)
    assert session_of(store, top)["status"] == "Completed"
    item = json.loads(ok("job", "show", "j", "--json", cwd=repo).out)
    assert item["completed"] == 1
    assert types(store).count("AgentCompleted") == 1
    assert types(store).count("SessionFinished") == 2


def test_what_had_ended_goes_on_with_the_program(linked, store, killed):
    for raw in conversation(linked):
        hear(raw)
    settle(store)
    for reason in ("other", "logout"):
        hear(payload("c1", "SessionStart", linked, source="resume"))
        assert session_of(store, linked)["status"] == "Running"
        hear(payload("c1", "SessionEnd", linked, reason=reason))
        settle(store)
        assert session_of(store, linked)["status"] == "Completed"
    assert [one["resumed"] for one in told(store, "SessionResumed")] == [1, 2]
    assert [one.get("source") for one in told(store, "AgentProgramStarted")] == [
        "startup", "resume", "resume",
    ]  # fmt: skip
    ids = [one["id"] for one in events(store)]
    assert len(set(ids)) == len(ids)


def test_what_its_agent_has_finished_stays_finished(linked, store, killed):
    calls = conversation(linked)
    for raw in calls[:2]:
        hear(raw)
    ok("finish", cwd=linked)
    for raw in calls[2:]:
        hear(raw)
    hear(payload("c1", "UserPromptSubmit", linked, prompt="thanks", prompt_id="p2"))
    settle(store)
    assert session_of(store, linked)["status"] == "Completed"
    assert "SessionResumed" not in types(store)


def test_it_ends_with_the_last_program_in_it(linked, store, killed):
    first, second = conversation(linked), conversation(linked, "c2")
    for raw in [*first[:2], *second[:2], *first[2:]]:
        hear(raw)
    settle(store)
    assert session_of(store, linked)["status"] == "Running"
    for raw in second[2:]:
        hear(raw)
    settle(store)
    assert session_of(store, linked)["status"] == "Completed"


def test_what_a_killed_hook_leaves_is_cleaned(linked, store, killed):
    start, *_, end = conversation(linked)
    hear(start)
    for raw, folder in ((start, "claude"), (end, "ended")):
        at = 0
        while not (left := list((store / "agents" / folder).glob(".*.new"))):
            assert hear_killed(raw, at := at + 1)
        for path in left:
            os.utime(path, (1, 1))
        (found,) = [one for one in find(store) if one.kind == "temporary"]
        assert found.path == str(left[0])
        repair(store)
        assert not left[0].exists()
        hear(raw)


@pytest.mark.parametrize("alive", [True, False])
def test_one_that_was_killed_keeps_no_session(linked, store, killed, alive):
    program = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, cwd="/")
    try:
        for raw in conversation(linked)[:2]:
            hear(raw, process=program.pid)
        if not alive:
            program.kill()
            program.wait()
        for raw in conversation(linked, "c2"):
            hear(raw)
        settle(store)
        wanted = "Running" if alive else "Completed"
        assert session_of(store, linked)["status"] == wanted
    finally:
        program.kill()
        program.wait()
        program.stdin.close()


@pytest.mark.parametrize("reason", ["clear", "resume", "compact"])
def test_another_conversation_is_no_end(linked, store, killed, reason):
    for raw in conversation(linked)[:-1]:
        hear(raw)
    hear(payload("c1", "SessionEnd", linked, reason=reason))
    settle(store)
    assert session_of(store, linked)["status"] == "Running"


def test_its_worktree_may_be_gone_at_the_end(repo, linked, store, killed):
    for raw in conversation(linked)[:-1]:
        hear(raw)
    sha = commit(linked, "work")
    git("worktree", "remove", "--force", linked, cwd=repo)
    hear(payload("c1", "SessionEnd", repo, reason="other"))
    settle(store)
    found = session_of(store, linked)
    assert found["status"] in ("Completed", "Cancelled")
    assert types(store)[-1] == "SessionFinished"
    assert list(sessions(store)) == [linked.name]
    del sha


def test_a_worktree_that_is_moved_keeps_its_conversation(repo, linked, store, killed, tmp_path):
    calls = conversation(linked)
    hear(calls[0])
    git("worktree", "move", linked, tmp_path / "moved", cwd=repo)
    for raw in calls[1:]:
        hear(raw | {"cwd": str(tmp_path / "moved")})
    settle(store)
    assert sorted(types(store)) == sorted(WHOLE)
    assert [one["content"] for one in told(store, "ClaudeMessage")] == ["do it", "done", "found"]
    assert session_of(store, tmp_path / "moved")["status"] == "Completed"


def test_a_store_that_is_moved_keeps_its_conversations(
    linked, store, killed, tmp_path, monkeypatch
):
    calls = conversation(linked)
    for raw in calls[:5]:
        hear(raw)
    store.rename(tmp_path / "elsewhere")
    monkeypatch.setenv("PRODIGY_HOME", str(tmp_path / "elsewhere"))
    for raw in calls[5:]:
        hear(raw)
    settle(tmp_path / "elsewhere")
    assert sorted(types(tmp_path / "elsewhere")) == sorted(WHOLE)
    assert not store.exists()


def test_taken_up_in_another_worktree_it_is_there(repo, linked, store, killed, tmp_path):
    git("worktree", "add", "-q", tmp_path / "other", cwd=repo)
    calls = conversation(linked)
    for raw in calls[:4]:
        hear(raw)
    hear(payload("c1", "SessionStart", tmp_path / "other", source="resume"))
    settle(store)
    hear(calls[1])
    hear(payload("c1", "UserPromptSubmit", tmp_path, prompt="more", prompt_id="p2"))
    (moved,) = told(store, "AgentProgramEnded")
    assert moved["reason"] == "moved"
    assert session_of(store, linked)["status"] == "Completed"
    other = session_of(store, tmp_path / "other")
    assert [one["session_id"] == other["id"] for one in told(store, "ClaudeMessage")].count(
        True
    ) == 1
    assert len(told(store, "ClaudeMessage")) == 2


def test_without_messages_there_is_only_that_there_were_some(linked, repo, store, killed):
    git("config", "prodigy.messages", "off", cwd=repo)
    for raw in conversation(linked):
        hear(raw)
    assert [one["content"] for one in told(store, "ClaudeMessage")] == ["", "", ""]
    assert b"do it" not in b"".join(
        path.read_bytes() for path in store.rglob("*") if path.is_file()
    )


def test_a_long_message_is_cut(linked, store, killed):
    hear(payload("c1", "SessionStart", linked, source="startup"))
    hear(payload("c1", "UserPromptSubmit", linked, prompt="a b " * 100_000, prompt_id="p"))
    (said,) = told(store, "ClaudeMessage")
    assert len(said["content"]) == speech.LIMIT + 1


def test_a_secret_comes_into_no_file(linked, store):
    say("claude", "SessionStart", cwd=linked, source="startup")
    say("claude", "UserPromptSubmit", cwd=linked, prompt=f"take {TOKEN} please", prompt_id="p")
    say("claude", "PermissionRequest", cwd=linked, tool_name="Bash", message=f"use {TOKEN}?")
    _wait(lambda: "ClaudeMessage" in types(store))
    (said,) = told(store, "ClaudeMessage")
    assert said["content"] == "take [redacted: github-pat] please"
    (waits,) = told(store, "AgentWaiting")
    assert "message" not in waits
    written = b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file())
    assert TOKEN.encode() not in written


def test_a_message_whose_process_was_killed_was_there(linked, store, killed, monkeypatch):
    hear(payload("c1", "SessionStart", linked, source="startup"))
    hear(payload("c1", "UserPromptSubmit", linked, prompt=f"take {TOKEN}", prompt_id="p"))
    assert [one[0] for one in killed] == [speech.WORKER]
    assert "ClaudeMessage" not in types(store)
    monkeypatch.setattr(telling, "OPEN", -1)
    ok("sync", cwd=linked)
    assert [one["content"] for one in told(store, "ClaudeMessage")] == [""]


def test_the_program_waits_for_nothing_in_the_background(linked, store):
    """It goes on while the end is being seen to."""
    for event, fields in (("SessionStart", {"source": "startup"}), ("Stop", {})):
        say("claude", event, cwd=linked, **fields)
    with _seen_to(store, linked):
        # Returns at the end of the hook's output, which nobody holds then.
        assert say("claude", "SessionEnd", cwd=linked, reason="other").stdout == b""
        assert session_of(store, linked)["status"] == "Running"
    _wait(lambda: session_of(store, linked)["status"] == "Completed")


def test_it_outlives_the_programs_processes(linked, store):
    say("claude", "SessionStart", cwd=linked, source="startup")
    with _seen_to(store, linked):
        raw = json.dumps(payload("s1", "SessionEnd", linked, reason="other"))
        hook = agent_command.text("claude", "SessionEnd", "user")
        program = subprocess.Popen(
            ["/bin/sh", "-c", f"printf %s {shlex.quote(raw)} | {{ {hook}; }}; echo; read never"],
            cwd=linked, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert program.stdout is not None
        program.stdout.readline()  # the hook has returned
        os.killpg(program.pid, 9)
        program.communicate()
        assert session_of(store, linked)["status"] == "Running"
    _wait(lambda: session_of(store, linked)["status"] == "Completed")


def test_who_looks_behind_an_end_sees_it(linked, store):
    say("claude", "SessionStart", cwd=linked, source="startup")
    say("claude", "SessionEnd", cwd=linked, reason="other")
    (found,) = ok("sessions", "list", "--json", cwd=linked).json
    assert found["status"] == "Completed"


def _activity(store):
    return "".join(path.read_text() for path in store.glob("activity/*/*.jsonl"))


def _wait(happened):
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)
