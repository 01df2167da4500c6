"""What a new worktree needs beside what git puts there, so that work can begin at once.

Called while a worktree is made, and by whoever starts a command in one.
"""

DOOR = {
    "environment": "NAMES variables",
    "ports": "COUNT block kept_when_restored",
}
"""What others take of this room, by its modules."""
