"""What merging would come to, before anything is merged: which results meet, and in which order."""

DOOR = {
    "forecast": "Candidate Files Forecast Standing",
    "foresee": "foresee",
    "three_way": "OLDEST",
}
"""What others take of this room, by its modules."""
