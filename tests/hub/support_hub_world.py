"""Four hosts of a hub and its server, what happens to them, and what must be true of it."""

import json
import shutil
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from support_hosts import Host
from support_hub_promises import each_once, one_live_claim, shared
from support_hub_worker import JOB, OTHER, Worker
from support_postgres import Server

from prodigy_git.hub import address, connection, schema
from prodigy_git.record import clock

LONG, SHORT, IDLE = 60.0, 0.4, 10.0
"""Seconds that a step waits for a hub that is there, and for one that is not; see `connection.IDLE`."""
_TABLES = (
    "hub", "host", "repository", "repository_name", "job", "event", "shipped", "item_file", "session",
)  # fmt: skip
_CLOCK = """
CREATE SCHEMA tests;
CREATE TABLE tests.apart (us bigint NOT NULL);
INSERT INTO tests.apart VALUES (0);
CREATE FUNCTION tests.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
  'SELECT pg_catalog.clock_timestamp() + us * interval ''1 microsecond'' FROM tests.apart';
GRANT USAGE ON SCHEMA tests TO PUBLIC; GRANT SELECT ON tests.apart TO PUBLIC;
"""


class Hub:
    """The hub's server and database, whose clock goes on when it is told to."""

    def __init__(self, server: Server, url: str) -> None:
        """Make the tables. The database is this one's alone."""
        self.server, self.url = server, url
        self.database = url.rpartition("/")[2]
        self.runs = True
        server.sql(
            _CLOCK, f"ALTER DATABASE {self.database} SET search_path = tests, pg_catalog, public",
            database=self.database,
        )  # fmt: skip
        schema.made(connection.connected(address.parsed(url, "the test"), patience=LONG))
        self._conn: psycopg.Connection[Any] | None = None
        self.empty = self.dump()
        self.apart = 0

    def sql(self, text: str, values: Any = ()) -> list[Any]:
        """Run SQL as the superuser; return the rows."""
        if self._conn is None or self._conn.closed:
            self._conn = psycopg.connect(
                host=str(self.server.folder), port=self.server.port, user="postgres",
                dbname=self.database, autocommit=True,
            )  # fmt: skip
        done = self._conn.execute(text, values)
        return done.fetchall() if done.description else []

    def now(self) -> int:
        """Return the server's time, in microseconds since 1970."""
        return time.time_ns() // 1000 + self.apart

    def lapse(self, seconds: float) -> None:
        """Let time pass, by the server's clock."""
        self.apart += int(seconds * 1_000_000)
        self.sql("UPDATE tests.apart SET us = %s", (self.apart,))

    def begin(self) -> None:
        """Be a new hub, at the true time."""
        self.up()
        self.replace()
        self.lapse(-self.apart / 1_000_000)

    def up(self) -> None:
        """Run."""
        self.server.start()
        self.runs = True

    def down(self) -> None:
        """Go, as by a loss of power."""
        if self.runs:
            self._end()
            self.server.kill()
            self.runs = False

    def crash(self) -> None:
        """Go, and come again."""
        self.down()
        self.up()

    def _end(self) -> None:
        if self._conn is not None:
            self._conn.close()

    def dump(self) -> dict[str, list[Any]]:
        """Return all that is there: a backup."""
        return {name: self.sql(f"TABLE prodigy_hub.{name}") for name in _TABLES}

    def load(self, dump: dict[str, list[Any]]) -> None:
        """Be as a backup has it; whoever was connected is not any more."""
        self.sql(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        with (
            psycopg.connect(
                host=str(self.server.folder),
                port=self.server.port,
                user="postgres",
                dbname=self.database,
            ) as conn,
            conn.cursor() as cursor,
        ):
            for name in reversed(_TABLES):
                cursor.execute(f"DELETE FROM prodigy_hub.{name}")
            for name in _TABLES:
                for row in dump[name]:
                    values = ",".join(["%s"] * len(row))
                    cursor.execute(f"INSERT INTO prodigy_hub.{name} VALUES ({values})", row)
            for name in ("repository", "job"):
                cursor.execute(
                    f"SELECT setval('prodigy_hub.{name}_id_seq',"
                    f" coalesce((SELECT max(id) FROM prodigy_hub.{name}), 0) + 1, false)"
                )

    def replace(self) -> None:
        """Be another hub, of which nobody knows anything."""
        (row,) = self.empty["hub"]
        self.load({**self.empty, "hub": [tuple(
            uuid.uuid4() if isinstance(one, uuid.UUID) else one for one in row
        )]})  # fmt: skip

    def close(self) -> None:
        """End the connection."""
        self._end()


@dataclass
class Held:
    """A claim whose claimer was told of it, and that has not ended it."""

    host: int
    claim: dict[str, Any]
    until: int
    worker: Worker | None
    """The process that owns it; None: it is its lease's alone."""
    lost: bool = False
    """The hub does not know of it any more, for it was restored from a backup."""


@dataclass
class World:
    """All hosts of one run, and what they were told was done."""

    hub: Hub
    hosts: list[Host]
    repo: str
    number: int
    skew: list[int]
    workers: list[Worker | None] = field(default_factory=lambda: [None] * 4)
    bad: set[int] = field(default_factory=set)
    """The hosts whose wire is not whole."""
    held: list[Held] = field(default_factory=list)
    recorded: set[str] = field(default_factory=set)
    completed: dict[str, int] = field(default_factory=dict)
    """Items of which a host was told by the hub that they are, and by which attempt."""
    items: set[str] = field(default_factory=set)
    backup: dict[str, list[Any]] | None = None
    went_back: bool = False
    dead: set[int] = field(default_factory=set)
    told: list[str] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)
    """What came of the last step."""

    def store(self, host: int) -> Path:
        """Return a host's store of this run."""
        return self.hosts[host].folder / f"store-{self.number}"

    def begin(self) -> None:
        """Make the stores."""
        self.hub.begin()
        for number, host in enumerate(self.hosts):
            host.wire.pass_on()
            shutil.copytree(host.store, self.store(number))

    def end(self) -> None:
        """Take all back."""
        for number in range(len(self.hosts)):
            self.kill(number)
            shutil.rmtree(self.store(number), ignore_errors=True)

    def kill(self, host: int) -> None:
        """Kill a host's worker."""
        worker, self.workers[host] = self.workers[host], None
        if worker is not None:
            self.dead.add(worker.process.pid)
            worker.end()

    def worker(self, host: int) -> Worker:
        """Return a host's worker, which is started where there is none."""
        found = self.workers[host]
        if found is None:
            there = self.hosts[host]
            found = Worker(there.clone, there.environment(PRODIGY_HOME=str(self.store(host))))
            self.workers[host] = found
        return found

    def step(
        self, host: int, what: str, moment: tuple[int, str] = (0, ""), action: str = "", **how: Any
    ) -> dict[str, Any] | None:
        """Have a host's worker do something; at a moment in it (`Worker`) ``action`` happens.

        Returns what came of it; None where the worker was killed.
        """
        worker = self.worker(host)
        unsure = (
            host in self.bad or not self.hub.runs or action not in ("", "die", "lapse", "crash")
        )
        answer = worker.do(
            what, lambda: self.happen(host, action), store=str(self.store(host)), repo=self.repo,
            moment=moment, dies=action == "die", patience=SHORT if unsure else LONG,
            idle=SHORT / 2 if action in ("race", "stall") else IDLE, apart=self.skew[host], **how,
        )  # fmt: skip
        self.last = answer or {}
        self.told.append(f"host {host}: {what} {how} {action}@{moment}: {_short(answer)}")
        if answer is None:
            self.dead.add(worker.process.pid)
            self.workers[host] = None
            return None
        assert "fault" not in answer, answer["fault"]
        if "done" in answer:
            self.recorded.update(answer["recorded"])
        return answer

    def happen(self, host: int, action: str) -> None:
        """Let something happen, to a host's wire or to the server."""
        wire = self.hosts[host].wire
        if action in ("stall", "mute", "drop"):
            getattr(wire, action)()
            self.bad.add(host)
        elif action == "reset":
            wire.reset()
        elif action == "pass":
            wire.pass_on()
            self.bad.discard(host)
        elif action == "crash" and self.hub.runs:
            self.hub.crash()
        elif action == "lapse" and self.hub.runs:
            self.hub.lapse(700)
        elif action == "race":
            self.claim((host + 1) % 4, "racer", 600)
        elif action == "up":
            self.hub.up()
        elif action == "down":
            self.hub.down()
        elif action == "kill":
            self.kill(host)
        elif action == "backup" and self.hub.runs:
            self.backup = self.hub.dump()
        elif action == "restore" and self.hub.runs and self.backup is not None:
            self.hub.load(self.backup)
            self._lost()
        elif action == "replace" and self.hub.runs:
            self.hub.replace()
            self._lost()

    def _lost(self) -> None:
        self.went_back = True
        for one in self.held:
            one.lost = True
        self.completed.clear()

    def claim(self, host: int, agent: str, lease: float | None, **how: Any) -> Held | None:
        """Have a host claim an item; what it is given nobody else has."""
        answer = self.step(host, "claim", agent=agent, lease=lease, **how)
        if answer is None or not answer.get("done"):
            return None
        made = answer["done"]
        now = self.hub.now()
        pid = made.pop("pid")
        until = clock.parse(made["lease_until"])
        assert until is not None
        for one in self.held:
            # Whoever was paused after its commit may hear of a claim whose lease is over by then.
            if one.claim["item_id"] == made["item_id"] and not one.lost and until > now:
                assert not self._lives(one, now), ("two have it", one, made)
        held = Held(host, made, until, self.workers[host] if pid else None)
        self.held.append(held)
        return held

    def claim_at_once(self, hosts: Iterable[int]) -> None:
        """Have several hosts claim an item each at the same time."""
        for host in hosts:
            self.worker(host)
        with ThreadPoolExecutor() as threads:
            told = [
                threads.submit(self.claim, host, f"{host}-{len(self.told)}", 600) for host in hosts
            ]
            for one in told:
                one.result()

    def _lives(self, one: Held, now: int) -> bool:
        if one.worker is not None and one.worker not in self.workers:
            return False
        return one.until > now

    def finish(self, one: Held, **how: Any) -> None:
        """Have a claim ended by its host; whatever comes of that, its claimer does not go on."""
        self.held.remove(one)
        claim = one.claim
        if "released" in how:
            how.pop("released")
            self.step(one.host, "release", claim=claim, **how)
            return
        answer = self.step(one.host, "finish", claim=claim, **how)
        if answer is None or "done" not in answer or answer["local"] or one.lost:
            return
        ended = answer["done"]
        if ended["state"] == "completed" and not ended["late"]:
            self.completed[claim["item_id"]] = claim["attempt"]

    def renew(self, one: Held, **how: Any) -> None:
        """Have a claim renewed."""
        answer = self.step(one.host, "renew", claim=one.claim, lease=600, **how)
        if answer is not None and "done" in answer:
            until = clock.parse(answer["done"])
            assert until is not None
            one.until = max(one.until, until)

    def say(self, host: int, job: str, **how: Any) -> None:
        """Have a host record something, which needs no hub."""
        word = f"w{len(self.told)}"
        answer = self.step(host, "say", word=word, job=job, **how)
        if answer is not None:
            assert "done" in answer, answer

    def add(self, host: int, **how: Any) -> None:
        """Have a host give the job more items."""
        names = [f"more-{len(self.told)}-{n}" for n in range(2)]
        answer = self.step(host, "add", items=[{"id": one} for one in names], **how)
        if answer is not None and "done" in answer:
            self.items.update(names)

    # Healing

    def heal(self) -> None:
        """Mend all that is broken, and let all hosts exchange and work until nothing is left."""
        self.told.append("healing")
        self.hub.up()
        for number, host in enumerate(self.hosts):
            host.wire.pass_on()
            self.bad.discard(number)
        self.hub.lapse(2 * 3600)
        for number in (*range(4), 0):
            self.sync(number)
        state = self.sure(0, "show")["state"]
        if state["status"] in ("cancelled", "completed", "failed"):
            self.sure(0, "reopen")
            state = self.sure(0, "show")["state"]
        if state["status"] == "paused":
            self.sure(0, "unpause")
        self.work()
        self.exchange()

    def work(self) -> None:
        """Let the hosts work until nothing is left."""
        nothing, number = 0, 0
        while nothing < 4:
            host, number = number % 4, number + 1
            assert number < 300, "there is no end"
            held = self.claim(host, f"healer-{number}", 600)
            assert "done" in self.last, self.last
            nothing = nothing + 1 if held is None else 0
            if held is not None:
                bad = {"error": "boom", "backoff": 0} if number % 5 == 0 else {}
                self.finish(held, **bad)

    def exchange(self) -> None:
        """Let all hosts sync, one after the other, until nothing has moved for all of them."""
        still = 0
        for number in range(20):
            done = self.sync(number % 4)
            still = 0 if done["moved"] else still + 1
            if still == 4:
                return
        raise AssertionError("it moves for ever")

    def sync(self, host: int) -> dict[str, Any]:
        """Let a host sync, which nothing hinders."""
        done: dict[str, Any] = self.sure(host, "sync")
        assert not done["failed"], done
        assert not done["stay"], done
        return done

    def sure(self, host: int, what: str, **how: Any) -> Any:
        """Have something done that must be done, since nothing is in its way."""
        answer = self.step(host, what, **how)
        assert answer is not None
        assert "done" in answer, answer
        return answer["done"]

    # What must be true

    def check(self) -> None:
        """Assert all that was promised; after `heal`."""
        shown = [self.sure(host, "show") for host in range(4)]
        for one in shown[1:]:
            for name in ("records", "items", "queue"):
                assert one[name] == shown[0][name], name
            assert shared(one["state"]) == shared(shown[0]["state"])
        items, queue = shown[0]["items"], shown[0]["queue"]
        assert set(items) >= self.items
        assert set(items.values()) <= {"completed", "dead", "failed"}, items
        assert sorted(name for name, state in items.items() if state == "dead") == queue
        for name in self.completed:
            assert items[name] == "completed", name
        there: set[str] = set()
        for job in (JOB, OTHER):
            on_hub = self.hub.sql(
                "SELECT e.seq, e.id::text, e.line FROM prodigy_hub.event e JOIN prodigy_hub.job j"
                " ON j.id = e.job WHERE j.name = %s ORDER BY e.seq",
                (job,),
            )
            there |= each_once(on_hub, [(str(self.store(n)), self.repo, job) for n in range(4)])
            if job == JOB and not self.went_back:
                one_live_claim(line for _, _, line in on_hub)
        assert self.recorded <= there, self.recorded - there


def _short(answer: dict[str, Any] | None) -> str:
    if answer is None:
        return "killed"
    left = {name: value for name, value in answer.items() if name not in ("recorded", "records")}
    return json.dumps(left)[:300]
