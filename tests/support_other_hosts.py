"""What comes from a hub, made by hand: other hosts, their sessions, and files of their events."""

import json
import uuid

from prodigy_git import layout
from prodigy_git.record import clock, files
from prodigy_git.store import host_files, other_sessions

OWN = uuid.UUID("11111111-1111-4111-8111-111111111111")
BUILD = uuid.UUID("22222222-2222-4222-8222-222222222222")
AWAY = uuid.UUID("33333333-3333-4333-8333-333333333333")
NAMES = {OWN: "desk", BUILD: "build-7", AWAY: "ci-2"}
MINUTE = 60 * clock.SECOND


def stamp(minutes=0):
    """Return the time so many minutes ago."""
    return clock.stamp(clock.now() - int(minutes * MINUTE))


def tag(host):
    return host.hex[:12]


def join(store, **seen):
    """Make a store one of three hosts; ``seen`` is how many minutes ago each other one was seen."""
    store = str(store)
    files.make_private(host_files.origins(store))
    for host in NAMES:
        files.replace(f"{host_files.origins(store)}/{tag(host)}", f"{host}\n".encode())
    files.replace(
        layout.hub_host(store), json.dumps({"id": str(OWN), "name": "desk", "earlier": []}).encode()
    )
    minutes = {OWN: 0, BUILD: seen.get("build", 3), AWAY: seen.get("away", 120)}
    hosts = [
        {"id": str(host), "name": NAMES[host], "seen_at": stamp(minutes[host]), "left_at": None}
        for host in NAMES
    ]
    held = {"hub": str(uuid.uuid4()), "at": stamp(), "hosts": hosts}
    files.replace(layout.hub_hosts(store), json.dumps(held).encode())


def tell(store, host, name, *, repo="repo", job="review", status="Running", minutes=5, **more):
    """Have a host tell of a session of its own."""
    told = {
        "id": name, "status": status, "job_id": job, "started_at": stamp(minutes + 1),
        "updated_at": stamp(minutes), **more,
    }  # fmt: skip
    ended = status in ("Completed", "Failed", "Cancelled")
    if ended:
        told.setdefault("completed_at", told["updated_at"])
    other_sessions.write(str(store), repo, tag(host), told, ended=ended)


def pulled(store, host, *found, repo="repo", job="review"):
    """Have events of a host come, each as (type, minutes ago, fields)."""
    folder = layout.job_log(str(store), repo, job)
    files.make_private(folder)
    lines = []
    for kind, minutes, more in found:
        head = {
            "id": str(uuid.uuid4()), "timestamp": stamp(minutes), "type": kind, "event_type": kind,
            "correlation_id": more.get("session_id", job), "job_id": job,
        }  # fmt: skip
        lines.append(json.dumps(head | more, separators=(",", ":")) + "\n")
    with open(f"{folder}/events-20250111-{tag(host)}.jsonl", "a", encoding="utf-8") as stream:
        stream.writelines(lines)


def claimed(host, item, agent, session, *, minutes=5, lease=30, attempt=1):
    """Return the event of a claim on a host; its lease is over so many minutes after it was made."""
    return (
        "AgentStarted", minutes,
        {"session_id": session, "agent_id": agent, "item_id": item, "attempt": attempt,
         "worktree": session, "lease_until": stamp(minutes - lease),
         "owner": {"store": str(host), "place": "0:0", "host": NAMES[host], "pid": 1}},
    )  # fmt: skip
