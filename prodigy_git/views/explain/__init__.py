"""The story of a commit, a work item, a session or an agent."""

DOOR = {
    "lookup": "explain",
}
"""What others take of this room, by its modules."""
