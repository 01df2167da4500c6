"""A job's work items: read from what the user gives, and kept beside the job's state.

They are the job's input, not its state: each file of them is written once, whole, before the event
that names it (the one that opens the job, or that adds some), and never changed.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from prodigy_git import digest, layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import checked_input
from prodigy_git.jobs.ordering import Order
from prodigy_git.record import files, jsonline

_NAMES = ("id", "item_id")


class _Line(msgspec.Struct):
    id: str
    data: msgspec.Raw
    priority: int = 0
    after: list[str] = []


class Place(NamedTuple):
    """Where an item is in a job's files, and when it may be handed out."""

    name: str
    file: str | None
    """The digest of the file that it came with later; None: it is of those that the job began with."""
    offset: int
    length: int
    priority: int = 0
    after: tuple[str, ...] = ()


def parse(text: bytes, json_path: str | None, *, where: str) -> list[tuple[str, Any]]:
    """Return [(id, data)] of what `load` reads, as `named` names it. Raises `ProdigyError`."""
    return named(load(text, json_path, where=where), where)


def load(text: bytes, json_path: str | None, *, where: str) -> list[Any]:
    """Return the items of a JSON array, of JSON lines, or of what a JSONPath picks out.

    Raises `ProdigyError`, naming ``where``, for anything that is no JSON, or where there is no item.
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
    if not isinstance(found, list) or not found:
        raise ProdigyError(f"{where}: no items in it")
    return found


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
        return f"nested too deeply: an item may have {checked_input.DEEPEST} levels"
    except ValueError as better:
        return f"not JSON ({better})"
    # It is JSON, and yet more than is read.
    return f"{error}: an item may have {checked_input.DEEPEST} levels"


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


def named(
    found: list[Any],
    where: str,
    *,
    begin: int = 0,
    is_taken: Callable[[str], bool] = lambda _: False,
) -> list[tuple[str, Any]]:
    """Return items with their ids.

    The id is what an item has in its field ``id`` or ``item_id``, if that is a number or a safe name;
    else ``item-{n}``, counted from 1, or in a job that has ``begin`` items already from there on;
    ``is_taken`` says which names those have. Raises `ProdigyError` for an id that recurs, and for data
    that JSON has no form for that is read back everywhere (`checked_input.json_value`).
    """
    ids = [_id_of(data) for data in found]
    seen: dict[str, int] = {}
    for number, name in enumerate(ids, 1):
        if name is not None and seen.setdefault(name, number) != number:
            raise ProdigyError(f"{where}: items {seen[name]} and {number} have the same id, {name}")
    items = []
    for number, (name, data) in enumerate(zip(ids, found, strict=True), 1):
        fresh = name or f"item-{begin + number}"
        while name is None and (fresh in seen or is_taken(fresh)):
            fresh += "-1"  # an id that was given looks like one that was not
        seen.setdefault(fresh, number)
        checked_input.json_value(data, f"{where}: item {fresh}")
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


def write(
    store: str,
    repo: str,
    job: str,
    items: list[tuple[str, Any]],
    order: dict[str, Order] | None = None,
    *,
    later: bool = False,
) -> str:
    """Write a job's items, durably and whole; return the SHA-256 of the file in hex.

    ``order`` is what `ordering.asked` says of them, ``later`` that the job has begun, and its own stay.
    Raises `OSError`; `ProdigyError`, before anything is written, for items that could not be read back.
    """
    text = _text(items, order or {})
    named = digest.sha256_hex(text)
    path = layout.items(store, repo, job)
    if later:
        path = layout.items_added(store, repo, job, named)
    files.make_private(os.path.dirname(path))
    files.replace(path, text)
    return named


def _text(items: list[tuple[str, Any]], order: dict[str, Order]) -> bytes:
    """Return the file of some items, each line read back by the decoders that will read it."""
    named = msgspec.json.Decoder(_Line).decode
    lines = []
    for name, data in items:
        try:
            fields = {"id": name, "data": data}
            if name in order:
                fields |= {"priority": order[name].priority, "after": order[name].after}
            line = jsonline.encode(fields)
            jsonline.decode(line)
            if named(line.encode("ascii")).id != name:
                raise ValueError("it is read back with another id")
        except (ValueError, TypeError, RecursionError, msgspec.MsgspecError) as error:
            raise ProdigyError(f"item {name}: cannot be kept as JSON ({error})") from error
        lines.append(line)
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def are_there(store: str, repo: str, job: str) -> bool:
    """Whether a job was given any items."""
    try:
        found = os.listdir(layout.job_state(store, repo, job))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return any(name.startswith("items") and name.endswith(".jsonl") for name in found)


def read(path: str, file: str | None = None) -> Iterator[Place]:
    """Yield the place of each of a job's items in a file. Raises `OSError`, `ProdigyError`."""
    decode = msgspec.json.Decoder(_Line).decode
    offset = 0
    with files.solid(path) as stream:
        for number, line in enumerate(stream, 1):
            try:
                found = decode(line)
            except (msgspec.MsgspecError, RecursionError) as error:
                raise ProdigyError(f"{path}:{number}: no item ({error}): restore it") from error
            length = len(line.rstrip(b"\n"))
            yield Place(found.id, file, offset, length, found.priority, tuple(found.after))
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


def sound_data(path: str, name: str, offset: int, length: int) -> Any:
    """Do what `data_at` does. Raises `ProdigyError`, which says what to do, for all that is wrong."""
    try:
        return data_at(path, name, offset, length)
    except FileNotFoundError:
        raise ProdigyError(f"{path} is missing: restore it") from None
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ProdigyError(f"{path}: item {name} cannot be read ({error}): restore it") from None
