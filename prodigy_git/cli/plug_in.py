"""agents: our hooks put into agent programs' settings, taken out again, and looked after."""

import functools
import os
from typing import TYPE_CHECKING, Any

import click

from prodigy_git import gitenv
from prodigy_git.cli import output
from prodigy_git.errors import ProdigyError
from prodigy_git.store import home

if TYPE_CHECKING:
    from prodigy_git.agents.plugging import Done, Site
    from prodigy_git.agents.programs import Program, Scope
    from prodigy_git.agents.survey import Surveyed

_NAMES = ("claude", "codex", "gemini", "cursor", "copilot", "opencode")
_SCOPES: "dict[Scope, str]" = {
    "user": "Yours, in all repositories. The default.",
    "project": "Of all who work on this repository: a file to commit.",
    "local": "Of you alone, in this worktree alone.",
}
_which = click.argument(
    "which", nargs=-1, type=click.Choice((*_NAMES, "all")), metavar="[PROGRAM|all]..."
)


def _scoped(command: Any) -> Any:
    """Add the options that say whose settings are meant; the command gets a ``scope``."""

    @functools.wraps(command)
    def scoped(*arguments: Any, **more: Any) -> Any:
        given: list[Scope] = [name for name in _SCOPES if more.pop(name)]
        if len(given) > 1:
            raise click.UsageError(
                f"Give one of --{' and --'.join(given)}: each has a file of its own."
            )
        return command(*arguments, scope=given[0] if given else "user", **more)

    for name, text in reversed(_SCOPES.items()):
        scoped = click.option(f"--{name}", name, is_flag=True, help=text)(scoped)
    return scoped


@click.group()
def agents() -> None:
    """Agent programs: plug in, so that they tell what their agents do.

    PROGRAM is claude (Claude Code), codex, gemini (Gemini CLI), cursor, copilot (Copilot CLI) or
    opencode.

    \b
    Example:
      prodigy-git agents install claude
      prodigy-git agents list
    """


@agents.command("install")
@_which
@_scoped
@output.json_option
def install_(which: tuple[str, ...], scope: "Scope", as_json: bool) -> int:
    """Put our hooks into the settings of agent programs.

    All else in the settings stays as it is. Installing again changes nothing; after an upgrade it
    brings our hooks up to date. Without PROGRAM, or with 'all', it is each program found on this
    machine.

    \b
    Example:
      prodigy-git agents install claude
    """
    from prodigy_git.agents import plugging, programs

    site = _site()
    chosen = _chosen(which) or [one for one in programs.ALL if programs.is_found(one, site.environ)]
    if not chosen:
        raise ProdigyError("no agent program was found on this machine: name one, as 'claude'")
    asked = bool(_chosen(which))
    rows = [_tried(plugging.install, site, one, scope, asked=asked) for one in chosen]
    done = [row for row in rows if row is not None]
    for row in done:
        if row["error"] is None:
            _advise(site, programs.BY_NAME[row["program"]], scope, row["path"])
    return _print(done, as_json)


@agents.command("uninstall")
@_which
@_scoped
@output.json_option
def uninstall_(which: tuple[str, ...], scope: "Scope", as_json: bool) -> int:
    """Take our hooks out of the settings of agent programs.

    The settings are then as if we had never been there. Without PROGRAM, or with 'all', it is every
    program. What was recorded stays.

    \b
    Example:
      prodigy-git agents uninstall claude
    """
    from prodigy_git.agents import plugging, programs

    chosen = _chosen(which)
    site = _site()
    rows = [
        _tried(plugging.uninstall, site, one, scope, asked=bool(chosen))
        for one in chosen or programs.ALL
    ]
    done = [row for row in rows if row is not None]
    if not chosen:
        done = [row for row in done if row["outcome"] != "absent" or row["notes"]]
    return _print(done, as_json)


@agents.command("list")
@_which
@output.json_option
def list_(which: tuple[str, ...], as_json: bool) -> None:
    """Show which agent programs are here, and whether they tell us what happens.

    Says what is missing where our hooks are in a program's settings and yet not run, and when the
    program was last heard of. Settings of a repository are those of the one you stand in.

    \b
    Example:
      prodigy-git agents list --json
    """
    from prodigy_git.agents import programs, survey

    found = survey.survey(_site(), tuple(_chosen(which) or programs.ALL))
    if as_json:
        output.emit_json([_as_json(one) for one in found])
        return
    output.definitions(("PROGRAM", "STATE"), [(one.program.name, _words(one)) for one in found])


def _site() -> "Site":
    from prodigy_git.agents.plugging import Site
    from prodigy_git.record import gitdir

    place = gitdir.find(gitenv.here(), {})
    # A bare repository has no worktree in which a program could look for settings.
    bare = place is None or place.top == place.private
    top = None if place is None or bare else place.top
    return Site(home.here(), top, os.environ)


def _chosen(which: tuple[str, ...]) -> "list[Program]":
    """Return the programs that were named; none where all are meant."""
    from prodigy_git.agents import programs

    return [] if "all" in which else [programs.BY_NAME[name] for name in dict.fromkeys(which)]


def _tried(
    action: Any, site: "Site", program: "Program", scope: "Scope", *, asked: bool
) -> dict[str, Any] | None:
    """Do one program's part and return what came of it; None where it is none of its parts.

    ``asked`` is whether it was named: else a program that has no file of a scope is passed over.
    """
    from prodigy_git.agents import plugging

    if not asked and scope == "local" and not program.local:
        return None
    path = None
    try:
        path = plugging.place(site, program, scope)
        done: Done = action(site, program, scope)
    except ProdigyError as error:
        output.error(str(error))
        return _row(program.name, scope, path, "refused", (), str(error))
    for note in done.notes:
        output.note(note)
    return _row(done.program, done.scope, done.path, done.outcome, done.notes, None)


def _row(
    program: str,
    scope: str,
    path: str | None,
    outcome: str,
    notes: tuple[str, ...],
    error: str | None,
) -> dict[str, Any]:
    return {
        "program": program, "scope": scope, "path": path, "outcome": outcome, "notes": list(notes),
        "error": error,
    }  # fmt: skip


def _advise(site: "Site", program: "Program", scope: "Scope", path: str) -> None:
    """Say what keeps hooks from being run that have just been installed, and what doubles them."""
    from prodigy_git.agents import in_effect, plugging, plugins, programs

    for obstacle in in_effect.obstacles(site, program, scope, path):
        output.note(obstacle)
    for other in programs.SCOPES:
        try:
            there = other != scope and plugging.state(site, program, other)[0] != "absent"
        except ProdigyError:
            continue
        if there and "project" in (scope, other):
            output.note(
                f"{program.title} has our hooks by --{other}, too, and runs both: "
                f"'prodigy-git agents uninstall {program.name} --{other}' ends that"
            )
    if plugins.place(site, program) is not None:
        output.note(f"{program.title} has our hooks as a plugin, too, and runs both: one is enough")
    if not programs.is_found(program, site.environ):
        output.note(f"{program.title} was not found on this machine")
    if scope != "user" and site.top is not None:
        from prodigy_git.git.ask import git_status

        ignored = git_status(site.top, "check-ignore", "-q", path)[0] == 0
        if scope == "local" and not ignored:
            output.note(f"git does not ignore {path}: add it to .git/info/exclude")
        if scope == "project" and ignored:
            output.note(f"git ignores {path}: nobody else gets it as long as it does")


def _print(rows: list[dict[str, Any]], as_json: bool) -> int:
    if as_json:
        output.emit_json(rows)
    else:
        shown = [row for row in rows if row["error"] is None]
        words = {"unchanged": "was there already, in", "absent": "was not there, in"}
        output.definitions(
            ("PROGRAM", "DONE"),
            [
                (row["program"], f"{words.get(row['outcome'], row['outcome'] + ',')} {row['path']}")
                for row in shown
            ],
        )
    return 1 if any(row["error"] for row in rows) else 0


def _as_json(one: "Surveyed") -> dict[str, Any]:
    return {
        "program": one.program.name,
        "title": one.program.title,
        "found": one.found,
        "path": one.binary,
        "version": one.version,
        "in_effect": one.in_effect,
        "installed": [
            {
                "scope": place.scope, "path": place.path, "state": place.state,
                "in_effect": place.in_effect, "missing": list(place.obstacles),
            }
            for place in one.places
        ],
        "last_event_at": one.last_event,
    }  # fmt: skip


def _words(one: "Surveyed") -> str:
    """Return how it stands with a program, in one sentence or a few."""
    name = one.program.name
    if not one.places:
        if not one.found:
            return "not found"
        version = f" {one.version}" if one.version else ""
        return f"found{version}, not plugged in: 'prodigy-git agents install {name}'"
    parts = []
    for place in one.places:
        option = "plugin" if place.scope == "plugin" else f"--{place.scope}"
        if place.state == "outdated":
            parts.append(f"out of date ({option}): 'prodigy-git agents install {name} {option}'")
        elif place.obstacles:
            parts.append(f"not in effect ({option}): {'; '.join(place.obstacles)}")
        else:
            parts.append(f"in effect ({option})")
    parts.append(f"last event {one.last_event}" if one.last_event else "no event yet")
    return "; ".join(parts)
