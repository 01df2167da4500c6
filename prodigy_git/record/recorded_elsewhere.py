"""Whether other sessions have recorded a commit that the journal alone does not claim for this one.

Loaded only where HEAD went to commits that no ``git commit`` or its like made in this worktree.
"""

from __future__ import annotations

import mmap
import os
import re

from prodigy_git.record import archived, files, jsonline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from prodigy_git.record.enrolment import Enrolment
    from prodigy_git.record.new_commits import Made

_COMMIT = re.compile(rb'"type":"CommitCreated"[^\n]*?"commit":"([0-9a-f]{40,64})"')


def without(enrolment: Enrolment, made: list[Made]) -> list[Made]:
    """Return ``made`` without the brought commits that another session of the repository recorded."""
    wanted = {one.sha for one in made if one.brought}
    there = recorded(enrolment.store, enrolment.repo, wanted, enrolment.session)
    return [one for one in made if one.sha not in there or not one.brought]


def recorded(store: str, repo: str, wanted: set[str], but: str) -> set[str]:
    """Return which of the commits the logs of a repository hold, for any session ``but`` that one."""
    found: set[str] = set()
    top = f"{store}/events/{repo}"
    try:
        jobs = os.listdir(top)
    except OSError:
        return found
    for job in jobs if wanted else ():
        try:
            names = os.listdir(f"{top}/{job}")
        except OSError:
            continue
        for name in names:
            for line in _lines_with(f"{top}/{job}/{name}", wanted - found):
                try:
                    event = jsonline.decode_object(line)
                except ValueError:
                    continue
                if event.get("session_id") != but:
                    found.add(str(event.get("commit")))
    return found


def _lines_with(path: str, wanted: set[str]) -> Iterator[bytes]:
    """Yield the lines of a log file, or an archive of one, that record one of the commits."""
    if path.endswith(f".jsonl{archived.ENDING}"):
        for line in archived.lines(path, 0):
            if (hit := _COMMIT.search(line)) and hit[1].decode("ascii") in wanted:
                yield line
        return
    if not path.endswith(".jsonl"):
        return
    try:
        with (
            files.stream(path) as stream,
            mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as data,
        ):
            for hit in _COMMIT.finditer(data):
                if hit[1].decode("ascii") in wanted:
                    begin, end = data.rfind(b"\n", 0, hit.start()) + 1, data.find(b"\n", hit.end())
                    yield data[begin : end if end >= 0 else len(data)]
    except (OSError, ValueError):  # archived since, or empty
        return
