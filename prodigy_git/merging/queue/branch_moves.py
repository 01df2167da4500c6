"""Moving the branch, once each time, and all that belongs to it; and finishing what was cut short.

The order, and what a kill after each step leaves:

1. the move is written into the ledger, as begun    nothing has happened: the next call drops it
2. the commits that were made for it are recorded   as before; they were made, and nobody needs them
3. ``git update-ref``, with the commit before       it has happened: the next call does the rest
4. the checkouts of the branch follow               those that have not, or half, follow then
5. the events, one for each result                  the log is searched for them, by their ids
6. the move is written into the ledger, as done     nothing is left

2 comes before 3: from then on whoever has the branch checked out meets these commits, and would take
them for made there if no other session had recorded them.

From 1 on git holds the merge lock with us: the next call looks only when it has ended.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from prodigy_git import encoding, layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import git
from prodigy_git.merging.queue import checkouts, giving_back, ledger, steadily
from prodigy_git.merging.queue.checkouts import Checkout
from prodigy_git.merging.queue.ledger import Kind, Move
from prodigy_git.merging.queue.target import Target
from prodigy_git.merging.results import ancestry
from prodigy_git.record import clock, log
from prodigy_git.store.events import Broken


class Elsewhere(ProdigyError):
    """The branch is not where it was: somebody else has moved it meanwhile."""


class Refused(ProdigyError):
    """git did not move the branch: a hook of the repository, or its configuration, forbids it."""


@dataclass
class Moved:
    """A move that is done, and the checkouts of the branch."""

    move: Move
    checkouts: list[Checkout] = field(default_factory=list)


def move(
    target: Target,
    cwd: str,
    kind: Kind,
    run: str,
    old: str,
    new: str,
    items: Sequence[dict[str, Any]],
    *,
    lock: int,
    undoes: Sequence[str] = (),
) -> Moved:
    """Move the branch from ``old`` to ``new``, and do what belongs to it.

    ``cwd`` is where git is run, which must not have the branch checked out. ``lock`` is the merge
    lock. Raises `Elsewhere` and `Refused`, and then nothing has happened; `OSError`, when what is left
    to do the next call does.
    """
    made = Move(
        names.fresh("merge"), kind, run, old, new, clock.stamp(clock.now()), list(items), list(undoes)
    )  # fmt: skip
    ledger.begin(target.ledger, made)
    if kind == "merge":
        _record_commits(target, cwd, made)
    what = ", ".join(str(one["item_id"] or one["session_id"]) for one in items)[:200]
    verb = "merge" if kind == "merge" else "merge --undo"
    status, _, err = steadily.git(
        cwd, "update-ref", "-m", f"prodigy-git: {verb} {what}", target.ref, new, old, lock=lock,
        common=target.place.common,
    )  # fmt: skip
    if status != 0 and target.tip() != new:
        now = target.tip()
        ledger.end(target.ledger, made, "dropped")
        if now != old:
            raise Elsewhere(f"{target.branch} was moved to {now[:12]} meanwhile")
        raise Refused(_why(err))
    return _rest(target, made, lock, again=False)


def _record_commits(target: Target, cwd: str, made: Move) -> None:
    """Record the commits that merging has made: each once, in the log of the job that it was made for.

    Their session is the call of ``merge``; that has no file, and no worktree that anybody lists.
    """
    earlier = ledger.read(target.ledger, lambda _: None)
    # Undone, or killed, and merged again within a second, it is the same commit.
    known = {one["commit"] for move in earlier if move.id != made.id for one in move.items}
    before = made.old
    for one in made.items:
        out = git(
            cwd, "log", "--reverse", "--format=%H%x00%P%x00%s", one["commit"], f"^{before}",
            f"^{one['head']}",
        )  # fmt: skip
        events = []
        for line in out.split("\n")[:-1]:  # a subject may have other ends of a line in it
            sha, parents, subject = line.split("\0", 2)
            event = {
                "id": log.event_id("merge", sha), "timestamp": "",
                "type": "CommitCreated", "event_type": "CommitCreated", "correlation_id": made.run,
                "job_id": one["job_id"], "session_id": made.run, "commit": sha,
                "parent": parents.partition(" ")[0], "action": "merge",
                "branch": encoding.valid(target.branch),
                "worktree": "merging",
                "subject": encoding.valid(subject),
            }  # fmt: skip
            events.append(event)
        if one["commit"] in known:
            ids = {str(event["id"]) for event in events}
            there = log.find(layout.job_log(target.store, target.repo, one["job_id"]), ids, None)
            events = [event for event in events if event["id"] not in there]
        if events:
            log.append(target.store, target.repo, one["job_id"], events)
        before = one["commit"]


def _why(err: str) -> str:
    lines = [line.strip() for line in err.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("fatal:")]
    return " ".join((told or lines)[-3:]) or "git did not say why"


def _rest(target: Target, made: Move, lock: int, *, again: bool) -> Moved:
    """Do what belongs to a move that has happened: ``again`` where some of it may be done already."""
    done = Moved(made)
    if not again or target.tip() == made.new:
        done.checkouts = checkouts.follow(target, made.old, made.new, lock, again=again)
    _announce(target, made, again=again)
    if made.kind == "merge":
        giving_back.forget(target, made.items)
    ledger.end(target.ledger, made, "done")
    return done


def _announce(target: Target, made: Move, *, again: bool) -> None:
    """Put an event for each result into its job's log, each once."""
    by_job: dict[str, list[dict[str, Any]]] = {}
    for one in made.items:
        by_job.setdefault(one["job_id"], []).append(_event(target, made, one))
    for job, events in by_job.items():
        if again:
            ids = {event["id"] for event in events}
            there = log.find(layout.job_log(target.store, target.repo, job), ids, None)
            events = [event for event in events if event["id"] not in there]
        if events:
            log.append(target.store, target.repo, job, events)


def _event(target: Target, made: Move, one: dict[str, Any]) -> dict[str, Any]:
    whom = one["session_id"] or one["item_id"] or one["head"]
    kind = "WorktreeMerged" if made.kind == "merge" else "WorktreeMergeUndone"
    fields = {
        "id": log.event_id(made.id, f"{kind}:{whom}"), "timestamp": "", "type": kind,
        "event_type": kind, "correlation_id": one["session_id"] or one["job_id"],
        "job_id": one["job_id"], "session_id": one["session_id"], "agent_id": one["agent_id"],
        "item_id": one["item_id"], "worktree_name": one["session_id"],
        "target_branch": target.branch, "branch": one["branch"], "head": one["head"],
        "commit": one["commit"],
    }  # fmt: skip
    return {
        name: encoding.valid(value) if isinstance(value, str) else value
        for name, value in fields.items()
        if value is not None
    }


def settle(target: Target, lock: int, broken: Broken) -> list[Moved]:
    """Finish, or take back, what a call that was killed has begun; return the moves that happened.

    Raises `ProdigyError`, `OSError`.
    """
    finished = []
    for made in ledger.read(target.ledger, broken):
        if made.state != "begun":
            continue
        if _happened(target, made):
            finished.append(_rest(target, made, lock, again=True))
        else:
            ledger.end(target.ledger, made, "dropped")
    return finished


def _happened(target: Target, made: Move) -> bool:
    tip = target.tip()
    if tip == made.new:
        return True
    if made.kind == "undo":  # the branch still has what it was to lose
        return tip != made.old and not contains(target, tip, made.old)
    return contains(target, tip, made.new)


def contains(target: Target, tip: str, commit: str) -> bool:
    """Whether a commit is part of the history of another."""
    cwd = target.place.common
    return steadily.look(cwd, "merge-base", "--is-ancestor", commit, tip)[0] == 0


def done_before(
    target: Target, tip: str, heads: Collection[str], broken: Broken
) -> dict[str, dict[str, Any]]:
    """Return which of these commits were merged into what the branch has at ``tip``, and what as."""
    asked = [
        (one["head"], one, made.new)
        for made in ledger.read(target.ledger, broken)
        if made.kind == "merge" and made.state == "done"
        for one in made.items
        if one["head"] in heads
    ]
    if not asked:
        return {}
    line = ancestry.of(target.place, tip, [new for _, _, new in asked]).descents
    return {
        head: one for head, one, new in asked if line[new].trouble is None and not line[new].own
    }


def undo(target: Target, cwd: str, *, lock: int, broken: Broken) -> Moved:
    """Move the branch back to where it was before the last call of ``merge`` moved it.

    Raises `ProdigyError` where there is none, or somebody has built on it; as `move`.
    """
    tip = target.tip()
    done = [
        one
        for one in ledger.read(target.ledger, broken)
        if one.kind == "merge" and one.state == "done"
    ]
    if not done:
        raise ProdigyError(f"nothing that was merged into {target.branch} is left to undo")
    last = done[-1]
    if tip != last.new:
        raise ProdigyError(
            f"{target.branch} is at {tip[:12]}, and was left at {last.new[:12]} by the last merge: "
            f"somebody has built on it; 'git revert' takes single commits back"
        )
    chain = [last]
    for one in reversed(done[:-1]):
        # As far back as it was moved by that call alone.
        if one.run != last.run or one.new != chain[-1].old:
            break
        chain.append(one)
    items = [item for one in reversed(chain) for item in one.items]
    return move(
        target, cwd, "undo", names.fresh("undo"), tip, chain[-1].old, items, lock=lock,
        undoes=[one.id for one in chain],
    )  # fmt: skip
