"""What must be true of a job's hosts and its hub when nothing is in their way any more."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prodigy_git.record import clock
from prodigy_git.store import events

_OWN = ("rates",)
"""What `job show` says that goes by the moment at which it is asked."""


def shared(state: dict[str, Any]) -> dict[str, Any]:
    """Return what `job show` says that is the same on all hosts."""
    return {name: value for name, value in state.items() if name not in _OWN}


def each_once(on_hub: list[tuple[int, str, str]], logs: Iterable[tuple[str, str, str]]) -> set[str]:
    """Assert that hub and logs have the same events, each once, byte for byte; return their ids.

    ``on_hub`` are number, id and line, in order; ``logs`` are store, repository key and job.
    """
    assert [seq for seq, _, _ in on_hub] == list(range(1, len(on_hub) + 1))
    ids = [one for _, one, _ in on_hub]
    assert len(set(ids)) == len(ids)
    wanted = Counter(line for _, _, line in on_hub)
    for log in logs:
        found = Counter(lines(*log))
        assert found == wanted, (log, found - wanted, wanted - found)
    return set(ids)


def lines(store: str, repo: str, job: str) -> list[str]:
    """Return the lines of a job's log."""
    paths = events.log_files(store, repo, job)
    return [line for path in paths for line in Path(path).read_text().splitlines()]


def one_live_claim(stream: Iterable[str]) -> None:
    """Assert that no two had an item at once, by the order of the hub's events and its clock."""
    has: dict[str, tuple[int, str, int | None]] = {}
    for line in stream:
        event = json.loads(line)
        name, attempt, agent = (event.get(key) for key in ("item_id", "attempt", "agent_id"))
        kind = event["type"]
        before = has.get(name)
        if kind == "AgentStarted":
            assert before is None or before[0] < attempt, (before, event)
            assert before is None or before[2] is None, ("two at once", before, event)
            has[name] = attempt, agent, _moment(event, "lease_until")
        elif before is not None and before[:2] == (attempt, agent):
            until = before[2]
            if kind == "ClaimRenewed":
                assert until is not None, ("renewed after its end", before, event)
                has[name] = attempt, agent, max(_moment(event, "lease_until"), until)
            elif kind in ("AgentCompleted", "AgentFailed", "ClaimReleased"):
                if str(event.get("error")).startswith("its lease ended at"):
                    assert until is not None, ("given up after its end", before, event)
                    assert _moment(event, "timestamp") >= until, ("given up early", before, event)
                has[name] = attempt, agent, None


def _moment(event: dict[str, Any], name: str) -> int:
    found = clock.parse(event[name])
    assert found is not None
    return found
