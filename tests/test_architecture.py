"""Who may import whom: downward only, in no circle, and through the door. And files stay small."""

import ast
import sys
from pathlib import Path

import pytest
from support_imports import between, circles, doors, graph, modules, taken_past

PACKAGE = Path(__file__).parents[1] / "prodigy_git"

# Each room, and the height it is on; it may import what is lower, and its own room.
HEIGHTS = {
    "errors": -1,
    "layout": 0, "names": 0, "amounts": 0, "encoding": 0, "holes": 0, "descriptors": 0, "digest": 0,
    "redaction": 0.5,
    "record": 1,
    "gitenv": 0,
    "tally": 1,
    "glance": 2,
    "duration": 2, "statusline": 3,
    "model": 2,
    "store": 3, "git": 3, "prodigy": 3.5,
    "hub": 3.8,
    "setup": 4.5, "transcripts": 4.6,
    "jobs": 4, "hookstate": 4, "out_of_reach": 4,
    "hookfiles": 3, "agent_command": 4,
    "agents": 5,
    "lifecycle": 5, "cleanup": 5, "install": 5,
    "merging": 5.5,
    "attribution": 5.5,
    "verify": 6,
    "api": 6, "views": 6,
    "trial_commit": 6,
    "foreign_commits": 7, "tui": 7,
    "doctor": 8,
    "cli": 9,
    "__main__": 10,
}  # fmt: skip
# Rooms within a room, and modules where they have floors: each may import what is lower, and modules
# those of their own floor. What is not named is on the floor at the top.
FLOORS = {
    "cleanup": (
        "folders", "account salvage records", "trash", "restore drift", "interrupted subjects teardown",
        "worktrees",
    ),
    "merging": ("results", "conflicts", "queue", "publish", ""),
    "views": ("tools_used trouble", "overview", "explain report telemetry", ""),
    "hub": (
        # the way there
        "address connection driver forked libpq socket_waits ways",
        # what is on the hub: its tables, its hosts, its repositories, a job's stream
        "host identity job_streams members remote_url repository_number schema",
        # what of it is here: files, and rows on their way into them
        "border copied_rows job_cursor pulled_files set_aside shared_items staying taken_rows "
        "told_conflicts told_session where",
        # what goes, and what comes
        "offering pulling shared_sessions shipping",
        # a round of that, a step on a shared job, a look at both sides
        "",
    ),
    "jobs": (
        # what follows from the events: no files
        "attempts books checked_input clocks fold index_counts items ordering signatures steps",
        # the log read, and what is derived from it
        "checkpoints index index_file index_leases index_tables next_item processes replay run_facts",
        # a job as it stands
        "dead_letters deserted holders liveness lookers_clock owner peek prodigy_runs pushed_branches "
        "snapshots summary surviving_commits totals",
        # steps on it
        "",
    ),
    "lifecycle": (
        "command_process interrupts kept_commits lastline launcher listing locate meanwhile naming "
        "pool process pseudo_terminal ready sinks streams to_push whereabouts",
        "adding adopt beginning finish forget interrupted_setups new_worktree preparing re_enrol "
        "taking unended",
        "",
    ),
    "cli": (
        "answering at_work clean_report columns completing filters host_column item_options job_text "
        "lazy output over result_options progress status_screen when worktree_clean",
        "",
    ),
}  # fmt: skip
ROOMS = ("cleanup", "merging", "views")
"""Folders of rooms: each has a door."""
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


def upward(package, floors):
    """Return the imports within the folders of ``floors`` that run upward."""
    arrows, files = graph(package), modules(package)
    found = []
    for folder, levels in floors.items():
        at = {name: height for height, names in enumerate(levels) for name in names.split()}
        inside = f"{package.name}.{folder}".rstrip(".")
        for here, others in between(arrows, inside).items():
            for there in others:
                to, of = at.get(there, len(levels)), at.get(here, len(levels))
                room = any(files[f"{inside}.{one}"].name == "__init__.py" for one in (here, there))
                if to > of or (room and to == of):
                    found.append(f"{folder}: {here} imports {there}")
    return sorted(found)


def all_circles(package):
    """Return what imports itself by way of others: modules, and what lies beside it in a folder."""
    arrows = graph(package)
    folders = {name for name, path in modules(package).items() if path.name == "__init__.py"}
    found = circles(arrows)
    for folder in sorted(folders):
        found += circles(between(arrows, folder))
    return found


def past_the_door(package):
    """Return what is taken of a room that its door does not name, and what is named and not taken."""
    known = doors(package)
    unused = {
        (room, module, name)
        for room in known
        for module in known[room]
        for name in known[room][module]
    }
    found = []
    for who, room, (of, name) in taken_past(package):
        module = of.removeprefix(room).removeprefix(".")
        if module not in known[room] or (name is not None and name not in known[room][module]):
            found.append(f"{who} takes {name or 'a module'} of {of}: not named at the door")
        unused.discard((room, module, name))
    return sorted(found) + [
        f"{room}: nobody takes {one}.{name}" for room, one, name in sorted(unused)
    ]


def test_no_two_modules_or_rooms_import_each_other():
    assert all_circles(PACKAGE) == []


def test_within_the_rooms_imports_run_downward_too():
    assert upward(PACKAGE, FLOORS) == []


def test_the_floors_name_what_there_is():
    for folder, levels in FLOORS.items():
        there = {path.stem for path in (PACKAGE / folder).iterdir()}
        named = " ".join(levels).split()
        assert sorted(named) == sorted(set(named) & there)


def test_rooms_are_entered_by_their_doors():
    """A new name at a door is a decision: write it there, or take another way."""
    assert past_the_door(PACKAGE) == []


def test_each_room_has_a_door_and_says_in_a_few_lines_what_it_is_for():
    known = doors(PACKAGE)
    assert "prodigy_git.prodigy" in known
    for folder in ROOMS:
        for path in (PACKAGE / folder).glob("*/__init__.py"):
            assert f"prodigy_git.{folder}.{path.parent.name}" in known
            text = ast.get_docstring(ast.parse(path.read_text())) or ""
            assert 0 < len(text.splitlines()) <= 5


def test_the_rooms_are_listed_as_they_say_of_themselves():
    """A new room gets a line in the table of CONTRIBUTING.md: the first of its own words."""
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text()
    rooms = set()
    for path in PACKAGE.glob("**/*/__init__.py"):
        said = ast.get_docstring(ast.parse(path.read_text())) or ""
        rooms.add(f"| `{path.parent.relative_to(PACKAGE)}/` | {said.partition(chr(10))[0]} |")
    table = text.partition("## The rooms")[2].partition("\n## ")[0]
    assert {line for line in table.splitlines() if line.startswith("| `")} == rooms


TREE = {
    "__init__": "", "low/__init__": 'DOOR = {"a": "f"}', "low/a": "f = g = 1", "low/b": "f = 1",
    "high/__init__": 'DOOR = {}', "high/c": "from pkg.low import a\na.f",
}  # fmt: skip


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({}, []),
        ({"low/b": "import pkg.low.a"}, []),
        ({"low/a": "from pkg.low import b\nf = g = 1", "low/b": "from pkg.low.a import f"}, ["circle"]),
        (
            {"low/a": "from pkg.low import b\nf = g = 1",
             "low/b": "if TYPE_CHECKING:\n    from pkg.low.a import f"}, ["circle"],
        ),
        ({"low/b": "def f():\n    from pkg.high import c"}, ["upward", "circle", "door"]),
        (
            {"low/b": "from pkg import d", "d": "from pkg.high import c",
             "high/__init__": 'DOOR = {"c": ""}'}, ["circle", "upward"],
        ),
        ({"high/c": "from pkg.low import b as a\na.f"}, ["door"]),
        ({"high/c": "from pkg.low.b import f"}, ["door"]),
        ({"high/c": "from pkg.low import a\ndef h():\n    a.f\n    return lambda x: a.g"}, ["door"]),
        ({"high/c": "from pkg.low import a\na.f\ndef h(a):\n    a.g"}, []),
        ({"high/c": ""}, ["door"]),
    ],
)  # fmt: skip
def test_the_graph_shows_each_kind(tmp_path, more, what):
    for name, text in {**TREE, **more}.items():
        path = tmp_path / "pkg" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    package = tmp_path / "pkg"
    found = {
        "upward": upward(package, {"": ("low", "high")}), "circle": all_circles(package),
        "door": past_the_door(package),
    }  # fmt: skip
    assert {kind for kind, there in found.items() if there} == set(what)


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


SAME = (
    "adopt", "agent_hook", "checkpoints", "context", "dead_letters", "dlq", "event", "events",
    "follow", "forget", "items", "logs", "query", "repositories", "restore", "resume", "search",
    "session", "sessions", "stats", "statusline", "stop", "story", "verify", "worktrees",
)  # fmt: skip
"""What several rooms have a module for, each its own side of one thing: a command, and what it does."""


def test_one_name_is_one_thing():
    """Whoever looks for a file guesses by its name: `places` of two rooms were two things."""
    names = [path.stem for path in FILES if path.name != "__init__.py"]
    assert sorted({name for name in names if names.count(name) > 1}) == sorted(SAME)


def test_no_two_files_of_tests_have_one_name():
    """The test runner knows a module by its name alone, and leaves the second one out."""
    names = [
        path.name for path in Path(__file__).parent.rglob("*.py") if path.name != "conftest.py"
    ]
    assert sorted(names) == sorted(set(names))


def test_no_test_imports_a_conftest():
    """There are several, and which of them the name means depends on what ran before."""
    for path in Path(__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.module == "conftest"), path
