"""Which lines an agent wrote: Agent Trace records of commits, and git notes that carry them."""

DOOR = {
    "git_notes": "REF write",
    "records": "FROM of_repository Source",
}
"""What others take of this room, by its modules."""
