"""Reading which modules of a package import which, and what they take of them: by `ast`, nothing runs.

Imports under TYPE_CHECKING and within functions are read like all others: they tie two modules
together as much.
"""

import ast
import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple


class Taken(NamedTuple):
    """A module takes ``name`` of the module ``of``; None: no name of it, or none that can be told."""

    of: str
    name: str | None


def modules(package: Path) -> dict[str, Path]:
    """Return the modules of a package by name; a folder's name stands for its ``__init__``."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def taken(path: Path, known: Iterable[str], top: str) -> set[Taken]:
    """Return what a file takes of the modules ``known`` of the package ``top``."""
    tree = ast.parse(path.read_text())
    known = set(known)
    found: set[Taken] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(Taken(one.name, None) for one in node.names if one.name in known)
            assert not any(one.asname for one in node.names if one.name in known), path
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module is None or node.module.partition(".")[0] != top:
                continue
            for one in node.names:
                whole = f"{node.module}.{one.name}"
                if whole in known:
                    found.add(Taken(whole, None))
                else:
                    found.add(Taken(node.module, one.name))
    _attributes(tree, known, {}, found)
    return found


def _attributes(scope: ast.AST, known: set[str], outer: dict[str, str], found: set[Taken]) -> None:
    """Add what is taken as an attribute of a module: ``module.name``, in a scope and those in it."""
    here: list[ast.AST] = []
    inner: list[ast.AST] = []
    ahead = list(ast.iter_child_nodes(scope))
    while ahead:
        node = ahead.pop()
        here.append(node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inner.append(node)
        else:
            ahead.extend(ast.iter_child_nodes(node))
    bound = {one.id for one in here if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
    bound.update(one.arg for one in here if isinstance(one, ast.arg))
    # What modules are called here; a variable of that name hides one.
    local = {name: module for name, module in outer.items() if name not in bound}
    for node in here:
        if isinstance(node, ast.ImportFrom):
            for one in node.names:
                if f"{node.module}.{one.name}" in known:
                    local[one.asname or one.name] = f"{node.module}.{one.name}"
    for node in here:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            of = local.get(node.value.id)
            if of is not None:
                found.add(Taken(of, node.attr))
    for one in inner:
        _attributes(one, known, local, found)


@functools.cache
def all_taken(package: Path) -> dict[str, set[Taken]]:
    """Return for each module of a package what it takes of others."""
    known = modules(package)
    return {name: taken(path, known, package.name) for name, path in known.items()}


def graph(package: Path) -> dict[str, set[str]]:
    """Return for each module of a package those that it imports."""
    return {name: {one.of for one in there} - {name} for name, there in all_taken(package).items()}


def circles(arrows: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the groups of nodes that reach each other, each sorted; [] where there is no circle."""
    reached = {node: _reachable(node, arrows) for node in arrows}
    groups = {
        tuple(sorted(other for other in there if node in reached.get(other, ())))
        for node, there in reached.items()
        if node in there
    }
    return sorted(map(list, groups))


def _reachable(node: str, arrows: Mapping[str, Iterable[str]]) -> set[str]:
    found: set[str] = set()
    ahead = list(arrows[node])
    while ahead:
        one = ahead.pop()
        if one not in found:
            found.add(one)
            ahead.extend(arrows.get(one, ()))
    return found


def between(arrows: Mapping[str, Iterable[str]], folder: str) -> dict[str, set[str]]:
    """Return which entries of a folder (modules, or folders with all in them) import which."""
    found: dict[str, set[str]] = {}
    for here, there in arrows.items():
        if (one := _entry(here, folder)) is not None:
            found.setdefault(one, set())
            others = {_entry(other, folder) for other in there} - {one, None}
            found[one].update(other for other in others if other is not None)
    return found


def _entry(module: str, folder: str) -> str | None:
    if not module.startswith(f"{folder}."):
        return None
    return module.removeprefix(f"{folder}.").partition(".")[0]


def doors(package: Path) -> dict[str, dict[str, set[str]]]:
    """Return the doors of the rooms that have one: by module of the room the names that others take."""
    found = {}
    for name, path in modules(package).items():
        if path.name == "__init__.py":
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.Assign) and _names(node.targets) == ["DOOR"]:
                    door = ast.literal_eval(node.value)
                    found[name] = {module: set(names.split()) for module, names in door.items()}
    return found


def _names(targets: Iterable[ast.expr]) -> list[str]:
    return [one.id for one in targets if isinstance(one, ast.Name)]


def taken_past(package: Path) -> Iterator[tuple[str, str, Taken]]:
    """Yield (who, room, what) for all that is taken of a room with a door from without."""
    rooms = doors(package)
    for who, there in all_taken(package).items():
        for one in there:
            for room in rooms:
                inside = one.of == room or one.of.startswith(f"{room}.")
                if inside and not (who == room or who.startswith(f"{room}.")):
                    yield who, room, one
