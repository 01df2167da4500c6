"""Merging one result after the other: in a place of its own, checked, and then the branch moves."""

DOOR = {
    "branch_moves": "done_before Moved",
    "checking": "Command",
    "choosing": "can_foresee chosen foreseen of_here plan",
    "culprits": "words",
    "merge_queue": "merge undo Wish",
    "outcomes": "GOOD Outcome why_not_ready",
    "preflight": "of Preflight",
    "target": "find Target",
    "target_push": "push wants_trailers",
}
"""What others take of this room, by its modules."""
