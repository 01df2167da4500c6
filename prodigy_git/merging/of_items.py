"""A job's items with what was done on each: its state, its attempts, what they changed."""

import contextlib
import os
from collections.abc import Sequence

from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import books, peek, prodigy_runs
from prodigy_git.jobs.index import NUMBER, Index, item_of
from prodigy_git.merging.queue.target import Target
from prodigy_git.merging.results import changes, results
from prodigy_git.merging.results.changes import Change, OfItem
from prodigy_git.merging.results.results import Result
from prodigy_git.record.gitdir import Place
from prodigy_git.store.events import Broken

_STATES = {number: state for state, number in NUMBER.items()}


def of_job(store: str, repo: str, job: str, broken: Broken) -> list[OfItem]:
    """Return the items of a job in its order, each with its results: that which counts first.

    What sessions without an item did is not among them. Only looks: no lock is taken, and git is asked
    about results only, by a few processes. Raises `ProdigyError` where there is no such job.
    """
    with peek.opened(store, repo, job, broken) as index:
        found = {one.item_id: one for one in _items(index)}
        every = results.of_index(index, broken)
    mine = [one for one in every if one.item_id in found]
    place = place_of(store, repo)
    made = (
        [changes.Change() for _ in mine]
        if place is None
        else changed(store, repo, place, mine, broken)
    )
    for one, change in zip(mine, made, strict=True):
        found[str(one.item_id)].results.append((one, change))
    for item in found.values():
        # The last one that failed is of more interest than the first.
        item.results.sort(key=lambda pair: not pair[0].counts)
    return list(found.values())


def changed(
    store: str, repo: str, place: Place, mine: Sequence[Result], broken: Broken
) -> list[Change]:
    """Return what `changes.of` does; what `merge` has squashed or rebased is merged, too."""
    made = changes.of(place, mine)
    open_ones: dict[str, dict[str, list[Change]]] = {}
    for one, change in zip(mine, made, strict=True):
        if change.merged is False and change.target is not None and one.head is not None:
            open_ones.setdefault(change.target, {}).setdefault(one.head, []).append(change)
    for branch, heads in open_ones.items():
        target = Target(store, repo, place, branch)
        if not os.path.exists(target.ledger):
            continue
        from prodigy_git.merging.queue import branch_moves

        with contextlib.suppress(ProdigyError):  # the branch is gone by now
            for head in branch_moves.done_before(target, target.tip(), heads, broken):
                for change in heads[head]:
                    change.merged = True
    return made


def place_of(store: str, repo: str) -> Place | None:
    """Return the common git directory of a repository; None where it is not in sight."""
    common = prodigy_runs.common_of(store, repo)
    return None if common is None else Place(common, common, common)


def _items(index: Index) -> list[OfItem]:
    def made(row: tuple[str, int, bytes | None]) -> OfItem:
        name, state, record = row
        tries = 0 if record is None else books.tried(item_of(record)).attempts
        return OfItem(str(name), _STATES[state], tries)

    question = "SELECT id, state, record FROM items WHERE state IS NOT NULL ORDER BY number"
    return index.rows(question, (), made)
