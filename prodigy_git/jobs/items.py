"""A job's work items: read from what the user gives, and kept beside the job's state.

They are the job's input, not its state: written once, whole, before the event that opens the job, and
never changed.
"""

import os
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import msgspec

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import given
from prodigy_git.record import files, jsonline

_NAMES = ("id", "item_id")


class _Line(msgspec.Struct):
    id: str
    data: msgspec.Raw


def parse(text: bytes, json_path: str | None, *, where: str) -> list[tuple[str, Any]]:
    """Return [(id, data)] of a JSON array, of JSON lines, or of what a JSONPath picks out.

    The id is what an item has in its field ``id`` or ``item_id``, if that is a number or a safe name;
    else ``item-{n}``, counted from 1. Raises `ProdigyError`, naming ``where``, for anything that is
    no JSON, for an id that comes twice, or where there is no item at all.
    """
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProdigyError(f"{where}: not UTF-8 at byte {error.start}") from error
    if json_path is not None:
        found = _picked(_document(decoded, where), json_path)
    elif decoded.lstrip().startswith("["):
        found = _document(decoded, where)
    else:
        found = _lines(decoded, where)
    if not found:
        raise ProdigyError(f"{where}: no items in it")
    return named(found, where)


def _document(text: str, where: str) -> Any:
    try:
        return jsonline.decode(text)
    except ValueError as error:
        raise ProdigyError(f"{where}: {_explained(text, error)}") from error


def _explained(text: str, error: ValueError) -> str:
    import json

    try:
        json.loads(text)
    except RecursionError:
        return f"nested too deeply: an item may have {given.DEEPEST} levels"
    except ValueError as better:
        return f"not JSON ({better})"
    # It is JSON, and yet more than is read.
    return f"{error}: an item may have {given.DEEPEST} levels"


def _lines(text: str, where: str) -> list[Any]:
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                found.append(jsonline.decode(line))
            except ValueError as error:
                raise ProdigyError(
                    f"{where}:{number}: {_explained(line, error)}; give a JSON array, one JSON "
                    "value a line, or --json-path"
                ) from error
    return found


def _picked(document: Any, json_path: str) -> list[Any]:
    import jsonpath

    try:
        found = jsonpath.findall(json_path, document)
    except jsonpath.JSONPathError as error:
        raise ProdigyError(f"--json-path {json_path!r}: {error}") from error
    # '$.files' names the array itself, '$.files[*]' what is in it: both mean the same here.
    return found[0] if len(found) == 1 and isinstance(found[0], list) else found


def named(found: list[Any], where: str) -> list[tuple[str, Any]]:
    """Return items with their ids, as `parse` gives them.

    Raises `ProdigyError` for an id that recurs, and for data that JSON has no form for that is read
    back everywhere (`given.json_value`).
    """
    ids = [_id_of(data) for data in found]
    seen: dict[str, int] = {}
    for number, name in enumerate(ids, 1):
        if name is not None and seen.setdefault(name, number) != number:
            raise ProdigyError(f"{where}: items {seen[name]} and {number} have the same id, {name}")
    items = []
    for number, (name, data) in enumerate(zip(ids, found, strict=True), 1):
        fresh = name or f"item-{number}"
        while name is None and fresh in seen:
            fresh += "-1"  # an id that was given looks like one that was not
        seen.setdefault(fresh, number)
        given.json_value(data, f"{where}: item {fresh}")
        items.append((fresh, data))
    return items


def _id_of(data: Any) -> str | None:
    if not isinstance(data, dict):
        return None
    for field in _NAMES:
        value = data.get(field)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and names.is_safe(value):
            return value
    return None


def write(store: str, repo: str, job: str, items: list[tuple[str, Any]]) -> str:
    """Write a job's items, durably and whole; return the SHA-256 of the file in hex.

    Raises `OSError`; `ProdigyError`, before anything is written, for items that could not be read back.
    """
    text = _text(items)
    path = layout.items(store, repo, job)
    files.make_private(os.path.dirname(path))
    files.replace(path, text)
    return sha256(text).hexdigest()


def _text(items: list[tuple[str, Any]]) -> bytes:
    """Return the file of some items, each line read back by the decoders that will read it."""
    named = msgspec.json.Decoder(_Line).decode
    lines = []
    for name, data in items:
        try:
            line = jsonline.encode({"id": name, "data": data})
            jsonline.decode(line)
            if named(line.encode("ascii")).id != name:
                raise ValueError("it is read back with another id")
        except (ValueError, TypeError, RecursionError, msgspec.MsgspecError) as error:
            raise ProdigyError(f"item {name}: cannot be kept as JSON ({error})") from error
        lines.append(line)
    return ("\n".join(lines) + "\n").encode("ascii")


def read(path: str) -> Iterator[tuple[str, int, int]]:
    """Yield (id, offset, length) of each line of a job's items. Raises `OSError`, `ProdigyError`."""
    decode = msgspec.json.Decoder(_Line).decode
    offset = 0
    with files.stream(path) as stream:
        for number, line in enumerate(stream, 1):
            try:
                name = decode(line).id
            except (msgspec.MsgspecError, RecursionError) as error:
                raise ProdigyError(f"{path}:{number}: no item ({error}): restore it") from error
            yield name, offset, len(line.rstrip(b"\n"))
            offset += len(line)


def data_at(path: str, name: str, offset: int, length: int) -> Any:
    """Return the data of the item ``name``, which is at a place of the file.

    Raises `OSError`; `ValueError` where there is something else.
    """
    descriptor = files.open_regular(path)
    try:
        line = jsonline.decode_object(os.pread(descriptor, length, offset))
    finally:
        os.close(descriptor)
    if line.get("id") != name:
        raise ValueError("another item is in its place")
    return line.get("data")
