"""resume: a job, or a session, after a crash or a restart."""

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output


@click.command()
@click.argument("id_", metavar="ID", shell_complete=completing.jobs_and_sessions)
@click.option(
    "--force", is_flag=True, help="Also take items from agents that cannot be asked here."
)
@output.json_option
def resume(id_: str, force: bool, as_json: bool) -> int:
    """Take up a job, or a session and its job, where a crash left it.

    Items in progress with an agent that is gone are pending again and its session is Failed, a paused
    job hands out items, missing worktrees of sessions that have not ended are made again from their
    branches. A session that ended so goes on if it is named. Exits with 1 if one could not be.
    What another host's session has pushed is fetched, and gets a worktree here.

    \b
    Example:
      prodigy-git resume review
    """
    from prodigy_git.duration import moment
    from prodigy_git.lifecycle import resume as resuming

    done = resuming.resume(gitenv.here(), id_, force=force, broken=lambda _: None)
    for problem in done.problems:
        output.note(problem)
    if as_json:
        output.emit_json(done.as_json())
        return int(bool(done.problems))
    if done.was_paused:
        output.prose(f"{done.job_id}: was paused, hands out items again")
    for one in done.released:
        ended = f"; session {one.session_id} is Failed" if one.session_id is not None else ""
        where = f" on {one.host}" if one.host is not None else ""
        output.prose(
            f"{one.item_id}: agent {one.agent_id}{where} is gone, {one.state} again{ended}"
        )
    for host in sorted({one.host for one in done.elsewhere}):
        ends = [one.lease_ends_at or "" for one in done.elsewhere if one.host == host]
        items = "1 item" if len(ends) == 1 else f"{len(ends)} items"
        output.prose(
            f"{host}: has {items}, until {moment(max(ends))} at the latest unless it renews that"
        )
    for name, status in done.settled.items():
        output.prose(f"{name}: was over, is {status}")
    for path in done.worktrees:
        output.prose(f"{path}: made again")
    for name in done.taken_up:
        output.prose(f"{name}: goes on")
    output.prose(
        f"{done.job_id}: {done.pending} pending, {done.in_progress} in progress, "
        f"{len(done.sessions)} sessions not ended"
    )
    return int(bool(done.problems))
