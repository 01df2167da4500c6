"""agents list and doctor: whether our hooks run, what is missing, who was heard of last."""

import hashlib
import json
import os

import pytest
from support_cli import call, new, ok

from prodigy_git import layout
from prodigy_git.agents import codex_trust, in_effect


def listed(name, cwd=None):
    (one,) = ok("agents", "list", name, "--json", cwd=cwd).json
    return one


def missing(name, cwd=None, scope="user"):
    return next(one["missing"] for one in listed(name, cwd)["installed"] if one["scope"] == scope)


def change(path, **more):
    """Write something into a settings file of ours."""
    document = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**document, **more}))


def test_what_is_not_there_and_not_plugged_in(home, no_programs):
    assert listed("claude") == {
        "program": "claude", "title": "Claude Code", "found": False, "path": None, "version": None,
        "in_effect": False, "installed": [], "last_event_at": None,
    }  # fmt: skip
    package = home / "lib/node_modules/@x/claude-code"
    (package / "bin").mkdir(parents=True)
    (package / "package.json").write_text('{"name": "@x/claude-code", "version": "2.1.332"}')
    (package / "bin/claude.js").write_text("#!/bin/sh\n")
    (package / "bin/claude.js").chmod(0o755)
    (no_programs / "claude").symlink_to(package / "bin/claude.js")
    one = listed("claude")
    assert (one["found"], one["version"]) == (True, "2.1.332")
    assert one["path"] == str(no_programs / "claude")
    assert "not plugged in" in ok("agents", "list", "claude").out
    (no_programs / "claude").unlink()
    native = home / "versions" / "2.1.400"
    native.parent.mkdir()
    native.write_text("#!/bin/sh\n")
    native.chmod(0o755)
    (no_programs / "claude").symlink_to(native)
    assert listed("claude")["version"] == "2.1.400"
    assert ok("agents", "install").out.startswith("claude\tinstalled")


def test_a_claude_code_that_would_ignore_the_whole_file_gets_no_hooks(home, no_programs):
    package = home / "lib/node_modules/@x/claude-code"
    package.mkdir(parents=True)
    (package / "cli.js").write_text("#!/bin/sh\n")
    (package / "cli.js").chmod(0o755)
    (no_programs / "claude").symlink_to(package / "cli.js")
    path = home / ".claude/settings.json"
    change(path, permissions={"deny": ["Read(.env)"]})
    before = path.read_text()

    def be(version, **more):
        about = {"name": "@x/claude-code", "version": version, **more}
        (package / "package.json").write_text(json.dumps(about))

    be("2.1.30")
    said = call("agents", "install", "claude")
    assert said.code == 1
    assert "Claude Code 2.1.30 ignores all of" in said.err
    assert "update it to 2.1." in said.err
    assert path.read_text() == before
    be("2.1.332")
    ok("agents", "install", "claude")
    assert missing("claude") == []
    be("2.1.30")
    assert "Claude Code 2.1.30 ignores all of" in missing("claude")[0]
    # What a script lies in that calls the program, as in ~/.claude/local, is of no version.
    for more in ({"name": "claude-local", "private": True}, {"name": "my-home"}):
        be("0.0.1", **more)
        assert listed("claude")["version"] is None
        assert missing("claude") == []
    be("2.1.30")
    ok("agents", "uninstall", "claude")
    assert path.read_text() == before


def test_claude_switches(home, repo):
    ok("agents", "install", "claude")
    path = home / ".claude/settings.json"
    assert listed("claude", repo)["in_effect"] is True
    change(repo / ".claude/settings.json", disableAllHooks=True)
    assert "disableAllHooks" in missing("claude", repo)[0]
    change(repo / ".claude/settings.local.json", disableAllHooks=False)
    assert missing("claude", repo) == []
    change(path, disableAllHooks=True)
    assert "take it out" in missing("claude")[0]
    assert "not in effect (--user)" in ok("agents", "list", "claude").out
    change(path, disableAllHooks=False)
    policy = f"{in_effect.CLAUDE_POLICY}/managed-settings.d"
    os.makedirs(policy)
    with open(f"{policy}/10-hooks.json", "w") as stream:
        stream.write('{"allowManagedHooksOnly": true}')
    assert "allowManagedHooksOnly" in missing("claude")[0]


def test_a_comment_keeps_claude_and_codex_from_reading_their_files(home):
    files = {
        "claude": ".claude/settings.json", "codex": ".codex/hooks.json",
        "copilot": ".copilot/hooks/prodigy-git.json",
    }  # fmt: skip
    for name, file in files.items():
        ok("agents", "install", name)
        path = home / file
        path.write_text("// mine\n" + path.read_text())
        assert "it takes plain JSON" in missing(name)[0]
        assert call("agents", "install", name).code == 0
        ok("agents", "uninstall", name)
    gemini = home / ".gemini/settings.json"
    ok("agents", "install", "gemini")
    gemini.write_text("// mine\n" + gemini.read_text())
    assert missing("gemini") == []
    gemini.write_text('{"a": [1, ], ' + gemini.read_text().partition("{")[2])
    assert "a comma before a bracket" in missing("gemini")[0]


def test_codex_wants_each_hook_trusted(home, repo):
    ok("agents", "install", "codex")
    path = home / ".codex/hooks.json"
    (why,) = missing("codex")
    assert why.startswith("nobody has trusted 9 hooks in Codex: start codex, type /hooks")
    hooks = json.loads(path.read_text())["hooks"]
    config = "[features]\nx = true\n"
    for event in hooks:
        label = codex_trust._label(event)
        handler = hooks[event][0]["hooks"][0]
        # As Codex itself says it (app-server, hooks/list), and notes it once a person trusts it.
        plain = {"type": "command", "command": handler["command"], "timeout": handler["timeout"]}
        text = json.dumps(
            {"event_name": label, "hooks": [{**plain, "async": False}]},
            sort_keys=True, separators=(",", ":"),
        )  # fmt: skip
        trusted = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
        config += f'[hooks.state."{path}:{label}:0:0"]\ntrusted_hash = "{trusted}"\n'
    (home / ".codex/config.toml").write_text(config)
    assert missing("codex") == []
    assert listed("codex")["in_effect"] is True
    # Trust of others goes by places: ours come behind theirs, and stay where they are.
    (home / ".codex/config.toml").write_text(config.replace("sha256:", "sha256:0", 1))
    assert "changed since" in missing("codex")[0]
    (home / ".codex/config.toml").write_text(config + "enabled = false\n")
    assert missing("codex")[0].startswith("the hook SessionEnd switched off in Codex")
    (home / ".codex/config.toml").write_text(config.replace("x = true", "hooks = false"))
    assert "hooks = false" in missing("codex")[0]
    (home / ".codex/config.toml").write_text(config)
    ok("agents", "install", "codex", "--project", cwd=repo)
    assert "does not trust" in missing("codex", repo, "project")[0]
    change(path, schema=1)
    assert "'schema'" in missing("codex")[0]


@pytest.mark.parametrize("name", ["hooks.json", "config.toml"])
def test_hooks_of_others_behind_ours_in_codex_are_thought_of(home, name):
    folder = home / ".codex"
    folder.mkdir()
    config = folder / "config.toml"
    first, later = ({"type": "command", "command": one} for one in ("first", "later"))
    table = '\n[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ntype = "command"\ncommand = "{}"\n'
    if name == "config.toml":
        config.write_text(table.format("first"))
        ok("agents", "install", "codex")
        config.write_text(config.read_text() + table.format("later"))
    else:
        change(folder / name, hooks={"Stop": [{"hooks": [first]}]})
        ok("agents", "install", "codex")
        hooks = json.loads((folder / name).read_text())["hooks"]
        hooks["Stop"].append({"hooks": [later]})
        change(folder / name, hooks=hooks)
    for place, one in ((0, first), (2, later)):
        known = f'[hooks.state."{folder / name}:stop:{place}:0"]\n'
        with config.open("a") as stream:
            stream.write(known + f'trusted_hash = "{codex_trust._hash("stop", None, one)}"\n')
    text = (folder / name).read_text()
    # What an earlier installation wrote is renewed where it stands.
    (folder / name).write_text(text.replace("/agent-hook.sh", "/before/agent-hook.sh"))
    assert "by their places" not in call("agents", "install", "codex").err
    assert (folder / name).read_text() == text
    assert "have moved, at Stop: start codex" in call("agents", "uninstall", "codex").err
    ok("agents", "install", "codex")
    assert "by their places" not in call("agents", "uninstall", "codex").err


def test_the_hash_is_the_one_that_codex_has():
    # As `codex app-server` 0.171 answers to hooks/list.
    handler = {"type": "command", "command": "cat", "timeout": 600}
    known = "9c24c761d093415d5952b1bf04b42fdcc68ee1d13b9a3e180eae18cee3df38ed"
    assert codex_trust._hash("stop", None, handler) == f"sha256:{known}"
    assert codex_trust._hash("stop", "x", handler) == codex_trust._hash("stop", None, handler)
    assert codex_trust._hash("session_end", None, {**handler, "timeout": 9}) == codex_trust._hash(
        "session_end", None, {**handler, "timeout": 3}
    )


def test_gemini_switches(home, repo):
    ok("agents", "install", "gemini")
    path = home / ".gemini/settings.json"
    change(path, hooksConfig={"enabled": False})
    assert "hooksConfig.enabled" in missing("gemini")[0]
    change(path, hooksConfig={"disabled": ["prodigy-git"]})
    assert "/hooks enable prodigy-git" in missing("gemini")[0]
    change(path, hooksConfig={})
    assert missing("gemini") == []
    ok("agents", "install", "gemini", "--project", cwd=repo)
    assert "may not trust" in missing("gemini", repo, "project")[0]
    change(home / ".gemini/trustedFolders.json", **{str(repo.parent): "TRUST_FOLDER"})
    assert missing("gemini", repo, "project") == []


def test_copilot_switch(home, repo):
    ok("agents", "install", "copilot")
    assert missing("copilot", repo) == []
    change(repo / ".github/copilot/settings.json", disableAllHooks=True)
    assert "disableAllHooks" in missing("copilot", repo)[0]
    (repo / ".github/copilot/settings.json").unlink()
    ok("agents", "install", "copilot", "--local", cwd=repo)
    assert "may not trust" in missing("copilot", repo, "local")[0]
    config = home / ".copilot/config.json"
    config.write_text(f'// made by copilot\n{{"trusted_folders": ["{repo.parent}"], }}')
    assert missing("copilot", repo, "local") == []


def test_a_file_that_broke_since_is_said(home):
    ok("agents", "install", "claude")
    path = home / ".claude/settings.json"
    path.write_text(path.read_text() + "}")
    one = listed("claude")["installed"][0]
    assert (one["state"], one["in_effect"]) == ("unreadable", False)
    assert "is no JSON" in one["missing"][0]

    def found():
        return {one["what"]: one for one in call("doctor", "--json").json}["agents claude"]

    assert (found()["level"], found()["remedy"]) == ("warning", "mend it first")
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("a file")
    assert "Not a directory" in found()["words"]


def test_doctor_says_it_and_brings_it_up_to_date(home, repo):
    ok("agents", "install", "claude")
    (home / ".gemini").mkdir()
    path = home / ".claude/settings.json"
    now = path.read_text()

    def found(*more):
        return {one["what"]: one for one in call("doctor", "--json", *more, cwd=repo).json}

    words = found()["agents"]
    assert words["words"] == "plugged in: claude; not plugged in: gemini"
    assert words["remedy"] == "prodigy-git agents install gemini"
    path.write_text(now.replace("/agent-hook.sh", "/before/agent-hook.sh"))
    one = found()["agents claude"]
    assert one["remedy"] == "prodigy-git agents install claude --user"
    assert found("--fix")["agents claude"]["fixed"] is True
    assert path.read_text() == now
    change(path, disableAllHooks=True)
    one = found()["agents claude"]
    assert (one["level"], one["remedy"]) == ("warning", "take it out")


def test_the_last_event_is_that_of_the_activity(home, repo, store):
    session = new(repo, "one")
    key = os.path.basename(os.path.dirname(session["worktree"]))
    path = layout.activity(str(store), key, session["session_id"])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as stream:
        for at, program in (
            ("2025-01-11T12:00:00.000001Z", "claude"),
            ("2025-01-11T13:00:00Z", "codex"),
        ):
            line = {"at": at, "program": program, "program_session": "a", "kind": "tool"}
            stream.write(json.dumps(line) + "\n")
    assert listed("claude")["last_event_at"] == "2025-01-11T12:00:00.000001Z"
    assert listed("codex")["last_event_at"].startswith("2025-01-11T13:00:00")
    assert listed("gemini")["last_event_at"] is None


def test_a_plugin_is_seen(home, repo):
    change(
        home / ".claude/settings.json",
        enabledPlugins={"prodigy-git@prodigy-git": True, "x@y": True},
    )
    (place,) = listed("claude")["installed"]
    assert (place["scope"], place["in_effect"]) == ("plugin", True)
    assert "in effect (plugin)" in ok("agents", "list", "claude").out
    assert "as a plugin, too" in call("agents", "install", "claude").err
    ok("agents", "uninstall", "claude")
    change(repo / ".claude/settings.local.json", enabledPlugins={"prodigy-git@prodigy-git": False})
    assert listed("claude", repo)["installed"] == []
    change(home / ".claude/settings.json", disableAllHooks=True)
    assert "disableAllHooks" in missing("claude", scope="plugin")[0]
    config = home / ".codex/config.toml"
    config.parent.mkdir()
    config.write_text('[plugins."prodigy-git@here"]\nenabled = true\n')
    assert missing("codex", scope="plugin")[0].startswith("nobody has trusted its hooks")
    key = "prodigy-git@here:hooks/hooks.json:stop:0:0"
    config.write_text(config.read_text() + f'[hooks.state."{key}"]\ntrusted_hash = "sha256:0"\n')
    assert missing("codex", scope="plugin") == []
    extension = home / ".gemini/extensions/prodigy-git"
    extension.mkdir(parents=True)
    (extension / "gemini-extension.json").write_text("{}")
    assert missing("gemini", scope="plugin") == []
