"""The answer to whoever has asked for an item: a claim that nobody hears of does not stay claimed."""

import sys

from prodigy_git import descriptors
from prodigy_git.cli import output
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import claims
from prodigy_git.jobs.endings import Claim


def require_stdout() -> None:
    """Raise `ProdigyError` where standard output was closed, before anything is claimed."""
    if descriptors.is_closed():
        raise ProdigyError("standard output is closed: nothing is claimed, nobody would hear of it")


def tell(store: str, repo: str, made: Claim) -> None:
    """Print a claim as JSON. Raises `ProdigyError` where that fails; then the item is given back."""
    try:
        output.emit_json(
            {
                "job_id": made.job_id, "item_id": made.item_id, "agent_id": made.agent_id,
                "attempt": made.attempt, "max_attempts": made.max_attempts,
                "lease_ends_at": made.lease_until,
                "work_item": {"id": made.item_id, "data": made.data},
            }
        )  # fmt: skip
        sys.stdout.flush()
    except OSError as error:  # its reader has gone, or the disk is full
        claims.release(
            store, repo, made.job_id, made, reason="the answer could not be printed",
            broken=output.note,
        )  # fmt: skip
        raise ProdigyError(
            f"item {made.item_id} was given back: the answer could not be printed "
            f"({error.strerror})"
        ) from error
