"""Finding where store and git have drifted apart; nothing here changes anything.

A worktree is known in four places: its folder, git's private directory for it, the enrolment in
there, the session's file. Each can be lost alone. `drift.repair` mends what is found.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from prodigy_git import layout, names
from prodigy_git.cleanup import leftovers, presence
from prodigy_git.cleanup.leftovers import Finding, names_in
from prodigy_git.git import repository
from prodigy_git.model.session import Session
from prodigy_git.record import enrolment, files, gitdir, repokey
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.record.gitdir import Place
from prodigy_git.store import sessions
from prodigy_git.store.events import Broken


@dataclass(frozen=True)
class Linked:
    """A registration of git's: the private directory, and the folder that it names."""

    private: str
    top: str
    enrolled: Enrolment | None


def find(store: str, cwd: str | None, broken: Broken) -> list[Finding]:
    """Return what does not fit, of the repository around ``cwd``; None: of all in the store.

    Raises `ProdigyError` where ``cwd`` is in no repository. What cannot be read goes to ``broken``.
    """
    common = None if cwd is None else os.path.realpath(repository.find(cwd).common)
    known = sessions.load_all(store, broken)
    found = []
    for key, path in repositories(store, broken):
        if common is None or files.same(common, path):
            found += find_in(store, key, path, known, broken)
    return [*found, *leftovers.temporary_files(store, "")]


def repositories(store: str, broken: Broken) -> list[tuple[str, str]]:
    """Return (key, common git directory) of every repository of the store, sorted."""
    found = []
    for key in filter(names.is_safe, names_in(f"{store}/state")):
        try:
            common = repokey.common_of(store, key)
        except (OSError, ValueError) as error:
            broken(f"{layout.repository(store, key)} cannot be read ({error})")
            continue
        if common is not None:
            found.append((key, common))
    return sorted(found)


def find_in(
    store: str, key: str, common: str, known: list[Session], broken: Broken
) -> list[Finding]:
    """Return what does not fit in one repository; ``known`` are the sessions of the store."""
    mine = [one for one in known if one.text("repo") == key]
    if not os.path.isdir(common):
        if not any(not one.ended for one in mine) and not names_in(layout.worktrees(store, key)):
            return []
        wrong = f"the repository {common} is not there: is its disk mounted?"
        return [Finding("repository", key, key, common, wrong, "", repairable=False)]
    linked = list(links(common, broken))
    found = [*_registrations(store, key, linked), *_folders(store, key, linked)]
    relinked = {one.target for one in found if one.kind == "link"}
    main = _enrolment(common, broken)
    enrolled = {
        there.session: Linked(private, top, there)
        for private, top, there in (
            *((one.private, one.top, one.enrolled) for one in linked), (common, "", main),
        )
        if there is not None and enrolment.ours(there, store)
    }  # fmt: skip
    found += _enrolments(store, enrolled)
    found += _unenrolled(store, key, linked, mine)
    found += _paths(key, mine, enrolled, relinked)
    found += leftovers.lone_sessions(store, key, mine, enrolled, broken)
    found += leftovers.empty_folders(store, key)
    return [*found, *leftovers.temporary_files(store, key)]


def links(common: str, broken: Broken) -> Iterator[Linked]:
    """Yield git's registrations (gitrepository-layout(5), worktrees/<id>/gitdir)."""
    for name in names_in(f"{common}/worktrees"):
        private = f"{common}/worktrees/{name}"
        try:
            with open(f"{private}/gitdir", "rb") as stream:
                text = os.fsdecode(stream.read().rstrip(b"\r\n"))
        except OSError:
            continue  # git's own business, and no worktree of anybody's
        # git 2.48 can write it relative to the private directory.
        dot_git = os.path.normpath(os.path.join(private, text))
        yield Linked(private, os.path.dirname(dot_git), _enrolment(private, broken))


def _enrolment(private: str, broken: Broken) -> Enrolment | None:
    try:
        return enrolment.read(private)
    except (OSError, ValueError) as error:
        broken(f"{error}")
        return None


def linked_from(top: str) -> str | None:
    """Return the private directory that the worktree folder ``top`` names; None where it names none."""
    if not os.path.isfile(f"{top}/.git") or os.path.islink(f"{top}/.git"):
        return None
    place = gitdir.find(top, {})
    return None if place is None or place.top != top else os.path.realpath(place.private)


def _registrations(store: str, key: str, linked: list[Linked]) -> Iterator[Finding]:
    for one in linked:
        name = one.enrolled.session if one.enrolled else os.path.basename(one.private)
        finding = Finding("registration", name, key, one.top, "", "", repairable=False)
        ours = os.path.dirname(one.top) == layout.worktrees(store, key)
        try:
            os.lstat(f"{one.top}/.git")
            continue
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            wrong = f"{one.top} cannot be looked at ({error.strerror}): is its disk mounted?"
            yield replace(finding, wrong=wrong)
            continue
        if os.path.isdir(one.top):
            yield replace(
                finding, kind="link", target=one.private, repairable=ours,
                wrong=f"{one.top} has lost its .git file, which links it with {one.private}",
                remedy="written again" if ours else "'git worktree repair' in it, if it still is one",
            )  # fmt: skip
            continue
        moved = _moved_to(one)
        if moved is not None:
            yield replace(
                finding, kind="link", path=moved, target=one.private, repairable=True,
                wrong=f"{one.top} was moved to {moved}, and git does not know",
                remedy="linked again",
            )  # fmt: skip
            continue
        doubt = _perhaps_not_mounted(one, ours=ours)
        yield replace(
            finding, target=one.private, repairable=not doubt,
            wrong=f"the folder {one.top} of a registered worktree is gone{doubt}",
            remedy="'git worktree repair', or 'git worktree prune', if it is gone for good" if doubt
            else "its private directory goes to the trash, with a salvage",
        )  # fmt: skip


def _moved_to(one: Linked) -> str | None:
    """Return the folder beside the missing one that names this private directory."""
    parent = os.path.dirname(one.top)
    for name in names_in(parent):
        if linked_from(f"{parent}/{name}") == os.path.realpath(one.private):
            return f"{parent}/{name}"
    return None


def _perhaps_not_mounted(one: Linked, *, ours: bool) -> str:
    """Return, as the end of a sentence, why a missing folder may be back later; empty: it is gone."""
    try:
        with open(f"{one.private}/locked", encoding="utf-8", errors="replace") as stream:
            return f", and it is locked ({stream.read().strip() or 'no reason given'})"
    except FileNotFoundError:
        pass
    parent = os.path.dirname(one.top)
    if not os.path.isdir(parent):
        return f", as is {parent}: is its disk mounted?"
    # What a disk is mounted on is an empty folder while it is not.
    if not ours and not names_in(parent):
        return f", and {parent} is empty: is its disk mounted?"
    return ""


def _folders(store: str, key: str, linked: list[Linked]) -> Iterator[Finding]:
    """Find the folders under ``worktrees/{repo}/`` that git has no registration for."""
    root = layout.worktrees(store, key)
    by_private = {os.path.realpath(one.private): one for one in linked}
    tops = [one.top for one in linked]
    for name in names_in(root):
        top = f"{root}/{name}"
        if top in tops or os.path.islink(top) or not os.path.isdir(top):
            continue
        finding = Finding("folder", name, key, top, "", "", repairable=False)
        if not names_in(top):
            yield replace(
                finding, kind="empty", wrong=f"{top} is empty", remedy="removed", repairable=True
            )
            continue
        if any(other.startswith(f"{top}/") for other in tops):
            yield replace(finding, wrong=f"{top} is no worktree, and there are worktrees in it")
            continue
        private = linked_from(top)
        registered = None if private is None else by_private.get(private)
        if os.path.isdir(f"{top}/.git") or (private is not None and registered is None):
            yield replace(finding, wrong=f"{top} belongs to another repository")
        elif registered is not None and linked_from(registered.top) != private:
            yield replace(
                finding, kind="link", target=registered.private, repairable=True,
                wrong=f"{registered.top} was moved to {top}, and git does not know",
                remedy="linked again",
            )  # fmt: skip
        elif standing := _who_stands_in(top):
            yield replace(finding, wrong=f"{top} is no worktree that git knows, and {standing}")
        else:
            copy = f", it is a copy of {registered.top}" if registered is not None else ""
            yield replace(
                finding, wrong=f"{top} is no worktree that git knows{copy}",
                remedy="goes to the trash, whole", repairable=True,
            )  # fmt: skip


def _who_stands_in(top: str) -> str | None:
    for one in presence.inside(Place(top, "", top), presence.scan()):
        return f"{one.name} (pid {one.pid}) {one.why}"
    return None


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
    by_id = {one.id: one for one in mine}
    for one in linked:
        if one.enrolled is not None or os.path.dirname(one.top) != layout.worktrees(store, key):
            continue
        if os.path.lexists(f"{one.private}/{layout.ENROLMENT}") or not os.path.isdir(one.top):
            continue  # damaged, which was said; or found as a registration
        begun = by_id.get(os.path.basename(one.top))
        wrong = f"{one.top} has no session"
        if begun is not None and begun.status == "Initializing":
            # new-worktree was killed; or it is at work now.
            yield Finding(
                "unenrolled", begun.id, key, one.top, f"{wrong}: {begun.id} was never begun",
                "enrolled", leftovers.dead(begun), one.private,
            )  # fmt: skip
        else:
            name = os.path.basename(one.top)
            remedy = f"'prodigy-git worktree adopt {one.top}' gives it one"
            yield Finding("unenrolled", name, key, one.top, wrong, remedy, repairable=False)


def _paths(
    key: str, mine: list[Session], enrolled: dict[str, Linked], relinked: set[str]
) -> Iterator[Finding]:
    """Find the sessions whose file does not say what their worktree does: where it is, that it is."""
    for one in mine:
        there = enrolled.get(one.id)
        path = one.text("worktree_path")
        if there is not None and one.status == "Initializing" and leftovers.dead(one):
            yield Finding(
                "begun", one.id, key, there.private,
                f"session {one.id} has its worktree, and its file says {one.status}",
                "becomes Running", repairable=True,
            )  # fmt: skip
        if there is None or there.top in ("", path) or there.private in relinked:
            continue
        if linked_from(there.top) == os.path.realpath(there.private):
            yield Finding(
                "path", one.id, key, there.top,
                f"session {one.id} names {path}, its worktree is {there.top}", "corrected",
                repairable=True, target=there.private,
            )  # fmt: skip
