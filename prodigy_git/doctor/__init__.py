"""Examining an installation: each finding with its remedy, the safe remedies carried out on request."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from prodigy_git import hookstate, install, layout, trial_commit
from prodigy_git.cleanup import worktrees
from prodigy_git.cleanup.trash import full_disk
from prodigy_git.doctor import plugged_in, session_places, unfinished_ends, waiting, way_to_hub
from prodigy_git.doctor.finding import Finding as Finding
from prodigy_git.errors import ProdigyError
from prodigy_git.git import ask, repository
from prodigy_git.git.ask import git
from prodigy_git.jobs import clocks
from prodigy_git.record import clock, files
from prodigy_git.store import home, reserve

_LITTLE_SPACE = 200 * 1000 * 1000  # bytes: two full log files

# Filesystems on which O_APPEND is no promise: writers there must not append at the same time.
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "afs", "glusterfs")


def examine(cwd: str, *, fix: bool) -> list[Finding]:
    """Examine the store, and the repository around ``cwd`` where there is one."""
    findings = [_git_version()]
    store = None
    try:
        store = home.here(cwd)
    except ProdigyError as error:
        findings.append(Finding("store", "error", str(error), "until then nothing is recorded"))
    else:
        findings += [
            *_store(store, cwd, fix=fix),
            *_other_store(store),
            *session_places.half_way(store),
            *plugged_in.examine(store, cwd, fix=fix),
            *unfinished_ends.examine(store, fix=fix),
        ]
    try:
        place = repository.find(cwd)
    except ProdigyError as error:
        # What git says of a repository that it does not trust has its own remedy.
        findings.append(Finding("repository", "warning", str(error)))
        findings += way_to_hub.examine(store, None)
        return [*findings, *session_places.sessions(store)]
    try:
        hooks = list(_hooks(cwd, fix=fix))
    except ProdigyError as error:  # git looks for hooks where no hook can be
        hooks = [Finding("hooks", "error", str(error))]
    findings += hooks
    if all(finding.level == "ok" or finding.fixed for finding in hooks):
        findings.append(_called(cwd))
    if store is not None:
        kind = _filesystem(place.common)
        findings += [
            waiting.way(store, place, kind, network=kind in _NETWORK),
            *session_places.links(store, place, fix=fix),
            *session_places.worktrees(store, place, fix=fix),
        ]
    findings += way_to_hub.examine(store, place.common)
    return [*findings, *session_places.sessions(store), *session_places.leftover_locks(place)]


def _git_version() -> Finding:
    words = git("/", "version").split()[2]
    if ask.version() < ask.OLDEST:
        need = ".".join(map(str, ask.OLDEST))
        return Finding("git", "error", f"git {words} is too old", f"update to {need} or newer")
    return Finding("git", "ok", f"git {words}")


def _store(store: str, cwd: str, *, fix: bool) -> Iterator[Finding]:
    if not os.path.isdir(store):
        if os.path.lexists(store):
            yield Finding(
                "store", "error", f"{store} is not a folder", "move it away, or set PRODIGY_HOME"
            )
        elif trouble := home.trouble(store):
            yield Finding("store", "error", trouble, "make that folder, or set PRODIGY_HOME")
        else:
            yield Finding("store", "ok", f"{store} will be made by the first session")
        return
    mode = os.stat(store).st_mode & 0o777
    if mode & 0o077:
        finding = Finding(
            "store", "warning", f"{store} is open to others ({mode:o})", f"chmod 700 {store}"
        )
        if fix:
            os.chmod(store, 0o700)
            finding.fixed = True
        yield finding
    full = False
    try:
        with tempfile.TemporaryFile(dir=store) as probe:
            probe.write(b"probe")
            probe.flush()
            apart = clocks.ahead(probe.fileno())
        yield Finding("store", "ok", f"{store} is writable")
        if apart:
            yield Finding(
                "clock", "warning", f"the store's clock is {clocks.words(apart)}",
                "set the clocks of all machines that share it: leases go by the store's",
            )  # fmt: skip
    except OSError as error:
        full = error.errno in reserve.NO_SPACE
        remedy = _space(store, cwd) if full else "make it writable for you"
        yield Finding("store", "error", f"{store}: {error.strerror}", remedy)
    free = shutil.disk_usage(store).free
    if free < _LITTLE_SPACE and not full:
        words = f"{free // 1000000} MB free at {store}"
        yield Finding("disk", "warning", words, _space(store, cwd))
    elif not full:
        yield Finding("disk", "ok", f"{free // 1000000} MB free")
    kind = _filesystem(store)
    if kind in _NETWORK:
        yield Finding(
            "filesystem",
            "warning",
            f"{store} is on {kind}, where appends are atomic only under our lock",
            "let nothing but prodigy-git append to its logs, or move the store to a local disk",
        )
    else:
        yield Finding("filesystem", "ok", kind or "unknown")
    yield _hook_errors(store)


def _other_store(store: str) -> Iterator[Finding]:
    """Say where the environment means another store, or one that a clean-up of git's would delete."""
    with contextlib.suppress(ProdigyError):
        if not files.same(store, home.named()):
            yield Finding(
                "store", "warning",
                f"this worktree is recorded in {store}, which is read here, not in {home.named()}",
                "the environment's is for worktrees that are not enrolled yet",
            )  # fmt: skip
    outer = home.worktree_around(store)
    if outer is not None:
        yield Finding(
            "store", "warning", f"{store} lies in the worktree {outer}: 'git clean' can delete it",
            "move it away, and set PRODIGY_HOME",
        )  # fmt: skip


def _space(store: str, cwd: str) -> str:
    """Return what makes space: with nothing in the trash, deleting what is done with, by name."""

    def done() -> list[str]:
        options = worktrees.Options(every=True, all_repos=True, purge=True, dry_run=True)
        outcomes = worktrees.clean(store, cwd, None, options, lambda _: None)
        return [one.name for one in outcomes if one.result == "would-clean"]

    return full_disk.remedy(store, cwd, done)


def _filesystem(path: str) -> str:
    """Return the type of the filesystem that holds ``path`` (proc(5), mounts); empty if unknown."""
    best, kind = "", ""
    try:
        lines = Path("/proc/self/mounts").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    real = os.path.realpath(path) + "/"
    for line in lines:
        words = line.split(" ")
        point = words[1].replace("\\040", " ").rstrip("/") + "/"
        if real.startswith(point) and len(point) >= len(best):
            best, kind = point, words[2]
    return kind


def _hook_errors(store: str) -> Finding:
    path = layout.hook_errors(store)
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    day = 86400 * clock.SECOND
    recent = [line for line in lines if (clock.parse(line.split(" ")[0]) or 0) > clock.now() - day]
    if recent:
        return Finding(
            "hook errors",
            "warning",
            f"{len(recent)} in the last day, the last: {recent[-1][:200]}",
            f"see {path}; 'prodigy-git verify' says whether anything is missing",
        )
    return Finding("hook errors", "ok", "none in the last day")


def _hooks(cwd: str, *, fix: bool) -> Iterator[Finding]:
    report = install.hooks_status(cwd)
    broken = [hook for hook in report.hooks if not hook.in_effect()]
    fixed = False
    if broken and fix:
        install.install(cwd)
        fixed = all(hook.in_effect() for hook in install.hooks_status(cwd).hooks)
    for hook in broken:
        yield Finding(f"hook {hook.hook}", "error", hook.words, hook.todo, fixed)
    if not broken:
        yield Finding("hooks", "ok", f"all in effect, in {report.directory}")
    for hook in report.hooks:
        if hook.in_effect() and hook.todo:
            yield Finding(f"hook {hook.hook}", "warning", hook.words, hook.todo)
    for note in report.notes:
        yield Finding("hooks", "warning", note)


def _called(cwd: str) -> Finding:
    """See the installed hook record a commit, in a repository and a store that are thrown away."""
    hook = hookstate.file_of(cwd, "post-commit")
    assert hook is not None  # it is in effect
    try:
        why = trial_commit.record(cwd, hook)
    except (ProdigyError, OSError) as error:
        return Finding("recording", "warning", f"not tried, {error}")
    if why is not None:
        return Finding(
            "recording", "error", f"the installed hook did not record a commit: {why}",
            "run 'prodigy-git install' again; if that does not help, install prodigy-git anew",
        )  # fmt: skip
    return Finding(
        "recording", "ok", "the installed hook recorded a commit, in a scratch repository"
    )
