"""Cleaning worktrees: which, whether, and several at once; a failure of one stops no other."""

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from prodigy_git.cleanup import subjects, teardown
from prodigy_git.cleanup.account import evidence, gathering
from prodigy_git.cleanup.account.evidence import Evidence, Subject
from prodigy_git.cleanup.account.verdicts import Options as Options
from prodigy_git.cleanup.account.verdicts import describe as describe
from prodigy_git.cleanup.account.verdicts import verdict as verdict
from prodigy_git.cleanup.trash import full_disk, without_repository
from prodigy_git.cleanup.trash.together import Together
from prodigy_git.errors import ProdigyError, told
from prodigy_git.git import repository
from prodigy_git.record import repokey
from prodigy_git.store import locked, reserve, sessions
from prodigy_git.store.events import Broken

_AT_ONCE = (
    32  # worktrees accounted for together: the account is then seconds old when it is acted on
)
_TOGETHER = 16  # worktrees moved at once; others wait for the repository's lock that long
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
    (found,) = gathering.gather([subjects.subject(store, cwd, name)])
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
        found = (
            subjects.of_store(store, broken)
            if options.all_repos
            else subjects.of_repository(store, cwd, broken)
        )
        wanted = list(enumerate(one for one in found if options.job in (None, _job(one))))
    else:
        for number, name in enumerate(dict.fromkeys(names)):
            try:
                wanted.append((number, subjects.subject(store, cwd, name)))
            except (ProdigyError, OSError, ValueError) as error:
                outcomes[number] = Outcome(name, "failed", [str(error)])
    wanted = _each_once(wanted)
    total = len(wanted)
    for begin in range(0, total, _AT_ONCE):
        chunk = wanted[begin : begin + _AT_ONCE]
        if not options.dry_run:
            chunk = [(number, _caught_up(store, one, broken)) for number, one in chunk]
        accounts = gathering.gather([one for _, one in chunk], young=options.min_age)
        pairs = [(one, e) for (_, one), e in zip(chunk, accounts, strict=True)]
        ends = _clean_all(store, cwd, pairs, options, broken)
        for done, ((number, one), e, end) in enumerate(zip(chunk, accounts, ends, strict=True), 1):
            outcomes[number] = replace(end, session_id=e.session_id, worktree=one.path)
            if progress is not None:
                progress(begin + done, total)
    return [outcomes[number] for number in sorted(outcomes)]


def _each_once(wanted: Sequence[tuple[int, Subject]]) -> list[tuple[int, Subject]]:
    """Leave out a worktree that is there already, by another name: two threads would move it."""
    once: dict[str | int, tuple[int, Subject]] = {}
    for number, one in wanted:
        known = number if one.place is None else os.path.realpath(one.place.private)
        once.setdefault(known, (number, one))
    return list(once.values())


def _clean_all(
    store: str,
    cwd: str,
    accounts: Sequence[tuple[Subject, Evidence]],
    options: Options,
    broken: Broken,
) -> Iterator[Outcome]:
    """Clean worktrees and yield what became of each, in their order."""

    def key(pair: tuple[Subject, Evidence]) -> str | None:
        there = pair[0].enrolment
        # Emptying the trash needs the room of one at a time, and a dry run takes none.
        alone = options.purge or options.dry_run or pair[0].alone or _is_copied(store, pair[0])
        # A teardown takes as long as it takes: nobody is to wait for the repository's lock then.
        alone = alone or teardown.is_due(store, pair[0])
        return None if alone or there is None else there.repo

    for repo, pairs in itertools.groupby(accounts, key):
        while some := list(itertools.islice(pairs, _TOGETHER)):
            if repo is None or len(some) == 1:
                yield from (_clean(store, cwd, *pair, options, broken) for pair in some)
            else:
                yield from _clean_together(store, cwd, repo, some, options, broken)


def _is_copied(store: str, one: Subject) -> bool:
    """Whether a worktree cannot be renamed into the trash: a copy takes long, and Ctrl-C is to end it.

    A thread would not hear of that.
    """
    if one.place is None:
        return False
    common = one.place.common
    trashes = ((f"{store}/trash", store), (f"{common}/prodigy-trash", common))
    try:
        # Each trash may lie elsewhere than what it is in, or not be there yet.
        devices = {os.stat(next(filter(os.path.isdir, pair), pair[1])).st_dev for pair in trashes}
        return os.stat(one.place.top).st_dev not in devices
    except OSError:
        return False  # said when it is moved


def _clean_together(
    store: str,
    cwd: str,
    repo: str,
    accounts: Sequence[tuple[Subject, Evidence]],
    options: Options,
    broken: Broken,
) -> list[Outcome]:
    """Clean some worktrees of one repository at once: each waits, most of its time, for git and disk.

    They share the repository's lock. What is interrupted waits until those under way are through.
    """
    if any(time.monotonic() - e.gathered_at > _FRESH for _, e in accounts):
        fresh = gathering.gather([one for one, _ in accounts], young=options.min_age)
        accounts = [(one, e) for (one, _), e in zip(accounts, fresh, strict=True)]
    said: list[list[str]] = [[] for _ in accounts]

    commons = {one.place.common for one, _ in accounts if one.place is not None}
    shared = {common: Together(common) for common in commons}

    def cleaned(pair: tuple[Subject, Evidence], told: list[str]) -> Outcome:
        place = pair[0].place
        mine = None if place is None else shared[place.common]
        return _clean(store, cwd, *pair, options, told.append, mine)

    try:
        for common in commons:
            repository.check_trusted(common)
        with locked.repository(store, repo), ThreadPoolExecutor(_TOGETHER) as pool:
            try:
                ends = list(pool.map(cleaned, accounts, said))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    except (ProdigyError, OSError) as error:  # git does not trust it, or the lock is not to be had
        why = full_disk.said(error, store, cwd)
        ends = [Outcome(one.name, "failed", [why]) for one, _ in accounts]
    finally:  # also where it was interrupted
        for line in itertools.chain(*said):
            broken(line)
    return ends


def _clean(
    store: str,
    cwd: str,
    one: Subject,
    e: Evidence,
    options: Options,
    broken: Broken,
    shared: Together | None = None,
) -> Outcome:
    """Clean one worktree; ``shared``: with others, by a caller that holds the repository's lock."""
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
        if shared is None and teardown.is_due(store, one):
            teardown.carry_out(store, one, broken, commands=options.teardown)
            (e,) = gathering.gather([one], young=options.min_age)
            allowed, reasons = verdict(e, options)
            if not allowed:
                reasons = [*reasons, "now that its teardown has run"]
                return Outcome(one.name, "refused", reasons, integration=e.integration.kind)
        return replace(_remove(store, one, e, reasons, options, broken, shared), unseen=e.unseen)
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
    shared: Together | None,
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
                broken=broken, shared=shared,
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
    if "made_branch" in one.session.metadata:
        return one.session.made_branch
    # Of one that an earlier version made, whose file has the branch that it is on now.
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
