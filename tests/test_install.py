"""Installing, and uninstalling: what was there, hooks directories of all kinds, what is left alone."""

import json
import os
import stat
import sys
import threading
from pathlib import Path

import pytest
from hooks_support import World
from support_install import HOOK, ran_on_commit

from prodigy_git import hookfiles, install
from prodigy_git.errors import ProdigyError
from prodigy_git.hookfiles import HOOKS


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path / "world", monkeypatch)


@pytest.mark.parametrize("mode", [0o755, 0o700, 0o644])
def test_uninstall_restores_byte_for_byte_and_mode_for_mode(world: World, mode: int) -> None:
    world.own().chmod(mode)
    target = world.root / "elsewhere.sh"
    target.write_text("#!/bin/sh\nexit 0\n")
    target.chmod(0o755)
    (world.hooks / "post-merge").symlink_to("../../../elsewhere.sh")
    (world.hooks / "post-rewrite").symlink_to("nowhere")
    before = world.snapshot()
    world.install()
    assert target.read_text() == "#!/bin/sh\nexit 0\n"
    expected = ["ours", "own"] if mode != 0o644 else ["ours"]
    assert ran_on_commit(world) == expected
    report = install.uninstall(world.repo)
    assert world.snapshot() == before
    assert report.notes == []
    assert not (world.repo / ".git" / "prodigy-hooks").exists()


def test_installing_twice_changes_nothing(world: World) -> None:
    world.own()
    world.install()

    def times() -> list[tuple[str, int, int]]:
        return [(p.name, p.lstat().st_ino, p.lstat().st_ctime_ns) for p in world.hooks.iterdir()]

    before = times()
    report = world.install()
    assert times() == before
    assert not any(state.changed for state in report.hooks)


def test_an_old_rendering_is_replaced_and_keeps_the_first_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install.time, "time", lambda: 1000.5)
    world.install()
    monkeypatch.setattr(install.time, "time", lambda: 2000.5)
    link = world.root / "python"
    link.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(link))
    assert all(state.changed for state in world.install().hooks)
    found = hookfiles.look(str(world.hooks / HOOK))
    assert found is not None
    assert found.runtime == hookfiles.Runtime(str(link), str(world.package), 1000)
    assert not found.edited
    world.commit()
    assert (world.package / "calls").read_text() == f"{HOOK}|1000\n"


def test_an_edited_hook_is_left_alone(world: World) -> None:
    world.install()
    path = world.hooks / HOOK
    path.write_text(path.read_text() + "# mine\n")
    assert world.install().hooks[0].words == "edited by someone"
    report = install.uninstall(world.repo)
    assert path.read_text().endswith("# mine\n")
    assert "edited" in report.notes[0]
    assert sorted(world.snapshot()) == [HOOK]


def test_a_replaced_hook_is_left_alone(world: World) -> None:
    world.own(name="first")
    world.install()
    (world.hooks / HOOK).unlink()
    path = world.own(name="second")
    before = path.read_bytes()
    report = install.uninstall(world.repo)
    assert path.read_bytes() == before
    assert any("replaced since" in note for note in report.notes)
    assert b"first" in (world.hooks / f"{HOOK}.prodigy-chained").read_bytes()


def test_killed_between_keeping_and_writing(world: World) -> None:
    path = world.own()
    os.link(path, world.hooks / f"{HOOK}.prodigy-chained")
    world.install()
    assert ran_on_commit(world) == ["ours", "own"]
    install.uninstall(world.repo)
    assert sorted(world.snapshot()) == [HOOK]


def test_two_installs_at_once_keep_the_chained_hook(world: World) -> None:
    world.own()
    threads = [threading.Thread(target=world.install) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ran_on_commit(world) == ["ours", "own"]
    assert sorted(world.snapshot()) == sorted([*HOOKS, f"{HOOK}.prodigy-chained"])


@pytest.mark.parametrize("kind", ["missing", "symlink", "absolute", "home"])
def test_hooks_directories_of_all_kinds(world: World, kind: str) -> None:
    folder = world.root / "home" / "some hooks"
    if kind == "missing":
        world.hooks.rmdir()
        folder = world.hooks
    elif kind == "symlink":
        world.hooks.rmdir()
        folder.mkdir()
        world.hooks.symlink_to(folder)
    else:
        value = str(folder) if kind == "absolute" else "~/some hooks"
        world.git("config", "core.hooksPath", value)
    world.install()
    assert sorted(path.name for path in folder.iterdir()) == sorted(HOOKS)
    assert ran_on_commit(world) == ["ours"]
    install.uninstall(world.repo)
    assert list(folder.iterdir()) == []


def test_relative_hooks_path_in_a_linked_worktree_and_from_a_subfolder(world: World) -> None:
    world.git("config", "core.hooksPath", "my hooks")
    tree = world.root / "tree"
    world.git("worktree", "add", "-q", "--detach", str(tree))
    (tree / "sub").mkdir()
    assert world.install(tree / "sub").directory == str(tree / "my hooks")
    world.commit(tree)
    assert world.calls() == [HOOK]
    assert not (world.repo / "my hooks").exists()


def test_submodule(world: World) -> None:
    world.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(world.repo), "sub")
    world.install(world.repo / "sub")
    world.commit(world.repo / "sub")
    assert world.calls() == [HOOK]


def test_global_hooks_path_is_said(world: World) -> None:
    world.git("config", "--global", "core.hooksPath", str(world.root / "everyone"))
    report = world.install()
    assert "every repository" in report.notes[0]
    assert ran_on_commit(world) == ["ours"]


@pytest.mark.parametrize("kind", ["tracked", "husky 9"])
def test_a_tracked_folder_is_not_edited(world: World, kind: str) -> None:
    tracked = world.repo / ".husky"
    tracked.mkdir()
    (tracked / HOOK).write_text(f"#!/bin/sh\necho husky >> '{world.ran}'\n")
    (tracked / HOOK).chmod(0o755)
    world.git("add", ".husky")
    world.git("config", "core.hooksPath", ".husky")
    if kind == "husky 9":
        generated = tracked / "_"
        generated.mkdir()
        (generated / "h").write_text('sh -e ".husky/${0##*/}" "$@"\n')
        (generated / HOOK).write_text('#!/bin/sh\n. "${0%/*}/h"\n')
        (generated / HOOK).chmod(0o755)
        world.git("config", "core.hooksPath", ".husky/_")
    before = world.snapshot(tracked / "_" if kind == "husky 9" else tracked)
    report = world.install()
    assert world.snapshot(tracked / "_" if kind == "husky 9" else tracked) == before
    assert [os.path.basename(file) for file, _ in report.lines] == list(HOOKS)
    assert str(world.root) not in "".join(line for _, line in report.lines)
    assert ran_on_commit(world) == ["husky"]
    with open(tracked / HOOK, "a") as stream:
        stream.write(dict(report.lines)[str(tracked / HOOK)] + "\n")
    assert ran_on_commit(world) == ["husky", "ours"]
    assert install.hooks_status(world.repo).hooks[0].in_effect()
    assert "remove it" in " ".join(install.uninstall(world.repo).notes)
    assert ran_on_commit(world) == ["husky"]


def test_force_edits_a_tracked_folder(world: World) -> None:
    tracked = world.repo / "hooks"
    tracked.mkdir()
    (tracked / "README").touch()
    world.git("add", "hooks")
    world.git("config", "core.hooksPath", "hooks")
    assert world.install(force=True).lines == []
    assert ran_on_commit(world) == ["ours"]
    assert all(state.in_effect() for state in install.hooks_status(world.repo).hooks)


def test_ensure_installs_once_and_keeps_a_working_interpreter(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    install.ensure(world.root)  # no repository: no complaint
    install.ensure(world.repo, package=str(world.package))
    before = world.snapshot()
    assert ran_on_commit(world) == ["ours"]
    other = world.root / "python"
    other.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(other))
    install.ensure(world.repo, package=str(world.package))
    assert world.snapshot() == before
    (world.hooks / "post-merge").unlink()
    install.ensure(world.repo, package=str(world.package))
    assert sorted(world.snapshot()) == sorted(HOOKS)


def test_what_cannot_be_is_said(world: World) -> None:
    with pytest.raises(ProdigyError, match="not in a git repository"):
        install.install(world.root)
    world.git("config", "core.hooksPath", "/dev/null")
    with pytest.raises(ProdigyError, match="switched off"):
        world.install()


def test_command_line(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", hookfiles.package_folder())
    program = (sys.executable, "-m", "prodigy_git")
    assert world.run(*program, "hooks", check=False).returncode == 1
    assert f"{HOOK}\tinstalled\n" in world.run(*program, "install").stdout
    shown = json.loads(world.run(*program, "hooks", "--json").stdout)
    assert shown["in_effect"]
    assert shown["enrolment"] is None
    (world.repo / ".git" / "prodigy").write_text("{")
    broken = world.run(*program, "hooks", check=False)
    assert broken.returncode == 1
    assert "is damaged" in broken.stdout
    outside = world.run(*program, "install", cwd=world.root, check=False)
    assert outside.returncode == 1
    assert outside.stderr.count("\n") == 1
    ensured = world.run(*program, "install", "--ensure", cwd=world.root)
    assert (ensured.stdout, ensured.stderr) == ("", "")
    world.run(*program, "uninstall")
    assert world.snapshot() == {}


def test_a_hook_that_lost_its_mode_is_mended(world: World) -> None:
    world.install()
    (world.hooks / HOOK).chmod(0o644)
    assert install.hooks_status(world.repo).hooks[0].state == "disabled"
    world.install()
    assert stat.S_IMODE((world.hooks / HOOK).stat().st_mode) & 0o100
