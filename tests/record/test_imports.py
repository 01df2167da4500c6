"""What a hook imports: nothing but the standard library's cheap part and the hot path."""

import ast
import json
import sys
from pathlib import Path

import pytest
from support_record import HOOK_PROGRAM, PACKAGE, SILENT, commit, commits, run, write_hooks

import prodigy_git

COSTLY = {
    "json", "re", "typing", "subprocess", "hashlib", "datetime", "collections", "contextlib",
    "pathlib", "enum", "dataclasses", "functools", "tempfile", "shutil", "logging", "random",
    "uuid", "locale", "select", "threading", "signal", "glob", "fnmatch", "calendar",
}  # fmt: skip
ROOMS = {"prodigy_git", "prodigy_git.errors", "prodigy_git.layout", "prodigy_git.names"}
RECORD = sorted((Path(prodigy_git.__file__).parent / "record").rglob("*.py"))
# The hook ends in os._exit, so that what was imported by then is written down there.
DUMP = """
import os, sys
leave = os._exit
def note(status):
    sys.stdout.write("\\n".join(sys.modules)); sys.stdout.flush(); leave(status)
os._exit = note
"""


def _imported(cwd: Path, hook: str) -> set[str]:
    program = DUMP + HOOK_PROGRAM
    done = run(sys.executable, "-I", "-S", "-X", "utf8", "-c", program, PACKAGE, hook, cwd=cwd)
    assert done.stderr == b""
    return set(done.stdout.decode().split("\n"))


@pytest.mark.parametrize("hook", ["post-commit", "post-merge", "post-checkout", "post-rewrite"])
def test_what_a_hook_that_records_imports(hook: str, repo: Path, store: Path, sealed: Path) -> None:
    write_hooks(sealed)
    first = commit(repo, "enrols")
    second = commit(repo, "recorded by the hook that is watched", **SILENT)
    assert commits(store) == [first]
    found = _imported(repo, hook)
    assert commits(store) == [first, second]
    ours = {name for name in found if name.partition(".")[0] == "prodigy_git"}
    assert "prodigy_git.record.drain" in ours
    assert {name for name in ours if not name.startswith("prodigy_git.record")} <= ROOMS
    assert "prodigy_git.record.register" not in ours
    others = {name.partition(".")[0] for name in found - ours}
    assert others <= set(sys.stdlib_module_names) | {"__main__"}
    assert not {name for name in found if name.partition(".")[0] in COSTLY}


def test_a_hook_that_registers_imports_no_other_room(repo: Path, store: Path) -> None:
    commit(repo, "one")
    found = _imported(repo, "post-commit")
    assert len(commits(store)) > 0
    ours = {name for name in found if name.partition(".")[0] == "prodigy_git"}
    assert {name for name in ours if not name.startswith("prodigy_git.record")} <= ROOMS
    others = {name.partition(".")[0] for name in found - ours}
    assert others <= set(sys.stdlib_module_names) | {"__main__"}


def _imports(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            module = node.module or ""
            found += [f"{module}.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("path", RECORD, ids=lambda path: path.name)
def test_nothing_in_record_imports_another_room(path: Path) -> None:
    names = _imports(ast.parse(path.read_text()))
    for name in names:
        top = name.partition(".")[0]
        if top == "prodigy_git":
            inside = name.startswith("prodigy_git.record")
            gate = path.name == "redacting.py" and name == "prodigy_git.redaction.gate.redact"
            assert inside or gate or name in ROOMS, f"{path.name} imports {name}"
        else:
            assert top in sys.stdlib_module_names, f"{path.name} imports {name}"


def test_the_cheap_json_is_the_real_one(tmp_path: Path) -> None:
    """Without json the encoder must not fall back on importing it."""
    program = (
        "import sys;sys.path.insert(0,sys.argv[1])\n"
        "from prodigy_git.record import jsonline\n"
        "print(jsonline.encode(jsonline.decode(sys.argv[2])))\n"
        "assert 'json' not in sys.modules"
    )
    text = '{"a":[1,2.5,true,null,"\\u00e9\\ud800"],"b":{}}'
    done = run(sys.executable, "-I", "-S", "-c", program, PACKAGE, text, cwd=tmp_path)
    assert json.loads(done.stdout) == json.loads(text)
