"""With whom something conflicts: what was merged since a branch began, and changed the same files."""

import re
from collections.abc import Collection, Sequence
from typing import Any

from prodigy_git.git.ask import git_status
from prodigy_git.merging.queue import ledger
from prodigy_git.merging.queue.target import Target

_MOST = 20
_LOOKED_AT = 1000
_COMMIT = re.compile("\x01([0-9a-f]{40,64})\0([^\0]*)\0")


def of(
    target: Target,
    cwd: str,
    tip: str,
    head: str,
    files: Sequence[str],
) -> list[dict[str, Any]]:
    """Return the commits of the branch, newest first, that ``head`` lacks and that changed ``files``.

    Each with its subject, and with the ids of the result that was merged by it, where one was.
    Costs one process, however many there are.
    """
    if not files:
        return []
    # With paths git leaves out a merge whose first parent is in ``head``: they are compared here.
    status, out, _ = git_status(
        cwd, "log", "--first-parent", "--diff-merges=first-parent", "--no-renames", "--name-only", "-z",
        f"--max-count={_LOOKED_AT}", "--format=%x01%H%x00%s", tip, f"^{head}",
    )  # fmt: skip
    wanted = frozenset(files)
    parts = _COMMIT.split(out) if status == 0 else []
    every = zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    lines = [
        (sha, subject)
        for sha, subject, paths in every
        if wanted & {path.lstrip("\n") for path in paths.split("\0")}
    ][:_MOST]
    merged = _by_commit(target, {sha for sha, _ in lines})
    return [
        {
            "commit": sha, "subject": subject,
            **{name: merged.get(sha, {}).get(name) for name in ("item_id", "agent_id", "session_id")},
        }
        for sha, subject in lines
    ]  # fmt: skip


def _by_commit(target: Target, commits: Collection[str]) -> dict[str, dict[str, Any]]:
    moves = ledger.read(target.ledger, lambda _: None)
    items = [one for made in moves for one in made.items]
    return {one["commit"]: one for one in items if one["commit"] in commits}


def words(found: Sequence[dict[str, Any]]) -> str:
    """Return in a few words who they are: items where they are known, else commits."""
    names = [str(one["item_id"] or one["session_id"] or one["commit"][:12]) for one in found]
    shown = list(dict.fromkeys(names))
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")
