"""What each program's hooks say, in the one form: as the programs of 2026 were seen to say it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodigy_git import names
from prodigy_git.record.conversations.foreign_values import LONGEST_TEXT, MOST_FILES, as_id
from prodigy_git.record.conversations.normal_form import KINDS, PROGRAMS, normal

CLAUDE = {"session_id": "s1", "transcript_path": "/t.jsonl", "cwd": "/r"}
GEMINI = {**CLAUDE, "timestamp": "2026-11-28T20:00:00.000Z"}
CODEX = {**CLAUDE, "model": "gpt", "permission_mode": "default"}
CURSOR = {"conversation_id": "s1", "generation_id": "g", "model": "m", "cursor_version": "2",
          "workspace_roots": ["/r"], "transcript_path": None}  # fmt: skip
COPILOT = {"sessionId": "s1", "timestamp": 1764360000000, "cwd": "/r"}
PATCH = (
    "*** Begin Patch\n*** Update File: a\n@@\n-x\n*** Add File: /b\n*** Delete File: c\n"
    "*** End Patch"
)
PATCHED = ("/r/a", "/b", "/r/c")
PROMPT = {"kind": "prompt", "text": "do"}
SUBAGENT = {"agent_id": "a1", "agent_type": "general"}

SAID = [
    ("claude", "SessionStart", {**CLAUDE, "source": "resume", "model": "m"},
     {"kind": "start", "source": "resume", "model": "m", "transcript": "/t.jsonl"}),
    ("claude", "UserPromptSubmit", {**CLAUDE, "prompt": "do"}, PROMPT),
    ("claude", "UserPromptSubmit", {**CLAUDE, "prompt": "<task-notification>x</task-notification>"},
     {"kind": "working", "text": None}),
    ("claude", "PreToolUse", {**CLAUDE, "tool_name": "Bash", "tool_use_id": "t"},
     {"kind": "working", "tool": "Bash", "tool_id": "t", "failed": None, "files": None}),
    ("claude", "PreToolUse", {**CLAUDE, "tool_name": "AskUserQuestion", "tool_use_id": "t"},
     {"kind": "waiting", "reason": "question", "text": "AskUserQuestion"}),
    ("claude", "PreToolUse", {**CLAUDE, "tool_name": "AskUserQuestion", "tool_input":
     {"questions": [{"question": "Which\n\u202eone?", "header": "x"}, {"question": "No"}]}},
     {"kind": "waiting", "reason": "question", "text": "Which ?one?"}),
    ("claude", "PreToolUse", {**CLAUDE, "tool_name": "ExitPlanMode", "tool_input": {"plan": "p"}},
     {"kind": "waiting", "reason": "permission", "text": "ExitPlanMode"}),
    ("claude", "PermissionRequest", {**CLAUDE, "tool_name": "Bash", "tool_input":
     {"command": "make " + "x" * 900, "description": "d"}},
     {"kind": "waiting", "reason": "permission", "text": "Bash: make " + "x" * 495}),
    ("claude", "PermissionRequest", {**CLAUDE, "tool_name": "Edit", "tool_input":
     {"file_path": "/r/a", "new_string": "secret"}}, {"kind": "waiting", "text": "Edit: /r/a"}),
    ("claude", "PermissionRequest", {**CLAUDE, "tool_name": "mcp__x", "tool_input": ["odd"]},
     {"kind": "waiting", "text": "mcp__x"}),
    ("claude", "PermissionRequest", {**CLAUDE, "tool_name": "Bash"},
     {"kind": "waiting", "reason": "permission", "tool": "Bash"}),
    ("claude", "PermissionRequest", {**CLAUDE, "tool_name": "AskUserQuestion"},
     {"kind": "waiting", "reason": "question"}),
    ("claude", "PostToolUse", {**CLAUDE, "tool_name": "Edit", "tool_use_id": "t",
     "tool_input": {"file_path": "/r/a", "old_string": "x"}, "tool_response": {"filePath": "/r/a"}},
     {"kind": "tool", "tool": "Edit", "files": ("/r/a",), "failed": False}),
    ("claude", "PostToolUse", {**CLAUDE, "tool_name": "NotebookEdit",
     "tool_input": {"notebook_path": "n.ipynb"}}, {"kind": "tool", "files": ("/r/n.ipynb",)}),
    ("claude", "PostToolUse", {**CLAUDE, "tool_name": "Read", "tool_input": {"file_path": "/r/a"}},
     {"kind": "tool", "files": None}),
    ("claude", "PostToolUse", {**CLAUDE, **SUBAGENT, "tool_name": "Bash", "tool_response": {}},
     {"kind": "tool", "subagent": "a1", "subagent_type": "general", "program_session": "s1"}),
    ("claude", "PostToolUseFailure", {**CLAUDE, "tool_name": "Bash", "error": "Exit code 1"},
     {"kind": "tool", "failed": True}),
    ("claude", "Notification", {**CLAUDE, "message": "m", "notification_type": "permission_prompt"},
     {"kind": "waiting", "reason": "permission", "text": "m"}),
    ("claude", "Notification", {**CLAUDE, "message": "m", "notification_type": "idle_prompt"},
     {"kind": "waiting", "reason": "idle"}),
    ("claude", "Notification", {**CLAUDE, "message": "m", "notification_type": "agent_needs_input"},
     {"kind": "waiting", "reason": "question"}),
    ("claude", "Notification", {**CLAUDE, "message": "m", "notification_type": "auth_success"},
     {"kind": "seen"}),
    ("claude", "Notification", {**CLAUDE, "message": "Claude needs your permission to use Bash"},
     {"kind": "waiting", "reason": "permission"}),
    ("claude", "Notification", {**CLAUDE, "message": "Claude is waiting for your input"},
     {"kind": "waiting", "reason": "idle"}),
    ("claude", "Stop", {**CLAUDE, "stop_hook_active": False, "last_assistant_message": "done"},
     {"kind": "idle", "text": "done", "failed": None}),
    ("claude", "StopFailure", {**CLAUDE, "error": "rate_limit"},
     {"kind": "idle", "failed": True, "reason": "rate_limit"}),
    ("claude", "SubagentStart", {**CLAUDE, **SUBAGENT}, {"kind": "subagent_start", "subagent": "a1"}),
    ("claude", "SubagentStop", {**CLAUDE, **SUBAGENT, "agent_transcript_path": "/a.jsonl",
     "last_assistant_message": "found"}, {"kind": "subagent_end", "subagent": "a1", "text": "found",
     "subagent_transcript": "/a.jsonl", "transcript": "/t.jsonl"}),
    ("claude", "SessionEnd", {**CLAUDE, "reason": "logout"}, {"kind": "end", "reason": "logout"}),
    ("claude", "CwdChanged", {**CLAUDE, "old_cwd": "/r", "new_cwd": "/r/d"},
     {"kind": "cwd", "path": "/r/d"}),
    ("claude", "WorktreeCreate", {**CLAUDE, "name": "feature/auth"},
     {"kind": "worktree_create", "name": "feature/auth"}),
    ("claude", "WorktreeCreate", {**CLAUDE, "worktree_name": "x"}, {"name": "x"}),
    ("claude", "WorktreeRemove", {**CLAUDE, "worktree_path": "/w"},
     {"kind": "worktree_remove", "path": "/w"}),
    ("claude", "PostToolBatch", {**CLAUDE, "tool_calls": []}, {"kind": "seen"}),
    ("claude", "PreCompact", {**CLAUDE, "trigger": "auto"}, {"kind": "seen"}),
    ("claude", "preToolUse", {**CURSOR, "tool_name": "Shell"},
     {"program": "cursor", "program_session": "s1", "kind": "working", "cwd": "/r"}),
    ("codex", "SessionStart", {**CODEX, "source": "startup"}, {"kind": "start", "model": "gpt"}),
    ("codex", "UserPromptSubmit", {**CODEX, "turn_id": "1", "prompt": "do"}, PROMPT),
    ("codex", "UserPromptSubmit", {**CODEX, **SUBAGENT, "prompt": "do"},
     {"kind": "working", "text": None, "subagent": "a1"}),
    ("codex", "PostToolUse", {**CODEX, "tool_name": "apply_patch", "tool_input": {"command": PATCH},
     "tool_response": "Exit code: 0"}, {"kind": "tool", "files": PATCHED, "failed": False}),
    ("codex", "PostToolUse", {**CODEX, "tool_name": "apply_patch",
     "tool_input": {"command": ["apply_patch", PATCH]}}, {"files": PATCHED}),
    ("codex", "Interrupt", CODEX, {"kind": "idle", "reason": "interrupt"}),
    ("codex", "Stop", {**CODEX, "last_assistant_message": None}, {"kind": "idle", "text": None}),
    ("codex", "SessionEnd", {**CLAUDE, "reason": "other"}, {"kind": "end"}),
    ("gemini", "BeforeAgent", {**GEMINI, "prompt": "do"}, PROMPT),
    ("gemini", "BeforeTool", {**GEMINI, "tool_name": "ask_user"},
     {"kind": "waiting", "reason": "question"}),
    ("gemini", "AfterTool", {**GEMINI, "tool_name": "write_file", "tool_input": {"file_path": "a"},
     "tool_response": {"llmContent": "x", "error": {"message": "no"}}},
     {"kind": "tool", "failed": True, "files": ("/r/a",)}),
    ("gemini", "AfterTool", {**GEMINI, "tool_name": "replace", "tool_input": {"file_path": "/r/b"}},
     {"files": ("/r/b",)}),
    ("gemini", "Notification", {**GEMINI, "notification_type": "ToolPermission", "message": "m"},
     {"kind": "waiting", "reason": "permission"}),
    ("gemini", "AfterAgent", {**GEMINI, "prompt": "do", "prompt_response": "done"},
     {"kind": "idle", "text": "done"}),
    ("gemini", "SessionEnd", {**GEMINI, "reason": "exit"}, {"kind": "end", "reason": "exit"}),
    ("cursor", "sessionStart", {**CURSOR, "session_id": "s1"}, {"kind": "start", "cwd": "/r"}),
    ("cursor", "beforeSubmitPrompt", {**CURSOR, "prompt": "do"}, PROMPT),
    ("cursor", "afterFileEdit", {**CURSOR, "file_path": "/r/a", "edits": []},
     {"kind": "tool", "tool": None, "files": ("/r/a",)}),
    ("cursor", "afterShellExecution", {**CURSOR, "command": "x", "cwd": "/r/d"},
     {"kind": "tool", "tool": "Shell", "cwd": "/r/d"}),
    ("cursor", "postToolUse", {**CURSOR, "tool_name": "Write", "tool_input": {"file_path": "/r/a"}},
     {"kind": "tool", "files": ("/r/a",)}),
    ("cursor", "afterAgentResponse", {**CURSOR, "text": "done"}, {"kind": "working", "text": "done"}),
    ("cursor", "subagentStop", {**CURSOR, "subagent_id": "a1", "status": "error"},
     {"kind": "subagent_end", "failed": True}),
    ("cursor", "stop", {**CURSOR, "status": "aborted"}, {"kind": "idle", "reason": "aborted"}),
    ("cursor", "sessionEnd", {**CURSOR, "final_status": "completed"}, {"kind": "end"}),
    ("copilot", "sessionStart", {**COPILOT, "source": "new", "initialPrompt": "do"},
     {"kind": "start", "source": "new", "program_session": "s1", "text": "do"}),
    ("copilot", "userPromptSubmitted", {**COPILOT, "prompt": "do"}, PROMPT),
    ("copilot", "postToolUse", {**COPILOT, "toolName": "edit", "toolArgs": '{"path": "/r/a"}',
     "toolResult": {"resultType": "failure"}}, {"kind": "tool", "failed": True, "files": ("/r/a",)}),
    ("copilot", "postToolUse", {**COPILOT, "toolName": "create", "toolArgs": {"path": "a"},
     "toolResult": {"resultType": "success"}}, {"failed": False, "files": ("/r/a",)}),
    ("copilot", "permissionRequest", {**COPILOT, "toolName": "bash"}, {"kind": "working"}),
    ("copilot", "agentStop", {**COPILOT, "transcriptPath": "/e.jsonl", "stopReason": "end_turn"},
     {"kind": "idle", "transcript": "/e.jsonl"}),
    ("copilot", "agentStop", {**COPILOT, "sessionId": "a1", "agentId": "a1", "parentAgentId": "s1"},
     {"kind": "seen", "program_session": "s1", "subagent": "a1"}),
    ("copilot", "preToolUse", {**COPILOT, "sessionId": "a1", "agentId": "a1", "parentAgentId": "s1",
     "toolName": "bash"}, {"kind": "working", "program_session": "s1", "subagent": "a1"}),
    ("copilot", "errorOccurred", {**COPILOT, "error": {"message": "m", "name": "E"}},
     {"kind": "idle", "failed": True, "reason": "E"}),
    ("copilot", "errorOccurred", {**COPILOT, "error": {"name": "E"}, "recoverable": True},
     {"kind": "working"}),
    ("copilot", "sessionEnd", {**COPILOT, "reason": "complete"}, {"kind": "end"}),
]  # fmt: skip
"""Program, event, what it gives its hook; and what is to be heard."""
UNNAMED = [one for one in SAID if one[0] == "copilot"]


@pytest.mark.parametrize(("program", "event", "raw", "expected"), SAID)
def test_what_the_programs_say(program, event, raw, expected):
    whole = {"program": program, "event": event, "program_session": "s1", "cwd": "/r", **expected}
    named = normal(program, "SomethingElse", {**raw, "hook_event_name": event})
    hinted = normal(program, event, raw)
    for heard in (named, hinted):
        assert {name: getattr(heard, name) for name in whole} == whole


@pytest.mark.parametrize(("program", "event", "raw", "expected"), SAID)
def test_both_spellings_are_understood(program, event, raw, expected):
    def camel(name):
        first, *rest = name.split("_")
        return first + "".join(word.capitalize() for word in rest)

    heard = normal(program, event, {camel(name): value for name, value in raw.items()})
    assert {name: getattr(heard, name) for name in expected} == expected


def opencode(kind, **properties):
    return normal("opencode", None, {"type": kind, "properties": properties, "directory": "/r"})


def test_opencode_says_it_by_its_bus_and_its_hooks():
    info = {"id": "s1", "directory": "/r", "title": "t"}
    assert opencode("session.created", info=info).kind == "start"
    assert opencode("session.created", sessionID="s1", info=info).program_session == "s1"
    below = opencode("session.created", info={**info, "id": "a1", "parentID": "s1"})
    assert (below.kind, below.program_session, below.subagent) == ("subagent_start", "s1", "a1")
    assert opencode("session.status", sessionID="s1", status={"type": "busy"}).kind == "working"
    assert opencode("session.status", sessionID="s1", status={"type": "idle"}).kind == "idle"
    assert opencode("session.error", sessionID="s1", error={"name": "E"}).failed
    assert opencode("session.deleted", info=info).kind == "end"
    assert opencode("permission.asked", sessionID="s1").reason == "permission"
    assert opencode("permission.replied", sessionID="s1").kind == "working"
    assert opencode("question.asked", sessionID="s1").reason == "question"
    assert opencode("file.edited", file="/r/a").files == ("/r/a",)
    said = opencode(
        "message.updated", info={"sessionID": "s1", "modelID": "m", "role": "assistant"}
    )
    assert (said.kind, said.program_session, said.model) == ("seen", "s1", "m")
    after = {"tool": "write", "sessionID": "s1", "callID": "c", "args": {"filePath": "/r/a"}}
    tool = normal("opencode", "tool.execute.after", after)
    assert (tool.kind, tool.tool, tool.tool_id, tool.files) == ("tool", "write", "c", ("/r/a",))
    wrapped = normal(
        "opencode", None, {"event": {"type": "session.created", "properties": {"info": info}}}
    )
    assert (wrapped.kind, wrapped.program_session) == ("start", "s1")


def test_ids_are_safe_and_different_ones_stay_different():
    odd = [
        "../../etc",
        "a/b",
        "",
        "x" * 500,
        "é",
        "a\nb",
        "-x",
        ".",
        "a b",
        "\udc80",
        "x-" + "0" * 32,
    ]
    found = [as_id(one) for one in odd]
    assert found[2] is None
    assert all(names.is_safe(one) for one in found if one is not None)
    assert len(set(found)) == len(odd)
    assert as_id("0199-ABC.x") == "0199-ABC.x"
    assert [as_id(one) for one in (None, [], {}, True, 1.5)] == [None] * 5
    assert as_id(12) == "12"


def test_paths_are_absolute_and_for_a_terminal():
    for path in (
        "a",
        "",
        "/a\n/b",
        "/a\x1b[31m",
        "/" + "x" * 5000,
        "/a\0b",
        5,
        None,
        ["/a"],
        "~/a",
        "\u009b",
    ):
        heard = normal("claude", "Stop", {**CLAUDE, "cwd": path, "transcript_path": path})
        assert (heard.cwd, heard.transcript) == (None, None)
    for path in ("/é", "/a b", "/a\udcff"):
        assert normal("claude", "Stop", {**CLAUDE, "cwd": path}).cwd == path
    assert normal("claude", "Stop", {**CLAUDE, "cwd": "/a//b/"}).cwd == "/a/b"


def test_texts_are_cut_and_clean():
    text = "a\x1b[31mb\n\tc\x00\x9b" + "x" * LONGEST_TEXT
    heard = normal(
        "claude", "UserPromptSubmit", {**CLAUDE, "prompt": text, "model": "m\x1b[0m\n" * 200}
    )
    assert heard.text.startswith("a[31mb\n\tcx")
    assert len(heard.text) <= LONGEST_TEXT
    assert len(heard.model) <= 256
    assert heard.model.isprintable()
    assert normal("claude", "UserPromptSubmit", {**CLAUDE, "prompt": "a\udc80\ud800"}).text == "a??"


def test_not_more_files_than_some_are_named():
    patch = "\n".join(f"*** Update File: {n}" for n in range(1000))
    heard = normal(
        "codex", "PostToolUse", {**CODEX, "tool_name": "apply_patch", "tool_input": patch}
    )
    assert len(heard.files) == MOST_FILES


def test_what_names_no_event_is_none():
    for raw in (
        {},
        CLAUDE,
        {"hook_event_name": ""},
        {"hook_event_name": 5},
        {"hook_event_name": "\n"},
    ):
        assert normal("claude", None, raw) is None


def test_each_name_is_of_one_kind():
    known = [name for names_of_kind in KINDS.values() for name in names_of_kind.split()]
    assert len(known) == len(set(known))


KEYS = sorted(
    {key for _, _, raw, _ in SAID for key in raw} | {"properties", "info", "event", "type", "id"}
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.sampled_from(["/a", "s1", "error", PATCH]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=10,
)
EVENTS = sorted({event for _, event, _, _ in SAID} | {"session.status", "file.edited"})


@given(st.sampled_from(PROGRAMS), st.sampled_from(EVENTS),
       st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8))  # fmt: skip
@settings(deadline=None, max_examples=300)
def test_nothing_in_the_fields_is_an_error(program, event, raw):
    heard = normal(program, event, raw)
    assert heard.kind in {*KINDS, "seen"}
    for one in (heard.program_session, heard.subagent, heard.tool_id):
        assert one is None or names.is_safe(one)
    for one in (
        heard.cwd,
        heard.transcript,
        heard.path,
        heard.subagent_transcript,
        *(heard.files or ()),
    ):
        assert one is None or (one.startswith("/") and "\n" not in one)
    json.dumps({name: getattr(heard, name) for name in heard.__slots__})
