"""By which moment whoever only looks judges whether a shared job's lease is over.

Leases go by the server's clock. What another host renewed since its events came here cannot be seen: so
of its leases only those are over that were so when the hub was heard of last.
"""

from collections.abc import Callable

from prodigy_git.jobs import books, owner
from prodigy_git.jobs.index import Index
from prodigy_git.store import other_hosts


def of(looked_at: Index) -> Callable[[books.Start], int]:
    """Return what says for a claim by which moment it is judged, in microseconds since 1970.

    What is known of the hub is read once, and where no claim of a shared job is, not at all.
    """
    known: list[tuple[int, int | None]] = []

    def moment(start: books.Start) -> int:
        if start.owner is None or "store" not in start.owner:
            return looked_at.now()
        if not known:
            hosts = other_hosts.known(looked_at.store)
            as_of = hosts.as_of(looked_at.store, looked_at.repo, looked_at.job_id)
            known.append((looked_at.now() + hosts.apart, as_of))
        now, as_of = known[0]
        if as_of is None or owner.of_here(looked_at.store, start.owner):
            return now
        return min(now, as_of)

    return moment
