"""Random sequences of git operations over three worktrees of a repository, against a model.

Between them worktrees are moved, removed and added again on their branch; hooks are silenced; commits
are written by plumbing, fetched from a clone, and pushed there.

The model is computed from git itself: HEAD before and after each operation, and the operation's
kind, say which commits were made, and where. At the end each of them is in the log once, under its
worktree's session, and nothing else is.

To run more: PRODIGY_TEST_EXAMPLES=1000 pytest tests/record/test_property.py (a number other than
the default also draws at random instead of the same each time).
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from support_random_git import Operations
from support_record import (
    Templates,
    write_hooks,
)

EXAMPLES = 40
WANTED = int(os.environ.get("PRODIGY_TEST_EXAMPLES", EXAMPLES))


@pytest.mark.parametrize("part", range(2))  # one for each worker of a small machine
def test_each_commit_once_in_its_session(part: int, sealed: Path, templates: Templates) -> None:
    write_hooks(sealed)
    Operations.templates = templates

    class Part(Operations):
        """Of its own name, from which hypothesis takes the seed."""

    Part.__qualname__ = Part.__name__ = f"Operations{part}"
    run_state_machine_as_test(
        Part,
        settings=settings(
            max_examples=WANTED // 2,
            stateful_step_count=14,
            derandomize=WANTED == EXAMPLES,
            deadline=None,
            # Shrinking takes minutes; the notes of a failure say what was done.
            phases=[Phase.generate],
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
