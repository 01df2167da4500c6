"""Examining worktrees and sessions: whether folder, git directory, enrolment and store fit together."""

import contextlib
import os
import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from prodigy_git import duration, foreign_commits, layout, verify
from prodigy_git.cleanup.drift import mending
from prodigy_git.cleanup.trash import unfinished
from prodigy_git.doctor.finding import Finding, mended
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.git.ask import git, git_status
from prodigy_git.lifecycle import re_enrol
from prodigy_git.record import clock, enrolment, files, prodigys, whose
from prodigy_git.record.gitdir import Place
from prodigy_git.store import sessions as store_sessions

_STALE = 3600  # seconds after which a git lock file is nobody's


def links(store: str, place: Place, *, fix: bool) -> Iterator[Finding]:
    """Tell of sessions' worktrees that git has lost because one of the two halves was moved.

    `clean` links them by itself where that is certain. Here somebody asks for it.
    """
    for one in _drifted(store, place, "link"):
        if not os.path.isfile(f"{one.target}/{layout.ENROLMENT}{whose.suffix(one.target)}"):
            continue  # no session's
        remedy = f"'{_repair(place.common, one.path)}' links them"
        finding = Finding("link", "warning", one.wrong, remedy)
        yield mended(finding, fix, partial(git, place.common, "worktree", "repair", one.path))


def _repair(common: str, path: str) -> str:
    return f"git -C {shlex.quote(common)} worktree repair {shlex.quote(path)}"


def _drifted(store: str, place: Place, kind: str) -> list[mending.Finding]:
    """Return what `clean` finds, too, to have drifted apart in a repository."""
    if not os.path.isdir(store):
        return []  # told of as that
    return [one for one in mending.find(store, place.common, _quiet) if one.kind == kind]


def worktrees(store: str, place: Place, *, fix: bool) -> Iterator[Finding]:
    """Examine the enrolments in a repository's worktrees, and the journals beside them."""
    count = 0
    names = []
    without_file = {one.name: one for one in _drifted(store, place, "enrolment")}
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
            for user in sorted(whose.others(where.private).values()):
                words = f"{tree.path} is recorded by user {user}; your first commit there begins a "
                yield Finding("enrolment", "ok", f"{words}session of your own beside it")
            continue
        count += 1
        if not there.known:
            yield _unknown(store, where, there, fix=fix)
            continue
        if there.stale:
            yield _moved(where, there, fix=fix)
        if enrolment.ours(there, store):
            names.append(there.session)
        if there.session in without_file:
            yield _without_file(store, without_file[there.session], fix=fix)
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
        re_enrol.separate(where, _quiet)
        # What an earlier release recorded for the original's session is its own's by now.
        if os.path.exists(layout.session(original.store, original.session)):
            foreign_commits.note(original.store, original.session, _quiet)

    return mended(finding, fix, mend)


def _unknown(store: str, where: Place, there: enrolment.Enrolment, *, fix: bool) -> Finding:
    words = f"{where.top}: {whose.why(there)}, so its commits are not recorded"
    remedy = f"bring the store back, or 'doctor --fix' enrols it in {store}"
    finding = Finding("enrolment", "error", words, remedy)
    return mended(finding, fix, lambda: re_enrol.take_over(store, where, there))


def _without_file(store: str, found: mending.Finding, *, fix: bool) -> Finding:
    """Tell of a session's file that is gone while its worktree is there."""

    def mend() -> None:
        (one,) = mending.repair(store, [found], _quiet, found.repo)
        if not one.done:
            raise ProdigyError(one.error or "it is another's turn just now")

    finding = Finding(
        "enrolment", "warning", found.wrong, f"'prodigy-git doctor --fix': {found.remedy}"
    )
    return mended(finding, fix, mend)


def _moved(where: Place, there: enrolment.Enrolment, *, fix: bool) -> Finding:
    """Tell of an enrolment that says another store or place than is right now."""
    finding = Finding(
        "enrolment", "warning", f"{where.top}: its store or its repository was moved",
        "the next commit notes that",
    )  # fmt: skip
    return mended(finding, fix, lambda: whose.settle(where, there))


def _elsewhere(store: str, names: list[str], *, fix: bool) -> Iterator[Finding]:
    """Tell of recorded commits that git does not know: of a copy, or of a state that is gone."""
    found = []
    for name in names:
        with contextlib.suppress(ProdigyError, OSError):  # told of with the sessions
            found.append(store_sessions.load(store, name))
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
        yield mended(finding, fix, partial(_note, store, one))


def _note(store: str, verdict: verify.Verdict) -> None:
    left = set(verdict.foreign) - set(foreign_commits.note(store, verdict.session_id, _quiet))
    if left:
        raise ProdigyError(f"of {', '.join(sorted(left)[:3])} nobody can tell where it was made")


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


def sessions(store: str | None) -> Iterator[Finding]:
    """Examine the files of sessions, and whether those that have not ended have a worktree."""
    if store is None or not os.path.isdir(store):
        return
    troubles: list[str] = []
    found = store_sessions.load_all(store, troubles.append)
    for text in troubles:
        # What Prodigy left empty is nothing of ours that was damaged.
        yield Finding("session", "warning" if store_sessions.UNWRITTEN in text else "error", text)
    known = store_sessions.Known()
    alone = [
        one.id
        for one in found
        if not one.ended
        and store_sessions.enrolled_place(store, one, known) is None
        and not prodigys.wrote(one.metadata)  # no command of ours ends Prodigy's own
        and prodigys.SESSION not in one.metadata  # removed by Prodigy: the next command ends it
    ]
    if alone:
        yield Finding(
            "sessions", "warning",
            f"{len(alone)} not ended and without a worktree: {', '.join(alone[:5])}",
            "'prodigy-git finish NAME' ends one",
        )  # fmt: skip
    yield Finding("sessions", "ok", f"{len(found)} in the store")


def half_way(store: str) -> Iterator[Finding]:
    """Find removals and restores that have stopped half-way."""
    troubles: list[str] = []
    for one in unfinished.find(store, troubles.append):
        if one.command:
            yield Finding(one.what, "warning", one.words, one.remedy)
    for text in troubles:
        yield Finding("trash", "error", text)


def leftover_locks(place: Place) -> Iterator[Finding]:
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
                words = f"{path} is {duration.seconds(age)} old"
                remedy = "remove it if no git command is running there"
                yield Finding("git lock", "warning", words, remedy)
