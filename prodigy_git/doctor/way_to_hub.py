"""Whether the hub is there that is configured, lets us in, and has been told what happened here."""

import os
from collections.abc import Iterator

from prodigy_git import amounts, duration
from prodigy_git.doctor.finding import Finding
from prodigy_git.errors import Away, ProdigyError
from prodigy_git.git import repository
from prodigy_git.record import clock, files, repokey

_PATIENCE = 5.0
_WRONG = 60 * clock.SECOND
"""From how many microseconds on a clock is wrong: times of events are a host's own."""
_INIT = "prodigy-git hub init"


def examine(store: str | None, common: str | None) -> Iterator[Finding]:
    """Examine the way to the hub of the repository at ``common``, else of the user, if any."""
    if not (os.environ.get("PRODIGY_HUB") or repository.config(common or "/", "prodigy.hub")):
        return  # and nothing of the hub is imported
    from prodigy_git.hub import address

    try:
        where = address.configured(common, os.environ)
    except ProdigyError as error:
        yield Finding("hub", "error", str(error))
        return
    if where is None or store is None:
        return
    from prodigy_git.hub import connection, standing

    if not connection.installed():
        yield Finding("hub", "error", *connection.MISSING)
        return
    repo = None if common is None else repokey.known(store, common)
    said: list[str] = []
    try:
        found = standing.look(where, store, repo, patience=_PATIENCE, say=said.append)
    except (files.Damaged, OSError) as error:
        yield Finding("hub", "error", str(error))
        return
    waits = sum(one.events for one in found.unshipped)
    told = f"{amounts.number(waits, 'event')} not shipped yet" if waits else "all is shipped"
    if isinstance(found.trouble, Away):
        yield Finding(
            "hub", "warning", f"{found.trouble}; {told}", "what is shipped later is not lost"
        )
    elif found.trouble is not None:
        yield Finding("hub", "error", str(found.trouble))
    elif found.host is None:
        yield Finding(
            "hub", "warning", f"{where.shown()} is reached; this host takes no part", _INIT
        )
    elif any(one["id"] == str(found.host.id) and one["left_at"] for one in found.hosts):
        yield Finding("hub", "warning", f"this host has left {where.shown()}; {told}", _INIT)
    else:
        yield Finding("hub", "ok", f"{where.shown()} is reached; {told}")
    if found.clock is not None and abs(found.clock.apart) >= _WRONG:
        apart = duration.text(abs(found.clock.apart))
        behind = "behind" if found.clock.apart > 0 else "ahead of"
        text = f"this host's clock is {apart} {behind} the hub's"
        yield Finding("clock", "warning", text, "set it, as with NTP")
    for line in said:
        yield Finding("hub", "warning", line)
