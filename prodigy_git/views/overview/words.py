"""How what is seen is put into words, the same for every view."""

from collections.abc import Sequence
from typing import Any

from prodigy_git import duration
from prodigy_git.record import clock
from prodigy_git.store.other_hosts import Seen
from prodigy_git.views.overview.agents import Agent
from prodigy_git.views.overview.program_states import Doing
from prodigy_git.views.overview.repositories import Repository

_HOSTS = 4
"""Other hosts, and jobs of one, that are named."""
_FILES = 5
"""Files that several edit which are named."""


def age(moment: int | None, now: int) -> str:
    """Return how long ago a moment was, as ``5m``; ``-`` for one that is not known.

    In its largest unit alone: a table of ages that all turn every second could not be read.
    """
    if moment is None:
        return "-"
    return duration.text(now - moment).partition(" ")[0]


def against_base(one: Agent) -> str:
    """Return what an agent's branch has ahead and behind, as ``+2 -5``; ``-`` where nobody knows."""
    return "-" if one.ahead is None else f"+{one.ahead} -{one.behind}"


def changes(one: Agent) -> str:
    """Return whether a worktree has what is not committed; ``-`` where nobody knows."""
    return {True: "yes", False: "no", None: "-"}[one.dirty]


FOR = {"permission": "a permission", "question": "an answer", "idle": "a prompt"}
"""What a program waits for, in words, by its reason."""


def waits(doing: Doing, now: int) -> str:
    """Return for how long and for what a program waits, on one line, not made harmless."""
    said = (doing.message or "").strip().partition("\n")[0]
    text = f"{age(doing.since, now)} for {FOR.get(doing.reason or '', 'somebody')}"
    return f"{text}: {said}" if said else text


def does(doing: Doing, now: int) -> str:
    """Return what a program does, on one line, as ``claude waiting 2m for an answer``."""
    if doing.gone:
        return f"{doing.program} is gone, was {doing.state}"
    if doing.state == "waiting":
        return f"{doing.program} waiting {waits(doing, now)}"
    count = doing.subagents
    with_ = f", {count} subagent{'' if count == 1 else 's'}" if count else ""
    return f"{doing.program} {doing.state} {age(doing.since, now)}{with_}"


def note(one: Agent, now: int | None = None) -> str:
    """Return what else there is to say of an agent, on one line, not made harmless."""
    if one.host is not None and one.state not in ("failed", "retrying", "finished"):
        return seen(one.host, clock.now() if now is None else now)
    if one.missing and one.state != "finished":
        return "worktree in the trash" if one.trash is not None else "worktree gone"
    if one.state in ("failed", "retrying") and one.error:
        return one.error.strip().partition("\n")[0]
    if one.activity is not None and one.state == "waiting":
        # A narrow terminal cuts it: what the state does not say already comes first.
        return waits(one.activity, clock.now() if now is None else now)
    if one.activity is not None and one.state != "finished":
        return does(one.activity, clock.now() if now is None else now)
    return ""


def seen(host: Seen, now: int) -> str:
    """Return when another host gave its last sign of life, as ``seen 3m ago``."""
    last = "never seen" if host.at is None else f"seen {age(host.at, now)} ago"
    return f"host gone, {last}" if host.is_gone else last


def hosts_of(agents: Sequence[Agent]) -> list[object]:
    """Return each agent's host, ``here`` for this one; ``-`` where all are on this one."""
    if not any(one.host for one in agents):
        return ["-"] * len(agents)
    return [host_of(one) for one in agents]


def host_of(one: Agent) -> str:
    """Return the host that an agent is on, where a hub has several."""
    return "here" if one.host is None else one.host.name


def hosts(found: Repository, now: int) -> str:
    """Return how it stands with the other hosts, those first that are gone and have something."""
    some = sorted(
        found.hosts, key=lambda one: (not (one.seen.is_gone and one.items), one.seen.is_gone)
    )
    said = []
    for one in some[:_HOSTS]:
        last = "never seen" if one.seen.at is None else f"seen {age(one.seen.at, now)} ago"
        has = [f"{count} of {job}" for job, count in one.items.items()]
        if one.sessions and not one.items:
            has = [f"{one.sessions} session{'' if one.sessions == 1 else 's'}"]
        verb = "had" if one.seen.is_gone else "has"
        what = f", {verb} {', '.join(has[:_HOSTS])}" if has else ""
        said.append(f"{one.seen.name} {'is gone, ' if one.seen.is_gone else ''}{last}{what}")
    if len(found.hosts) > _HOSTS:
        said.append(f"and {len(found.hosts) - _HOSTS} more")
    return "; ".join(said)


def same_files(found: Repository) -> str:
    """Return which files several are editing at once, and who, on one line, not made harmless."""
    names = {one.session_id: one.name for one in found.agents}
    names |= {one.session_id: "you" for one in found.checkouts}
    said = [
        f"{one.path} ({', '.join(names.get(who, who) for who in one.editors)})"
        for one in found.same_files[:_FILES]
    ]
    more = len(found.same_files) - _FILES
    return ", ".join([*said, *([f"and {more} more"] if more > 0 else [])])


def status(job: dict[str, Any]) -> str:
    """Return how it stands with a job, and whose it is where that is Prodigy."""
    return f"{job['status']} (Prodigy)" if job["program"] == "prodigy" else str(job["status"])


def progress(job: dict[str, Any]) -> str:
    """Return how far a job's items are, as ``17 of 20, 85 % done; 95 % over``."""
    over = f"; {job['percent_over']} % over" if job["given_up"] else ""
    return f"{job['completed']} of {job['total_items']}, {job['percent_done']} % done{over}"


def items(job: dict[str, Any], *without: str) -> str:
    """Return where a job's items are, leaving out those states that are said otherwise."""
    parts = [
        f"{job[state]} {words}"
        for state, words in (
            ("completed", "completed"), ("in_progress", "in progress"), ("pending", "pending"),
            ("dead", "in the queue"), ("failed", "failed"),
        )
        if job[state] and state not in without
    ]  # fmt: skip
    rate, left = job["rates"]["ended_per_minute"], job["rates"]["seconds_left"]
    if rate:
        parts.append(f"{rate:g} a minute")
    if left is not None:
        parts.append(f"{duration.seconds(left)} left")
    return ", ".join(parts)


def bar(part: int, whole: int, width: int) -> str:
    """Return a bar of ``width`` characters, filled as ``part`` is of ``whole``."""
    filled = 0 if whole <= 0 else min(width, width * part // whole)
    return "█" * filled + "░" * (width - filled)
