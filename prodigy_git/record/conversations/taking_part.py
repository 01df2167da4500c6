"""The session that an agent program works in: made for it, taken up again, or joined as it is.

Each step can be repeated, and is at the program's next start or prompt, where it was killed in between.
"""

from __future__ import annotations

import os

from prodigy_git import layout, names
from prodigy_git.record import clock, gitdir, going_on, locks, log, session
from prodigy_git.record import enrolment as enrolments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from prodigy_git.record.conversations.normal_form import Heard
    from prodigy_git.record.enrolment import Enrolment
    from prodigy_git.record.gitdir import Place

BEGIN = ("start", "prompt")
"""The kinds of events at which a worktree gets a session."""


def around(heard: Heard, environ: Mapping[str, str]) -> tuple[Place, Enrolment] | None:
    """Return the worktree that an event came from, and its session; None: outside, or of no session.

    One that has none gets one (`BEGIN`), unless the user's configuration says otherwise. Raises
    `OSError`, `ValueError`.
    """
    try:
        here = os.path.realpath(heard.cwd or os.getcwd())
    except OSError:
        return None  # the folder is gone
    # Not from the environment: what is there of git's is the program's business.
    place = gitdir.find(here, {})
    if place is None or not os.path.isdir(place.top):
        return None
    there = enrolments.read(place.private)
    if there is None and heard.kind in BEGIN:
        from prodigy_git.record import register  # once in a worktree

        agent = None if _is_main(place) else names.fresh("agent")
        there = register.register_for_program(place, heard.program, environ, agent)
        if there is not None:
            _drain(place, there)
    return None if there is None or not there.known else (place, there)


def _is_main(place: Place) -> bool:
    """Whether a worktree is a repository's own: a person's, in which a program helps."""
    return place.private == place.common


def _drain(place: Place, there: Enrolment) -> None:
    """Record what is there, so that the session's log begins with its beginning."""
    from prodigy_git.record.drain import drain

    try:
        drain(place, there)
    except (OSError, ValueError) as error:
        log.report(there.store, f"session {there.session}: not drained at a start: {error}")


def take_part(
    place: Place, there: Enrolment, heard: Heard, state: dict[str, Any], environ: Mapping[str, str]
) -> None:
    """Have a session go on that had ended before the program began, and know who works there.

    ``state`` is `what_follows`' after the event. What a session had for its item is not claimed again:
    that is done, or another's. Raises `OSError`, `ValueError`.
    """
    known = state.get(f"{heard.program}:{heard.program_session}")
    if known is None or known["ended"]:
        return
    fields = session.read(there.store, there.session)
    ended = clock.parse(str(fields.get("completed_at")))
    if fields.get("status") in going_on.ENDED and ended is not None and known["began"] > ended:
        unknown: dict[str, Any] = dict.fromkeys(session.PROCESS)
        by = session.BY_PROGRAM + heard.program
        going_on.go_on(there.store, there.session, unknown, program=by)
    if there.agent is None and there.item is None and not _is_main(place):
        given = environ.get("PRODIGY_AGENT_ID", "")
        agent = given if names.is_safe(given) else names.fresh("agent")
        _give_agent(place, there, agent)


def _give_agent(place: Place, there: Enrolment, agent: str) -> None:
    """Let a worktree that had no agent be an agent's: in its file, in the log, in its enrolment."""
    lock = locks.take(layout.session_lock(there.store, there.session))
    try:
        now = enrolments.in_file(place.private, there.suffix)
        if now is None or now.nonce != there.nonce or now.agent is not None:
            return
        fields = session.read(there.store, there.session)
        metadata = fields["metadata"]
        begun = isinstance(metadata.get("agent_id"), str)  # by one that was killed
        agent = names.checked(metadata["agent_id"], "agent id") if begun else agent
        if not begun:
            metadata["agent_id"] = agent
            if isinstance(fields.get("mapreduce_data"), dict):
                fields["mapreduce_data"].update(agent_count=1, phase="Map")
            session.write(there.store, there.session, fields)
        now.agent, now.job = agent, session.job_of(fields)
        event = enrolments.envelope(now, log.event_id(now.nonce, "AgentStarted"), "AgentStarted")
        event |= {"worktree": now.session, "attempt": 1}
        folder = layout.job_log(now.store, now.repo, now.job)
        if not begun or not log.find(folder, {event["id"]}, None):
            log.append(now.store, now.repo, now.job, [event])
        enrolments.write(place.private, now)
    finally:
        os.close(lock)
