"""What stands under ``hooks`` in a program's settings: our entries made, and found again."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from prodigy_git.agents import calls
from prodigy_git.agents.jsonc import Element, Node
from prodigy_git.agents.programs import Hook, Program, Scope

NAME = "prodigy-git"
"""What our hooks are called where a program gives them names."""


@dataclasses.dataclass
class Entry:
    """One handler of an event: the array that has it, its element there, and what it is.

    ``group`` is the element of the group that it is in, where the program has groups.
    """

    event: str
    array: Node
    element: Element
    value: dict[str, Any]
    group: Element | None = None
    groups: Node | None = None

    def command(self) -> object:
        """Return the command, of Copilot by whichever of its names."""
        return self.value.get("command", self.value.get("bash"))


def wanted(program: Program, hook: Hook, scope: Scope) -> dict[str, Any]:
    """Return the element that an event's array is to have. Raises as `calls.text`."""
    command = calls.text(program, hook, scope)
    if program.shape == "flat":
        if program.name == "copilot":
            return {"type": "command", "bash": command, "timeoutSec": hook.seconds}
        return {"command": command, "timeout": hook.seconds}
    handler: dict[str, Any] = {"type": "command", "command": command}
    handler["timeout"] = hook.seconds * 1000 if program.milliseconds else hook.seconds
    if program.name == "gemini":
        handler["name"] = NAME
    group = {} if hook.matcher is None else {"matcher": hook.matcher}
    return {**group, "hooks": [handler]}


def hooks_of(program: Program, scope: Scope) -> tuple[Hook, ...]:
    """Return the events that we listen to in a scope's file."""
    return tuple(hook for hook in program.hooks if hook.portable or scope != "project")


def found(program: Program, root: Node) -> Iterator[Entry]:
    """Yield each handler of each event that has the shape it should have; the rest is not ours."""
    hooks = root.member("hooks")
    if hooks is None or hooks.node.kind != "object":
        return
    for event in hooks.node.elements:
        # Of a key that stands there twice programs see the last one; ours may be in the first, too.
        if event.node.kind == "array":
            yield from _of_event(program, str(event.key), event.node)


def _of_event(program: Program, event: str, array: Node) -> Iterator[Entry]:
    for element in array.elements:
        if element.node.kind != "object":
            continue
        if program.shape == "flat":
            yield Entry(event, array, element, element.node.value())
            continue
        inner = element.node.member("hooks")
        if inner is None or inner.node.kind != "array":
            continue
        for handler in inner.node.elements:
            if handler.node.kind == "object":
                yield Entry(event, inner.node, handler, handler.node.value(), element, array)


def misshapen(program: Program, root: Node, events: list[str]) -> str | None:
    """Return what of a document has not the shape that the program asks for, None where all has it."""
    if root.kind != "object":
        return "it is no object"
    hooks = root.member("hooks")
    if hooks is None:
        return None
    if hooks.node.kind != "object":
        return 'its "hooks" is no object'
    for event in events:
        member = hooks.node.member(event)
        if member is None:
            continue
        if member.node.kind != "array":
            return f'its "hooks.{event}" is no array'
        for number, element in enumerate(member.node.elements):
            where = f'its "hooks.{event}[{number}]"'
            if element.node.kind != "object":
                return f"{where} is no object"
            inner = element.node.member("hooks")
            if program.shape == "groups" and (inner is None or inner.node.kind != "array"):
                return f'{where} has no array "hooks"'
    return None
