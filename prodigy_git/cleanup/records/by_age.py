"""Cleaning the records by age: session files, event logs, checkpoints and dead letter queues.

Into the trash, or logs into archives; never what belongs to a job that runs. Age is what the data
says, never a file's mtime. `find` decides and changes nothing; `carry_out` looks at each once more,
under its lock, since agents go on working.
"""

import contextlib
import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from prodigy_git import layout
from prodigy_git.cleanup.folders import moving
from prodigy_git.cleanup.records import archive, job_ages, kept_activity
from prodigy_git.errors import ProdigyError
from prodigy_git.model.session import Session
from prodigy_git.record import archived, clock, files, jsonline, locks, prodigys, within
from prodigy_git.store import events, locked, sessions
from prodigy_git.store.events import Broken

Progress = Callable[[int, int], None]
"""Called with how much is done, of how much."""


@dataclass(frozen=True)
class Record:
    """A file that goes, or went, to the trash, or into the archive beside it.

    ``kind`` is sessions, events, output, checkpoints or dlq, ``owner`` the session or job it belongs
    to, ``before`` the moment that nothing in it is after, in microseconds since 1970. ``trash_path`` is
    None where it is archived, ``archive_bytes`` the size of the archive once there is one. ``error``
    says why it is where it was.
    """

    kind: str
    name: str
    repo: str | None
    owner: str
    path: str
    bytes: int
    before: int
    trash_path: str | None = None
    archive_path: str | None = None
    archive_bytes: int | None = None
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``clean --json`` prints them."""
        fields = asdict(self)
        owner = fields.pop("owner")
        fields["session_id"], fields["job_id"] = (
            (owner, None) if self.kind == "sessions" else (None, owner)
        )
        fields["last_at"] = clock.stamp(fields.pop("before"))
        return fields


def clean_sessions(store: str, older_than: int, *, dry_run: bool, broken: Broken) -> list[Record]:
    """Clean all sessions that ended more than ``older_than`` microseconds ago; return their files."""
    found = find(store, {"sessions": clock.now() - older_than}, broken)
    return found if dry_run else carry_out(store, found, broken)


def clean_events(store: str, older_than: int, *, dry_run: bool, broken: Broken) -> list[Record]:
    """Clean all log files older than ``older_than`` microseconds; return those that went."""
    found = find(store, {"events": clock.now() - older_than}, broken)
    return found if dry_run else carry_out(store, found, broken)


def find(
    store: str,
    limits: Mapping[str, int],
    broken: Broken,
    *,
    repo: str | None = None,
    archiving: bool = False,
    progress: Progress | None = None,
) -> list[Record]:
    """Return what is to be cleaned; changes nothing.

    ``limits`` gives for each kind that is wanted the moment that everything in it must be before, in
    microseconds since 1970; ``repo`` the repository's key, None: all. With ``archiving``, logs are to
    be archived. What cannot be read or dated is reported, and kept.
    """
    found = []
    if "sessions" in limits:
        found += list(_sessions(store, limits["sessions"], repo, broken))
    of_jobs = {kind: limit for kind, limit in limits.items() if kind != "sessions"}
    known = job_ages.jobs_of(store, broken) if of_jobs else None
    if known is None:
        return found
    jobs = list(job_ages.all_jobs(store, repo))
    linked = functools.partial(_behind_a_link, store, broken, set())
    for done, (key, job) in enumerate(jobs, 1):
        if not known.runs(key, job) and not linked(key, job):
            some = list(_of_job(store, key, job, of_jobs, archiving, broken))
            # Last, since what it costs and reports is for nothing where nothing is to be cleaned.
            if some and not job_ages.says_it_runs(store, key, job, known, broken):
                found += some
        if progress is not None:
            progress(done, len(jobs))
    return found


def _folders(store: str, repo: str, job: str) -> tuple[str, ...]:
    """Return the folders that a job's records lie in."""
    queue = os.path.dirname(layout.dead_letters(store, repo, job))
    output = layout.run_logs(store, repo, job)
    return layout.job_log(store, repo, job), queue, layout.job_state(store, repo, job), output


def _behind_a_link(store: str, broken: Broken, said: set[str], repo: str, job: str) -> bool:
    """Whether something of a job, or its place in the trash, is not in the store; say so once."""
    for path in (*_folders(store, repo, job), layout.trash(store, repo, job)):
        link = within.link_in(store, path)
        if link is not None:
            if link not in said:
                said.add(link)
                broken(f"{link} is a link that leads out of the store: nothing there is cleaned")
            return True
    return False


def _sessions(store: str, limit: int, repo: str | None, broken: Broken) -> Iterator[Record]:
    """Yield the files of sessions that ended before ``limit``.

    One that still has its worktree keeps its file: the worktree is enrolled under it. So does
    one of Prodigy's as long as there is the state of its worktree: Prodigy finds that one by the other.
    """
    known = sessions.Known()
    every = sessions.load_all(store, broken)
    theirs = any(prodigys.wrote(one.metadata) for one in every)
    needed = set()
    if theirs:
        from prodigy_git.prodigy.runs import runs

        needed = {run.session_id for run in runs(store) if run.worktree is not None}
    for one in every:
        if prodigys.wrote(one.metadata) and one.id in needed:
            continue
        if repo in (None, one.text("repo")) and _is_over(store, one, limit, known, broken):
            path = layout.session(store, one.id)
            folder = layout.trash(store, one.text("repo") or "unknown", one.id)
            with contextlib.suppress(FileNotFoundError):
                yield Record(
                    "sessions", one.id, one.text("repo"), one.id, path, os.path.getsize(path), limit,
                    _free(f"{folder}/session.json", one.ended_at or 0),
                )  # fmt: skip


def _is_over(store: str, one: Session, limit: int, known: sessions.Known, broken: Broken) -> bool:
    ended = one.ended_at
    if one.ended and ended is None:
        broken(f"session {one.id} does not say when it ended: its file is kept")
    return ended is not None and ended <= limit and not sessions.has_half(store, one, known)


def _of_job(
    store: str, repo: str, job: str, limits: Mapping[str, int], archiving: bool, broken: Broken
) -> Iterator[Record]:
    """Yield the files of a job at rest that are old enough."""
    trash = layout.trash(store, repo, job)
    if "events" in limits:
        for path in events.log_files(store, repo, job):
            if archiving and path.endswith(archived.ENDING):
                continue
            newest = job_ages.log_age(path, limits["events"], broken)
            if newest is not None:
                to = None if archiving else f"{trash}/events"
                yield from _record("events", repo, job, path, limits["events"], to, newest)
        # With the whole log's age, and into the trash in any case: an archive is for a log.
        if outputs := job_ages.outputs(store, repo, job):
            newest = _output_age(store, repo, job, limits["events"], lambda _: None)  # said above
            for path in outputs if newest is not None else ():
                to = f"{trash}/output"
                yield from _record("output", repo, job, path, limits["events"], to, newest or 0)
    if "checkpoints" in limits:
        limit, paths = limits["checkpoints"], job_ages.checkpoints(store, repo, job)
        newest = job_ages.checkpoints_age(paths, limit, broken)
        if newest is not None:
            for path in paths:
                to = f"{trash}/checkpoints"
                yield from _record("checkpoints", repo, job, path, limit, to, newest)
    if "dlq" in limits:
        newest = job_ages.queue_age(store, repo, job, limits["dlq"], broken)
        if newest is not None:
            path = layout.dead_letters(store, repo, job)
            yield from _record("dlq", repo, job, path, limits["dlq"], f"{trash}/dlq", newest)


def _output_age(store: str, repo: str, job: str, limit: int, broken: Broken) -> int | None:
    cleaned = cleaned_before(store, repo, job)
    return job_ages.output_age(store, repo, job, limit, cleaned, broken)


def _record(
    kind: str, repo: str, job: str, path: str, limit: int, folder: str | None, newest: int
) -> Iterator[Record]:
    """Yield the record of one file, nothing if it has gone; without ``folder`` it is archived."""
    name = os.path.basename(path)
    trashed = None if folder is None else _free(f"{folder}/{name}", newest)
    packed = f"{path}{archived.ENDING}" if folder is None else None
    with contextlib.suppress(FileNotFoundError):
        size = os.path.getsize(path)
        yield Record(kind, f"{repo}/{job}/{name}", repo, job, path, size, limit, trashed, packed)


def _free(path: str, moment: int) -> str:
    """Return ``path``, or a name beside it where the trash has that one: the same at each asking."""
    free = path
    while os.path.lexists(free):
        free = f"{path}.{clock.stamp(moment)}"
        moment += 1
    return free


def carry_out(
    store: str, found: Sequence[Record], broken: Broken, progress: Progress | None = None
) -> list[Record]:
    """Clean what `find` has found; return what went, and with ``error`` what could not.

    What has gone, is younger now, or belongs to a job that runs again is left out.
    """
    known = job_ages.jobs_of(store, broken) if any(r.kind != "sessions" for r in found) else None
    done: list[Record] = []
    count = 0
    for (of_session, repo, owner), group in itertools.groupby(
        found, lambda one: (one.kind == "sessions", one.repo, one.owner)
    ):
        some = list(group)
        try:
            if of_session:
                done += list(_clean_session(store, some[0]))
            elif known is not None:
                assert repo is not None
                done += _clean_job(store, repo, owner, some, known, broken)
        except (ProdigyError, OSError, ValueError) as error:
            went = {one.path for one in done}
            done += [replace(one, error=str(error)) for one in some if one.path not in went]
        count += len(some)
        if progress is not None:
            progress(count, len(found))
    return done


def _clean_session(store: str, one: Record) -> Iterator[Record]:
    lock = locks.take(layout.session_lock(store, one.owner))
    try:
        with contextlib.suppress(FileNotFoundError):
            os.stat(one.path)
            # A restore may have brought its worktree back.
            if _is_over(
                store, sessions.load(store, one.owner), one.before, sessions.Known(), lambda _: None
            ):
                # Before the file, which is what the next clean finds, should this one be killed.
                if one.repo is not None and one.trash_path is not None:
                    folder = os.path.dirname(one.trash_path)
                    kept_activity.take_along(store, one.repo, one.owner, folder)
                _to_trash(store, one)
                yield one
    finally:
        os.close(lock)


def _to_trash(store: str, one: Record) -> None:
    assert one.trash_path is not None
    moving.to_trash(store, one.path, one.trash_path)


def _clean_job(
    store: str,
    repo: str,
    job: str,
    some: Iterable[Record],
    known: job_ages.Jobs,
    broken: Broken,
) -> list[Record]:
    """Clean the files of one job under its lock, so that no two clean-ups meet in it."""
    done = []
    with locked.job(store, repo, job):
        for path in _folders(store, repo, job):
            within.refuse_links(store, path)
        if known.runs(repo, job) or job_ages.begun_since(store, repo, job, known):
            broken(f"job {job} of {repo} runs again: nothing of it is cleaned")
            return []
        folder = layout.job_log(store, repo, job)
        if os.path.isdir(folder):
            archive.drop_torn(folder)
        old = _still_old(store, repo, job, broken)
        for one in some:
            try:
                if one.kind != "events":
                    if old(one):
                        _to_trash(store, one)
                        done.append(one)
                elif one.archive_path is not None:
                    done += _archived(store, one, broken)
                else:
                    done += _trashed_log(store, one, broken)
            except (ProdigyError, OSError) as error:
                if os.path.lexists(one.path):
                    done.append(replace(one, error=str(error)))
                elif os.path.lexists(one.trash_path or one.archive_path or ""):
                    done.append(one)  # it went; its name is not on the disk for sure
        with contextlib.suppress(OSError):
            _drop_empty(store, repo, job)
    return done


def _drop_empty(store: str, repo: str, job: str) -> None:
    """Remove the folders of a job that are empty now; the caller holds the job's lock."""
    # Who makes the log's folder makes a file in it under the log's lock.
    lock = locks.take(layout.log_lock(store, repo, job))
    try:
        for folder in _folders(store, repo, job):
            with contextlib.suppress(OSError):  # not there, or not empty
                os.rmdir(folder)
    finally:
        os.close(lock)


def _still_old(store: str, repo: str, job: str, broken: Broken) -> Callable[[Record], bool]:
    """Return what says whether a kind but the logs is still as old; asked once for each."""
    answers: dict[str, bool] = {}

    def old(one: Record) -> bool:
        if one.kind not in answers:
            if one.kind == "dlq":
                newest = job_ages.queue_age(store, repo, job, one.before, broken)
            elif one.kind == "output":
                newest = _output_age(store, repo, job, one.before, broken)
            else:
                paths = job_ages.checkpoints(store, repo, job)
                newest = job_ages.checkpoints_age(paths, one.before, broken)
            answers[one.kind] = newest is not None
        return answers[one.kind]

    return old


def _archived(store: str, one: Record, broken: Broken) -> list[Record]:
    assert one.repo is not None
    size = os.path.getsize(one.path)
    newest = job_ages.log_age(one.path, one.before, broken)
    if newest is None:
        return []
    packed = archive.compress(store, one.repo, one.owner, one.path, size, newest)
    return [] if packed is None else [replace(one, bytes=size, archive_bytes=packed)]


def _trashed_log(store: str, one: Record, broken: Broken) -> list[Record]:
    assert one.repo is not None
    lock = locks.take(layout.log_lock(store, one.repo, one.owner))
    try:
        if not os.path.lexists(one.path):
            return []
        newest = job_ages.log_age(one.path, one.before, broken)
        if newest is None:
            return []
        _remember(store, one.repo, one.owner, newest)
        archive.drop_copy(one.path)
        _to_trash(store, one)
    finally:
        os.close(lock)
    return [one]


def _remember(store: str, repo: str, job: str, newest: int) -> None:
    """Note up to when a job's events are gone, so that `verify` does not miss them.

    Before they go: a kill in between only makes `verify` ask for less. The caller holds the log's lock.
    """
    path = layout.cleaned_events(store, repo, job)
    newest = max(newest, cleaned_before(store, repo, job))
    files.replace(path, jsonline.line({"before": clock.stamp(newest)}))


def cleaned_before(store: str, repo: str, job: str) -> int:
    """Return up to when a job's events have been cleaned away, in microseconds since 1970; else 0."""
    try:
        fields = jsonline.decode_object(files.read(layout.cleaned_events(store, repo, job)))
        return clock.parse(str(fields["before"])) or 0
    except (OSError, ValueError, KeyError):
        return 0
