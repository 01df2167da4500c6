"""Looking for a text in the fields of events: in what they say, not in how JSON writes it."""

import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from prodigy_git.errors import ProdigyError
from prodigy_git.model import jsontext
from prodigy_git.model.event import Event

Pattern = re.Pattern[str]


@dataclass(frozen=True)
class Match:
    """An event with the first place in it that matches: field, its text, where in the text."""

    event: Event
    field: str
    text: str
    start: int
    end: int


def compiled(regex: str, *, ignore_case: bool) -> Pattern:
    """Return a regular expression of Python's `re`. Raises `ProdigyError` for what is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what may mean something else in a later Python
            return re.compile(regex, re.IGNORECASE if ignore_case else 0)
    except (re.error, OverflowError, RecursionError) as error:
        raise ProdigyError(f"{regex!r} is no regular expression: {error}") from error


def literal(pattern: Pattern, field: str | None) -> str:
    """Return a text that the line of every event that matches has as it stands; '' where none is known.

    A type may be written otherwise, as ``agent_failed``, and so may numbers.
    """
    plain = pattern.pattern
    if pattern.flags & re.IGNORECASE or plain in "null":
        return ""
    as_it_stands = "[a-z]+" if field in (None, "type", "event_type") else "[A-Za-z _:-]+"
    return plain if re.fullmatch(as_it_stands, plain) else ""


def matching(
    events: Iterable[Event], pattern: Pattern, field: str | None = None
) -> Iterator[Match]:
    """Yield the events that a regular expression matches in; in ``field`` alone, if it is given.

    What a field holds is looked through value by value, also within lists and objects: strings as
    they are, anything else as JSON writes it. Names of fields are not looked at. A type is found in
    ``type``, and not once more in ``event_type``.
    """
    search = pattern.search
    for event in events:
        fields = event.fields()
        if field is not None:
            fields = {field: fields[field]} if field in fields else {}
        else:
            fields.pop("event_type", None)
        for name, value in fields.items():
            found = next(
                (
                    Match(event, name, text, *place.span())
                    for text in _texts(value)
                    if (place := search(text))
                ),
                None,
            )
            if found is not None:
                yield found
                break


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    else:
        yield jsontext.text(value)
