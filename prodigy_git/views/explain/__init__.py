"""The story of a commit, a work item, a session or an agent."""

DOOR = {
    "lookup": "explain",
    "program_stretches": "TYPE in_words",
}
"""What others take of this room, by its modules."""
