"""The dead letter queue: what was given up, why, and what to do with it."""

import os
import re
from typing import TYPE_CHECKING, Any

import click

from prodigy_git import duration, gitenv
from prodigy_git.cli import completing, host_column, output
from prodigy_git.cli.job import here, require_ours
from prodigy_git.store import home

if TYPE_CHECKING:
    from prodigy_git.model.dlq import Item

job_option = click.option(
    "--job",
    "name",
    metavar="JOB",
    help="[default: this worktree's, $PRODIGY_JOB_ID, prodigy.job]",
    shell_complete=completing.jobs,
)


@click.group()
def dlq() -> None:
    """The dead letter queue: work items whose attempts are used up.

    \b
    Example:
      prodigy-git dlq list --job review
      prodigy-git dlq retry --job review item-7
    """


def _queue(name: str | None) -> tuple[tuple[str, str, str], "list[Item]"]:
    from prodigy_git.jobs import peek, snapshots

    where = here(name)
    with peek.opened(*where, output.note) as index:
        return where, snapshots.queue(index, output.note).items


def _queues(name: str | None, all_jobs: bool) -> "list[tuple[str, Item]]":
    """Return (job, item) of one job's queue, or of all of the repository."""
    from prodigy_git.errors import ProdigyError
    from prodigy_git.jobs import summary
    from prodigy_git.lifecycle import whereabouts

    if not all_jobs:
        (_, _, job), items = _queue(name)
        return [(job, item) for item in items]
    store, repo = whereabouts.repository(gitenv.here())
    found = []
    for job in summary.known(store, repo):
        try:
            found += [(job, item) for item in _queue(f"{repo}/{job}")[1]]
        except (ProdigyError, OSError) as error:
            output.note(str(error))
    return found


def _kept(item: "Item", signature: str | None, eligible: bool) -> bool:
    fits = signature is None or signature in (item.error_signature or "")
    return fits and (not eligible or (item.reprocess_eligible and not item.manual_review_required))


@dlq.command("list")
@job_option
@click.option("--all-jobs", is_flag=True, help="Of all jobs of this repository.")
@click.option(
    "--signature", metavar="TEXT", help="Only those whose error signature has this in it."
)
@click.option("--eligible", is_flag=True, help="Only those that may be tried again.")
@output.json_option
def list_(
    name: str | None, all_jobs: bool, signature: str | None, eligible: bool, as_json: bool
) -> None:
    """List the items of the queue.

    \b
    Example:
      prodigy-git dlq list --job review --eligible
    """
    found = [one for one in _queues(name, all_jobs) if _kept(one[1], signature, eligible)]
    hosts = host_column.Hosts(home.here())
    if as_json:
        output.emit_json(
            [{**_as_json(job, item), **hosts.as_json(*_last(item))} for job, item in found]
        )
        return
    places = [hosts.of(*_last(item)) for _, item in found]
    columns = ("HOST",) if any(places) else ()
    rows = (
        (
            item.item_id, *([place or "here"] if columns else ()), job, item.failure_count,
            duration.moment(item.last_attempt),
            "review" if item.manual_review_required else "yes" if item.reprocess_eligible else "no",
            _kind_of_error(item),
        )
        for (job, item), place in zip(found, places, strict=True)
    )  # fmt: skip
    output.table(("ITEM", *columns, "JOB", "FAILURES", "LAST", "RETRY", "ERROR"), rows, ("LAST", "JOB"),
                 empty="nothing is in the queue that is like that" if signature or eligible
                 else "the queue is empty")  # fmt: skip


def _last(item: "Item") -> tuple[str | None, str | None]:
    """Return the session and the agent that had an item last."""
    if not item.failure_history:
        return None, None
    last = item.failure_history[-1]
    return last.session_id, last.agent_id


_HASH = re.compile("[0-9a-f]{16}")


def _kind_of_error(item: "Item") -> str:
    """Return what an item's error has in common with others; Prodigy's signature is a hash of that."""
    signature = item.error_signature or "-"
    if item.failure_history and _HASH.fullmatch(signature):
        from prodigy_git.jobs import signatures

        return signatures.of(item.failure_history[-1].said) or signature
    return signature


_IN_JSON = {
    "first_attempt": "first_attempt_at", "last_attempt": "last_attempt_at", "timestamp": "at",
    "json_log_location": "log", "attempt_number": "attempt",
    "worktree_path": "worktree", "branch_name": "branch",
}  # fmt: skip
"""What the queue's file calls by other names than every command's JSON."""


def _as_json(job: str, item: "Item") -> dict[str, Any]:
    """Return an item as every command's JSON names things; `export` writes the file's own names."""
    fields = item.as_json()
    fields["failure_history"] = [_renamed(one) for one in fields["failure_history"]]
    places = dict.fromkeys(("worktree", "branch", "salvage_ref"))
    places |= _renamed(fields.pop("worktree_artifacts") or {})
    return {"job_id": job, **_renamed(fields), **places}


def _renamed(fields: dict[str, Any]) -> dict[str, Any]:
    return {_IN_JSON.get(name, name): value for name, value in fields.items()}


@dlq.command()
@click.argument("item_id", metavar="ITEM", shell_complete=completing.items(completing.DEAD))
@job_option
@output.json_option
def show(item_id: str, name: str | None, as_json: bool) -> None:
    """Show an item: its data, every failure, and what is left of its worktrees.

    \b
    Example:
      prodigy-git dlq show item-7 --job review
    """
    import json

    from prodigy_git.errors import ProdigyError

    (store, _, job), items = _queue(name)
    item = next((one for one in items if one.item_id == item_id), None)
    if item is None:
        raise ProdigyError(f"item {item_id} is not in the queue of job {job}")
    left = _left(store, item)
    if as_json:
        output.emit_json({**_as_json(job, item), **left})
        return
    failures = f"{item.failure_count} failure{'' if item.failure_count == 1 else 's'}"
    output.prose(f"{item.item_id}: {failures}, {_kind_of_error(item)}")
    data = item.work_item
    if isinstance(data, dict) and "data" in data:
        data = data["data"]
    output.prose(f"  data: {json.dumps(data)}")
    for name_, value in left.items():
        output.prose(f"  {name_.replace('_', ' ')}: {value}")
    for failure in item.failure_history:
        head = f"  {duration.moment(failure.timestamp)}: attempt {failure.attempt_number or '?'}"
        output.prose(f"{head}, agent {failure.agent_id or '?'}: {failure.said}")
        if failure.json_log_location:
            output.prose(f"    log: {failure.json_log_location}")


def _left(store: str, item: "Item") -> dict[str, Any]:
    """Return where the worktree of an item's last agent is now: moved to the trash, perhaps."""
    from prodigy_git.cleanup.salvage import salvage
    from prodigy_git.errors import ProdigyError
    from prodigy_git.store import sessions

    known = item.worktree_artifacts
    found: dict[str, Any] = {}
    if known is not None:
        found = _renamed(known.as_json(none=False))
    last = next((one for one in reversed(item.failure_history) if one.session_id), None)
    if last is None or last.session_id is None:
        return found
    try:
        session = sessions.load(store, last.session_id)
    except (ProdigyError, OSError, ValueError):
        return found
    if session.text("agent_id") not in (None, last.agent_id):
        return found  # another host's, of the same name
    places = {
        "worktree": session.text("trash_path") or session.text("worktree_path"),
        "branch": session.text("branch"),
    }
    common = session.text("repo_path")
    if common is not None and os.path.isdir(common):
        refs = salvage.names_of(common, session.id)
        places["salvage_ref"] = refs[-1] if refs else None
    return found | {name: value for name, value in places.items() if value is not None}


@dlq.command()
@job_option
@click.option("--all-jobs", is_flag=True, help="Of all jobs of this repository.")
@output.json_option
def stats(name: str | None, all_jobs: bool, as_json: bool) -> None:
    """Count the queue's items by error signature, reason and agent.

    \b
    Example:
      prodigy-git dlq stats --all-jobs
    """
    from collections import Counter

    found = [item for _, item in _queues(name, all_jobs)]
    last = [item.failure_history[-1] for item in found if item.failure_history]
    counted = {
        "signatures": Counter(map(_kind_of_error, found)),
        "reasons": Counter(one.reason or "-" for one in last),
        "agents": Counter(one.agent_id or "-" for one in last),
    }
    stamps = sorted(item.last_attempt for item in found if item.last_attempt)
    report: dict[str, Any] = {
        "items": len(found),
        "failures": sum(item.failure_count for item in found),
        "eligible": sum(_kept(item, None, True) for item in found),
        "oldest_at": stamps[0] if stamps else None,
        "newest_at": stamps[-1] if stamps else None,
        **{what: dict(counts.most_common(50)) for what, counts in counted.items()},
    }
    if as_json:
        output.emit_json(report)
        return
    if not found:
        output.line("items: 0")
        return
    output.prose(f"items: {report['items']}, {report['eligible']} of them may be tried again")
    oldest, newest = (duration.moment(report[name]) for name in ("oldest_at", "newest_at"))
    output.prose(f"failures: {report['failures']}, {oldest} to {newest}")
    for what, counts in counted.items():
        output.prose(f"{what}:")
        for key, count in counts.most_common(10):
            output.prose(f"  {count} x {key}")


@dlq.command()
@click.argument(
    "items", metavar="[ITEM]...", nargs=-1, shell_complete=completing.items(completing.DEAD)
)
@job_option
@click.option(
    "--reprocess-all-eligible", "every", is_flag=True, help="All that may be tried again."
)
@click.option("--force", is_flag=True, help="Also those that are to be reviewed by hand first.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and change nothing.")
@output.json_option
def retry(
    items: tuple[str, ...], name: str | None, every: bool, force: bool, dry_run: bool, as_json: bool
) -> None:
    """Put items back to pending; their failures stay with them, their attempts count anew.

    \b
    Example:
      prodigy-git dlq retry item-7 item-9 --job review
    """
    from prodigy_git.jobs import requeue

    if every == bool(items):
        raise click.UsageError("Give either ITEMs or --reprocess-all-eligible.")
    wanted = None if every else list(items)
    chosen = requeue.requeue(
        *_ours(name, dry_run), wanted, output.note, force=force, dry_run=dry_run
    )
    _report(chosen, "would be pending" if dry_run else "pending again", as_json)


@dlq.command()
@click.argument(
    "items", metavar="[ITEM]...", nargs=-1, shell_complete=completing.items(completing.DEAD)
)
@job_option
@click.option("--all", "every", is_flag=True, help="The whole queue.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and change nothing.")
@output.json_option
def clear(
    items: tuple[str, ...], name: str | None, every: bool, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Take items out of the queue, not to be tried again. The job's log keeps what happened.

    \b
    Example:
      prodigy-git dlq clear item-7 --job review --dry-run
    """
    from prodigy_git.jobs import requeue

    if every == bool(items):
        raise click.UsageError("Give either ITEMs or --all.")
    if not (dry_run or yes):
        output.confirm("They will not be tried again. Continue?")
    wanted = None if every else list(items)
    chosen = requeue.clear(*_ours(name, dry_run), wanted, output.note, dry_run=dry_run)
    _report(chosen, "would be taken out" if dry_run else "taken out", as_json)


def _ours(name: str | None, dry_run: bool) -> tuple[str, str, str]:
    """Return the job that is meant, which a step is to be taken on. Raises as `here`."""
    where = here(name, take=not dry_run)
    require_ours(*where)
    return where


def _report(chosen: list[str], what: str, as_json: bool) -> None:
    if as_json:
        output.emit_json({"item_ids": chosen, "count": len(chosen)})
        return
    for one in chosen:
        output.prose(f"{one}: {what}")
    if not chosen:
        output.note("no items")


@dlq.command()
@job_option
@click.option("--all-jobs", is_flag=True, help="Of all jobs of this repository.")
@click.option(
    "--format", "form", type=click.Choice(("json", "jsonl", "csv")), default="json",
    show_default=True,
)  # fmt: skip
@click.option("-o", "--output", "target", metavar="FILE", shell_complete=completing.file_names,
              help="[default: stdout]")  # fmt: skip
def export(name: str | None, all_jobs: bool, form: str, target: str | None) -> None:
    """Write the queue out, with all failures.

    \b
    Example:
      prodigy-git dlq export --job review --format csv -o dlq.csv
    """
    from prodigy_git.record import files

    found = [{"job_id": job, **item.as_json(none=False)} for job, item in _queues(name, all_jobs)]
    text = _formatted(found, form)
    if target is None:
        click.echo(text, nl=False)
        return
    try:
        files.replace(os.path.abspath(target), text.encode("utf-8"))
    except OSError as error:
        raise click.BadParameter(f"{target}: {error.strerror}", param_hint="--output") from error


def _formatted(found: list[dict[str, Any]], form: str) -> str:
    if form == "json":
        return output.json_text({"items": found}) + "\n"
    if form == "jsonl":
        return "".join(output.json_text(one) + "\n" for one in found)
    import csv
    import io

    text = io.StringIO()
    columns = ("job_id", "item_id", "failure_count", "first_attempt", "last_attempt",
               "error_signature", "error", "json_log_location")  # fmt: skip
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for one in found:
        last = (one.get("failure_history") or [{}])[-1]
        writer.writerow([_cell(one.get(c, last.get(c, ""))) for c in columns])
    return text.getvalue()


def _cell(value: Any) -> str:
    """Return a cell that a spreadsheet takes for text: errors are foreign, and may begin with '='."""
    text = output.clean(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
