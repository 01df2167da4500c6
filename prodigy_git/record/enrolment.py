"""The enrolment of a worktree: where its commits are recorded, and whether it is its own.

What was moved or copied brings an enrolment that does not fit its place: `whose` is asked then.
`enrolment_file` reads and writes what the file says.
"""

from __future__ import annotations

from prodigy_git.record.enrolment_file import Enrolment as Enrolment
from prodigy_git.record.enrolment_file import as_written as as_written
from prodigy_git.record.enrolment_file import claim as claim
from prodigy_git.record.enrolment_file import envelope as envelope
from prodigy_git.record.enrolment_file import in_file as in_file
from prodigy_git.record.enrolment_file import is_at as is_at
from prodigy_git.record.enrolment_file import knows as knows
from prodigy_git.record.enrolment_file import ours as ours
from prodigy_git.record.enrolment_file import own_suffix as own_suffix
from prodigy_git.record.enrolment_file import parsed as parsed
from prodigy_git.record.enrolment_file import write as write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prodigy_git.record.enrolment_file import Start as Start


def read(private: str) -> Enrolment | None:
    """Return this user's enrolment in a private git directory, None where it has none of its own.

    A copy of a repository has none, though the file was copied with it: it is the original's. Where
    the store was moved, ``store`` is where it is now. Raises `ValueError` for one that is damaged.
    """
    there = as_written(private)
    if there is None or (is_at(there, private) and knows(there.store, there)):
        return there
    from prodigy_git.record import whose  # not on the usual way

    return whose.found(private, there)
