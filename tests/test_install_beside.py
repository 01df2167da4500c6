"""Installing beside the real pre-commit, prek and lefthook, and taking it all out again."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from hooks_support import World
from support_install import HOOK, ran_on_commit

from prodigy_git import install


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
