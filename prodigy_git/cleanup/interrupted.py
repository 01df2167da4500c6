"""Going on with removals and restores that a kill has interrupted: each is finished, or taken back.

Stands above the trash and the way back, since it ends what either has begun. What there is to go on
with, `trash.unfinished` says without changing anything.
"""

import contextlib
import os
from typing import TYPE_CHECKING

from prodigy_git import names
from prodigy_git.cleanup.salvage import earlier_versions
from prodigy_git.cleanup.trash import emptying, intent, removal
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.cleanup.trash.entry import Entry
from prodigy_git.errors import told
from prodigy_git.store import locked
from prodigy_git.store.events import Broken

if TYPE_CHECKING:
    from prodigy_git.cleanup.restore.restore import Restored


def take_up(store: str, repo: str, broken: Broken, *, deleting: bool = True) -> list[str]:
    """Finish or take back what killed commands left of a repository's; return a line for each.

    What cannot be finished now is reported to ``broken`` and stays as it is. Takes the repository's
    lock, and only where there is something to do. ``deleting``: what was being deleted goes on in the
    background; a caller that is about to delete it itself says no.
    """
    known = entries.entries(store, lambda _: None, repo)
    if deleting and any(one.state == "emptying" for one in known):
        with contextlib.suppress(OSError):  # no more processes: a later command starts it
            emptying.start(store)
    unfinished = any(one.half_way for one in known) or intent.begun(store, repo, None)
    old = [one for one in {one.common for one in known} if earlier_versions.within_reach(one)]
    if not unfinished and not old:
        return []
    with locked.repository(store, repo):
        lines = _go_on(store, repo, broken) if unfinished else []
        return lines + [
            line for common in old for line in earlier_versions.withdraw(common, broken)
        ]


def _go_on(store: str, repo: str, broken: Broken) -> list[str]:
    lines = []
    for path in intent.begun(store, repo, None):
        intent.drop(path)
    for found in entries.entries(store, broken, repo):
        if found.half_way:
            try:
                lines.append(_resume(found, broken))
            except Exception as error:  # whatever one entry causes, the others go on
                broken(f"{found.path}: not finished ({told(error)})")
    return lines


def _resume(found: Entry, broken: Broken) -> str:
    if found.state == "restoring":
        from prodigy_git.cleanup.restore import carrying_out  # few commands need it

        return carrying_out.resume(found, broken)
    return removal.resume(found, broken)


def finish(store: str, name: str, broken: Broken) -> "Restored | None":
    """Take up what was killed in the repositories of a session; return a restore that this finished.

    What there is to say goes to ``broken``. Raises `names.BadName`.
    """
    from prodigy_git.cleanup.restore.restore import Restored

    names.checked(name, "session id")
    mine = entries.entries(store, lambda _: None, session=name)
    for repo in sorted({one.repo for one in mine}):
        for text in take_up(store, repo, broken):
            broken(text)
    for one in mine:
        if one.half_way and not os.path.lexists(f"{one.path}/entry.json"):
            # A removal that was taken back has restored it, too.
            top = (one.restoring or {}).get("to") if one.state == "restoring" else one.worktree
            return Restored(name, str(top), "trash")
    return None
