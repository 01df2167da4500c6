"""JSON with comments and trailing commas, read so that each value's place in the text is known.

Settings files are edited by hand: what is not ours must stay as it is, to the byte. So no document is
ever written anew; `splicing` cuts and inserts at the places found here. Libraries were tried. json-five
keeps all, but takes 1.5 seconds for 100 KB and reads JSON5, which the programs refuse. json5kit knows
no block comments and no byte order mark, json-source-edit no comments.
"""

import dataclasses
import json
import re
from typing import Any

_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_BLANKS = re.compile(r"[ \t\r\n]*")
_LINE_COMMENT = re.compile(r"//[^\r\n]*")
_WORDS = {"true": True, "false": False, "null": None}
_DEEPEST = 200  # levels; the parser calls itself for each


class Broken(ValueError):
    """A text is no JSON, with comments or without; the message says where and why."""


@dataclasses.dataclass
class Node:
    """A value: ``start`` and ``end`` in the text. ``kind`` is object, array or scalar.

    Of an object or array, ``last`` is where the last thing before its closing bracket ends: an element,
    its comma, a comment, else the opening bracket.
    """

    kind: str
    start: int
    end: int
    scalar: Any = None
    elements: list["Element"] = dataclasses.field(default_factory=list)
    last: int = 0

    def value(self) -> Any:
        """Return what a program reads: of a key that stands there twice, the last one."""
        if self.kind == "object":
            return {one.key: one.node.value() for one in self.elements}
        if self.kind == "array":
            return [one.node.value() for one in self.elements]
        return self.scalar

    def member(self, key: str) -> "Element | None":
        """Return the element of an object that programs see under a key, None where there is none."""
        if self.kind != "object":
            return None
        return next((one for one in reversed(self.elements) if one.key == key), None)


@dataclasses.dataclass
class Element:
    """What an object or array has: ``start`` is its key's or its value's, ``end`` its value's.

    ``lead`` is where the thing before it ends, a comment perhaps; ``comma`` where the comma behind it
    stands, None where there is none.
    """

    lead: int
    start: int
    end: int
    node: Node
    key: str | None = None
    comma: int | None = None


def parse(text: str) -> Node:
    """Return the value that a text is; a byte order mark before it is passed over. Raises `Broken`."""
    begin = 1 if text.startswith("\ufeff") else 0
    start, _ = _passed_over(text, begin)
    node = _value(text, start, 0)
    rest, _ = _passed_over(text, node.end)
    if rest < len(text):
        raise _broken(text, rest, "something follows the end of the value")
    return node


def _passed_over(text: str, at: int) -> tuple[int, int]:
    """Return where the next token is, and where the last comment before it ends: ``at`` without one."""
    last = at
    while True:
        found = _BLANKS.match(text, at)
        assert found is not None  # it matches nothing, too
        at = found.end()
        if text.startswith("//", at):
            comment = _LINE_COMMENT.match(text, at)
            assert comment is not None
            at = last = comment.end()
        elif text.startswith("/*", at):
            close = text.find("*/", at + 2)
            if close < 0:
                raise _broken(text, at, "a comment has no end")
            at = last = close + 2
        else:
            return at, last


def _value(text: str, at: int, depth: int) -> Node:
    if depth > _DEEPEST:
        raise _broken(text, at, "it is nested too deeply")
    first = text[at : at + 1]
    if first in ("{", "["):
        return _container(text, at, depth)
    if first == '"':
        end = string_end(text, at)
        return Node("scalar", at, end, json.loads(text[at:end]))
    found = _NUMBER.match(text, at)
    if found and found.end() > at:
        # As it is written, a number is never asked for: ours are no numbers of others.
        return Node("scalar", at, found.end(), found[0])
    for word, value in _WORDS.items():
        if text.startswith(word, at):
            return Node("scalar", at, at + len(word), value)
    raise _broken(text, at, "no value begins here" if first else "it ends too early")


def _container(text: str, at: int, depth: int) -> Node:
    kind, close = ("object", "}") if text[at] == "{" else ("array", "]")
    node = Node(kind, at, at)
    last, needs_comma = at + 1, False
    while True:
        at, last = _passed_over(text, last)
        if text.startswith(close, at):
            node.end, node.last = at + 1, last
            return node
        if needs_comma:
            raise _broken(text, at, "a comma is missing" if at < len(text) else "it ends too early")
        element = _element(text, at, last, kind, depth)
        node.elements.append(element)
        at, last = _passed_over(text, element.end)
        if text.startswith(",", at):
            element.comma = at
            last = at + 1
        else:
            last, needs_comma = element.end, True


def _element(text: str, at: int, lead: int, kind: str, depth: int) -> Element:
    start, key = at, None
    if kind == "object":
        if not text.startswith('"', at):
            raise _broken(
                text, at, "a key in quotes is missing" if at < len(text) else "it ends too early"
            )
        end = string_end(text, at)
        key = str(json.loads(text[at:end]))
        at, _ = _passed_over(text, end)
        if not text.startswith(":", at):
            raise _broken(text, at, "a colon is missing")
        at, _ = _passed_over(text, at + 1)
    node = _value(text, at, depth + 1)
    return Element(lead, start, node.end, node, key)


def string_end(text: str, at: int) -> int:
    """Return where a string ends that begins at ``at``. Raises `Broken` where there is none."""
    found = _STRING.match(text, at)
    if found is None:
        raise _broken(text, at, "a string has no end, or a character that it may not have")
    return found.end()


def _broken(text: str, at: int, why: str) -> Broken:
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    return Broken(f"line {line}, column {column}: {why}")
