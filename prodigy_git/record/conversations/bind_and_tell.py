"""What becomes of an agent program's conversation: bound to a session, and told in its job's log."""

from __future__ import annotations

import os

from prodigy_git.record import gitdir, locks, repokey
from prodigy_git.record.conversations import (
    activity,
    bindings,
    call_identity,
    end_notes,
    normal_form,
    speech,
    taking_part,
    telling,
    what_follows,
)
from prodigy_git.record.conversations.bindings import Binding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from prodigy_git.record.conversations.normal_form import Heard
    from prodigy_git.record.enrolment import Enrolment
    from prodigy_git.record.gitdir import Place

PATIENCE = 2.0
"""Seconds that a lock is waited for, at most; what is left then, the next event records."""
_LEFT = 4
"""How many sessions are remembered that a program has left for another worktree."""


def take(event: Heard, bound: Binding | None, environ: Mapping[str, str]) -> None:
    """Take in an event that binds a program's session, or that something follows from.

    ``bound`` is what the program's session is bound to by now. Raises `OSError`, `ValueError`.
    """
    here: tuple[Place, Enrolment] | None = None
    new = bound is None
    # What compacts its memory goes on where it was, wherever it stands just now.
    if bound is None or (event.kind == "start" and event.source != "compact"):
        here = taking_part.around(event, environ)
        there = None if here is None else _bind(event, here, bound)
        new = new or (there is not None and bound is not None and there.session != bound.session)
        bound = there or bound
    if bound is None:
        return
    if event.kind == "prompt" and not new:
        bindings.goes_on(bound.store, event)
    if bound.before:
        bound = _where_heard(event, bound)
    if event.kind == "end":
        end_notes.end(event, bound.store, bound.repo, bound.session)
        return
    activity.append(bound.store, bound.repo, bound.session, event)
    if new or (activity.is_told(event) and event.kind != "tool"):
        _record(event, bound, here, environ)


def _bind(event: Heard, here: tuple[Place, Enrolment], bound: Binding | None) -> Binding:
    """Bind a program's session to that of the worktree it stands in, or return what it is bound to."""
    place, found = here
    assert event.program_session is not None
    known = bindings.read(found.store, event.program, event.program_session)
    if known is not None and event.kind != "start":
        return known  # in the enrolment's store, which the environment does not name
    there = Binding(
        store=found.store, repo=found.repo, session=found.session, job=found.job, worktree=place.top
    )
    earlier = bound or known
    if earlier is not None and earlier.session == there.session:
        there.before = earlier.before
    elif earlier is not None:
        if _is_late(event, there):
            return earlier
        _leave(event, earlier)
        left = ((earlier.repo, earlier.session), *earlier.before)
        there.before = tuple(one for one in left if one[1] != there.session)[:_LEFT]
    return bindings.bind(there, event, anew=event.kind == "start")


def _is_late(event: Heard, there: Binding) -> bool:
    """Whether a start was heard in a session already: the program has gone on elsewhere since."""
    state = telling.state_of(there.store, there.repo, there.session) or {}
    known = state.get(what_follows.name_of(event.program, event.program_session))
    return known is not None and what_follows.has_heard(known, call_identity.call_of(event))


def _where_heard(event: Heard, bound: Binding) -> Binding:
    """Return in which session a call was heard before that the program has left; else its own.

    Told again, it is told there again, and known for what it is.
    """
    if activity.is_told(event):
        for repo, name in bound.before:
            there = Binding(
                store=bound.store, repo=repo, session=name, job=bound.job, worktree=bound.worktree
            )
            if _is_late(event, there):
                return there
    return bound


def _leave(event: Heard, earlier: Binding) -> None:
    """End a conversation where it was: it goes on in another worktree."""
    state = telling.state_of(earlier.store, earlier.repo, earlier.session) or {}
    if not what_follows.has_ended(
        state, what_follows.name_of(event.program, event.program_session)
    ):
        left = normal_form.Heard(event.program, "end", None)
        left.program_session, left.reason, left.mark = event.program_session, "moved", event.mark
        end_notes.end(left, earlier.store, earlier.repo, earlier.session)


def _record(
    event: Heard,
    bound: Binding,
    here: tuple[Place, Enrolment] | None,
    environ: Mapping[str, str],
) -> None:
    """Record what follows from an event that stands in the activity file."""
    if here is None and event.kind in taking_part.BEGIN:
        here = taking_part.around(event, environ)
    # Wherever the program stands by now, it takes part where it began.
    if here is not None and here[1].session != bound.session:
        here = None
    text = None
    if activity.is_told(event):
        place = here[0] if here is not None else _place_of(bound)
        text = speech.of(event, bound.store, bound.repo, bound.session, place)
    try:
        told = telling.bring(bound.store, bound.session, text=text, patience=PATIENCE)
    except locks.Busy:
        # The next event records what follows; but only this one knows what was said.
        if text is not None and text.said is not None:
            speech.later(text, bound.store, bound.repo, bound.session)
        raise
    if told is not None and told.behind and text is not None and text.said is not None:
        speech.later(text, bound.store, bound.repo, bound.session)  # its line is further on
    if here is not None and told is not None:
        taking_part.take_part(*here, event, told.state, environ)


def _place_of(bound: Binding) -> Place | None:
    """Return the worktree that a program's session was bound in, or what git has of its repository.

    The worktree may be gone, or moved. None where both are.
    """
    place = gitdir.find(bound.worktree, {}) if os.path.isdir(bound.worktree) else None
    if place is None:
        common = repokey.common_of(bound.store, bound.repo)
        place = None if common is None else gitdir.Place(common, common, common)
    return place
