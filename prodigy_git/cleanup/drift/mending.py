"""Mending what `comparing` and `leftovers` find, each in the way that destroys least.

Whatever may still be of use to somebody is linked again, or named and left; `holding_back` says what
may go to the trash, and that has a salvage ref. Only empty folders and torn temporary files are
deleted. ``git worktree prune`` is never run: it would also take the registrations of worktrees whose
disk is away.
"""

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from prodigy_git import layout, names
from prodigy_git.cleanup.drift import comparing, holding_back, leftovers, lost_halves
from prodigy_git.cleanup.drift.comparing import find
from prodigy_git.cleanup.drift.leftovers import Finding
from prodigy_git.cleanup.folders import moving
from prodigy_git.cleanup.salvage import salvage
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.cleanup.trash import halves, removal
from prodigy_git.cleanup.trash.entry import Entry
from prodigy_git.errors import ProdigyError
from prodigy_git.git import registrations, repository
from prodigy_git.record import clock, cursor, enrolment, files, gitdir, locks, ownership, session
from prodigy_git.record.drain import drain
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.record.gitdir import Place
from prodigy_git.store import (
    ended_by_others,
    events,
    late_enrolment,
    locked,
    repositories,
    sessions,
    stream,
)
from prodigy_git.store.events import Broken

__all__ = ["Finding", "find", "repair"]


def repair(
    store: str, findings: Iterable[Finding], broken: Broken, repo: str | None = None
) -> list[Finding]:
    """Mend what can be; return all findings, with ``done`` or ``error`` where something was tried.

    Each is looked for again under its repository's lock: what has been put right meanwhile, or is
    being made just now, is left alone. A failure does not keep the others from being mended. What was
    seen whole or half, in the repository with the key ``repo`` or in all, is remembered.
    """
    given = list(findings)
    commons = dict(repositories.known(store, broken))
    results: dict[int, Finding] = {}
    by_key: dict[str, list[int]] = {key: [] for key in commons if repo in (None, key)}
    for n, one in enumerate(given):
        if one.repairable:
            by_key.setdefault(one.repo, []).append(n)
    for key, mine in by_key.items():
        if key not in commons:
            for n in mine:
                results[n] = _mend(store, "", given[n], broken)
            continue
        if not os.path.isdir(commons[key]) and not mine:
            continue  # not in sight: there is nothing to be remembered of it
        try:
            if os.path.isdir(commons[key]):
                repository.check_trusted(commons[key])
            with locked.repository(store, key):
                known = sessions.load_all(store, broken)
                now = comparing.look(store, key, commons[key], known, broken)
                for n in mine:
                    if any(given[n].same(one) for one in now.findings):
                        results[n] = _mend(store, commons[key], given[n], broken)
                holding_back.note(store, key, now.whole, now.halves)
        except (ProdigyError, OSError) as error:
            for n in mine:
                results.setdefault(n, replace(given[n], error=str(error)))
            if not mine:
                broken(f"what was seen of {key} is not remembered ({error})")
    return [results.get(n, one) for n, one in enumerate(given)]


def _mend(store: str, common: str, found: Finding, broken: Broken) -> Finding:
    try:
        return replace(found, done=_MENDS[found.kind](store, common, found, broken))
    except (ProdigyError, OSError, ValueError) as error:
        return replace(found, error=str(error))


def _empty(store: str, common: str, found: Finding, broken: Broken) -> str:
    del common, broken
    with contextlib.ExitStack() as held:
        # Whoever writes there makes the folder and then a file in it, under this lock.
        if found.path.startswith(f"{store}/events/"):
            held.callback(os.close, locks.take(layout.log_lock(store, found.repo, found.name)))
        elif found.path.startswith((f"{store}/dlq/", f"{store}/state/")):
            held.enter_context(locked.job(store, found.repo, found.name))
        try:
            os.rmdir(found.path)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.ENOENT):
                return "in use again, left alone"
            raise
    return "removed"


def _temporary(store: str, common: str, found: Finding, broken: Broken) -> str:
    del store, common, broken
    with contextlib.suppress(FileNotFoundError):
        os.unlink(found.path)
    return "removed"


def _link(store: str, common: str, found: Finding, broken: Broken) -> str:
    """Make folder and private directory name each other, as ``git worktree repair`` does for all."""
    dot_git, private = f"{found.path}/.git", found.target
    if not os.path.lexists(dot_git):
        with open(dot_git, "xb") as stream:  # git's: with the modes that git gives
            stream.write(b"gitdir: " + os.fsencode(private) + b"\n")
        ownership.hand_over(dot_git)
    temporary = f"{private}/gitdir.prodigy-new"
    with open(temporary, "wb") as stream:
        stream.write(os.fsencode(dot_git) + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    ownership.hand_over(temporary)
    os.rename(temporary, f"{private}/gitdir")
    there = enrolment.read(private)
    if there is not None and enrolment.ours(there, store):
        named = replace(found, kind="path", name=there.session)
        with contextlib.suppress(FileNotFoundError):  # its session's file may be missing, too
            _path(store, common, named, broken)
    return f"linked with {private}"


def _path(store: str, common: str, found: Finding, broken: Broken) -> str:
    del common, broken
    with _session(store, found.name) as fields:
        fields["metadata"]["worktree_path"] = found.path
        session.write(store, found.name, fields)
    return "corrected"


@contextlib.contextmanager
def _session(store: str, name: str) -> Any:
    """Hold a session's lock, and give its document."""
    lock = locks.take(layout.session_lock(store, name))
    try:
        yield session.read(store, name)
    finally:
        os.close(lock)


def _lone(store: str, common: str, found: Finding, broken: Broken) -> str:
    """End a session whose worktree is gone; its job's log says so once."""
    del common
    one = sessions.load(store, found.name)
    resumed = ended_by_others.resumptions(one)
    status, _ = _logged(store, found.repo, one.job, one.id, broken, resumed)
    why = one.error or "its worktree is gone, and its process, too"
    if status is not None:  # a finish that was killed
        ended = ended_by_others.note(store, one.id, ended_by_others.End(status, why, None, resumed))
    else:
        end = ended_by_others.End("Cancelled", why, why, resumed)
        ended = ended_by_others.end_now(store, found.repo, one, end)
    return f"ended as {status or 'Cancelled'}" if ended else "ended meanwhile"


def _logged(
    store: str, repo: str, job: str, name: str, broken: Broken, resumed: int = 0
) -> tuple[str | None, str | None]:
    """Return how a session ended, and when it began, as its job's log says; None where it does not."""
    ended = began = None
    for event in stream.merge(events.own_log_files(store, repo, job), broken):
        if event.session_id != name:
            continue
        if event.type == "SessionFinished" and event.own().get("resumed", 0) == resumed:
            ended = str(event.own().get("status"))
        if event.type == "SessionStarted":
            began = began or event.timestamp
    return (ended if ended in ("Completed", "Failed", "Cancelled") else None), began


def _leftover(store: str, common: str, found: Finding, broken: Broken) -> str:
    del common, broken
    target = f"{layout.trash(store, found.repo, found.name)}/session.json"
    with _session(store, found.name):
        if os.path.lexists(target):
            target += f".{clock.stamp(clock.now())}"
        moving.to_trash(store, layout.session(store, found.name), target)
    return f"now {target}"


def _unenrolled(store: str, common: str, found: Finding, broken: Broken) -> str:
    """Take a registration that was killed to its end, as `new_worktree` would have."""
    one = sessions.load(store, found.name)
    late_enrolment.enrol(store, found.repo, one, Place(found.target, common, found.path), broken)
    return "enrolled"


def _begun(store: str, common: str, found: Finding, broken: Broken) -> str:
    del common, broken
    with _session(store, found.name) as fields:
        fields["status"] = "Running"
        session.write(store, found.name, fields)
    return "Running"


def _enrolment(store: str, common: str, found: Finding, broken: Broken) -> str:
    """Bring the session's file of an enrolled worktree back."""
    there = enrolment.read(found.path)
    if there is None:
        raise ProdigyError(f"{found.path} is enrolled no more")
    back = leftovers.trashed_session(store, found.repo, found.name)
    lock = locks.take(layout.session_lock(store, found.name))
    try:
        if back is not None:
            files.make_private(f"{store}/sessions")
            moving.move_file(back, layout.session(store, found.name))
            with contextlib.suppress(OSError):  # not empty
                os.rmdir(os.path.dirname(back))
            return "brought back from the trash"
        session.reserve(store, _document(store, common, found.path, there, broken))
    finally:
        os.close(lock)
    return "made again"


def _document(
    store: str, common: str, private: str, there: Enrolment, broken: Broken
) -> dict[str, Any]:
    """Return a session's document from what its enrolment, cursor and log say."""
    top = next(
        (one.top for one in registrations.links(common, broken) if one.private == private), None
    )
    at = cursor.read(private, there.suffix)
    metadata = {
        "repo": there.repo,
        "job_id": there.job,
        "repo_path": os.path.realpath(common),
        "worktree_path": top or os.path.dirname(common),
        "agent_id": there.agent,
        "item_id": there.item,
        "host": os.uname().nodename,
        "created_by": "clean",
        "commits": 0 if at is None else at.commits,
        "last_commit": None if at is None else at.last or None,
    }
    job = None if there.job == there.session else there.job
    fields = session.document(there.session, job, there.worktree, metadata)
    ended, began = _logged(store, there.repo, there.job, there.session, broken)
    fields["status"] = ended or "Running"
    fields["started_at"] = began or fields["started_at"]
    fields["completed_at"] = fields["updated_at"] if ended else None
    return fields


def _folder(store: str, common: str, found: Finding, broken: Broken) -> str:
    """Move the folder of a session that has ended into the trash, its files in a salvage ref.

    Its private directory is gone; `restore` makes another one from what the entry says.
    """
    one = sessions.load(store, _session_name(store, found))
    entry = _entry(store, common, found, one.id)
    entry.root_mtime_ns = os.stat(found.path).st_mtime_ns
    entry.branch, entry.head = halves.last_known(Place(common, common, common), one)
    named = registrations.named_by(found.path)
    if named is not None and not os.path.lexists(named):
        entry.private = named
    entry.salvage_ref = salvage.ref_name(entry.session, entry.moment)
    entries.write(entry)
    try:
        held = halves.anchor_folder(entry, found.path)
        entry.left_out = held.left_out
        entries.write(entry)
        moving.move(found.path, entry.folder)
    finally:
        removal.resume(entry, broken)  # finishes, or takes the entry back
    return f"now in {entry.path}"


def _session_name(store: str, found: Finding) -> str:
    """Return the session whose worktree a folder is: another tool's folder is not called as that."""
    known = sessions.load_all(store, lambda _: None)
    mine = [one for one in known if one.text("repo") == found.repo]
    session = lost_halves.session_of(found.path, mine)
    if session is None:
        raise ProdigyError(f"no session says that {found.path} is its worktree (any more)")
    return session.id


def _registration(store: str, common: str, found: Finding, broken: Broken) -> str:
    """Move the private directory of a folder that is gone into the trash, what it names anchored."""
    private = found.target
    place = Place(private, common, found.path)
    there = enrolment.read(private)
    ours = enrolment.ours(there, store)
    if there is not None and ours:
        try:
            drain(place, there, recovered=True)
        except (OSError, ValueError) as error:
            broken(f"session {there.session}: its last commits are not recorded ({error})")
    entry = _entry(store, common, found, there.session if there is not None and ours else "")
    for one in entries.entries(store, broken, found.repo):
        halves = (one.folder, one.git)
        if (
            one.state == "trashed"
            and one.private == private
            and not any(map(os.path.lexists, halves))
        ):
            entry = replace(one, state="moving", settled=False)  # this was killed before
    entry.private = private
    entry.branch, entry.head = gitdir.head(place)
    entry.salvage_ref = salvage.ref_name(entry.session, entry.moment)
    suffix = "" if there is None else there.suffix
    for field, name in (("enrolment", layout.ENROLMENT), ("cursor", layout.CURSOR)):
        with contextlib.suppress(OSError):
            setattr(entry, field, os.fsdecode(files.read(f"{private}/{name}{suffix}")))
    entries.write(entry)
    try:
        with tempfile.TemporaryDirectory(prefix="prodigy-gone-") as nothing:
            salvage.anchor(Place(private, common, nothing), entry.session, entry.moment, 0)
        # Before the move, unlike a whole worktree's: there is no folder to tell a kill by. Nor is git's
        # `locked` written: one that a kill leaves would keep the next run from going on.
        entry.state = "trashed"
        entries.write(entry)
        beside = f"{common}/prodigy-trash/{entry.session}-{entry.moment}"
        entry.git = moving.move(private, entry.git, beside)
        entries.write(entry)
    except BaseException:
        entry.state = "moving"
        removal.resume(entry, broken)
        raise
    removal.resume(entry, broken)
    with contextlib.suppress(OSError):  # not empty; git removes it, too
        os.rmdir(f"{common}/worktrees")
    return f"now in {entry.path}"


def _entry(store: str, common: str, found: Finding, name: str) -> Entry:
    """Return a new entry for what has lost its other half; no path in it is a live worktree's."""
    stamp = clock.stamp(clock.now())
    moment = stamp.replace(":", "").replace("-", "")
    if not names.is_safe(name):
        name = names.fresh("orphan")
    path = f"{layout.trash(store, found.repo, name)}/{moment}"
    return Entry(
        path=path, state="moving", repo=found.repo, session=name, worktree=found.path,
        private=f"{common}/worktrees/{name}-{moment}", common=common, created_at=stamp,
        folder=f"{path}/worktree", git=f"{path}/git", reasons=[found.wrong],
        session_status=_status(store, name),
    )  # fmt: skip


def _status(store: str, name: str) -> str | None:
    try:
        return str(session.read(store, name)["status"])
    except (OSError, ValueError, KeyError):
        return None


_MENDS: dict[str, Callable[[str, str, Finding, Broken], str]] = {
    "folder": _folder,
    "registration": _registration,
    "empty": _empty,
    "temporary": _temporary,
    "link": _link,
    "path": _path,
    "session": _lone,
    "leftover": _leftover,
    "unenrolled": _unenrolled,
    "begun": _begun,
    "enrolment": _enrolment,
}
