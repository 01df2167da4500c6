"""A report as one HTML file that needs nothing else: no network, no other file.

What comes from a log is data, never markup: it is in the page as JSON, in a script element that is not
run, and our own scripts put it in place as text. The page's policy lets no script run but ours.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Any

MARK = b"<!doctype html><!-- prodigy-git report -->"
"""What every report begins with."""

_SCRIPTS = (
    "base.js", "overview.js", "charts.js", "details.js", "lanes.js", "table.js", "main.js",
)  # fmt: skip
_LICENCES = ("NOTICE-echarts", "LICENSE-echarts", "LICENSE-zrender", "LICENSE-d3", "LICENSE-tslib")
_PLACE = re.compile(r"\{\{(\w+)\}\}")


def render(value: Mapping[str, Any], clean: Callable[[str], str]) -> str:
    """Return the page that shows a report, as `data.build` has it.

    ``clean`` makes the control characters of one line visible, as `output.clean`.
    """
    # Packed first: then each different text is cleaned once.
    shown = _cleaned(
        {**value, **{name: packed(value[name]) for name in ("attempts", "events")}}, clean
    )
    library = _asset("echarts/echarts.min.js")
    own = "(() => {\n'use strict';\n" + "\n".join(map(_asset, _SCRIPTS)) + "})();\n"
    css = _asset("report.css")
    # 'unsafe-inline' for styles alone: the charts' tooltips set theirs on their elements.
    policy = (
        f"default-src 'none'; script-src {_hash(library)} {_hash(own)}; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": html.escape(policy),
        "title": html.escape(f"{shown['job']['job_id']}: report"),
        "css": css,
        "data": _as_script_text(shown),
        "library": library,
        "script": own,
        "licences": html.escape("\n\n".join(_asset(f"echarts/{n}").strip() for n in _LICENCES)),
    }
    # In one pass: what is put in is not looked at again.
    return MARK.decode() + _PLACE.sub(lambda match: parts[match[1]], _asset("report.html"))


def packed(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return rows of the same fields as columns: a third of the length as JSON.

    {length, columns: {name: values}}; a column of few different texts is {values, at}: each row's place
    in ``values``, -1 for null.
    """
    columns: dict[str, Any] = {}
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        columns[name] = values
        if all(isinstance(value, str | None) for value in values):
            places = {
                text: n for n, text in enumerate(dict.fromkeys(v for v in values if v is not None))
            }
            if 2 * len(places) <= len(values):
                columns[name] = {
                    "values": list(places),
                    "at": [-1 if value is None else places[value] for value in values],
                }
    return {"length": len(rows), "columns": columns}


def _cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    """Return a JSON value with every text cleaned line by line."""
    if isinstance(value, str):
        # Most are; and whether a text is printable is decided much faster than it is split.
        return value if value.isprintable() else "\n".join(map(clean, value.split("\n")))
    if isinstance(value, dict):
        return {_cleaned(name, clean): _cleaned(one, clean) for name, one in value.items()}
    if isinstance(value, list):
        return [one if isinstance(one, int) else _cleaned(one, clean) for one in value]
    return value


def _as_script_text(value: Any) -> str:
    """Return JSON that no parser of HTML or JavaScript can take for anything else."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
