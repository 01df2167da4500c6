"""The work's way back: which branch is the result of which item, and how it comes where it belongs."""

DOOR: dict[str, str] = {}
"""What others take of this room, by its modules."""
