"""A session that has ended goes on: in its job's log first, then in its file.

Killed between the two it can be repeated: the event's id follows from the session and from how often it
has gone on before, and where in the log it was about to be written stands in the session's file.
"""

from __future__ import annotations

import os

from prodigy_git import layout, names
from prodigy_git.record import locks, log, log_position, session
from prodigy_git.record.log_position import Position

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RESUMED = "resumed"
"""Where in a session's metadata it says how often the session has been resumed."""
BECAUSE = "ended_because"
"""Where in a session's metadata it says why others ended the session."""
BY = "resumed_by"
"""Where it says which agent program has the session go on that had ended."""
ENDED_AS = "ended_as"
"""Where it then says how it had ended: its item is no longer its own, and it ends so again."""
_MARK = "resuming"
ENDED = ("Completed", "Failed", "Cancelled")


def times(metadata: dict[str, Any]) -> int:
    """Return how often a session has been resumed, by its ``metadata``."""
    count = metadata.get(RESUMED)
    return count if isinstance(count, int) and 0 <= count < 1 << 31 else 0


def go_on(store: str, name: str, process: dict[str, Any], *, program: str | None = None) -> bool:
    """Let a session that has ended go on; False where it does already.

    ``process`` (the fields of `session.PROCESS`) has it now. For a ``program`` it goes on for as long
    as that does. Raises `OSError`, `ValueError`.
    """
    lock = locks.take(layout.session_lock(store, name))
    try:
        fields = session.read(store, name)
        metadata = fields["metadata"]
        # A worktree that was made again is enrolled, and its file no longer says that it had ended.
        if program is not None and fields.get("status") not in ENDED:
            return False
        again = times(metadata) + 1
        repo, job = names.checked(metadata["repo"], "repository key"), session.job_of(fields)
        event: dict[str, Any] = {
            "id": log.event_id(name, f"SessionResumed:{again}"),
            "timestamp": "",
            "type": "SessionResumed",
            "event_type": "SessionResumed",
            "correlation_id": name,
            "job_id": job,
            "session_id": name,
        }
        for one in ("agent_id", "item_id"):
            if isinstance(metadata.get(one), str):
                event[one] = metadata[one]

        def note(position: Position) -> None:
            metadata[_MARK] = log_position.as_json(position)
            session.write(store, name, fields)

        since = log_position.from_json(metadata.get(_MARK))
        folder = layout.job_log(store, repo, job)
        if since is None or not log.find(folder, {event["id"]}, since):
            log.append(store, repo, job, [event | {"resumed": again}], before=note)
        for one in (_MARK, BECAUSE):
            metadata.pop(one, None)
        for one in (BY, ENDED_AS):
            metadata.pop(one, None)
        if program is not None:
            metadata[BY], metadata[ENDED_AS] = program, fields["status"]
        metadata[RESUMED] = again
        # Whoever has it now is not who began it.
        metadata.update(process)
        fields.update(status="Running", completed_at=None, error=None)
        session.write(store, name, fields)
        return True
    finally:
        os.close(lock)
