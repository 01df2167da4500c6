"""What the commands that clean say: what goes or went, how much of each kind, and the question."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prodigy_git.amounts import human, number
from prodigy_git.cli import output
from prodigy_git.cli.worktree_clean import show_outcomes
from prodigy_git.errors import ProdigyError
from prodigy_git.store import home

if TYPE_CHECKING:
    from prodigy_git.cleanup.drift.mending import Finding
    from prodigy_git.cleanup.records.by_age import Record
    from prodigy_git.cleanup.trash.entry import Entry
    from prodigy_git.cleanup.trash.expiry import Plan
    from prodigy_git.cleanup.worktrees import Outcome
    from prodigy_git.merging.spent_branches import Spent

_NOUNS = {
    "worktrees": "worktree", "branches": "branch", "sessions": "session", "events": "log file",
    "output": "file of a command's output",
    "checkpoints": "checkpoint", "dlq": "dead letter queue",
}  # fmt: skip


def _no_plan() -> "Plan":
    from prodigy_git.cleanup.trash.expiry import Plan

    return Plan()


@dataclass
class Work:
    """What is to be done, or what has been."""

    drift: "list[Finding]" = field(default_factory=list)
    records: "list[Record]" = field(default_factory=list)
    worktrees: "list[Outcome]" = field(default_factory=list)
    branches: "list[Spent]" = field(default_factory=list)
    expired: "Plan" = field(default_factory=_no_plan)
    """What retention and limit of the trash have let go of."""
    trash: "list[Entry]" = field(default_factory=list)
    """That, and what was being deleted before."""
    in_background: bool = False
    """Whether the deleting of what is in the trash goes on when the command has ended."""
    failed: bool = False


def counts_of(work: Work) -> dict[str, int]:
    """Return how much of each kind goes, or went; kinds with none left out."""
    found = {
        "drift": sum(1 for one in work.drift if one.done or (one.repairable and not one.error)),
        "worktrees": sum(1 for one in work.worktrees if one.result in ("cleaned", "would-clean")),
        "branches": sum(1 for one in work.branches if one.result in ("deleted", "would-delete")),
        "trash": len(work.trash),
    }
    for one in work.records:
        if one.error is None:
            found[one.kind] = found.get(one.kind, 0) + 1
    return {kind: count for kind, count in found.items() if count}


def ask(work: Work, archiving: bool) -> None:
    """Ask whether to go on. Raises `ProdigyError` where the answer is no."""
    counts = counts_of(work)
    parts = []
    trashed = _listing(counts, [k for k in _NOUNS if not (archiving and k == "events")], work)
    if trashed:
        goes = "goes" if sum(counts.values()) == 1 else "go"
        parts.append(f"{trashed} {goes} to the trash")
    if archiving and "events" in counts:
        parts.append(f"{_listing(counts, ['events'], work)} to be compressed")
    if "drift" in counts:
        parts.append(f"{number(counts['drift'], 'thing')} to be put right")
    if "trash" in counts:
        parts.append(f"{number(counts['trash'], 'removed worktree')} to be deleted for good")
    output.confirm(f"{'; '.join(parts)}. Continue?")


def _listing(counts: dict[str, int], kinds: Iterable[str], work: Work) -> str:
    parts = []
    for kind in kinds:
        if kind in counts:
            size = sum(one.bytes for one in work.records if one.kind == kind)
            parts.append(number(counts[kind], _NOUNS[kind]) + (f" ({human(size)})" if size else ""))
    return ", ".join(parts)


def _bytes_of(one: "Outcome") -> int:
    """Return what a worktree takes on disk, in the trash or where it is."""
    from prodigy_git.cleanup.folders.erasing import allocated
    from prodigy_git.cleanup.trash import entry, expiry
    from prodigy_git.store import sessions

    with contextlib.suppress(ProdigyError, OSError, ValueError):
        if one.trash_path is not None:
            return expiry.measured(entry.read(one.trash_path))
        store = home.here()
        return allocated(sessions.load(store, one.name).text("worktree_path") or "")
    return 0


def as_json(work: Work, kinds: frozenset[str], *, drift: bool) -> dict[str, dict[str, Any]]:
    """Return {kind: {count, bytes, items}}; what was kept, or failed, is among the items only."""
    counts = counts_of(work)
    sizes = _sizes(work)
    items: dict[str, list[dict[str, Any]]] = {kind: [] for kind in sorted(kinds)}
    if "events" in kinds:
        items["output"] = []  # it goes with them
    if drift:
        items["drift"] = [one.as_json() for one in work.drift]
    for record in work.records:
        items[record.kind].append(record.as_json())
    if "worktrees" in kinds:
        items["worktrees"] = [one.as_json() for one in work.worktrees]
    if "branches" in kinds:
        items["branches"] = [one.as_json() for one in work.branches]
    for entry in work.trash:
        items["trash"].append(
            {
                "session_id": entry.session, "repo": entry.repo, "worktree": entry.worktree,
                "removed_at": entry.created_at, "bytes": entry.bytes, "trash_path": entry.path,
            }
        )  # fmt: skip
    return {
        kind: {"count": counts.get(kind, 0), "bytes": sizes.get(kind, 0), "items": some}
        for kind, some in items.items()
    }


def _sizes(work: Work) -> dict[str, int]:
    """Return the bytes of what goes, or went, of each kind."""
    found = {
        "worktrees": sum(
            _bytes_of(one) for one in work.worktrees if one.result in ("cleaned", "would-clean")
        ),
        "trash": sum(one.bytes or 0 for one in work.trash),
    }
    for one in work.records:
        if one.error is None:
            found[one.kind] = found.get(one.kind, 0) + one.bytes
    return found


def show(work: Work, *, dry_run: bool, verbose: bool) -> None:
    """Print a line for each thing, if told to, and how much of each kind went.

    A dry run has these lines anyway; what is not ours, and so left alone, only ``verbose`` names.
    """
    unknown_too, verbose = verbose, verbose or dry_run
    if verbose:
        for one in work.drift:
            if one.kind == "unknown" and not unknown_too:
                continue
            what = one.done or one.error or one.remedy
            output.prose(f"{one.wrong}: {what}" if what else one.wrong)
        show_outcomes(work.worktrees)
        _show_branches(work.branches)
        show_records(work.records, dry_run=dry_run)
        for entry in work.trash:
            output.prose(f"trash {entry.session}: {entry.path}")
    counts, sizes = counts_of(work), _sizes(work)
    would = "would go" if dry_run else "gone"
    packed = [one for one in work.records if one.archive_path is not None and one.error is None]
    ends = dict.fromkeys(_NOUNS, f"{would} to the trash")
    if packed:
        after = sum(one.archive_bytes or 0 for one in packed)
        ends["events"] = "would be archived" if dry_run else f"archived, {human(after)} now"
    ends["drift"] = "would be put right" if dry_run else "put right"
    deleted = "being deleted for good" if work.in_background else "deleted for good"
    ends["trash"] = "would be deleted for good" if dry_run else deleted
    rows = [
        (kind, counts[kind], human(sizes[kind]) if sizes.get(kind) else "-", end)
        for kind, end in ends.items()
        if kind in counts
    ]
    if rows:
        output.table(("KIND", "COUNT", "SIZE", ""), rows)
    else:
        output.prose("nothing to clean")
    if not verbose:
        _note_kept(work)


def _show_branches(branches: "Iterable[Spent]") -> None:
    words = {"would-delete": "would be deleted", "deleted": "deleted"}
    for one in branches:
        text = (
            f"branch {one.branch}: {words.get(one.result, one.result)} ({'; '.join(one.reasons)})"
        )
        if one.result == "deleted":
            text += f", 'prodigy-git worktree restore {one.session.id}' brings it back"
        output.prose(text)


def _note_kept(work: Work) -> None:
    kept = sum(1 for one in work.worktrees if one.result == "refused")
    branches = sum(1 for one in work.branches if one.result == "kept")
    open_ = sum(1 for one in work.drift if not one.repairable and one.kind != "unknown")
    if kept or branches or open_:
        parts = [number(kept, "worktree") + " kept"] * bool(kept)
        parts += [number(branches, "branch") + " kept"] * bool(branches)
        parts += [number(open_, "thing") + " to be put right by you"] * bool(open_)
        output.note(f"{', '.join(parts)}: 'prodigy-git clean --dry-run' says why")


def show_removed(removed: "Sequence[Record]", *, dry_run: bool, as_json: bool) -> int:
    """Print what `sessions clean` or `events clean` did; return its exit code."""
    failed = [one for one in removed if one.error is not None]
    for one in failed:
        output.error(f"{one.name}: kept ({one.error})")
    if as_json:
        output.emit_json([one.as_json() for one in removed])
    else:
        show_records(removed, dry_run=dry_run)
        went = [one for one in removed if one.error is None]
        total = human(sum(one.bytes for one in went))
        output.note(
            f"{number(len(went), 'file')}, {total} {'would go' if dry_run else 'gone'} to the trash"
        )
    return 1 if failed else 0


def show_records(removed: "Iterable[Record]", *, dry_run: bool) -> None:
    """Print a line per file: where it went, or would go."""
    for one in removed:
        if one.error is None:
            verb = "would go" if dry_run else "gone"
            where = f"to the trash, {one.trash_path}"
            if one.archive_path is not None:
                verb, where = (
                    "would be archived" if dry_run else "archived",
                    f"as {one.archive_path}",
                )
            output.prose(f"{one.kind} {one.name}: {verb} {where}")
