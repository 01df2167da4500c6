"""What many sessions make together: a job, its state, its checkpoints, its dead letter queue."""
