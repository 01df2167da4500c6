"""The jobs as traces and metrics, and their way to an OTLP endpoint."""

DOOR = {
    "otlp": "Sender Target",
    "pushing": "follow once",
    "stories": "read spans_of Wish",
    "story": "Story",
}
"""What others take of this room, by its modules."""
