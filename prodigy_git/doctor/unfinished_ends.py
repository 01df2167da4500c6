"""Conversations of agent programs that have ended, where what that asks for has not been done."""

import os
import time
from collections.abc import Iterator

from prodigy_git.doctor.finding import Finding, mended
from prodigy_git.lifecycle import program_ended
from prodigy_git.record.conversations import end_notes

_OLD = 60.0
"""Seconds after which nobody is about to do it."""


def examine(store: str, *, fix: bool) -> Iterator[Finding]:
    """Find notes on ends that nobody sees to: each command tries, so something is in its way."""
    left = set()
    for name, path in end_notes.notes(store):
        try:
            if time.time() - os.stat(path).st_mtime > _OLD:
                left.add(name)
        except OSError:
            continue  # done meanwhile
    for name in sorted(left):
        finding = Finding(
            "agent program", "warning",
            f"session {name}: its agent program has ended, and that is not recorded yet",
            f"'prodigy-git doctor --fix' says why not; 'prodigy-git finish {name}' ends the session",
        )  # fmt: skip

        def see_to(one: str = name) -> None:
            program_ended.see_to(store, one, lambda _: None)

        yield mended(finding, fix, see_to)
