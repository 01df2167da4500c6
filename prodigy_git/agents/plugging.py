"""Our hooks put into a program's settings, and taken out: one file at a time, whole at each moment.

In this order: what is to be done is noted in the store, then the file is replaced. Whoever is killed in
between has the old file, and its note beside that of the new one.
"""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Literal

from prodigy_git import layout
from prodigy_git.agents import (
    calls,
    codex_trust,
    hooks_in_json,
    hooks_in_toml,
    plugin_file,
    programs,
    settings_file,
    undo_notes,
)
from prodigy_git.agents.hooks_in_json import Result
from prodigy_git.agents.programs import Program, Scope
from prodigy_git.agents.settings_file import Seen
from prodigy_git.agents.undo_notes import State
from prodigy_git.errors import ProdigyError
from prodigy_git.record import files, locks

_TRIES = 5  # a program writes its settings now and then, not all the time

Standing = Literal["installed", "outdated", "absent", "unreadable"]
Outcome = Literal["installed", "updated", "unchanged", "removed", "absent"]


@dataclasses.dataclass(frozen=True)
class Done:
    """What came of one program's file: what was done, and what there is to say about it."""

    program: str
    scope: Scope
    path: str
    outcome: Outcome
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Site:
    """Where a command works: the store, the worktree's folder if there is one, the environment."""

    store: str
    top: str | None
    environ: Mapping[str, str]


def install(site: Site, program: Program, scope: Scope) -> Done:
    """Put our hooks into a program's settings; nothing happens where they are there as they should be.

    Raises `ProdigyError` where the file cannot be read, understood or written: it was left alone.
    """
    path = place(site, program, scope)
    if old := programs.outgrown(program, site.environ, path):
        raise ProdigyError(f"{old}; it was left alone")
    with _locked(site.store):
        undo_notes.sweep(site.store)
        settings_file.sweep(path)
        for _ in range(_TRIES):
            with contextlib.suppress(settings_file.Changed):
                return _install_once(site, program, scope, path)
    raise _restless(path)


def uninstall(site: Site, program: Program, scope: Scope) -> Done:
    """Take our hooks out of a program's settings; the file is then as if they had never been there.

    Raises as `install`.
    """
    done = _uninstall(site, program, scope, place(site, program, scope))
    if done.outcome == "removed" and (other := place(site, program, scope)) != done.path:
        _uninstall(site, program, scope, other)  # Codex may have had ours in both of its files
    return done


def _uninstall(site: Site, program: Program, scope: Scope, path: str) -> Done:
    with _locked(site.store):
        settings_file.sweep(path)
        for _ in range(_TRIES):
            with contextlib.suppress(settings_file.Changed):
                return _uninstall_once(site, program, scope, path)
    raise _restless(path)


def state(site: Site, program: Program, scope: Scope) -> tuple[Standing, str]:
    """Return how it stands with our hooks in a scope's file, and for ``unreadable`` why that is."""
    path = place(site, program, scope)
    try:
        seen = settings_file.look(path)
        text = seen.text()
        if not _has_ours(program, path, text):
            return "absent", ""
        result = _with_ours(site, seen, text, program, scope, None)
        if result.text != text:
            # Another installation of ours, which works, is as good: as of a project's own environment.
            text = (plugin_file if program.shape == "plugin" else calls).as_here(text)
            result = _with_ours(site, seen, text, program, scope, None)
    except ProdigyError as error:
        return "unreadable", str(error)
    return ("installed" if result.text == text else "outdated"), ""


def _has_ours(program: Program, path: str, text: str) -> bool:
    if not calls.mentioned(text):
        return False
    if program.shape == "plugin":
        return plugin_file.is_ours(text)
    if path.endswith(".toml"):
        return hooks_in_toml.uninstalled(text, path).text != text
    return hooks_in_json.uninstalled(text, program, path, None).text != text


def place(site: Site, program: Program, scope: Scope) -> str:
    """Return the file that our hooks are in, or belong in. Raises `ProdigyError` where there is none.

    Codex reads hooks from two files, and complains where both have some: ours go where others are.
    """
    path = programs.settings_file(program, scope, site.top, site.environ)
    if program is programs.CODEX:
        other = f"{os.path.dirname(path)}/config.toml"
        with contextlib.suppress(ProdigyError):
            theirs = settings_file.look(other).text()
            if hooks_in_toml.has_ours(theirs) or (
                hooks_in_toml.has_hooks(theirs) and not os.path.lexists(path)
            ):
                return other
    return path


def _install_once(site: Site, program: Program, scope: Scope, path: str) -> Done:
    seen = settings_file.look(path)
    text = seen.text()
    states = undo_notes.read(site.store, seen.target)
    exact, newest = _known(seen, states)
    before = text
    if exact is not None and program.shape != "plugin":
        before = exact.original(text)  # as if we came for the first time
    result = _with_ours(site, seen, before, program, scope, newest.made if newest else None)
    content = result.text.encode("utf-8")
    notes = _said(program, path, result, _taken_elsewhere(site, program, scope))
    notes += _moved(site, program, path, text, result.text)
    if content == seen.content:
        return Done(program.name, scope, path, "unchanged", notes)
    made = result.made if exact else (*(newest.made if newest else ()), *result.made)
    folders = settings_file.missing_folders(seen) or (newest.folders if newest else ())
    new = State(
        undo_notes.digest(content), result.spans, tuple(dict.fromkeys(made)),
        seen.content is None or bool(newest and newest.file_made), folders,
    )  # fmt: skip
    try:
        undo_notes.write(site.store, seen.target, [new, *states])
    except OSError as error:
        raise ProdigyError(
            f"{path} was left alone: the store {site.store} cannot be written ({error.strerror})"
        ) from None
    notes += _left_behind(seen)
    settings_file.replace(seen, content)
    had = _has_ours(program, path, text)
    return Done(program.name, scope, path, "updated" if had else "installed", notes)


def _with_ours(
    site: Site, seen: Seen, text: str, program: Program, scope: Scope, made: tuple[str, ...] | None
) -> Result:
    if program.shape == "plugin":
        if seen.content is not None and not plugin_file.is_ours(text):
            raise ProdigyError(f"{seen.path} is there and not ours: move it away")
        if seen.content is not None and plugin_file.is_edited(text):
            raise ProdigyError(f"{seen.path} was edited since, and was left alone: remove it first")
        return Result(plugin_file.text(scope), None)
    if seen.path.endswith(".toml"):
        return hooks_in_toml.installed(text, scope, seen.path)
    elsewhere = _taken_elsewhere(site, program, scope)
    return hooks_in_json.installed(text, program, scope, seen.path, made, frozenset(elsewhere))


def _taken_elsewhere(site: Site, program: Program, scope: Scope) -> dict[str, str]:
    """Return events that only one hook can have and another tool has, in the file of another scope."""
    found = {}
    for other in programs.SCOPES:
        if other == scope or program is not programs.CLAUDE:
            continue
        with contextlib.suppress(ProdigyError):
            path = programs.settings_file(program, other, site.top, site.environ)
            theirs = settings_file.look(path).text()
            for event in hooks_in_json.taken(theirs, program, path):
                found[event] = path
    return found


def _uninstall_once(site: Site, program: Program, scope: Scope, path: str) -> Done:
    seen = settings_file.look(path)
    text = seen.text()
    states = undo_notes.read(site.store, seen.target)
    exact, newest = _known(seen, states)
    absent = Done(program.name, scope, path, "absent")
    if seen.content is None:
        for state in states:
            settings_file.remove_folders(state.folders)
        undo_notes.drop(site.store, seen.target)
        return absent
    notes: tuple[str, ...] = ()
    made_here = newest is not None and newest.file_made
    if program.shape == "plugin":
        if not plugin_file.is_ours(text):
            return absent
        if plugin_file.is_edited(text):
            raise ProdigyError(f"{path} was edited since, and was left alone: remove it by hand")
        after, goes = "", True
    elif exact is not None:
        after, goes = exact.original(text), exact.file_made
    else:
        result = (
            hooks_in_toml.uninstalled(text, path)
            if path.endswith(".toml")
            else hooks_in_json.uninstalled(text, program, path, newest.made if newest else None)
        )
        after, notes = result.text, _said(program, path, result, {})
        alone = os.path.basename(path) == os.path.basename(program.user) == "prodigy-git.json"
        goes = (made_here or alone) and path.endswith(".json") and hooks_in_json.is_bare(after)
        if after == text:
            return dataclasses.replace(absent, notes=notes)
    notes += _moved(site, program, path, text, after) + _left_behind(seen)
    if goes:
        settings_file.remove(seen, newest.folders if newest else ())
    else:
        settings_file.replace(seen, after.encode("utf-8"))
    undo_notes.drop(site.store, seen.target)
    return Done(program.name, scope, path, "removed", notes)


def _known(seen: Seen, states: list[State]) -> tuple[State | None, State | None]:
    """Return what is noted of a file as it is now, ours known to the byte; and what is noted at all."""
    if seen.content is None:
        return None, None
    now = undo_notes.digest(seen.content)
    matching = next((one for one in states if one.sha256 == now), None)
    newest = matching or (states[0] if states and calls.mentioned(seen.text()) else None)
    return (matching if matching and matching.spans is not None else None), newest


def _said(
    program: Program, path: str, result: Result, elsewhere: Mapping[str, str]
) -> tuple[str, ...]:
    """Return what is to be said about what was found in a file, and in those of other scopes."""
    notes = []
    if result.by_hand:
        notes.append(
            f"{path} calls prodigy-git by a command written by hand, at {', '.join(result.by_hand)}: "
            "it was left as it is"
        )
    notes += [
        f"another tool makes {program.title}'s worktrees ({event} in {elsewhere.get(event, path)}): "
        "ours was left out, since both would run"
        for event in result.taken
    ]
    return tuple(notes)


def _left_behind(seen: Seen) -> tuple[str, ...]:
    if not settings_file.has_other_name(seen):
        return ()
    return (f"{seen.path} had another name (a hard link), which keeps what was in it before",)


def _moved(site: Site, program: Program, path: str, before: str, after: str) -> tuple[str, ...]:
    """Return what is to be said where hooks of others no longer run, since ours are not before them."""
    if program is not programs.CODEX:
        return ()
    home = programs.home(program, site.environ)
    events = codex_trust.distrusted(home, path, before, after)
    if not events:
        return ()
    return (
        f"Codex trusts hooks by their places, and those of others behind ours have moved, at "
        f"{', '.join(events)}: start codex, type /hooks, and trust them again",
    )


@contextlib.contextmanager
def _locked(store: str) -> Iterator[None]:
    try:
        files.make_private(f"{store}/locks")
        lock = locks.take(layout.agent_settings_lock(store))
    except OSError as error:
        raise ProdigyError(
            f"the store {store} cannot be written ({error.strerror}): set PRODIGY_HOME to another "
            "folder"
        ) from None
    try:
        yield
    finally:
        os.close(lock)


def _restless(path: str) -> ProdigyError:
    return ProdigyError(f"{path} is being written by somebody else all the time: try again later")
