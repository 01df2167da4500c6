"""The work's way back: which branch is the result of which item, and how it comes where it belongs."""

DOOR = {
    "branch_moves": "Moved",
    "changes": "Change OfItem as_json",
    "checking": "Command",
    "choosing": "can_foresee chosen foreseen of_here plan",
    "culprits": "words",
    "merge_queue": "Wish merge undo",
    "of_items": "changed of_job place_of",
    "outcomes": "GOOD Outcome",
    "preflight": "of Preflight",
    "publishing": "Published publish",
    "results": "Result named",
    "spent_branches": "delete find Spent",
    "target": "Target find",
    "target_push": "push wants_trailers",
}
"""What others take of this room, by its modules."""
