"""Sessions, event logs, checkpoints and queues, cleaned by age: into the trash, logs into archives.

Age is what the data says; what belongs to a job that runs stays.
"""
