"""What follows once a worktree is in the trash: its branch, its job's log, its session's file.

Each step can be repeated: a process that is killed leaves the rest to the next command.
"""

import os

from prodigy_git import layout
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.cleanup.trash.entry import Entry
from prodigy_git.cleanup.trash.together import Together
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.model.session import ENDED
from prodigy_git.record import clock, locks, log, session
from prodigy_git.record import enrolment as enrolments
from prodigy_git.store import ended_by_others, sessions
from prodigy_git.store.events import Broken


def store_of(found: Entry) -> str:
    """Return the store that an entry's folder lies in."""
    return entries.store_of(found.path)


def settle(found: Entry, broken: Broken, *, again: bool, shared: Together | None = None) -> None:
    """Delete the branch if told so, record the removal and note it in the session's file.

    ``again`` says that a process that was killed may have done some of it; with ``shared`` others are
    removed meanwhile. The caller holds the
    repository's lock and writes the entry. Raises `OSError` where it is to be tried again later.
    """
    found.branch_deleted = _delete_branch(found, shared, again=again)
    _record(found, broken, again=again)
    _note_in_session(found, broken)
    found.settled = True


def _delete_branch(found: Entry, shared: Together | None, *, again: bool) -> str | None:
    """Delete the branch, if it is still where it was and no worktree's; return its name if it went."""
    name = found.delete_branch
    if name is None or found.head is None:
        return None
    ref = f"refs/heads/{name}"
    if again and not repository.has_ref(found.common, ref):
        return name  # a process that was killed had just deleted it
    shared = shared or Together(found.common)
    return name if shared.delete_branch(name, found.head) else None


def _record(found: Entry, broken: Broken, *, again: bool) -> None:
    """Append WorktreeCleaned to the job's log, once."""
    try:
        enrolment = enrolments.read(found.git)
    except ValueError as error:
        broken(f"{error}: the removal of {found.session} is not in its job's log")
        return
    store = store_of(found)
    what = f"cleaned:{found.salvage_ref or found.moment}"
    if enrolment is not None:
        identity, job = log.event_id(found.session, what), enrolment.job
        event = enrolments.envelope(enrolment, identity, "WorktreeCleaned")
    elif found.alone:
        try:
            known = sessions.load(store, found.session)
        except ProdigyError:
            return  # cleaned meanwhile, or damaged
        event, job = ended_by_others.envelope(store, known, what, "WorktreeCleaned"), known.job
    else:
        return
    if again and log.find(layout.job_log(store, found.repo, job), [event["id"]], None):
        return
    event["worktree_name"] = os.path.basename(found.worktree)
    event["trash_path"] = found.path
    if found.salvage_ref is not None:
        event["salvage_ref"] = found.salvage_ref
    log.append(store, found.repo, job, [event])


def _note_in_session(found: Entry, broken: Broken) -> None:
    """Note the removal in the session's file."""
    store = store_of(found)
    lock = locks.take(layout.session_lock(store, found.session))
    try:
        fields = session.read(store, found.session)
        metadata = fields["metadata"]
        metadata["trash_path"] = found.path
        metadata["salvage_ref"] = found.salvage_ref
        if fields["status"] not in ENDED:
            fields["status"] = "Cancelled"
            fields["completed_at"] = clock.stamp(clock.now())
        session.write(store, found.session, fields)
    except FileNotFoundError:
        pass  # cleaned, or never there: another tool's worktree
    except (ValueError, KeyError, TypeError) as error:
        broken(f"{layout.session(store, found.session)} is damaged and was not changed ({error})")
    finally:
        os.close(lock)
