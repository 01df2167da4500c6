"""Examining an installation: each finding with its remedy, the safe remedies carried out on request."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from prodigy_git import foreign, hookstate, install, layout, trial, verify
from prodigy_git.cleanup import interrupted, space, worktrees
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.git.ask import git, git_status
from prodigy_git.lifecycle import again
from prodigy_git.record import clock, enrolment, files, gitdir, repokey, whose
from prodigy_git.record.gitdir import Place
from prodigy_git.store import enrolled, home, reserve, sessions

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
    findings = [_git_version()]
    store = None
    try:
        store = home.here(cwd)
    except ProdigyError as error:
        findings.append(Finding("store", "error", str(error), "until then nothing is recorded"))
    else:
        findings += [*_store(store, cwd, fix=fix), *_other_store(store), *_half_way(store)]
    try:
        place = repository.find(cwd)
    except ProdigyError as error:
        findings.append(Finding("repository", "warning", str(error), "change into a clone"))
        return [*findings, *_sessions(store)]
    try:
        hooks = list(_hooks(cwd, fix=fix))
    except ProdigyError as error:  # git looks for hooks where no hook can be
        hooks = [Finding("hooks", "error", str(error))]
    findings += hooks
    if all(finding.level == "ok" or finding.fixed for finding in hooks):
        findings.append(_called(cwd))
    if store is not None:
        findings += [*_links(store, place, fix=fix), *_worktrees(store, place, fix=fix)]
    return [*findings, *_sessions(store), *_leftover_locks(place)]


def _git_version() -> Finding:
    words = git("/", "version").split()[2]
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
    """See the installed hook record a commit, in a repository and a store that are thrown away."""
    hook = hookstate.file_of(cwd, "post-commit")
    assert hook is not None  # it is in effect
    try:
        why = trial.record(cwd, hook)
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


def _links(store: str, place: Place, *, fix: bool) -> Iterator[Finding]:
    """Find sessions' worktrees that git has lost because one of the two halves was moved."""
    key = repokey.known(store, place.common)
    for private in sorted(str(path) for path in Path(place.common, "worktrees").glob("*")):
        top = enrolled.top(private, place.common)
        places = [top]
        if key is not None and not os.path.lexists(top):  # it was in the store, which was moved
            places.append(f"{layout.worktrees(store, key)}/{os.path.basename(top)}")
        path = next((one for one in places if _is_other_half(one, private)), None)
        if not os.path.isfile(f"{private}/{layout.ENROLMENT}") or path is None:
            continue
        finding = Finding(
            "link", "warning", f"git does not find {private} and {path} from each other",
            f"'git -C {place.common} worktree repair {path}' links them",
        )  # fmt: skip
        yield _mended(finding, fix, partial(git, place.common, "worktree", "repair", path))


def _is_other_half(top: str, private: str) -> bool:
    """Whether folder and private git directory belong together, and one does not lead to the other."""
    try:
        line = os.fsdecode(files.read(f"{top}/.git").rstrip(b"\r\n"))
    except OSError:
        return False
    if whose.leads_to(top, private):
        return enrolled.top(private, "") != top
    lost = gitdir.find(top, {}) is None
    return lost and os.path.basename(line) == os.path.basename(private)


def _worktrees(store: str, place: Place, *, fix: bool) -> Iterator[Finding]:
    count = 0
    names = []
    for tree in repository.worktrees(place.common):
        where = repository.place_of(place.common, tree)
        if where is None or not files.same(where.common, place.common):
            continue  # a copy lists the original's, too
        try:
            there, original = enrolment.read(where.private), whose.copied_from(where)
        except ValueError as error:
            remedy = "remove that file: the next commit registers a new session"
            yield Finding("enrolment", "error", str(error), remedy)
            continue
        if original is not None:
            yield _copy(where, original, fix=fix)
        if there is None:
            continue
        count += 1
        if not there.known:
            yield _unknown(store, where, there, fix=fix)
            continue
        if there.stale:
            yield _moved(where, there, fix=fix)
        if enrolment.ours(there, store):
            names.append(there.session)
        if not os.path.exists(layout.session(there.store, there.session)):
            yield Finding(
                "enrolment", "warning",
                f"{tree.path} belongs to session {there.session}, which has no file",
                f"restore {layout.session(there.store, there.session)} from the trash",
            )  # fmt: skip
        if store is not None and not enrolment.ours(there, store):
            yield Finding(
                "enrolment", "warning", f"{tree.path} is recorded in another store, {there.store}"
            )
        yield from _reflog(where, tree.path, fix=fix)
    yield from _elsewhere(store, names, fix=fix)
    yield Finding("worktrees", "ok", f"{count} enrolled")


def _copy(where: Place, original: enrolment.Enrolment, *, fix: bool) -> Finding:
    finding = Finding(
        "copy", "warning", f"{where.top} is a copy of a worktree of session {original.session}",
        "its next commit gives it a session of its own",
    )  # fmt: skip

    def mend() -> None:
        again.separate(where, _quiet)
        # What an earlier release recorded for the original's session is its own's by now.
        if os.path.exists(layout.session(original.store, original.session)):
            foreign.note(original.store, original.session, _quiet)

    return _mended(finding, fix, mend)


def _unknown(store: str, where: Place, there: enrolment.Enrolment, *, fix: bool) -> Finding:
    words = f"{where.top}: {whose.why(there)}, so its commits are not recorded"
    remedy = f"bring the store back, or 'doctor --fix' enrols it in {store}"
    finding = Finding("enrolment", "error", words, remedy)
    return _mended(finding, fix, lambda: again.take_over(store, where, there))


def _moved(where: Place, there: enrolment.Enrolment, *, fix: bool) -> Finding:
    """Tell of an enrolment that says another store or place than is right now."""
    finding = Finding(
        "enrolment", "warning", f"{where.top}: its store or its repository was moved",
        "the next commit notes that",
    )  # fmt: skip
    return _mended(finding, fix, lambda: whose.settle(where, there))


def _elsewhere(store: str, names: list[str], *, fix: bool) -> Iterator[Finding]:
    """Tell of recorded commits that git does not know: of a copy, or of a state that is gone."""
    found = []
    for name in names:
        with contextlib.suppress(ProdigyError, OSError):  # told of with the sessions
            found.append(sessions.load(store, name))
    verdicts, _ = verify.verify(store, found, fix=False, broken=_quiet, note=_quiet)
    for one in verdicts:
        if not one.foreign:
            continue
        finding = Finding(
            "recorded", "warning",
            f"session {one.session_id}: {len(one.foreign)} recorded that git does not know as made in "
            f"its worktree: by a copy, or in a state that is gone ({', '.join(one.foreign[:3])})",
            f"'prodigy-git verify --session {one.session_id}'",
        )  # fmt: skip
        yield _mended(finding, fix, partial(_note, store, one))


def _note(store: str, verdict: verify.Verdict) -> None:
    left = set(verdict.foreign) - set(foreign.note(store, verdict.session_id, _quiet))
    if left:
        raise ProdigyError(f"of {', '.join(sorted(left)[:3])} nobody can tell where it was made")


def _mended(finding: Finding, fix: bool, mend: Callable[[], object]) -> Finding:
    """Carry out a remedy where that is wanted; what keeps it from working is said."""
    if fix:
        try:
            mend()
            finding.fixed = True
        except (ProdigyError, OSError, ValueError) as error:
            finding.remedy = f"not put right: {error}"
    return finding


def _quiet(text: str) -> None:
    """Take what `verify` says."""


def _reflog(where: Place, path: str, *, fix: bool) -> Iterator[Finding]:
    log = f"{where.private}/logs/HEAD"
    if os.path.exists(log) or git_status(path, "reflog", "exists", "HEAD")[0] == 0:
        return
    finding = Finding("reflog", "error", f"{path} keeps no reflog of HEAD", f"create {log}, empty")
    if fix:
        files.make_private(os.path.dirname(log), 0o777)  # git's: with the modes that git gives
        os.close(files.create(log, os.O_WRONLY, 0o666))
        finding.fixed = True
    yield finding


def _sessions(store: str | None) -> Iterator[Finding]:
    if store is None or not os.path.isdir(store):
        return
    troubles: list[str] = []
    found = sessions.load_all(store, troubles.append)
    for text in troubles:
        yield Finding("session", "error", text)
    known: sessions.Known = {}
    alone = [
        one.id
        for one in found
        if not one.ended and sessions.enrolled_place(store, one, known) is None
    ]
    if alone:
        yield Finding(
            "sessions", "warning",
            f"{len(alone)} not ended and without a worktree: {', '.join(alone[:5])}",
            "'prodigy-git finish NAME' ends one",
        )  # fmt: skip
    yield Finding("sessions", "ok", f"{len(found)} in the store")


def _half_way(store: str) -> Iterator[Finding]:
    troubles: list[str] = []
    for one in interrupted.find(store, troubles.append):
        if one.command:
            yield Finding(one.what, "warning", one.words, one.remedy)
    for text in troubles:
        yield Finding("trash", "error", text)


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
