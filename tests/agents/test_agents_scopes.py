"""Where agents install puts hooks: scopes, several files, variables, other installations and tools."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support_agent_settings import CLAUDE, FILES, written
from support_cli import call, ok, refused

from prodigy_git import hookfiles
from prodigy_git.agents import (
    calls,
    plugging,
    programs,
)
from prodigy_git.errors import ProdigyError


def test_scopes(home, repo, git):
    ok("agents", "install", "claude", "--project", cwd=repo)
    shared = repo / ".claude/settings.json"
    text = shared.read_text()
    assert str(Path(calls.__file__).parents[2]) not in text
    assert "command -v prodigy-git" in text
    # Who has no prodigy-git could make no worktree.
    assert "WorktreeCreate" not in json.loads(text)["hooks"]
    done = call("agents", "install", "claude", "--local", cwd=repo)
    assert done.code == 0
    assert "git does not ignore" in done.err
    assert "too, and runs both" in done.err
    assert (repo / ".claude/settings.local.json").exists()
    for name in ("codex", "gemini", "cursor", "opencode"):
        assert "--project" in call("agents", "install", name, "--local", cwd=repo).err
    assert "repository" in call("agents", "install", "claude", "--project", cwd=home).err
    (repo / ".git/info/exclude").write_text(".claude/\n")
    assert "git ignores" in call("agents", "install", "claude", "--project", cwd=repo).err
    assert "git does not" not in call("agents", "install", "claude", "--local", cwd=repo).err
    (repo / ".git/info/exclude").unlink()
    ok("agents", "install", "copilot", "--local", cwd=repo)
    assert list(json.loads((repo / ".github/copilot/settings.local.json").read_text())) == ["hooks"]
    states = ok("agents", "list", "claude", "--json", cwd=repo).json[0]["installed"]
    assert [one["scope"] for one in states] == ["project", "local"]
    ok("agents", "uninstall", "--local", cwd=repo)
    ok("agents", "uninstall", "all", "--project", cwd=repo)
    assert git("status", "--porcelain", cwd=repo) == ""


@pytest.mark.parametrize("name", FILES)
def test_another_installation_that_works_is_not_out_of_date(home, tmp_path, name):
    ok("agents", "install", name)
    path = home / FILES[name]
    text = path.read_text()
    real = Path(hookfiles.source_path("agent-hook"))
    other = tmp_path / "it's another \u00e4" / "hooks" / "agent-hook.sh"
    other.parent.mkdir(parents=True)
    shutil.copy(real, other)
    python = other.parent / "python"
    python.symlink_to(sys.executable)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hookfiles, "source_path", lambda _: str(other))
        patch.setattr(hookfiles, "interpreter", lambda: str(python))
        assert ok("agents", "install", name).out.startswith(f"{name}\tupdated")

    def state():
        return ok("agents", "list", name, "--json").json[0]["installed"][0]["state"]

    assert "another" in path.read_text()
    assert state() == "installed"
    other.unlink()
    assert state() == "outdated"
    assert ok("agents", "install", name).out.startswith(f"{name}\tupdated")
    assert path.read_text() == text


def test_of_a_repository_that_is_long_gone_nothing_is_noted(home, repo, store):
    ok("agents", "install", "claude", "--project", cwd=repo)
    (note,) = (store / "agents" / "settings").iterdir()
    old = note.stat().st_mtime - 91 * 86400
    os.utime(note, (old, old))
    ok("agents", "install", "codex")
    assert note.exists()
    repo.rename(repo.parent / "moved")
    os.utime(note, None)
    ok("agents", "install", "codex")
    assert note.exists()  # the worktree may come back
    os.utime(note, (old, old))
    (note.parent / "damaged.json").write_text("{")
    os.utime(note.parent / "damaged.json", (old, old))
    ok("agents", "install", "codex")
    assert not note.exists()
    assert len(list(note.parent.iterdir())) == 2


def test_the_portable_command_does_nothing_where_there_is_no_prodigy_git(repo, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    # Codex takes the user's shell.
    here = calls.text(programs.CODEX, programs.Hook("Stop"), "user")
    commands = [
        calls.text(programs.CLAUDE, programs.Hook("Stop"), "project"),
        here.replace("/agent-hook.sh", "/gone/agent-hook.sh"),
    ]
    for shell in filter(None, map(shutil.which, ("sh", "bash", "dash", "zsh", "fish"))):
        for command in commands:
            done = subprocess.run(
                [shell, "-c", command], env={"PATH": str(empty), "HOME": str(tmp_path)},
                capture_output=True, check=False, input=b"{}",
            )  # fmt: skip
            assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), (shell, command)


def test_codex_hooks_go_where_others_are(home):
    config = 'model = "x"  # mine\n\n[[hooks.Stop]]\n[[hooks.Stop.hooks]]\n'
    config += 'type = "command"\ncommand = "a"'
    path = written(home, config, ".codex/config.toml")
    done = call("agents", "install", "codex")
    assert done.code == 0
    assert path.read_text().startswith(config + "\n\n[[hooks.SessionStart]]")
    assert not (home / FILES["codex"]).exists()
    first = path.read_text()
    ok("agents", "install", "codex")
    assert path.read_text() == first
    # Codex notes there whom it trusts, and somebody else adds something.
    later = first + '\n[hooks.state."x:stop:0:0"]\ntrusted_hash = "sha256:0"\n'
    path.write_text(later.replace("/agent-hook.sh", "/before/agent-hook.sh"))
    ok("agents", "install", "codex")
    ok("agents", "uninstall", "codex")
    assert (
        path.read_text() == config + '\n\n[hooks.state."x:stop:0:0"]\ntrusted_hash = "sha256:0"\n'
    )
    path.write_text("hooks = [1]\n[[[")
    ok("agents", "install", "codex")  # what cannot be read has no hooks: they go into hooks.json
    assert path.read_text() == "hooks = [1]\n[[["


def test_codex_inline_hooks_are_refused(home):
    text = 'hooks.Stop = [{hooks = [{type = "command", command = "a"}]}]\n'
    path = written(home, text, ".codex/config.toml")
    assert "left alone" in refused("agents", "install", "codex")
    assert path.read_text() == text


def test_a_plugin_of_another_or_edited_is_left_alone(home):
    path = written(home, "export const X = 1\n", FILES["opencode"])
    assert "not ours" in call("agents", "install", "opencode").err
    path.unlink()
    ok("agents", "install", "opencode")
    path.write_text(path.read_text() + "// more\n")
    for command in ("install", "uninstall"):
        assert "edited" in call("agents", command, "opencode").err
    assert path.read_text().endswith("// more\n")


def test_hard_to_write_paths(home, monkeypatch):
    site = plugging.Site(str(home / "store"), None, dict(os.environ))
    monkeypatch.setattr("prodigy_git.hookfiles.interpreter", lambda: "/tmp/py\udcff/python")
    with pytest.raises(ProdigyError, match="not UTF-8"):
        plugging.install(site, programs.CLAUDE, "user")
    monkeypatch.setattr("prodigy_git.hookfiles.interpreter", lambda: '/o\'d dir/$(x)/"py"; é')
    plugging.install(site, programs.CLAUDE, "user")
    assert plugging.install(site, programs.CLAUDE, "user").outcome == "unchanged"
    assert plugging.uninstall(site, programs.CLAUDE, "user").outcome == "removed"
    assert not (home / CLAUDE).exists()


@pytest.mark.parametrize(
    ("name", "variable", "path"),
    [
        ("claude", "CLAUDE_CONFIG_DIR", "settings.json"),
        ("codex", "CODEX_HOME", "hooks.json"),
        ("gemini", "GEMINI_CLI_HOME", ".gemini/settings.json"),
        ("copilot", "COPILOT_HOME", "hooks/prodigy-git.json"),
        ("opencode", "XDG_CONFIG_HOME", "opencode/plugins/prodigy-git.js"),
        ("opencode", "OPENCODE_CONFIG_DIR", "plugins/prodigy-git.js"),
    ],
)
def test_variables_that_move_settings_are_heeded(tmp_path, monkeypatch, name, variable, path):
    monkeypatch.setenv(variable, str(tmp_path / "moved"))
    ok("agents", "install", name)
    assert (tmp_path / "moved" / path).exists()
    ok("agents", "uninstall", name)
    assert not (tmp_path / "moved").exists()
    monkeypatch.setenv(variable, "relative")
    assert "absolute" in call("agents", "install", name).err


def test_one_scope_at_a_time(home, repo):
    line = refused("agents", "install", "claude", "--project", "--local", cwd=repo, code=2)
    assert "one of --project and --local" in line
    assert not (repo / ".claude").exists()


def test_none_found_wants_a_name(home):
    assert "name one" in refused("agents", "install")
    assert ok("agents", "uninstall").out == ""


def test_another_tool_that_makes_worktrees_goes_before_ours(home, repo):
    other = {"hooks": {"WorktreeCreate": [{"hooks": [{"type": "command", "command": "wt new"}]}]}}
    written(repo, json.dumps(other))
    done = call("agents", "install", "claude", cwd=repo)
    assert done.code == 0
    assert f"WorktreeCreate in {repo / CLAUDE}" in done.err
    events = json.loads((home / CLAUDE).read_text())["hooks"]
    assert "WorktreeCreate" not in events
    assert "WorktreeRemove" in events
    assert ok("agents", "list", "claude", "--json", cwd=repo).json[0]["installed"][0]["in_effect"]
    (repo / CLAUDE).unlink()
    assert "out of date" in ok("agents", "list", "claude", cwd=repo).out
    assert call("agents", "install", "claude", cwd=repo).err == ""
    assert "WorktreeCreate" in json.loads((home / CLAUDE).read_text())["hooks"]
    # It comes later: ours makes room.
    document = json.loads((home / CLAUDE).read_text())
    document["hooks"]["WorktreeCreate"] += other["hooks"]["WorktreeCreate"]
    (home / CLAUDE).write_text(json.dumps(document, indent=2))
    assert "ours was left out" in call("agents", "install", "claude", cwd=repo).err
    events = json.loads((home / CLAUDE).read_text())["hooks"]
    assert events["WorktreeCreate"] == other["hooks"]["WorktreeCreate"]


def test_ours_in_two_files_of_codex(home):
    ok("agents", "install", "codex")
    text = 'model = "x"\n[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ntype = "command"\ncommand = "a"\n'
    config = written(home, text, ".codex/config.toml")
    hooks = home / FILES["codex"]
    kept = hooks.read_text()
    hooks.unlink()
    ok("agents", "install", "codex")
    assert config.read_text() != text
    hooks.write_text(kept)
    ok("agents", "uninstall", "codex")
    assert config.read_text() == text
    assert not hooks.exists()


def test_a_bare_repository_has_no_settings(home, tmp_path, git):
    git("init", "-q", "--bare", tmp_path / "bare.git", cwd=tmp_path)
    for scope in ("--project", "--local"):
        assert (
            "repository"
            in call("agents", "install", "claude", scope, cwd=tmp_path / "bare.git").err
        )
    assert not (tmp_path / "bare.git" / ".claude").exists()
