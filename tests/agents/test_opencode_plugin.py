"""The plugin for OpenCode, run by node; and that each event that is hooked is understood."""

import json
import shutil
import subprocess

import pytest
from support_agent_settings import FILES
from support_cli import ok

from prodigy_git.agents import (
    calls,
    programs,
)

NODE = """
import {{ ProdigyGit }} from "{plugin}"
const plugin = await ProdigyGit({{ directory: "/tree", worktree: "/tree" }})
const say = (type, properties) => plugin.event({{ event: {{ type, properties }} }})
await say("session.created", {{ sessionID: "a", info: {{ id: "a" }} }})
await plugin["chat.message"]({{ sessionID: "a" }}, {{ parts: [{{ type: "text", text: "do it" }}] }})
await say("session.status", {{ sessionID: "a", status: {{ type: "busy" }} }})
await say("session.status", {{ sessionID: "a", status: {{ type: "busy" }} }})
await say("session.created", {{ sessionID: "b", info: {{ id: "b", parentID: "a" }} }})
await plugin["chat.message"]({{ sessionID: "b" }}, {{ parts: [] }})
await plugin["tool.execute.before"]({{ sessionID: "a", tool: "bash", callID: "1" }})
const args = {{ filePath: "x" }}
await plugin["tool.execute.after"]({{ sessionID: "b", tool: "write", callID: "1", args }}, {{}})
await say("message.updated", {{}})
await say("session.status", {{ sessionID: "b", status: {{ type: "idle" }} }})
await say("session.status", {{ sessionID: "a", status: {{ type: "idle" }} }})
await say("session.idle", {{ sessionID: "a" }})
await plugin.dispose()
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is missing: apt-get install nodejs")
def test_the_plugin_hands_events_on_in_their_order(home, tmp_path, monkeypatch):
    log = tmp_path / "log"
    monkeypatch.setattr(
        calls,
        "text",
        lambda *_: f"{{ cat; echo; }} >>{log} && test agent-hook && echo opencode EVENT",
    )
    ok("agents", "install", "opencode")
    plugin = tmp_path / "plugin.mjs"
    shutil.copy(home / FILES["opencode"], plugin)
    (tmp_path / "run.mjs").write_text(NODE.format(plugin=plugin))
    subprocess.run(["node", tmp_path / "run.mjs"], check=True, timeout=300)
    from prodigy_git.record.conversations import normal_form

    heard = [
        normal_form.normal("opencode", None, json.loads(line))
        for line in log.read_text().splitlines()
    ]
    assert [(one.kind, one.program_session, one.subagent) for one in heard] == [
        ("start", "a", None), ("prompt", "a", None), ("subagent_start", "a", "b"),
        ("tool", "a", "b"), ("subagent_end", "a", "b"), ("idle", "a", None), ("end", "a", None),
    ]  # fmt: skip
    assert heard[1].text == "do it"
    assert heard[3].files == ("/tree/x",)


@pytest.mark.parametrize("program", programs.ALL, ids=lambda one: one.name)
def test_each_event_that_we_listen_to_is_understood(program):
    from prodigy_git.record.conversations import normal_form

    raw = {
        "session_id": "a",
        "notification_type": "permission_prompt",
        "tool_name": "AskUserQuestion",
    }
    for hook in program.hooks:
        heard = normal_form.normal(program.name, hook.event, raw)
        assert heard is not None, hook
        assert heard.kind != "seen", hook
