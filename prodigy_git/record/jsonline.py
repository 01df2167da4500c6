"""JSON without ``import json``, whose start-up costs a hook as much as everything it does.

The standard library's own C scanner and encoder are used directly; `json` is imported only where an
interpreter does not have them, or to explain a text that does not parse.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Scanning:
    """What the C scanner reads its settings from; the values are `json.JSONDecoder`'s defaults."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    array_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


class _Lenient(_Scanning):
    """The same, for strings that have control characters in them."""

    strict = False


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


try:
    from _json import encode_basestring_ascii, make_encoder, make_scanner

    _scan: Any = make_scanner(_Scanning)  # type: ignore[arg-type]  # it only reads attributes
    _scan_leniently: Any = make_scanner(_Lenient)  # type: ignore[arg-type]
    _encoder: Any = make_encoder(
        None, _refuse, encode_basestring_ascii, None, ":", ",", False, False, False
    )
except (ImportError, AttributeError, TypeError):  # not CPython, or a CPython with other internals
    _scan = _scan_leniently = _encoder = None

SPACE = " \t\n\r"
"""What may stand between the parts of JSON."""
_DEEPEST = 200
"""Levels of nesting. How many more there is the stack for depends on who asks."""


def encode(value: Any) -> str:
    """Return ``value`` as JSON on one line, in ASCII; lone surrogates become ``\\udcXX`` escapes.

    Raises `TypeError` for what JSON has no form for, `ValueError` for NaN and infinities.
    """
    if _encoder is not None:
        return "".join(_encoder(value, 0))
    import json

    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def line(value: Any) -> bytes:
    """Return ``value`` as the line that stands in a file. Raises as `encode`."""
    return (encode(value) + "\n").encode("ascii")


def decode(text: str) -> Any:
    """Return the value that ``text`` holds. Raises `ValueError` where it is not one JSON value."""
    value, end = first(text)
    if text[end:].strip(SPACE):
        raise ValueError("more than one JSON value")
    return value


def first(text: str, start: int = 0, *, strict: bool = True) -> tuple[Any, int]:
    """Return the JSON value that begins at ``start``, and where it ends, whatever stands behind it.

    Not ``strict``, a string may hold control characters as they are. Raises `ValueError` where there is
    no value.
    """
    while start < len(text) and text[start] in SPACE:
        start += 1
    try:
        if _scan is not None:
            value, end = (_scan if strict else _scan_leniently)(text, start)
        else:
            import json

            value, end = json.JSONDecoder(strict=strict).raw_decode(text, start)
    except (StopIteration, SystemError):
        # The scanner raises json.JSONDecodeError, unless json was never imported: then it fails
        # without an exception, and the interpreter makes a SystemError of that.
        raise ValueError("not JSON") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if text.count("{", start, end) + text.count("[", start, end) > _DEEPEST and _is_deep(value):
        raise ValueError("nested too deeply")
    return value, int(end)


def _is_deep(value: Any) -> bool:
    """Whether a value is nested more deeply than is read."""
    level = [value]
    for _ in range(_DEEPEST + 1):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
        level = inner
        if not level:
            return False
    return True


def decode_object(data: bytes) -> dict[str, Any]:
    """Return the object that UTF-8 ``data`` holds. Raises `ValueError` for anything else."""
    value = decode(data.decode("utf-8"))
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value
