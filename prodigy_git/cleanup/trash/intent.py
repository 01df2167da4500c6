"""The beginning of a removal: the entry that says what is about to be moved, and taking it back."""

import contextlib
import os
import re
import stat
from typing import Any

from prodigy_git import layout
from prodigy_git.cleanup.salvage import salvage
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.cleanup.trash.entry import Entry
from prodigy_git.errors import ProdigyError
from prodigy_git.record import clock, files, gitdir, ownership, session, whose, within
from prodigy_git.record import enrolment as enrolments
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.record.gitdir import Place

_SHA = re.compile(rb"[0-9a-f]{40}|[0-9a-f]{64}")
MOMENT = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z")
"""What the folder of an entry is called: when it was made."""


def make(
    store: str, place: Place, enrolment: Enrolment, reasons: list[str], delete_branch: str | None
) -> Entry:
    """Return a removal's entry, its folder made. Raises `ProdigyError` where the worktree is gone."""
    # A symbolic link to the worktree is not the worktree.
    top = os.path.realpath(place.top) if os.path.islink(place.top) else place.top
    here = gitdir.find(top, {}) if os.path.isdir(top) else None
    there = enrolments.read(place.private) if here is not None else None
    if here is None or there is None or there.nonce != enrolment.nonce:
        raise ProdigyError(f"{enrolment.session} has no worktree at {top} (any more)")
    users = sorted(whose.others(place.private).values())
    if users:
        raise ProdigyError(f"{top}: user {users[0]} has a session in it: it is not removed")
    if os.path.realpath(place.private) == os.path.realpath(place.common):
        raise ProdigyError(f"{top} is the repository's main worktree: it is not removed")
    branch, commit = head(place)
    about = os.lstat(top)
    path, stamp = folder(store, enrolment.repo, enrolment.session)
    return Entry(
        path=path,
        state="moving",
        repo=enrolment.repo,
        session=enrolment.session,
        worktree=top,
        private=place.private,
        common=place.common,
        created_at=stamp,
        folder=f"{path}/worktree",
        git=f"{path}/git",
        head=commit,
        branch=branch,
        salvage_ref=salvage.ref_name(enrolment.session, os.path.basename(path)),
        locked=text(f"{place.private}/locked"),
        root_mtime_ns=about.st_mtime_ns,
        root_mode=None if about.st_mode & stat.S_IWUSR else stat.S_IMODE(about.st_mode),
        enrolment=text(f"{place.private}/{layout.ENROLMENT}{there.suffix}"),
        cursor=text(f"{place.private}/{layout.CURSOR}{there.suffix}"),
        session_status=_session_fields(store, enrolment.session).get("status"),
        reasons=reasons,
        delete_branch=delete_branch,
    )


def folder(store: str, repo: str, session_id: str) -> tuple[str, str]:
    """Make a new entry's folder; return its path and the timestamp that it is named by."""
    moment = clock.now()
    while True:
        stamp = clock.stamp(moment)
        path = layout.trash(store, repo, session_id)
        path = f"{path}/{stamp.replace(':', '').replace('-', '')}"
        within.make_folder(store, os.path.dirname(path))
        try:
            os.mkdir(path, 0o700)
            ownership.hand_over(path)
        except FileExistsError:
            moment += 1
        else:
            return path, stamp


def head_is_sound(place: Place) -> bool:
    """Whether HEAD says something that git takes; a symbolic link is read as what it leads to."""
    text = files.read(f"{place.private}/HEAD").strip()
    return text.startswith(b"ref:") or bool(_SHA.fullmatch(text))


def head(place: Place) -> tuple[str | None, str | None]:
    """Return HEAD's branch and commit as `gitdir.head` does; None for both where it is damaged."""
    return gitdir.head(place) if head_is_sound(place) else (None, None)


def write(found: Entry) -> None:
    """Write a new entry's document, durably with the folders that it lies in. Raises `OSError`."""
    entries.write(found)
    above = os.path.dirname(found.path)
    for one in (above, os.path.dirname(above)):
        files.sync_folder(one)


def text(path: str) -> str | None:
    """Return a small file's contents, bytes that are not UTF-8 as surrogate escapes; None: no file."""
    try:
        return files.read(path).decode("utf-8", "surrogateescape")
    except OSError:
        return None


def _session_fields(store: str, name: str) -> dict[str, Any]:
    try:
        return session.read(store, name)
    except (OSError, ValueError):
        return {}


def begun(store: str, repo: str, only: str | None) -> list[str]:
    """Return the folders of entries that have no document: whoever made them was killed at once."""
    found = []
    for name in entries.folders(f"{store}/trash/{repo}", only):
        top = layout.trash(store, repo, name)
        for moment in filter(MOMENT.fullmatch, entries.folders(top, None)):
            with contextlib.suppress(FileNotFoundError):
                if set(os.listdir(f"{top}/{moment}")) <= {".entry.json.new"}:
                    found.append(f"{top}/{moment}")
    return found


def drop(path: str) -> None:
    """Remove an entry's folder with nothing but its document in it."""
    for name in (".entry.json.new", "entry.json"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{path}/{name}")
    for one in (path, os.path.dirname(path)):
        with contextlib.suppress(OSError):  # something else is in it
            os.rmdir(one)
