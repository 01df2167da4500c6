"""``.prodigy/worktree.toml``: what a repository says that a worktree of it needs."""

import os
import posixpath
import re
import tomllib
from typing import Any

from prodigy_git import duration
from prodigy_git.errors import ProdigyError
from prodigy_git.record import clock
from prodigy_git.setup import templates
from prodigy_git.setup.plan import OURS, STAGES, Part

_STAGES = {("setup", "run"): "run", ("setup", "start"): "start", ("teardown", "run"): "teardown",
           ("check", "run"): "check"}  # fmt: skip
_TABLES = {"setup": ("run", "start", "directory", "timeout"), "teardown": ("run", "timeout"),
           "check": ("run", "timeout")}  # fmt: skip
_LIMITED = {"setup": "run", "teardown": "teardown", "check": "check"}
_LONGEST = 100_000  # bytes of a command; Linux takes 131,071 as one argument (execve(2))
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def part(text: str) -> Part:
    """Return what the file says. Raises `ProdigyError` with what is wrong in it, a misspelt key too."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ProdigyError(f"{OURS} is no TOML: {error or 'it is too deep'}") from None
    commands: dict[str, tuple[str, ...]] = {}
    limits: dict[str, float] = {}
    for name, table in document.items():
        if name == "env":
            continue
        if name not in _TABLES or not isinstance(table, dict):
            known = ", ".join(f"[{one}]" for one in (*_TABLES, "env"))
            raise ProdigyError(f"{OURS}: {name!r} is not known: there are {known}")
        for key, value in table.items():
            where = f"{OURS}, [{name}] {key}"
            if key not in _TABLES[name]:
                keys = ", ".join(_TABLES[name])
                raise ProdigyError(f"{where} is not known: there are {keys}")
            if (stage := _STAGES.get((name, key))) is not None:
                commands[stage] = texts(value, where)
            elif key == "timeout":
                limits[_LIMITED[name]] = seconds(value, where)
    directory = document.get("setup", {}).get("directory", ".")
    made = Part(
        OURS, True, commands, environment(document.get("env", {}), f"{OURS}, [env]"),
        folder(directory, f"{OURS}, [setup] directory"), limits,
    )  # fmt: skip
    return checked(made)


def checked(one: Part) -> Part:
    """Return a part of ours. Raises `ProdigyError` where a template in it cannot be followed."""
    for stage in STAGES:
        for text in one.of(stage):
            try:
                templates.check(text, one.dialect)
            except ProdigyError as error:
                raise ProdigyError(f"{one.source}: {error}") from None
    for name, text in one.env.items():
        try:
            templates.value(text, {})
        except ProdigyError as error:
            raise ProdigyError(f"{one.source}, {name}: {error}") from None
    return one


def texts(value: Any, where: str) -> tuple[str, ...]:
    """Return commands, given as one or as a list. Raises `ProdigyError`."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise ProdigyError(f"{where}: write a command, or a list of them")
    for one in given:
        if "\0" in one:
            raise ProdigyError(f"{where}: a command cannot have a null character")
        try:
            size = len(os.fsencode(one))
        except UnicodeEncodeError:  # JSON and YAML can name half of a character
            raise ProdigyError(f"{where}: a command is no text (half of a character)") from None
        if size > _LONGEST:
            raise ProdigyError(f"{where}: a command of {size} bytes is too long: make it a script")
    return tuple(one for one in given if one.strip())


def seconds(value: Any, where: str) -> float:
    """Return a time limit in seconds, 0 for none: ``90``, ``"10m"``, ``"never"``."""
    if isinstance(value, str):
        if value == "never":
            return 0.0
        micros = duration.parse(value if value[-1:].isalpha() else f"{value}s")
        value = None if micros is None else micros / clock.SECOND
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise ProdigyError(f"{where}: write a time like '90s', '10m', or 'never'")
    return float(value)


def folder(value: Any, where: str) -> str:
    """Return a folder within a worktree, relative to its top. Raises `ProdigyError`."""
    path = posixpath.normpath(value) if isinstance(value, str) and value else ""
    if not path or path.startswith("/") or path.split("/")[0] == ".." or "\0" in path:
        raise ProdigyError(f"{where}: write a folder in the worktree, relative to its top")
    return path


def environment(value: Any, where: str) -> dict[str, str]:
    """Return environment variables. Raises `ProdigyError`; prodigy-git's own are not to be had."""
    if not isinstance(value, dict):
        raise ProdigyError(f'{where}: write NAME = "value"')
    found = {}
    for name, text in value.items():
        if isinstance(text, int | float) and not isinstance(text, bool):
            try:
                text = str(text)
            except ValueError:  # of more digits than Python puts into a text
                raise ProdigyError(f"{where} {name}: the number is too long") from None
        if not _NAME.fullmatch(name) or not isinstance(text, str) or "\0" in text:
            raise ProdigyError(f'{where} {name}: write NAME = "value"')
        if name.startswith("PRODIGY_"):
            raise ProdigyError(f"{where} {name}: such names are prodigy-git's, take another one")
        found[name] = text
    return found
