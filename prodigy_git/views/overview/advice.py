"""What to do next about whatever is wrong, as commands. Pure: an overview in, advice out."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prodigy_git.record import clock
from prodigy_git.views.overview import words
from prodigy_git.views.overview.agents import Agent
from prodigy_git.views.overview.repositories import Repository

_NAMED = 3  # agents of a kind that are named one by one


@dataclass(frozen=True)
class Advice:
    """What is wrong, in words, and the commands that look at it or put it right."""

    what: str
    commands: list[str]


def of(found: Repository, *, inside: bool) -> list[Advice]:
    """Return what to do about a repository, the most urgent first.

    ``inside``: the commands will be given in it; else they name it themselves.
    """
    where = "" if inside else f"{found.key}/"
    return [
        *_waiting(found), *_half_way(found), *_dead(found, where), *_failed(found, where),
        *_stuck(found, where), *_left(found), *_jobs(found, where),
        *_around(found, inside=inside),
    ]  # fmt: skip


def _waiting(found: Repository) -> Iterator[Advice]:
    waiting = [one for one in (*found.agents, *found.checkouts) if one.state == "waiting"]
    now = clock.now()
    for one in waiting[:_NAMED]:
        assert one.activity is not None
        who = "your own checkout" if one.persons else one.name
        told = one.activity.transcript is not None
        look = [f"prodigy-git logs {one.session_id} --tail 20"] if told else []
        yield Advice(
            f"{one.activity.program} waits for you in {who}, {words.waits(one.activity, now)}",
            [*look, f"cd {_path(one.worktree)}"],
        )
    yield from _more(waiting, "wait for you", "waiting")


def _half_way(found: Repository) -> Iterator[Advice]:
    for one in found.half_way[:_NAMED]:
        yield Advice(one.words, [one.command])
    if len(found.half_way) > _NAMED:
        yield Advice(f"and {len(found.half_way) - _NAMED} more", ["prodigy-git worktree ls"])


def _dead(found: Repository, where: str) -> Iterator[Advice]:
    yield from _gone(found, where)
    dead = [one for one in found.agents if one.state == "dead" and one.host is None]
    claimed: dict[str, list[Agent]] = {}
    for one in dead:
        if one.claimed and one.facts.owned is False and one.job_id:
            claimed.setdefault(one.job_id, []).append(one)
    for job, some in claimed.items():
        yield Advice(
            f"{_named(some)} of job {job} {_is(some)} dead: give back what {_they(some)} had",
            [f"prodigy-git resume {where}{job}"],
        )
    rest = [one for one in dead if not (one.claimed and one.facts.owned is False)]
    gone = [one for one in rest if one.missing and one.session_id is not None]
    for one in gone[:_NAMED]:
        if one.trash is not None:
            yield Advice(
                f"{one.name}'s worktree is in the trash",
                [f"prodigy-git worktree restore {one.session_id}"],
            )
        elif one.unlinked:
            yield Advice(
                f"git does not find the repository from {one.name}'s worktree: one of them was moved",
                [f"git -C {_path(found.common)} worktree repair {_path(one.worktree)}"],
            )
        elif one.can_be_made_again:
            yield Advice(
                f"{one.name}'s worktree is gone: make it again, or end the session",
                [f"prodigy-git resume {one.session_id}", _end(one, where, "its worktree is gone")],
            )
        else:
            yield Advice(
                f"{one.name}'s worktree and branch are gone: end the session",
                [_end(one, where, "its worktree is gone")],
            )
    yield from _more(gone, "have lost their worktrees", "dead")
    quiet = [one for one in rest if not (one.missing and one.session_id is not None)]
    for one in quiet[:_NAMED]:
        look = [f"prodigy-git worktree show {one.session_id}"] if one.session_id else []
        yield Advice(
            f"{one.name} is silent, and what started it is gone: look, then end it",
            [*look, _end(one, where, "its process is gone")],
        )
    yield from _more(quiet, "are dead", "dead")


def _gone(found: Repository, where: str) -> Iterator[Advice]:
    """Say what hosts have left whose claims are over: whoever is asked first gives it back for all."""
    held: dict[str, dict[str, int]] = {}
    gone = {one.seen.id for one in found.hosts if one.seen.is_gone}
    for one in found.agents:
        if one.state == "dead" and one.host is not None and one.claimed and one.job_id:
            said = f"{one.host.name}{', which is gone' if one.host.id in gone else ''}"
            hosts = held.setdefault(one.job_id, {})
            hosts[said] = hosts.get(said, 0) + 1
    for job, hosts in held.items():
        named = [f"{said}: {_count(count, 'item')}" for said, count in hosts.items()]
        more = f"; and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        yield Advice(
            f"leases of job {job} on other hosts are over ({'; '.join(named[:_NAMED])}{more}): "
            "give back what they had",
            [f"prodigy-git resume {where}{job}"],
        )


def _path(path: str | None) -> str:
    return shlex.quote(path or "PATH")


def _failed(found: Repository, where: str) -> Iterator[Advice]:
    for job in found.jobs:
        if job["queued"] and job["prodigy"] is None:
            most = job["failures"][0] if job["failures"] else None
            why = f", most often: {most['error_signature']}" if most is not None else ""
            name = f"{where}{job['job_id']}"
            yield Advice(
                f"{_count(job['queued'], 'item')} of job {job['job_id']} failed for good{why}",
                [
                    f"prodigy-git dlq list --job {name}",
                    f"prodigy-git dlq retry --job {name} --reprocess-all-eligible",
                ],
            )
    # What is in no queue: sessions without an item, and items that are not to be tried again.
    loose = [one for one in found.agents if one.state == "failed" and one.facts.item != "dead"]
    for one in loose[:_NAMED]:
        if one.host is None and one.session_id is not None and one.facts.status is not None:
            # What is not committed, or in no other branch, is not taken unasked; the trash keeps it.
            force = "" if one.dirty is False and one.ahead == 0 else "-f "
            look = [f"prodigy-git worktree show {one.session_id}"]
            if not one.prodigys:  # Prodigy may still go on with it or merge it
                look.append(f"prodigy-git worktree clean {force}{one.session_id}")
        else:
            look = [f"prodigy-git events ls --job {where}{one.job_id} --item {one.item_id}"]
        yield Advice(f"{one.name} failed{_why(one)}: see what it left", look)
    yield from _more(loose, "failed", "failed")


def _stuck(found: Repository, where: str) -> Iterator[Advice]:
    stuck = [one for one in found.agents if one.state == "stuck"]
    for one in stuck[:_NAMED]:
        who = f"--session {one.session_id}" if one.session_id else f"--agent {one.agent_id}"
        look = f"prodigy-git events ls --job {where}{one.job_id} {who}"
        process = f" (process {one.pid})" if one.pid is not None else ""
        yield Advice(
            f"{one.name}{process} has been silent for long: look, and end it if it hangs",
            [look if one.log is None else f"tail {shlex.quote(one.log)}",
             _end(one, where, "stuck")],
        )  # fmt: skip
    yield from _more(stuck, "are stuck", "stuck")


def _left(found: Repository) -> Iterator[Advice]:
    """Say where no program is any more: a session that does not end with it ends by a person."""
    left = [
        one
        for one in found.agents
        if one.state == "idle" and not one.prodigys
        and one.activity is not None and (one.activity.gone or one.activity.state == "ended")
    ]  # fmt: skip
    for one in left[:_NAMED]:
        assert one.activity is not None
        yield Advice(
            f"{one.activity.program} has ended in {one.name}: end the session if its work is done",
            [f"prodigy-git worktree show {one.session_id}", f"prodigy-git finish {one.session_id}"],
        )
    yield from _more(left, "have no program any more", "idle")


def _jobs(found: Repository, where: str) -> Iterator[Advice]:
    for job in found.jobs:
        name = f"{where}{job['job_id']}"
        over = job["completed"] + job["given_up"]
        if job["prodigy"] is not None:
            yield from _prodigys(job, where)
        elif job["status"] == "paused":
            yield Advice(
                f"job {job['job_id']} is paused: it hands out no items",
                [f"prodigy-git job resume {name}"],
            )
        elif job["status"] != "running":
            continue
        elif job["total_items"] and over == job["total_items"] and job["opened"]:
            yield Advice(
                f"job {job['job_id']} is done with its items", [f"prodigy-git job finish {name}"]
            )
        elif job["held_up_by"]:
            given_up = job["held_up_by"][0]
            count = job["waiting_for_others"]
            yield Advice(
                f"{_count(count, 'item')} of job {job['job_id']} {'waits' if count == 1 else 'wait'} "
                f"for others, as {given_up['item_id']}, which was given up",
                [f"prodigy-git dlq retry --job {name} {given_up['item_id']}"],
            )
        elif job["pending"] and not job["in_progress"] and job["opened"]:
            yield Advice(
                f"{_count(job['pending'], 'item')} of job {job['job_id']} "
                f"{'waits' if job['pending'] == 1 else 'wait'}, and nobody works on them",
                [f"prodigy-git run --job {name} --next -- COMMAND"],
            )


_STANDS = {
    "interrupted": "was interrupted", "completed": "is completed", "failed": "has failed",
    "cancelled": "was cancelled", "open": "has stopped without a word",
    "unknown": "has stopped without a word",
}  # fmt: skip


def _prodigys(job: dict[str, Any], where: str) -> Iterator[Advice]:
    """Say what goes on with a run of Prodigy's; of one that may be at work there is nothing to say."""
    if not job["prodigy"]["commands"]:
        return
    name = job["job_id"]
    left = [f"{job['in_progress']} under way"] if job["in_progress"] else []
    left += [f"{job['given_up']} failed"] if job["given_up"] else []
    items = f": of {_count(job['total_items'], 'item')} {' and '.join(left)}" if left else ""
    yield Advice(
        f"Prodigy's run {name} {_STANDS[job['status']]}{items}",
        [one.replace(f" {name}", f" {where}{name}") for one in job["prodigy"]["commands"]],
    )


def _around(found: Repository, *, inside: bool) -> Iterator[Advice]:
    if found.hooks:
        change = "" if inside or found.common is None else f"cd {shlex.quote(_top(found))} && "
        yield Advice(
            "hooks are not in effect, commits are recorded late or not at all",
            [f"{change}prodigy-git install"],
        )
    for path in found.unenrolled[:_NAMED]:
        yield Advice(
            f"{path} belongs to no session", [f"prodigy-git worktree adopt {shlex.quote(path)}"]
        )
    if len(found.unenrolled) > _NAMED:
        yield Advice(
            f"and {len(found.unenrolled) - _NAMED} more worktrees", ["prodigy-git worktree ls"]
        )


def _end(one: Agent, where: str, why: str) -> str:
    """Return the command that ends somebody's work badly."""
    if one.session_id is not None and one.facts.status is not None:
        return f"prodigy-git finish {one.session_id} --failed --error {shlex.quote(why)}"
    return (
        f"prodigy-git job done {where}{one.job_id} {one.item_id} "
        f"--failed --error {shlex.quote(why)}"
    )


def _more(some: list[Agent], what: str, state: str) -> Iterator[Advice]:
    if len(some) > _NAMED:
        yield Advice(
            f"and {len(some) - _NAMED} more {what}: filter for '{state}' there",
            ["prodigy-git top"],
        )


def _top(found: Repository) -> str:
    common = found.common or ""
    return common.removesuffix("/.git")


def _why(one: Agent) -> str:
    first = (one.error or "").strip().partition("\n")[0]
    return f" ({first[:80]})" if first else ""


def _named(some: list[Agent]) -> str:
    names = [one.name for one in some]
    if len(names) <= _NAMED:
        return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"


def _is(some: list[Agent]) -> str:
    return "is" if len(some) == 1 else "are"


def _they(some: list[Agent]) -> str:
    return "it" if len(some) == 1 else "they"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
