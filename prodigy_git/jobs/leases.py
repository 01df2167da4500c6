"""Which claims have a lease, and keeping one: it is extended, unless it has ended, or is another's."""

import contextlib
import os
from dataclasses import dataclass
from typing import Literal

from prodigy_git import layout
from prodigy_git.errors import Refused
from prodigy_git.jobs import books, claims, endings, index, opening, owner
from prodigy_git.jobs.endings import Claim
from prodigy_git.record import clock
from prodigy_git.store.events import Broken

Standing = Literal["kept", "ended", "lost"]
"""``ended``: it was ended for us, as by `job done` in our command. ``lost``: others may have it."""


def keep(store: str, repo: str, job: str, claim: Claim, lease: int, broken: Broken) -> Standing:
    """Extend a claim by ``lease`` microseconds from now on, and return how it stands.

    Raises as `claims.step`: then nothing was done.
    """
    with claims.step(store, repo, job, broken) as opened:
        found = opened.item(claim.item_id) or books.Item()
        view = books.view(found)
        mine = claim.attempt, claim.agent_id
        if view.state == "in_progress":
            if (view.attempt, view.agent) != mine:
                return "lost"
            until = clock.stamp(opened.now() + lease)
            renewed = endings.event(
                opened, "ClaimRenewed", agent_id=claim.agent_id, item_id=claim.item_id,
                attempt=claim.attempt, lease_until=until,
            )  # fmt: skip
            endings.record(opened, [renewed], broken)
            return "kept"
        end = view.end
        over = end is not None and (end.attempt, end.agent) == mine and view.state != "pending"
        return "ended" if over else "lost"


@dataclass(frozen=True)
class Elsewhere:
    """A claim of another host's, whose lease is not over."""

    item_id: str
    agent_id: str
    host: str
    """The other host's id."""
    lease_ends_at: str | None


def elsewhere(store: str, repo: str, job: str, broken: Broken) -> list[Elsewhere]:
    """Return what other hosts work on. Raises as `claims.step`."""
    found = []
    with claims.step(store, repo, job, broken) as opened:
        for name, item in opened.in_state("in_progress"):
            view = books.view(item)
            host = owner.other_host(store, view.start)
            if host is not None and view.start is not None:
                found.append(Elsewhere(name, view.agent or "", host, view.start.lease))
    return found


def is_shared(store: str, repo: str, job: str, broken: Broken) -> bool:
    """Whether hosts share a job; one that this host has not heard of is asked for at the hub.

    Raises `Away`, `Refused`, `ProdigyError`, `OSError`.
    """
    where = store, repo, job
    path = layout.hub_job(*where)
    if not os.path.exists(path) and not opening.found(*where, broken):
        # Of what has a log here already, a step asks, where nobody has started it here.
        if not (opening.has_hub(store, repo) and index.exists(*where)):
            return False
        with contextlib.suppress(Refused), claims.step(*where, broken):
            pass
    if not os.path.exists(path):
        return False
    from prodigy_git.hub import job_cursor

    cursor = job_cursor.load(*where)
    return cursor is not None and cursor.shared
