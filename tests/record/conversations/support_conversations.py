"""A conversation as an agent program tells of it, and what a store then holds of it."""

import contextlib
import fcntl
import os

from support_agent_calls import events, payload, sessions

from prodigy_git import layout
from prodigy_git.lifecycle import program_ended


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


@contextlib.contextmanager
def seen_to(store, top):
    """Hold the lock of who sees to the end of a program in a worktree."""
    path = layout.program_end_lock(str(store), session_of(store, top)["id"])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
