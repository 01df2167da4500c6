"""agents install, uninstall and list, with settings files as people have them."""

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from support_agent_settings import CLAUDE, FILES, REAL, ours, written
from support_cli import call, ok, snapshot
from support_mounts import mounted, needs_mounts
from support_user import User, environment, interpreter

from prodigy_git.agents import (
    hooks_in_json,
    programs,
)


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
