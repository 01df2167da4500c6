"""The results as branches and requests on a forge."""

DOOR = {
    "publishing": "publish Published",
}
"""What others take of this room, by its modules."""
