"""One round of exchanging with the hub: all jobs of a repository, and its sessions.

What was recorded here goes first, then what the others have comes. Nothing is held meanwhile, and each
step is one that may be repeated: so two that sync one store do no harm to each other.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from prodigy_git import layout, names
from prodigy_git.errors import Away, ProdigyError
from prodigy_git.hub import (
    connection,
    host,
    job_streams,
    offering,
    pulling,
    repository_number,
    schema,
    shared_items,
    shared_sessions,
    shipping,
    staying,
    taken_rows,
)
from prodigy_git.hub.connection import Connection
from prodigy_git.hub.job_streams import Stream
from prodigy_git.hub.where import Where
from prodigy_git.record import files
from prodigy_git.store import events
from prodigy_git.store.broken import Broken

_WITHIN = 60.0
_OVERLAP = 300.0
"""Seconds: when a job's row was changed is said before that is committed; a transaction has less."""


@dataclass
class Done:
    """What a round has done: how many sessions, and events of each job."""

    shipped: dict[str, int] = field(default_factory=dict)
    pulled: dict[str, int] = field(default_factory=dict)
    sessions_shipped: int = 0
    sessions_pulled: int = 0
    stay: list[str] = field(default_factory=list)
    """Jobs that have items of their own, so that nothing of them goes to the hub."""
    failed: dict[str, str] = field(default_factory=dict)
    """Jobs of which something could not be done, and why."""

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``hub sync --json`` prints them."""
        jobs = sorted({*self.shipped, *self.pulled, *self.failed})
        return {
            "shipped": sum(self.shipped.values()),
            "pulled": sum(self.pulled.values()),
            "sessions_shipped": self.sessions_shipped,
            "sessions_pulled": self.sessions_pulled,
            "jobs": [
                {
                    "job_id": job, "shipped": self.shipped.get(job, 0),
                    "pulled": self.pulled.get(job, 0), "error": self.failed.get(job),
                }
                for job in jobs
            ],
            "local_jobs": self.stay,
        }  # fmt: skip

    def moved(self) -> bool:
        """Whether any event or session has gone, or come."""
        counts = (*self.shipped.values(), *self.pulled.values())
        return any(counts) or self.sessions_shipped + self.sessions_pulled > 0


@dataclass
class Exchange:
    """A repository's exchange with its hub, on one connection; what was seen of the hub's jobs."""

    conn: Connection
    store: str
    repo: str
    common: str
    say: Broken
    only: str | None = None
    """The one job that is exchanged; None: all."""
    hub: UUID | None = None
    number: int = 0
    _seen: dict[str, Stream] = field(default_factory=dict)
    _since: float = 0.0

    def begin(self) -> None:
        """Say that this host is there, and find the repository on the hub: at first, and now and then.

        Raises `Away`, `Refused`, `ProdigyError` where nothing tells which repository it is.
        """
        own = host.own(self.store)
        with connection.transaction(self.conn, within=_WITHIN) as tx:
            hub = schema.there(tx)
            host.sign_of_life(tx, own, host.clock(tx))
        self.number = repository_number.number(
            self.conn, hub.id, self.store, self.repo, self.common, within=_WITHIN
        )
        if hub.id != self.hub:
            self._seen, self._since, self.hub = {}, 0.0, hub.id
        with connection.transaction(self.conn, within=_WITHIN) as tx:
            host.note_all(tx, self.store, hub.id)

    def where(self, job: str) -> Where:
        """Return a job, as what ships and pulls it takes it."""
        return Where(self.store, self.repo, job, host.own(self.store), self.say)

    def whole(self) -> Done:
        """Exchange all there is. Raises `Away`, `Refused`; what fails of one job, the returned says."""
        done = Done()
        self._seen, self._since = {}, 0.0
        if self.only is not None and not self.local_jobs() and not self.changed():
            done.failed[self.only] = f"no job {self.only}, here or on the hub"
        self._since = 0.0  # what is pulled below is all there is, not what has changed since
        for job in self.local_jobs():
            with self._noting(job, done):
                pulling.look_for_losses(self.where(job))
        self._check_sent(done)
        self.ship(self.local_jobs(), done)
        self._enter_lost(done)
        self.pull(self.changed(), done)
        # Of what the hub has lost, that is known by now.
        self.ship(self._due(done), done)
        self.exchange_sessions(done)
        self.settle(self.local_jobs(), done)
        return done

    def _enter_lost(self, done: Done) -> None:
        """Enter jobs that were pulled from a hub that is gone; the pull then gives them back.

        Nobody else does it for a job of whose events this host has recorded none. Raises `Away`.
        """
        for job in self.local_jobs():
            with self._noting(job, done):
                cursor = self.where(job).cursor()
                if cursor is None or cursor.hub in ("", str(self.hub)) or self.stays(job):
                    continue
                pulling.stream_of(self.conn, self.where(job), self.number)

    def _check_sent(self, done: Done) -> None:
        """Forget what this host believes to have shipped of jobs of which the hub knows otherwise.

        It was restored from a backup, or is another one, and nothing else of the job may show that.
        """
        told: dict[str, dict[str, int]] = {}
        with connection.transaction(self.conn, within=_WITHIN) as tx:
            for job, file, size in tx.execute(
                "SELECT j.name, s.file, s.size FROM prodigy_hub.shipped AS s"
                " JOIN prodigy_hub.job AS j ON j.id = s.job WHERE s.host = %s AND j.repository = %s",
                (host.own(self.store).id, self.number),
            ):
                told.setdefault(job, {})[file] = size
        for job in self.local_jobs():
            where = self.where(job)
            with self._noting(job, done), where.log_held():
                cursor = where.cursor()
                of_job = told.get(job, {})
                if cursor and any(of_job.get(f, 0) != size for f, size in cursor.sent.items()):
                    where.save(replace(cursor, sent={}))

    def _due(self, done: Done) -> list[str]:
        due = []
        for job in self.local_jobs():
            with self._noting(job, done):
                if not self.stays(job) and shipping.is_due(self.where(job)):
                    due.append(job)
        return due

    def settle(self, jobs: Iterable[str], done: Done) -> None:
        """Make what came of jobs survive a loss of power."""
        for job in jobs:
            with self._noting(job, done):
                taken_rows.sync(self.where(job))

    def local_jobs(self) -> list[str]:
        """Return the jobs that have a log here."""
        found = {job for _, job in events.jobs(self.store, self.repo)}
        return [job for job in sorted(found) if self.only in (None, job)]

    def all_jobs(self) -> list[str]:
        """Return the jobs that are on the hub, or go there. Raises `Away`, `Refused`."""
        there = [one.name for one in self.changed() if names.is_safe(one.name)]
        return [job for job in sorted({*there, *self.local_jobs()}) if not self.stays(job)]

    def stays(self, job: str) -> bool:
        """Whether nothing of a job goes to the hub: it was given items here, and not by `--hub`."""
        return staying.stays(self.store, self.repo, job)

    def _tells_nothing(self, job: str) -> bool:
        """Whether no session of a job is told of: also where its files do not say whose it is."""
        try:
            return self.stays(job)
        except (ProdigyError, OSError):
            return True

    def ship(self, jobs: Iterable[str], done: Done) -> None:
        """Ship what is new of jobs.

        A store that was copied, or restored, gets another id; all is exchanged under that. Raises
        `Away`, `Refused`.
        """
        for job in jobs:
            with self._noting(job, done):
                if self.stays(job):
                    done.stay.append(job)
                    continue
                done.shipped[job] = done.shipped.get(job, 0) + self._shipped(job)

    def _shipped(self, job: str) -> int:
        where = self.where(job)
        try:
            return shipping.ship(self.conn, where, self.number)
        except shipping.Copied as error:
            # Whoever has the other copy goes on under the old id; what it shipped is pulled here.
            renewed = host.renewed(self.store, where.host)
            self.say(f"{error}: so this store is a host of its own from now on, {renewed.short}")
            self.begin()
            self._seen, self._since = {}, 0.0
            return shipping.ship(self.conn, self.where(job), self.number)

    def pull(self, streams: Iterable[Stream], done: Done) -> None:
        """Pull what is new of jobs, and give the hub back what it lost of them. Raises `Away`."""
        for stream in streams:
            job = stream.name
            if not names.is_safe(job):
                done.failed[f"number {stream.job} of the hub"] = (
                    f"its name {job[:60]!r} is no name of a job: it is left there"
                )
                continue
            with self._noting(job, done):
                if self.stays(job):
                    done.failed[job] = (
                        "the hub has a job of this name, and the one here has items of its own: "
                        "nothing of it is exchanged"
                    )
                    continue
                self._refuse_other_case(job)
                where = self.where(job)
                count = pulling.pull(self.conn, where, self.number, stream)
                done.pulled[job] = done.pulled.get(job, 0) + count
                given_back = offering.offer(self.conn, where)
                done.shipped[job] = done.shipped.get(job, 0) + given_back
                self._exchange_items(where, stream)
                self._seen[job] = stream

    def _exchange_items(self, where: Where, stream: Stream) -> None:
        """Bring the files of items here that newly come events of a shared job name."""
        cursor = where.cursor()
        if cursor is None or not (cursor.items and cursor.shared):
            return
        shared_items.settle(self.conn, where, stream._replace(job=cursor.job))
        with where.log_held():
            there = where.cursor()
            if there is not None and there.seq == cursor.seq:
                where.save(replace(there, items=False))

    def changed(self) -> list[Stream]:
        """Return the hub's jobs that have changed since the last time. Raises `Away`, `Refused`."""
        with connection.transaction(self.conn, within=_WITHIN) as tx:
            rows = tx.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchall()
            streams = job_streams.changed(tx, self.number, self._since - _OVERLAP, self.only)
        self._since = rows[0][0]
        if any(stream.hub != self.hub for stream in streams):
            self.begin()
            return self.changed()
        return [one for one in streams if self._seen.get(one.name) != one]

    def exchange_sessions(self, done: Done) -> None:
        """Tell of this host's sessions, hear of the others'. Raises `Away`, `Refused`, `OSError`."""
        assert self.hub is not None
        own = host.own(self.store)
        place = (self.conn, self.hub, self.store, self.repo, self.number, own)
        done.sessions_shipped += shared_sessions.ship_sessions(
            *place, stays=self._tells_nothing, within=_WITHIN
        )
        done.sessions_pulled += shared_sessions.pull_sessions(*place, within=_WITHIN, say=self.say)

    def _refuse_other_case(self, job: str) -> None:
        """Raise `ProdigyError` where a job's folder would be that of one whose name has other letters.

        As on filesystems that do not tell ``Fix`` from ``fix``.
        """
        folder = os.path.dirname(layout.job_log(self.store, self.repo, job))
        if os.path.lexists(f"{folder}/{job}") and job not in os.listdir(folder):
            raise ProdigyError(
                "there is a job here whose name differs in upper and lower case alone, which the "
                "store's filesystem takes for the same: nothing of it is exchanged"
            )

    @contextlib.contextmanager
    def _noting(self, job: str, done: Done) -> Iterator[None]:
        """Note what goes wrong with one job: the others go on."""
        try:
            yield
        except Away:
            raise
        except (ProdigyError, ValueError, files.Unusable) as error:
            done.failed[job] = str(error)
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            done.failed[job] = f"{error.strerror or error}{where}"
