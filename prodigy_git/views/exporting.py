"""Events in forms that other programs read: JSON lines, CSV, Parquet, Prodigy's own records."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prodigy_git.model import jsontext
from prodigy_git.model.event import Event, pascal_case
from prodigy_git.views import prodigy_records

COLUMNS = (
    "timestamp", "type", "job_id", "session_id", "agent_id", "item_id", "correlation_id", "id",
    "fields",
)  # fmt: skip
"""Of a CSV file; ``fields`` has what is the type's own, as a JSON object."""

_ROWS = 500
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def line(event: Event) -> str:
    """Return an event as JSON in ASCII: a line of ours as it is, unless it has raw DEL or spaces."""
    if isinstance(event.written, bytes) and (text := event.written.decode("ascii")).isprintable():
        return text
    return jsontext.text(event.fields())


def jsonl(events: Iterable[Event]) -> Iterator[str]:
    """Yield events as lines in the one dialect that we write."""
    return (line(event) + "\n" for event in events)


def csv_text(events: Iterable[Event]) -> Iterator[str]:
    """Yield a CSV file (RFC 4180) piece by piece, its headings first."""
    return csv_rows(
        COLUMNS,
        (
            (
                event.timestamp, event.type, event.job_id, event.session_id, event.agent_id,
                event.item_id, event.correlation_id, event.id, jsontext.text(event.own()),
            )
            for event in events
        ),
    )  # fmt: skip


def csv_rows(headings: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Yield CSV piece by piece; what a spreadsheet would take for a formula gets a ``'`` before it."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(map(_harmless, headings))
    for number, row in enumerate(rows, 1):
        writer.writerow(map(_harmless, row))
        if number % _ROWS == 0:
            yield out.getvalue()
            out.seek(0)
            out.truncate()
    yield out.getvalue()


def _harmless(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    if cell.startswith(_FORMULA):
        cell = f"'{cell}"
    # Half a surrogate pair has no form in UTF-8.
    return cell if cell.isascii() else cell.encode("utf-8", "replace").decode("utf-8")


def prodigy(events: Iterable[Event], told: Callable[[str], None] = lambda _: None) -> Iterator[str]:
    """Yield events as lines that Prodigy's own reader takes, which are read back as those events.

    Those of types that it does not know are left out; at the end ``told`` is called with how many.
    """
    left: Counter[str] = Counter()
    for event in events:
        text = prodigy_records.record(event)
        if text is None:
            left[event.type] += 1
        else:
            yield text + "\n"
    if left:
        types = ", ".join(f"{kind} {count}" for kind, count in left.most_common())
        told(f"{left.total()} events left out, of types that Prodigy does not know: {types}")


def snake_case(kind: str) -> str:
    """Return an event type's name in small letters; as it is where it could not be read back."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind).lower()
    return snake if pascal_case(snake) == kind else kind
