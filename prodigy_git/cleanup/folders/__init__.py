"""Folders on disk, whatever is in them: walking, comparing, moving, deleting; and what is mounted.

A kill at any moment leaves a folder whole in one place. Nothing here knows of worktrees, trash or git.
"""

DOOR = {
    "erasing": "allocated erase Freed Left",
    "mounts": "by_device elsewhere folders inside mount_of Namespace own parse points Spot spot",
    "moving": "move move_file overwrite remove settle to_trash",
    "trees": "beyond_link copy walk",
}
"""What others take of this room, by its modules."""
