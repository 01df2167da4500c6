"""The rules of DESIGN section 5: imports run downward only, and files stay small."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "prodigy_git"

# Each room, and the height it is on; it may import what is lower, and its own room.
HEIGHTS = {
    "errors": -1,
    "layout": 0, "names": 0, "amounts": 0, "encoding": 0, "descriptors": 0,
    "record": 1,
    "gitenv": 0,
    "tally": 1,
    "glance": 2,
    "duration": 2, "statusline": 3,
    "model": 2,
    "store": 3, "git": 3, "prodigy": 3.5,
    "jobs": 4, "hookstate": 4, "reach": 4,
    "hookfiles": 3,
    "lifecycle": 5, "cleanup": 5, "install": 5,
    "verify": 6,
    "api": 6, "views": 6,
    "trial": 6,
    "foreign": 7, "tui": 7,
    "doctor": 8,
    "cli": 9,
    "__main__": 10,
}  # fmt: skip
HOT = ("layout.py", "names.py", "errors.py", "__init__.py", "record")
"""What a hook runs."""
FILES = sorted(PACKAGE.rglob("*.py"))


def room(module):
    """Return the room that a module of the package belongs to; None for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def imported(path):
    """Yield the package's own modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("prodigy_git"))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "prodigy_git":
                yield from (f"prodigy_git.{alias.name}" for alias in node.names)
            elif node.module and node.module.startswith("prodigy_git."):
                yield node.module


def violations(path, relative):
    here = relative.parts[0].removesuffix(".py")
    for module in imported(path):
        there = room(module)
        if there in (None, here, "__version__"):
            continue
        if there not in HEIGHTS or HEIGHTS[there] >= HEIGHTS[here]:
            yield f"{relative} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_downward(path):
    relative = path.relative_to(PACKAGE)
    if relative.name == "__init__.py" and len(relative.parts) == 1:
        assert list(imported(path)) == []
        return
    assert relative.parts[0].removesuffix(".py") in HEIGHTS, "a new room: give it a height"
    assert list(violations(path, relative)) == []


@pytest.mark.parametrize(
    ("text", "where", "bad"),
    [
        ("from prodigy_git.cli import output", "store/x.py", True),
        ("def f():\n    import prodigy_git.lifecycle.finish", "record/x.py", True),
        ("from prodigy_git import install", "cleanup/x.py", True),
        ("from prodigy_git.git.ask import git", "store/x.py", True),
        ("from prodigy_git import layout, names, __version__", "record/x.py", False),
    ],
)
def test_the_rule_finds_what_it_is_for(tmp_path, text, where, bad):
    path = tmp_path / "x.py"
    path.write_text(text)
    assert bool(list(violations(path, Path(where)))) is bad


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_hot_path_imports_the_standard_library_only(path):
    if path.relative_to(PACKAGE).parts[0] not in HOT:
        return
    allowed = {*sys.stdlib_module_names, "prodigy_git"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
        assert {name.partition(".")[0] for name in names} <= allowed


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_stay_within_400_lines(path):
    assert len(path.read_text().splitlines()) <= 400


def test_no_two_files_of_tests_have_one_name():
    """The test runner knows a module by its name alone, and leaves the second one out."""
    names = [
        path.name for path in Path(__file__).parent.rglob("*.py") if path.name != "conftest.py"
    ]
    assert sorted(names) == sorted(set(names))
