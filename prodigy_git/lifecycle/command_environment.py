"""What a command of `run` finds in its environment: its item, who and where it is (docs, run.md)."""

import json
import os

from prodigy_git.git import repository
from prodigy_git.gitenv import drop_local_variables
from prodigy_git.jobs.endings import Claim
from prodigy_git.lifecycle.new_worktree import NewWorktree
from prodigy_git.setup import environment as surroundings
from prodigy_git.store.events import Broken

_ARGUMENT = 100_000  # bytes that an environment variable may have on every system


def environment() -> dict[str, str]:
    """Return what a command inherits of our own environment."""
    env = dict(os.environ)
    drop_local_variables(env)  # of a hook or an alias that we were started from
    return {name: value for name, value in env.items() if name not in surroundings.NAMES}


def of(
    made: NewWorktree,
    claim: Claim,
    log_path: str,
    item_path: str,
    result_path: str,
    broken: Broken,
) -> dict[str, str]:
    """Return what the command finds in its environment (docs/reference/run.md)."""
    place = repository.private_of(made.worktree)
    found = {} if place is None else surroundings.variables(place, broken)
    env = environment() | {
        **found,
        "PRODIGY_AGENT_ID": claim.agent_id,
        "PRODIGY_ITEM_ID": claim.item_id,
        "PRODIGY_ITEM_FILE": item_path,
        "PRODIGY_ATTEMPT": str(claim.attempt),
        "PRODIGY_LOG": log_path,
        "PRODIGY_RESULT": result_path,
    }
    data = json.dumps(claim.data)
    if len(data) <= _ARGUMENT:
        env["PRODIGY_ITEM"] = data
    else:
        env.pop("PRODIGY_ITEM", None)
    return env
