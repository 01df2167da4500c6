"""What callers give to a job's steps, checked before anything is written.

All of it raises `ProdigyError`, with one line that says what is wrong: programs call with whatever
their own data hold.
"""

import math
import re
from collections.abc import Iterable
from typing import Any

from prodigy_git import encoding
from prodigy_git.errors import ProdigyError
from prodigy_git.record import clock, jsonline

MOST_ATTEMPTS = 1000
LONGEST_LEASE = 10 * 366 * 86400 * clock.SECOND
"""In microseconds. A claim that is to live longer than this was meant in another unit."""
LONGEST_BACKOFF = 7 * 86400
"""In seconds; what waits longer waits for a person."""
LARGEST_RESULT = 500_000
"""Bytes of JSON that an item may yield: it is a line of the log, which every reader comes through."""
DEEPEST = 100
"""Levels of nesting of what is kept as JSON. It is read again as a part of other documents, which have
levels of their own, up to `jsonline`'s 200."""

_COMMIT = re.compile("[0-9a-f]{7,64}")
_MOST_SHOWN = 60


def json_value(value: Any, what: str) -> None:
    """Refuse what JSON has no form for that every reader takes, naming its place within ``what``.

    Numbers that are not finite, half a UTF-16 pair (which JSON text may have, and no UTF-8), names of
    fields that are no strings, more than `DEEPEST` levels, and objects of any other kind.
    """
    _checked(value, what, "", DEEPEST)


def _checked(value: Any, what: str, where: str, depth: int) -> None:
    if value is None or isinstance(value, bool | int):
        return
    if isinstance(value, str):
        if not _is_text(value):
            raise ProdigyError(
                f"{_place(what, where)} has half of a UTF-16 pair, as of a text that was cut within "
                "a character: mend the text"
            )
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ProdigyError(f"{_place(what, where)}: JSON has no form for {value}")
    elif depth == 0:
        raise ProdigyError(f"{what} is nested more than {DEEPEST} levels deep")
    elif isinstance(value, dict):
        for name, one in value.items():
            if not isinstance(name, str):
                raise ProdigyError(
                    f"{_place(what, where)}: the name of a field is no string: {name!r:.40}"
                )
            if not _is_text(name):
                raise ProdigyError(
                    f"{_place(what, where)}: the name of a field has half of a UTF-16 pair: "
                    f"{encoding.valid(name)!r:.40}"
                )
            _checked(one, what, f"{where}.{name}", depth - 1)
    elif isinstance(value, list | tuple):
        for number, one in enumerate(value):
            _checked(one, what, f"{where}[{number}]", depth - 1)
    else:
        raise ProdigyError(f"{_place(what, where)}: JSON has no form for {type(value).__name__}")


def _is_text(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _place(what: str, where: str) -> str:
    if not where:
        return what
    shown = where.removeprefix(".")
    if len(shown) > _MOST_SHOWN:
        shown = f"{shown[:_MOST_SHOWN]}…"
    return f"{what}: {shown!r}"


def result(value: Any) -> Any:
    """Return what an item has yielded, if the log can hold it."""
    json_value(value, "the result")
    size = len(jsonline.encode(value))
    if size > LARGEST_RESULT:
        raise ProdigyError(
            f"the result has {size} bytes, more than {LARGEST_RESULT}: put it into a file, and its "
            "path here"
        )
    return value


def outputs(value: Any) -> dict[str, Any]:
    """Return what a phase has yielded, by key, if the log can hold it."""
    if not isinstance(value, dict) or "" in value:
        raise ProdigyError(f"outputs {value!r:.40}: give a dictionary, each key a text")
    json_value(value, "the outputs")
    size = len(jsonline.encode(value))
    if size > LARGEST_RESULT:
        raise ProdigyError(
            f"the outputs have {size} bytes, more than {LARGEST_RESULT}: put them into a file, and its "
            "path here"
        )
    return value


def max_attempts(value: Any) -> int:
    """Return how often an item is to be tried, if it is that."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_ATTEMPTS:
        raise ProdigyError(f"max_attempts {value!r:.40}: give a number from 1 to {MOST_ATTEMPTS}")
    return value


def lease(seconds: Any) -> int:
    """Return a lease that was given in seconds in microseconds."""
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    # Compared first: a number may be too great to be multiplied.
    if is_number and 0 < seconds <= LONGEST_LEASE // clock.SECOND:
        return max(1, int(seconds * clock.SECOND))
    raise ProdigyError(
        f"lease {seconds!r:.40}: give seconds, more than 0 and at most {LONGEST_LEASE // clock.SECOND}"
    )


def wait(seconds: Any) -> int:
    """Return how long is waited, which was given in seconds, in microseconds; infinite is for ever."""
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if is_number and seconds >= 0:
        return int(min(seconds, 1 << 40) * clock.SECOND)
    raise ProdigyError(f"wait {seconds!r:.40}: give seconds, 0 or more")


def backoff(seconds: Any) -> int:
    """Return how long a failed item is to wait, which was given in seconds, in milliseconds."""
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if is_number and 0 <= seconds <= LONGEST_BACKOFF:
        return int(seconds * 1000)
    raise ProdigyError(f"backoff {seconds!r:.40}: give seconds, from 0 to {LONGEST_BACKOFF}")


def commits(names: Any) -> list[str]:
    """Return commits' names in lower case, if each has the form of one; whether git has it or not."""
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise ProdigyError(f"commits {names!r:.40}: give a list of commits' names")
    found = []
    for name in names:
        lowered = name.lower() if isinstance(name, str) else ""
        if not _COMMIT.fullmatch(lowered):
            shown = encoding.valid(name)[:80] if isinstance(name, str) else repr(name)[:80]
            raise ProdigyError(f"commit {shown} is no commit's name: give 7 to 64 hex digits")
        found.append(lowered)
    return found


def text(value: Any, what: str) -> str:
    """Return a text that every reader of the log takes; bytes that are no text are made readable."""
    if not isinstance(value, str):
        raise ProdigyError(f"{what} {value!r:.40} is not a string")
    return encoding.valid(value)
