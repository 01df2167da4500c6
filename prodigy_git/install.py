"""Install our hooks beside whatever hooks are there, and take them out again.

One rule decides where ours goes: pre-commit and prek run the hook that was there before them as
``<hook>.legacy``, so below them that is our place, and their own script stays untouched. Everywhere
else ours becomes the hook, and what was there moves to ``<hook>.prodigy-chained`` and runs first.

Writers hold a lock on the hooks directory, not on the repository: repositories may share one directory
through core.hooksPath.
"""

import contextlib
import dataclasses
import glob
import os
import time
from collections.abc import Iterator

from prodigy_git.errors import ProdigyError
from prodigy_git.git import hooksdir
from prodigy_git.git.ask import git_status
from prodigy_git.git.hooksdir import HooksDir
from prodigy_git.hookfiles import (
    HOOKS,
    LINK,
    TRAILERS_HOOK,
    Found,
    Runtime,
    interpreter,
    look,
    package_folder,
    render,
)
from prodigy_git.hookstate import (
    CHAINED,
    Chained,
    HookState,
    calls_ours,
    chained,
    lines_to_add,
    own_folder,
    state_of,
)
from prodigy_git.record import files, locks, ownership
from prodigy_git.store import home, reserve

WARNED = "prodigy-hook-warned"
"""The guard's marker in a git directory: it has said that the interpreter is gone."""


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
    directory = own_folder(where) if by_hand else where.path
    runtime = Runtime(interpreter(), package or package_folder(), int(time.time()))
    files.make_private(directory, 0o777)  # git's: with the modes that git gives
    with _locked(directory):
        runtime = dataclasses.replace(runtime, installed=_first_install(directory, runtime))
        wanted = _wanted(cwd)
        changed = [hook for hook in wanted if _install_one(directory, hook, runtime, force)]
    _forget_warnings(where)
    with contextlib.suppress(ProdigyError):  # without a store, `_no_store` says so
        reserve.keep(home.here(os.fspath(cwd)), where.common)
    states = [
        dataclasses.replace(state_of(where, hook), changed=hook in changed) for hook in wanted
    ]
    lines = lines_to_add(where, states) if by_hand else []
    notes = _sharing(where) + _no_store(cwd)
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
        if not in_effect(cwd):
            install(cwd, package=package)


def uninstall(cwd: str | os.PathLike[str]) -> Report:
    """Put back what was there before `install`, byte for byte; leave what someone changed since.

    Also where core.hooksPath has come to lead nowhere.

    Raises as `install` does. The report's notes name what was left alone, and why.
    """
    where = hooksdir.locate(cwd)
    notes: list[str] = []
    changed: set[str] = set()
    # core.hooksPath may have been set after the hooks were installed where git looked before.
    folders = dict.fromkeys([where.path, os.path.join(where.common, "hooks"), own_folder(where)])
    for directory in folders:
        if os.path.isdir(directory):
            with _locked(directory):
                for hook in (*HOOKS, TRAILERS_HOOK):
                    if _uninstall_one(directory, hook, notes):
                        changed.add(hook)
    with contextlib.suppress(OSError):
        os.rmdir(own_folder(where))
    _forget_warnings(where)
    if where.tracked:
        for hook in (*HOOKS, TRAILERS_HOOK):
            path = os.path.join(where.tracked, hook)
            if calls_ours(path, hook):
                notes.append(f"{path} still has our line, which does nothing now: remove it")
    states = [dataclasses.replace(state_of(where, hook), changed=hook in changed) for hook in HOOKS]
    return Report(where.path, states, [], notes)


def hooks_status(cwd: str | os.PathLike[str]) -> Report:
    """Return in what state each hook is. Raises `ProdigyError` as `install` does; changes nothing."""
    where = hooksdir.find(cwd)
    states = [state_of(where, hook) for hook in _wanted(cwd)]
    return Report(where.path, states, lines_to_add(where, states), _sharing(where))


def in_effect(cwd: str | os.PathLike[str]) -> bool:
    """Return whether git runs all of our hooks for ``cwd``. Raises `ProdigyError` as `install` does.

    Which hooks are wanted is asked only where those that always are do run: where nothing is
    installed, each new worktree asks this twice.
    """
    where = hooksdir.find(cwd)
    return all(state_of(where, hook).in_effect() for hook in HOOKS) and all(
        state_of(where, hook).in_effect() for hook in _wanted(cwd) if hook not in HOOKS
    )


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
    chain = chained(directory, hook)
    for one in chain:
        if one.calling == LINK:
            _link(directory, hook, one)
    wanted = render(hook, [(one.suffix, one.kind, one.calling) for one in chain], runtime)
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


def _keep(directory: str, hook: str, path: str, found: Found) -> None:
    """Give the foreign hook at ``path`` its second name, from which the guard calls it."""
    chain = chained(directory, hook)
    for one in chain:
        older = look(one.path)
        same = older is not None and older.content == found.content
        # A manager's script that comes back replaces its earlier self, or it would run twice.
        if one.kind == found.kind and (one.kind != "plain" or same):
            target = one.path
            break
    else:
        taken = {one.suffix for one in chain}
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


def _link(directory: str, hook: str, one: Chained) -> None:
    """Make the second name by which the guard calls a hook that looks at what its file is called."""
    folder = os.path.join(directory, one.suffix)
    os.makedirs(folder, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.symlink(os.path.join(os.pardir, os.path.basename(one.path)), os.path.join(folder, hook))


def _unlink_names(directory: str, hook: str, chain: list[Chained]) -> None:
    for one in chain:
        folder = os.path.join(directory, one.suffix)
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(folder, hook))
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def _uninstall_one(directory: str, hook: str, notes: list[str]) -> bool:
    places = [os.path.join(directory, f"{hook}{s}") for s in ("", ".legacy", ".old")]
    found = [(path, file) for path in places if (file := look(path)) and file.kind == "ours"]
    for path, file in found:
        if file.edited:
            notes.append(f"{path} was edited since it was installed: left alone")
            return False
    chain = chained(directory, hook)
    top = look(places[0])
    if not found:
        notes.extend(
            f"{one.path} is the hook from before; {places[0]} was replaced since: left alone"
            for one in chain
        )
        return False
    home = found[0][0]
    for path, _ in found[1:]:
        os.unlink(path)
    if home != places[0] and top:
        # A manager's script that is the hook again needs no second copy below itself.
        for one in chain:
            if one.kind != "plain" and one.kind == top.kind:
                os.unlink(one.path)
        chain = chained(directory, hook)
    _unlink_names(directory, hook, chain)
    if not chain:
        os.unlink(home)
        return True
    newest = chain.pop()
    os.replace(newest.path, home)
    # Before us, a manager had the next one aside under the name that it gives to such hooks.
    aside = {"lefthook": ".old", "pre-commit": ".legacy", "prek": ".legacy"}.get(newest.kind)
    if chain and aside and home == places[0] and not os.path.lexists(home + aside):
        os.replace(chain.pop().path, home + aside)
    notes.extend(f"{one.path} is an older hook that nothing calls: left there" for one in chain)
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
        ownership.hand_over(temporary)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _sharing(where: HooksDir) -> list[str]:
    if where.scope in ("global", "system"):
        return [
            f"core.hooksPath is set in the {where.scope} configuration: "
            f"{where.path} serves every repository that uses it"
        ]
    return []


def _no_store(cwd: str | os.PathLike[str]) -> list[str]:
    """Say where commits cannot be recorded yet: the hooks are of use from the day the store is."""
    try:
        trouble = home.trouble(home.here(os.fspath(cwd)))
    except ProdigyError as error:
        trouble = str(error)
    return [] if trouble is None else [f"{trouble}; until then nothing is recorded"]


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
    """Hold the folder's own lock: whichever store, user or container somebody else comes from.

    Also where the store cannot be written, so that hooks can be taken out then.
    """
    try:
        lock = locks.take_folder(directory, patience=30)
    except locks.Busy as error:
        raise ProdigyError(
            f"another prodigy-git is busy with the hooks in {directory}: try again"
        ) from error
    try:
        yield
    finally:
        os.close(lock)
