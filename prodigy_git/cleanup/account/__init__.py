"""What would be lost, or disturbed, if a worktree vanished now; and whether it may go.

Looks, and changes nothing. Many at once: `gathering`; what follows from what is seen: `evidence`.
"""

DOOR = {
    "evidence": "Evidence forbids left_out remarks Subject touched",
    "gathering": "gather",
    "presence": "asked_by inside recorded scan",
    "verdicts": "describe Options verdict",
}
"""What others take of this room, by its modules."""
