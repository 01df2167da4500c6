"""Nobody is called dead on the strength of two readings that were made at different moments.

Claims, sessions, worktrees and processes are read one after the other, and agents begin and end
meanwhile. So whoever would be called dead, failed or stuck, or whose worktree seems to be missing, is
looked at again as a whole: its session, what the log says of it, its worktree, its process. Only what
a second look, begun after the first one had ended, finds as it was is said; else the newer facts are
judged, in the same way. Whose facts are others each time is at work.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from prodigy_git.views.overview.agents import Agent

_LOOKS = 6
_ALARMS = ("dead", "failed", "stuck")

Again = Callable[[list[Agent]], Iterable[Agent]]


def settled(found: list[Agent], look_again: Again, *, watched: bool) -> list[Agent]:
    """Return the agents as they may be shown; those who turn out to be over are not among them.

    ``look_again`` returns what is to be seen of some of them now, judged. ``watched``: they are judged
    again as time passes, so that what would become an alarm by that alone has to be certain, too.
    """
    known = {_who(one): one for one in found}
    doubted = {who: one for who, one in known.items() if _is_doubtful(one, watched)}
    for _ in range(_LOOKS):
        if not doubted:
            break
        newer = {_who(one): one for one in look_again(list(doubted.values()))}
        for who, before in list(doubted.items()):
            now = newer.get(who)
            if now is None:
                del known[who]
            else:
                known[who] = now
            if (
                now is not None
                and _is_doubtful(now, watched)
                and _decisive(now) != _decisive(before)
            ):
                doubted[who] = now
            else:
                del doubted[who]
    for who, one in doubted.items():
        known[who] = replace(
            one, state="running", missing=False,
            facts=replace(one.facts, item=None, owned=None, deserted=False, missing=False),
        )  # fmt: skip
    return list(known.values())


def _who(one: Agent) -> tuple[str | None, ...]:
    if one.session_id is not None:
        return one.job_id, one.session_id
    return one.job_id, None, one.agent_id, one.item_id


def _is_doubtful(one: Agent, watched: bool) -> bool:
    later = watched and (one.facts.deserted or one.facts.owned is False)
    suspicious = one.missing or later
    return one.state in _ALARMS or (suspicious and one.state != "finished")


def _decisive(one: Agent) -> tuple[Any, ...]:
    return (
        one.state, one.facts, one.attempt, one.item_id, one.pid, one.worktree, one.unlinked,
        one.trash, one.branch, one.error,
    )  # fmt: skip
