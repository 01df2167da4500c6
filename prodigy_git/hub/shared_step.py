"""A step on a shared job: its row on the hub is its lock, and what the step writes goes there first.

A step asks twice. With one message it begins a transaction, takes the job's row, and gets the server's
time and what others have written since; with the other it writes its events and commits. Whoever is
killed before the second has done nothing; afterwards it is done: the lines that are then written here
come with the next pull, too. A host that is paused within a step loses the row (`connection.IDLE`), and
its commit fails.
"""

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prodigy_git.errors import Away, ProdigyError, Refused, Unsure
from prodigy_git.hub import (
    address,
    border,
    connection,
    host,
    job_cursor,
    job_streams,
    pulling,
    schema,
    shipping,
    socket_waits,
    taken_rows,
    ways,
)
from prodigy_git.hub.job_cursor import Cursor
from prodigy_git.hub.socket_waits import Late
from prodigy_git.hub.ways import Way
from prodigy_git.hub.where import Where
from prodigy_git.record import clock, log, redacting, repokey
from prodigy_git.record.log_position import Position
from prodigy_git.store.events import Broken

if TYPE_CHECKING:
    from collections.abc import Callable

    from prodigy_git.hub.connection import Connection

PATIENCE = 10.0
"""Seconds for a connection to the hub."""
WITHIN = 30.0
"""Seconds for all of a step: others' are waited for, each of which has the job for milliseconds."""
_LONG = 120.0
"""Seconds without a word that a step has that says it takes long, instead of `connection.IDLE`."""
_REST = 10.0
"""Seconds for which a hub that was not reached is not tried again for what can be written here."""
_MOST = 5000
"""Rows that are pulled while the job's row is held; where there are more, they are pulled before."""
_KEPT = 30.0
"""Seconds for which is not asked again where the hub is."""
_addresses: dict[tuple[str, str, str | None], tuple[float, address.Address | None]] = {}
_not_reached: dict[str, tuple[float, str]] = {}
"""Until when, by the monotonic clock, an address is taken for not reached; why, which is said again."""


class Behind(Away):
    """There is more to pull than is pulled while others wait for the job."""


@dataclass
class Step:
    """A step that is under way; `begin` takes the job's row, `record` or `end` give it back."""

    where: Where
    way: Way = field(repr=False)
    cursor: Cursor
    ends: bool
    """What is written ends something, and is written here where the hub is not reached."""
    stream: job_streams.Stream | None = None
    """The job on the hub, as of the moment at which its row was taken; None: it is not held."""
    newest: int = 0
    """When the job's last event was written there, in microseconds since 1970."""
    stamp: str | None = None
    """The timestamp of what was recorded last, which the hub may have also where that failed."""
    _server: int = 0
    _asked: float = 0.0

    @property
    def conn(self) -> "Connection":
        """Return another connection to the hub, for more than a step. Raises `Away`, `Refused`."""
        return self.way.whole()

    def now(self) -> int:
        """Return the server's time, in microseconds since 1970: rather too early than too late."""
        return self._server + int((socket_waits.now() - self._asked) * clock.SECOND)

    def begin(self) -> None:
        """Take the job's row, and bring the job's files here up to its stream on the hub.

        Raises `Behind` where they are too far from it: all is to be let go, and `catch_up` called; or
        `Away`, `Refused`; `OSError`. Then the row is not held.
        """
        answers = self._begun()
        try:
            self._taken(answers)
        except taken_rows.Restored as error:
            raise Behind(f"{error}: try again") from None
        finally:
            if self.stream is None:
                self.way.undo()

    def catch_up(self) -> None:
        """Pull what is new of the job, or all of it where the hub was restored, and hold nothing.

        Raises `Away`, `Refused`, `OSError`.
        """
        from prodigy_git.hub import offering, shared_items

        conn = self.conn
        pulling.pull(conn, self.where)
        # A restored hub has forgotten claims that hold on: it hears of them before the next one.
        offering.offer(conn, self.where)
        shared_items.settle(conn, self.where, pulling.stream_of(conn, self.where, None))

    def _begun(self) -> list[list[Any]]:
        """Begin a transaction and ask all that is to be known, with one message."""
        until = socket_waits.now() + WITHIN
        while True:
            kept = self.way.ready(PATIENCE)
            try:
                return self.way.ask(_question(self._now_here()), until)
            except BaseException as error:
                self.way.undo()
                told = self.way.told(error)
                # A server that was restarted, or a proxy that has dropped it: nothing was done yet.
                again = kept and self.way.lost and not isinstance(error, Late)
                if again and isinstance(told, Away):
                    continue
                self._away(told)
                raise told from None

    def _now_here(self) -> Cursor:
        """Return how far the job has been pulled here by now."""
        self.cursor = self.where.cursor() or self.cursor
        return self.cursor

    def _away(self, told: ProdigyError) -> None:
        if isinstance(told, Away):
            _not_reached[self.way.address.text] = time.monotonic() + _REST, str(told)

    def _taken(self, answers: list[list[Any]]) -> None:
        """Take over what the server said."""
        found, moment, rows = answers
        if not found:
            raise Refused(
                f"the hub does not know job {self.where.job}: 'prodigy-git hub sync' takes it there"
            )
        hub, version, seq, mark, newest, shared = found[0]
        if int(version) != schema.VERSION:
            with connection.transaction(self.conn, within=WITHIN) as tx:
                schema.there(tx)
        if len(rows) >= _MOST:
            raise Behind(f"job {self.where.job} grows faster than it is pulled: try again")
        self._server, self._asked, self.newest = int(moment[0][0]), socket_waits.now(), int(newest)
        stream = job_streams.Stream(
            UUID(str(hub)), self.cursor.job, self.where.job, int(seq), int(mark), bool(int(shared))
        )
        of_pull = [
            (int(n), int(m), UUID(str(of)), int(step), UUID(str(one)), line)
            for n, m, of, step, one, line in rows
        ]
        if pulling.take_held(self.where, stream, of_pull):
            self._bring([line.encode() for *_, line in rows if line is not None])
        self.stream = stream

    def _bring(self, lines: list[bytes]) -> None:
        """Bring the files of items that events name; they never change, so any transaction will do."""
        from prodigy_git.hub import shared_items

        named = shared_items.named(lines)
        if named:
            with connection.transaction(self.conn, within=WITHIN) as tx:
                shared_items.fetch(self.where, tx, self.cursor.job, named)

    def end(self) -> None:
        """Give the job's row back, and what was not committed up. Never raises."""
        held, self.stream = self.stream, None
        if held is not None:
            self.way.undo()

    def holds(self, ids: list[str]) -> bool:
        """Whether all these events are on the hub. Raises `Away`, `Refused`."""
        wanted = sorted({str(UUID(one)) for one in ids})
        listed = ", ".join(f"'{one}'" for one in wanted)
        answers = self._asked_held(
            "SELECT count(DISTINCT id) FROM prodigy_hub.event"
            f" WHERE job = {self.cursor.job:d} AND id IN ({listed})"
        )
        return int(answers[0][0][0]) == len(wanted)

    def take_time(self) -> None:
        """Have the server wait longer for this step, which has a lot to do here before it writes.

        Raises `Away`, `Refused`.
        """
        self._asked_held(f"SET LOCAL idle_in_transaction_session_timeout = {int(_LONG * 1000)}")

    def put(self, path: str) -> None:
        """Put a file of items on the hub, in the transaction in which it is named.

        Raises `Away`, `Refused`, `OSError`.
        """
        from prodigy_git.hub import shared_items

        for statement in shared_items.statements(self.cursor.job, path):
            self._asked_held(statement)

    def _asked_held(self, text: str) -> list[list[Any]]:
        """Ask something within the step's transaction, which is over where that fails."""
        assert self.stream is not None
        try:
            return self.way.ask(text, socket_waits.now() + WITHIN)
        except BaseException as error:
            self.end()
            told = self.way.told(error)
            self._away(told)
            raise told from None

    def record(
        self, events: list[dict[str, Any]], before: "Callable[[Position], None] | None"
    ) -> None:
        """Write events to the hub, commit, and write them here; the job's row is given back.

        ``before`` is called as `log.append` does; where it has an event that is there, `holds` says so.
        Raises `Away` where that was not done, or it cannot be told; `Refused`. What cannot be written
        here afterwards is a word: it is done, and comes with the next pull.
        """
        stream = self.stream
        if stream is None:
            raise RuntimeError("a step writes once, while it holds its job's row")
        where = self.where
        stamp = clock.stamp(max(self.now(), self.newest))
        redacted = [redacting.value(where.store, where.repo, event) for event in events]
        lines = log.encoded(redacted, stamp).splitlines()
        if any(len(line) > border.LONGEST for line in lines):
            raise ProdigyError(
                f"job {where.job}: an event of more than {border.LONGEST} bytes is none for the hub: "
                "take fewer items at a time"
            )
        if before is not None:
            before(Position("", 0))
        after = stream._replace(seq=stream.seq + len(lines), mark=job_streams.new_mark())
        ids = [event["id"] for event in events]
        self.stream = None
        self.stamp = stamp
        if not self._committed(_insertion(after, where.host, stamp, ids, lines), ids):
            return  # it came with a pull
        try:
            taken_rows.wrote(where, after, lines)
        except OSError as error:
            where.say(
                f"what was done is on the hub, and not written here ({error}): the next step does that"
            )

    def _committed(self, text: str, ids: list[str]) -> bool:
        """Write and commit with one message; False where that has come with a pull meanwhile."""
        try:
            self.way.ask(text, socket_waits.now() + WITHIN)
            return True
        except BaseException as error:
            self.way.undo()
            told = self.way.told(error)
            if _has_done_nothing(error):
                raise told from None
        return self._settled(ids, told)

    def _settled(self, ids: list[str], told: ProdigyError) -> bool:
        """Find out whether a commit without an answer was done: then all of it is here by now.

        Whoever has the row of the job knows: the transaction that had it is over.
        """
        until = socket_waits.now() + WITHIN
        while True:
            try:
                self.begin()
                there = self.holds(ids)
                self.end()
            except Away:
                if socket_waits.now() > until:
                    raise Unsure(
                        f"{told}; it is not known whether the step was done: look with 'job show'"
                    ) from None
                time.sleep(0.2)
                continue
            if there:
                return False
            raise Away(str(told))


def opened(store: str, repo: str, job: str, say: Broken, *, ends: bool) -> Step | None:
    """Return the step on a job that is to begin, the hub being connected; None where it is not shared.

    With ``ends``, a hub that was not reached a moment ago is not tried again. Raises `Away`, `Refused`,
    `OSError`.
    """
    cursor = job_cursor.load(store, repo, job)
    if cursor is None or not cursor.shared:
        return None
    found = address_of(store, repo)
    if found is None:
        raise Refused(
            f"job {job} is shared, and no hub is configured: 'prodigy-git hub init URL' notes one"
        )
    until, said = _not_reached.get(found.text, (0.0, ""))
    if ends and time.monotonic() < until:
        raise Away(said)
    way = ways.way(found)
    try:
        way.ready(PATIENCE)
    except Away as error:
        _not_reached[found.text] = time.monotonic() + _REST, str(error)
        raise
    where = Where(store, repo, job, host.own(store), say)
    if not ends and shipping.is_due(where):
        _ship(way.whole(), where)
    return Step(where, way, cursor, ends)


def _ship(conn: "Connection", where: Where) -> None:
    """Tell the hub what was recorded here since, as ends that were written while it was away.

    Others would try those items again when the leases are over. Raises as `shipping.ship`.
    """
    try:
        shipping.ship(conn, where, most=_MOST)
    except shipping.Copied as error:
        where.say(f"{error}: 'prodigy-git hub sync' makes this store a host of its own")


def address_of(store: str, repo: str) -> address.Address | None:
    """Return where the hub is of a repository of the store. Raises as `address.configured`."""
    key = store, repo, os.environ.get(address.VARIABLE)
    there = _addresses.get(key)
    if there is None or there[0] < time.monotonic():
        common = repokey.common_of(store, repo)
        there = time.monotonic() + _KEPT, address.configured(common, os.environ)
        _addresses[key] = there
    return there[1]


def _insertion(
    after: job_streams.Stream, own: host.Host, stamp: str, ids: list[str], lines: list[bytes]
) -> str:
    """Return the message that writes events, which are then the job's newest, and commits."""
    # Nobody can know the word that ends a text, so that none has to be looked through.
    quote = f"$p{os.urandom(8).hex()}$"
    first = after.seq - len(lines) + 1
    values = ",".join(
        f"({after.job:d},{seq:d},{after.mark:d},'{own.id}',true,'{one}','{stamp}',"
        f"{quote}{line.decode('ascii')}{quote})"
        for seq, (one, line) in enumerate(zip(ids, lines, strict=True), first)
    )
    return (
        "INSERT INTO prodigy_hub.event (job, seq, mark, host, step, id, at, line)"
        f" VALUES {values};"
        f"UPDATE prodigy_hub.job SET seq = {after.seq:d}, mark = {after.mark:d},"
        f" changed_at = clock_timestamp() WHERE id = {after.job:d};"
        f"NOTIFY {job_streams.CHANNEL}, '{after.job:d}';"
        "COMMIT"
    )


def _has_done_nothing(error: BaseException) -> bool:
    """Whether the server has answered, and not because it or the connection was about to end."""
    state = getattr(error, "sqlstate", None)
    return state is not None and (
        state == "25P03" or state[:2] not in ("08", "53", "57", "58", "XX")
    )


def _question(cursor: Cursor) -> str:
    return (
        f"{connection.begin_statements(WITHIN)};"
        "SELECT h.id, h.version, j.seq, j.mark,"
        f" {job_streams.MICROS.format('j.changed_at')}, j.shared::integer"
        f" FROM prodigy_hub.job AS j, prodigy_hub.hub AS h WHERE j.id = {cursor.job:d}"
        " FOR UPDATE OF j;"
        # After the row is ours: what stands in one SELECT with it may be of before.
        f"SELECT {job_streams.MICROS.format('clock_timestamp()')};"
        "SELECT seq, mark, host, step::integer, id,"
        f" CASE WHEN octet_length(line) <= {border.LONGEST} THEN line END FROM prodigy_hub.event"
        f" WHERE job = {cursor.job:d} AND seq >= {cursor.seq:d} ORDER BY seq LIMIT {_MOST}"
    )
