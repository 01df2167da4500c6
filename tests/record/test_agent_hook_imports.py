"""What an agent waits for at each of its tools: no more is imported than that needs."""

import os
import subprocess
import sys

from support_agents import say
from support_cli import PACKAGE_PARENT, ok

ALLOWED = {
    "prodigy_git", "prodigy_git.errors", "prodigy_git.layout", "prodigy_git.names",
    "prodigy_git.record", "prodigy_git.record.agent_hook", "prodigy_git.record.clock",
    "prodigy_git.record.conversations", "prodigy_git.record.conversations.activity",
    "prodigy_git.record.conversations.bindings", "prodigy_git.record.conversations.call_identity",
    "prodigy_git.record.conversations.dispatch", "prodigy_git.record.conversations.first_object",
    "prodigy_git.record.conversations.foreign_values",
    "prodigy_git.record.conversations.normal_form", "prodigy_git.record.files",
    "prodigy_git.record.jsonline", "prodigy_git.record.locks",
}  # fmt: skip
HEAVY = {
    "json",
    "re",
    "typing",
    "subprocess",
    "datetime",
    "contextlib",
    "hashlib",
    "enum",
    "signal",
}
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import os
end = os._exit
def told(status):
    os.write(1, " ".join(sys.modules).encode())
    end(status)
os._exit = told
from prodigy_git.record.agent_hook import main
main("claude", "PostToolUse")
"""


def test_a_tool_imports_no_more_than_it_needs(repo, store):
    ok("install", cwd=repo)
    worktree = ok("new-worktree", "wt", cwd=repo).out.splitlines()[0]
    say("claude", "SessionStart", cwd=worktree, source="startup")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SCRIPT, PACKAGE_PARENT], cwd=worktree, check=True,
        input=b'{"session_id": "s1", "tool_name": "Edit", "tool_input": {"file_path": "a"}}',
        stdout=subprocess.PIPE, env={**os.environ, "CLAUDECODE": "1"},
    )  # fmt: skip
    found = set(done.stdout.decode().split())
    assert {name for name in found if name.startswith("prodigy_git")} <= ALLOWED
    assert not found & HEAVY
    assert (store / "activity" / "repo" / "wt.jsonl").read_text().count('"kind":"tool"') == 1
