"""A transcript as plain data, the same for all programs, and how foreign values become it."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec

from prodigy_git import names
from prodigy_git.record import jsonline

Record = dict[str, Any]
Kind = Literal["user", "assistant", "thinking", "tool", "result", "system"]


class Entry(msgspec.Struct):
    """One thing that was said or done.

    A tool's call has its name in ``tool`` and what it was given in ``text``; its result has the same
    ``tool_id``. ``at`` is the time as the program wrote it. ``subagent`` says which one did it.
    """

    kind: Kind
    text: str
    at: str | None = None
    tool: str | None = None
    tool_id: str | None = None
    failed: bool | None = None
    model: str | None = None
    subagent: str | None = None


class Use(msgspec.Struct):
    """Tokens that one answer of a model took.

    ``key`` and ``request`` tell it from all others, in whichever file it is repeated: the larger
    figures count then. Without ``request`` it gives way to one that has the same key and a request.
    ``input`` are those that came from no cache, ``cache_write_1h`` the part of ``cache_write`` that was
    written for an hour. ``cost`` is in millionths of a dollar, where the program has worked it out.
    """

    key: str
    request: str | None
    model: str
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    cost: int | None = None

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.input + self.output + self.cache_read + self.cache_write


class Source(NamedTuple):
    """A transcript that is asked for.

    ``began`` is when its session did, in microseconds since 1970: it decides whose an answer is that
    several files have.
    """

    path: str
    program: str | None
    began: int


NO_MODEL = "unknown"
_LARGEST = 1 << 36
"""Tokens of an answer: no program has had so many, and SQLite adds up a hundred millions of such."""
_LONGEST_NAME = 128


def decoded(line: bytes) -> Record | None:
    """Return the JSON object on a line; None where there is none."""
    try:
        found = msgspec.json.decode(line)
    except (msgspec.MsgspecError, RecursionError):
        # JavaScript writes half a surrogate pair as an escape, which that decoder refuses.
        try:
            found = jsonline.decode(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return None
    return found if isinstance(found, dict) else None


def text(value: Any) -> str | None:
    """Return a text that is one and is not empty; else None."""
    return value if isinstance(value, str) and value else None


def name(value: Any) -> str | None:
    """Return a short name, as of a model or a tool; None for anything else."""
    found = text(value)
    return found if found and names.is_text(found) and len(found) <= _LONGEST_NAME else None


def count(value: Any) -> int:
    """Return a number of tokens; 0 for what can be none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST
    return value if good else 0


def micros(value: Any) -> int | None:
    """Return dollars in millionths; None for what is no sum of money."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e6
    return round(value * 1_000_000) if good else None


def fields(record: Record, name: str) -> Record:
    """Return what is an object by that name; an empty one where there is none."""
    found = record.get(name)
    return found if isinstance(found, dict) else {}


def some(record: Record, name: str) -> list[Any]:
    """Return what is an array by that name; an empty one where there is none."""
    found = record.get(name)
    return found if isinstance(found, list) else []


def digest(data: bytes) -> str:
    """Return what tells ``data`` from any other."""
    from _blake2 import blake2b  # type: ignore[import-not-found, unused-ignore]

    found: str = blake2b(data, digest_size=12).hexdigest()
    return found


def texts(content: Any) -> Iterator[str]:
    """Yield the texts of a message: it is one, or an array of parts, some of which have one."""
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str) and part is not content:
            yield part
        elif isinstance(part, dict):
            found = next((one for key in _SAID if (one := text(part.get(key)))), None)
            if found is not None:
                yield found
            elif part.get("type") in _PICTURES:
                yield f"[{part['type']}]"
            else:
                yield from _deeper(part)


_SAID = ("text", "thinking", "output", "llmContent")
_PICTURES = ("image", "input_image", "document")


def _deeper(part: Record) -> Iterator[str]:
    # The result of a tool: Claude's has `content`, Gemini's `functionResponse.response.output`.
    for key in ("content", "response", "functionResponse", "error", "message"):
        inner = part.get(key)
        if isinstance(inner, str | list | dict):
            yield from texts(inner)
            return


def said(content: Any) -> str:
    """Return the texts of a message as one."""
    return "\n".join(one for one in texts(content) if one.strip())


_TELLING = ("command", "cmd", "file_path", "filePath", "path", "pattern", "query", "url", "prompt",
            "description", "input", "patch")  # fmt: skip


def given(arguments: Any) -> str:
    """Return what a tool was given: what says most of it first, the rest as JSON."""
    if isinstance(arguments, str):
        inner = (
            decoded(arguments.encode("utf-8", "surrogatepass")) if arguments[:1] == "{" else None
        )
        if inner is None:
            return arguments
        arguments = inner
    if not isinstance(arguments, dict):
        return "" if arguments is None else _json(arguments)
    for key in _TELLING:
        value = arguments.get(key)
        if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
            value = " ".join(value)
        if isinstance(value, str) and value:
            rest = {one: what for one, what in arguments.items() if one != key}
            return value if not rest else f"{value}\n{_json(rest)}"
    return _json(arguments) if arguments else ""


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError):
        return repr(value)
