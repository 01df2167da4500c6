"""Gathering the evidence of many worktrees at once: one git process each, a few per repository."""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace

from prodigy_git.cleanup.account import (
    heartbeat,
    lone_commits,
    nested,
    one_worktree,
    presence,
    prodigys_work,
)
from prodigy_git.cleanup.account.evidence import Evidence, Subject
from prodigy_git.cleanup.account.one_worktree import STATUS, Repository
from prodigy_git.errors import ProdigyError
from prodigy_git.git import integration
from prodigy_git.git.ask import look
from prodigy_git.git.integration import Question
from prodigy_git.record import clock, files, whose
from prodigy_git.record.gitdir import Place
from prodigy_git.setup import background, notes

DAY = 86400 * clock.SECOND

SALVAGE_LIMIT = 100 * 1024 * 1024
"""Bytes; git config ``prodigy.salvageLimit`` says otherwise."""


def gather(
    wanted: Sequence[Subject],
    progress: Callable[[], None] = lambda: None,
    young: int = DAY,
) -> list[Evidence]:
    """Return the account of each worktree, in their order; nothing is written by looking.

    ``progress`` is called, from any thread, as each is done. Where processes may be out of sight, logs
    are searched for signs of life as old as ``young`` (microseconds). Never raises for a damaged
    worktree: what cannot be read is said in its ``unreadable``, and where looking at one fails
    altogether, it has no ``place``, so that nothing removes it. Raises `ProdigyError` where git is
    missing.
    """
    if wanted and shutil.which("git") is None:
        raise ProdigyError("git is not to be found: install it, or put it on PATH")
    sight = presence.scan()
    repositories: dict[str, list[int]] = {}
    for number, subject in enumerate(wanted):
        if subject.place is not None:
            repositories.setdefault(subject.place.common, []).append(number)
    found: dict[int, Evidence] = {}
    # One more than there are cores: while one waits for a process to start, another computes.
    with ThreadPoolExecutor(max_workers=_cores() + 1) as pool:
        for numbers in repositories.values():
            some = [wanted[n] for n in numbers]
            try:
                accounts = _of_repository(some, sight, pool, progress)
            except Exception as error:  # no repository stops the others
                accounts = [_failed(subject, error) for subject in some]
            found.update(zip(numbers, accounts, strict=True))
            out_of_sight = [pair for pair in zip(some, accounts, strict=True) if pair[1].unseen]
            heartbeat.note_events(out_of_sight, clock.now() - young)
    for number, subject in enumerate(wanted):
        if subject.place is None:
            found[number] = e = _bare_account(subject)
            if subject.alone:
                e.alone = True
                e.processes += presence.inside(Place(subject.path, "", subject.path), sight)
            progress()
    return [found[number] for number in range(len(wanted))]


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _failed(subject: Subject, error: Exception) -> Evidence:
    """Return the account of a worktree that could not be looked at: no ``place``, no removal."""
    e = _bare_account(replace(subject, place=None))
    what = str(error) if isinstance(error, ProdigyError) else f"{type(error).__name__}: {error}"
    e.unreadable.append(f"looking at it failed ({what})")
    return e


def _bare_account(subject: Subject) -> Evidence:
    """Return what is known of a worktree without looking at its files."""
    e = Evidence(subject.name, subject.path, place=subject.place, gathered_at=time.monotonic())
    if subject.trouble is not None:
        e.unreadable.append(subject.trouble)
    found = subject.session
    if found is not None:
        e.session_id, e.status, e.ended, e.job = found.id, found.status, found.ended, found.job
        e.started_at = clock.parse(found.started_at)
        e.ended_at = found.ended_at
        moments = [e.started_at, e.ended_at]
        moments += [clock.parse(one.created_at) for one in found.checkpoints]
        e.last_activity = max((one for one in moments if one is not None), default=None)
    return e


@dataclass
class _Looked:
    """A worktree that has been looked at, and what it names."""

    subject: Subject
    e: Evidence
    named: lone_commits.Named


def _of_repository(
    wanted: Sequence[Subject],
    sight: presence.Sight,
    pool: Executor,
    progress: Callable[[], None],
) -> list[Evidence]:
    """Return the accounts of worktrees of one repository."""
    places = [subject.place for subject in wanted if subject.place is not None]
    common = lone_commits.common_place(places[0])
    asked_repository = pool.submit(_repository, common, crowded=len(wanted) > _cores())
    asked_refs = pool.submit(integration.refs, common)
    here = asked_repository.result()
    stashes = _stashes(common)

    def account(subject: Subject) -> _Looked | Evidence:
        try:
            e = _bare_account(subject)
            named = one_worktree.look_at(e, subject, here, sight.own)
            assert subject.place is not None
            e.processes += presence.inside(subject.place, sight)
            _part_background(e, subject)
            e.unseen_processes, e.unseen = (
                sight.unseen,
                [*sight.why, *presence.away(subject.session)],
            )
            prodigys_work.note(e, subject)
            e.users = sorted(whose.others(subject.place.private).values())
            e.stashes = stashes.get(e.branch or "", 0)
        except Exception as error:  # no worktree stops the others
            return _failed(subject, error)
        finally:
            progress()
        return _Looked(subject, e, named)

    results = list(pool.map(account, wanted))
    looked = [one for one in results if isinstance(one, _Looked)]
    _at_once(looked, lambda some: _count_lone(common, some), "which commits no ref reaches")
    known = asked_refs.result()
    default = integration.defaults(known, here.default_branch)

    def integrated(some: Sequence[_Looked]) -> None:
        with_head = [one for one in some if one.e.head is not None]
        questions = [_question(one.subject, one.e, one.named) for one in with_head]
        answers = integration.how(common, known, default, questions, pool)
        for one, answer in zip(with_head, answers, strict=True):
            one.e.integration = answer
            one.e.default_branch = f"refs/heads/{one.e.branch}" in default

    _at_once(looked, integrated, "whether its commits are integrated")
    return [one.e if isinstance(one, _Looked) else one for one in results]


def _part_background(e: Evidence, subject: Subject) -> None:
    """Tell what was started with a worktree, and ends with it, from who works there."""
    there = subject.enrolment
    if not e.processes or there is None or not notes.exists(there.store, there.session):
        return
    remembered = notes.read(there.store, there.session)
    if remembered is not None:
        e.background = [one for one in e.processes if background.is_of(remembered, one.pid)]
        e.processes = [one for one in e.processes if one not in e.background]


def _at_once(
    looked: Sequence[_Looked], ask: Callable[[Sequence[_Looked]], None], what: str
) -> None:
    """Ask about all worktrees together; where that fails, about each alone: one stops no other."""
    try:
        ask(looked)
    except Exception:
        for one in looked:
            try:
                ask([one])
            except Exception as error:
                one.e.unreadable.append(f"{what} is not known ({error})")


def _count_lone(common: Place, some: Sequence[_Looked]) -> None:
    counts = lone_commits.count(common, [one.named for one in some])
    for one, count in zip(some, counts, strict=True):
        one.e.lone_commits, one.e.lone_in_reflog = count.head, count.given_up
        one.e.rewritten = count.rewritten


def _question(subject: Subject, e: Evidence, named: lone_commits.Named) -> Question:
    found = subject.session
    start = base = None
    commits: object = 0
    if found is not None:
        start, base = found.text("base_commit"), found.text("base_branch")
        commits = found.metadata.get("commits")
    if start is None and named.journal:
        start = named.journal[0].new
    made = bool(commits) or lone_commits.made_commits(named.journal)
    return Question(e.head or "", e.branch, base, start, made)


def _repository(common: Place, *, crowded: bool) -> Repository:
    _, out, _ = look(
        common, "config", "-z", "--get-regexp",
        r"^(extensions\.objectformat|init\.defaultbranch|prodigy\.salvagelimit)$",
    )  # fmt: skip
    values: dict[str, str] = {}
    for entry in out.split(b"\0")[:-1]:
        key, _, value = os.fsdecode(entry).partition("\n")
        values[key] = value
    return Repository(
        32 if values.get("extensions.objectformat") == "sha256" else 20,
        values.get("init.defaultbranch"),
        _bytes(values.get("prodigy.salvagelimit")),
        nested.linked(common.common),
        # git looks at one worktree's files on all cores; many at once only get into each other's way.
        ("-c", "core.preloadIndex=false", *STATUS) if crowded else STATUS,
    )


def _bytes(text: str | None) -> int:
    """Return a size as git-config(1) writes one; the usual limit where it is none."""
    scale = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}.get((text or "")[-1:].lower(), 1)
    digits = (text or "").rstrip("kKmMgG")
    return int(digits) * scale if digits.isascii() and digits.isdigit() else SALVAGE_LIMIT


def _stashes(common: Place) -> dict[str, int]:
    """Return how many stashes were made on each branch, by their messages."""
    found: dict[str, int] = {}
    try:
        text = os.fsdecode(files.read(f"{common.common}/logs/refs/stash"))
    except OSError:
        return found
    for line in text.split("\n"):
        _, _, message = line.partition("\t")
        for opening in ("WIP on ", "On "):
            if message.startswith(opening):
                branch = message.removeprefix(opening).partition(": ")[0]
                found[branch] = found.get(branch, 0) + 1
    return found
