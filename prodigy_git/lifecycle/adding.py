"""`git worktree add`, without a checkout, and taking back what it made."""

import contextlib
import os
import shutil
import stat

from prodigy_git.errors import ProdigyError
from prodigy_git.git import branch_names, repository
from prodigy_git.git.ask import git, git_status, said
from prodigy_git.lifecycle import naming
from prodigy_git.lifecycle.naming import Spot
from prodigy_git.record import gitdir, ownership, within
from prodigy_git.record.gitdir import Place
from prodigy_git.setup import copying
from prodigy_git.store import locked
from prodigy_git.store.broken import Broken

_TRIES = 5


class Taken(naming.NameInUse):
    """Somebody has made a branch of that name in the meantime."""


def add(
    undo: contextlib.ExitStack,
    place: Place,
    store: str,
    repo: str,
    path: str,
    branch: str,
    commit: str,
    *,
    exists: bool,
    spot: Spot | None,
    broken: Broken,
) -> None:
    """Add a worktree at ``path`` on a new ``branch`` at ``commit``, or on one that ``exists``.

    Concurrent ones race inside git (one reads the ``commondir`` file that another has not yet
    written), leaving their branch behind: so ours run one at a time, and are tried again when they
    meet somebody else's. ``spot`` is where a user wants it, None in the store. ``broken`` is told what
    could not be taken back. Raises `ProdigyError`, `Taken`.
    """
    if spot is None:
        within.make_folder(store, os.path.dirname(path))
    with locked.repository(store, repo):
        if exists:
            where = repository.checked_out_where(place.common, branch)
            if where is not None:
                raise ProdigyError(f"{where}, or choose another --branch")
        else:
            taken = branch_names.in_the_way(place, branch)
            if taken is not None:
                raise Taken(f"the branch {taken} was made just now: try again")
        if spot is not None:
            naming.refuse_filled(
                path
            )  # a person may have been asked something since it was looked at
        made = None if exists else branch
        kept = os.stat(path) if os.path.isdir(path) else None
        others = _registered(place.common)
        undo.callback(_take_back, place.common, path, made, commit, spot, kept, others, broken)
        if spot is not None:
            _make_above(path)
        how = (path, branch) if exists else ("--no-track", "-b", branch, path, commit)
        for attempt in range(1, _TRIES + 1):
            # From where the user stands: git copies that worktree's sparse-checkout patterns.
            status, _, err = git_status(
                place.top, "worktree", "add", "--quiet", "--no-checkout", *how
            )
            if status == 0:
                others.clear()  # what names the place now is ours
                break
            if status > 0:
                # Refused, since somebody is faster than any look; git has removed what it made itself.
                others |= _registered(place.common)
            if "commondir" not in err or attempt == _TRIES:
                raise ProdigyError(f"git worktree add: {said(err, f'exit status {status}')}")
            if made is not None:
                _delete_branch(place.common, made, commit)
    if exists and gitdir.tip(place, branch) != commit:
        raise ProdigyError(f"the branch {branch} has moved just now: try again")


def _make_above(path: str) -> None:
    """Make the folders above a path, as their owner where root works in somebody's home."""
    above = os.path.dirname(path)
    missing = []
    while not os.path.isdir(above):
        missing.append(above)
        above = os.path.dirname(above)
    for one in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(one)
            ownership.hand_over(one)


def _delete_branch(common: str, branch: str, commit: str) -> None:
    """Delete a branch that still is where we made it: a compare-and-swap on its SHA."""
    if repository.has_ref(common, f"refs/heads/{branch}"):
        git(common, "update-ref", "-d", f"refs/heads/{branch}", commit)


def _registered(common: str) -> set[str]:
    """Return what git's registrations of worktrees are called."""
    try:
        return set(os.listdir(f"{common}/worktrees"))
    except FileNotFoundError:
        return set()


def _is_ours(common: str, path: str, others: set[str]) -> bool:
    """Whether git has registered the folder for us: with a name that is none of the ``others``."""
    try:
        names = _registered(common) - others
    except OSError:
        return False  # nobody knows
    for name in names:
        with contextlib.suppress(OSError):
            if gitdir.worktree_of(f"{common}/worktrees/{name}") == os.path.realpath(path):
                return True
    return False


def _take_back(
    common: str,
    path: str,
    branch: str | None,
    commit: str,
    spot: Spot | None,
    kept: os.stat_result | None,
    others: set[str],
    broken: Broken,
) -> None:
    """Remove a worktree and branch that were made a moment ago and that nobody has seen yet.

    ``kept`` is the empty folder that was there before. A folder that git has not registered for us is
    somebody else's, put there meanwhile: it stays.
    """
    # `add` may still hold the lock, which is not reentrant (flock(2): two descriptors are two holders):
    # so none is taken here. Removing one worktree by its path touches no other's files.
    if _is_ours(common, path, others):
        if os.path.lexists(f"{path}/.git"):
            git_status(common, "worktree", "remove", "--force", "--force", path)
        if os.path.lexists(path):  # with a folder that is read-only, say: git has left it
            copying.make_removable(path)
            shutil.rmtree(path, ignore_errors=True)
    elif kept is None:
        with contextlib.suppress(OSError):
            os.rmdir(path)  # git makes it before it registers it, and may have been killed between
    if branch is not None:
        # Why it is taken back is what its user has to know, and the rest of it goes on.
        try:
            _delete_branch(common, branch, commit)
        except ProdigyError as error:
            tip = git_status(common, "rev-parse", "--verify", "-q", f"refs/heads/{branch}")[1]
            moved = tip.strip() not in ("", commit)
            why = "something was committed to it meanwhile" if moved else str(error)
            broken(f"branch {branch} stays: {why}")
    if kept is not None:
        if not os.path.lexists(path):
            _put_back(path, kept)
    elif spot is not None:
        above = os.path.dirname(path)
        while len(above) > len(spot.above):
            try:
                os.rmdir(above)
            except OSError:
                break  # somebody has put something there
            above = os.path.dirname(above)


def _put_back(path: str, kept: os.stat_result) -> None:
    """Make an empty folder again that was there before the worktree: it is the user's."""
    os.mkdir(path)
    os.chmod(path, stat.S_IMODE(kept.st_mode))
    with contextlib.suppress(PermissionError):
        os.chown(path, kept.st_uid, kept.st_gid)
