"""worktree clean; and how the outcomes of cleaning worktrees are shown."""

import os
from typing import TYPE_CHECKING

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output
from prodigy_git.cli.progress import progress_bar
from prodigy_git.cli.when import Duration
from prodigy_git.errors import ProdigyError
from prodigy_git.store import home

if TYPE_CHECKING:
    from prodigy_git.cleanup.worktrees import Outcome


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=completing.worktrees)
@click.option("--all", "every", is_flag=True, help="Every session's, of this repository.")
@click.option("--merged-only", is_flag=True, help="Only those whose branch is integrated.")
@click.option(
    "--older-than", type=Duration(), metavar="AGE", help="Only those that ended so long ago."
)
@click.option("--job", help="Only those of a job.", shell_complete=completing.jobs)
@click.option(
    "-f", "--force", is_flag=True, help="Also with uncommitted work or an unfinished session."
)
@click.option(
    "--min-age", type=Duration(), default="1d", show_default=True, metavar="AGE",
    help="With --all: leave alone what is younger: unused ones, and those with signs of life.",
)  # fmt: skip
@click.option("--unlock", is_flag=True, help="Also those that are locked (git worktree lock).")
@click.option(
    "--delete-branch", is_flag=True,
    help="Delete the branch whoever made it; with -f also if it is not integrated.",
)  # fmt: skip
@click.option("--no-teardown", is_flag=True, help="Without its teardown commands.")
@click.option("--purge", is_flag=True, help="Delete for good, without time in the trash.")
@click.option("--yes", is_flag=True, help="Do not ask before --purge.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and change nothing.")
@output.json_option
def clean(
    names: tuple[str, ...],
    every: bool,
    merged_only: bool,
    older_than: int | None,
    job: str | None,
    force: bool,
    min_age: int,
    unlock: bool,
    delete_branch: bool,
    no_teardown: bool,
    purge: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Move worktrees to the trash, whole; 'worktree restore' brings them back.

    NAME is a session's id, or the path or folder name of a worktree of this repository. Without -f only
    what 'worktree show' has no doubt about; with -f also what has uncommitted work, an operation under
    way, commits that nothing else reaches, or an unfinished session (with --all only if nothing has
    happened in it for --min-age). Never one that another live process stands in, nor, without
    --unlock, a locked one. The branch goes only if another one has all of it. --purge works on a full
    disk, too. What this repository's trash has let go of before is deleted in the background. Exits
    with 1 if one that was named was kept, or if any failed.

    \b
    Example:
      prodigy-git worktree clean --all --merged-only --dry-run
    """
    from prodigy_git.cleanup import worktrees
    from prodigy_git.cli import over

    if every == bool(names):
        raise click.UsageError("Give either NAMEs or --all.")
    if purge and not dry_run and not yes:
        output.confirm("What is cleaned now is deleted for good, not moved to the trash. Continue?")
    options = worktrees.Options(
        every=every, force=force, merged_only=merged_only, older_than=older_than, job=job,
        min_age=min_age, unlock=unlock, delete_branch=delete_branch, purge=purge, dry_run=dry_run,
        teardown=not no_teardown,
    )  # fmt: skip
    store, here = home.here(), gitenv.here()
    _expire(store, here, dry_run=dry_run)
    if not dry_run:
        over.settle(store)
    with progress_bar("cleaning worktrees") as progress:
        outcomes = worktrees.clean(
            store, here, None if every else names, options, output.note, progress
        )
    if as_json:
        output.emit_json([one.as_json() for one in outcomes])
    else:
        show_outcomes(outcomes)
        if not outcomes:
            output.note("no session has a worktree here")
    if not every:
        _note_unseen(outcomes)
    note_if_gone(here)
    failed = any(one.result == "failed" for one in outcomes)
    refused = any(one.result == "refused" for one in outcomes)
    return 1 if failed or (refused and not every) else 0


def _note_unseen(outcomes: "list[Outcome]") -> None:
    """Say what could not be excluded of worktrees that were named: with --all that counts."""
    unseen = dict.fromkeys(words for one in outcomes for words in one.unseen)
    if unseen:
        output.note(
            f"whether anybody else was in there is not known: no seeing {', '.join(unseen)}"
        )


def _expire(store: str, cwd: str, *, dry_run: bool) -> None:
    """Delete in the background what this repository's trash has let go of; say what, and why.

    Before anything is removed: what a command has just moved is never gone with the same command.
    """
    from prodigy_git.amounts import number
    from prodigy_git.cleanup.trash import emptying, expiry
    from prodigy_git.git import repository
    from prodigy_git.record import repokey

    try:
        common = repository.find(cwd).common
    except ProdigyError:
        return  # a worktree can be named from anywhere
    try:
        key = repokey.known(store, common)
        if key is None:
            return
        plan = expiry.plan(store, output.note, key)
        taken = plan.entries if dry_run else emptying.expire(plan, output.note)
    except (ProdigyError, OSError, ValueError) as error:
        output.note(f"the trash is left as it is ({error})")
        return
    for text in plan.words:
        output.note(text)
    if taken:
        verb = "would be deleted" if dry_run else "being deleted"
        what = number(len(taken), "removed worktree")
        output.note(f"{what} {verb} for good, by retention or limit of the trash")


def note_if_gone(folder: str) -> None:
    """Say so where the folder that the user stands in has just been moved away."""
    if folder != gitenv.NOWHERE and not os.path.exists(folder):
        output.note(f"{folder} is in the trash now: change into another folder")


def show_outcomes(outcomes: "list[Outcome]") -> None:
    """Print a line per worktree: what became of it, and why."""
    for one in outcomes:
        word = {"would-clean": "would be cleaned", "refused": "kept"}.get(one.result, one.result)
        text = f"{one.name}: {'deleted for good' if one.purged else word}"
        if one.reasons:
            text += f" ({'; '.join(one.reasons)})"
        if one.notes:
            text += f", with {', '.join(one.notes)}"
        if one.branch_deleted:
            goes = "goes" if one.result == "would-clean" else "deleted"
            text += f", branch {one.branch_deleted} {goes}"
        if one.trash_path:
            text += f", now in {one.trash_path}"
        output.prose(text)
