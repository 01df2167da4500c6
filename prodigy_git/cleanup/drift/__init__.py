"""Where store and git have drifted apart: finding it, and mending it in the way that destroys least.

`comparing` finds and changes nothing; `mending` mends; what may be moved, `holding_back` says.
"""

DOOR = {
    "mending": "find Finding repair",
}
"""What others take of this room, by its modules."""
