"""psycopg is loaded in one place: a command that needs no more than a step goes without it."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "prodigy_git"


def test_one_module_loads_psycopg():
    found = set()
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        types = [
            node
            for outer in ast.walk(tree)
            if isinstance(outer, ast.If) and ast.unparse(outer.test) == "TYPE_CHECKING"
            for node in outer.body
        ]
        for node in ast.walk(tree):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if node not in types and any(name.split(".")[0] == "psycopg" for name in names):
                found.add(path.name)
    assert found == {"driver.py"}
