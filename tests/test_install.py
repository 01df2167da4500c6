"""Installing beside the real pre-commit, prek and lefthook, and taking it all out again."""

import itertools
import json
import os
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hooks_support import World

from prodigy_git import hookfiles, install
from prodigy_git.errors import ProdigyError
from prodigy_git.hookfiles import HOOKS

HOOK = "post-commit"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path / "world", monkeypatch)


def configure(world: World) -> None:
    """Give each manager a hook that notes its manager's name."""

    def entry(name: str) -> str:
        return f"echo {name} >> {world.ran}"

    (world.repo / ".pre-commit-config.yaml").write_text(
        "repos:\n- repo: local\n  hooks:\n  - {id: a, name: a, language: system, always_run: true,"
        f" pass_filenames: false, stages: [{HOOK}], entry: sh -c '{entry('pre-commit')}'}}\n"
    )
    # prek prefers its own file, so that the two can be told apart.
    (world.repo / "prek.toml").write_text(
        '[[repos]]\nrepo = "local"\n[[repos.hooks]]\nid = "a"\nname = "a"\nlanguage = "system"\n'
        f'always_run = true\npass_filenames = false\nstages = ["{HOOK}"]\n'
        f"entry = \"sh -c '{entry('prek')}'\"\n"
    )
    (world.repo / "lefthook.yml").write_text(
        f"{HOOK}:\n  commands:\n    a:\n      run: {entry('lefthook')}\n"
    )
    (world.repo / ".git" / "info").mkdir(exist_ok=True)
    (world.repo / ".git" / "info" / "exclude").write_text("*\n")


def steps(world: World) -> dict[str, Callable[[], object]]:
    return {
        "ours": world.install,
        "pre-commit": lambda: world.run("pre-commit", "install", "-t", HOOK),
        "prek": lambda: world.run("prek", "install", "-t", HOOK),
        "lefthook": lambda: world.run("lefthook", "install"),
        "own": lambda: world.own(HOOK),
    }


def ran_on_commit(world: World) -> list[str]:
    world.others()
    world.calls()
    world.commit()
    return sorted(world.others() + ["ours" for _ in world.calls()])


MANAGERS = ("pre-commit", "prek", "lefthook")
ORDERS = [
    order
    for length in (1, 2, 3)
    for order in itertools.permutations(("ours", *MANAGERS, "own"), length)
    # One's own hook is written where none is yet: written over another, it replaces that one.
    if "ours" in order and "own" not in order[1:]
]
REPEATED = [
    ("ours", "pre-commit", "ours", "pre-commit"),
    ("pre-commit", "ours", "pre-commit", "ours"),
    ("own", "pre-commit", "ours", "pre-commit", "ours"),
    ("ours", "prek", "ours", "prek"),
    ("own", "prek", "ours", "prek"),
    ("lefthook", "ours", "lefthook", "ours", "lefthook", "ours"),
    ("own", "ours", "lefthook", "ours", "ours"),
    ("own", "ours", "prek", "ours", "lefthook", "ours"),
]


@pytest.mark.parametrize("order", ORDERS + REPEATED, ids="-".join)
def test_every_order_runs_each_once(world: World, order: tuple[str, ...]) -> None:
    configure(world)
    step = steps(world)
    for name in order:
        step[name]()
    # What the same order leaves running without us is what must still run; whoever a manager has
    # put out of action itself, we do not have to bring back (but may, as after lefthook).
    got = ran_on_commit(world)
    assert len(got) == len(set(got)), got
    assert order[-1] in got
    last = max(i for i, name in enumerate(order) if name == "ours")
    # lefthook moves our hook aside and does not call it: then, and where a second manager replaces
    # the first one's legacy hook, ours is back with the next install.
    if set(order[last + 1 :]) <= {"own"} or (
        order[last + 1 :] in (("pre-commit",), ("prek",)) and len(got) == len(set(order))
    ):
        assert "ours" in got
    world.install()
    after = ran_on_commit(world)
    assert len(after) == len(set(after)), after
    assert set(after) >= {*got, "ours"}
    assert all(state.in_effect() for state in install.hooks_status(world.repo).hooks)
    expected = reachable_without_us(order)
    assert set(after) >= expected


def reachable_without_us(order: tuple[str, ...]) -> set[str]:
    """Return who still runs after ``order``, by the managers' own rules, if we are left out."""
    hook: str | None = None
    legacy: str | None = None
    for name in (n for n in order if n != "ours"):
        if name in ("pre-commit", "prek") and hook not in (None, name):
            legacy = hook
        hook = name
    running = {hook} if hook else set()
    if hook in ("pre-commit", "prek") and legacy:
        running.add(legacy)
    return {name for name in running if name}


@pytest.mark.parametrize("manager", ["pre-commit", "prek"])
def test_installed_below_a_manager_that_came_later(world: World, manager: str) -> None:
    configure(world)
    world.own()
    world.install()
    steps(world)[manager]()
    assert ran_on_commit(world) == sorted(["ours", "own", manager])
    states = {s.hook: s for s in install.hooks_status(world.repo).hooks}
    assert states[HOOK].words == f"installed below {manager}"
    before = world.snapshot()
    assert not any(state.changed for state in world.install().hooks)
    assert world.snapshot() == before
    install.uninstall(world.repo)
    assert ran_on_commit(world) == sorted(["own", manager])
    assert sorted(world.snapshot()) == [HOOK, f"{HOOK}.legacy"]


@pytest.mark.parametrize("manager", ["pre-commit", "prek"])
def test_a_manager_that_calls_us_is_not_called_back(world: World, manager: str) -> None:
    configure(world)
    steps(world)[manager]()
    # As after: another hook of that manager chained first, the manager installed again later.
    (world.hooks / f"{HOOK}.prodigy-chained").write_bytes((world.hooks / HOOK).read_bytes())
    (world.hooks / f"{HOOK}.prodigy-chained").chmod(0o755)
    world.install()
    said = world.commit().stderr
    assert "migration mode" not in said
    assert world.others() == [manager]
    assert world.calls() == [HOOK]
    install.uninstall(world.repo)
    assert sorted(world.snapshot()) == [HOOK]


def test_lefthook_needs_a_second_install_and_can_go_on_from_there(world: World) -> None:
    configure(world)
    world.own()
    world.install()
    steps(world)["lefthook"]()
    assert ran_on_commit(world) == ["lefthook"]
    states = {s.hook: s for s in install.hooks_status(world.repo).hooks}
    assert states[HOOK].words == "replaced by lefthook"
    world.install()
    assert not (world.hooks / f"{HOOK}.old").exists()
    assert ran_on_commit(world) == ["lefthook", "ours", "own"]
    install.uninstall(world.repo)
    # As lefthook would have left it, had we never been there.
    assert sorted(world.snapshot()) == [HOOK, f"{HOOK}.old"]
    assert b"own" in (world.hooks / f"{HOOK}.old").read_bytes()
    assert ran_on_commit(world) == ["lefthook"]


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
