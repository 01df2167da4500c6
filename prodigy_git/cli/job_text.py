"""How `job show` tells people of a job."""

from typing import Any

from prodigy_git import duration
from prodigy_git.cli import output

_SHOWN = 10  # agents, on a screen


def status(row: dict[str, Any]) -> str:
    """Return how it stands with a job, and whose it is where that is Prodigy."""
    return f"{row['status']} (Prodigy)" if row["program"] == "prodigy" else str(row["status"])


def with_usage(store: str, repo: str, job: str, found: dict[str, Any]) -> dict[str, Any]:
    """Return what there is to say of a job with ``usage``: model, tokens and cost of its sessions."""
    from prodigy_git.jobs import prodigy_runs
    from prodigy_git.transcripts import spent

    known = spent.of_repository(store, prodigy_runs.common_of(store, repo), repo, output.note)
    return {**found, "usage": spent.of_job(known, job)}


def tell(found: dict[str, Any]) -> None:
    """Print what there is to say of a job, as `summary.of` has it, and what to do about it."""
    for text in described(found):
        output.prose(text)
    for one in [] if found["prodigy"] is None else found["prodigy"]["next"]:
        command, what = one.removeprefix("'").split("' ", 1)
        output.line(f"next: {command}")  # not wrapped: it is there to be copied
        output.prose(f"  {what}")


def described(found: dict[str, Any]) -> list[str]:
    """Return what there is to say of a job, as `summary.of` has it, in lines of foreign text."""
    rates = found["rates"]
    run = found["prodigy"]
    whose = "" if run is None else ", a run of Prodigy's"
    text = [f"{found['job_id']}: {found['phase']}, {found['status']}{whose}"]
    if found["error"]:
        text.append(f"  error: {found['error']}")
    text.append(
        f"  items: {found['total_items']} in all, {found['completed']} completed, "
        f"{found['in_progress']} in progress, {found['pending']} pending, "
        f"{found['dead']} in the queue, {found['failed']} failed"
    )
    if found["total_items"]:
        text.append(f"  done: {found['percent_done']} %, over: {found['percent_over']} %")
    if run is not None:
        text += _of_run(run)
    if found["waiting_for_others"]:
        text.append(f"  waiting for other items: {found['waiting_for_others']}")
    text += [
        f"  given up: {one['item_id']} ({one['state']}), {one['waiting_count']} wait for it"
        for one in found["held_up_by"]
    ]
    left = rates["seconds_left"]
    text.append(
        f"  rate: {rates['ended_per_minute']} items a minute"
        + (f", {duration.seconds(left)} left" if left is not None else "")
    )
    text.append(
        f"  agents: {found['agent_count']}, attempts: {found['attempts']} "
        f"({found['failed_attempts']} failed, {found['retried_well']} of them retried well), "
        f"commits: {found['commits']}, events: {found['events']}"
    )
    if found.get("usage") is not None:
        from prodigy_git.transcripts import spent

        text.append(f"  tokens: {spent.words(found['usage'])}")
    last = "last event" if run is None else "last heard of"
    text.append(
        f"  started: {duration.moment(found['started_at'])}, "
        f"{last}: {duration.moment(found['updated_at'])}"
    )
    if found["in_progress_items"]:
        text.append("in progress:")
        for one in found["in_progress_items"]:
            where = one["worktree"] or "no worktree"
            if one.get("host_id") is not None:
                where = f"on {one['host']}"
            alive = {True: "", False: ", nobody's any more", None: ""}[one["alive"]]
            text.append(
                f"  {one['item_id']}: {one['agent_id']}, attempt {one['attempt']}, since "
                f"{duration.moment(one['since_at'])}, {where}{alive}"
            )
    if found["agents"]:
        text.append("agents:")
        text += [
            f"  {one['agent_id'] or 'not named'}: {one['in_progress']} in progress, "
            f"{one['completed']} completed, {one['failed']} failed"
            for one in found["agents"][:_SHOWN]
        ]
        if len(found["agents"]) > _SHOWN:
            text.append(f"  and {len(found['agents']) - _SHOWN} more, --json has them")
    if found["failures"]:
        text.append("failures that are open:")
        text += [
            f"  {one['item_count']} x {one['error_signature']} (as {one['example']}){_again(one)}"
            for one in found["failures"]
        ]
    return text


def _of_run(run: dict[str, Any]) -> list[str]:
    text = []
    if not run["items_known"]:
        text.append("  items that Prodigy had not begun are not counted: no file of it has them")
    if run["session_id"]:
        into = f", from {run['target_branch']}" if run["target_branch"] else ""
        text.append(f"  session: {run['session_id']}, branch: {run['branch'] or '-'}{into}")
    if run["worktree"]:
        text.append(f"  worktree: {run['worktree']}")
    if run["at_work"]:
        text.append(f"  it may go on: {run['at_work']}")
    return text


def _again(failure: dict[str, Any]) -> str:
    again = failure["to_be_retried"]
    return f", {again} to be tried again" if again else ""
