"""What an agent program says to our hook, and what `status` shows of it."""

from support_agents import say
from support_cli import ok


def look(repo, *arguments):
    (found,) = ok("status", "--json", *arguments, cwd=repo).json["repositories"]
    return found


def of(found, name):
    (one,) = [
        one
        for one in (*found["agents"], *found["checkouts"])
        if name in (one["agent_id"], one["session_id"])
    ]
    return one


def begin(cwd, session="s1", program="claude", **fields):
    say(program, "SessionStart", cwd=cwd, session=session, source="startup", **fields)
    say(program, "UserPromptSubmit", cwd=cwd, session=session, prompt="Do it")


def wait(cwd, kind="permission_prompt", session="s1", message="Claude needs your permission"):
    say(
        "claude", "Notification", cwd=cwd, session=session, notification_type=kind, message=message
    )  # fmt: skip


def edit(cwd, path, session="s1"):
    say(
        "claude", "PostToolUse", cwd=cwd, session=session, tool_name="Edit", tool_use_id=str(path),
        tool_input={"file_path": str(path)}, tool_response={},
    )  # fmt: skip
