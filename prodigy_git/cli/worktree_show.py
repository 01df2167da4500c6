"""worktree show."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output
from prodigy_git.store import home

if TYPE_CHECKING:
    from prodigy_git.cleanup.account.evidence import Evidence

_INDENT = 14


@click.command()
@click.argument("name", shell_complete=completing.worktrees)
@output.json_option
def show(name: str, as_json: bool) -> None:
    """Say what would be lost if a worktree's folder vanished, who is in it, what clean would do.

    NAME is a session's id, or the path or folder name of a worktree of this repository. Nothing is
    changed, not even git's index; but a worktree that has no ports yet gets its own.

    \b
    Example:
      prodigy-git worktree show login
    """
    from prodigy_git.cleanup import worktrees
    from prodigy_git.cleanup.trash import unfinished
    from prodigy_git.setup import ports

    store = home.here()
    e = worktrees.show(store, gitenv.here(), name)
    port = None if e.place is None else ports.block(e.place, output.note)
    halves = unfinished.find(store, output.note, session=e.session_id) if e.session_id else []
    if as_json:
        plain, forced = (
            worktrees.verdict(e, worktrees.Options(force=force)) for force in (False, True)
        )
        verdicts = {
            "clean": {"would_clean": plain[0], "reasons": plain[1]},
            "clean_force": {"would_clean": forced[0], "reasons": forced[1]},
        }
        half = halves[-1].as_json() if halves else None
        output.emit_json({**e.as_json(), "port": port, **verdicts, "half_way": half})
        return
    block = [] if port is None else [("ports", f"{port}-{port + ports.COUNT - 1}")]
    for what, value in [*_lines(e), *block, *(("half-way", one.text()) for one in halves)]:
        for number, line in enumerate(output.wrapped(output.clean(value), _INDENT)):
            output.line(f"{'' if number else what:<{_INDENT}}{line}")


def _lines(e: "Evidence") -> Iterator[tuple[str, str]]:
    """Yield the account as (what, value); what is nil is left out."""
    from prodigy_git.cleanup import worktrees
    from prodigy_git.cleanup.account import evidence

    changes = (
        (e.staged, "staged"), (e.modified, "modified"), (e.unmerged, "unmerged"),
        (e.untracked, "untracked"), (e.hidden, "hidden from git status"),
    )  # fmt: skip
    yield "session", f"{e.session_id}, {e.status}" if e.session_id else "none"
    yield "worktree", e.path
    # Nobody can tell where its folder is gone.
    if e.place is not None or e.branch is not None:
        yield "branch", e.branch or "none, HEAD is detached"
    if e.place is not None or e.head is not None:
        yield "head", e.head or "no commit yet"
    if e.place is not None:
        yield "commits", worktrees.describe(e)
        shown = [f"{count} {words}" for count, words in changes if count]
        yield "changes", ", ".join(shown) or "none"
    lone = (
        (e.lone_commits, "on HEAD"), (e.lone_in_reflog, "given up"), (e.rewritten, "rewritten"),
    )  # fmt: skip
    values = {
        "under way": e.operations,
        "no ref has": [f"{count} {words}" for count, words in lone if count],
        "private refs": e.private_refs,
        "stashes": [f"{e.stashes} on its branch"] if e.stashes else [],
        "submodules": [f"{path}: {', '.join(w) or 'clean'}" for path, w in e.submodules.items()],
        "repositories": [f"{path}: {', '.join(w) or 'clean'}" for path, w in e.nested.items()],
        "worktrees": e.nested_worktrees,
        "locked": [e.locked or "no reason given"] if e.locked is not None else [],
        "mounts": e.mounts + [f"a part of it at {point}" for point in e.mounted_at],
        "processes": [f"{one.name} (pid {one.pid}) {one.why}" for one in e.processes],
        "background": [f"{one.name} (pid {one.pid}), ends with it" for one in e.background],
        "not seen": e.unseen,
        "git's locks": e.git_locks + [f"{name} (old)" for name in e.old_git_locks],
        "in the trash": evidence.remarks(e),
        "unreadable": e.unreadable,
    }
    for what, found in values.items():
        for number, value in enumerate(found):
            yield ("" if number else what), value
    for what, force in (("clean", False), ("clean -f", True)):
        allowed, reasons = worktrees.verdict(e, worktrees.Options(force=force))
        if not allowed:
            yield what, f"refuses: {'; '.join(reasons)}"
        else:
            yield what, "removes it" + (f" all the same ({'; '.join(reasons)})" if reasons else "")
