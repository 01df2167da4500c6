"""What only one worktree names, kept in its repository: commits, the index, what is not committed.

Made before anything is removed; a restore has it when the trash has nothing left.
"""

DOOR = {
    "earlier_versions": "withdraw within_reach",
    "named_objects": "sources",
    "salvage": (
        "anchor anchor_branch Anchors complete delete moment_of names_of ref_name TITLE update_refs"
    ),
    "uncommitted": "ask",
    "unpublished": "bring_back command holding let_go read view",
}
"""What others take of this room, by its modules."""
