"""All agents at one look: who there is, how it stands with each, what to do about it."""

DOOR = {
    "advice": "Advice of",
    "agents": "Agent by_trouble judge_again",
    "closeup": "bounded diff history log summary",
    "last_seen": "latest names_of",
    "memory": "Memory",
    "repositories": "here of_store Repository Wish",
    "words": "against_base age bar changes items note progress status",
}
"""What others take of this room, by its modules."""
