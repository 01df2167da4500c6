"""All agents at one look: who there is, how it stands with each, what to do about it."""

DOOR = {
    "advice": "Advice of",
    "agents": "Agent by_trouble judge_again",
    "closeup": "bounded diff history log summary",
    "last_seen": "latest names_of",
    "memory": "Memory",
    "program_states": "Doing of_sessions",
    "repositories": "here of_store Repository Wish",
    "words": "FOR against_base age bar changes does host_of hosts hosts_of items note progress "
    "same_files status waits",
}
"""What others take of this room, by its modules."""
