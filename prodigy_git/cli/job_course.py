"""The course of a job, as commands: its phases, paused and resumed, its end, and on from there."""

from typing import Any

import click

from prodigy_git import encoding
from prodigy_git.cli import at_work, completing, output
from prodigy_git.cli.job import here


@click.command()
@click.argument("name", metavar="JOB", shell_complete=completing.jobs)
@click.argument("phase", metavar="PHASE", type=click.Choice(("setup", "map", "reduce", "complete")))
@click.option(
    "--output", "outputs", metavar="KEY=VALUE", multiple=True,
    help="What the set-up, or a step of the reduce phase, has yielded; can be given more than once.",
)  # fmt: skip
@output.json_option
def phase(name: str, phase: Any, outputs: tuple[str, ...], as_json: bool) -> None:
    """Take a job to a phase, with a checkpoint of what was before.

    The outputs are of the phase that the job is in, which it may stay in: each
    command with outputs in the reduce phase is one more step of it.

    \b
    Example:
      prodigy-git job phase review map --output base=4f2a9c1
      prodigy-git job phase review reduce
      prodigy-git job phase review reduce --output merged=12
    """
    from prodigy_git.jobs import checked_input, course

    named = checked_input.outputs(dict(map(_pair, outputs)))
    store, repo, known = here(name, take=True)
    before = course.set_phase(store, repo, known, phase, output.note, named)
    if as_json:
        output.emit_json({"job_id": known, "from": before, "to": phase})
    else:
        output.prose(f"{known}: {before} -> {phase}")


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = encoding.valid(text).partition("=")
    if not key or not sign:
        raise click.BadParameter(f"{text!r}: give KEY=VALUE", param_hint="--output")
    return key, value


@click.command()
@click.argument("name", metavar="JOB", shell_complete=completing.jobs)
@click.option("--reason", metavar="TEXT", help="Why; the log keeps it.")
@output.json_option
def pause(name: str, reason: str | None, as_json: bool) -> None:
    """Hand out no more items; those in progress go on.

    \b
    Example:
      prodigy-git job pause review --reason 'a release'
    """
    from prodigy_git.jobs import course

    store, repo, known = here(name, take=True)
    left = course.pause(store, repo, known, reason, output.note)
    _report(known, "paused", left, as_json)


def _report(job_id: str, status: str, left: list[dict[str, Any]], as_json: bool) -> None:
    """Say how it stands with a job, and who works on; that on stderr, one line each."""
    for text in at_work.lines(left):
        output.note(text)
    if as_json:
        output.emit_json({"job_id": job_id, "status": status, "in_progress_items": left})
    else:
        output.prose(f"{job_id}: {status}" + (f", {len(left)} still in progress" if left else ""))


@click.command()
@click.argument("name", metavar="JOB", shell_complete=completing.jobs)
@output.json_option
def resume(name: str, as_json: bool) -> None:
    """Hand out items again; see 'prodigy-git resume' for after a crash.

    \b
    Example:
      prodigy-git job resume review
    """
    from prodigy_git.jobs import course

    store, repo, known = here(name, take=True)
    paused = course.unpause(store, repo, known, output.note)
    if as_json:
        output.emit_json({"job_id": known, "status": "running", "was_paused": paused})
    else:
        output.prose(f"{known}: {'running again' if paused else 'running, was not paused'}")


@click.command()
@click.argument("name", metavar="JOB", shell_complete=completing.jobs)
@click.option("--failed", "error", metavar="TEXT", help="It failed, for this reason.")
@output.json_option
def finish(name: str, error: str | None, as_json: bool) -> None:
    """End a job whose items are done.

    With --failed also one that has items left.

    \b
    Example:
      prodigy-git job finish review --failed 'no budget left'
    """
    from prodigy_git.jobs import course

    store, repo, known = here(name, take=True)
    done = course.finish(store, repo, known, error=error, broken=output.note)
    for text in at_work.lines(done.at_work):
        output.note(text)
    _settle(store, repo, known)
    if as_json:
        output.emit_json(
            {
                "job_id": known, "success_count": done.completed, "failure_count": done.failed,
                "in_progress_items": done.at_work,
            }
        )  # fmt: skip
    else:
        said = "completed" if error is None else "failed"
        output.prose(f"{known}: {said}, {done.completed} done, {done.failed} failed")


@click.command()
@click.argument("name", metavar="JOB", shell_complete=completing.jobs)
@click.option("--reason", metavar="TEXT", help="Why; the log keeps it.")
@output.json_option
def cancel(name: str, reason: str | None, as_json: bool) -> None:
    """End a job before its items are done; what is in progress may still end.

    Its processes go on, and are named.

    \b
    Example:
      prodigy-git job cancel review --reason 'the wrong prompt'
    """
    from prodigy_git.jobs import course

    store, repo, known = here(name, take=True)
    left = course.cancel(store, repo, known, reason, output.note)
    _settle(store, repo, known)
    _report(known, "cancelled", left, as_json)


@click.command()
@click.argument("name", metavar="JOB", shell_complete=completing.jobs)
@click.option("--reason", metavar="TEXT", help="Why; the log keeps it.")
@output.json_option
def reopen(name: str, reason: str | None, as_json: bool) -> None:
    """Let a job that has ended hand out items again.

    What is left of its items is pending, what is in the queue stays there for
    'dlq retry'.

    \b
    Example:
      prodigy-git job reopen review
      prodigy-git dlq retry --job review --reprocess-all-eligible
    """
    from prodigy_git.jobs import course, summary

    store, repo, known = here(name, take=True)
    again = course.reopen(store, repo, known, reason, output.note)
    found = summary.line(store, repo, known, output.note)
    if as_json:
        output.emit_json(
            {
                "job_id": known, "status": found["status"], "phase": found["phase"],
                "pending": found["pending"], "dead": found["dead"], "item_ids": again,
            }
        )  # fmt: skip
        return
    output.prose(
        f"{known}: running again, {found['pending']} pending, {found['dead']} in the queue"
    )


def _settle(store: str, repo: str, known: str) -> None:
    """End the sessions of a job whose items are over and whose processes are gone; name the others."""
    from prodigy_git.cli import over

    done = over.settle(store, repo=repo, job=known)
    for session, status in done.ended.items():
        output.note(f"session {session} was over, is {status}")
    for session in done.at_work:
        output.note(f"session {session} goes on: its item is over, its process is not")
