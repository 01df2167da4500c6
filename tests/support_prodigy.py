"""What Prodigy leaves in the store, made by hand: one function for each shape, and whole runs of them.

Each file has the fields, the place and the name that Prodigy 0.4.4 was seen to write; git has the
worktrees and branches that it made. Nothing here calls the package, so it follows none of its mistakes.
"""

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ITEMS = [
    {"id": "a1", "f": "one"},
    {"id": "a2", "f": "two"},
    {"id": "a3", "f": "three"},
    {"id": "a4", "f": "four"},
]
BEGAN = "2026-03-01T10:00:00.123456789Z"
LATER = "2026-03-01T10:05:00.987654321Z"
FAILED_SESSION = "session-11111111-1111-4111-8111-111111111111"
FAILED_JOB = "mapreduce-20260301_100001"
INTERRUPTED_SESSION = "session-22222222-2222-4222-8222-222222222222"
INTERRUPTED_JOB = "mapreduce-20260301_110001"
WORKFLOW = "workflow-1772362800000"
WORKFLOW_STARTED = "workflow-1772362800042"
"""What its checkpoint is called after: some milliseconds later than the session."""


@dataclass
class Made:
    """A MapReduce as it was made: what a test compares with."""

    session: str
    job: str
    worktree: Path
    branch: str
    commits: dict[str, list[str]] = field(default_factory=dict)
    """The commits of the agent of each item that was merged."""
    agents: dict[str, Path] = field(default_factory=dict)
    """The worktrees of agents that are still there, by item."""


@dataclass
class Whole:
    """What `prodigy_store` has made."""

    store: Path
    repo: Path
    failed: Made
    """Three items were merged, ``item_2`` is in the queue, the run is over and not merged."""
    interrupted: Made
    """Items 0 and 1 were merged, 2 and 3 were under way when Ctrl-C came."""
    workflow: Path
    """The worktree of a sequential workflow of three steps, whose second failed."""


def git(*arguments: str | Path, cwd: Path) -> str:
    """Run git, and return its output."""
    command = ["git", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.strip()


def write(path: Path, value: Any) -> Path:
    """Write a document as Prodigy does: indented, without a last newline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2))
    return path


def session_file(
    store: Path, session: str, *, status: str = "Running", kind: str = "Workflow", **changed: Any
) -> Path:
    """Write ``sessions/{session}.json``: a UnifiedSession without any field of ours."""
    ended = status in ("Completed", "Failed", "Cancelled")
    fields = {
        "id": session, "session_type": kind, "status": status, "started_at": BEGAN,
        "updated_at": LATER, "completed_at": LATER if ended else None, "metadata": {},
        "checkpoints": [], "timings": {}, "error": None,
        "workflow_data": {
            "workflow_id": session, "workflow_name": "", "current_step": 0, "total_steps": 0,
            "completed_steps": [], "variables": {}, "iterations_completed": 0, "files_changed": 0,
            "worktree_name": None,
        },
        "mapreduce_data": None,
    }  # fmt: skip
    return write(store / "sessions" / f"{session}.json", fields | changed)


def worktree_state(
    store: Path, key: str, session: str, *, original: str = "main", status: str = "in_progress",
    **changed: Any,
) -> Path:  # fmt: skip
    """Write ``worktrees/{key}/.metadata/{session}.json``: a WorktreeState."""
    stopped = status == "interrupted"
    fields = {
        "session_id": session, "worktree_name": session, "branch": f"prodigy-{session}",
        "original_branch": original, "created_at": BEGAN, "updated_at": LATER, "status": status,
        "iterations": {"completed": 0, "max": 10},
        "stats": {"files_changed": 0, "commits": 0, "last_commit_sha": None},
        "merged": False, "merged_at": None, "error": None, "merge_prompt_shown": False,
        "merge_prompt_response": None, "interrupted_at": LATER if stopped else None,
        "interruption_type": "user_interrupt" if stopped else None, "last_checkpoint": None,
        "resumable": stopped,
    }  # fmt: skip
    folder = store / "worktrees" / key
    path = write(folder / ".metadata" / f"{session}.json", fields | changed)
    (folder / ".gitignore").write_text(".metadata/\n")
    return path


def failure(
    attempt: int = 1, *, error: str = "Agent failed", error_type: Any = "Unknown", **changed: Any
) -> dict[str, Any]:
    """Return one entry of a dead letter's ``failure_history``: a FailureDetail."""
    return {
        "attempt_number": attempt, "timestamp": LATER, "error_type": error_type,
        "error_message": error, "stack_trace": error, "agent_id": "agent-item_2",
        "step_failed": "agent_execution", "duration_ms": 0, **changed,
    }  # fmt: skip


def dead_letter(
    store: Path, key: str, job: str, item: str, data: Any, *, documented: bool = False,
    history: list[dict[str, Any]] | None = None, **changed: Any,
) -> Path:  # fmt: skip
    """Write an item of the queue, where Prodigy writes it or where its documents say; and the index."""
    tries = [failure()] if history is None else history
    fields = {
        "item_id": item, "item_data": data, "first_attempt": BEGAN, "last_attempt": LATER,
        "failure_count": len(tries), "failure_history": tries,
        "error_signature": "2813d1592354209a", "worktree_artifacts": None,
        "reprocess_eligible": False, "manual_review_required": False,
    }  # fmt: skip
    folder = store / "dlq" / key / job
    if not documented:
        folder = folder / "mapreduce" / "dlq" / job
    path = write(folder / "items" / f"{item}.json", fields | changed)
    there = sorted(one.stem for one in (folder / "items").glob("*.json"))
    index = {"item_count": len(there), "item_ids": there, "job_id": job, "updated_at": LATER}
    write(folder / "index.json", index)
    return path


def record(kind: str, number: int = 0, **fields: Any) -> dict[str, Any]:
    """Return an EventRecord, as a line of an event log has it: ``record("agent_started", …)``."""
    return {
        "id": f"00000000-0000-4000-8000-{number:012}",
        "timestamp": f"2026-03-01T10:00:{number % 60:02}.{number:09}Z",
        "correlation_id": "6a1c0a55-0000-4000-8000-000000000000",
        "event": {"event_type": kind, **fields},
    }


def every_record(job: str) -> list[dict[str, Any]]:
    """Return one record of every type that Prodigy has, of a job of four items."""
    agent = f"{job}_agent_0"
    told = {"job_id": job}
    config = {"input": "items.json", "json_path": "$[*]", "max_parallel": 2}
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("job_started", {**told, "config": config, "total_items": 4, "timestamp": BEGAN}),
        ("agent_started", {**told, "agent_id": agent, "item_id": "item_0", "worktree": "w0",
                           "attempt": 1}),
        ("agent_progress", {**told, "agent_id": agent, "step": "s", "progress_pct": 50.0}),
        ("agent_failed", {**told, "agent_id": agent, "error": "boom 1", "retry_eligible": True}),
        ("agent_retrying", {**told, "agent_id": agent, "attempt": 2, "backoff_ms": 1000}),
        ("agent_failed", {**told, "agent_id": agent, "error": "boom 2", "retry_eligible": False}),
        ("d_l_q_item_added", {**told, "item_id": "item_0", "error_signature": "cafe",
                              "failure_count": 2}),
        ("agent_started", {**told, "agent_id": f"{job}_agent_1", "item_id": "item_1",
                           "worktree": "w1", "attempt": 1}),
        ("worktree_created", {**told, "agent_id": f"{job}_agent_1", "worktree_name": "w1",
                              "branch": "b1"}),
        ("agent_completed", {**told, "agent_id": f"{job}_agent_1", "duration": [7, 250000000],
                             "commits": ["a" * 40], "json_log_location": None}),
        ("worktree_merged", {**told, "agent_id": f"{job}_agent_1", "target_branch": "main"}),
        ("worktree_cleaned", {**told, "agent_id": f"{job}_agent_1", "worktree_name": "w1"}),
        ("checkpoint_created", {**told, "version": 1, "agents_completed": 1}),
        ("checkpoint_loaded", {**told, "version": 1}),
        ("checkpoint_failed", {**told, "error": "disk"}),
        ("queue_depth_changed", {**told, "pending": 1, "active": 0, "completed": 1}),
        ("memory_pressure", {**told, "used_mb": 1, "limit_mb": 2}),
        ("d_l_q_item_removed", {**told, "item_id": "item_2"}),
        ("d_l_q_items_reprocessed", {**told, "count": 0}),
        ("d_l_q_items_evicted", {**told, "count": 0}),
        ("d_l_q_analysis_generated", {**told, "patterns": 0}),
        ("claude_tool_invoked", {"agent_id": agent, "tool_name": "Edit", "tool_id": "t",
                                 "parameters": {}, "timestamp": BEGAN}),
        ("claude_token_usage", {"agent_id": agent, "input_tokens": 1, "output_tokens": 2,
                                "cache_tokens": 3}),
        ("claude_session_started", {"agent_id": agent, "session_id": "s-1", "model": "m",
                                    "tools": []}),
        ("claude_message", {"agent_id": agent, "content": "hello", "message_type": "text",
                            "json_log_location": None}),
        ("job_paused", {**told, "checkpoint_version": 1}),
        ("job_resumed", {**told, "checkpoint_version": 1, "pending_items": 1}),
    ]  # fmt: skip
    return [record(kind, number, **fields) for number, (kind, fields) in enumerate(kinds)]


def event_log(
    store: Path, key: str, job: str, records: Iterable[dict[str, Any]] = (),
    name: str = "events-20260301_100001.jsonl",
) -> Path:  # fmt: skip
    """Write an event log. Without records it is empty, as all were that Prodigy was seen to leave."""
    path = store / "events" / key / job / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return path


def agent_result(item: str, *, commits: list[str] | None = None, error: str | None = None) -> Any:
    """Return the result of an agent, as checkpoints have it: an AgentResult."""
    return {
        "item_id": item, "status": "Success" if error is None else {"Failed": error},
        "commits": commits or [], "duration": {"secs": 1, "nanos": 5},
        **({} if error is None else {"error": error}),
    }  # fmt: skip


def job_checkpoint(
    store: Path, key: str, job: str, *, items: list[Any] | None = None,
    completed: dict[str, list[str]] | None = None, failed: dict[str, str] | None = None,
    version: int = 1, **changed: Any,
) -> Path:  # fmt: skip
    """Write ``checkpoint-v{N}.json`` and ``metadata.json`` of a job: a MapReduceJobState."""
    given = ITEMS if items is None else items
    done, lost = completed or {}, failed or {}
    results = {name: agent_result(name, commits=shas) for name, shas in done.items()}
    results |= {name: agent_result(name, error=error) for name, error in lost.items()}
    every = [f"item_{number}" for number in range(len(given))]
    fields = {
        "job_id": job, "config": {"input": "items.json", "json_path": "$[*]", "max_parallel": 2},
        "started_at": BEGAN, "updated_at": LATER, "work_items": given, "agent_results": results,
        "completed_agents": sorted(done),
        "failed_agents": {
            name: {"item_id": name, "attempts": 1, "last_error": error, "last_attempt": LATER,
                   "worktree_info": None}
            for name, error in lost.items()
        },
        "pending_items": [name for name in every if name not in results],
        "checkpoint_version": version, "checkpoint_format_version": 1, "parent_worktree": key,
        "reduce_phase_state": None, "total_items": len(given), "successful_count": len(done),
        "failed_count": len(lost), "is_complete": False, "agent_template": [],
        "reduce_commands": None, "variables": {}, "setup_output": None, "setup_completed": False,
        "item_retry_counts": dict.fromkeys(lost, 1),
    }  # fmt: skip
    folder = store / "state" / key / "mapreduce" / "jobs" / job
    path = write(folder / f"checkpoint-v{version}.json", fields | changed)
    about = {
        "path": str(path), "version": version, "created_at": LATER,
        "size_bytes": path.stat().st_size,
    }  # fmt: skip
    write(folder / "metadata.json", about)
    return path


def workflow_checkpoint(store: Path, session: str, workflow: str, **changed: Any) -> Path:
    """Write ``state/{session}/checkpoints/{workflow}.checkpoint.json`` of a sequential workflow."""
    error = "Step 'shell: exit 4' failed with exit code 4"
    fields = {
        "workflow_id": workflow,
        "execution_state": {
            "current_step_index": 1, "total_steps": 0, "status": "Failed", "start_time": BEGAN,
            "last_checkpoint": LATER, "current_iteration": None, "total_iterations": None,
        },
        "completed_steps": [
            {"step_index": 0, "command": "shell: echo a > a.txt", "success": True, "output": None,
             "captured_variables": {}, "duration": {"secs": 0, "nanos": 81396582},
             "completed_at": LATER}
        ],
        "variable_state": {"__error_message": error, "__failed_step_index": 1},
        "mapreduce_state": None, "timestamp": LATER, "version": 1, "workflow_hash": "default-3",
        "total_steps": 0, "workflow_name": "default", "workflow_path": "/project/seq.yml",
        "retry_checkpoint_state": None,
        "variable_checkpoint_state": {
            "environment_snapshot": {"variables": {"A_TOKEN": "a secret of the environment"}}
        },
    }  # fmt: skip
    folder = store / "state" / session / "checkpoints"
    return write(folder / f"{workflow}.checkpoint.json", fields | changed)


def resume_lock(store: Path, name: str, *, process: int, host: str) -> Path:
    """Write ``resume_locks/{name}.lock``, as ``prodigy resume`` holds it."""
    fields = {"job_id": name, "process_id": process, "hostname": host, "acquired_at": BEGAN}
    return write(store / "resume_locks" / f"{name}.lock", fields)


def worktree(store: Path, repo: Path, key: str, session: str, base: str = "main") -> Path:
    """Make a worktree as Prodigy does: ``worktrees/{key}/{session}``, on ``prodigy-{session}``."""
    path = store / "worktrees" / key / session
    path.parent.mkdir(parents=True, exist_ok=True)
    git("worktree", "add", "-q", "-b", f"prodigy-{session}", path, base, cwd=repo)
    return path


def mapreduce(
    store: Path, repo: Path, session: str, job: str, *, merged: Iterable[int] = (),
    under_way: Iterable[int] = (), status: str = "Running", noted: str = "in_progress",
    data: list[Any] | None = None,
) -> Made:  # fmt: skip
    """Make a MapReduce: its worktree, agents that were merged, agents whose worktrees are there still.

    Those have one file that is not committed.
    """
    key = repo.name
    top = worktree(store, repo, key, session)
    made = Made(session, job, top, f"prodigy-{session}")
    worktree_state(store, key, session, status=noted)
    session_file(store, session, status=status)
    event_log(store, session, job)
    (store / "dlq" / session / job).mkdir(parents=True)
    (store / "state" / session / "mapreduce").mkdir(parents=True)
    items = ITEMS if data is None else data
    for number in merged:
        agent, item = f"{job}_agent_{number}", f"item_{number}"
        at = worktree(store, repo, session, f"mapreduce-agent-{agent}", made.branch)
        (at / f"out-{number}.txt").write_text(json.dumps(items[number]))
        git("add", "-A", cwd=at)
        git("commit", "-q", "-m", f"work on {item}", cwd=at)
        git("branch", f"agent-{agent}-{item}", cwd=at)
        made.commits[item] = [git("rev-parse", "HEAD", cwd=at)]
        message = f"Merge agent agent-{agent}-{item}"
        git("merge", "-q", "--no-ff", "-m", message, f"agent-{agent}-{item}", cwd=top)
        git("worktree", "remove", "--force", at, cwd=repo)
    for number in under_way:
        name = f"mapreduce-agent-{job}_agent_{number}"
        at = worktree(store, repo, session, name, made.branch)
        (at / f"half-{number}.txt").write_text("not committed\n")
        worktree_state(store, session, name, original=made.branch)
        made.agents[f"item_{number}"] = at
    return made


def failed_mapreduce(store: Path, repo: Path) -> Made:
    """Make a run of four items that is over: three merged, ``item_2`` in the queue; not merged."""
    made = mapreduce(
        store, repo, FAILED_SESSION, FAILED_JOB, merged=(0, 1, 3), under_way=(2,),
        status="Completed",
    )  # fmt: skip
    dead_letter(store, made.session, made.job, "item_2", ITEMS[2])
    return made


def interrupted_mapreduce(store: Path, repo: Path) -> Made:
    """Make a run of four items that Ctrl-C has ended: two merged, two under way."""
    return mapreduce(
        store, repo, INTERRUPTED_SESSION, INTERRUPTED_JOB, merged=(0, 1), under_way=(2, 3),
        noted="interrupted",
    )  # fmt: skip


def failed_workflow(store: Path, repo: Path, session: str = WORKFLOW) -> Path:
    """Make a sequential workflow whose second of three steps has failed; return its worktree."""
    top = worktree(store, repo, repo.name, session)
    (top / "a.txt").write_text("a\n")
    git("add", "-A", cwd=top)
    git("commit", "-q", "-m", "first", cwd=top)
    worktree_state(store, repo.name, session)
    error = "Step 'shell: exit 4' failed with exit code 4"
    path = session_file(store, session, status="Failed", error=error)
    fields = json.loads(path.read_text())
    fields["workflow_data"]["workflow_name"] = "seq"
    write(path, fields)
    workflow_checkpoint(store, session, WORKFLOW_STARTED)
    return top


def prodigy_store(store: Path, repo: Path) -> Whole:
    """Make a store as Prodigy leaves it: a failed MapReduce, an interrupted one, a failed workflow."""
    return Whole(
        store,
        repo,
        failed_mapreduce(store, repo),
        interrupted_mapreduce(store, repo),
        failed_workflow(store, repo),
    )
