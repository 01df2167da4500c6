"""Hosts with a job on a hub, in this process: each a store; what they record is plain events."""

import json
import os
import signal
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support_hub import PATIENCE, rows, way

from prodigy_git import layout
from prodigy_git.hub import connection, driver, host, offering, pulling, schema, shipping
from prodigy_git.hub.syncing import Exchange
from prodigy_git.hub.where import Where
from prodigy_git.record import log
from prodigy_git.store import events

REPO, JOB = "repo-abcdef", "job-1"


def new_hub(url: str) -> int:
    """Make the hub, and a repository on it; return its number."""
    with way(url) as there:
        schema.made(there)
    insert = "INSERT INTO prodigy_hub.repository (label) VALUES ('r') RETURNING id"
    return int(rows(url, insert)[0][0])


@dataclass
class Store:
    """A host of a hub: a store, and what it was told of things set aside."""

    path: Path
    url: str
    repository: int
    said: list[str] = field(default_factory=list)

    @property
    def name(self) -> tuple[str, str, str]:
        return str(self.path), REPO, JOB

    @property
    def folder(self) -> Path:
        return Path(layout.job_log(*self.name))

    def where(self) -> Where:
        return Where(*self.name, host.own(str(self.path)), self.said.append)

    def record(self, *words: str, **fields: Any) -> list[str]:
        """Append an event for each word; return the ids."""
        made = [
            {"id": str(uuid.uuid4()), "type": "WordSaid", "job_id": JOB, "word": word, **fields}
            for word in words
        ]
        log.append(*self.name, made)
        return [one["id"] for one in made]

    def ship(self, **how: Any) -> int:
        with way(self.url) as conn:
            return shipping.ship(conn, self.where(), self.repository, **how)

    def pull(self) -> int:
        with way(self.url) as conn:
            done = pulling.pull(conn, self.where(), self.repository)
            offering.offer(conn, self.where())
            return done

    def sync(self) -> tuple[int, int]:
        """Do what `hub sync` does; return how many events have gone, and come."""
        with way(self.url) as conn:
            done = _Sync(conn, str(self.path), REPO, "", self.said.append, number=self.repository)
            done.begin()
            found = done.whole()
        assert found.failed == {}
        return sum(found.shipped.values()), sum(found.pulled.values())

    def sync_killed(self, after: int) -> bool:
        """Sync in a process that is killed at its nth change of a file, or question; whether it was."""
        child = os.fork()
        if child == 0:
            try:
                _kill_at(after)
                self.sync()
            finally:
                os._exit(0)
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])

    def ids(self) -> list[str]:
        """Return the ids of all events here, sorted; each as often as it stands in the log."""
        faults: list[str] = []
        found = sorted(str(one.id) for one in events.read_job(*self.name, faults.append))
        assert faults == []
        return found

    def words(self) -> list[str]:
        """Return what the events here say, in order of time."""
        found = events.read_job(*self.name, self.said.append)
        return [str(one.own().get("word")) for one in found]

    def files(self) -> dict[str, str]:
        """Return the names of the log's files, and what they hold."""
        return {path.name: path.read_text() for path in sorted(self.folder.iterdir())}

    def cursor(self) -> dict[str, Any]:
        return json.loads(Path(layout.hub_job(*self.name)).read_text())


def _kill_at(after: int) -> None:
    left = [after]

    def dying(real: Any) -> Any:
        def called(*arguments: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **more)

        return called

    for module, name in (
        (os, "write"), (os, "rename"), (os, "unlink"), (os, "fsync"), (driver.Raw, "execute"),
    ):  # fmt: skip
        setattr(module, name, dying(getattr(module, name)))


class _Sync(Exchange):
    """An exchange of a repository that has its number already."""

    def begin(self) -> None:
        with connection.transaction(self.conn, within=PATIENCE) as tx:
            self.hub = schema.there(tx).id
            host.sign_of_life(tx, host.own(self.store))


def on_hub(url: str) -> list[tuple[int, str]]:
    """Return number and id of all events on the hub, in order."""
    found = rows(url, "SELECT seq, id::text FROM prodigy_hub.event ORDER BY job, seq")
    return [(seq, one) for seq, one in found]


__all__ = ["JOB", "PATIENCE", "REPO", "Store", "connection", "new_hub", "on_hub"]
