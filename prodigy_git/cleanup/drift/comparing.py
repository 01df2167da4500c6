"""Finding where store and git have drifted apart; nothing here changes anything.

A worktree is known in four places: its folder, git's private directory for it, the enrolment in
there, the session's file. Each can be lost alone, or be out of sight alone. `mending.repair` mends what
is found; whether it may move anything for that is `holding_back`'s to say.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from prodigy_git import layout
from prodigy_git.cleanup.drift import holding_back, leftovers, lost_halves
from prodigy_git.cleanup.drift.holding_back import Half, Memory
from prodigy_git.cleanup.drift.leftovers import Finding, names_in
from prodigy_git.git import registrations, repository
from prodigy_git.git.registrations import Linked
from prodigy_git.model.session import Session
from prodigy_git.prodigy import sessions as prodigys_sessions
from prodigy_git.record import enrolment, files, whose
from prodigy_git.store import repositories, sessions
from prodigy_git.store.events import Broken


def find(store: str, cwd: str | None, broken: Broken) -> list[Finding]:
    """Return what does not fit, of the repository around ``cwd``; None: of all in the store.

    Raises `ProdigyError` where ``cwd`` is in no repository. What cannot be read goes to ``broken``.
    """
    common = None if cwd is None else os.path.realpath(repository.find(cwd).common)
    known = sessions.load_all(store, broken)
    found = []
    for key, path in repositories.known(store, broken):
        if common is None or files.same(common, path):
            found += find_in(store, key, path, known, broken)
    return [*found, *leftovers.temporary_files(store, "")]


def find_in(
    store: str, key: str, common: str, known: list[Session], broken: Broken
) -> list[Finding]:
    """Return what does not fit in one repository; ``known`` are the sessions of the store."""
    return look(store, key, common, known, broken).findings


@dataclass
class Look:
    """What one look at a repository found; ``whole`` and ``halves`` are for `holding_back.note`."""

    findings: list[Finding] = field(default_factory=list)
    whole: dict[str, tuple[str, str]] = field(default_factory=dict)
    halves: list[Half] = field(default_factory=list)


def look(store: str, key: str, common: str, known: list[Session], broken: Broken) -> Look:
    """Look at one repository; ``known`` are the sessions of the store."""
    mine = [one for one in known if one.text("repo") == key]
    seen = Look()
    if not os.path.isdir(common):
        if any(not one.ended for one in mine) or names_in(layout.worktrees(store, key)):
            wrong = f"the repository {common} is not there: is its disk mounted?"
            remedy = "if it was deleted, 'prodigy-git worktree clean -f NAME' takes its worktrees"
            seen.findings = [
                Finding("repository", key, key, common, wrong, remedy, repairable=False)
            ]
        return seen
    linked = list(registrations.links(common, broken))
    memory = holding_back.recall(store, key)
    for one in linked:
        if (
            one.enrolled is not None
            and enrolment.ours(one.enrolled, store)
            and registrations.linked_from(one.top)
        ):
            there = (holding_back.identity(os.path.dirname(one.top)), holding_back.identity(common))
            if all(there):
                seen.whole[one.enrolled.session] = there
    seen.findings += lost_halves.lone_registrations(store, key, linked, mine, memory, seen.halves)
    seen.findings += lost_halves.lone_folders(store, key, linked, mine, common, memory, seen.halves)
    relinked = {one.target for one in seen.findings if one.kind == "link"}
    main = registrations.enrolment_of(common, broken)
    enrolled = {
        there.session: Linked(private, top, there)
        for private, top, there in (
            *((one.private, one.top, one.enrolled) for one in linked), (common, "", main),
        )
        if there is not None and enrolment.ours(there, store)
    }  # fmt: skip
    seen.findings += _enrolments(store, enrolled)
    seen.findings += _unenrolled(store, key, linked, mine)
    seen.findings += _paths(store, key, mine, enrolled, relinked)
    away = {half.name for half in seen.halves}
    alone = leftovers.lone_sessions(store, key, mine, {*enrolled, *away}, broken)
    seen.findings += _ended_in_sight(alone, mine, memory, seen.halves)
    seen.findings += leftovers.empty_folders(store, key)
    seen.findings += leftovers.temporary_files(store, key)
    seen.findings += leftovers.unknown(store, key)
    return seen


def _ended_in_sight(
    found: Iterable[Finding], mine: list[Session], memory: Memory, halves: list[Half]
) -> Iterator[Finding]:
    """Let a session without a worktree be ended only where none was in sight at two cleans.

    Both halves are away; that they are gone is as hard to know as of one.
    """
    by_id = {one.id: one for one in mine}
    for one in found:
        if one.kind == "session":
            half = Half(f"session:{one.name}", one.path, os.path.dirname(one.path), by_id[one.name])
            halves.append(half)
            reason = holding_back.why_missed(half, memory) if one.repairable else ""
            if reason:
                remedy = f"left: {reason}; 'prodigy-git finish {one.name}' ends it"
                one = replace(one, repairable=False, remedy=remedy)
        yield one


def _enrolments(store: str, enrolled: dict[str, Linked]) -> Iterator[Finding]:
    for session, one in enrolled.items():
        if not os.path.lexists(layout.session(store, session)):
            assert one.enrolled is not None
            back = leftovers.trashed_session(store, one.enrolled.repo, session)
            yield Finding(
                "enrolment", session, one.enrolled.repo, one.private,
                f"{one.top or one.private} belongs to session {session}, which has no file",
                "brought back from the trash" if back else "made again from the enrolment",
                repairable=True,
            )  # fmt: skip


def _unenrolled(
    store: str, key: str, linked: list[Linked], mine: list[Session]
) -> Iterator[Finding]:
    root = layout.worktrees(store, key)
    by_id = {one.id: one for one in mine}
    bare = [one for one in linked if one.enrolled is None]
    theirs = prodigys_sessions.worktrees(store, key) if bare else {}
    for one in bare:
        if os.path.realpath(one.top) in theirs or not files.same(os.path.dirname(one.top), root):
            continue
        taken = os.path.lexists(f"{one.private}/{layout.ENROLMENT}") or whose.others(one.private)
        if taken or not os.path.isdir(one.top):
            continue  # another user's; damaged, which was said; or found as a registration
        begun = by_id.get(os.path.basename(one.top))
        wrong = f"{one.top} has no session"
        if begun is not None and begun.status == "Initializing":
            # new-worktree was killed; or it is at work now.
            yield Finding(
                "unenrolled", begun.id, key, one.top, f"{wrong}: {begun.id} was never begun",
                "enrolled", leftovers.dead(store, begun), one.private,
            )  # fmt: skip
        else:
            name = os.path.basename(one.top)
            remedy = f"'prodigy-git worktree adopt {one.top}' gives it one"
            yield Finding("unenrolled", name, key, one.top, wrong, remedy, repairable=False)


def _paths(
    store: str, key: str, mine: list[Session], enrolled: dict[str, Linked], relinked: set[str]
) -> Iterator[Finding]:
    """Find the sessions whose file does not say what their worktree does: where it is, that it is."""
    for one in mine:
        there = enrolled.get(one.id)
        path = one.text("worktree_path")
        if there is not None and one.status == "Initializing" and leftovers.dead(store, one):
            yield Finding(
                "begun", one.id, key, there.private,
                f"session {one.id} has its worktree, and its file says {one.status}",
                "becomes Running", repairable=True,
            )  # fmt: skip
        if there is None or not there.top or there.private in relinked:
            continue
        if path is not None and files.same(path, there.top):
            continue
        if registrations.linked_from(there.top) == os.path.realpath(there.private):
            yield Finding(
                "path", one.id, key, there.top,
                f"session {one.id} names {path}, its worktree is {there.top}", "corrected",
                repairable=True, target=there.private,
            )  # fmt: skip
