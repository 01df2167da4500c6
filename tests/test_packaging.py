"""What a user gets from ``pip install``, and what the package's rooms may import of each other."""

import ast
import configparser
import importlib.metadata
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import prodigy_git

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "prodigy_git"

# Imports run downward only (DESIGN, section 5): never to a room with a higher number.
FLOORS = {
    "layout": 0, "names": 0, "record": 0,
    "errors": 1, "model": 1,
    "store": 2, "git": 2, "hookfiles": 2,
    "jobs": 3,
    "lifecycle": 4, "cleanup": 4, "install": 4, "verify": 4, "doctor": 4,
    "cli": 5, "__main__": 6,
}  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """Build the wheel once, with the build backend that is installed and without an index."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-index", "--no-deps"]
    command += ["--no-build-isolation", "--no-cache-dir", "-w", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_holds_every_hook_byte_for_byte(wheel: zipfile.ZipFile) -> None:
    hooks = [path for path in (ROOT / "hooks").iterdir() if path.is_file()]
    assert {
        f"post-{name}.sh" for name in ("commit", "checkout", "merge", "rewrite", "applypatch")
    } <= {path.name for path in hooks}
    for path in hooks:
        assert wheel.read(f"prodigy_git/hooks/{path.name}") == path.read_bytes()


def test_the_wheel_holds_every_module_and_the_type_marker(wheel: zipfile.ZipFile) -> None:
    modules = {str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*.py")}
    assert {*modules, "prodigy_git/py.typed"} <= set(wheel.namelist())


def test_the_wheel_holds_nothing_but_the_package(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"prodigy_git", f"prodigy_git-{prodigy_git.__version__}.dist-info"}


def test_the_wheel_holds_the_licence(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("/LICENSE"))
    assert wheel.read(name) == (ROOT / "LICENSE").read_bytes()


def test_the_wheel_installs_the_console_script(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
    entries = configparser.ConfigParser()
    entries.read_string(wheel.read(name).decode())
    assert dict(entries["console_scripts"]) == {"prodigy-git": "prodigy_git.cli:main"}


def test_the_module_and_the_console_script_are_one_program(
    prodigy: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    module = prodigy("--version")
    script = subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), "prodigy-git"), "--version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (module.returncode, module.stderr) == (0, "")
    assert prodigy_git.__version__ in module.stdout
    assert (script.returncode, script.stdout) == (0, module.stdout)


def test_the_optional_extra_brings_pre_commit() -> None:
    requirements = importlib.metadata.requires("prodigy-git") or []
    assert any(r.startswith("pre-commit") and "extra == 'pre-commit'" in r for r in requirements)


def imported(module: Path) -> Iterator[str]:
    """Yield the full name of everything that a module imports, at its top or within a function."""
    for node in ast.walk(ast.parse(module.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(dotted: str) -> str | None:
    """Return the room of the package that an import leads to; None outside, or for its version."""
    first, _, rest = dotted.partition(".")
    inner = rest.partition(".")[0]
    return inner if first == "prodigy_git" and inner not in ("", "__version__") else None


def modules() -> list[tuple[Path, str]]:
    """Return every module of the package with the room that it is in."""
    found = [(path, path.relative_to(PACKAGE).parts[0]) for path in PACKAGE.rglob("*.py")]
    return [(path, first.removesuffix(".py")) for path, first in found if first != "__init__.py"]


def test_imports_run_downward_only() -> None:
    upward = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path, own in modules()
        for name in imported(path)
        if (other := room(name)) is not None and FLOORS[other] > FLOORS[own]
    ]
    assert upward == []


def test_the_hot_path_imports_the_standard_library_only() -> None:
    hot = [path for path, own in modules() if FLOORS[own] == 0] + [PACKAGE / "__init__.py"]
    allowed = {*sys.stdlib_module_names, "prodigy_git"}
    foreign = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in hot
        for name in imported(path)
        if name.partition(".")[0] not in allowed
    ]
    assert len(hot) > 3
    assert foreign == []
