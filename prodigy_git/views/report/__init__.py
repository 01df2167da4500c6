"""The report of a job: one value with all there is to say, and one HTML page that shows it."""

DOOR = {
    "gather": "newest_job of_job",
    "page": "MARK render",
}
"""What others take of this room, by its modules."""
