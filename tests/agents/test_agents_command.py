"""agents install, uninstall and list, with settings files as people have them."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support_cli import call, ok, refused, snapshot
from support_mounts import mounted, needs_mounts
from support_user import User, environment, interpreter

from prodigy_git import hookfiles
from prodigy_git.agents import (
    calls,
    entries,
    hooks_in_json,
    jsonc,
    plugging,
    programs,
    settings_file,
)
from prodigy_git.errors import ProdigyError

CLAUDE = ".claude/settings.json"
FILES = {
    "claude": CLAUDE,
    "codex": ".codex/hooks.json",
    "gemini": ".gemini/settings.json",
    "cursor": ".cursor/hooks.json",
    "copilot": ".copilot/hooks/prodigy-git.json",
    "opencode": ".config/opencode/plugins/prodigy-git.js",
}
REAL = {
    "a person's": """\
{
  "model": "opus",
  "permissions": {
    "allow": ["Bash(git *)"]
  },
  "hooks": {
    "PostToolUse": [
      {
        "matcher": "Edit|Write",
        "hooks": [
          { "type": "command", "command": "jq -r .tool_input.file_path | xargs prettier -w" }
        ]
      }
    ]
  },
  "env": { "TOKEN": "x" }
}
""",
    "with comments": '// mine\n{\n\t"hooks": {\n\t\t// later\n\t\t"Stop": [],\n\t},\n}\n',
    "on one line": '{"a":1,"hooks":{}}',
    "of Windows": '\ufeff{\r\n  "a": 1\r\n}\r\n',
    "without an end": '{\n    "a": 1.0\n}',
    "empty": "",
    "of blanks": "\n \n",
    "an object": "{}\n",
    "an object with a line": "{\n}",
    "keys twice": '{"hooks": {"Stop": []}, "a": 1, "hooks": {"Stop": [], "Stop": [ ]}}',
}


@pytest.fixture
def home(sealed):
    return sealed


def written(home, text, name=CLAUDE):
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def ours(path):
    root = jsonc.parse(path.read_text(encoding="utf-8"))
    there = entries.found(programs.CLAUDE, root)
    return sum(calls.is_ours(one.command()) for one in there)


@pytest.mark.parametrize("kind", REAL)
def test_uninstall_leaves_settings_as_they_were(home, tmp_path, kind):
    path = written(home, REAL[kind])
    before = path.read_bytes()
    assert ok("agents", "install", "claude").out.startswith("claude\tinstalled, ")
    after = path.read_bytes()
    assert ours(path) == len(programs.CLAUDE.hooks)
    assert ok("agents", "install", "claude").out.startswith("claude\twas there already")
    assert path.read_bytes() == after
    assert ok("agents", "uninstall", "claude").out.startswith("claude\tremoved, ")
    assert path.read_bytes() == before
    assert ok("agents", "uninstall", "claude").out.startswith("claude\twas not there")
    assert os.listdir(path.parent) == ["settings.json"]


@pytest.mark.parametrize("name", FILES)
def test_what_is_made_goes_again(home, store, name):
    before = snapshot(home)
    ok("agents", "install", name)
    text = (home / FILES[name]).read_text()
    assert "agent-hook.sh" in text
    assert ok("agents", "list", name, "--json").json[0]["installed"][0]["state"] == "installed"
    ok("agents", "install", name)
    assert (home / FILES[name]).read_text() == text
    ok("agents", "uninstall", name)
    assert snapshot(home) == before
    # The same for who has another store, where nothing is noted.
    ok("agents", "install", name)
    shutil.rmtree(store / "agents")
    ok("agents", "uninstall", name)
    left = home / FILES[name]
    assert not left.exists() or hooks_in_json.is_bare(left.read_text())


def test_a_program_may_rewrite_its_settings(home):
    path = written(home, REAL["a person's"])
    ok("agents", "install", "claude")
    document = json.loads(path.read_text())
    document["hooks"]["Stop"].append({"hooks": [{"type": "command", "command": "say done"}]})
    path.write_text(json.dumps(document, indent=2))
    rewritten = path.read_text()
    assert ok("agents", "install", "claude").out.startswith("claude\twas there already")
    assert path.read_text() == rewritten
    ok("agents", "uninstall", "claude")
    rest = json.loads(REAL["a person's"])
    rest["hooks"]["Stop"] = document["hooks"]["Stop"][1:]
    assert json.loads(path.read_text()) == rest


def test_containers_that_were_there_stay_when_the_file_has_changed_since(home):
    path = written(home, '{\n  "hooks": {\n    "Stop": []\n  }\n}\n')
    ok("agents", "install", "claude")
    document = json.loads(path.read_text())
    path.write_text(json.dumps({"new": 1, **document}, indent=2))
    ok("agents", "uninstall", "claude")
    assert json.loads(path.read_text()) == {"new": 1, "hooks": {"Stop": []}}


def test_an_installation_elsewhere_is_replaced_at_its_place(home):
    path = written(home, REAL["a person's"])
    ok("agents", "install", "claude")
    now = path.read_text()
    old = now.replace("/agent-hook.sh", "/before/agent-hook.sh")
    path.write_text(old)
    assert "out of date (--user)" in ok("agents", "list", "claude").out
    assert ok("agents", "install", "claude").out.startswith("claude\tupdated, ")
    assert path.read_text() == now
    path.write_text(old)
    ok("agents", "uninstall", "claude")
    assert path.read_text() == REAL["a person's"]


@pytest.mark.parametrize(
    "text", ['{"a": 1', "{'a': 1}", '{"hooks": []}', "[]", '{"hooks": {"Stop": 1}}']
)
def test_what_cannot_be_understood_is_left_alone(home, text):
    path = written(home, text)
    line = call("agents", "install", "claude")
    assert (line.code, line.out) == (1, "")
    assert str(path) in line.err
    assert line.err.count("\n") == 1
    assert path.read_text() == text
    if "hooks" not in text and text != "[]":
        assert "line 1, column" in line.err
        assert call("agents", "uninstall", "claude").code == 1
    assert path.read_text() == text


def test_one_that_cannot_be_done_does_not_keep_the_others(home):
    written(home, "{")
    (home / ".codex").mkdir()
    done = call("agents", "install", "all", "--json")
    assert done.code == 1
    assert done.json[0]["path"] == str(home / CLAUDE)
    assert [(one["program"], one["outcome"]) for one in done.json] == [
        ("claude", "refused"), ("codex", "installed"),
    ]  # fmt: skip
    assert (home / FILES["codex"]).exists()


def test_links_are_followed_and_kept(home, tmp_path):
    target = tmp_path / "dotfiles" / "claude.json"
    target.parent.mkdir()
    target.write_text(REAL["a person's"])
    target.chmod(0o640)
    (home / ".claude").mkdir()
    link = home / CLAUDE
    link.symlink_to("../../dotfiles/claude.json")
    ok("agents", "install", "claude")
    assert link.is_symlink()
    assert ours(target) == len(programs.CLAUDE.hooks)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    ok("agents", "uninstall", "claude")
    assert target.read_text() == REAL["a person's"]
    assert link.is_symlink()
    assert os.listdir(target.parent) == ["claude.json"]
    target.unlink()
    target.parent.rmdir()
    assert "leads nowhere" in call("agents", "install", "claude").err
    link.unlink()
    link.symlink_to("settings.json")
    assert "circle" in call("agents", "install", "claude").err


def test_what_is_no_file_or_not_to_be_written_is_left_alone(home):
    path = written(home, "{}")
    path.chmod(0o444)
    assert "is read-only" in call("agents", "install", "claude").err
    assert path.read_text() == "{}"
    path.unlink()
    os.mkfifo(path)
    assert "is a FIFO" in call("agents", "install", "claude").err
    path.unlink()
    path.mkdir()
    assert "is a folder" in call("agents", "install", "claude").err
    path.rmdir()
    path.write_bytes(b'{"a": "\xff"}')
    assert "not UTF-8" in call("agents", "install", "claude").err
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("a file")
    assert call("agents", "install", "claude").code == 1
    assert path.parent.read_text() == "a file"


def test_a_link_to_what_nobody_may_write_says_where(home, tmp_path):
    target = tmp_path / "store" / "settings.json"
    target.parent.mkdir()
    target.write_text("{}")
    target.chmod(0o444)
    (home / ".claude").mkdir()
    (home / CLAUDE).symlink_to(target)
    said = call("agents", "install", "claude").err
    assert f"is a link to {target}, which is read-only" in said
    assert "change it where that file is made" in said
    assert target.read_text() == "{}"


def test_another_name_of_a_file_is_told_of(home, tmp_path):
    path = written(home, REAL["a person's"])
    other = tmp_path / "dotfile"
    os.link(path, other)
    assert "another name (a hard link)" in call("agents", "install", "claude").err
    assert other.read_text() == REAL["a person's"]
    assert "another name" not in call("agents", "uninstall", "claude").err
    assert path.read_text() == REAL["a person's"]


def test_what_is_mounted_or_on_a_read_only_filesystem_is_left_alone(home, tmp_path):
    needs_mounts()
    path = written(home, "")
    real = tmp_path / "real"
    real.write_text("{}")
    with mounted(path, real):
        assert "call it where it is mounted from" in call("agents", "install", "claude").err
        assert path.read_text() == real.read_text() == "{}"
    with mounted(home, home):
        subprocess.run(["mount", "-o", "remount,bind,ro", home], check=True)
        said = call("agents", "install", "claude", "codex").err
    assert f"{path} is on a read-only filesystem, and was left alone: call it where" in said
    assert f"(Read-only file system); nothing was changed: make {home} writable" in said


def test_modes_do_not_stop_root_but_others(tmp_path_factory):
    import tempfile

    with tempfile.TemporaryDirectory(prefix="prodigy-agents-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        user = User(folder)
        interpreter()
        home = folder / "home"
        user.run("mkdir", home / ".claude", cwd=folder)
        # A file that root owns, in the user's own folder: a rename would do.
        (home / CLAUDE).write_text("{}")
        done = user.run("prodigy-git", "agents", "install", "claude", cwd=folder, check=False)
        if os.geteuid() == 0:
            assert "belongs to another user" in done.stderr
            assert (home / CLAUDE).read_text() == "{}"
            (home / CLAUDE).unlink()
            # And root in the user's home leaves all to the user.
            words = ("prodigy-git", "agents", "install", "claude")
            user._run([], words, folder, True, environment(folder))
            assert (home / CLAUDE).stat().st_uid == user.uid
        user.run("chmod", "555", home / ".claude", cwd=folder)
        before = (home / CLAUDE).read_bytes()
        done = user.run("prodigy-git", "agents", "uninstall", "claude", cwd=folder, check=False)
        assert done.returncode == 1
        assert "cannot be" in done.stderr
        assert (home / CLAUDE).read_bytes() == before
        user.run("chmod", "755", home / ".claude", cwd=folder)


CALLS = ("open", "write", "fsync", "fchmod", "fchown", "rename", "unlink", "mkdir", "rmdir")


def at_call(number, what):
    """Have the ``number``-th call that changes something on disk do something else; return a count."""
    seen = [0]

    def wrapped(name):
        real = getattr(os, name)

        def instead(*arguments, **more):
            if name == "open" and not arguments[1] & (os.O_WRONLY | os.O_RDWR):
                return real(*arguments, **more)
            seen[0] += 1
            if seen[0] == number:
                what()
            return real(*arguments, **more)

        return instead

    for name in CALLS:
        setattr(os, name, wrapped(name))
    return seen


def in_a_child(action):
    """Run something in a process of its own and return its exit status, -1 where it was killed."""
    sys_status = os.fork()
    if sys_status == 0:
        status = 99
        try:
            status = action()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(sys_status, 0)[1])


@pytest.mark.parametrize("command", ["install", "uninstall"])
@pytest.mark.parametrize("made", [False, True])
def test_killed_at_any_step_the_file_is_whole(home, store, command, made):
    path = home / CLAUDE
    text = REAL["a person's"]

    def begin():
        shutil.rmtree(store, ignore_errors=True)
        shutil.rmtree(path.parent, ignore_errors=True)
        if not made:
            written(home, text)
        if command == "uninstall":
            ok("agents", "install", "claude")

    begin()
    old = path.read_bytes() if path.exists() else None
    ok("agents", command, "claude")
    new = path.read_bytes() if path.exists() else None
    number = 0
    while True:
        number += 1
        begin()

        def killed(number=number):
            at_call(number, lambda: os._exit(42))
            return call("agents", command, "claude").code

        status = in_a_child(killed)
        there = path.read_bytes() if path.exists() else None
        assert there in (old, new), number
        ok("agents", "install", "claude")
        assert ours(path) == len(programs.CLAUDE.hooks)
        ok("agents", "uninstall", "claude")
        assert (path.read_bytes() if path.exists() else None) == (None if made else text.encode())
        assert not path.parent.exists() or os.listdir(path.parent) in ([], ["settings.json"])
        if status != 42:
            assert status == 0
            break
    assert number > 5


def test_a_full_disk_leaves_the_file_as_it_was(home, store):
    path = written(home, REAL["a person's"])
    number = 0
    while True:
        number += 1

        def full():
            raise OSError(28, "No space left on device")

        def tried(number=number):
            at_call(number, full)
            done = call("agents", "install", "claude")
            assert done.err.count("\n") == (1 if done.code else 0), done
            assert "internal error" not in done.err, done
            return done.code

        status = in_a_child(tried)
        assert status in (0, 1)
        if status == 1:
            assert path.read_text() == REAL["a person's"]
            assert os.listdir(path.parent) == ["settings.json"]
        else:
            assert ours(path) == len(programs.CLAUDE.hooks)
            ok("agents", "uninstall", "claude")
            assert path.read_text() == REAL["a person's"]
            if number > 20:
                break


def test_what_the_program_writes_meanwhile_is_not_lost(home, monkeypatch):
    path = written(home, '{"a": 1}')
    real = settings_file._dress
    texts = iter(['{"a": 2}', '{"a": 3}'])

    def slow(*arguments):
        real(*arguments)
        with_text = next(texts, None)
        if with_text is not None:
            path.write_text(with_text)

    monkeypatch.setattr(settings_file, "_dress", slow)
    ok("agents", "install", "claude")
    assert json.loads(path.read_text())["a"] == 3
    assert ours(path) == len(programs.CLAUDE.hooks)
    monkeypatch.setattr(settings_file, "_dress", real)
    ok("agents", "uninstall", "claude")
    assert path.read_text() == '{"a": 3}'

    def restless(*arguments):
        real(*arguments)
        path.write_text(path.read_text() + " ")

    monkeypatch.setattr(settings_file, "_dress", restless)
    assert "all the time" in refused("agents", "install", "claude")


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


NODE = """
import {{ ProdigyGit }} from "{plugin}"
const plugin = await ProdigyGit({{ directory: "/work", worktree: "/work" }})
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
    from prodigy_git.record import agent_programs

    heard = [
        agent_programs.normal("opencode", None, json.loads(line))
        for line in log.read_text().splitlines()
    ]
    assert [(one.kind, one.program_session, one.subagent) for one in heard] == [
        ("start", "a", None), ("prompt", "a", None), ("subagent_start", "a", "b"),
        ("tool", "a", "b"), ("subagent_end", "a", "b"), ("idle", "a", None), ("end", "a", None),
    ]  # fmt: skip
    assert heard[1].text == "do it"
    assert heard[3].files == ("/work/x",)


@pytest.mark.parametrize("program", programs.ALL, ids=lambda one: one.name)
def test_each_event_that_we_listen_to_is_understood(program):
    from prodigy_git.record import agent_programs

    raw = {
        "session_id": "a",
        "notification_type": "permission_prompt",
        "tool_name": "AskUserQuestion",
    }
    for hook in program.hooks:
        heard = agent_programs.normal(program.name, hook.event, raw)
        assert heard is not None, hook
        assert heard.kind != "seen", hook
