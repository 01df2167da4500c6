"""What is no event on its way from the hub, or to it: set aside in a file of the job, and named.

``hub-aside.jsonl``: a JSON object a line, with ``why``, where it was found, and the text as far as it
can be shown. Each is named once: when it is met again, as after the hub was restored, nothing is said.
"""

import os
from dataclasses import dataclass
from typing import Any

from prodigy_git import layout
from prodigy_git.record import clock, files, jsonline, within
from prodigy_git.store.broken import Broken

_SHOWN = 10_000
"""Bytes of a text that are kept: it is on the hub, or in the log, as it was."""
_MOST = 10_000
"""Lines of the file, after which only their count is told: a member of the hub may send any number."""


@dataclass(frozen=True)
class Aside:
    """What was set aside: ``where`` it was found, and ``why`` it is no event of its job."""

    where: str
    why: str
    text: bytes | None = None


def path_of(store: str, repo: str, job: str) -> str:
    """Return the path of what was set aside of a job."""
    return f"{layout.job_state(store, repo, job)}/hub-aside.jsonl"


def put(store: str, repo: str, job: str, found: list[Aside], say: Broken) -> None:
    """Set things aside, and name to ``say`` those that are not there yet.

    The caller holds the log's lock. Raises `OSError`.
    """
    there = {one.get("where") for one in listed(store, repo, job)}
    fresh = [one for one in found if one.where not in there][: max(0, _MOST - len(there))]
    if not fresh:
        return
    path = path_of(store, repo, job)
    within.make_folder(store, os.path.dirname(path))
    now = clock.stamp(clock.now())
    lines = [
        jsonline.encode({
            "at": now, "where": one.where, "why": one.why,
            "text": None if one.text is None
            else one.text[:_SHOWN].decode("utf-8", "backslashreplace"),
        })
        for one in fresh
    ]  # fmt: skip
    descriptor = files.create(path, os.O_WRONLY | os.O_APPEND)
    try:
        files.write_all(descriptor, ("\n".join(lines) + "\n").encode("ascii"))
    finally:
        os.close(descriptor)
    for one in fresh[:3]:
        say(f"job {job}: {one.where} was set aside: {one.why}")
    if len(fresh) > 3:
        say(f"job {job}: {len(fresh) - 3} more were set aside: {path} has them")


def listed(store: str, repo: str, job: str) -> list[dict[str, Any]]:
    """Return what was set aside of a job, as its file has it. Raises `OSError`."""
    try:
        data = files.read(path_of(store, repo, job))
    except FileNotFoundError:
        return []
    found = []
    for line in data.splitlines():
        try:
            found.append(jsonline.decode_object(line))
        except ValueError:
            continue  # half of one, of a process that was killed
    return found
