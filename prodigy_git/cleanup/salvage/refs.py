"""The refs that hold a salvage: what they are called, and how refs are written."""

import os
import time
from collections.abc import Callable

from prodigy_git.cleanup.salvage.uncommitted import ask
from prodigy_git.record.gitdir import Place

_HELD = ("File exists", "cannot lock references")
"""What git says of a lock that another holds: on refs in files, in reftables (for that only 0.1 s)."""
Update = Callable[[bytes], tuple[int, bytes, str]]
"""Does what `update_refs` does in a repository."""


def ref_name(session: str, moment: str) -> str:
    """Return the salvage ref of a session's entry ``moment`` (``20260111T120000.123456Z``).

    Where one ref is not enough, the others' names are this one with ``-2`` and so on. There is none
    where nothing is below what lies apart.
    """
    # A session id may hold what a ref's name may not (git-check-ref-format(1)); it has no %.
    if ".." in session or session.endswith((".", ".lock")):
        session = session.replace(".", "%2E")
    return f"refs/prodigy/salvage/{session}/{moment.replace('.', '-')}"


def ref_names(session: str, moment: str, count: int) -> list[str]:
    """Return the names of as many salvage refs."""
    ref = ref_name(session, moment)
    return [ref if number == 1 else f"{ref}-{number}" for number in range(1, count + 1)]


def patterns(ref: str) -> tuple[str, str]:
    """Return what all refs of a salvage match, by the name of the first."""
    # Earlier versions wrote {ref}-tag-N, too, and ref was at the commit that holds all.
    return ref, f"{ref}-*"


def moment_of(ref: str) -> str:
    """Return the entry's name that a salvage ref belongs to."""
    return ".".join(os.path.basename(ref).rsplit("-", 1))


def update_refs(place: Place, request: bytes) -> tuple[int, bytes, str]:
    """Run a transaction of ``git update-ref --stdin``; again where another process holds a lock."""
    for pause in (0.01, 0.05, 0.2, 1.0, 0):
        answer = ask(place, "update-ref", "--no-deref", "--stdin", stdin=request)
        if answer[0] == 0 or not any(words in answer[2] for words in _HELD):
            break
        time.sleep(pause)
    return answer
