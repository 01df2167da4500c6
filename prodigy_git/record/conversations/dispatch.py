"""What becomes of an agent program's event: it goes to a session, and stands in its activity.

Most say that the agent works, and no more; the agent waits for each of them, so what is needed for the
others (`bind_and_tell`) is loaded for those.
"""

from __future__ import annotations

from prodigy_git import layout
from prodigy_git.record.conversations import bindings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from prodigy_git.record.conversations.normal_form import Heard

_NOTED = ("tool", "working", "seen", "cwd", "worktree_create", "worktree_remove")
"""The kinds of events that are noted, and no more."""


def heard(event: Heard, environ: Mapping[str, str]) -> None:
    """Take in one event. Raises `OSError`, `ValueError`.

    Of a program's session without an id, and of one that belongs to no session of ours, nothing is
    noted.
    """
    if event.program_session is None:
        return
    store = layout.store_from(environ)
    bound = bindings.read(store, event.program, event.program_session)
    if bound is not None and not bound.before:
        if event.kind in _NOTED and not (event.kind == "working" and event.text is not None):
            from prodigy_git.record.conversations import activity

            activity.append(bound.store, bound.repo, bound.session, event)
            return
        if event.kind == "end":
            from prodigy_git.record.conversations import end_notes

            end_notes.end(event, bound.store, bound.repo, bound.session)
            return
    from prodigy_git.record.conversations import bind_and_tell

    bind_and_tell.take(event, bound, environ)
