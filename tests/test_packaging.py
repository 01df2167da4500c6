"""What a user gets from ``pip install``."""

import configparser
import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

import prodigy_git
from prodigy_git.cli import cli

ROOT = Path(__file__).resolve().parent.parent


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
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "prodigy_git").rglob("*.py")}
    assert {*modules, "prodigy_git/py.typed"} <= set(wheel.namelist())


def test_the_wheel_holds_the_plugin_of_opencode(wheel: zipfile.ZipFile) -> None:
    name = "prodigy_git/agents/opencode_plugin.js"
    assert wheel.read(name) == (ROOT / name).read_bytes()


def test_the_wheel_holds_what_reports_are_made_of(wheel: zipfile.ZipFile) -> None:
    folder = ROOT / "prodigy_git" / "views" / "report" / "assets"
    assets = [path for path in folder.rglob("*") if path.is_file()]
    assert {"report.html", "lanes.js", "echarts.min.js", "LICENSE-echarts", "NOTICE-echarts"} <= {
        path.name for path in assets
    }
    for path in assets:
        assert wheel.read(str(path.relative_to(ROOT))) == path.read_bytes()


def test_the_wheel_holds_nothing_but_the_package(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    own = f"prodigy_git-{prodigy_git.__version__}"
    assert tops == {"prodigy_git", f"{own}.dist-info", f"{own}.data"}


def test_the_wheel_holds_a_man_page_for_each_command(
    wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    folder = f"prodigy_git-{prodigy_git.__version__}.data/data/share/man/man1/"
    names = [name for name in wheel.namelist() if ".data/" in name]
    pages = {name.removeprefix(folder): wheel.read(name).decode() for name in names}
    assert {name.removesuffix(".1").replace("-", " ") for name in pages} == {
        path.replace("-", " ") for path in _commands(cli, "prodigy-git")
    }
    assert "\\-\\-max\\-attempts" in pages["prodigy-git-job-start.1"]
    for name, text in pages.items():
        assert "\n.SH DESCRIPTION\n" in text, name
        assert "Example:\n.nf\n" in text, name
    if shutil.which("groff"):  # one that is no roff is complained of
        for name, text in pages.items():
            (tmp_path / name).write_text(text)
        said = subprocess.run(
            ["groff", "-man", "-ww", "-z", "-Tutf8", *(tmp_path / name for name in pages)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (said.returncode, said.stderr) == (0, "")


def _commands(command: click.Command, path: str) -> Iterator[str]:
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            if not found.hidden:
                yield from _commands(found, f"{path} {name}")


def test_the_man_pages_need_no_library_but_click() -> None:
    """Where a wheel is built nothing else is installed but what builds it."""
    script = (
        "import runpy, sys, click\n"
        "pages = runpy.run_path('docs/man_pages.py')['pages']\n"
        "before = set(sys.modules)\n"
        "pages()\n"
        "tops = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(tops - sys.stdlib_module_names))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == {"click", "make_reference", "prodigy_git"}


def test_the_wheel_holds_the_licence(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("/LICENSE"))
    assert wheel.read(name) == (ROOT / "LICENSE").read_bytes()


def test_the_wheel_installs_the_console_script(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
    entries = configparser.ConfigParser()
    entries.read_string(wheel.read(name).decode())
    assert dict(entries["console_scripts"]) == {"prodigy-git": "prodigy_git.__main__:main"}


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
