"""hub status: whether the hub is reached, what it has not been told yet, and its hosts."""

import os
from typing import TYPE_CHECKING, Any

import click

from prodigy_git import amounts, duration, gitenv
from prodigy_git.cli import output
from prodigy_git.record import clock
from prodigy_git.store import home

if TYPE_CHECKING:
    from prodigy_git.hub.standing import Standing

_PATIENCE = 5.0
_APART = clock.SECOND
"""From how many microseconds on a clock is said to be wrong."""


@click.command()
@output.json_option
def status(as_json: bool) -> int:
    """Show whether the hub is reached, what it has not been told yet, and its hosts.

    What it has not been told of the repository you stand in is read from this host's own files, so it
    is there also when the hub is away. The exit status is 6 then, and 1 where the hub does not let us
    in. Nothing is sent, pulled or written.

    \b
    Example:
      prodigy-git hub status
    """
    from prodigy_git.git import repository
    from prodigy_git.hub import address, standing
    from prodigy_git.record import gitdir, repokey

    place = gitdir.find(gitenv.here(), {})
    common = None if place is None else repository.find(gitenv.here()).common
    where = address.required(common, os.environ)
    store = home.here()
    repo = None if common is None else repokey.known(store, common)
    found = standing.look(where, store, repo, patience=_PATIENCE, say=output.note)
    if as_json:
        output.emit_json(_as_json(found))
    else:
        _print(found)
    return 0 if found.trouble is None else found.trouble.code


def _as_json(found: "Standing") -> dict[str, Any]:
    return {
        "address": found.address.shown(),
        "configured_by": found.address.source,
        "reached": found.trouble is None,
        "error": None if found.trouble is None else str(found.trouble),
        "hub_id": None if found.hub is None else str(found.hub.id),
        "schema": None if found.hub is None else found.hub.version,
        "host_id": None if found.host is None else str(found.host.id),
        "host": None if found.host is None else found.host.name,
        "clock_apart_seconds": None if found.clock is None else found.clock.apart / clock.SECOND,
        "clock_known_within_seconds": None
        if found.clock is None
        else found.clock.within / clock.SECOND,
        "unshipped": [
            {"job_id": one.job, "events": one.events, "bytes": one.bytes} for one in found.unshipped
        ],
        "local_jobs": found.local_jobs,
        "hosts_at": found.hosts_at,
        "hosts": [
            {
                "host_id": one["id"], "host": one["name"],
                "here": found.host is not None and one["id"] == str(found.host.id),
                "seen_at": one["seen_at"], "left_at": one["left_at"],
                "program_version": one["program_version"],
                "clock_apart_seconds": _apart(one),
            }
            for one in found.hosts
        ],
    }  # fmt: skip


def _apart(one: dict[str, Any]) -> float | None:
    apart = one["clock_apart_us"]
    return None if apart is None else apart / clock.SECOND


def _print(found: "Standing") -> None:
    output.line(f"hub: {found.address.shown()} ({found.address.source})")
    if found.trouble is not None:
        output.note(str(found.trouble))
    if found.hub is not None and found.clock is not None:
        within = f"known within {found.clock.within // 1000 + 1} ms"
        output.line(
            f"it is reached: tables of version {found.hub.version}, "
            f"its clock {_clock(found.clock.apart)} ({within})"
        )
    if found.host is None:
        output.line("this host: has not taken part yet; 'prodigy-git hub init' enters it")
    else:
        output.line(f"this host: {found.host.name} ({found.host.short})")
    for one in found.unshipped:
        events = amounts.number(one.events, "event")
        output.line(f"not shipped yet: {one.job}, {events}, {amounts.human(one.bytes)}")
    if not found.unshipped:
        output.line("not shipped yet: nothing")
    if found.local_jobs:
        output.line(f"opened without --hub, and so only here: {', '.join(found.local_jobs)}")
    if found.trouble is not None and found.hosts_at is not None:
        output.line(f"hosts, as of {duration.moment(found.hosts_at)}:")
    _hosts(found)


def _hosts(found: "Standing") -> None:
    by = clock.parse(found.hosts_at or "") or clock.now()
    rows = []
    for one in found.hosts:
        seen = clock.parse(one["seen_at"] or "")
        state = "left" if one["left_at"] else "-" if seen is None else "takes part"
        if found.host is not None and one["id"] == str(found.host.id):
            state = "left" if one["left_at"] else "this host"
        last = "-" if seen is None else f"{duration.text(max(0, by - seen))} ago"
        apart = one["clock_apart_us"]
        rows.append(
            (one["name"], one["id"].replace("-", "")[:12], last,
             "-" if apart is None else _clock(apart), one["program_version"] or "-", state)
        )  # fmt: skip
    output.table(
        ("HOST", "ID", "SEEN", "CLOCK OF HUB", "VERSION", "STATE"),
        rows,
        dispensable=("VERSION", "CLOCK OF HUB", "ID"),
        empty="no hosts are known",
    )


def _clock(apart: int) -> str:
    """Say how the hub's clock stands against a host's."""
    if abs(apart) < _APART:
        return "agrees"
    return f"{duration.text(abs(apart))} {'ahead' if apart > 0 else 'behind'}"
