"""In what state a hook of ours is: where its file is, whether git calls it. Only reads."""

import dataclasses
import os
from typing import Literal

from prodigy_git.git import hooksdir
from prodigy_git.git.hooksdir import HooksDir
from prodigy_git.hookfiles import HOOKS, Found, Kind, calling, look

CHAINED = "prodigy-chained"
"""What a hook that was there before ours is called: its name, a dot, and this."""

State = Literal[
    "installed", "below", "missing", "foreign", "replaced", "gone", "edited", "disabled", "unlisted"
]


@dataclasses.dataclass(frozen=True)
class HookState:
    """One hook: in what state it is, in words, and what to do about it (empty: nothing)."""

    hook: str
    path: str
    state: State
    words: str
    todo: str = ""
    changed: bool = False

    def in_effect(self) -> bool:
        """Whether git runs ours, and ours finds its interpreter."""
        return self.state in ("installed", "below")


@dataclasses.dataclass(frozen=True)
class Chained:
    """A hook that was there before ours: its file's suffix, what it is, its path."""

    suffix: str
    kind: Kind
    path: str
    calling: str
    """How it has to be called, as `hookfiles.calling` says."""


def chained(directory: str, hook: str) -> list[Chained]:
    """Return the hooks that were there before ours, oldest first."""
    chain = []
    for number in range(1, 10):
        suffix = CHAINED if number == 1 else f"{CHAINED}-{number}"
        path = os.path.join(directory, f"{hook}.{suffix}")
        found = look(path)
        if found:
            chain.append(Chained(suffix, found.kind, path, calling(path, hook, found)))
    return chain


def file_of(cwd: str | os.PathLike[str], hook: str) -> str | None:
    """Return the path of our file for ``hook``, wherever it is called from; None where there is none.

    Raises as `install` does.
    """
    where = hooksdir.find(cwd)
    path = os.path.join(where.path, hook)
    # As `state_of` looks for it.
    own = [os.path.join(own_folder(where), hook)] if where.tracked else []
    for candidate in (*own, path, f"{path}.legacy"):
        found = look(candidate)
        if found and found.kind == "ours":
            return candidate
    return None


def state_of(where: HooksDir, hook: str) -> HookState:
    """Return in what state a hook is."""
    if where.tracked:
        ours = look(os.path.join(own_folder(where), hook))
        line = os.path.join(where.tracked, hook)
        if ours and calls_ours(line, hook):
            return _judge(hook, line, ours, "installed", f"called from {line}")
        if ours and not os.path.lexists(os.path.join(where.path, f"{hook}.{CHAINED}")):
            at = look(os.path.join(where.path, hook))
            if not at or at.kind != "ours":
                todo = "add the line that 'prodigy-git install' prints"
                return HookState(hook, line, "unlisted", "nothing calls it yet", todo)
    path = os.path.join(where.path, hook)
    top, legacy, old = look(path), look(f"{path}.legacy"), look(f"{path}.old")
    if top and top.kind == "ours":
        names = [_named(one) for one in chained(where.path, hook)]
        after = f", after {' and '.join(names)}" if names else ""
        return _judge(hook, path, top, "installed", f"installed{after}")
    runs_legacy = top and top.executable and top.kind in ("pre-commit", "prek")
    if top and runs_legacy and legacy and legacy.kind == "ours":
        below = f"installed below {top.kind}"
        return _judge(hook, f"{path}.legacy", legacy, "below", below)
    todo = "run 'prodigy-git install'"
    if not top:
        return HookState(hook, path, "missing", "missing", todo)
    whose = "another hook" if top.kind == "plain" else top.kind
    stray = any(file and file.kind == "ours" for file in (legacy, old))
    if stray or chained(where.path, hook):
        return HookState(hook, path, "replaced", f"replaced by {whose}", todo)
    return HookState(hook, path, "foreign", f"not installed, {whose} is there", todo)


def _named(one: Chained) -> str:
    if one.kind != "plain":
        return one.kind
    return "a hook of your own" + (" (which goes by its file's name)" if one.calling else "")


def _judge(hook: str, path: str, ours: Found, good: State, words: str) -> HookState:
    again = "run 'prodigy-git install' again"
    if not ours.executable:
        if os.stat(path).st_mode & 0o111 and os.statvfs(path).f_flag & os.ST_NOEXEC:
            return HookState(
                hook, path, "disabled", "on a filesystem where nothing can be run (noexec)",
                "set core.hooksPath to a folder on another one, and run 'prodigy-git install' again",
            )  # fmt: skip
        return HookState(hook, path, "disabled", "not executable, git ignores it", again)
    if ours.runtime is None or not ours.runtime.exists():
        if ours.edited:
            again = "run 'prodigy-git install --force', which writes it anew"
        gone = ours.runtime.python if ours.runtime else "unknown"
        return HookState(hook, path, "gone", f"interpreter or package gone: {gone}", again)
    if ours.edited:
        again = "undo the edit, or run 'prodigy-git install --force', which writes it anew"
        return HookState(hook, path, "edited", "edited by someone", again)
    if hook in HOOKS and not ours.leaves():
        again = "run 'prodigy-git install' again: then git no longer waits"
        return HookState(hook, path, good, f"{words}, by an earlier version", again)
    return HookState(hook, path, good, words)


def own_folder(where: HooksDir) -> str:
    """Return where our files are for a repository that tracks its own hooks."""
    return os.path.join(where.common, "prodigy-hooks")


def calls_ours(path: str, hook: str) -> bool:
    """Whether a tracked hook file has the line that calls ours."""
    found = look(path)
    # Husky's own files need not be executable; what git runs is then its wrapper.
    return bool(found and f"prodigy-hooks/{hook}".encode() in found.content)


def lines_to_add(where: HooksDir, states: list[HookState]) -> list[tuple[str, str]]:
    """Return the lines (file, line) that a person has to add to tracked hook files."""
    return [
        (
            os.path.join(where.tracked, state.hook),
            f'h="$(git rev-parse --git-common-dir)/prodigy-hooks/{state.hook}"; '
            '[ ! -x "$h" ] || "$h" "$@"',
        )
        for state in states
        if state.state == "unlisted"
    ]
