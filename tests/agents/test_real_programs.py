"""The real agent programs run what `agents install` wrote: a session of each, with a local model.

They are installed from npm once and kept (`support_real_programs`). Where that cannot be, these tests
are skipped, and pytest's summary says why.
"""

import json
import os
from pathlib import Path

import pytest
from support_agents import lines, states
from support_cli import ok
from support_model_api import PROMPT, SAID, served
from support_real_programs import PACKAGES, binary, codex_hooks, session

from prodigy_git.agents import programs

# Gemini CLI has git read no settings of the user's, whose name would be there.
COMMIT = "git add -A && git -c user.name=A -c user.email=a@example.org commit -q -m work"
WORK = {
    "claude": [("Write", {"file_path": "{tree}/new.txt", "content": "new\n"}),
               ("Bash", {"command": COMMIT})],
    "codex": [("apply_patch", "*** Begin Patch\n*** Add File: new.txt\n+new\n*** End Patch\n"),
              ("exec_command", {"cmd": COMMIT})],
    "copilot": [("create", {"path": "{tree}/new.txt", "file_text": "new\n"}),
                ("bash", {"command": COMMIT, "description": "commit"})],
    "gemini": [("write_file", {"file_path": "{tree}/new.txt", "content": "new\n"}),
               ("run_shell_command", {"command": COMMIT, "description": "commit"})],
    "opencode": [("write", {"filePath": "{tree}/new.txt", "content": "new\n"}),
                 ("bash", {"command": COMMIT, "description": "commit"})],
}  # fmt: skip
"""What the model has each program do: write a file, commit it."""
SETTINGS = {
    "claude": (".claude/settings.json", '{"hooks": {"Stop": [{"hooks": [OTHER]}]}, "theme": "dark"}'),
    "codex": (".codex/config.toml", "# mine\ncheck_for_update_on_startup = false\n"),
    "gemini": (
        ".gemini/settings.json",
        '// mine\n{"security": {"auth": {"selectedType": "gemini-api-key"}},\n'
        ' "hooks": {"SessionStart": [{"hooks": [OTHER]}]}}\n',
    ),
}  # fmt: skip
"""What somebody has in a program's settings already: another tool's hook among it."""


@pytest.fixture
def tree(repo, store):
    ok("install", cwd=repo)
    return Path(ok("new-worktree", "wt", cwd=repo).out.splitlines()[0])


def events(store):
    return [
        json.loads(line)
        for log in store.glob("events/*/*/*.jsonl")
        for line in log.read_text().splitlines()
    ]


def listed(program, cwd):
    return ok("agents", "list", program, "--json", cwd=cwd).json[0]


def trust(home, hooks):
    """Trust hooks, as a person does who types /hooks."""
    with (home / ".codex" / "config.toml").open("a") as file:
        for hook in hooks:
            file.write(f"[hooks.state.{json.dumps(hook['key'])}]\n")
            file.write(f'trusted_hash = "{hook["currentHash"]}"\n')


@pytest.mark.parametrize("program", PACKAGES)
def test_a_session_from_its_start_to_its_end(program, tree, store, repo, sealed, tmp_path):
    binary(program)
    touched = tmp_path / "touched"
    before = {}
    if program in SETTINGS:
        name, text = SETTINGS[program]
        path = sealed / name
        path.parent.mkdir()
        other = {"type": "command", "command": f"touch {touched}"}
        path.write_text(text.replace("OTHER", json.dumps(other)))
        before[path] = path.read_bytes()
    ok("agents", "install", program, cwd=tree)
    if program == "codex":
        ours = codex_hooks(tree)
        assert {hook["trustStatus"] for hook in ours} == {"untrusted"}
        assert len(ours) == len(programs.CODEX.hooks)
        assert listed(program, tree)["in_effect"] is False
        trust(sealed, ours)
        assert {hook["trustStatus"] for hook in codex_hooks(tree)} == {"trusted"}
        before.clear()
    assert listed(program, tree)["in_effect"] is True

    work = json.loads(json.dumps(WORK[program]).replace("{tree}", str(tree)))
    with served(*work) as api:
        done = session(program, api, tree)
    assert SAID in done.stdout, done

    ok("sync", cwd=tree)  # not each program hands on PRODIGY_RECORD, which has git wait
    log = store / "logs" / "hook-errors.log"
    assert not log.exists(), log.read_text()
    [(heard, program_session, state)] = states(store, "wt")
    assert (heard, state) == (program, "ended")
    assert [line["files"] for line in lines(store)["wt"] if "files" in line] in (
        [[f"{tree}/new.txt"]], [[f"{tree}/new.txt"]] * 2
    )  # fmt: skip
    assert listed(program, tree)["last_event_at"] == lines(store)["wt"][-1]["at"]
    shown = ok("sessions", "show", "wt", "--json", cwd=repo).json["metadata"]
    [linked] = shown["program_sessions"]
    assert (linked["program"], linked["id"]) == (program, program_session)
    if program != "opencode":  # it has a database
        assert os.path.isfile(shown["json_log_location"])
    types = [event["type"] for event in events(store)]
    for kind in ("CommitCreated", "AgentProgramStarted", "AgentProgramEnded", "AgentStarted"):
        assert types.count(kind) == 1, types
    said = [event for event in events(store) if event["type"] == "ClaudeMessage"]
    assert PROMPT in said[0]["content"]
    assert ok("status", "--json", cwd=repo).json["repositories"][0]["agents"]
    assert touched.exists() is (program in ("claude", "gemini"))
    ok("agents", "uninstall", program, cwd=tree)
    assert {path: path.read_bytes() for path in before} == before
