"""Where in a journal a session begins, and remembering that while it cannot be registered.

A hook that runs and cannot write the store has seen the worktree's first commit. What it knows is kept
in the private git directory, which git can write or there would be no commit.
"""

from __future__ import annotations

import os

from prodigy_git import layout
from prodigy_git.record import cursor, files, jsonline, new_commits, object_age, sharing
from prodigy_git.record.journal import MADE, PICK, START, UNDECIDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prodigy_git.record.enrolment import Start
    from prodigy_git.record.gitdir import Place
    from prodigy_git.record.journal import Movement


def behind(last: Movement) -> Start:
    """Return the enrolment's ``start`` for a session that begins after the line ``last``."""
    return last.end, len(last.line), files.sha1_hex(last.line), last.new, last.seconds


def first(place: Place, movements: list[Movement], seen: int, installed: int, suffix: str) -> int:
    """Return the index of the movement at which a session begins, of which a hook has ``seen`` one.

    That is the earliest of these: ``seen``; what a hook remembered that could not register the session;
    the first commit after ``installed`` (seconds since 1970; 0: unknown), for hooks that could not even
    start. But nothing that an earlier session of the worktree recorded: its cursor outlives it; nor
    what another user made. ``suffix`` is the enrolment's.
    """
    earlier = cursor.read(place.private, suffix)
    after = 0
    if earlier is not None:
        following, placed = new_commits.behind(place, earlier)
        after = len(movements) - len(following) if placed else seen
    found = min(
        seen, _remembered(place, movements, seen), _since(place, movements, installed, seen)
    )
    found = min(max(found, after), len(movements))
    return found if found >= seen else sharing.first_own(place, movements[:seen], found)


def remember(place: Place, movements: list[Movement], at: int) -> None:
    """Note that a session begins at ``movements[at]``, as well as that can be done; never raises."""
    start = behind(movements[at - 1]) if at > 0 else None
    data = jsonline.line({"start": start})
    if _is_anothers(place):
        return
    try:
        files.replace(f"{place.private}/{layout.FIRST}", data)
    except OSError:
        pass  # the time of the installation tells nearly the same


def forget(place: Place) -> None:
    """Remove the note: the session has begun."""
    if _is_anothers(place):
        return
    try:
        os.unlink(f"{place.private}/{layout.FIRST}")
    except OSError:
        pass


def _is_anothers(place: Place) -> bool:
    """Whether the note is of another user, whose session has yet to begin."""
    try:
        owner = os.stat(f"{place.private}/{layout.FIRST}").st_uid
    except OSError:
        return False
    return owner != os.geteuid() and not files.ROOT


def _remembered(place: Place, movements: list[Movement], otherwise: int) -> int:
    if _is_anothers(place):
        return otherwise
    try:
        noted = jsonline.decode_object(files.read(f"{place.private}/{layout.FIRST}"))["start"]
        if noted is None:
            return 0
        end, length, digest, sha, seconds = noted
        start = int(end), int(length), str(digest), str(sha), int(seconds)
    except (OSError, ValueError, KeyError, TypeError):
        return otherwise
    following, placed = new_commits.behind(place, cursor.Cursor(start))
    return len(movements) - len(following) if placed else otherwise


def _since(place: Place, movements: list[Movement], installed: int, otherwise: int) -> int:
    """Return the first movement after the installation that brought a commit made since."""
    if not installed:
        return otherwise
    objects = object_age.Objects(place.common)
    start = None
    for index, movement in enumerate(movements[:otherwise]):
        # Whole seconds: what was made in the installation's own may be older.
        if movement.seconds <= installed or movement.old == movement.new:
            continue
        if movement.kind == START:
            start = index
        there = objects.loose(movement.new)
        recent = there is not None and there >= installed * object_age.SECOND
        if movement.kind in (MADE, PICK, UNDECIDED):
            # A date can be given: an object that is older was made before, whatever its line says.
            recent = recent or there is None
        if recent:
            return index if start is None or movement.kind != PICK else start
    return otherwise
