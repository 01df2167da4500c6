"""Bringing the two halves of a worktree together, wherever each of them is.

A half may lie in the trash, alone in an entry; or be where it belongs. `restore` asks here where the
halves of a session are, and puts those that lie in different entries into one.
"""

import contextlib
import os
import stat
import tempfile

from prodigy_git.cleanup.folders import moving
from prodigy_git.cleanup.salvage import salvage
from prodigy_git.cleanup.salvage.salvage import Anchors
from prodigy_git.cleanup.salvage.uncommitted import ask
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.cleanup.trash.entry import Entry
from prodigy_git.errors import ProdigyError
from prodigy_git.git import registrations
from prodigy_git.git.ask import said
from prodigy_git.model.session import Session
from prodigy_git.record import clock, enrolment, files, gitdir
from prodigy_git.record.gitdir import Place

_LIMIT = 100 * 1024 * 1024


def last_known(common: Place, one: Session) -> tuple[str | None, str]:
    """Return branch and commit that a session's HEAD was at, as far as store and git know.

    Raises `ProdigyError` where the repository has none of what the session's file names.
    """
    branch = one.text("branch")
    tip = gitdir.tip(common, branch) if branch is not None else None
    if tip is not None:
        return branch, tip
    for sha in (one.metadata.get("last_commit"), one.text("base_commit")):
        # Of a session without commits, or in a repository that was cloned anew.
        if isinstance(sha, str) and ask(common, "cat-file", "-e", f"{sha}^{{commit}}")[0] == 0:
            return None, sha
    raise ProdigyError(
        f"{common.common} has neither branch {branch} nor the last commit of {one.id}: bring one of "
        f"them there ('git fetch', 'git branch'), or put the repository back that {one.id} is from"
    )


def anchor_folder(found: Entry, folder: str) -> Anchors:
    """Make the salvage ref of a folder that has no private directory: its files, over HEAD's commit.

    ``found`` is the entry that is about to be made of it. Raises `ProdigyError` or `OSError`.
    """
    assert found.head is not None
    with tempfile.TemporaryDirectory(prefix="prodigy-half-") as private:
        place = Place(private, found.common, folder)
        ref = f"ref: refs/heads/{found.branch}" if found.branch is not None else found.head
        for name, text in (
            ("HEAD", ref),
            ("commondir", found.common),
            ("gitdir", f"{folder}/.git"),
        ):
            with open(f"{private}/{name}", "wb") as stream:
                stream.write(os.fsencode(f"{text}\n"))
        status, _, err = ask(place, "read-tree", found.head)
        if status != 0:
            raise ProdigyError(f"git read-tree: {said(err)}")
        return salvage.anchor(place, found.session, found.moment, _LIMIT)


def in_place(found: Entry, target: str) -> bool:
    """Whether ``target`` is the very folder of a worktree whose private directory is in the trash."""
    if os.path.islink(target) or not os.path.isdir(target) or os.path.isdir(found.folder):
        return False
    named = registrations.named_by(target)
    return named is not None and (
        named == found.private or os.path.realpath(named) == os.path.realpath(found.private)
    )


def registered(found: Entry) -> str | None:
    """Return the private directory of a worktree whose folder alone is in the trash.

    It is told by its enrolment, not by its name, which may be a successor's.
    """
    if os.path.lexists(found.git):
        return None
    for one in registrations.links(found.common, lambda _: None):
        if one.enrolled is not None and one.enrolled.session == found.session:
            return None if registrations.linked_from(one.top) else one.private
    return None


def join(store: str, found: Entry) -> list[str]:
    """Bring into an entry the half that it lacks from an older one of the same session.

    Returns the moments of the entries that it came from: their salvages hold what it names. The caller
    holds the repository's lock. Can be repeated: a kill leaves the half in one of the two.
    Raises `ProdigyError` or `OSError`.
    """
    came_from = []
    for attribute, name, other in (("folder", "worktree", "git"), ("git", "git", "folder")):
        if os.path.lexists(getattr(found, attribute)) or not os.path.lexists(getattr(found, other)):
            continue
        for one in reversed(entries.entries(store, lambda _: None, found.repo, found.session)):
            half = getattr(one, attribute)
            if one.path == found.path or one.state != "trashed" or not os.path.lexists(half):
                continue
            if os.path.lexists(getattr(one, other)):
                continue  # whole by itself
            there = f"{found.path}/{name}"
            beside = f"{found.common}/prodigy-trash/{found.session}-{found.moment}"
            beside += "-worktree" if attribute == "folder" else ""
            setattr(found, attribute, moving.move(half, there, beside))
            _take_over(found, one, folder=attribute == "folder")
            entries.write(found)
            # Its salvage refs stay until nothing but they hold what they hold (`emptying`).
            one.state = "emptied"
            entries.write(one)
            came_from.append(one.moment)
            break
    return came_from


def _take_over(found: Entry, one: Entry, *, folder: bool) -> None:
    """Give an entry what the other one says of the half that came from it."""
    if folder:
        found.worktree, found.disabled = one.worktree, one.disabled
        found.root_mtime_ns, found.root_mode = one.root_mtime_ns, one.root_mode
        found.left_out = one.left_out
        return
    found.private, found.locked = one.private, one.locked
    found.head, found.branch = one.head, one.branch
    found.enrolment, found.cursor = one.enrolment, one.cursor


def of_folder(store: str, common: str, repo: str, one: Session) -> Entry:
    """Return the entry that stands for a folder which is in its place and has no private directory.

    Nothing is written. Raises `ProdigyError` where there is no such folder, or git does not know what
    its HEAD was at.
    """
    top = one.text("worktree_path") or ""
    if os.path.islink(top) or not os.path.isdir(top) or not os.listdir(top):
        raise ProdigyError(f"{one.id} has no folder at {top or 'any path'}")
    named = registrations.named_by(top)
    if named is None and os.path.lexists(f"{top}/.git"):
        raise ProdigyError(f"{top}/.git is not a linked worktree's: {top} is something else by now")
    if named is not None and os.path.isfile(f"{named}/HEAD"):
        there = _enrolled(named)
        raise ProdigyError(
            f"{top} belongs to {'session ' + there if there else 'another worktree'} by now"
        )
    branch, head = last_known(Place(common, common, common), one)
    stamp = clock.stamp(clock.now())
    moment = stamp.replace(":", "").replace("-", "")
    path = f"{store}/trash/{repo}/{one.id}/{moment}"
    found = Entry(
        path=path, state="emptied", repo=repo, session=one.id, worktree=top,
        private=named or f"{common}/worktrees/{one.id}", common=common, created_at=stamp,
        folder=f"{path}/worktree", git=f"{path}/git", head=head, branch=branch,
        session_status=one.status, settled=True,
    )  # fmt: skip
    if named is None or os.path.dirname(os.path.dirname(named)) != common:
        # As after a move of the repository: `.git` names a place that is not this repository's.
        found.private = f"{common}/worktrees/{os.path.basename(named or one.id)}"
    return found


def _enrolled(private: str) -> str | None:
    with contextlib.suppress(OSError, ValueError):
        there = enrolment.read(private)
        return None if there is None else there.session
    return None


def name_private(top: str, private: str) -> None:
    """Make the ``.git`` file of a folder name its private directory, if it names another. Durable."""
    if registrations.named_by(top) != private:
        try:
            mode = stat.S_IMODE(os.stat(f"{top}/.git").st_mode)
        except FileNotFoundError:
            mode = 0o644
        files.replace(f"{top}/.git", os.fsencode(f"gitdir: {private}\n"))
        os.chmod(f"{top}/.git", mode)
