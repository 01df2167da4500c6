"""Hosts that share a job, and the steps of their workers, in this process: for the tests on them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support_hosts import Host

from prodigy_git import api
from prodigy_git.hub import address, connection, schema, shared_start, shared_step
from prodigy_git.jobs import claims
from prodigy_git.model.event import Event
from prodigy_git.store import events

MINUTE = 60_000_000


def quiet(_: str) -> None:
    pass


class Sharer:
    """A host that takes part in a hub; what it does, is done in this process."""

    def __init__(self, host: Host, said: list[str] | None = None) -> None:
        self.host, self.wire = host, host.wire
        self.said = [] if said is None else said
        self.job: api.Job | None = None

    def open(self, job: str = "J", **how: Any) -> api.Job:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PRODIGY_HOME", str(self.host.store))
            self.job = api.open_job(job, cwd=self.host.clone, broken=self.said.append, **how)
        return self.job

    @property
    def where(self) -> tuple[str, str, str]:
        assert self.job is not None
        return self.job.store, self.job.repo, self.job.job_id

    def claim(self, agent: str, **how: Any) -> api.Claim | None:
        how.setdefault("lease", 600)
        return api.claim(self.job, agent=agent, broken=self.said.append, **how)

    def finish(self, made: api.Claim, **how: Any) -> api.Ended:
        return api.finish(self.job, made, broken=self.said.append, **how)

    @contextmanager
    def step(self, **how: Any) -> Iterator[Any]:
        with claims.step(*self.where, self.said.append, **how) as index:
            yield index

    def state(self) -> dict[str, Any]:
        """Return what `job show` says, brought up to the hub."""
        with self.step():
            pass
        return api.job_state(self.job)

    def read(self) -> list[Event]:
        return list(events.read_job(*self.where, self.said.append))

    def lines(self) -> list[bytes]:
        """Return the lines of its log, without those that are only its own."""
        found = [
            line
            for path in events.log_files(*self.where)
            for line in Path(path).read_bytes().splitlines()
        ]
        return [line for line in found if b'"CheckpointSaved"' not in line]

    def settle(self) -> None:
        """Exchange the files of items with the hub."""
        place = shared_start.place(*self.where, self.said.append)
        shared_start.join(place)

    def forget(self) -> None:
        """Lose what this process knows of the hub's being away."""
        shared_step._not_reached.clear()


def made(url: str) -> None:
    """Make the hub's tables."""
    schema.made(connection.connected(address.parsed(url, "the test"), patience=30))
