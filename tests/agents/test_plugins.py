"""The plugins that the repository offers: what `agents install` writes, as the programs take it."""

import json
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest
from support_agents import states
from support_cli import ok
from support_model_api import SAID, served
from support_real_programs import call, claude_session, codex_hooks, copilot_session

from prodigy_git.agents import calls, programs

TOP = Path(__file__).parents[2]
FILES = runpy.run_path(str(TOP / "tools" / "plugins.py"))["files"]()


def test_they_are_what_is_written_into_settings():
    there = {path: (TOP / path).read_text() for path in FILES}
    assert there == FILES, "call `python tools/plugins.py`"


@pytest.mark.parametrize("path", [path for path in FILES if path.endswith("hooks.json")])
def test_their_commands_do_nothing_where_there_is_no_prodigy_git(path, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    hooks = json.loads(FILES[path])["hooks"]
    commands = [one["command"] for groups in hooks.values() for one in groups[0]["hooks"]]
    assert all(map(calls.is_ours, commands))
    for command in commands:
        done = call_shell(command)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def call_shell(command):
    return subprocess.run(["/bin/sh", "-c", command], input=b"{}", capture_output=True, check=False)


@pytest.fixture
def tree(repo, store):
    ok("install", cwd=repo)
    return Path(ok("new-worktree", "wt", cwd=repo).out.splitlines()[0])


def offered(tmp_path):
    """Copy what the programs take of the repository, without what tests and builds left in it."""
    for path in FILES:
        target = tmp_path / "offered" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / path, target)
    return tmp_path / "offered"


def test_claude_code_takes_the_repository_as_a_plugin(tree, store, tmp_path):
    place = offered(tmp_path)
    said = call("claude", "plugin", "validate", "--strict", str(place), cwd=tree).stdout
    assert "Validation passed" in said
    with served() as api:
        done = claude_session(api, tree, "--plugin-dir", str(place))
    assert SAID in done.stdout
    [(program, _, state)] = states(store, "wt")
    assert (program, state) == ("claude", "ended")


def test_copilot_takes_claude_codes_plugin_and_is_told_from_it(tree, store, tmp_path):
    with served() as api:
        done = copilot_session(api, tree, "--plugin-dir", str(offered(tmp_path)))
    assert SAID in done.stdout
    [(program, _, state)] = states(store, "wt")
    assert (program, state) == ("copilot", "ended")


def test_codex_takes_its_plugin_from_the_repository(tree, tmp_path):
    call("codex", "plugin", "marketplace", "add", str(offered(tmp_path)), cwd=tree)
    call("codex", "plugin", "add", "prodigy-git@prodigy-git", cwd=tree)
    hooks = codex_hooks(tree)
    assert len(hooks) == len(programs.CODEX.hooks)
    assert all(calls.is_ours(hook["command"]) for hook in hooks)
    assert {hook["pluginId"] for hook in hooks} == {"prodigy-git@prodigy-git"}


def test_gemini_cli_takes_its_extension(tree, tmp_path):
    place = offered(tmp_path) / "plugins" / "gemini"
    done = call("gemini", "extensions", "validate", str(place), cwd=tree)
    assert "successfully validated" in done.stdout + done.stderr
