"""Which files of its worktree the programs of a session edited, and when: all that they told."""

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from prodigy_git import layout
from prodigy_git.record import clock, files, jsonline
from prodigy_git.store.edits import within

_MOST_READ = 64 << 20  # bytes of an activity file, from its end


class Edit(NamedTuple):
    """That a program edited a file, with which model if that is known; ``moment`` as of a commit."""

    moment: int
    program: str
    program_session: str
    model: str | None


def of_session(
    store: str, repo: str, session: str, top: str, broken: Callable[[str], None]
) -> dict[str, list[Edit]]:
    """Return the edits of the files of a session's worktree ``top`` by their paths in it, in order.

    ``broken`` is told where it cannot be read what there is.
    """
    inside = top.rstrip("/") + "/"
    named: dict[str, str | None] = {}
    found: dict[str, list[Edit]] = {}
    models: dict[tuple[str, str], str] = {}
    for line in _lines(layout.activity(store, repo, session), broken):
        edit = _edit_of(line, models)
        paths = line.get("files")
        if edit is None or not isinstance(paths, list):
            continue
        for path in paths:
            if not isinstance(path, str):
                continue
            if path not in named:
                named[path] = within(path, inside)
            name = named[path]
            if name is not None:
                found.setdefault(name, []).append(edit)
    return found


def _lines(path: str, broken: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    try:
        descriptor, about = files.opened(path)
        try:
            data = os.pread(descriptor, _MOST_READ, max(0, about.st_size - _MOST_READ))
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return
    except OSError as error:
        broken(f"{path} cannot be read ({error.strerror})")
        return
    for text in data.split(b"\n"):
        if b'"model"' in text or b'"files"' in text:
            try:
                yield jsonline.decode_object(text)
            except ValueError:
                continue


def _edit_of(line: dict[str, Any], models: dict[tuple[str, str], str]) -> Edit | None:
    program, name, model = line.get("program"), line.get("program_session"), line.get("model")
    moment = clock.parse(str(line.get("at")))
    if not isinstance(program, str) or not isinstance(name, str) or moment is None:
        return None
    if isinstance(model, str) and not line.get("subagent"):
        models[program, name] = model
    if line.get("failed"):
        return None
    return Edit(moment, program, name, models.get((program, name)))
