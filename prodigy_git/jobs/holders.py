"""Who holds what is in progress, and whether they are there, for those who only look.

The log is read first and its holders are asked for later. Who ends between the two is over, and not
gone. So whoever seems to be gone is looked up in the log once more, as it is by then: an end is written
before its process goes. Only a claim that stands there as it was is said to be nobody's any more.
"""

from collections.abc import Callable, Iterable

from prodigy_git.jobs import books, index, lookers_clock, owner, prodigy_runs
from prodigy_git.jobs.index import Index

_LOOKS = 6

Held = dict[str, tuple[books.View, bool | None]]
"""By item: how it stands, and whether its holder is there, as `owner.has` says; None: nobody knows."""
_Find = Callable[[], Iterable[tuple[str, books.Item]]]


def of_all(looked_at: Index) -> Held:
    """Return all items in progress, those that have been so for longest first.

    The index is brought up to what the log says by the end: what is read of it afterwards agrees.
    """
    return _settled(looked_at, lambda: looked_at.in_state("in_progress"))


def of_item(looked_at: Index, name: str) -> Held:
    """Return as `of_all` one item; nothing where it is not in progress."""

    def find() -> Iterable[tuple[str, books.Item]]:
        item = looked_at.item(name)
        return [] if item is None else [(name, item)]

    return _settled(looked_at, find)


def _settled(looked_at: Index, find: _Find) -> Held:
    known: Held = {}
    clock = lookers_clock.of(looked_at)
    for look in range(_LOOKS):
        if look:
            index.advance(looked_at, looked_at.broken)
        before, known, doubted = known, {}, False
        for name, item in find():
            view = books.view(item)
            if view.state != "in_progress":
                continue
            if name in before and before[name] == (view, False):
                known[name] = view, False  # it seemed so, and the log since has said nothing else
                continue
            here = _is_there(looked_at, view, clock)
            doubted = doubted or here is False
            known[name] = view, here
        if not doubted:
            return known
    # Begun and gone at each look: somebody is at work.
    return {
        name: (view, here if before.get(name) == (view, False) else here or None)
        for name, (view, here) in known.items()
    }


def _is_there(
    looked_at: Index, view: books.View, clock: Callable[[books.Start], int]
) -> bool | None:
    if looked_at.run is not None:
        return False if prodigy_runs.at_work(looked_at) is None else None
    if view.start is None:
        return None
    where = looked_at.store, looked_at.repo, looked_at.job_id
    return owner.has(*where, view.start, clock(view.start))[0]
