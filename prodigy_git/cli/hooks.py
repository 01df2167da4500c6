"""``install``, ``uninstall`` and ``hooks``: the hooks of the repository that one stands in."""

import dataclasses
import json
import os
from typing import Any

import click

from prodigy_git import gitenv, layout
from prodigy_git import install as installing
from prodigy_git.cli import output
from prodigy_git.errors import ProdigyError
from prodigy_git.git import hooksdir
from prodigy_git.git.ask import git_status
from prodigy_git.record import whose
from prodigy_git.store import home

_NAMES = ("session", "job", "agent", "item")
"""What an enrolment names."""


@click.command()
@click.option("--force", is_flag=True, help="Edit a tracked hooks folder, and hooks edited since.")
@click.option("--ensure", is_flag=True, help="Only where a hook is not in effect; never fails.")
@output.json_option
def install(force: bool, ensure: bool, as_json: bool) -> int:
    """Install the git hooks that record commits.

    Hooks that are there keep running, once each. Where the repository tracks its hooks folder
    (Husky), the lines to add to it are printed instead. Installing again changes nothing.

    \b
    Example:
      prodigy-git install
    """
    if ensure:
        installing.ensure(gitenv.here())
        return 0
    report = installing.install(gitenv.here(), force=force)
    _print(report, as_json)
    return 0


@click.command()
@output.json_option
def uninstall(as_json: bool) -> int:
    """Take our hooks out and put back what was there before, byte for byte.

    A hook that someone edited or replaced since is left alone. What was recorded stays.

    \b
    Example:
      prodigy-git uninstall
    """
    _print(installing.uninstall(gitenv.here()), as_json, advise=False)
    return 0


@click.command()
@output.json_option
def hooks(as_json: bool) -> int:
    """Show whether the hooks are in effect here, and what this worktree is enrolled as.

    Exit code 0 if every hook is in effect and the enrolment is readable, 1 otherwise.

    \b
    Example:
      prodigy-git hooks --json
    """
    report = installing.hooks_status(gitenv.here())
    where = hooksdir.find(gitenv.here())
    enrolment, damage = _enrolment(where.git_dir)
    code, out, _ = git_status(where.top, "config", "--type=bool", "--get", "prodigy.autoRegister")
    auto = not (code == 0 and out.strip() == "false")
    store, no_store = _store((enrolment or {}).get("store"))
    good = all(state.in_effect() for state in report.hooks) and not damage and not no_store
    if as_json:
        facts = {
            "enrolment": enrolment, "enrolment_error": damage or None,
            "store": None if store is None else _utf8(store), "store_error": no_store,
            "auto_register": auto, "in_effect": good,
        }  # fmt: skip
        output.emit_json({**_plain(report), **facts})
        return 0 if good else 1
    _print(report, False)
    output.prose(f"store: {no_store or store}")
    if damage:
        output.prose(f"worktree: {damage}")
    elif enrolment:
        named = [f"{k} {enrolment[f'{k}_id']}" for k in _NAMES if enrolment.get(f"{k}_id")]
        output.prose(f"worktree: enrolled as {', '.join(named)}")
    else:
        when = "at its first commit" if auto else "by hand only (prodigy.autoRegister is false)"
        output.prose(f"worktree: not enrolled yet, will be {when}")
    for user in sorted(whose.others(where.git_dir).values()):
        output.prose(f"worktree: user {user} records it, too, in a store of their own")
    return 0 if good else 1


def _store(enrolled: str | None) -> tuple[str | None, str | None]:
    """Return the store that commits made here go to, and why it cannot be used, None if it can."""
    try:
        store = enrolled or home.named()
    except ProdigyError as error:
        return None, str(error)
    return store, home.trouble(store)


def _enrolment(git_dir: str) -> tuple[dict[str, Any] | None, str]:
    """Return this user's enrolment, or what is wrong with it."""
    path = os.path.join(git_dir, layout.ENROLMENT + whose.suffix(git_dir))
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            value = json.load(stream)
    except FileNotFoundError:
        return None, ""
    except (OSError, ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or not all(
        isinstance(value.get(key), str) and value[key]
        for key in ("store", "repo", "session", "job")
    ):
        return None, f"the enrolment {path} is damaged: remove it, the next commit enrols again"
    named = {f"{name}_id": value.get(name) for name in _NAMES}
    return {"store": value["store"], "repo": value["repo"], **named}, ""


def _print(report: installing.Report, as_json: bool, *, advise: bool = True) -> None:
    for text in report.notes:
        output.note(text)
    if as_json:
        output.emit_json(_plain(report))
        return
    if report.lines:
        output.note(
            "the repository tracks its hook files, so they were not edited. Add each line below "
            "to the file named before it (make it executable, with #!/bin/sh first, if it is new)"
        )
        for file, text in report.lines:
            output.line(f"# {file}")
            output.line(text)
        return
    output.prose(f"hooks: {report.directory}")
    rows = [(s.hook, s.words + (f"; {s.todo}" if advise and s.todo else "")) for s in report.hooks]
    output.definitions(("HOOK", "STATE"), rows)


def _plain(report: installing.Report) -> dict[str, Any]:
    value = dataclasses.asdict(report)
    value["lines"] = [{"file": _utf8(file), "line": text} for file, text in report.lines]
    for hook in value["hooks"]:
        hook["path"] = _utf8(hook["path"])
    value["directory"] = _utf8(report.directory)
    return value


def _utf8(path: str) -> str:
    # JSON knows no bytes: what is not UTF-8 is shown, not passed on.
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def in_effect(worktree: str) -> bool:
    """Whether git runs all of our hooks in a worktree."""
    try:
        return installing.in_effect(worktree)
    except ProdigyError:
        return False  # no folder can be looked into, as with core.hooksPath /dev/null


def note_if_not_in_effect(worktree: str) -> None:
    """Say so where commits in a worktree will not be recorded at once."""
    if not in_effect(worktree):
        output.note(
            "not all git hooks are in effect there, so commits are recorded late, by the next "
            "command: 'prodigy-git install' mends that, 'prodigy-git hooks' says why"
        )
