"""Which branch is the result of which item, and what it changes."""

DOOR = {
    "ancestry": "Ancestry of",
    "changes": "as_json Change of OfItem",
    "of_other_hosts": "bring",
    "results": "named of_index of_job Result",
}
"""What others take of this room, by its modules."""
