"""Cleaning worktrees: which, whether, and one after the other; a failure of one stops no other."""

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from prodigy_git import names as safe
from prodigy_git import prodigy
from prodigy_git.cleanup.account import evidence, gathering
from prodigy_git.cleanup.account.evidence import Evidence, Subject
from prodigy_git.cleanup.account.verdicts import Options as Options
from prodigy_git.cleanup.account.verdicts import describe as describe
from prodigy_git.cleanup.account.verdicts import verdict as verdict
from prodigy_git.cleanup.trash import full_disk, unfinished, without_repository
from prodigy_git.errors import ProdigyError, told
from prodigy_git.git import repository
from prodigy_git.model.session import Session
from prodigy_git.record import enrolment, files, gitdir, repokey
from prodigy_git.store import briefs, ended_by_others, reserve, sessions
from prodigy_git.store.events import Broken

_AT_ONCE = (
    32  # worktrees accounted for together: the account is then seconds old when it is acted on
)
_FRESH = 2.0  # seconds; an older account is made again right before the removal

Progress = Callable[[int, int], None]
"""Called with how many worktrees are done, of how many."""


@dataclass(frozen=True)
class Outcome:
    """What became of one worktree: ``result`` is cleaned, would-clean, refused or failed.

    ``reasons`` say why it was refused or failed, or what was gone past; ``notes`` what went with it
    that only `restore` brings back; ``unseen`` which processes could not be looked at. ``session_id``
    and ``worktree`` (its path) are None where nothing has the name.
    """

    name: str
    result: str
    reasons: list[str]
    notes: list[str] = field(default_factory=list)
    integration: str | None = None
    trash_path: str | None = None
    salvage_ref: str | None = None
    branch_deleted: str | None = None
    purged: bool = False
    unseen: list[str] = field(default_factory=list)
    session_id: str | None = None
    worktree: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``worktree clean --json`` prints them."""
        return asdict(self)


def show(store: str, cwd: str, name: str) -> Evidence:
    """Return the account of one worktree. Raises `ProdigyError` where nothing has that name."""
    (found,) = gathering.gather([subject(store, cwd, name)])
    return found


def clean(
    store: str,
    cwd: str,
    names: Sequence[str] | None,
    options: Options,
    broken: Broken,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Clean the named worktrees, or with None those of all sessions; return what became of each.

    All sessions are those of the repository around ``cwd``, with ``options.all_repos`` those of the
    store. First what a killed command left half-way is brought to its end. A dry run changes nothing,
    not even that. Raises `ProdigyError` where ``cwd`` is in no repository and one is needed.
    """
    if not options.dry_run:
        for line in _take_up(store, cwd, names, options, broken):
            broken(line)
    outcomes: dict[int, Outcome] = {}
    wanted: list[tuple[int, Subject]] = []
    if names is None:
        found = of_store(store, broken) if options.all_repos else of_repository(store, cwd, broken)
        wanted = list(enumerate(one for one in found if options.job in (None, _job(one))))
    else:
        for number, name in enumerate(dict.fromkeys(names)):
            try:
                wanted.append((number, subject(store, cwd, name)))
            except (ProdigyError, OSError, ValueError) as error:
                outcomes[number] = Outcome(name, "failed", [str(error)])
    total = len(wanted)
    for begin in range(0, total, _AT_ONCE):
        chunk = wanted[begin : begin + _AT_ONCE]
        if not options.dry_run:
            chunk = [(number, _caught_up(store, one, broken)) for number, one in chunk]
        accounts = gathering.gather([one for _, one in chunk], young=options.min_age)
        for done, ((number, one), e) in enumerate(zip(chunk, accounts, strict=True), begin + 1):
            done_with = _clean(store, cwd, one, e, options, broken)
            outcomes[number] = replace(done_with, session_id=e.session_id, worktree=one.path)
            if progress is not None:
                progress(done, total)
    return [outcomes[number] for number in sorted(outcomes)]


def _clean(
    store: str, cwd: str, one: Subject, e: Evidence, options: Options, broken: Broken
) -> Outcome:
    try:
        if not options.dry_run and time.monotonic() - e.gathered_at > _FRESH:
            (e,) = gathering.gather([one], young=options.min_age)
        allowed, reasons = verdict(e, options)
        if not allowed:
            return Outcome(one.name, "refused", reasons, integration=e.integration.kind)
        if options.dry_run:
            notes = evidence.remarks(e)
            branch = branch_to_delete(one, e, options)
            return Outcome(
                one.name, "would-clean", reasons, notes, e.integration.kind, branch_deleted=branch,
                unseen=e.unseen,
            )  # fmt: skip
        return replace(_remove(store, one, e, reasons, options, broken), unseen=e.unseen)
    except Exception as error:  # whatever it is about this one, the others have their turn
        if _trashed_meanwhile(store, one):
            return Outcome(one.name, "refused", ["another prodigy-git has just cleaned it"])
        known = isinstance(error, ProdigyError | OSError | ValueError)
        why = full_disk.said(error, store, cwd) if known else told(error)
        return Outcome(one.name, "failed", [why])


def _trashed_meanwhile(store: str, one: Subject) -> bool:
    try:
        return (
            one.place is not None and sessions.load(store, one.name).text("trash_path") is not None
        )
    except (ProdigyError, OSError, ValueError):
        return False


def _remove(
    store: str,
    one: Subject,
    e: Evidence,
    reasons: list[str],
    options: Options,
    broken: Broken,
) -> Outcome:
    from prodigy_git.cleanup.trash import emptying, removal

    result, gone = "cleaned", False
    common = store if one.place is None else one.place.common  # of one alone there is no other
    with reserve.given_up(store, common) if options.purge else contextlib.nullcontext():
        if one.alone:
            assert one.session is not None
            entry = without_repository.remove(
                store, one.session, one.path, reasons=reasons, broken=broken
            )
        else:
            assert one.place is not None
            assert one.enrolment is not None
            entry = removal.remove(
                store, one.place, one.enrolment, reasons=reasons, touched=evidence.touched(e),
                left_out=evidence.left_out(e), delete_branch=branch_to_delete(one, e, options),
                broken=broken,
            )  # fmt: skip
        if options.purge:
            left = emptying.purge(entry, broken)
            gone = left is None
            result, reasons = ("cleaned", reasons) if left is None else ("failed", [left])
    return Outcome(
        one.name,
        result,
        reasons,
        evidence.remarks(e, entry.left_out),
        e.integration.kind,
        None if gone else entry.path,
        entry.salvage_ref,
        entry.branch_deleted,
        gone,
    )


def branch_to_delete(one: Subject, e: Evidence, options: Options) -> str | None:
    """Return the branch that goes with a worktree, if any: never a default branch.

    Of its own accord only one that the session made and that is contained in another.
    """
    if e.branch is None or e.default_branch:
        return None
    contained = e.integration.kind in ("integrated", "unused") and e.integration.into is not None
    if options.delete_branch and (contained or options.force):
        return e.branch
    return e.branch if contained and _made_branch(one) == e.branch else None


def _made_branch(one: Subject) -> str | None:
    """Return the branch that `new-worktree` made for a session; elsewhere it may have been there."""
    if one.session is None or one.session.text("created_by") != "new-worktree":
        return None
    for kind, fields in one.enrolment.opening if one.enrolment is not None else ():
        if kind == "WorktreeCreated":
            return str(fields.get("branch"))
    return None


def _take_up(
    store: str, cwd: str, names: Sequence[str] | None, options: Options, broken: Broken
) -> list[str]:
    """Bring to its end what a killed command left half-way in the repositories concerned."""
    from prodigy_git.cleanup import interrupted

    keys: set[str] = set()
    if options.all_repos:
        keys.update(repokey.keys(store))
    for name in names or ():
        try:
            keys.add(sessions.load(store, name).text("repo") or "")
        except (ProdigyError, OSError, ValueError):
            continue  # a path, or nothing at all: said later
    try:
        keys.add(repokey.take(store, repository.find(cwd).common))
    except (ProdigyError, OSError, ValueError):
        if names is None and not options.all_repos:
            raise
    return [line for key in sorted(keys - {""}) for line in interrupted.take_up(store, key, broken)]


def _job(one: Subject) -> str | None:
    return None if one.session is None else one.session.job


def _caught_up(store: str, one: Subject, broken: Broken) -> Subject:
    """Record what no hook has recorded yet: whether there are commits is decided from it."""
    if one.session is None or one.place is None:
        return one
    found = sessions.catch_up(store, one.session, broken)
    return Subject(one.name, one.path, one.place, found, one.enrolment, one.trouble)


def subject(store: str, cwd: str, name: str) -> Subject:
    """Return the worktree of a session, or the one of this repository with that path or folder name.

    Raises `ProdigyError`, or `names.BadName`, where there is none.
    """
    if safe.is_safe(name) and name in sessions.ids(store):
        return _of_session(store, sessions.load(store, name))
    try:
        common = repository.find(cwd).common
        trees = [tree for tree in repository.worktrees(common) if not tree.bare]
    except ProdigyError:
        trees, common = [], ""
    path = os.path.join(cwd, name)
    # A folder that is gone is known by its name only.
    path = os.path.realpath(path) if name and os.path.isdir(path) else name
    matching = [tree.path for tree in trees if path in (tree.path, os.path.realpath(tree.path))]
    matching = matching or [tree.path for tree in trees if os.path.basename(tree.path) == name]
    if len(matching) > 1:
        raise ProdigyError(f"{name} is the name of {len(matching)} worktrees: give the path")
    if not matching:
        sessions.load(store, name)  # which says what is wrong with it
    found = _of_folder(store, matching[0])
    if not _belongs(found, common):
        raise ProdigyError(
            f"{matching[0]} belongs to {found.place.common if found.place else 'nobody'}, of which "
            "this repository is a copy: go there"
        )
    return found


def _belongs(found: Subject, common: str) -> bool:
    """Whether a folder that git lists is this repository's: a copy lists the original's."""
    return found.place is None or files.same(found.place.common, common)


def of_repository(store: str, cwd: str, broken: Broken) -> list[Subject]:
    """Return the worktrees of the repository around ``cwd`` that have a session, the main one not."""
    common = repository.find(cwd).common
    return [
        one
        for tree in repository.worktrees(common)[1:]
        if not tree.bare
        and (one := _known(store, tree.path, broken)) is not None
        and _belongs(one, common)
    ]


def _known(store: str, path: str, broken: Broken) -> Subject | None:
    try:
        found = _of_folder(store, path)
    except (ProdigyError, OSError, ValueError) as error:
        broken(f"{path}: {error}")
        return None
    return found if found.session is not None else None


def of_store(store: str, broken: Broken) -> list[Subject]:
    """Return the worktrees of all sessions of the store, without main ones."""
    known: sessions.Known = {}
    found = (_of_session(store, one, known) for one in sessions.load_all(store, broken))
    return [
        one
        for one in found
        if one.place is not None
        and os.path.realpath(one.place.private) != os.path.realpath(one.place.common)
    ]


def _of_session(store: str, found: Session, known: sessions.Known | None = None) -> Subject:
    if prodigy.wrote_session(found.metadata):
        (found,) = prodigy.filled(store, [found])
        path = found.text("worktree_path") or ""
        if os.path.isdir(path):
            there = _of_folder(store, path)
            # With a session of ours in it, it is that one's.
            return there if there.session is not None else replace(there, session=found)
        mine = briefs.of_prodigy(store, found.id)
        if mine is not None:
            return _of_session(store, sessions.load(store, mine.id), known)
    where = sessions.enrolled_place(store, found, known)
    path = found.text("worktree_path") or ""
    if where is None and (gone := without_repository.repository_of(store, found, path)) is not None:
        return Subject(
            found.id, path, None, found, trouble=without_repository.words(gone), alone=True
        )
    if where is None:
        return Subject(found.id, path, None, found, trouble=_missing(store, found, path, known))
    return Subject(found.id, where[0].top, where[0], found, where[1])


def _missing(store: str, found: Session, path: str, known: sessions.Known | None) -> str:
    """Return why a session has no worktree that could be cleaned."""
    for one in unfinished.find(store, lambda _: None, session=found.id):
        return one.text()
    try:
        half = sessions.journal_of(store, found, known)
    except (OSError, ValueError) as error:
        return f"its enrolment cannot be read ({error})"
    if half is not None:
        # One of the two was moved: git says what links them again, and does it.
        top, common = half[0].top, half[0].common
        if os.path.lexists(f"{top}/.git"):
            return (
                f"git does not find {common} from it, 'git -C {common} worktree repair {top}' helps"
            )
        if not os.path.isdir(top):
            return (
                f"it is not at {top} (any more); if it was moved to PATH, "
                f"'git -C {common} worktree repair PATH' tells git"
            )
    if found.text("trash_path") is not None:
        return (
            f"its worktree is in the trash, 'prodigy-git worktree restore {found.id}' restores it"
        )
    if not os.path.isdir(path):
        return f"it has no worktree (any more){_removed_by_git(found)}"
    if not os.path.lexists(f"{path}/.git"):
        return f"the file .git in {path} is gone, 'git worktree repair {path}' makes it again"
    place = gitdir.find(path, {})
    if place is None:
        return f"git does not know {path} (any more), 'prodigy-git clean --dry-run' says more"
    return f"{path} is not its worktree (any more)"


def _removed_by_git(found: Session) -> str:
    """Return what is left of a worktree that was removed with git, by whomever; "" for any other."""
    if (
        ended_by_others.by_others(found) != ended_by_others.REMOVED
        or found.text("prodigy_session") is not None
    ):
        return ""
    left = found.text(ended_by_others.LEFT)
    commits = f"; its commits are {left}" if left is not None else ""
    return (
        f": it was removed with git, as 'prodigy worktree clean' does{commits}; what was not "
        f"committed is lost, 'prodigy-git resume {found.id}' makes it again from its branch"
    )


def _of_folder(store: str, path: str) -> Subject:
    """Return the worktree in a folder, with its session if it has one in this store."""
    name = os.path.basename(path)
    place = gitdir.find(path, {})
    if place is None or place.top != path.rstrip("/"):
        missing = "its folder is gone" if not os.path.isdir(path) else "its file .git is gone"
        return Subject(name, path, None, trouble=f"{missing}, or its disk is not mounted")
    there = enrolment.read(place.private)
    if there is None or not enrolment.ours(there, store):
        return Subject(name, path, place)
    return Subject(there.session, path, place, sessions.load(store, there.session), there)
