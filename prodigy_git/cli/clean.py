"""clean: worktrees, sessions and events in one go; and how removed files are shown."""

import os
from typing import TYPE_CHECKING

import click

from prodigy_git import layout
from prodigy_git.cli import output
from prodigy_git.cli.when import Duration
from prodigy_git.errors import ProdigyError

if TYPE_CHECKING:
    from prodigy_git.cleanup.records import Removed
    from prodigy_git.cleanup.worktrees import Outcome


@click.command()
@click.option(
    "--sessions-older-than", type=Duration(), default="7d", show_default=True, metavar="AGE"
)
@click.option(
    "--events-older-than", type=Duration(), default="30d", show_default=True, metavar="AGE"
)
@click.option("--dry-run", is_flag=True, help="Say what would be done and change nothing.")
@output.json_option
def clean(sessions_older_than: int, events_older_than: int, dry_run: bool, as_json: bool) -> int:
    """Clean up: finished worktrees of this repository, then old sessions and events of the store.

    The same as 'worktree clean --all', 'sessions clean' and 'events clean'. Everything goes to the
    trash; a running session and its job's log are never touched.
    """
    from prodigy_git.cleanup import records, worktrees

    store = layout.store_from(os.environ)
    here = os.getcwd()
    try:
        wanted = worktrees.finished_here(store, here, output.note)
    except ProdigyError:
        output.note("not in a repository: no worktrees are cleaned, only sessions and events")
        wanted = []
    outcomes = worktrees.clean(store, wanted, force=False, dry_run=dry_run, broken=output.note)
    removed = records.clean_sessions(
        store, sessions_older_than, dry_run=dry_run, broken=output.note
    ) + records.clean_events(store, events_older_than, dry_run=dry_run, broken=output.note)
    if as_json:
        output.emit_json(
            {
                "worktrees": [one.as_json() for one in outcomes],
                "removed": [one.as_json() for one in removed],
            }
        )
    else:
        show_outcomes(outcomes)
        show_removed(removed, dry_run=dry_run, as_json=False)
    note_if_gone(here)
    return 1 if any(one.result == "failed" for one in outcomes) else 0


def show_outcomes(outcomes: "list[Outcome]") -> None:
    """Print a line per worktree: what became of it, and why."""
    for one in outcomes:
        word = {"would-clean": "would be cleaned", "refused": "kept"}.get(one.result, one.result)
        text = f"{one.name}: {word}"
        if one.reasons:
            text += f" ({'; '.join(one.reasons)})"
        if one.branch_deleted:
            text += f", branch {one.branch_deleted} deleted"
        if one.trash_path:
            text += f", now in {one.trash_path}"
        output.line(text)


def show_removed(removed: "list[Removed]", *, dry_run: bool, as_json: bool) -> None:
    """Print a line per file that went to the trash, and on stderr how many and how much."""
    if as_json:
        output.emit_json([one.as_json() for one in removed])
        return
    for one in removed:
        verb = "would go" if dry_run else "gone"
        output.line(f"{one.kind} {one.name}: {verb} to the trash, {one.trash_path}")
    total = sum(one.bytes for one in removed)
    output.note(f"{len(removed)} files, {total} bytes {'would go' if dry_run else 'gone'}")


def note_if_gone(folder: str) -> None:
    """Say so where the folder that the user stands in has just been moved away."""
    if not os.path.exists(folder):
        output.note(f"{folder} is in the trash now: change into another folder")
