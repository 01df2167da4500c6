"""A job's stream on the hub: its events, numbered without gaps in the order of their commits.

Whoever appends holds the job's row until the commit, so that the numbers become visible in their
order, and whoever has read up to one has missed none before it. All rows of a transaction bear the
same random mark, as does the job's row: a number with another mark than one knows is of another
history, of a hub that was restored from a backup. A mark below 0 says that the rows may have been on
the hub before, under other numbers: whoever pulls them looks whether they are there already.
"""

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from prodigy_git.errors import ProdigyError, Refused

if TYPE_CHECKING:
    from prodigy_git.hub.driver import Raw

CHANNEL = "prodigy_hub"
"""Where is notified of a job's new events; the payload is the job's number."""
MICROS = "(extract(epoch FROM least(greatest({}, '0001-01-01Z'), '9999-12-31Z')) * 1000000)::bigint"
"""SQL for a time in microseconds since 1970: a member may have written one that no bigint holds."""
_MOST_ASKED = 10_000


class Repeated(ProdigyError):
    """An event that was to be appended is in the stream already: nothing was."""


class Gone(ProdigyError):
    """There is no such job on the hub: it is another one, or is from before the job."""


class Stream(NamedTuple):
    """A job on a hub: ``job`` is its number there, ``seq`` and ``mark`` are of its last event."""

    hub: UUID
    job: int
    name: str
    seq: int
    mark: int
    shared: bool


class Row(NamedTuple):
    """An event for the hub: ``line`` as it stands in a log, without newline.

    ``step``: it was made by a step on a shared job, so it is in no file that its host ships.
    """

    host: UUID
    step: bool
    id: str
    at: str
    line: bytes


_FIELDS = "(SELECT h.id FROM prodigy_hub.hub AS h), id, name, seq, mark, shared"


def entered(tx: "Raw", repository: int, name: str, *, shared: bool = False) -> Stream:
    """Return a repository's job of a name, entered now where it is new; its row is not held.

    With ``shared`` it is one that is begun with ``job start --hub``, also where it was there before.
    """
    found = known(tx, repository, name)
    if found is None:
        tx.execute(
            "INSERT INTO prodigy_hub.job (repository, name, shared) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            (repository, name, shared),
        )
        found = known(tx, repository, name)
    if found is None:
        raise Gone(f"job {name} was removed from the hub: try again")
    if shared and not found.shared:
        tx.execute("UPDATE prodigy_hub.job SET shared = true WHERE id = %s", (found.job,))
        found = found._replace(shared=True)
    return found


def known(tx: "Raw", repository: int, name: str) -> Stream | None:
    """Return a repository's job of a name; None where the hub has none."""
    question = f"SELECT {_FIELDS} FROM prodigy_hub.job WHERE repository = %s AND name = %s"
    row = tx.execute(question, (repository, name)).fetchone()
    return None if row is None else Stream(*row)


def changed(tx: "Raw", repository: int, since: float, only: str | None) -> list[Stream]:
    """Return a repository's jobs, or ``only`` the one, that changed after ``since``, by their names.

    ``since`` is in seconds since 1970, by the server's clock.
    """
    rows = tx.execute(
        f"SELECT {_FIELDS} FROM prodigy_hub.job WHERE repository = %s"
        " AND changed_at > to_timestamp(%s) AND (%s::text IS NULL OR name = %s) ORDER BY name",
        (repository, since, only, only),
    )
    return [Stream(*row) for row in rows]


def seen(tx: "Raw", job: int) -> Stream:
    """Return a job as it is now, and hold nothing. Raises `Gone`."""
    return _one(tx, job, "")


def held(tx: "Raw", job: int) -> Stream:
    """Hold a job's row until the transaction ends, and return it. Raises `Gone`."""
    return _one(tx, job, " FOR UPDATE OF job")


def next_number(tx: "Raw", job: int, seq: int) -> int | None:
    """Return the number of the first event behind ``seq``: a later one, where events were removed."""
    row = tx.execute(
        "SELECT min(seq) FROM prodigy_hub.event WHERE job = %s AND seq > %s", (job, seq)
    ).fetchone()
    return None if row is None else row[0]


def _one(tx: "Raw", job: int, how: str) -> Stream:
    row = tx.execute(f"SELECT {_FIELDS} FROM prodigy_hub.job WHERE id = %s{how}", (job,)).fetchone()
    if row is None:
        raise Gone("the hub does not know the job: 'prodigy-git hub sync' takes it there")
    return Stream(*row)


def wrong(job: str) -> Refused:
    """Return what is said where a job's counter is not that of its events: a member can set it so."""
    return Refused(
        f"the hub's counter of job {job} is not that of its events: its owner can set it right "
        "(docs/reference/hub.md, Roles)"
    )


def new_mark() -> int:
    """Return a mark that no other transaction has: 63 bits at random."""
    return int.from_bytes(os.urandom(8), "big") >> 1 or 1


def append(tx: "Raw", stream: Stream, rows: Sequence[Row], *, again: bool = False) -> Stream:
    """Append events to a stream whose row is held, and return it as it is then.

    With ``again`` the hub may have had them before, and lost them, or let them go as old ones; that it
    has none of them now was asked. Raises `Repeated` where one of them is there already: then the
    transaction is of no more use; `Refused` as `wrong`.
    """
    if not rows:
        return stream
    mark = new_mark() * (-1 if again else 1)
    last = stream.seq + len(rows)
    try:
        with tx.cursor().copy(
            "COPY prodigy_hub.event (job, seq, mark, host, step, id, at, line) FROM STDIN"
        ) as copy:
            copy.write(_text(stream, mark, rows))
    except Exception as error:
        if getattr(error, "sqlstate", None) == "23505":  # unique_violation
            if again:  # the hub was asked by the ids: it is the numbers that are there
                raise wrong(stream.name) from None
            raise Repeated(f"an event of job {stream.name} is on the hub already") from None
        raise
    tx.execute(
        "UPDATE prodigy_hub.job SET seq = %s, mark = %s, changed_at = clock_timestamp()"
        " WHERE id = %s",
        (last, mark, stream.job),
    )
    tx.execute("SELECT pg_notify(%s, %s)", (CHANNEL, str(stream.job)))
    return stream._replace(seq=last, mark=mark)


def _text(stream: Stream, mark: int, rows: Sequence[Row]) -> bytes:
    """Return rows as COPY takes them, as text."""
    start = {
        (host, step): f"\t{mark}\t{host}\t{'t' if step else 'f'}\t"
        for host, step in {(row.host, row.step) for row in rows}
    }
    job = f"{stream.job}\t"
    lines = b"\n".join([row.line for row in rows])
    # The backslash is what COPY takes for more than itself. Tabs come in lines of other programs.
    lines = lines.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\r", b"\\r")
    heads = [
        f"{job}{seq}{start[row.host, row.step]}{row.id}\t{row.at}\t".encode()
        for seq, row in enumerate(rows, stream.seq + 1)
    ]
    return b"".join([
        part for head, line in zip(heads, lines.split(b"\n"), strict=True)
        for part in (head, line, b"\n")
    ])  # fmt: skip


def there(tx: "Raw", job: int, ids: Iterable[str]) -> dict[str, tuple[int, UUID]]:
    """Return which events of these ids a stream has: for each its number, and its host."""
    wanted = list(ids)
    found: dict[str, tuple[int, UUID]] = {}
    for begin in range(0, len(wanted), _MOST_ASKED):
        rows = tx.execute(
            "SELECT id, seq, host FROM prodigy_hub.event WHERE job = %s AND id = ANY(%s::uuid[])",
            (job, wanted[begin : begin + _MOST_ASKED]),
        )
        found.update({str(one): (seq, host) for one, seq, host in rows})
    return found
