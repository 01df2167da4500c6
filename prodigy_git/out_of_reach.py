"""What `verify` cannot look at: worktrees that are recorded in a store which this user cannot enter."""

import contextlib
import os

from prodigy_git import layout
from prodigy_git.git import repository
from prodigy_git.record import enrolment, gitdir, new_commits, sharing, whose
from prodigy_git.record.cursor import Cursor
from prodigy_git.record.gitdir import Place
from prodigy_git.record.journal import MADE, PICK, UNDECIDED


def out_of_reach(common: str) -> list[str]:
    """Return, in words, which worktrees of a repository are recorded where we cannot look.

    What only other users have committed to is for them to verify, and is not named.
    """
    found = []
    for tree in repository.worktrees(common):
        place = gitdir.find(tree.path, {})
        if place is None:
            continue
        try:
            there = enrolment.read(place.private)
            if there is not None:
                os.listdir(f"{there.store}/sessions")
            elif users := sorted(whose.others(place.private).values()):
                found += _without_session(place, tree.path, users[0])
        except FileNotFoundError:
            continue  # a store that is gone, or never was: nobody's
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            where = getattr(error, "filename", None)
            found.append(f"{tree.path}: not verified ({why}{f': {where}' if where else ''})")
    return found


def _without_session(place: Place, path: str, user: str) -> list[str]:
    """Tell of this user's commits since another one has a session in a worktree, and this one none."""
    since = os.stat(f"{place.private}/{layout.ENROLMENT}").st_mtime_ns
    with contextlib.suppress(FileNotFoundError):  # an own session that was forgotten
        own = f"{place.private}/{layout.CURSOR}{enrolment.own_suffix()}"
        since = max(since, os.stat(own).st_mtime_ns)
    movements, _ = new_commits.behind(place, Cursor())
    shas = {one.new for one in movements if one.kind in (MADE, PICK, UNDECIDED)}
    mine = [sha for sha in shas if sharing.is_of_user(place.common, sha, since)]
    if not mine:
        return []
    return [
        f"{path}: not verified: user {user} records it, and no session has your commits there "
        f"({len(mine)}); 'prodigy-git worktree adopt {path}' begins one of yours"
    ]
