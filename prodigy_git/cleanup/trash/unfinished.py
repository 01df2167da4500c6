"""Removals and restores that have stopped half-way: of which worktrees, and what ends them.

Nothing here changes anything: `interrupted.take_up` goes on with them.
"""

import os
from dataclasses import dataclass
from typing import Any

from prodigy_git import layout
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.cleanup.trash.entry import Entry
from prodigy_git.record import locks
from prodigy_git.store.broken import Broken


@dataclass(frozen=True)
class HalfWay:
    """A worktree, at ``worktree``, whose ``what`` (removal or restore) has begun and not ended.

    ``words`` say where its halves are. ``remedy`` is what to do, in words, ``command`` the command
    alone; both are empty while another process is at it.
    """

    session: str
    repo: str
    what: str
    worktree: str
    trash_path: str
    words: str
    remedy: str = ""
    command: str = ""

    def text(self) -> str:
        """Return it in one line."""
        return f"{self.words}: {self.remedy}" if self.remedy else self.words

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``half_way`` has them."""
        fields = dict(vars(self))
        return {"session_id": fields.pop("session"), **fields}


def find(
    store: str, broken: Broken, repo: str | None = None, session: str | None = None
) -> list[HalfWay]:
    """Return what is half-way, oldest first; filtered by repository key, by session id."""
    found = [one for one in entries.entries(store, broken, repo, session) if one.half_way]
    repos = {one.repo for one in found}
    held = {key: locks.is_held(layout.repository_lock(store, key)) for key in repos}
    return [_of(one, held[one.repo]) for one in found]


def _of(found: Entry, held: bool) -> HalfWay:
    restoring = found.state == "restoring"
    top = str((found.restoring or {}).get("to")) if restoring else found.worktree
    what = "restore" if restoring else "removal"
    there = os.path.isdir(top) and not os.path.isdir(found.folder)
    if held:
        words = f"the {what} of {found.session} is under way in another process"
        return HalfWay(found.session, found.repo, what, top, found.path, words)
    where = f"it is in {found.path}"
    if there:
        private = found.restoring["private"] if found.restoring else found.private
        whole = os.path.isdir(private)
        where = f"{top} is there, its git directory is {'too' if whole else 'in the trash'}"
    command = f"prodigy-git worktree restore {found.session}"
    remedy = f"'{command}' or 'prodigy-git clean' brings it back"
    if not restoring and not there:
        remedy = f"'{command}' brings it back, 'prodigy-git clean' ends the removal"
    words = f"the {what} of {found.session} was interrupted, {where}"
    return HalfWay(found.session, found.repo, what, top, found.path, words, remedy, command)
