"""Comparing job logs with git's own records, and mending what differs.

Evidence, best first: the HEAD reflog of a session's worktree, also where clean-up has put it into the
trash; where the worktree was removed by other means, its branch. What `events clean` removed is not
asked for.
"""

import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from prodigy_git import layout
from prodigy_git.cleanup.records.by_age import cleaned_before
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.git.ask import git_status
from prodigy_git.model.event import Event, parse_line
from prodigy_git.model.session import Session
from prodigy_git.record import (
    clock,
    enrolment,
    files,
    gitdir,
    locks,
    log,
    new_commits,
    recorded_elsewhere,
    repokey,
    session,
    sharing,
    within,
    witnesses,
)
from prodigy_git.record.conversations import telling
from prodigy_git.record.cursor import Cursor
from prodigy_git.record.drain import commit_event, drain
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.record.gitdir import Place
from prodigy_git.record.new_commits import Made
from prodigy_git.store import events, host_files, sessions, stream
from prodigy_git.store.events import Broken

_NOT_TOLD = (
    "what an agent program said there is not in the log yet: 'prodigy-git verify --fix' records it"
)


@dataclass
class Verdict:
    """What a session's events and git's records say of each other; the lists hold SHAs.

    ``evidence`` is reflog, trash, branch or none. ``foreign`` are events of this session for commits
    that git does not know as made in its worktree; ``unclear`` are commits that came to its HEAD, that
    no session has recorded, and of which nobody can say whether they were made there.
    """

    session_id: str
    job_id: str
    evidence: str
    recorded: int = 0
    missing: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    fixed: list[str] = field(default_factory=list)

    def differs(self) -> bool:
        """Whether anything is wrong that has not been mended."""
        return bool(set(self.missing) - set(self.fixed) or self.duplicated or self.foreign)

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``verify --json`` prints them."""
        return asdict(self)


@dataclass
class BrokenLine:
    """A line of a log that is no event; ``offset`` and ``length`` are in bytes, without newline.

    ``torn``: the last one, which a writer did not write to its end.
    """

    file: str
    number: int
    offset: int
    length: int
    torn: bool = False
    quarantine: str | None = None


def verify(
    store: str, chosen: list[Session], *, fix: bool, broken: Broken, note: Broken
) -> tuple[list[Verdict], list[BrokenLine]]:
    """Verify sessions, and the logs of their jobs line by line; with ``fix``, mend what can be.

    Mended are missing commits (appended with ``recovered``) and broken lines (moved to a quarantine
    file); what agent programs have said and no hook has recorded is recorded. Duplicated and foreign
    events are only told: a log is append-only. What could not be looked at is reported to ``broken``,
    a session that is not prodigy-git's to ``note``. A file of events that came from a hub is not
    changed: without it, all of it comes again.
    """
    verdicts = []
    lines: list[BrokenLine] = []
    logs: dict[tuple[str, str], list[Event]] = {}
    for found in chosen:
        repo = found.text("repo")
        if repo is None:
            note(f"session {found.id} names no repository: not verified")
            continue
        key = (repo, found.job)
        try:
            if key not in logs:
                for path in events.log_files(store, *key):
                    if path.endswith(".jsonl"):
                        ours = host_files.tag_in(path) is None
                        lines += _broken_lines(store, key, path, fix=fix and ours)
                    # One that cannot be read must not pass for one without events.
                    files.stream(path).close()
                # What is broken has just been listed, with more than a reader could say of it.
                # Of this host: another one may have a session of that name.
                own = events.own_log_files(store, *key)
                logs[key] = list(stream.merge(own, lambda _: None))
            verdicts.append(_verify(store, repo, found, logs[key], fix=fix))
            if telling.is_due(store, repo, found.id):
                if fix:
                    telling.bring_all(store, found.id)
                else:
                    note(f"session {found.id}: {_NOT_TOLD}")
        except (ProdigyError, OSError, ValueError) as error:
            broken(f"session {found.id}: not verified ({error})")
    return verdicts, lines


def _verify(store: str, repo: str, found: Session, logged: list[Event], *, fix: bool) -> Verdict:
    own = [e for e in logged if e.type == "CommitCreated" and e.session_id == found.id]
    shas = [str(event.own().get("commit")) for event in own]
    evidence, place, entered = _evidence(store, repo, found)
    verdict = Verdict(found.id, found.job, evidence)
    expected: list[Made] = []
    if place is not None and entered is not None:
        cursor = Cursor(entered.start)
        reading = new_commits.read(place, cursor, rebase_ended=False, doubts=True)
        if reading is not None:
            expected = recorded_elsewhere.without(entered, reading.made)
            expected, unclear = sharing.divide(place, entered, expected)
            verdict.unclear = _unrecorded(entered, [*reading.unclear, *unclear], shas)
        # What was recorded before the worktree was made again, has another nonce: see `resume`.
        again = clock.parse(found.text("enrolled_again_at") or "") or 0
        later = [event for event in own if event.moment is None or event.moment >= again]
        noted = found.metadata.get(session.ELSEWHERE) or []
        verdict.foreign = [
            sha for sha in _foreign(place, cursor, entered, later) if sha not in noted
        ]
    elif evidence == "branch":
        expected = _on_branch(store, repo, found)
    since = cleaned_before(store, repo, found.job)
    expected = [one for one in expected if _made_at(one) >= since]
    verdict.recorded = len(set(shas))
    verdict.duplicated = [sha for sha, count in Counter(shas).items() if count > 1]
    missing = [one for one in expected if one.sha not in set(shas)]
    verdict.missing = [one.sha for one in missing]
    if fix and missing:
        entered = entered or Enrolment(
            store=store, repo=repo, session=found.id, job=found.job, agent=found.text("agent_id"),
            item=found.text("item_id"), nonce=found.text("nonce") or found.id,
            worktree=os.path.basename(found.text("worktree_path") or found.id),
        )  # fmt: skip
        if place is not None:
            # The cursor has to pass them too, or the next hook would record them once more.
            drain(place, entered, recovered=True)
        verdict.fixed = _append(entered, missing)
    return verdict


def _unrecorded(entered: Enrolment, unclear: list[str], own: list[str]) -> list[str]:
    """Return which unclear commits no session has recorded: not this one, and none of the others."""
    left = {sha for sha in unclear if sha not in set(own)}
    there = recorded_elsewhere.recorded(entered.store, entered.repo, left, entered.session)
    return [sha for sha in unclear if sha in left - there]


def _evidence(store: str, repo: str, found: Session) -> tuple[str, Place | None, Enrolment | None]:
    """Return the best record that git has of a session: what it is, and where."""
    where = sessions.journal_of(store, found)
    if where is not None:
        return "reflog", *where
    root = layout.trash(store, repo, found.id)
    for name in sorted(os.listdir(root), reverse=True) if os.path.isdir(root) else []:
        try:
            entry = entries.read(f"{root}/{name}")
            private, common = entry.git, entry.common
            if not os.path.isdir(private):  # the removal was killed before it was noted
                private = f"{common}/prodigy-trash/{found.id}-{name}"
            entered = enrolment.read(private)
        except (ProdigyError, OSError, ValueError):
            continue
        if entered is not None and entered.session == found.id and os.path.isdir(common):
            return "trash", Place(private, common, common), entered
    if found.text("forgotten_at") is not None:
        return "none", None, None  # what its branch has got since is not the session's
    branch, common = found.text("branch"), sessions.common_of(store, found) or ""
    if branch is None or _is_another(found, common):
        return "none", None, None
    if repository.has_ref(common, f"refs/heads/{branch}"):
        return "branch", None, None
    return "none", None, None


def _is_another(found: Session, common: str) -> bool:
    """Whether the repository that a session was in is gone, and another clone perhaps at its place.

    A main worktree has its enrolment in the repository: where that is gone, so is the repository.
    """
    if not os.path.isdir(common):
        return True
    known = found.text("repository_id")
    if known is not None and known != repokey.mark_of(common):
        return True
    main = f"{found.text('worktree_path')}/.git" == common
    return main if (name := found.text("git_dir")) is None else name == "."


def _foreign(place: Place, cursor: Cursor, entered: Enrolment, own: list[Event]) -> list[str]:
    """Return the commits of events that are not this enrolment's, or that its reflog never had.

    Only a reflog that is complete can say the latter; and a commit recorded as ``unknown`` was found
    elsewhere than in the reflog.
    """
    movements, placed = new_commits.behind(place, cursor)
    # A restore takes lines out whose commits are gone from the repository, see `cleanup.missing`.
    whole = placed and not os.path.exists(f"{place.private}/missing/logs/HEAD")
    complete = whole and (
        entered.start is not None or (bool(movements) and not movements[0].old.strip("0"))
    )
    known = {movement.new for movement in movements}
    foreign = []
    for event in own:
        sha = str(event.own().get("commit"))
        ours = event.id in (log.event_id(entered.nonce, sha), log.event_id(entered.session, sha))
        unknown = event.own().get("action") == "unknown"
        if not ours or (complete and not unknown and sha not in known):
            foreign.append(sha)
    return foreign


def _on_branch(store: str, repo: str, found: Session) -> list[Made]:
    """Return the commits of a session's branch that are its own and that no session has recorded.

    Its own are those that no other branch has, and those that name the session in a trailer
    (``prodigy.trailers``), which may have been merged since.
    """
    branch, common = str(found.text("branch")), str(sessions.common_of(store, found))
    base = found.text("base_commit")
    beyond = witnesses.arrival(common, branch)
    span = [f"refs/heads/{branch}", *(f"^{sha}" for sha in (base, beyond) if sha)]
    status, out, _ = git_status(
        common, "rev-list", *span, "--not", f"--exclude={branch}", "--branches",
        "--remotes", "--",
    )  # fmt: skip
    own = set(out.split()) if status == 0 else set()
    trailer = "%H %(trailers:key=Prodigy-Session,valueonly,separator=%x20)"
    status, out, _ = git_status(common, "log", "--reverse", f"--format={trailer}", *span, "--")
    shas = []
    for line in out.splitlines() if status == 0 else []:
        sha, _, named = line.partition(" ")
        if sha in own or named.split() == [found.id]:
            shas.append(sha)
    recorded = {
        event.own().get("commit")
        for key, job in events.jobs(store, repo)
        for event in events.read_job(store, key, job, lambda _: None)
        if event.type == "CommitCreated" and event.session_id != found.id
    }
    place = Place(common, common, common)
    # What a worktree's journal shows being made is that one's, whether it is enrolled or not.
    recorded |= witnesses.made_in_journals(place)
    commits = gitdir.read_commits(place, shas)
    left = [sha for sha in shas if sha not in recorded and sha in commits]
    owner = _owners(store, repo, branch) if left else {}
    return [
        Made(sha, "unknown", commits[sha], None, branch, doubtful=True)
        for sha in left
        if _owner_at(owner, witnesses.moment_on_branch(place, branch, commits[sha], sha))
        == found.id
    ]


def _owners(store: str, repo: str, branch: str) -> dict[int, str]:
    """Return which session had a branch from when on, in seconds since 1970, in order of time.

    A worktree may have been removed and added again on its branch, so that several had it in turn.
    """
    had = {}
    for one in sessions.load_all(store, lambda _: None):
        if one.text("repo") == repo and one.text("branch") == branch:
            had[(clock.parse(one.started_at) or 0) // clock.SECOND] = one.id
    return had


def _owner_at(owners: dict[int, str], seconds: int) -> str | None:
    """Return whose a commit of that time is: the session's that had last begun."""
    earlier = [name for begun, name in owners.items() if begun <= seconds]
    return earlier[-1] if earlier else next(iter(owners.values()), None)


def _made_at(one: Made) -> int:
    """Return when a commit was made, in microseconds since 1970, whole seconds as git has them."""
    seconds = one.movement.seconds if one.movement else one.commit.seconds if one.commit else 0
    return seconds * clock.SECOND


def _append(entered: Enrolment, missing: list[Made]) -> list[str]:
    """Append events for missing commits, under the session's lock; return their SHAs."""
    lock = locks.take(layout.session_lock(entered.store, entered.session))
    try:
        found = [commit_event(entered, one, recovered=True) for one in missing]
        folder = layout.job_log(entered.store, entered.repo, entered.job)
        # A hook may have recorded one since the log was read.
        there = log.find(folder, [event["id"] for event in found], None)
        found = [event for event in found if event["id"] not in there]
        if found:
            log.append(entered.store, entered.repo, entered.job, found)
    finally:
        os.close(lock)
    return [one.sha for one in missing]


def _broken_lines(store: str, key: tuple[str, str], path: str, *, fix: bool) -> list[BrokenLine]:
    """Find the lines of a log file that are no events; with ``fix``, quarantine them."""
    lock = locks.take(layout.log_lock(store, *key)) if fix else None
    try:
        found = _scanned(path)
        if lock is None and any(one.torn for one in found):
            # Or it is only being written: looked at again when nobody can be.
            lock = locks.take(layout.log_lock(store, *key))
            found = _scanned(path)
        if fix and found:
            within.refuse_links(store, path)
            _quarantine(path, found)
        return found
    except FileNotFoundError:
        return []  # archived since the folder was listed, which a file with broken lines is not
    finally:
        if lock is not None:
            os.close(lock)


def _scanned(path: str) -> list[BrokenLine]:
    found = []
    offset = 0
    with files.stream(path) as stream:
        for number, line in enumerate(iter(lambda: stream.readline(log.LONGEST), b""), 1):
            text = line.rstrip(b"\n")
            if text.strip():
                try:
                    # The last line counts as written without its newline, if it parses.
                    parse_line(text)
                except ValueError:
                    torn = not line.endswith(b"\n")
                    found.append(BrokenLine(path, number, offset, len(text), torn))
            offset += len(line)
    return found


def _quarantine(path: str, found: list[BrokenLine]) -> None:
    """Copy broken lines to a file beside the log, durably, then blank them in the log.

    Blanked, not cut out: cursors and checkpoints hold positions in the log, other writers may be
    appending to it, and readers pass blank lines over.
    """
    beside = f"{path}.quarantine"
    descriptor = files.open_regular(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        copy = files.create(beside, os.O_WRONLY | os.O_APPEND)
        try:
            for one in found:
                files.write_all(copy, os.pread(descriptor, one.length, one.offset) + b"\n")
            os.fsync(copy)
        finally:
            os.close(copy)
        for one in found:
            blank = b" " * one.length + (b"\n" if one.torn else b"")
            os.pwrite(descriptor, blank, one.offset)
            one.quarantine = beside
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
