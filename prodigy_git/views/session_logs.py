"""Which logs there are of a session: what its command has said, and its programs' transcripts."""

import os
from collections.abc import Iterable
from typing import Literal, NamedTuple

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.lifecycle import locate
from prodigy_git.store import briefs, other_sessions
from prodigy_git.store.briefs import Brief
from prodigy_git.store.events import Broken
from prodigy_git.transcripts import of_sessions

Kind = Literal["output", "transcript"]


_NAMED = 5
"""Sessions that a message names."""


class Log(NamedTuple):
    """One log. ``program`` is whose transcript it is, as far as that was said."""

    kind: Kind
    path: str
    program: str | None


class Logged(NamedTuple):
    """A session and its logs, which may be gone."""

    session: Brief
    logs: list[Log]


def of_session(store: str, one: Brief) -> Logged:
    """Return a session with its logs; looked for again each time, since they become more."""
    found: list[Log] = []
    if one.repo is not None:
        path = layout.run_log(store, one.repo, one.job, one.id)
        found += [Log("output", each, None) for each in _parts(path)]
    there = of_sessions.of_session(store, one.id)
    for source in () if there is None else there.sources:
        found.append(Log("transcript", source.path, source.program))
    return Logged(one, found)


def _parts(path: str) -> list[str]:
    """Return the files that a command's output is in: while it is long and goes on, there are three."""
    tails = [one for one in (f"{path}.tail-1", f"{path}.tail-2") if os.path.lexists(one)]
    if len(tails) == 2 and os.stat(tails[0]).st_mtime_ns > os.stat(tails[1]).st_mtime_ns:
        tails.reverse()
    return [path, *tails] if os.path.lexists(path) else tails


def everyone(cwd: str, broken: Broken) -> tuple[str, list[Logged]]:
    """Return (store, the sessions that have logs), of the repository around ``cwd``, the oldest first.

    Outside of any repository all that the store has.
    """
    store, place, repo = locate.around(cwd)
    some = briefs.read_all(store, broken)
    if place is not None:
        some = [one for one in some if one.repo == repo]
    found = (of_session(store, one) for one in _in_order(some))
    return store, [one for one in found if one.logs]


def named(
    cwd: str, name: str, broken: Broken, cache: briefs.Cache | None = None
) -> tuple[str, list[Brief]]:
    """Return (store, sessions) of the session, the agent or the item that is called so.

    Of an agent and an item all that it has had, the oldest first. With ``cache``, for who asks again
    and again, only files that have changed since are read. Raises `ProdigyError` where nothing
    has the name, `names.BadName`.
    """
    store, place, repo = locate.around(cwd)
    if names.is_safe(name) and (own := briefs.read_some(store, [name])):
        return store, own
    some = briefs.read_all(store, broken, cache)
    if place is not None:
        some = [one for one in some if one.repo == repo]
    for field in ("name", "item", "agent"):
        if found := [one for one in some if getattr(one, field) == name]:
            _tell_of_others(name, found, some, broken)
            return store, _in_order(found)
    # What only a log knows: who has had several items in one session.
    from prodigy_git.views.explain import lookup  # brings the jobs with it

    story = lookup.explain(cwd, name, job=None, kind=None, broken=broken)
    ids = [one["session_id"] for one in story.get("attempts", ()) if one.get("session_id")]
    if story["kind"] == "commit":
        ids = [one["session_id"] for one in story["recorded"] if one["session_id"]]
    found = briefs.read_some(store, filter(names.is_safe, dict.fromkeys(ids)))
    if not found:
        others = filter(None, (other_sessions.refusal(store, one) for one in [name, *ids]))
        raise next(others, None) or ProdigyError(
            f"{story['kind']} {name} had no session: there is no log of it"
        )
    return store, _in_order(found)


def _tell_of_others(name: str, found: list[Brief], some: list[Brief], broken: Broken) -> None:
    """Say which sessions are not meant, although their agent has the name of an item or worktree."""
    others = [one.id for one in _in_order(some) if one.agent == name and one not in found]
    if others:
        more = "" if len(others) <= _NAMED else f" and {len(others) - _NAMED} more"
        broken(
            f"{name} is also an agent, whose other sessions are not shown: give one of "
            f"{', '.join(others[:_NAMED])}{more}"
        )


def _in_order(some: Iterable[Brief]) -> list[Brief]:
    return sorted(some, key=lambda one: (one.started or 0, one.id))
