"""merge: the results of agents into a branch, one after the other, each checked before it counts."""

import sys
from typing import TYPE_CHECKING, Any

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output, result_options
from prodigy_git.cli.when import Duration
from prodigy_git.errors import ProdigyError
from prodigy_git.record import clock

if TYPE_CHECKING:
    from prodigy_git.merging.queue.branch_moves import Moved
    from prodigy_git.merging.queue.checking import Command
    from prodigy_git.merging.queue.outcomes import Outcome
    from prodigy_git.merging.queue.target import Target

_NONE_LEFT = 3


@click.command()
@result_options.results("The branch to merge into.")
@click.option(
    "--merge", "way", flag_value="merge", help="A merge commit for each. This is the default."
)
@click.option("--squash", "way", flag_value="squash", help="One commit for each.")
@click.option("--rebase", "way", flag_value="rebase", help="Their commits, each made anew.")
@click.option(
    "--check",
    metavar="CMD",
    help="Merge only what this passes on. [default: git config prodigy.check, else 'setup show']",
)
@click.option("--no-check", is_flag=True, help="Merge without a check.")
@click.option(
    "--timeout", type=Duration(), metavar="AGE", help="End the check, and --resolve, after so long."
)
@click.option(
    "--order", type=click.Choice(("conflicts", "item", "time")),
    help="What merges the most first, as the job has its items, or as they were done. "
    "[default: conflicts; NAMEs as given]",
)  # fmt: skip
@click.option("--bisect", is_flag=True, help="Check all at once, and halve where that fails.")
@click.option(
    "--requeue", is_flag=True,
    help="Give what is not merged back to its job: the next attempt begins at BRANCH, and finds what "
    "was wrong in $PRODIGY_CONFLICT.",
)  # fmt: skip
@click.option(
    "--resolve",
    metavar="CMD",
    help="Run this where there is a conflict; what is in $PRODIGY_CONFLICT.",
)
@click.option(
    "--push",
    metavar="REMOTE",
    help="Push BRANCH at the end.",
    shell_complete=completing.remotes,
)
@click.option("--undo", is_flag=True, help="Take back what the last merge into BRANCH has merged.")
@click.option("--dry-run", is_flag=True, help="Say what would be merged and change nothing.")
@output.json_option
def merge(
    names: tuple[str, ...],
    job: str | None,
    into: str | None,
    way: str | None,
    check: str | None,
    no_check: bool,
    timeout: int | None,
    order: str | None,
    bisect: bool,
    requeue: bool,
    resolve: str | None,
    push: str | None,
    undo: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Merge the results of agents into a branch, one after the other.

    Each is merged, and checked, in a worktree of its own: yours is not touched.
    The branch moves when the check has passed; a checkout of it that has no
    changes follows. What conflicts, or fails, is passed over and named.
    Interrupted or killed, it can be called again.

    \b
    Example:
      prodigy-git merge --job review --check 'make test' --requeue
      prodigy-git merge login --into main --squash
      prodigy-git merge --undo
    """
    given = {
        "NAME": names, "--check": check, "--no-check": no_check, "--order": order, "--bisect": bisect,
        "--requeue": requeue, "--resolve": resolve, "--push": push, "--dry-run": dry_run,
        "--merge, --squash or --rebase": way, "--timeout": timeout,
    }  # fmt: skip
    if undo:
        for name, value in given.items():
            if value:
                raise click.UsageError(f"--undo and {name} exclude each other")
        return _undo(job, into, as_json)
    if check is not None and no_check:
        raise click.UsageError("--check and --no-check exclude each other")
    return _merge(names, job, into, given, order, dry_run=dry_run, as_json=as_json)


def _merge(
    names: tuple[str, ...], job: str | None, into: str | None, given: dict[str, Any],
    order: Any, *, dry_run: bool, as_json: bool,
) -> int:  # fmt: skip
    from prodigy_git.lifecycle import interrupts, whereabouts
    from prodigy_git.merging.queue import choosing, merge_queue, target, target_push
    from prodigy_git.merging.queue.outcomes import GOOD

    cwd = gitenv.here()
    known = None
    if names and job is None:
        store, repo = whereabouts.repository(cwd, take=not dry_run)
    else:
        store, repo, known = choosing.of_here(cwd, job, output.note, take=not dry_run)
    found = choosing.chosen(store, repo, names, known, output.note, fetch=not dry_run)
    into_branch = target.find(store, repo, cwd, into, found)
    found = [one for one in found if one.branch != into_branch.branch]
    if order is None and not names:
        order = "conflicts" if choosing.can_foresee() else "item"
    if not found:
        output.note(f"there is nothing to merge into {into_branch.branch}")
        if as_json:
            output.emit_json(_summary(into_branch, into_branch.tip(), [], [], [], dry_run=dry_run))
        return _NONE_LEFT

    def told(outcome: "Outcome") -> None:
        _tell(into_branch, outcome, quiet=as_json, dry_run=dry_run)

    if dry_run:
        plan = choosing.plan(into_branch, found, order, keep=False, broken=output.note)
        if plan.forecast is None and len(plan.known) < len(plan.results):
            raise ProdigyError("--dry-run takes git 2.38 or newer: update git, or merge without it")
        done = choosing.foreseen(into_branch, plan)
        for outcome in done:
            told(outcome)
        if as_json:
            old = into_branch.tip()
            output.emit_json(_summary(into_branch, old, done, [], [], dry_run=True))
        return 0 if all(one.state in GOOD for one in done) else 1
    timeout = None if given["--timeout"] is None else given["--timeout"] / clock.SECOND
    wish = merge_queue.Wish(
        given["--merge, --squash or --rebase"] or "merge", _check(into_branch, given, timeout),
        _command(given["--resolve"], "--resolve", timeout), given["--requeue"], given["--bisect"],
        target_push.wants_trailers(cwd),
    )  # fmt: skip
    with interrupts.listening() as signals:
        try:
            ended = merge_queue.merge(
                into_branch,
                found,
                wish,
                order=order,
                signals=signals,
                told=told,
                doing=output.note if _is_watched() else lambda _: None,
                broken=output.note,
            )
        except ProdigyError:
            if not signals.came:
                raise
            raise click.Abort from None  # a Ctrl-C at the terminal has ended git, too
    _tell_checkouts(ended.finished, "finished what a killed merge had begun: ")
    _tell_checkouts(ended.moved)
    pushed = None
    failed = any(one.state not in GOOD for one in ended.outcomes)
    if given["--push"] and ended.interrupted is None:
        trouble = target_push.push(into_branch, cwd, given["--push"])
        pushed = {"remote": given["--push"], "error": trouble}
        if trouble is not None:
            output.error(f"{into_branch.branch} is not pushed to {given['--push']}: {trouble}")
            failed = True
    if as_json:
        summary = _summary(
            into_branch, ended.old, ended.outcomes, ended.moved, ended.finished, dry_run=False,
            pushed=pushed,
        )  # fmt: skip
        output.emit_json(summary)
    else:
        output.prose(_in_short(into_branch, ended.outcomes, pushed))
    if ended.interrupted is not None:
        return 130
    return 1 if failed else 0


def _is_watched() -> bool:
    """Whether somebody waits at a terminal, and wants to know for what."""
    return sys.stderr is not None and sys.stderr.isatty()


def _check(into_branch: "Target", given: dict[str, Any], timeout: float | None) -> "Command | None":
    from prodigy_git.cli import trusting
    from prodigy_git.merging.queue.checking import Command
    from prodigy_git.setup import checks

    if given["--no-check"]:
        return None
    if given["--check"] is not None:
        return _command(given["--check"], "--check", timeout)
    found = checks.of(
        into_branch.store, into_branch.repo, into_branch.place, into_branch.tip(), trusting.approve
    )
    if found is None:
        return None
    limit = found.timeout if timeout is None else timeout
    return Command(found.text, found.source, limit, found.scripts)


def _command(text: str | None, source: str, timeout: float | None) -> "Command | None":
    from prodigy_git.merging.queue.checking import Command

    if text is None:
        return None
    if not text.strip():
        raise ProdigyError(f"{source} is empty: give a command, or leave it out")
    return Command(text, source, timeout)


def _tell(target: "Target", one: "Outcome", *, quiet: bool, dry_run: bool) -> None:
    """Print a line on what came of a result; what helps is said on standard error."""
    from prodigy_git.merging.queue import culprits

    name = one.result.name
    text = {
        "merged": "would be merged" if dry_run else "merged",
        "already_merged": f"is already merged into {target.branch}",
        "empty": "has no commits of its own, there is nothing to merge",
        "conflict": "conflict", "check_failed": "its check failed", "refused": "not merged",
        "not_ready": "not merged", "not_tried": "not tried",
    }[one.state]  # fmt: skip
    if one.commit is not None:
        text += f" as {one.commit[:12]}"
    if one.resolved:
        text += ", its conflict resolved"
    if one.files:
        text += f" in {', '.join(one.files[:5])}"
        text += f" and {len(one.files) - 5} more" if len(one.files) > 5 else ""
    if one.culprits:
        text += f", with {culprits.words(one.culprits)}"
    if one.reason and (one.state != "conflict" or one.reason.startswith("not resolved")):
        text += f": {one.reason}"
    if one.requeued:
        text += "; given back to its job"
    if not quiet:
        output.prose(f"{name}: {text}")
    if one.state == "check_failed":
        for line in one.last:
            output.note(f"  {line}")
        output.note(f"{name}: {one.log} has all that the check has said")


def _tell_checkouts(moves: "list[Moved]", before: str = "") -> None:
    for moved in moves:
        if before:
            names = ", ".join(str(one["item_id"] or one["session_id"]) for one in moved.move.items)
            output.note(f"{before}{names}")
    last = {one.worktree: one for moved in moves for one in moved.checkouts}
    for one in last.values():
        if not one.followed:
            output.note(
                f"{one.worktree} is left as it is, {one.why}: '{one.command}' brings it there"
            )


def _in_short(target: "Target", found: "list[Outcome]", pushed: dict[str, Any] | None) -> str:
    words = {
        "merged": "merged", "already_merged": "merged before", "empty": "without commits",
        "conflict": "in conflict", "check_failed": "failed the check", "refused": "refused",
        "not_ready": "not ready", "not_tried": "not tried",
    }  # fmt: skip
    counts = [
        f"{number} {word}"
        for state, word in words.items()
        if (number := sum(one.state == state for one in found))
    ]
    text = f"{target.branch}: {', '.join(counts)}"
    if pushed is not None and pushed["error"] is None:
        text += f"; pushed to {pushed['remote']}"
    return text


def _summary(
    target: "Target", old: str, found: "list[Outcome]", moved: "list[Moved]",
    finished: "list[Moved]", *, dry_run: bool, pushed: dict[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    last = {one.worktree: one for each in (*finished, *moved) for one in each.checkouts}
    return {
        "target_branch": target.branch, "old": old, "new": target.tip(), "dry_run": dry_run,
        "results": [one.as_json() for one in found],
        "finished": [item for one in finished for item in one.move.items],
        "target_checkouts": [one.as_json() for one in last.values()], "pushed": pushed,
    }  # fmt: skip


def _undo(job: str | None, into: str | None, as_json: bool) -> int:
    from prodigy_git.lifecycle import whereabouts
    from prodigy_git.merging.queue import choosing, merge_queue, target

    cwd = gitenv.here()
    found = []
    if job is None:
        store, repo = whereabouts.repository(cwd, take=True)
    else:
        store, repo, known = choosing.of_here(cwd, job, output.note, take=True)
        found = choosing.chosen(store, repo, (), known, output.note)
    branch = target.find(store, repo, cwd, into, found)
    moved, finished = merge_queue.undo(branch, broken=output.note)
    _tell_checkouts(finished, "finished what a killed merge had begun: ")
    _tell_checkouts([moved])
    if as_json:
        output.emit_json(
            {
                "target_branch": branch.branch, "old": moved.move.old, "new": moved.move.new,
                "undone": moved.move.items,
                "finished": [item for one in finished for item in one.move.items],
                "target_checkouts": [one.as_json() for one in moved.checkouts],
            }
        )  # fmt: skip
        return 0
    names = ", ".join(str(one["item_id"] or one["session_id"]) for one in moved.move.items)
    output.prose(f"{branch.branch}: back at {moved.move.new[:12]}, without {names}")
    return 0
