"""job show --items: a job's items with their results, as text and as JSON."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from prodigy_git.cli import output

if TYPE_CHECKING:
    from prodigy_git.merging.results.changes import Change, OfItem
    from prodigy_git.merging.results.results import Result

_HEADINGS = ("ITEM", "STATE", "ATTEMPTS", "BRANCH", "COMMITS", "LINES", "FILES", "NOTE")
_STATES = {"in_progress": "in progress", "dead": "in the queue"}


def show(store: str, repo: str, job: str, *, as_json: bool) -> None:
    """Print the items of a job. Raises `ProdigyError` where there is no such job."""
    from prodigy_git.merging import of_items

    found = of_items.of_job(store, repo, job, output.note)
    if as_json:
        output.emit_json({"job_id": job, "repo": repo, "items": [_as_json(one) for one in found]})
        return
    rows = (row for one in found for row in _rows(one))
    output.table(
        _HEADINGS, rows, ("NOTE", "ATTEMPTS", "FILES", "COMMITS"),
        empty=f"job {job} has no items: 'prodigy-git job add' gives it some",
    )  # fmt: skip


def _as_json(one: "OfItem") -> dict[str, Any]:
    from prodigy_git.merging.results import changes

    return {
        "item_id": one.item_id, "state": one.state, "attempts": one.attempts,
        "results": [changes.as_json(*each) for each in one.results],
    }  # fmt: skip


def _rows(one: "OfItem") -> Iterator[tuple[Any, ...]]:
    """Yield an item's row, with its result; below it one for each other attempt."""
    state = _STATES.get(one.state, one.state)
    head = (one.item_id, state, one.attempts or "-")
    now = [pair for pair in one.results if pair[0].counts or pair[0].state == "working"][:1]
    if not now:
        yield *head, "-", "-", "-", "-", "-"
    for result, change in now:
        yield *head, *_numbers(result, change)
    for result, change in one.results:
        if (result, change) not in now:
            number = f"attempt {result.attempt}" if result.attempt else "attempt"
            yield f"  {number}", result.state, "-", *_numbers(result, change)


def _numbers(result: "Result", change: "Change") -> tuple[Any, ...]:
    lines = "-" if change.files is None else f"+{change.added} -{change.removed}"
    note = (result.error or "").strip().partition("\n")[0]
    if change.merged and change.commits != 0:
        note = f"merged into {change.target}"
    elif result.head is None:
        note = note or "its commits are gone"
    return (
        result.branch or "-",
        "-" if change.commits is None else change.commits,
        lines,
        "-" if change.files is None else len(change.files),
        note or "-",
    )
