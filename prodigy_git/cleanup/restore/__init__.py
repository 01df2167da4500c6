"""The way back: from an entry of the trash, else from the salvage, to a worktree that git knows.

What may be refused is refused before anything moves; a restore that is killed can be gone on with.
"""

DOOR = {
    "carrying_out": "resume",
    "restore": "restore Restored",
}
"""What others take of this room, by its modules."""
