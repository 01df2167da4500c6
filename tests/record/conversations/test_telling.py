"""What becomes of what agent programs say: events, once each, wherever the conversation goes on."""

import os
from pathlib import Path

import pytest
from support_agent_calls import events, hear, hear_killed, nothing_in_the_background, payload
from support_agents import say
from support_cli import call, ok
from support_conversations import WHOLE, conversation, session_of, settle, told, types
from support_record import git
from support_setup import until

from prodigy_git import layout
from prodigy_git.record.conversations import speech, telling

TOKEN = "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345"


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
    until(lambda: "ClaudeMessage" in types(store))
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


def _activity(store):
    return "".join(path.read_text() for path in store.glob("activity/*/*.jsonl"))
