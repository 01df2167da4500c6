"""What a job's log, and its sessions' files, say of the attempts at its items."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from prodigy_git.jobs import books, owner
from prodigy_git.jobs.index import Index, item_of
from prodigy_git.store.briefs import Brief

State = Literal["succeeded", "failed", "released", "working", "open"]
"""``released``: it was interrupted and given back, which is no failure. ``working``: its agent has the
item now. ``open``: a session that has not ended, and has no item (any more)."""

_BY_STATUS: dict[str, State] = {
    "Completed": "succeeded", "Failed": "failed", "Cancelled": "released",
}  # fmt: skip


@dataclass(slots=True)
class Attempted:
    """What the log says of an attempt, or a session's file where the log says nothing."""

    item: str | None
    number: int | None
    agent: str | None
    session: str | None
    state: State | None = None
    counts: bool = False
    at: str | None = None
    error: str | None = None
    last: str | None = None
    """The last of the commits that its end names."""
    elsewhere: bool = False
    """It was on another host: a session here that has its session's name is another one."""


def of_items(index: Index, known: Mapping[str, Brief]) -> Iterator[Attempted]:
    """Yield the attempts that the log knows of, by item in the job's order."""
    rows = index.rows(
        "SELECT id, record FROM items WHERE state IS NOT NULL AND record IS NOT NULL ORDER BY number",
        (), lambda row: (str(row[0]), item_of(row[1])),
    )  # fmt: skip
    by_item: dict[str, list[Brief]] = {}
    for brief in known.values():
        if brief.item is not None:
            by_item.setdefault(brief.item, []).append(brief)
    for name, item in rows:
        view = books.view(item)
        attempts = _of_item(index.store, name, item, view)
        told = {one.session for one in attempts if not one.elsewhere}
        # Of attempts that were given back the item keeps the numbers alone.
        attempts += [_from_file(said) for said in by_item.get(name, ()) if said.id not in told]
        for one in attempts:
            said = None if one.elsewhere else known.get(one.session or "")
            if one.state is None:
                one.state = "open" if said is None else _BY_STATUS.get(said.status, "open")
        attempts.sort(key=lambda one: _order(one, known))
        yield from attempts


def _order(one: Attempted, known: Mapping[str, Brief]) -> tuple[str, int, str]:
    brief = None if one.elsewhere else known.get(one.session or "")
    began = brief.started_at if brief is not None else None
    return (began or one.at or "", one.number or 0, one.agent or "")


def _of_item(store: str, name: str, item: books.Item, view: books.View) -> list[Attempted]:
    """Return the attempts at an item: by their numbers, those without one by their agents."""
    found: dict[int | str, Attempted] = {}
    for agent, start in item.starts.items():
        found[start.attempt or agent] = Attempted(
            name,
            start.attempt or None,
            agent or None,
            start.worktree or start.session,
            at=start.at,
            elsewhere=owner.other_host(store, start) is not None,
        )
    ends = [*item.failures.values(), *item.results.values(), *item.loose.values()]
    if item.end is not None:
        ends.append(item.end)
    for end in ends:
        if end.stage not in (books.FAILED, books.COMPLETED):
            continue
        begun = item.starts.get(end.agent)
        # An end without a number is that of its agent's start.
        key = end.attempt or (begun.attempt if begun is not None else 0) or end.agent
        one = found.setdefault(key, Attempted(name, end.attempt or None, end.agent or None, None))
        one.session = end.session or one.session
        if one.state == "succeeded":
            continue  # a completion stands, as in the fold
        one.at = end.at
        if end.stage == books.COMPLETED:
            one.state, one.error = "succeeded", None
            one.last = end.commits[-1] if end.commits else None
        else:
            one.state = "released" if end.attempt in item.released else "failed"
            one.error = end.error or one.error
    for key, one in found.items():
        mine = key == (view.attempt or view.agent)
        if one.number in item.released and one.state is None:
            one.state = "released"
        if mine and view.state == "in_progress":
            one.state = "working"
        one.counts = mine and view.state == "completed"
    return list(found.values())


def _from_file(one: Brief) -> Attempted:
    return Attempted(one.item, None, one.agent, one.id, at=one.completed_at, error=one.error)


def not_in_log(rest: list[Brief], told: list[Attempted]) -> list[Attempted]:
    """Return as attempts the sessions, oldest first, that the log says no end of.

    Of an item that the log does not know the last session that ended well counts.
    """
    logged = {one.item for one in told}
    last = {one.item: one.id for one in rest if one.status == "Completed"}
    found = []
    for one in rest:
        made = _from_file(one)
        made.state = _BY_STATUS.get(one.status, "open")
        made.counts = one.status == "Completed" and (
            one.item is None or (one.item not in logged and last[one.item] == one.id)
        )
        found.append(made)
    # Items first, each one's attempts together.
    return sorted(found, key=lambda one: (one.item is None, one.item or ""))
