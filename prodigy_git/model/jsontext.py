"""JSON for whoever reads what we print or export: on one line, in ASCII, and always valid."""

import json
import math
from typing import Any


def text(value: Any) -> str:
    """Return a JSON value on one line, in ASCII; null for numbers that JSON has no form for."""
    return _text(value, ensure_ascii=True)


def utf8(value: Any) -> bytes:
    """Return what `text` does in UTF-8, which has no form for half a surrogate pair: ``?`` there."""
    return _text(value, ensure_ascii=False).encode("utf-8", "replace")


def _text(value: Any, *, ensure_ascii: bool) -> str:
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=ensure_ascii)
    except ValueError:
        return json.dumps(_finite(value), separators=(",", ":"), ensure_ascii=ensure_ascii)


def _finite(value: Any) -> Any:
    """Return ``value`` with null for the numbers that JSON has no form for; a log may hold them."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value
