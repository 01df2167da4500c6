"""A job of this host, as the hub's modules hand it on."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from prodigy_git import layout
from prodigy_git.hub import job_cursor
from prodigy_git.hub.host import Host
from prodigy_git.hub.job_cursor import Cursor
from prodigy_git.record import clock, files, jsonline, locks
from prodigy_git.store.broken import Broken

_PATIENCE = 60.0


@dataclass(frozen=True)
class Where:
    """A job of a host: what is pulled, and shipped. ``say`` is told of what is set aside."""

    store: str
    repo: str
    job: str
    host: Host
    say: Broken

    @property
    def name(self) -> tuple[str, str, str]:
        """Store, repository key and job, as most that has to do with a log is asked by."""
        return self.store, self.repo, self.job

    @contextlib.contextmanager
    def log_held(self) -> Iterator[None]:
        """Hold the log's lock, under which the cursor is written too. Raises `locks.Busy`."""
        lock = locks.take(layout.log_lock(*self.name), _PATIENCE)
        try:
            yield
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def claims_held(self) -> Iterator[None]:
        """Hold the lock of the job's steps, which is taken before the log's. Raises `locks.Busy`."""
        lock = locks.take(layout.claims_lock(*self.name), _PATIENCE)
        try:
            yield
        finally:
            os.close(lock)

    def cursor(self) -> Cursor | None:
        """Return where this host stands in the job's stream; None where it has none."""
        return job_cursor.load(*self.name)

    def save(self, cursor: Cursor, *, durably: bool = False) -> None:
        """Write down where this host stands; the caller holds the log's lock."""
        job_cursor.save(*self.name, cursor, durably=durably)

    def cleaned_before(self) -> int:
        """Return up to when events were cleaned away here, in microseconds since 1970; else 0."""
        try:
            fields = jsonline.decode_object(files.read(layout.cleaned_events(*self.name)))
            return clock.parse(str(fields["before"])) or 0
        except (OSError, ValueError, KeyError):
            return 0
