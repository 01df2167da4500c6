"""What a new worktree needs beside what git puts there, so that work can begin at once.

Called while a worktree is made, and by whoever starts a command in one.
"""

DOOR = {
    "background": "end end_interrupted is_of start",
    "checks": "of",
    "copying": "make_removable",
    "environment": "NAMES variables",
    "groups": "end_child signals_held_back",
    "ignored_files": "bring lists Progress",
    "notes": "begin drop exists Note read sessions",
    "plan": "Approve OURS Part Plan Script",
    "ports": "COUNT block kept_when_restored",
    "stages": "Failed run Site site",
    "trust": "how is_trusted revoke trust",
    "what_runs": "blob_of differing plan Unfollowed",
    "which_files": "NAMES",
}
"""What others take of this room, by its modules."""
