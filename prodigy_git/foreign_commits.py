"""Recorded commits that git does not know as made in their session's worktree: whose they are."""

import os

from prodigy_git import layout, verify
from prodigy_git.git.ask import git_status
from prodigy_git.record import locks, session
from prodigy_git.store import events, sessions, stream
from prodigy_git.store.events import Broken


def note(store: str, name: str, broken: Broken) -> list[str]:
    """Note in a session's file which of its recorded commits were made elsewhere; return the new ones.

    Those that git does not know as made in its worktree, and that another session has recorded, too (a
    copy's), or that are not in the repository (any more: an older state of it was put back). `verify`
    then does not call them foreign. Raises `ProdigyError`, `OSError` or `ValueError`.
    """
    found = sessions.load(store, name)
    verdicts, _ = verify.verify(store, [found], fix=False, broken=broken, note=broken)
    foreign = [sha for one in verdicts for sha in one.foreign]
    common = sessions.common_of(store, found)
    if not foreign or common is None:
        return []
    asked = "".join(f"{sha}\n" for sha in foreign).encode("ascii", "replace")
    _, out, _ = git_status(common, "cat-file", "--batch-check", stdin=asked)
    gone = {line.split(" ")[0] for line in out.splitlines() if line.endswith(" missing")}
    elsewhere = [sha for sha in foreign if sha in gone | _recorded_by_others(store, name, foreign)]
    if elsewhere:
        lock = locks.take(layout.session_lock(store, name))
        try:
            fields = session.read(store, name)
            known = fields["metadata"].get(session.ELSEWHERE) or []
            fields["metadata"][session.ELSEWHERE] = list(dict.fromkeys([*known, *elsewhere]))
            session.write(store, name, fields)
        finally:
            os.close(lock)
    return elsewhere


def _recorded_by_others(store: str, name: str, shas: list[str]) -> set[str]:
    wanted = set(shas)
    return {
        str(event.own().get("commit"))
        for key, job in events.jobs(store)
        for event in stream.merge(events.own_log_files(store, key, job), lambda _: None)
        if event.type == "CommitCreated"
        and event.session_id != name
        and event.own().get("commit") in wanted
    }
