"""clean: the one maintenance command."""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from prodigy_git import gitenv
from prodigy_git.cli import clean_report, output
from prodigy_git.cli.progress import progress_bar
from prodigy_git.cli.when import Duration
from prodigy_git.errors import ProdigyError
from prodigy_git.record import clock, repokey
from prodigy_git.store import home

if TYPE_CHECKING:
    from prodigy_git.cleanup.worktrees import Outcome

_DAY = 86400 * clock.SECOND
_AGES = {"sessions": 7 * _DAY, "events": 30 * _DAY, "checkpoints": 30 * _DAY, "dlq": 30 * _DAY}
_USUAL = frozenset(("worktrees", "branches", "sessions", "events"))


@dataclass(frozen=True)
class _Asked:
    """What the command line asks for; ``repo`` is the repository's key, None: all in the store.

    ``trash``: what the trash has let go of is deleted; at once where the kind was asked for, else in
    the background.
    """

    store: str
    cwd: str
    kinds: frozenset[str]
    drift: bool
    trash: bool
    older_than: int | None
    archiving: bool
    repo: str | None


@click.command()
@click.option("--worktrees", is_flag=True, help="Worktrees of finished sessions, if it is safe.")
@click.option(
    "--branches", is_flag=True,
    help="Branches of finished sessions without a worktree: merged, or of an attempt in whose place "
    "another one is done.",
)  # fmt: skip
@click.option("--sessions", is_flag=True, help="Files of sessions that ended (7d).")
@click.option("--events", is_flag=True, help="Event logs of jobs at rest (30d).")
@click.option("--checkpoints", is_flag=True, help="Checkpoints of jobs at rest (30d).")
@click.option("--dlq", is_flag=True, help="Dead letter queues of jobs at rest (30d).")
@click.option("--trash", is_flag=True, help="Delete what has been in the trash long enough.")
@click.option("--all", "every", is_flag=True, help="All of these.")
@click.option(
    "--older-than", type=Duration(), metavar="AGE",
    help="How old something must be. [default: as said above; worktrees and branches: any age]",
)  # fmt: skip
@click.option("--archive", is_flag=True, help="Compress event logs where they are instead.")
@click.option("--all-repos", is_flag=True, help="Of all repositories in the store.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and change nothing.")
@click.option("-v", "--verbose", is_flag=True, help="A line for each thing, too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output.json_option
def clean(
    older_than: int | None,
    archive: bool,
    all_repos: bool,
    dry_run: bool,
    verbose: bool,
    yes: bool,
    as_json: bool,
    every: bool,
    **kinds: bool,
) -> int:
    """Clean up what is finished and old, of this repository: into the trash, or archives.

    Without a kind: worktrees, branches, sessions and events, each when it is as old as said below, what
    has drifted apart (with --worktrees and --all, too), and, in the background, what has been in the
    trash long enough. What runs is never touched, and age is what the data says. --trash goes by git
    config prodigy.trashRetention and trashLimit alone, comes first, since it needs no space on the
    disk, and says what cannot be deleted, with the command that helps. Exits with 1 if anything failed;
    what is kept for a reason is no failure.

    \b
    Example:
      prodigy-git clean --dry-run
      prodigy-git clean --all --older-than 14d --yes
    """
    chosen = frozenset(kinds) if every else frozenset(kind for kind, on in kinds.items() if on)
    drift = not chosen or "worktrees" in chosen
    trash = not chosen or "trash" in chosen
    chosen = chosen or _USUAL
    if archive and "events" not in chosen:
        raise click.UsageError("--archive goes with --events.")
    if not (dry_run or yes):
        output.require_terminal()
    store, cwd = home.here(), gitenv.here()
    if os.path.lexists(store):
        os.listdir(store)  # one that cannot be read is not an empty one
    key = None if all_repos else _key_here(store, cwd)
    work = clean_report.Work()
    if key != "":  # else the store knows nothing of this repository
        asked = _Asked(store, cwd, chosen, drift, trash, older_than, archive, key)
        if not dry_run:
            _take_up(asked)
        work = _look(asked, worktrees_too=dry_run or not yes)
        if not dry_run:
            if not yes and clean_report.counts_of(work):
                clean_report.ask(work, archive)
            work = _act(asked, work)
    if as_json:
        shown = chosen | {"trash"} if trash else chosen
        output.emit_json(clean_report.as_json(work, shown, drift=drift))
    else:
        clean_report.show(work, dry_run=dry_run, verbose=verbose)
    if cwd != gitenv.NOWHERE and not os.path.exists(cwd):
        output.note(f"{cwd} is in the trash now: change into another folder")
    return 1 if work.failed else 0


def _key_here(store: str, cwd: str) -> str:
    """Return the store's key for the repository around ``cwd``; nothing where it has none."""
    from prodigy_git.git import repository

    try:
        common = repository.find(cwd).common
    except ProdigyError as error:
        raise ProdigyError(f"{error}, or give --all-repos") from error
    return repokey.known(store, common) or ""


def _take_up(asked: _Asked) -> None:
    """Finish or roll back what killed commands have left."""
    from prodigy_git.cleanup import interrupted
    from prodigy_git.cleanup.trash import entry
    from prodigy_git.cli import over

    over.settle(asked.store, repo=asked.repo)
    keys = entry.folders(f"{asked.store}/trash", None) if asked.repo is None else [asked.repo]
    for key in sorted(keys):
        try:
            lines = interrupted.take_up(
                asked.store, key, output.note, deleting="trash" not in asked.kinds
            )
        except (ProdigyError, OSError) as error:
            # On a full disk, perhaps: emptying the trash is to go on.
            output.note(f"what was interrupted in {key} stays so ({error})")
            continue
        for line in lines:
            output.note(line)


def _look(asked: _Asked, *, worktrees_too: bool) -> clean_report.Work:
    """Find what there is to do; changes nothing."""
    from prodigy_git.cleanup.drift import mending
    from prodigy_git.cleanup.records import by_age
    from prodigy_git.cleanup.trash import emptying, expiry

    work = clean_report.Work()
    where = None if asked.repo is None else asked.cwd
    if asked.drift:
        work.drift = mending.find(asked.store, where, output.note)
    now = clock.now()
    limits = {
        kind: now - (age if asked.older_than is None else asked.older_than)
        for kind, age in _AGES.items()
        if kind in asked.kinds
    }
    with progress_bar("looking for what is old") as progress:
        work.records = by_age.find(
            asked.store, limits, output.note, repo=asked.repo, archiving=asked.archiving,
            progress=progress,
        )  # fmt: skip
    if "branches" in asked.kinds:
        from prodigy_git.merging import spent_branches

        # As they are now: what loses its worktree with this command has its turn with the next.
        work.branches = spent_branches.find(asked.store, asked.repo, asked.older_than, output.note)
    if "worktrees" in asked.kinds and worktrees_too:
        work.worktrees = _worktrees(asked, dry_run=True)
    if asked.trash:
        # Not what is about to go there: the limit takes that another time.
        work.expired = expiry.plan(asked.store, output.note, asked.repo)
        work.trash = list(work.expired.entries)
        if "trash" in asked.kinds:
            work.trash += emptying.under_way(asked.store, asked.repo)
        for text in work.expired.words:
            output.note(text)
    if worktrees_too:
        for one in work.trash:
            with contextlib.suppress(ProdigyError):
                expiry.measured(one)
    return work


def _worktrees(asked: _Asked, *, dry_run: bool) -> "list[Outcome]":
    from prodigy_git.cleanup import worktrees

    options = worktrees.Options(
        every=True, all_repos=asked.repo is None, older_than=asked.older_than, dry_run=dry_run
    )
    with progress_bar("cleaning worktrees") as progress:
        return worktrees.clean(asked.store, asked.cwd, None, options, output.note, progress)


def _act(asked: _Asked, plan: clean_report.Work) -> clean_report.Work:
    """Do it: the trash first, which needs no space and makes some; then records, since removing a
    worktree adds to its job's log.
    """
    from prodigy_git.cleanup.drift import mending
    from prodigy_git.cleanup.records import by_age
    from prodigy_git.cleanup.trash import emptying, expiry

    done = clean_report.Work()

    def attempt(step: Callable[[], None]) -> None:
        # What is done already is to be told, whatever happens to the rest.
        try:
            step()
        except (ProdigyError, OSError) as error:
            output.error(str(error))
            done.failed = True

    def delete_branches() -> None:
        from prodigy_git.merging import spent_branches

        done.branches = spent_branches.delete(asked.store, plan.branches, output.note)

    def clean_records() -> None:
        with progress_bar("cleaning records") as progress:
            done.records = by_age.carry_out(asked.store, plan.records, output.note, progress)

    def mend() -> None:
        mended = mending.repair(asked.store, plan.drift, output.note, asked.repo)
        # Without what had been put right meanwhile.
        done.drift = [one for one in mended if one.done or one.error or not one.repairable]

    def clean_worktrees() -> None:
        done.worktrees = _worktrees(asked, dry_run=False)

    def empty_trash() -> None:
        if "trash" not in asked.kinds:
            done.in_background = True
            done.trash = emptying.expire(plan.expired, output.note)
            return
        with progress_bar("deleting") as progress:
            for one in emptying.empty_now(plan.trash, output.note, progress):
                if one.left is None:
                    done.trash.append(replace(one.entry, bytes=one.bytes))
                else:
                    troubles.append(f"{one.entry.session}: {one.left}")

    troubles: list[str] = []
    if asked.trash:
        attempt(empty_trash)
        expiry.note_sizes(plan.expired.measured)
    if plan.branches:  # whose they are is said by the files of sessions, which go next
        attempt(delete_branches)
    attempt(clean_records)
    attempt(mend)
    if "worktrees" in asked.kinds:
        attempt(clean_worktrees)
    troubles += [f"{one.name}: kept ({one.error})" for one in done.records if one.error is not None]
    troubles += [f"{one.wrong}: not put right ({one.error})" for one in done.drift if one.error]
    troubles += [
        f"{one.name}: {'; '.join(one.reasons)}" for one in done.worktrees if one.result == "failed"
    ]
    troubles += [
        f"branch {one.branch}: {'; '.join(one.reasons)}"
        for one in done.branches if one.result == "failed"
    ]  # fmt: skip
    for text in troubles:
        output.error(text)
    done.failed = done.failed or bool(troubles)
    return done
