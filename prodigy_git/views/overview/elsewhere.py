"""Agents on other hosts of a hub, as they were when that was asked last. None of theirs is looked for.

That somebody there is dead is said only where the lease of a claim is over, by the server's clock,
which is the same for everybody. Else it stands with a session as its host told. A host that gives no
sign of life is called gone, and what it has in its hands is named.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from prodigy_git.record import clock
from prodigy_git.store.briefs import Brief
from prodigy_git.store.other_hosts import Hosts, Seen
from prodigy_git.views.overview.agents import Agent, of_claim, of_item
from prodigy_git.views.overview.items import Held
from prodigy_git.views.overview.logs import Said
from prodigy_git.views.trouble import Facts


@dataclass(frozen=True)
class HostRow:
    """Another host, and what it has in its hands: items by job, and sessions that have not ended."""

    seen: Seen
    items: dict[str, int] = field(default_factory=dict)
    sessions: int = 0


def everybody(key: str, sessions: list[Brief], said: Said, hosts: Hosts) -> list[Agent]:
    """Return an agent for each session of another host, and for each item that one there has."""
    now = clock.now()
    by_session = {
        (one.host, job, one.session): one
        for job, some in said.held.items()
        for one in reversed(some)  # those in progress come first
        if one.host is not None and one.session is not None
    }
    found = []
    taken: set[int] = set()
    for brief in sessions:
        host = brief.other_host or ""
        mine = by_session.get((host, brief.job, brief.id))
        if mine is not None:
            taken.add(id(mine))
        found.append(_of_session(key, brief, mine, hosts.seen(host, now)))
    for held in (said.held, said.left):
        for job, some in held.items():
            for one in some:
                if one.host is not None and id(one) not in taken:
                    agent = of_item(key, job, one)
                    agent.host = hosts.seen(one.host, now)
                    agent.facts = replace(agent.facts, afar=True)
                    found.append(agent)
    return found


def _of_session(key: str, brief: Brief, mine: Held | None, seen: Seen) -> Agent:
    agent = Agent(
        "finished", key, brief.job, brief.id, brief.agent, brief.item,
        began=brief.started, last=brief.updated, branch=brief.branch,
        base=brief.base_branch or brief.base_commit, commits=brief.commits,
        last_commit=brief.last_commit, error=brief.error, persons=brief.persons, host=seen,
    )  # fmt: skip
    if mine is not None:
        of_claim(agent, mine)
    agent.facts = Facts(
        status=brief.status,
        item=None if mine is None else mine.state,
        owned=None if mine is None else mine.owned,
        afar=True,
        last=brief.updated,
    )
    return agent


def believe_leases(agents: Iterable[Agent]) -> None:
    """Call no host gone that holds a lease: who only takes steps gives no other sign of life."""
    some = [one for one in agents if one.host is not None]
    alive: dict[str, int] = {}
    for one in some:
        if one.host is not None and one.claimed and one.facts.owned is not False:
            alive[one.host.id] = max(alive.get(one.host.id, 0), one.last or 0)
    for one in some:
        if one.host is not None and one.host.id in alive:
            last = max(one.host.at or 0, alive[one.host.id])
            one.host = replace(one.host, at=last or None, is_gone=False)


def worth_a_row(one: Agent) -> bool:
    """Whether an agent on another host is one of those at work: not where that host is gone.

    What became of an item there is shown in any case.
    """
    return one.host is None or one.facts.item is not None or not one.host.is_gone


def rows(hosts: Hosts, agents: Iterable[Agent]) -> list[HostRow]:
    """Return the other hosts that have something in their hands, or had; the silent ones last."""
    items: dict[str, Counter[str]] = {}
    sessions: Counter[str] = Counter()
    now = clock.now()
    seen = {name: hosts.seen(name, now) for name, host in hosts.by_id.items() if not host.own}
    for one in agents:
        if one.host is None:
            continue
        seen[one.host.id] = one.host
        if one.claimed and one.job_id is not None:
            items.setdefault(one.host.id, Counter())[one.job_id] += 1
        if one.facts.status is not None and one.state != "finished":
            sessions[one.host.id] += 1
    found = [
        HostRow(one, dict(items.get(name, {})), sessions[name])
        for name, one in seen.items()
        if name in items or sessions[name] or not one.is_gone
    ]
    return sorted(found, key=lambda one: (one.seen.is_gone, one.seen.name, one.seen.id))
