"""explain tells what agent programs did between the other events of a session, in short."""

from support_agents import say
from support_cli import new, ok


def tool(cwd, name, number, **fields):
    say(
        "claude", "PostToolUse", cwd=cwd, tool_name=name, tool_use_id=f"{name}{number}",
        tool_response={}, **fields,
    )  # fmt: skip


def test_a_session_tells_what_its_program_did_before_and_after_a_commit(repo, git):
    ok("install", cwd=repo)
    git("config", "prodigy.record", "wait", cwd=repo)
    ada = new(repo, "login", "--agent", "ada")["worktree"]
    say("claude", "SessionStart", cwd=ada, source="startup", model="opus")
    say("claude", "UserPromptSubmit", cwd=ada, prompt="Do it")
    for number, name in enumerate(("a.py", "b.py", "a.py")):
        tool(ada, "Edit", number, tool_input={"file_path": f"{ada}/{name}"})
    tool(ada, "Bash", 4, tool_input={"command": "true"})
    kinds = ("permission_prompt", "agent_needs_input", "permission_prompt")
    for number, kind in enumerate(kinds, start=5):
        say("claude", "Notification", cwd=ada, notification_type=kind, message=f"{kind} \x1b[31m")
        tool(ada, "Bash", number, tool_input={"command": "true"})
    say("claude", "SubagentStart", cwd=ada, agent_id="a1", agent_type="Explore")
    say("claude", "Stop", cwd=ada, last_assistant_message="Done")
    git("commit", "-q", "--allow-empty", "-m", "done", cwd=ada)
    say("claude", "UserPromptSubmit", cwd=ada, prompt="Thanks")
    say("claude", "SessionEnd", cwd=ada, reason="other")

    found = ok("explain", "login", "--json", cwd=repo).json
    life = [one for one in found["life"] if one["type"] in ("AgentProgram", "CommitCreated")]
    assert [one["type"] for one in life] == ["AgentProgram", "CommitCreated", "AgentProgram"]
    did = {name: one for name, one in life[0].items() if not name.endswith(("stamp", "_at"))}
    assert did == {
        "type": "AgentProgram", "agent_program": "claude", "source": "startup", "model": "opus",
        "reason": None, "ended": False, "messages": 2, "tools": {"Edit": 3, "Bash": 4}, "failed": 0,
        "files": [f"{ada}/a.py", f"{ada}/b.py"],
        "waited": {"permission": 2, "question": 1}, "subagents": 1,
    }  # fmt: skip
    assert (life[2]["messages"], life[2]["ended"], life[2]["reason"]) == (1, True, "other")
    text = ok("explain", "login", cwd=repo).out
    assert (
        "claude, startup, opus: 2 messages, 1 subagent, 4 Bash, 3 Edit, 2 files edited, "
        "waited 2 times for a permission, waited for an answer\n"
    ) in text
    assert "claude: 1 message, ended (other)\n" in text


def test_a_program_that_begins_again_is_a_stretch_of_its_own(repo):
    ok("install", cwd=repo)
    ada = new(repo, "login", "--agent", "ada")["worktree"]
    say("claude", "SessionStart", cwd=ada, source="startup")
    say("claude", "SessionEnd", cwd=ada, reason="clear")
    say("claude", "SessionStart", cwd=ada, session="s2", source="clear")
    say("codex", "SessionStart", cwd=ada, session="c1", source="startup")
    found = ok("explain", "login", "--json", cwd=repo).json["life"]
    assert [
        (one["agent_program"], one["source"], one["ended"])
        for one in found
        if one["type"] == "AgentProgram"
    ] == [("claude", "startup", True), ("claude", "clear", False), ("codex", "startup", False)]
