"""Sessions, event logs, checkpoints and queues, cleaned by age: into the trash, logs into archives.

Age is what the data says; what belongs to a job that runs stays.
"""

DOOR = {
    "kept_activity": "bring_back",
    "by_age": "carry_out clean_events clean_sessions cleaned_before find Record",
    "job_ages": "CHECKPOINTS",
}
"""What others take of this room, by its modules."""
