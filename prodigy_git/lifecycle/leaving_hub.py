"""A host takes part in a hub no more: what it has is told first, and what it holds given back.

In this order, so that it can be called again wherever it was killed: claims, events, the hub is told,
and last the address goes. All that is here stays here; `hub init` takes part again.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from prodigy_git.errors import Away, ProdigyError, Refused
from prodigy_git.hub import (
    address,
    connection,
    host,
    job_cursor,
    repository_number,
    schema,
    shared_sessions,
    shipping,
    staying,
)
from prodigy_git.hub.address import Address
from prodigy_git.hub.host import Host
from prodigy_git.hub.where import Where
from prodigy_git.jobs import claims, holders, peek
from prodigy_git.jobs.endings import Claim
from prodigy_git.store import events, repositories
from prodigy_git.store.broken import Broken


@dataclass
class Left:
    """What came of it."""

    shipped: int = 0
    given_back: list[tuple[str, str]] = field(default_factory=list)
    """(job, item) of the claims that were given back."""
    marked: bool = False
    """Whether the hub now says that this host has left: not where another of its repositories stays."""
    untold: str | None = None
    """Why the hub was not told; None where it was."""


def leave(
    where: Address, store: str, repo: str, common: str, *, force: bool, patience: float, say: Broken
) -> Left:
    """Take the repository at ``common``, with the key ``repo``, off its hub; return what came of it.

    Raises `ProdigyError` where agents of this host have claims on the hub's jobs, `Away` and `Refused`
    where the hub cannot be told. With ``force`` those are given back, and it is left untold. `OSError`.
    """
    done = Left()
    own = host.known(store)
    if own is not None:
        held = list(_claims(store, repo, own, say))
        if held and not force:
            job, item, _ = held[0]
            raise ProdigyError(
                f"agents of this host work on {len(held)} of the hub's items, such as {item} of {job}: "
                f"'prodigy-git stop --job {job}' ends those of run, 'job done' others, "
                "--force gives the items back"
            )
        for job, item, claim in held:
            claims.release(store, repo, job, claim, reason="its host leaves the hub", broken=say)
            done.given_back.append((job, item))
        try:
            _tell(where, store, repo, common, own, done, patience, say)
        except (Away, Refused) as error:
            if not force:
                raise type(error)(f"{error.why}: --force leaves it untold") from None
            done.untold = str(error)
    address.forget(common)
    return done


def _claims(store: str, repo: str, own: Host, say: Broken) -> Iterator[tuple[str, str, Claim]]:
    """Yield (job, item, claim) of what agents of this host work on in jobs that are shared."""
    ours = {str(one) for one in (own.id, *own.earlier)}
    for _, job in sorted(events.jobs(store, repo)):
        cursor = job_cursor.load(store, repo, job)
        if cursor is None or not cursor.shared:
            continue
        with peek.opened(store, repo, job, say) as index:
            for item, (view, alive) in holders.of_all(index).items():
                holder = (view.start.owner or {}) if view.start is not None else {}
                if holder.get("store") in ours and alive is not False:
                    yield job, item, claims.claim_of(index, item, None)


def _tell(
    where: Address,
    store: str,
    repo: str,
    common: str,
    own: Host,
    done: Left,
    patience: float,
    say: Broken,
) -> None:
    """Ship what is left, and say on the hub that this host has left. Raises `Away`, `Refused`."""
    conn = connection.connected(where, patience=patience)
    with connection.transaction(conn, within=patience) as tx:
        there = schema.there(tx)
    number = repository_number.number(conn, there.id, store, repo, common, within=patience)

    def stays(job: str) -> bool:
        return staying.stays(store, repo, job)

    for _, job in sorted(events.jobs(store, repo)):
        if stays(job):
            continue
        try:
            done.shipped += shipping.ship(conn, Where(store, repo, job, own, say), number)
        except shipping.Copied as error:
            raise Refused(
                f"{error}: 'hub sync' makes it a host of its own, --force leaves it"
            ) from None
    shared_sessions.ship_sessions(
        conn, there.id, store, repo, number, own, stays=stays, within=patience
    )
    if _stays_elsewhere(where, store, common):
        return
    with connection.transaction(conn, within=patience) as tx:
        host.leave(tx, own)
    done.marked = True


def _stays_elsewhere(where: Address, store: str, common: str) -> bool:
    """Whether another repository of this store goes on taking part in the same hub."""
    for _, other in repositories.known(store, lambda _: None):
        if other == os.path.realpath(common):
            continue
        try:
            found = address.configured(other, {})
        except ProdigyError:
            continue  # it is gone, or has an address that is none: it takes no part
        if found is not None and found.parameters == where.parameters:
            return True
    return False
