"""Who works on a job, as people are told: that they go on when it is ended, or keep others waiting."""

import os
from typing import TYPE_CHECKING, Any

from prodigy_git.record import clock

if TYPE_CHECKING:
    from prodigy_git.jobs.claims import Waiting

_SHOWN = 10


def why_none(left: "Waiting") -> str:
    """Return why no item is to be had: what goes on behind the word that there is none."""
    text = ""
    if left.status != "running":
        text += f", the job is {left.status}"
    if left.in_progress:
        text += f", {left.in_progress} in progress"
    again = left.pending - left.waiting
    if again > 0 and left.ready_at is not None:
        when = clock.stamp(left.ready_at)
        text += f", {again} to be tried again, the first at {when}"
    if left.waiting:
        text += f", {left.waiting} wait for other items"
    if left.held_up_by:
        text += (
            f", some of them for {', '.join(left.held_up_by)}, given up: "
            "'prodigy-git dlq retry' tries that again"
        )
    return text


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """Return a line for each item in progress, as `summary.at_work` has them; no more than a few."""
    said = [
        f"item {row['item_id']}: agent {row['agent_id']} works on, {_where(row)}{_how(row)}"
        for row in rows[:_SHOWN]
    ]
    if len(rows) > _SHOWN:
        said.append(f"and {len(rows) - _SHOWN} more in progress: 'prodigy-git job show' names them")
    return said


def of_session(store: str, name: str, *, by_run: bool) -> list[str]:
    """Return a line if a process works in a session, other than those that ask; else nothing.

    With ``by_run`` only a command of `run`, which most sessions are not: so it is asked first.
    """
    from prodigy_git.errors import ProdigyError
    from prodigy_git.jobs import peek, summary
    from prodigy_git.lifecycle import command_process
    from prodigy_git.store import sessions

    try:
        found = sessions.load(store, name)
        place = store, found.text("repo") or "", found.job, name
        if by_run and command_process.find(*place) is None:
            return []
    except ProdigyError:
        return []  # it is said beside the answer, which does not depend on it
    import psutil

    try:
        with peek.opened(store, found.text("repo") or "", found.job, lambda _: None) as index:
            who = found.text("item_id"), found.text("agent_id")
            rows = [
                row for row in summary.at_work(index) if (row["item_id"], row["agent_id"]) == who
            ]
        asking = {psutil.Process().pid, *(one.pid for one in psutil.Process().parents())}
    except (ProdigyError, OSError, psutil.Error):
        return []
    held = [row for row in rows if row["alive"] is not False and row["owner"] is not None]
    return lines([row for row in held if row["owner"].get("pid") not in asking])


def _where(row: dict[str, Any]) -> str:
    owned = row["owner"] or {}
    if isinstance(owned.get("pid"), int):
        host = owned.get("host") or "an unknown host"
        return f"process {owned['pid']} on {host}"
    if row["lease_ends_at"] is not None:
        return f"its lease ends at {row['lease_ends_at']}"
    return "nobody knows where"


def _how(row: dict[str, Any]) -> str:
    """Return how to end it, where that is possible here."""
    owned = row["owner"] or {}
    if row.get("host_id") is not None:
        return ", which is another host's"
    if not isinstance(owned.get("pid"), int) or owned.get("host") != os.uname().nodename:
        return ""
    # What `run` started holds a lock.
    if owned.get("lock") is not None:
        return f": 'prodigy-git stop {row['agent_id']}' ends it"
    return f": 'kill {owned['pid']}' ends it"
