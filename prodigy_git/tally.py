"""A job in numbers: the one place that says what is done, what is given up, and who counts as an agent.

All views count by it, the prompt's line too: so it is pure, and imports next to nothing.
"""

from __future__ import annotations

from prodigy_git import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    Kind = Literal["agent", "item", "session"]

STATES = ("completed", "in_progress", "pending", "dead", "failed")
"""Of an item, as `jobs.books.ItemState`: each item is in one of them."""


def items(counts: Mapping[str, int]) -> dict[str, int | None]:
    """Return a job's items in numbers, from how many are in each of `STATES`.

    ``total_items`` and each state; ``given_up``: dead (in the queue) or failed; ``percent_done``: of
    all how many are completed; ``percent_over``: completed or given up. Both are rounded down, so that
    100 means all; None for a job without items.
    """
    each = {state: counts.get(state, 0) for state in STATES}
    total = sum(each.values())
    given_up = each["dead"] + each["failed"]
    return {
        "total_items": total,
        **each,
        "given_up": given_up,
        "percent_done": _percent(each["completed"], total),
        "percent_over": _percent(each["completed"] + given_up, total),
    }


def _percent(part: int, whole: int) -> int | None:
    return 100 * part // whole if whole > 0 else None


def line(agent: str | None, item: str | None, session: str | None) -> tuple[Kind, str] | None:
    """Return as what a stretch of work counts: all that have one line are one.

    An agent that was named is one agent, on however many items and in however many sessions. An id
    that was made up for one attempt names nobody: the attempts at an item then count as one agent, the
    item's. A session without an agent, as a person's own checkout, has a line, and is no agent.
    """
    if agent is not None and not names.is_made_up(agent):
        return "agent", agent
    if agent is not None and item is not None:
        return "item", item
    if agent is not None:
        return "agent", agent
    return None if session is None else ("session", session)
