"""Whose a commit is in a worktree where several users have sessions.

They share one journal, and its lines do not say who wrote them: name and date are what the environment
gave. The system says it: a commit that git has just made is a file of the user who made it
(``objects/xx/…``). In a pack it is the packer's, and nothing can be told any more.

What a user made who has no session in the worktree is the first one's, as ever: a container's user or
root, whose hooks did not run. Who came second records what is the own user's alone.
"""

from __future__ import annotations

import os

from prodigy_git import layout
from prodigy_git.record import files
from prodigy_git.record.journal import MADE, PICK, UNDECIDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prodigy_git.record.enrolment import Enrolment
    from prodigy_git.record.gitdir import Place
    from prodigy_git.record.journal import Movement
    from prodigy_git.record.new_commits import Made


def maker(common: str, sha: str) -> int | None:
    """Return the uid of whoever made a commit; None: it is packed, or gone, and nobody can tell."""
    try:
        return os.stat(f"{common}/objects/{sha[:2]}/{sha[2:]}").st_uid
    except OSError:
        return None


def is_of_user(common: str, sha: str, since: int) -> bool:
    """Whether this user made a commit after ``since`` (nanoseconds since 1970), if that can be told."""
    try:
        about = os.stat(f"{common}/objects/{sha[:2]}/{sha[2:]}")
    except OSError:
        return False
    return about.st_uid == os.geteuid() and about.st_mtime_ns > since


def divide(place: Place, there: Enrolment, made: list[Made]) -> tuple[list[Made], list[str]]:
    """Return those of ``made`` that are this user's, and the SHAs of which that is unclear."""
    mine: list[Made] = []
    unclear = []
    shared: bool | None = True if there.suffix else None
    for one in made:
        uid = maker(place.common, one.sha)
        if uid is None:
            if shared is None:
                from prodigy_git.record import whose

                shared = bool(whose.others(place.private))
            if shared:
                unclear.append(one.sha)
                continue
        elif uid != os.geteuid() and (there.suffix or _has_session(place.private, uid)):
            continue
        mine.append(one)
    return mine, unclear


def _has_session(private: str, uid: int) -> bool:
    """Whether a user has a session beside the first one's, or had one: the cursor stays."""
    return os.path.lexists(f"{private}/{layout.CURSOR}.{uid}")


def first_own(place: Place, movements: list[Movement], first: int) -> int:
    """Return the first movement from ``first`` on that is no other user's commit.

    For a session that begins before the commit that a hook ran for; root's commits are no other's.
    """
    for index in range(first, len(movements)):
        one = movements[index]
        uid = maker(place.common, one.new) if one.kind in (MADE, PICK, UNDECIDED) else None
        if uid is None or uid in (0, os.geteuid()) or files.ROOT:
            return index
    return first
