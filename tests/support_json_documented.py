"""What docs/reference/json*.md say that --json prints, and what of a value is not as they say."""

import re
from pathlib import Path

PAGES = sorted((Path(__file__).parents[1] / "docs" / "reference").glob("json*.md"))
HUB = (PAGES[0].parent / "json-hub.md").read_text()
"""What the commands print that ask a server: the tests of the hub look at that."""
DOCUMENT = "\n".join(page.read_text() for page in PAGES)
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
PLAIN = {
    "text": lambda v: isinstance(v, str) and not MOMENT.fullmatch(v),
    "moment": lambda v: isinstance(v, str) and MOMENT.fullmatch(v),
    "path": lambda v: isinstance(v, str) and v.startswith("/"),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "any": lambda v: True,
}


def rows(heading):
    """Return the cells of the rows of the first table below each occurrence of a heading's text."""
    found = []
    for part in DOCUMENT.split(heading)[1:]:
        table = re.search(r"^\| ---.*\n((?:\| .*\n)*)", part, re.MULTILINE)
        lines = table[1].splitlines()
        found += [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    return found


COMMANDS = {words.strip("`"): kind for words, kind, _ in rows("| command | prints |")}
SHAPES = {
    name: dict(re.findall(r"`(\w+)` ([^`,]+)", keys)) for name, keys in rows("| name | keys |")
}
MEANINGS = [key for key, *_ in rows("## What the keys mean")]


def wrong(value, kind, where, seen):
    """Return what of a value is not as documented; note in ``seen`` the keys that there were."""
    kind = kind.strip().removesuffix(" or absent")
    if kind.startswith("one of "):
        tried = [wrong(value, one, where, set()) for one in kind[7:].split(", ")]
        best = min(range(len(tried)), key=lambda n: len(tried[n]))
        return wrong(value, kind[7:].split(", ")[best], where, seen)
    if kind.endswith(" or null"):
        return [] if value is None else wrong(value, kind.removesuffix(" or null"), where, seen)
    if kind.startswith("list of "):
        if not isinstance(value, list):
            return [f"{where}: no list"]
        return [w for one in value for w in wrong(one, kind[8:], f"{where}[]", seen)]
    if kind.startswith("map of "):
        if not isinstance(value, dict):
            return [f"{where}: no object"]
        return [w for one in value.values() for w in wrong(one, kind[7:], f"{where}.*", seen)]
    if kind in PLAIN:
        return [] if PLAIN[kind](value) else [f"{where}: {value!r} is no {kind}"]
    if not isinstance(value, dict):
        return [f"{where}: {value!r} is no {kind}"]
    shape = SHAPES[kind]
    seen.update((kind, key) for key in value)
    found = [f"{where}.{key}: not documented" for key in value if key not in shape]
    for key, one in shape.items():
        if key in value:
            found += wrong(value[key], one, f"{where}.{key}", seen)
        elif not one.strip().endswith(" or absent"):
            found.append(f"{where}.{key}: missing")
    return found
