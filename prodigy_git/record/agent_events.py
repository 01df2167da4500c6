"""What becomes of an agent program's event: it goes to a session, and stands in its activity."""

from __future__ import annotations

import os

from prodigy_git import layout
from prodigy_git.record import activity, program_sessions
from prodigy_git.record.program_sessions import Binding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from prodigy_git.record.agent_programs import Heard


def heard(event: Heard, environ: Mapping[str, str], process: int | None) -> None:
    """Take in one event. Raises `OSError`, `ValueError`.

    ``process`` is that of the program. Of a program's session without an id, and of one that belongs to
    no session of ours, nothing is noted.
    """
    if event.program_session is None:
        return
    store = layout.store_from(environ)
    there = program_sessions.read(store, event.program, event.program_session)
    # What compacts its memory goes on where it was, wherever it stands just now.
    if there is None or (event.kind == "start" and event.source != "compact"):
        there = _bound(event, process) or there
    if there is None:
        return
    activity.append(there.store, there.repo, there.session, event)
    if event.kind == "end" and process is not None:
        program_sessions.unmark(store, process)


def _bound(event: Heard, process: int | None) -> Binding | None:
    """Bind a program's session to that of the worktree it stands in; None where that has none."""
    from prodigy_git.record import enrolment, gitdir

    try:
        here = event.cwd or os.getcwd()
    except OSError:
        return None  # the folder is gone
    # Not from the environment: what is there of git's is the program's business.
    place = gitdir.find(os.path.realpath(here), {})
    found = None if place is None else enrolment.read(place.private)
    if place is None or found is None or not found.known:
        return None
    assert event.program_session is not None
    anew = event.kind == "start"
    known = program_sessions.read(found.store, event.program, event.program_session)
    if known is not None and not anew:
        return known  # in the enrolment's store, which the environment does not name
    there = Binding(
        store=found.store, repo=found.repo, session=found.session, job=found.job, worktree=place.top
    )
    return program_sessions.bind(there, event, process, anew=anew)
