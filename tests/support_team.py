"""The log of a job with twenty agents, as a team lead would meet it: some stuck, dead or failing.

Of the agents ``agent-00`` to ``agent-19``, each on the item of its number: the first ten completed with
two commits each (``agent-03`` after a failed attempt of ``agent-20``), three failed for good and are in
the queue, two are about to be retried, two are dead (their process is gone), one is stuck (alive, and
silent for an hour), two are at work. Five items nobody has begun.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from prodigy_git.jobs import items
from prodigy_git.jobs.owner import of_process
from prodigy_git.record import clock

JOB = "review"
ITEMS = 25
HOSTILE = "</script><img src=x onerror=alert(1)> \x1b[2J\u202egnp.exe"
COMPLETED = [f"agent-{n:02}" for n in range(10)]
FAILED = [f"agent-{n:02}" for n in range(10, 13)]
RETRIED = ["agent-13", "agent-14"]
DEAD = ["agent-15", "agent-16"]
STUCK = ["agent-17"]
WORKING = ["agent-18", "agent-19"]
_MINUTE = 60 * clock.SECOND


def sha(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


def owner(*, alive: bool) -> dict[str, Any]:
    """Return an owner as AgentStarted has it: this very process, or one that cannot be."""
    found = of_process(os.getpid()).as_json()
    return found if alive else {**found, "pid": 1 << 22}


def events(now: int | None = None) -> list[dict[str, Any]]:
    """Return the job's events, oldest first; it began two hours before ``now`` (microseconds)."""
    begin = (clock.now() if now is None else now) - 120 * _MINUTE
    told: list[tuple[float, str, dict[str, Any]]] = [
        (0, "JobStarted", {"total_items": ITEMS, "max_attempts": 3}),
        (0.01, "JobPhaseChanged", {"from": "setup", "to": "map", "sequence": 1}),
    ]

    def tell(minute: float, kind: str, number: int, attempt: int = 1, **more: Any) -> None:
        agent = more.pop("agent", f"agent-{number:02}")
        who = {
            "session_id": agent, "agent_id": agent, "item_id": f"item-{number}",
            "attempt": attempt,
        }  # fmt: skip
        told.append((minute, kind, who | more))

    def starts(minute: float, number: int, attempt: int = 1, **more: Any) -> None:
        held = owner(alive=more.pop("alive", True))
        tell(minute, "AgentStarted", number, attempt, owner=held, **more)

    def commits(minute: float, number: int, count: int) -> list[str]:
        made = [sha(f"{number}/{one}") for one in range(count)]
        for one, commit in enumerate(made):
            subject = HOSTILE if (number, one) == (0, 0) else f"Step {one + 1} of item {number}"
            tell(
                minute + 5 * one, "CommitCreated", number, commit=commit, action="commit",
                parent=sha("base"), branch=f"prodigy-agent-{number:02}", subject=subject,
                worktree=f"agent-{number:02}",
            )  # fmt: skip
        return made

    def fails(minute: float, number: int, error: str, attempt: int = 1, **more: Any) -> None:
        tell(
            minute, "AgentFailed", number, attempt, error=error, failure_reason="CommandFailed",
            retry_eligible=attempt < 3, **more,
        )  # fmt: skip

    starts(1, 3, agent="agent-20")
    fails(9, 3, "Timeout after 300 seconds", agent="agent-20")
    for number in range(10):
        attempt = 2 if number == 3 else 1
        starts(10 + number, number, attempt)
        made = commits(15 + number, number, 2)
        tell(
            30 + 3 * number, "AgentCompleted", number, attempt, commits=made,
            duration={"secs": 60 * (20 + 2 * number), "nanos": 0},
            json_log_location=f"/logs/agent-{number:02}.json",
        )  # fmt: skip
        tell(30 + 3 * number + 0.1, "WorkItemProcessed", number, attempt, status="completed")
    for number in range(10, 13):
        for attempt in (1, 2, 3):
            starts(40 + 10 * attempt, number, attempt)
            fails(45 + 10 * attempt, number, f"tests failed: {number} of 40", attempt)
        tell(75.1, "WorkItemProcessed", number, 3, status="failed")
        tell(
            75.2, "DLQItemAdded", number, 3, error_signature="tests failed: # of #", failure_count=3
        )
    for number in (13, 14):
        starts(100, number)
        fails(110, number, "cannot lock ref 'refs/heads/x'")
        tell(110.1, "AgentRetrying", number, 2, backoff_ms=3_600_000)
    for number in (15, 16):
        starts(80, number, alive=False)
        commits(85, number, 1)
    starts(55, 17)
    commits(60, 17, 1)
    for number in (18, 19):
        starts(112, number)
        commits(114, number, 2)
        tell(119.5, "ClaudeMessage", number, content="running the tests", message_type="assistant")
    told.sort(key=lambda one: one[0])
    return [
        {
            "id": f"00000000-0000-5000-8000-{number:012x}",
            "timestamp": clock.stamp(begin + int(minute * _MINUTE)),
            "type": kind, "event_type": kind, "correlation_id": more.get("session_id", JOB),
            "job_id": JOB, **more,
        }
        for number, (minute, kind, more) in enumerate(told)
    ]  # fmt: skip


def write(store: Path, repo: str, now: int | None = None) -> Path:
    """Write the job's items and log into a store; return the log's file."""
    given = [(f"item-{number}", {"path": f"src/part{number}.py"}) for number in range(ITEMS)]
    digest = items.write(str(store), repo, JOB, given)
    made = events(now)
    made[0]["items_sha256"] = digest
    day = made[0]["timestamp"][:10].replace("-", "")
    path = store / "events" / repo / JOB / f"events-{day}.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(one, separators=(",", ":")) + "\n" for one in made))
    return path
