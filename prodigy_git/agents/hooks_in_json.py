"""Our hooks in a program's JSON settings: the text with them, and the text without them. Pure.

Both are made by cutting and inserting, and then read again: what comes out must be what was there, with
ours or without, or nothing is written.
"""

import dataclasses
import json
from typing import Any

from prodigy_git.agents import calls, entries, jsonc, splicing
from prodigy_git.agents.jsonc import Element, Node
from prodigy_git.agents.programs import Program, Scope
from prodigy_git.agents.splicing import Edit
from prodigy_git.errors import ProdigyError


@dataclasses.dataclass(frozen=True)
class Result:
    """A new text. ``spans`` (offset, length) are all that is ours in it, None where that is not known.

    ``made`` names the containers that were made for it: "hooks", "hooks.EVENT". At the events
    ``by_hand`` somebody else calls us; ``taken`` are those whose place another tool has.
    """

    text: str
    spans: tuple[tuple[int, int], ...] | None = ()
    made: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()


ALONE = ("WorktreeCreate",)
"""Events of which only one hook can be: a program takes the first answer, and all have run."""


def parsed(text: str, path: str) -> Node:
    """Return a settings text as values and places. Raises `ProdigyError` where it cannot be read."""
    try:
        return jsonc.parse(text if text.strip("\ufeff \t\r\n") else text + "{}")
    except jsonc.Broken as error:
        raise ProdigyError(
            f"{path} is no JSON ({error}), and was left alone: mend it first"
        ) from None


def installed(
    text: str,
    program: Program,
    scope: Scope,
    path: str,
    made: tuple[str, ...] | None = None,
    elsewhere: frozenset[str] = frozenset(),
) -> Result:
    """Return a settings text with our hooks, each once and as they are to be now.

    ``made`` are the containers that an earlier version made, see `uninstalled`; ``elsewhere`` the
    events whose place another tool has in another file. Raises `ProdigyError` where the text is no
    JSON, or has not the shape that the program asks for.
    """
    if not text.strip("\ufeff \t\r\n"):
        return _from_nothing(text, program, scope, elsewhere)
    root = parsed(text, path)
    hooks = entries.hooks_of(program, scope)
    if wrong := entries.misshapen(program, root, [one.event for one in hooks]):
        raise ProdigyError(f"{path} is not as {program.title} has it: {wrong}; it was left alone")
    wanted = {one.event: entries.wanted(program, one, scope) for one in hooks}
    there = list(entries.found(program, root))
    ours = [one for one in there if calls.is_ours(one.command())]
    by_hand = {one.event for one in there if calls.is_by_hand(one.command())}
    taken = (_taken(there) | (elsewhere & wanted.keys())) - by_hand
    for event in by_hand | taken:
        wanted.pop(event, None)
    how = splicing.style(text, root)
    edits: list[Edit] = []
    first: dict[str, entries.Entry] = {}
    surplus = []
    for one in ours:
        live = _is_live(root, one)
        if live and one.event in wanted and one.event not in first:
            first[one.event] = one
        else:
            surplus.append(one)
    if surplus:
        # Twice there, or of an event that we no longer listen to. What is left is begun with anew: what
        # is taken out and what is put in may meet at one comma.
        cleaner = splicing.apply(text, _taken_out(text, root, surplus, made))
        again = installed(cleaner, program, scope, path, made, elsewhere)
        _check(program, text, again.text, path, set(wanted))
        return dataclasses.replace(again, spans=None)
    for event, one in first.items():
        edits += _renewed(text, program, one, wanted[event], how)
    added = {event: value for event, value in wanted.items() if event not in first}
    insertions, new = _added(text, root, added, how, versioned=_versioned(program, scope))
    after = splicing.apply(text, [*edits, *insertions])
    _check(program, text, after, path, set(wanted))
    spans = None if ours else _spans(insertions)
    return Result(
        after,
        spans,
        new,
        tuple(sorted(by_hand)),
        tuple(sorted(taken & {one.event for one in hooks})),
    )


def uninstalled(text: str, program: Program, path: str, made: tuple[str, ...] | None) -> Result:
    """Return a settings text without our hooks.

    ``made`` are the containers that were made for them, which go where they are empty; None where
    nobody knows: then all that become empty go. Raises `ProdigyError` where the text is no JSON.
    """
    if not text.strip("\ufeff \t\r\n"):
        return Result(text)
    root = parsed(text, path)
    there = list(entries.found(program, root))
    ours = [one for one in there if calls.is_ours(one.command())]
    by_hand = tuple(sorted({one.event for one in there if calls.is_by_hand(one.command())}))
    if not ours:
        return Result(text, by_hand=by_hand)
    after = splicing.apply(text, _taken_out(text, root, ours, made))
    _check(program, text, after, path, set())
    return Result(after, by_hand=by_hand)


def taken(text: str, program: Program, path: str) -> set[str]:
    """Return the events that only one hook can have and another tool has. Raises `ProdigyError`."""
    return _taken(list(entries.found(program, parsed(text, path))))


def _taken(there: list[entries.Entry]) -> set[str]:
    return {
        one.event
        for one in there
        if one.event in ALONE
        and not calls.is_ours(one.command())
        and not calls.is_by_hand(one.command())
    }


def is_bare(text: str) -> bool:
    """Whether a settings text says nothing but its format's version, and has no comment."""
    root = jsonc.parse(text) if text.strip("\ufeff \t\r\n") else None
    if root is None:
        return True
    plain = json.dumps(root.value(), separators=(",", ":"))
    return plain in (
        "{}",
        '{"version":"1"}',
        '{"hooks":{}}',
        '{"version":"1","hooks":{}}',
    ) and not any(mark in text for mark in ("//", "/*"))


def _from_nothing(text: str, program: Program, scope: Scope, elsewhere: frozenset[str]) -> Result:
    listened = entries.hooks_of(program, scope)
    hooks = {
        one.event: [entries.wanted(program, one, scope)]
        for one in listened
        if one.event not in elsewhere
    }
    document = {"version": 1, "hooks": hooks} if _versioned(program, scope) else {"hooks": hooks}
    body = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    begin = len(text) if text.startswith("\ufeff") else 0
    after = text[:begin] + body + text[begin:]
    made = ("hooks", *(f"hooks.{one}" for one in hooks))
    taken = tuple(sorted(elsewhere & {one.event for one in listened}))
    return Result(after, ((begin, len(body)),), made, taken=taken)


def _is_live(root: Node, one: entries.Entry) -> bool:
    """Whether programs see an entry: of a key that stands there twice they see the last one."""
    hooks = root.member("hooks")
    member = hooks.node.member(one.event) if hooks else None
    return member is not None and member.node is (one.groups or one.array)


def _versioned(program: Program, scope: Scope) -> bool:
    """Whether a file says which version its format has: one of hooks alone does."""
    return program.version and scope != "local"


def _added(
    text: str, root: Node, added: dict[str, Any], how: splicing.Style, *, versioned: bool
) -> tuple[list[Edit], tuple[str, ...]]:
    """Return the edits that put elements at the ends of their events' arrays, and what they make."""
    if not added:
        return [], ()
    hooks = root.member("hooks")
    if hooks is None:
        fresh = {event: [value] for event, value in added.items()}
        more: list[tuple[str | None, Any]] = []
        if versioned and root.member("version") is None:
            more.append(("version", 1))
        edits = splicing.appended(text, root, [*more, ("hooks", fresh)], how)
        return edits, ("hooks", *(f"hooks.{event}" for event in fresh))
    edits, made = [], []
    members: list[tuple[str | None, Any]] = []
    for event, value in added.items():
        member = hooks.node.member(event)
        if member is None:
            members.append((event, [value]))
            made.append(f"hooks.{event}")
        else:
            # At the end: Codex trusts the hooks of others by their places.
            edits += splicing.appended(text, member.node, [(None, value)], how)
    if members:
        edits += splicing.appended(text, hooks.node, members, how)
    return edits, tuple(made)


def _renewed(
    text: str, program: Program, one: entries.Entry, wanted: dict[str, Any], how: splicing.Style
) -> list[Edit]:
    """Return the edit that makes an entry of ours what it is to be now, at its place."""
    node, value = one.element.node, wanted
    if program.shape == "groups" and one.group is not None:
        alone = len(one.array.elements) == 1
        node = one.group.node if alone else node
        value = wanted if alone else wanted["hooks"][0]
    if _plain(node.value()) == _plain(value):
        return []
    old = one.element.node.member("command") or one.element.node.member("bash")
    new = calls.command_of(value["hooks"][0] if node is not one.element.node else value)
    if old is not None and _with_command(node, one.element.node, new) == _plain(value):
        # Only the command is another one, as after an upgrade: a comment in there stays.
        return [
            Edit(old.node.start, old.node.end - old.node.start, json.dumps(new, ensure_ascii=False))
        ]
    blanks = text[text.rfind("\n", 0, node.start) + 1 : node.start]
    indent = blanks[: len(blanks) - len(blanks.lstrip())]
    lines = "\n" in text[node.start : node.end]
    here = how if lines else dataclasses.replace(how, lines=False)
    return [Edit(node.start, node.end - node.start, here.written(value, indent))]


def _with_command(node: Node, handler: Node, command: str) -> Any:
    """Return the value of an entry as it would be with another command."""
    value = node.value()
    inner = value if node is handler else value["hooks"][0]
    inner["bash" if "bash" in inner and "command" not in inner else "command"] = command
    return value


def _taken_out(
    text: str, root: Node, gone: list[entries.Entry], made: tuple[str, ...] | None
) -> list[Edit]:
    """Return the edits that take entries out, and the containers that are empty without them."""
    edits: list[Edit] = []
    by_array: dict[int, list[entries.Entry]] = {}
    for one in gone:
        by_array.setdefault(id(one.array), []).append(one)
    # From the inside outwards: a group goes with its last handler, an event with its last group.
    groups: dict[int, tuple[Node, str, list[Element]]] = {}
    for several in by_array.values():
        one = several[0]
        elements = [each.element for each in several]
        if one.group is None or one.groups is None:
            groups[id(one.array)] = (one.array, one.event, elements)
        elif splicing.is_bare(text, one.array, elements):
            groups.setdefault(id(one.groups), (one.groups, one.event, []))[2].append(one.group)
        else:
            edits += splicing.without(text, one.array, elements)
    hooks = root.member("hooks")
    assert hooks is not None  # else nothing of ours was found
    events = []
    for array, event, elements in groups.values():
        goes = made is None or f"hooks.{event}" in made
        members = [one for one in hooks.node.elements if one.node is array]
        # Of two with one name the last counts: without it the one before it would.
        goes &= sum(one.key == event for one in hooks.node.elements) == 1
        if goes and splicing.is_bare(text, array, elements) and splicing.is_plain(text, members[0]):
            events += members
        else:
            edits += splicing.without(text, array, elements)
    if not events:
        return edits
    if (
        (made is None or "hooks" in made)
        and sum(one.key == "hooks" for one in root.elements) == 1
        and splicing.is_bare(text, hooks.node, events)
        and splicing.is_plain(text, hooks)
    ):
        return [*edits, *splicing.without(text, root, [hooks])]
    return [*edits, *splicing.without(text, hooks.node, events)]


def _check(program: Program, before: str, after: str, path: str, expected: set[str]) -> None:
    """See that a text has become what it was to become. Raises `ProdigyError` where it has not."""
    try:
        root = jsonc.parse(after)
    except jsonc.Broken as error:
        raise ProdigyError(f"{path} was left alone: it would be broken ({error})") from None
    ours = [one for one in entries.found(program, root) if calls.is_ours(one.command())]
    right = sorted(one.event for one in ours) == sorted(expected)
    if not right or _others(program, jsonc.parse(before)) != _others(program, root):
        raise ProdigyError(
            f"{path} was left alone: its hooks could not be edited and all else be kept; please "
            "report it"
        )


def _others(program: Program, root: Node) -> Any:
    """Return a document's value without our hooks, and without containers that are empty."""
    value = root.value()
    hooks = value.get("hooks") if isinstance(value, dict) else None
    if isinstance(hooks, dict):
        for event, array in list(hooks.items()):
            if isinstance(array, list):
                kept = [
                    one for one in (_of_others(program, one) for one in array) if one is not None
                ]
                hooks[event] = kept
                if not kept:
                    del hooks[event]
        if not hooks:
            del value["hooks"]
    if program.version and isinstance(value, dict) and value.get("version") == "1":
        del value["version"]
    return value


def _of_others(program: Program, element: Any) -> Any:
    """Return a group without our handlers, or None where nothing of it is left."""
    if not isinstance(element, dict):
        return element
    if program.shape == "flat":
        command = element.get("command", element.get("bash"))
        return None if calls.is_ours(command) else element
    inner = element.get("hooks")
    if not isinstance(inner, list):
        return element
    kept = [
        one for one in inner if not (isinstance(one, dict) and calls.is_ours(one.get("command")))
    ]  # fmt: skip
    if len(kept) == len(inner):
        return element
    return {**element, "hooks": kept} if kept else None


def _spans(edits: list[Edit]) -> tuple[tuple[int, int], ...]:
    """Return where in the new text what edits put in stands."""
    found, moved = [], 0
    for edit in sorted(edits, key=lambda one: one.at):
        found.append((edit.at + moved, len(edit.text)))
        moved += len(edit.text)
    return tuple(found)


def _plain(value: Any) -> Any:
    """Return a value as it is compared: numbers as they are written."""
    return jsonc.parse(json.dumps(value)).value()
