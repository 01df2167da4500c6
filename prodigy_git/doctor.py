"""Examining an installation: each finding with its remedy, the safe remedies carried out on request."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from prodigy_git import install, layout
from prodigy_git.cleanup import space, worktrees
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.git.ask import SILENCE, git, git_status, said
from prodigy_git.record import clock, enrolment, gitdir
from prodigy_git.record.gitdir import Place
from prodigy_git.store import events, reserve, sessions

OLDEST_GIT = (2, 36)
_LITTLE_SPACE = 200 * 1000 * 1000  # bytes: two full log files
_STALE = 3600  # seconds after which a git lock file is nobody's

# Filesystems on which O_APPEND is no promise: writers there must not append at the same time.
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "afs", "glusterfs")


@dataclass
class Finding:
    """One thing examined; ``level`` is ok, warning or error, ``remedy`` empty where nothing is due."""

    what: str
    level: Literal["ok", "warning", "error"]
    words: str
    remedy: str = ""
    fixed: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``doctor --json`` prints them."""
        return asdict(self)


def examine(cwd: str, *, fix: bool) -> list[Finding]:
    """Examine the store, and the repository around ``cwd`` where there is one."""
    store = layout.store_from(os.environ)
    findings = [_git_version(cwd), *_store(store, cwd, fix=fix)]
    if os.path.isdir(store):
        findings += _sessions(store)
    try:
        place = repository.find(cwd)
    except ProdigyError as error:
        return [*findings, Finding("repository", "warning", str(error), "change into a clone")]
    hooks = list(_hooks(cwd, fix=fix))
    findings += hooks
    if all(finding.level == "ok" or finding.fixed for finding in hooks):
        findings.append(_called(cwd))
    return [*findings, *_worktrees(store, place, fix=fix), *_leftover_locks(place)]


def _git_version(cwd: str) -> Finding:
    words = git(cwd, "version").split()[2]
    numbers = tuple(int(part) for part in words.split(".")[:2])
    if numbers < OLDEST_GIT:
        need = ".".join(map(str, OLDEST_GIT))
        return Finding("git", "error", f"git {words} is too old", f"update to {need} or newer")
    return Finding("git", "ok", f"git {words}")


def _store(store: str, cwd: str, *, fix: bool) -> Iterator[Finding]:
    if not os.path.isdir(store):
        if os.path.lexists(store):
            yield Finding(
                "store", "error", f"{store} is not a folder", "move it away, or set PRODIGY_HOME"
            )
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
        yield Finding("store", "ok", f"{store} is writable")
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


def _space(store: str, cwd: str) -> str:
    """Return what makes space: with nothing in the trash, deleting what is done with, by name."""

    def done() -> list[str]:
        options = worktrees.Options(every=True, all_repos=True, purge=True, dry_run=True)
        outcomes = worktrees.clean(store, cwd, None, options, lambda _: None)
        return [one.name for one in outcomes if one.result == "would-clean"]

    return space.remedy(store, cwd, done)


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
    for note in report.notes:
        yield Finding("hooks", "warning", note)


def _called(cwd: str) -> Finding:
    """Make a real commit in a throw-away worktree with a store of its own, and see it recorded."""
    if git_status(cwd, "rev-parse", "--verify", "--quiet", "HEAD")[0] != 0:
        return Finding("recording", "warning", "not tried: there is no commit yet", "make one")
    with tempfile.TemporaryDirectory(prefix="prodigy-doctor-") as scratch:
        environ = {**os.environ, "PRODIGY_HOME": scratch}
        made = subprocess.run(
            [sys.executable, "-m", "prodigy_git", "new-worktree"],
            cwd=cwd, env=environ, capture_output=True, check=False,
        )  # fmt: skip
        path = os.fsdecode(made.stdout).removesuffix("\n")
        if made.returncode != 0:
            why = made.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            return Finding("recording", "error", f"no worktree could be made: {' '.join(why)}")
        branch = git(path, "symbolic-ref", "HEAD").strip()
        try:
            # Not silenced: this commit is there to see the hooks at work.
            status, _, err = git_status(
                path, "commit", "--quiet", "--allow-empty", "--no-verify", "--no-gpg-sign",
                "--message", "prodigy-git doctor", env={SILENCE: ""},
            )  # fmt: skip
            seen = sum(
                event.type == "CommitCreated"
                for key, job in events.jobs(scratch)
                for event in events.read_job(scratch, key, job, lambda _: None)
            )
        finally:
            git(cwd, "worktree", "remove", "--force", path)
            git(cwd, "update-ref", "-d", branch)
    if status != 0:
        return Finding("recording", "warning", f"not tried, git commit said: {said(err)}")
    if seen != 1:
        return Finding(
            "recording", "error", "a commit in a new worktree was not recorded by its hook",
            "see 'prodigy-git hooks', and what other hook managers do to post-commit",
        )  # fmt: skip
    return Finding("recording", "ok", "a commit in a throw-away worktree was recorded")


def _worktrees(store: str, place: Place, *, fix: bool) -> Iterator[Finding]:
    count = 0
    for tree in repository.worktrees(place.common):
        where = gitdir.find(tree.path, {}) if not tree.bare and os.path.isdir(tree.path) else None
        if where is None:
            continue
        try:
            there = enrolment.read(where.private)
        except ValueError as error:
            remedy = "remove that file: the next commit registers a new session"
            yield Finding("enrolment", "error", str(error), remedy)
            continue
        if there is None:
            continue
        count += 1
        if not os.path.exists(layout.session(there.store, there.session)):
            yield Finding(
                "enrolment", "warning",
                f"{tree.path} belongs to session {there.session}, which has no file",
                f"restore {layout.session(there.store, there.session)} from the trash",
            )  # fmt: skip
        if not enrolment.ours(there, store):
            yield Finding(
                "enrolment", "warning", f"{tree.path} is recorded in another store, {there.store}"
            )
        yield from _reflog(where, tree.path, fix=fix)
    yield Finding("worktrees", "ok", f"{count} enrolled")


def _reflog(where: Place, path: str, *, fix: bool) -> Iterator[Finding]:
    log = f"{where.private}/logs/HEAD"
    if os.path.exists(log) or git_status(path, "reflog", "exists", "HEAD")[0] == 0:
        return
    finding = Finding("reflog", "error", f"{path} keeps no reflog of HEAD", f"create {log}, empty")
    if fix:
        os.makedirs(os.path.dirname(log), exist_ok=True)
        Path(log).touch()
        finding.fixed = True
    yield finding


def _sessions(store: str) -> Iterator[Finding]:
    troubles: list[str] = []
    found = sessions.load_all(store, troubles.append)
    for text in troubles:
        yield Finding("session", "error", text)
    alone = [one.id for one in found if not one.ended and sessions.enrolled_place(one) is None]
    if alone:
        yield Finding(
            "sessions", "warning",
            f"{len(alone)} not ended and without a worktree: {', '.join(alone[:5])}",
            "'prodigy-git finish NAME' ends one",
        )  # fmt: skip
    yield Finding("sessions", "ok", f"{len(found)} in the store")


def _leftover_locks(place: Place) -> Iterator[Finding]:
    """Find git's own lock files that nobody can be holding any more, by their age."""
    folders = [place.common, *(str(p) for p in Path(place.common, "worktrees").glob("*"))]
    now = clock.now() // clock.SECOND
    for folder in folders:
        for name in ("index.lock", "HEAD.lock", "config.lock", "packed-refs.lock"):
            path = f"{folder}/{name}"
            try:
                age = now - int(os.stat(path).st_mtime)
            except OSError:
                continue
            if age > _STALE:
                words = f"{path} is {age // 60} minutes old"
                remedy = "remove it if no git command is running there"
                yield Finding("git lock", "warning", words, remedy)
