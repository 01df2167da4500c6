"""Set-up as other tools describe it, for repositories that have no file of ours.

What needs the other tool (its other features, its user interface) is left out, and said.
"""

import json
import posixpath
import tomllib
from collections.abc import Callable
from typing import Any

from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import git_status, said
from prodigy_git.setup import templates
from prodigy_git.setup.our_file import texts
from prodigy_git.setup.plan import FOREIGN, Part

CURSOR, CONDUCTOR, WORKTRUNK, GTR, WORKMUX = FOREIGN

_LARGEST_YAML = 64 << 10  # characters: its reader takes ten seconds for a million

VARIABLES = {
    "prodigy": {},
    "cursor": {"ROOT_WORKTREE_PATH": "PRODIGY_REPO_ROOT"},
    "conductor": {
        "CONDUCTOR_WORKSPACE_NAME": "PRODIGY_SESSION_ID",
        "CONDUCTOR_WORKSPACE_PATH": "PRODIGY_WORKTREE",
        "CONDUCTOR_ROOT_PATH": "PRODIGY_REPO_ROOT",
        "CONDUCTOR_PORT": "PRODIGY_PORT",
    },
    "worktrunk": {},
    "gtr": {
        "REPO_ROOT": "PRODIGY_REPO_ROOT", "WORKTREE_PATH": "PRODIGY_WORKTREE",
        "BRANCH": "PRODIGY_BRANCH",
    },
    "workmux": {
        "WM_HANDLE": "PRODIGY_SESSION_ID", "WM_WORKTREE_PATH": "PRODIGY_WORKTREE",
        "WM_PROJECT_ROOT": "PRODIGY_REPO_ROOT", "WM_CONFIG_DIR": "PRODIGY_WORKTREE",
        "WM_BRANCH_NAME": "PRODIGY_BRANCH",
    },
}  # fmt: skip
"""What another tool's commands find in their environment: its names, by ours."""


def part(path: str, text: str) -> Part | None:
    """Return what a file says; None where that is nothing to be run. Raises `ProdigyError`."""
    try:
        made = _READERS[path](text)
    except (ValueError, RecursionError) as error:
        why = error if isinstance(error, ValueError) else "it is too deep"
        raise ProdigyError(f"{path} cannot be read: {' '.join(str(why).split())}") from None
    return made if made.commands or made.left_out else None


def _table(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ProdigyError(f"{where} is not what it should be: names with values")
    return value


def _cursor(text: str) -> Part:
    """Read Cursor's: the key of this system goes first; a string is a script, a list commands."""
    document = _table(json.loads(text), CURSOR)
    key = next((k for k in ("setup-worktree-unix", "setup-worktree") if k in document), None)
    value = None if key is None else document[key]
    if isinstance(value, str) and value.strip():
        script = texts(value, f"{CURSOR}, {key}")[0].strip()
        path = posixpath.normpath(posixpath.join(".cursor", script))
        if path.startswith(("/", "../")) or "\0" in path:
            raise ProdigyError(f"{CURSOR}, {key}: the script lies outside of the repository")
        # The file's own first line says what runs it; without one, or the right to be run, it is sh.
        quoted = "'" + f"./{path}".replace("'", "'\\''") + "'"
        run: tuple[str, ...] = (f"if [ -x {quoted} ]; then {quoted}; else sh {quoted}; fi",)
    else:
        run = () if value is None else texts(value, f"{CURSOR}, {key}")
    return Part(CURSOR, True, {"run": run} if run else {}, dialect="cursor")


def _conductor(text: str) -> Part:
    scripts = _table(_table(json.loads(text), CONDUCTOR).get("scripts"), f"{CONDUCTOR}, scripts")
    commands = {}
    for key, stage in (("setup", "run"), ("archive", "teardown")):
        if found := texts(scripts.get(key) or [], f"{CONDUCTOR}, scripts.{key}"):
            commands[stage] = found
    left = ("scripts.run (Conductor's button)",) if scripts.get("run") else ()
    return Part(CONDUCTOR, True, commands, dialect="conductor", left_out=left)


_HOOKS = {"pre-start": "run", "post-create": "run", "post-start": "start", "pre-remove": "teardown",
          "pre-merge": "check"}  # fmt: skip
"""worktrunk's hooks that we have something of, `post-create` being the older name of `pre-start`."""


def _worktrunk(text: str) -> Part:
    commands: dict[str, tuple[str, ...]] = {}
    left = []
    for key, value in tomllib.loads(text).items():
        if key not in _HOOKS:
            left.append(key)
            continue
        stage = _HOOKS[key]
        for name, command in _worktrunk_commands(value, f"{WORKTRUNK}, {key}", stage):
            said = f"{key}.{name}" if name else key
            try:
                templates.check(command, "worktrunk")
                if command.split()[0] == "wt":
                    raise ProdigyError("it calls worktrunk")
            except ProdigyError as error:
                left.append(f"{said} ({error})")
                continue
            commands[stage] = (*commands.get(stage, ()), command)
    return Part(WORKTRUNK, True, commands, dialect="worktrunk", left_out=tuple(left))


def _worktrunk_commands(value: Any, where: str, stage: str) -> list[tuple[str, str]]:
    """Return names and commands: a text, a table of what may go at once, or a list of such tables.

    A list is one thing after another: in the background it would have to be one command.
    """
    if isinstance(value, list):
        steps = [one for table in value for one in _worktrunk_commands(table, where, stage)]
        if stage == "start" and len(steps) > 1:
            joined = " && ".join(f"(\n{command}\n)" for _, command in steps)
            return [(steps[0][0], joined)]
        return steps
    if isinstance(value, str):
        return [("", one) for one in texts(value, where)]
    table = _table(value, where)
    return [(name, one) for name in table for one in texts(table[name], f"{where}.{name}")]


def _gtr(text: str) -> Part:
    """Read gtr's, in the form of git's own configuration: git reads it, and follows no include."""
    status, out, err = git_status(
        "/", "config", "--no-includes", "--file", "-", "--list", "-z",
        stdin=text.encode("utf-8", "surrogateescape"),
    )  # fmt: skip
    if status != 0:
        raise ProdigyError(f"{GTR} cannot be read: {said(err)}")
    commands: dict[str, tuple[str, ...]] = {}
    left = []
    for entry in out.split("\0")[:-1]:
        key, _, value = entry.partition("\n")
        stage = {"hooks.postcreate": "run", "hooks.preremove": "teardown"}.get(key)
        if stage is not None:
            commands[stage] = (*commands.get(stage, ()), *texts(value, f"{GTR}, {key}"))
        elif key.startswith(("hooks.", "copy.")):
            left.append(key)
    return Part(GTR, True, commands, dialect="gtr", left_out=tuple(dict.fromkeys(left)))


def _workmux(text: str) -> Part:
    import yaml

    if len(text) > _LARGEST_YAML:
        raise ValueError(f"it has {len(text)} characters: more than {_LARGEST_YAML} take too long")
    try:
        loaded = yaml.safe_load(text)
    except RecursionError:
        raise
    except Exception as error:  # a tag that does not fit its value raises whatever it happens to
        raise ValueError(str(error) or "it is no YAML") from None
    document = _table(loaded, WORKMUX)
    stages = {"post_create": "run", "pre_remove": "teardown", "pre_merge": "check"}
    commands: dict[str, tuple[str, ...]] = {}
    left = [key for key in ("files", "panes") if document.get(key)]
    for key, stage in stages.items():
        found = texts(document.get(key) or [], f"{WORKMUX}, {key}")
        if "<global>" in found:  # stands for the user's own list, which is workmux's
            left.append(f"{key}: <global>")
        if kept := tuple(one for one in found if one != "<global>"):
            commands[stage] = kept
    return Part(WORKMUX, True, commands, dialect="workmux", left_out=tuple(left))


_READERS: dict[str, Callable[[str], Part]] = {
    CURSOR: _cursor, CONDUCTOR: _conductor, WORKTRUNK: _worktrunk, GTR: _gtr, WORKMUX: _workmux,
}  # fmt: skip
