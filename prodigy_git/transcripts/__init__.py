"""What agent programs wrote of their sessions: transcripts, and the tokens that these tell of.

Foreign files, which their programs go on writing: nothing here changes one, waits for one, or believes
one. A line that is damaged or too long is passed over and told to ``broken``, once for a file.
"""

DOOR = {
    "in_words": "day lines",
    "keeping": "keep",
    "of_sessions": "of_session",
    "plain": "Entry decoded",
    "token_sums": "of_files",
    "spent": "of_job of_repository of_sessions_named usage words",
    "transcript_file": "added entries Place",
}
"""What others take of this room, by its modules."""
