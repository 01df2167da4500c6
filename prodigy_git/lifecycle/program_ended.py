"""What the end of an agent program's conversation asks for: recording what is left, ending the session.

The hook has noted the end (`record.conversations.end_notes`) and started this in the background,
so that the program need not wait. Whoever comes later does the same where that was killed: each step
can be repeated, and the note goes last.
"""

import os
import time
from collections.abc import Iterable, Sequence
from typing import Any

from prodigy_git import errors, layout
from prodigy_git.errors import ProdigyError
from prodigy_git.model.session import Session
from prodigy_git.record import clock, going_on, locks, log, session
from prodigy_git.record.conversations import (
    activity,
    end_notes,
    telling,
    what_follows,
)
from prodigy_git.record.conversations.normal_form import Heard
from prodigy_git.store.broken import Broken

# Most commands look whether there is a note and find none: the rest is imported where it is needed.

SILENT = 12 * 3600 * clock.SECOND
"""After how long without a word a program that has not ended counts no more: it was killed."""
_LOOK = 2.0
"""Seconds for which who only reads waits for a process that does the same."""
_GOES_ON = ("clear", "compact", "resume")
"""The reasons of an end behind which the program goes on with another conversation."""
_BY_HOOKS = ("post-checkout", "post-commit", "post-merge", "post-rewrite", "post-applypatch")
"""Who has made the session of a worktree that nobody asked us to make."""
_SETTING = "prodigy.agentend"
PATIENCE = 60.0
"""Seconds for which another process that does the same is waited for in the background."""


def main(arguments: Sequence[str]) -> None:
    """Do what the ends of programs in a session ask for; ``arguments`` are store and session."""
    store, name = arguments

    def broken(text: str) -> None:
        log.report(store, f"end of an agent program: {text}")

    try:
        see_to(store, name, broken, PATIENCE)
    except (ProdigyError, OSError, ValueError) as error:
        if os.path.isdir(store):
            broken(f"session {name}: {error}")


def settle(store: str, broken: Broken) -> None:
    """Do what ends ask for, or wait for who is at it: who looks behind an end is to see it.

    What cannot be done is told to ``broken``.
    """
    for name in sorted({name for name, _ in end_notes.notes(store)}):
        try:
            see_to(store, name, broken, _LOOK, texts=0.0)
        except locks.Busy:
            continue  # it takes its time
        except (ProdigyError, OSError, ValueError) as error:
            broken(
                errors.not_noted(error)
                or f"session {name}: its agent program has ended, and that is not recorded: {error}"
            )


def see_to(
    store: str,
    name: str,
    broken: Broken,
    patience: float = locks.PATIENCE,
    *,
    texts: float = 10.0,
) -> None:
    """Do what the notes on ends in a session ask for, one process at a time.

    ``patience`` is in seconds; so are ``texts``, for messages that are looked through for secrets in
    the background: those that come later stand behind the session's end. Raises `ProdigyError`,
    `OSError`, `ValueError`; then the notes stay.
    """
    lock = locks.take(layout.program_end_lock(store, name), patience)
    try:
        mine = [path for one, path in end_notes.notes(store) if one == name]
        for path in mine:
            noted = os.stat(path)
            heard = end_notes.read(path)
            if heard is not None and os.path.lexists(layout.session(store, name)):
                _see_to(store, name, heard, broken, texts)
            # What has been noted anew meanwhile is for the process that waits for the lock.
            if os.stat(path).st_ino == noted.st_ino:
                os.unlink(path)
    finally:
        os.close(lock)


def _see_to(store: str, name: str, heard: Heard, broken: Broken, texts: float) -> None:
    from prodigy_git.store import sessions

    found = sessions.load(store, name)
    state = _told(store, found, heard, texts)
    found = sessions.catch_up(store, found, broken)
    if state is None or found.ended or heard.reason in _GOES_ON:
        return
    whose = what_follows.name_of(heard.program, heard.program_session)
    if not what_follows.has_ended(state, whose) or _is_at_work(store, state):
        return
    if not is_to_end(store, found):
        return
    _end(store, found, broken)
    # A program may have started just now, and found the session as it was.
    cursor = telling.bring(store, name)
    if cursor is not None and _is_at_work(store, cursor.state):
        by = session.BY_PROGRAM + heard.program
        going_on.go_on(store, name, dict.fromkeys(session.PROCESS), program=by)


def _is_at_work(store: str, state: dict[str, Any]) -> bool:
    """Whether a program has not ended, as far as that can be told: one that is killed tells no end."""
    from prodigy_git.jobs import liveness

    for name in what_follows.going(state, clock.now(), SILENT):
        program, _, identity = name.partition(":")
        if liveness.program_alive(store, state, program, identity) is not False:
            return True
    return False


def _told(store: str, found: Session, heard: Heard, texts: float) -> dict[str, Any] | None:
    """Record what the session's activity says, to its end; return its state, None where it has none."""
    name, repo = found.id, found.text("repo")
    cursor = telling.bring_all(store, name)
    whose = what_follows.name_of(heard.program, heard.program_session)
    if repo is not None and (cursor is None or not what_follows.has_ended(cursor.state, whose)):
        # Killed between the note and the line: the note has what the line is to say.
        activity.append(store, repo, name, heard)
        cursor = telling.bring(store, name)
    deadline = time.monotonic() + texts
    while cursor is not None and cursor.open and time.monotonic() < deadline:
        time.sleep(0.05)
        cursor = telling.bring(store, name)
    if cursor is not None:
        cursor = telling.bring(store, name, over=True)
    return None if cursor is None else cursor.state


def is_to_end(store: str, found: Session) -> bool:
    """Whether a session ends with the program in it.

    It does if nobody else began it: it was made for the program, or goes on only for it; or by a hook,
    for a worktree that the program, or a person for it, has made with git. Not a person's own checkout;
    not what `run` began, or whoever gave it an item; and what a person made with `new-worktree` only
    where git config ``prodigy.agentEnd`` is ``finish``. With ``keep`` none ends.
    """
    main = found.text("git_dir") == "."
    if found.persons or main or found.text("prodigy_session") is not None:
        return False
    if found.text(going_on.BY) is not None:
        return True
    wanted = _setting(store, found)
    if wanted == "keep":
        return False
    if found.text("item_id") is not None:
        return False
    by = found.text("created_by") or ""
    if by.startswith(session.BY_PROGRAM) or by in _BY_HOOKS or wanted == "finish":
        return True
    return found.text(session.MADE_FOR) is not None


def going_elsewhere(store: str, found: Session, own: Iterable[int | None]) -> str | None:
    """Return, in words, a conversation in a session that goes on in a process that is none of ``own``.

    None where there is none: it has ended, has left for another worktree, or its process is gone or
    not known. Raises `OSError`.
    """
    from prodigy_git.jobs import liveness
    from prodigy_git.record.conversations import bindings

    for one in activity.tail(store, found.text("repo") or "", found.id):
        if one.state == activity.ENDED or one.program_session is None:
            continue
        there = bindings.read(store, one.program, one.program_session)
        by = bindings.process(store, one.program, one.program_session)
        if there is None or there.session != found.id or by is None or by.get("pid") in own:
            continue
        if liveness.alive(store, by):
            return f"another conversation of {one.program} (pid {by['pid']})"
    return None


def _setting(store: str, found: Session) -> str | None:
    from prodigy_git.git import repository
    from prodigy_git.store import sessions

    common = sessions.common_of(store, found)
    if common is None:
        return None
    path = found.text("worktree_path")
    here = path if path is not None and os.path.isdir(path) else common
    return (repository.settings(here, f"^{_SETTING}$").get(_SETTING) or "").strip().lower() or None


def _end(store: str, found: Session, broken: Broken) -> None:
    """End a session whose program has ended: as one that is done, or as it had ended before."""
    from prodigy_git.lifecycle import finish, unended
    from prodigy_git.store import ended_by_others

    earlier = found.text(going_on.ENDED_AS)
    if found.text(going_on.BY) is not None and found.text("item_id") is not None:
        # Its item has ended, or is another's: this ends the session, and nothing more.
        end = ended_by_others.End(
            earlier or "Completed", None, "its agent program has ended",
            ended_by_others.resumptions(found),
        )  # fmt: skip
        ended_by_others.end_now(store, found.text("repo") or "", found, end)
        return
    if not unended.settle(store, broken, name=found.id).ended:
        finish.finish(store, found.id, log_path=found.text("json_log_location"), broken=broken)
