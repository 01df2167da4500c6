"""Putting elements into a JSON text, and taking them out: all else stays as it is, to the byte.

What is put in follows the text's own way: its line ends, its indentation, its trailing commas.
"""

import dataclasses
import json
import re
from collections.abc import Sequence
from typing import Any

from prodigy_git.agents import jsonc
from prodigy_git.agents.jsonc import Element, Node

_EMPTY_OR_LINE_END = re.compile(r"[ \t]*(?:\r?\n|\Z)")


@dataclasses.dataclass(frozen=True)
class Edit:
    """At ``at``, ``length`` characters give way to ``text``."""

    at: int
    length: int
    text: str


@dataclasses.dataclass(frozen=True)
class Style:
    """How a text is written: its line end, one level of indentation, whether it has lines at all."""

    newline: str
    unit: str
    lines: bool
    spaced: bool

    def written(self, value: Any, indent: str) -> str:
        """Return a value as this text would have it, its further lines behind ``indent``."""
        if not self.lines:
            colon = ": " if self.spaced else ":"
            return json.dumps(value, ensure_ascii=False, separators=(f",{colon[1:]}", colon))
        text = json.dumps(value, ensure_ascii=False, indent=self.unit or "  ")
        return text.replace("\n", self.newline + indent)


def style(text: str, root: Node) -> Style:
    """Return how a text is written; a new or empty one gets lines, and two blanks a level."""
    newline = "\r\n" if "\r\n" in text else "\n"
    unit = "  "
    for element in root.elements:
        blanks = _indentation(text, element.start)
        if blanks:
            unit = blanks
            break
    lines = "\n" in text.strip() or not root.elements
    return Style(
        newline, unit, lines, spaced=root.elements == [] or re.search('": ', text) is not None
    )


def apply(text: str, edits: Sequence[Edit]) -> str:
    """Return a text with edits made, none of which touches another's."""
    parts, done = [], 0
    for edit in sorted(edits, key=lambda one: one.at):
        parts += [text[done : edit.at], edit.text]
        done = max(done, edit.at) + edit.length
    return "".join(parts) + text[done:]


def appended(
    text: str, container: Node, values: Sequence[tuple[str | None, Any]], how: Style
) -> list[Edit]:
    """Return the edits that put (key, value) pairs at an object's end, or values at an array's."""
    inner = text[container.start + 1 : container.end - 1]
    has_lines = "\n" in inner if container.elements else how.lines
    outer = _line_indentation(text, container.start)
    indent = outer + how.unit
    if has_lines and container.elements:
        indent = _indentation(text, container.elements[-1].start) or indent
    here = how if has_lines else dataclasses.replace(how, lines=False)
    gap = here.newline + indent if has_lines else " " if how.spaced else ""
    written = [
        (
            ""
            if key is None
            else json.dumps(key, ensure_ascii=False) + (": " if has_lines or how.spaced else ":")
        )
        + here.written(value, indent)
        for key, value in values
    ]
    edits = []
    if container.elements:
        trailing = container.elements[-1].comma is not None
        if not trailing:
            edits.append(Edit(container.elements[-1].end, 0, ","))
        body = ",".join(gap + one for one in written) + ("," if trailing else "")
    else:
        body = ",".join(gap + one for one in written)
        if not has_lines and container.last == container.start + 1:
            body = body.removeprefix(gap)
        if has_lines and "\n" not in text[container.last : container.end - 1]:
            body += here.newline + outer
    return [*edits, Edit(container.last, 0, body)]


def without(text: str, container: Node, gone: Sequence[Element]) -> list[Edit]:
    """Return the edits that take elements out of an object or array, with their commas."""
    edits: list[Edit] = []
    ranges: list[list[int]] = []
    leaving = {id(one) for one in gone}
    kept: Element | None = None
    for element in container.elements:
        if id(element) not in leaving:
            kept = element
            continue
        end = element.end
        if element.comma is not None and not text[end : element.comma].strip():
            end = element.comma + 1
        elif element.comma is not None:
            edits.append(Edit(element.comma, 1, ""))
        if ranges and ranges[-1][1] == element.lead:
            ranges[-1][1] = end
        else:
            ranges.append([element.lead, end])
    for begin, end in ranges:
        if _behind_line_comment(text, begin) and not _EMPTY_OR_LINE_END.match(text, end):
            # What comes next must not become a part of that comment.
            begin = text.index("\n", begin) + 1
        edits.append(Edit(begin, end - begin, ""))
    last = container.elements[-1]
    if id(last) in leaving and last.comma is None and kept is not None and kept.comma is not None:
        edits.append(Edit(kept.comma, 1, ""))
    return edits


def is_bare(text: str, container: Node, gone: Sequence[Element]) -> bool:
    """Whether nothing but blanks is in an object or array besides elements that are to go."""
    if len(gone) < len(container.elements):
        return False
    rest, at = "", container.start + 1
    for element in container.elements:
        rest += text[at : element.start]
        at = element.end
    return not (rest + text[at : container.end - 1]).replace(",", "").strip()


def is_plain(text: str, member: Element) -> bool:
    """Whether nothing but a colon and blanks is between a member's key and its value."""
    between = text[jsonc.string_end(text, member.start) : member.node.start]
    return not between.replace(":", "", 1).strip()


def _indentation(text: str, at: int) -> str:
    """Return the blanks before ``at`` where nothing else is before it on its line, else nothing."""
    begin = text.rfind("\n", 0, at) + 1
    blanks = text[begin:at]
    return blanks if begin and not blanks.strip() else ""


def _line_indentation(text: str, at: int) -> str:
    begin = text.rfind("\n", 0, at) + 1
    line = text[begin:at].removeprefix("\ufeff")
    return line[: len(line) - len(line.lstrip(" \t"))]


def _behind_line_comment(text: str, at: int) -> bool:
    """Whether a comment up to its line's end ends at ``at``: nothing else can, before a line end."""
    if not re.match(r"\r?\n", text[at : at + 2]):
        return False
    begin = text.rfind("\n", 0, at) + 1
    return "//" in text[begin:at]
