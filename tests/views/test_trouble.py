"""What an agent is doing, in one word: every way to each state."""

import pytest

from prodigy_git.views.trouble import RANK, Facts, state_of

NOW, LIMIT = 1_000_000, 100
FRESH, OLD = NOW - LIMIT, NOW - LIMIT - 1


@pytest.mark.parametrize(
    ("state", "facts"),
    [
        ("running", Facts("Running", last=FRESH)),
        ("stuck", Facts("Running", last=OLD)),
        ("stuck", Facts("Running")),
        ("running", Facts(item="in_progress", last=FRESH)),
        ("running", Facts(item="in_progress", owned=True, last=FRESH)),
        ("stuck", Facts(item="in_progress", owned=True, last=OLD)),
        ("dead", Facts(item="in_progress", owned=False, last=FRESH)),
        ("dead", Facts("Running", "in_progress", owned=False, last=OLD)),
        # An owner that lives says more than the process that once made the session.
        ("stuck", Facts("Running", "in_progress", owned=True, deserted=True, last=OLD)),
        ("dead", Facts("Running", "in_progress", deserted=True, last=OLD)),
        ("dead", Facts("Running", deserted=True, last=OLD)),
        ("running", Facts("Running", deserted=True, last=FRESH)),
        ("dead", Facts("Running", missing=True, last=FRESH)),
        ("dead", Facts("Paused", missing=True)),
        ("failed", Facts(item="dead")),
        ("failed", Facts("Failed", "failed", missing=True)),
        ("failed", Facts("Failed", last=FRESH)),
        ("finished", Facts("Failed", missing=True)),
        ("finished", Facts("Failed", superseded=True)),
        ("dead", Facts("Running", superseded=True, deserted=True, last=FRESH)),
        ("running", Facts("Running", superseded=True, last=FRESH)),
        ("retrying", Facts("Failed", "pending", last=FRESH)),
        ("retrying", Facts(item="pending", last=OLD)),
        ("idle", Facts("Paused", last=OLD)),
        ("idle", Facts("Initializing")),
        ("idle", Facts("Initializing", missing=True, last=FRESH)),
        ("dead", Facts("Initializing", missing=True, last=OLD)),
        # Its command may have removed the worktree, and be at work all the same.
        ("running", Facts("Running", "in_progress", owned=True, missing=True, last=FRESH)),
        ("finished", Facts("Running", missing=True, removed=True, last=FRESH)),
        ("dead", Facts("Running", "in_progress", owned=False, missing=True, removed=True)),
        ("idle", Facts("Running", unattended=True, last=OLD)),
        ("running", Facts("Running", unattended=True, last=FRESH)),
        ("idle", Facts("Running", unattended=True, deserted=True, last=OLD)),
        ("dead", Facts("Running", unattended=True, missing=True, last=FRESH)),
        ("idle", Facts("Running", persons=True, last=FRESH)),
        ("idle", Facts("Running", persons=True, deserted=True, missing=True, last=OLD)),
        ("finished", Facts("Failed", persons=True, last=FRESH)),
        ("waiting", Facts("Running", program="waiting", last=OLD)),
        ("waiting", Facts("Running", "in_progress", owned=True, program="waiting", last=OLD)),
        ("dead", Facts("Running", "in_progress", owned=False, program="waiting", last=FRESH)),
        ("dead", Facts("Running", missing=True, program="waiting", last=FRESH)),
        ("dead", Facts("Running", program="waiting", program_gone=True, last=FRESH)),
        ("dead", Facts("Running", program="working", program_gone=True, last=FRESH)),
        # Of a claim that lives `run` knows more.
        (
            "running",
            Facts(
                "Running",
                "in_progress",
                owned=True,
                program="working",
                program_gone=True,
                last=FRESH,
            ),
        ),
        ("running", Facts("Running", "in_progress", owned=True, program="ended", last=FRESH)),
        ("idle", Facts("Running", "in_progress", owned=True, program="idle", last=OLD)),
        ("idle", Facts("Running", program="idle", deserted=True, last=OLD)),
        ("idle", Facts("Running", program="ended", last=OLD)),
        ("running", Facts("Running", program="working", last=FRESH)),
        ("stuck", Facts("Running", program="working", last=OLD)),
        ("finished", Facts("Completed", program="waiting")),
        ("waiting", Facts("Running", persons=True, program="waiting", last=OLD)),
        ("running", Facts("Running", persons=True, program="working", last=OLD)),
        ("idle", Facts("Running", persons=True, program="waiting", program_gone=True)),
        ("idle", Facts("Running", persons=True, program="working", program_gone=True)),
        ("idle", Facts("Running", persons=True, program="ended")),
        ("finished", Facts("Completed", missing=True)),
        ("finished", Facts("Cancelled", last=FRESH)),
        ("finished", Facts("Running", "completed")),
    ],
)
def test_each_way_to_a_state(state, facts):
    assert state_of(facts, NOW, LIMIT) == state


def test_trouble_comes_first():
    assert sorted(RANK, key=RANK.get) == [
        "waiting", "dead", "failed", "stuck", "retrying", "running", "idle", "finished",
    ]  # fmt: skip
