"""In which order items are to be handed out: what they say of it themselves, checked as a whole.

``priority`` (a whole number, 0 by default, the higher the earlier) and ``after`` (a list of ids: the
item waits until those are completed) are top-level fields of an item that is a JSON object.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from prodigy_git import names
from prodigy_git.errors import ProdigyError

HIGHEST = 1_000_000_000
_AS_IT_IS = "or give --no-order, where that field means something else"


class Order(NamedTuple):
    """When an item may be handed out."""

    priority: int = 0
    after: tuple[str, ...] = ()


def asked(
    items: list[tuple[str, Any]], is_known: Callable[[str], bool], where: str
) -> dict[str, Order]:
    """Return what the items that say anything of it say; ``is_known`` tells of an item of the job.

    Raises `ProdigyError`, naming ``where`` and the item, for fields of another type, for an ``after``
    that neither the job nor these items have, and for items that wait for each other in a circle.
    """
    fresh = {name for name, _ in items}
    found: dict[str, Order] = {}
    for name, data in items:
        if isinstance(data, dict) and ("priority" in data or "after" in data):
            order = _of(data, f"{where}: item {name}")
            for other in order.after:
                if other not in fresh and not is_known(other):
                    raise ProdigyError(f"{where}: item {name} is after {other}, which is no item")
            if order != Order():
                found[name] = order
    circle = _circle(found)
    if circle:
        raise ProdigyError(f"{where}: items wait for each other: {' after '.join(circle)}")
    return found


def _of(data: dict[str, Any], what: str) -> Order:
    priority = data.get("priority", 0)
    if not isinstance(priority, int) or isinstance(priority, bool) or abs(priority) > HIGHEST:
        raise ProdigyError(f"{what}: priority {priority!r:.40}: give a whole number, {_AS_IT_IS}")
    given = data.get("after", [])
    listed = list(given) if isinstance(given, list | tuple) else [None]
    # An id may be a number there, too.
    after = [
        str(one) if isinstance(one, str | int) and not isinstance(one, bool) else ""
        for one in listed
    ]
    if not all(map(names.is_safe, after)):
        raise ProdigyError(f"{what}: after {given!r:.40}: give a list of items' ids, {_AS_IT_IS}")
    return Order(priority, tuple(dict.fromkeys(after)))


def _circle(found: dict[str, Order]) -> list[str]:
    """Return items each of which is after the next, the first and the last of them the same."""
    done: set[str] = set()
    for start in found:
        way: dict[str, None] = {}  # in the order in which they were come to
        rest = [(start, iter(found[start].after))] if start not in done else []
        while rest:
            name, others = rest[-1]
            way[name] = None
            other = next(others, None)
            if other is None:
                rest.pop()
                way.pop(name)
                done.add(name)
            elif other in way:
                passed = list(way)
                return [*passed[passed.index(other) :], other]
            elif other in found and other not in done:
                rest.append((other, iter(found[other].after)))
    return []
