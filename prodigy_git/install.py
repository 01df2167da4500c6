"""Install our hooks beside whatever hooks are there, and take them out again.

One rule decides where ours goes: pre-commit and prek run the hook that was there before them as
``<hook>.legacy``, so below them that is our place, and their own script stays untouched. Everywhere
else ours becomes the hook, and what was there moves to ``<hook>.prodigy-chained`` and runs first.

Writers hold a lock of the store that is named after the hooks directory, not after the repository:
repositories may share one directory through core.hooksPath.
"""

import contextlib
import dataclasses
import glob
import os
import time
from collections.abc import Iterator
from typing import Literal

from filelock import FileLock, Timeout

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.git import hooksdir
from prodigy_git.git.ask import git_status
from prodigy_git.git.hooksdir import HooksDir
from prodigy_git.hookfiles import (
    HOOKS,
    TRAILERS_HOOK,
    Found,
    Kind,
    Runtime,
    interpreter,
    look,
    package_folder,
    render,
)
from prodigy_git.record import files
from prodigy_git.store import reserve

CHAINED = "prodigy-chained"
WARNED = "prodigy-hook-warned"
"""The guard's marker in a git directory: it has said that the interpreter is gone."""

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
class Report:
    """What was done or found: per hook, the lines to add by hand (file, line), and remarks."""

    directory: str
    hooks: list[HookState]
    lines: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)


def install(
    cwd: str | os.PathLike[str], *, force: bool = False, package: str | None = None
) -> Report:
    """Install the five hooks into the effective hooks directory of ``cwd``.

    A directory that the repository tracks is left alone unless ``force``; the report then holds the
    lines to add. ``package`` names another folder to load prodigy_git from. Raises `ProdigyError`
    outside a repository and where the hooks directory cannot be used, OSError where it cannot be
    written.
    """
    where = hooksdir.find(cwd)
    by_hand = bool(where.tracked) and not (force and where.tracked == where.path)
    directory = _own_folder(where) if by_hand else where.path
    runtime = Runtime(interpreter(), package or package_folder(), int(time.time()))
    with _locked(where.path):
        os.makedirs(directory, exist_ok=True)
        runtime = dataclasses.replace(runtime, installed=_first_install(directory, runtime))
        wanted = _wanted(cwd)
        changed = [hook for hook in wanted if _install_one(directory, hook, runtime, force)]
    _forget_warnings(where)
    reserve.keep(layout.store_from(os.environ), where.common)
    states = [dataclasses.replace(_state(where, hook), changed=hook in changed) for hook in wanted]
    lines = _lines_to_add(where, states) if by_hand else []
    notes = _sharing(where)
    if by_hand and force:
        notes.append(f"Husky writes {where.path} anew at each set-up; add the lines instead")
    return Report(directory, states, lines, notes)


def ensure(cwd: str | os.PathLike[str], *, package: str | None = None) -> None:
    """Install where a hook is not in effect; say nothing and raise nothing, whatever happens.

    Hooks that work stay as they are, whichever interpreter they name: the one that runs this may be
    pre-commit's, which pre-commit removes some day.
    """
    # A hook calls this, and no hook of ours may make a git command fail.
    with contextlib.suppress(Exception):
        if not all(state.in_effect() for state in hooks_status(cwd).hooks):
            install(cwd, package=package)


def uninstall(cwd: str | os.PathLike[str]) -> Report:
    """Put back what was there before `install`, byte for byte; leave what someone changed since.

    Raises as `install` does. The report's notes name what was left alone, and why.
    """
    where = hooksdir.find(cwd)
    notes: list[str] = []
    changed: set[str] = set()
    # core.hooksPath may have been set after the hooks were installed where git looked before.
    folders = dict.fromkeys([where.path, os.path.join(where.common, "hooks"), _own_folder(where)])
    for directory in folders:
        if os.path.isdir(directory):
            with _locked(directory):
                for hook in (*HOOKS, TRAILERS_HOOK):
                    if _uninstall_one(directory, hook, notes):
                        changed.add(hook)
    with contextlib.suppress(OSError):
        os.rmdir(_own_folder(where))
    _forget_warnings(where)
    if where.tracked:
        for hook in (*HOOKS, TRAILERS_HOOK):
            path = os.path.join(where.tracked, hook)
            if _calls_ours(path, hook):
                notes.append(f"{path} still has our line, which does nothing now: remove it")
    states = [dataclasses.replace(_state(where, hook), changed=hook in changed) for hook in HOOKS]
    return Report(where.path, states, [], notes)


def hooks_status(cwd: str | os.PathLike[str]) -> Report:
    """Return in what state each hook is. Raises `ProdigyError` as `install` does; changes nothing."""
    where = hooksdir.find(cwd)
    states = [_state(where, hook) for hook in _wanted(cwd)]
    return Report(where.path, states, _lines_to_add(where, states), _sharing(where))


def _wanted(cwd: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the hooks that the configuration asks for: trailers take one more (git-config(1))."""
    status, out, _ = git_status(
        os.fspath(cwd), "config", "--type=bool", "--get", "prodigy.trailers"
    )
    return (*HOOKS, TRAILERS_HOOK) if status == 0 and out.strip() == "true" else HOOKS


# One hook ------------------------------------------------------------------------------------


def _install_one(directory: str, hook: str, runtime: Runtime, force: bool) -> bool:
    slot = _slot(directory, hook)
    path = os.path.join(directory, slot)
    found = look(path)
    if found and found.kind == "ours" and found.edited and not force:
        return False
    if found and found.kind != "ours":
        _keep(directory, hook, path, found)
    chain = [(suffix, kind) for suffix, kind, _ in _chain(directory, hook)]
    wanted = render(hook, chain, runtime)
    changed = found is None or found.content != wanted or not found.executable
    if changed:
        _write(path, wanted)
    # What a manager has moved aside and nobody calls; in lefthook's way when it moves ours again.
    for name in {hook, f"{hook}.legacy", f"{hook}.old"} - {slot}:
        changed |= _remove_ours(os.path.join(directory, name))
    return changed


def _slot(directory: str, hook: str) -> str:
    top = look(os.path.join(directory, hook))
    if top and top.executable and top.kind in ("pre-commit", "prek"):
        return f"{hook}.legacy"
    return hook


def _chain(directory: str, hook: str) -> list[tuple[str, Kind, str]]:
    """Return (suffix, kind, path) of the hooks that were there before ours, oldest first."""
    chain: list[tuple[str, Kind, str]] = []
    for number in range(1, 10):
        suffix = CHAINED if number == 1 else f"{CHAINED}-{number}"
        path = os.path.join(directory, f"{hook}.{suffix}")
        found = look(path)
        if found:
            chain.append((suffix, found.kind, path))
    return chain


def _keep(directory: str, hook: str, path: str, found: Found) -> None:
    """Give the foreign hook at ``path`` its second name, from which the guard calls it."""
    chain = _chain(directory, hook)
    for _, kind, kept in chain:
        older = look(kept)
        # A manager's script that comes back replaces its earlier self, or it would run twice.
        if kind == found.kind and (kind != "plain" or (older and older.content == found.content)):
            target = kept
            break
    else:
        taken = {suffix for suffix, _, _ in chain}
        names = [CHAINED, *(f"{CHAINED}-{number}" for number in range(2, 10))]
        free = [n for n in names if n not in taken]
        if not free:
            raise ProdigyError(f"too many {hook}.{CHAINED} files in {directory}: remove old ones")
        target = os.path.join(directory, f"{hook}.{free[0]}")
    if os.path.lexists(target) and os.path.samestat(os.lstat(target), os.lstat(path)):
        return  # an install was killed between the two steps
    second = f"{target}.{os.getpid()}"
    try:
        # A second name first: at no moment is the hook missing, and the file stays the same one.
        os.link(path, second, follow_symlinks=False)
    except OSError:
        os.replace(path, target)  # no hard links here
    else:
        os.replace(second, target)


def _uninstall_one(directory: str, hook: str, notes: list[str]) -> bool:
    places = [os.path.join(directory, f"{hook}{s}") for s in ("", ".legacy", ".old")]
    found = [(path, file) for path in places if (file := look(path)) and file.kind == "ours"]
    for path, file in found:
        if file.edited:
            notes.append(f"{path} was edited since it was installed: left alone")
            return False
    chain = _chain(directory, hook)
    top = look(places[0])
    if not found:
        notes.extend(
            f"{path} is the hook from before; {places[0]} was replaced since: left alone"
            for _, _, path in chain
        )
        return False
    home = found[0][0]
    for path, _ in found[1:]:
        os.unlink(path)
    if home != places[0] and top:
        # A manager's script that is the hook again needs no second copy below itself.
        for _, kind, path in chain:
            if kind != "plain" and kind == top.kind:
                os.unlink(path)
        chain = _chain(directory, hook)
    if not chain:
        os.unlink(home)
        return True
    _, newest, path = chain.pop()
    os.replace(path, home)
    # Before us, a manager had the next one aside under the name that it gives to such hooks.
    aside = {"lefthook": ".old", "pre-commit": ".legacy", "prek": ".legacy"}.get(newest)
    if chain and aside and home == places[0] and not os.path.lexists(home + aside):
        os.replace(chain.pop()[2], home + aside)
    notes.extend(f"{path} is an older hook that nothing calls: left there" for _, _, path in chain)
    return True


def _remove_ours(path: str) -> bool:
    found = look(path)
    if not found or found.kind != "ours" or found.edited:
        return False
    os.unlink(path)
    return True


def _write(path: str, content: bytes) -> None:
    temporary = f"{path}.{os.getpid()}.tmp"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    # The umask applies to a mode given here, as it does to hooks that anyone else writes.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


# States --------------------------------------------------------------------------------------


def _state(where: HooksDir, hook: str) -> HookState:
    if where.tracked:
        ours = look(os.path.join(_own_folder(where), hook))
        line = os.path.join(where.tracked, hook)
        if ours and _calls_ours(line, hook):
            return _judge(hook, line, ours, "installed", f"called from {line}")
        if ours and not os.path.lexists(os.path.join(where.path, f"{hook}.{CHAINED}")):
            at = look(os.path.join(where.path, hook))
            if not at or at.kind != "ours":
                todo = "add the line that 'prodigy-git install' prints"
                return HookState(hook, line, "unlisted", "nothing calls it yet", todo)
    path = os.path.join(where.path, hook)
    top, legacy, old = look(path), look(f"{path}.legacy"), look(f"{path}.old")
    if top and top.kind == "ours":
        chain = [kind for _, kind, _ in _chain(where.path, hook)]
        names = ["a hook of your own" if kind == "plain" else kind for kind in chain]
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
    if stray or _chain(where.path, hook):
        return HookState(hook, path, "replaced", f"replaced by {whose}", todo)
    return HookState(hook, path, "foreign", f"not installed, {whose} is there", todo)


def _judge(hook: str, path: str, ours: Found, good: State, words: str) -> HookState:
    again = "run 'prodigy-git install' again"
    if not ours.executable:
        return HookState(hook, path, "disabled", "not executable, git ignores it", again)
    if ours.runtime is None or not ours.runtime.exists():
        if ours.edited:
            again = "run 'prodigy-git install --force', which writes it anew"
        gone = ours.runtime.python if ours.runtime else "unknown"
        return HookState(hook, path, "gone", f"interpreter or package gone: {gone}", again)
    if ours.edited:
        again = "undo the edit, or run 'prodigy-git install --force', which writes it anew"
        return HookState(hook, path, "edited", "edited by someone", again)
    return HookState(hook, path, good, words)


def _own_folder(where: HooksDir) -> str:
    return os.path.join(where.common, "prodigy-hooks")


def _calls_ours(path: str, hook: str) -> bool:
    found = look(path)
    # Husky's own files need not be executable; what git runs is then its wrapper.
    return bool(found and f"prodigy-hooks/{hook}".encode() in found.content)


def _lines_to_add(where: HooksDir, states: list[HookState]) -> list[tuple[str, str]]:
    return [
        (
            os.path.join(where.tracked, state.hook),
            f'h="$(git rev-parse --git-common-dir)/prodigy-hooks/{state.hook}"; '
            '[ ! -x "$h" ] || "$h" "$@"',
        )
        for state in states
        if state.state == "unlisted"
    ]


def _sharing(where: HooksDir) -> list[str]:
    if where.scope in ("global", "system"):
        return [
            f"core.hooksPath is set in the {where.scope} configuration: "
            f"{where.path} serves every repository that uses it"
        ]
    return []


def _first_install(directory: str, runtime: Runtime) -> int:
    """Return when hooks were first installed here: a journal's older lines are not ours to record."""
    known = [runtime.installed]
    for hook in HOOKS:
        for end in ("", ".legacy", ".old"):
            found = look(os.path.join(directory, hook + end))
            if found and found.runtime:
                known.append(found.runtime.installed)
    return min(known)


def _forget_warnings(where: HooksDir) -> None:
    each = glob.glob(os.path.join(glob.escape(where.common), "worktrees", "*", WARNED))
    for marker in (os.path.join(where.common, WARNED), *each):
        with contextlib.suppress(OSError):
            os.unlink(marker)


@contextlib.contextmanager
def _locked(directory: str) -> Iterator[None]:
    digest = files.sha1_hex(os.fsencode(os.path.realpath(directory)))[:16]
    path = layout.hooks_lock(layout.store_from(os.environ), digest)
    files.make_private(os.path.dirname(path))
    try:
        with FileLock(path, timeout=30, mode=0o600):
            yield
    except Timeout as error:
        raise ProdigyError(
            f"another prodigy-git is busy with the hooks in {directory}: try again"
        ) from error
