"""trash list, trash empty."""

import os
from typing import TYPE_CHECKING, Any

import click

from prodigy_git import amounts, duration, gitenv
from prodigy_git.cli import completing, output
from prodigy_git.cli.progress import progress_bar
from prodigy_git.cli.when import Duration
from prodigy_git.errors import ProdigyError
from prodigy_git.record import clock
from prodigy_git.store import home

if TYPE_CHECKING:
    from prodigy_git.cleanup.trash.entry import Entry
    from prodigy_git.cleanup.trash.expiry import Retentions


@click.group()
def trash() -> None:
    """What was cleaned, and waits in the trash: list it, empty it.

    'prodigy-git worktree restore NAME' brings a worktree back. git config prodigy.trashRetention says
    how long one stays (7d, the default; or never), prodigy.trashLimit how many bytes a repository's
    trash may take (default 20g; the oldest go, if their sessions had ended). 'prodigy-git clean' and
    'worktree clean' delete by both.

    \b
    Example:
      prodigy-git trash list --sizes
      prodigy-git worktree restore login
    """


@trash.command("list")
@click.option("--all-repos", is_flag=True, help="Those of all repositories in the store.")
@click.option("--sizes", is_flag=True, help="Measure what has not been measured yet.")
@output.json_option
def list_(all_repos: bool, sizes: bool, as_json: bool) -> None:
    """List the removed worktrees of this repository, oldest first.

    The size is what they take on disk, '-' where it is not known; --sizes looks. STATE is trashed,
    moving or restoring (begun, and perhaps interrupted), emptying (being deleted; what cannot be is
    said on stderr, with the command that helps) or emptied (git's salvage ref is left). PATH is '-'
    where a branch was removed alone.

    \b
    Example:
      prodigy-git trash list --sizes
    """
    store = home.here()
    known: Retentions = {}
    rows = [_row(one, known, sizes=sizes) for one in _entries(store, all_repos=all_repos)]
    for row in rows:
        if row["left"] is not None:
            output.note(f"{row['session_id']}: {row['left']}")
    if as_json:
        output.emit_json(rows)
        return
    headings = ("SESSION", "REMOVED", "AGE", "SIZE", "STATE", "EXPIRES", "BRANCH", "PATH")
    going = ("AGE", "BRANCH", "STATE", "EXPIRES") if sizes else ("AGE", "SIZE", "BRANCH", "STATE")
    output.table(headings, map(_cells, rows), going, empty="the trash is empty")


def _entries(store: str, *, all_repos: bool) -> "list[Entry]":
    """Return the entries of the repository around the current directory, or all."""
    from prodigy_git.cleanup.trash import entry
    from prodigy_git.git import repository

    if all_repos:
        return entry.entries(store, output.note)
    try:
        common = os.path.realpath(repository.find(gitenv.here()).common)
    except ProdigyError as error:
        raise ProdigyError(f"{error}, or give --all-repos") from error
    found = entry.entries(store, output.note)
    return [one for one in found if os.path.realpath(one.common) == common]


def _row(found: "Entry", known: "Retentions", *, sizes: bool) -> dict[str, Any]:
    from prodigy_git.cleanup.trash import expiry

    expires = None
    if found.state == "trashed":
        try:
            expires = expiry.expires_at(found, known)
            if sizes:
                expiry.measured(found)
        except ProdigyError as error:
            output.note(str(error))
    created = clock.parse(found.created_at)
    return {
        "session_id": found.session,
        "repo": found.repo,
        "state": found.state,
        "removed_at": found.created_at,
        "age_seconds": None if created is None else (clock.now() - created) // clock.SECOND,
        "expires_at": None if expires is None else clock.stamp(expires),
        "bytes": found.bytes,
        "left": found.left,
        "branch": found.branch,
        "branch_only": found.branch_only,
        "worktree": found.worktree,
        "trash_path": found.path,
        "salvage_ref": found.salvage_ref,
        "reasons": found.reasons,
    }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    age = row["age_seconds"]
    return (
        row["session_id"],
        duration.moment(row["removed_at"]),
        "-" if age is None else duration.seconds(age),
        "-" if row["bytes"] is None else amounts.human(row["bytes"]),
        row["state"],
        duration.moment(row["expires_at"]),
        row["branch"] or "-",
        "-" if row["branch_only"] else row["worktree"],
    )


@trash.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=completing.trashed)
@click.option("--older-than", type=Duration(), metavar="AGE", help="Only what was removed before.")
@click.option("--all-repos", is_flag=True, help="The trash of all repositories in the store.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output.json_option
def empty(
    names: tuple[str, ...],
    older_than: int | None,
    all_repos: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Delete removed worktrees for good: of the sessions NAME, or all of this repository.

    What git holds of them, the salvage, stays, and 'prodigy-git worktree restore' brings that back.
    Emptying needs no space on the disk. Interrupted, the rest goes with the next command that cleans.
    What cannot be deleted is said, with the command that helps, and tried again the next time; then it
    exits with 1.

    \b
    Example:
      prodigy-git trash empty --older-than 7d --dry-run
    """
    from prodigy_git.cleanup.trash import emptying

    store = home.here()
    here = _entries(store, all_repos=all_repos or bool(names))
    if not dry_run and _take_up(store, here, names):
        here = _entries(store, all_repos=all_repos or bool(names))
    unknown = set(names) - {one.session for one in here}
    for name in sorted(unknown):
        output.error(
            f"{name} has nothing in the trash: 'prodigy-git trash list' shows what there is"
        )
    wanted = [
        one
        for one in here
        if one.state in ("trashed", "emptying")
        and (not names or one.session in names)
        and _before(one, older_than)
    ]
    if not dry_run and not yes:
        _ask([one for one in wanted if one.state == "trashed"])
    if dry_run:
        return _would(wanted, unknown=bool(unknown), as_json=as_json)
    with progress_bar("deleting") as progress:
        done = emptying.empty_now(wanted, output.note, progress)
    gone = [one for one in done if one.left is None]
    if as_json:
        rows = ({**_row(one.entry, {}, sizes=False), "left": one.left} for one in done)
        output.emit_json([{**row, "bytes": one.bytes} for row, one in zip(rows, done, strict=True)])
    else:
        for one in gone:
            output.prose(f"{one.entry.session}: deleted for good, {_what(one.entry)}")
        count = amounts.number(len(gone), "removed worktree")
        output.note(
            f"{count}, {amounts.human(sum(one.bytes for one in done))}, gone from the trash"
        )
    for one in done:
        if one.left is not None:
            output.error(f"{one.entry.session}: {one.left}")
    taken = {one.entry.path for one in done}
    kept = any(_is_there(one) for one in wanted if one.path not in taken)
    return 1 if unknown or kept or len(gone) < len(done) else 0


def _is_there(found: "Entry") -> bool:
    """Whether an entry is still in the trash: another process may have emptied or restored it."""
    from prodigy_git.cleanup.trash import entry

    try:
        return entry.read(found.path).state in ("trashed", "emptying")
    except (ProdigyError, OSError):
        return os.path.lexists(found.path)


def _would(wanted: "list[Entry]", *, unknown: bool, as_json: bool) -> int:
    """Say what would be deleted; return the exit code."""
    if as_json:
        output.emit_json([_row(one, {}, sizes=False) for one in wanted])
    else:
        for one in wanted:
            output.prose(f"{one.session}: would be deleted, {_what(one)}")
        output.note(f"{_amount(wanted)} would go from the trash")
    return int(unknown)


def _what(found: "Entry") -> str:
    return f"{found.worktree} as it was at {duration.moment(found.created_at)}"


def _take_up(store: str, here: "list[Entry]", names: tuple[str, ...]) -> bool:
    """Finish or roll back what a killed command left in the repositories concerned."""
    from prodigy_git.cleanup import interrupted

    lines = [
        line
        for repo in sorted({one.repo for one in here if not names or one.session in names})
        for line in interrupted.take_up(store, repo, output.note, deleting=False)
    ]
    for line in lines:
        output.note(line)
    return bool(lines)


def _before(found: "Entry", older_than: int | None) -> bool:
    created = clock.parse(found.created_at)
    return older_than is None or (created is not None and created <= clock.now() - older_than)


def _amount(some: "list[Entry]") -> str:
    known = [one.bytes for one in some if one.bytes is not None]
    count = amounts.number(len(some), "removed worktree")
    if not known:
        return count
    return f"{count}, {'' if len(known) == len(some) else 'at least '}{amounts.human(sum(known))},"


def _ask(wanted: "list[Entry]") -> None:
    """Ask whether to delete; not about what was being deleted already."""
    if not wanted:
        return
    output.require_terminal()
    what = f"{_amount(wanted).rstrip(',')}: {', '.join(sorted({one.session for one in wanted}))}"
    output.note(f"this deletes {what}; ignored files go for good, what git holds remains")
    output.confirm("Delete them?")
