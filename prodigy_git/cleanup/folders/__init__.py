"""Folders on disk, whatever is in them: walking, comparing, moving, deleting; and what is mounted.

A kill at any moment leaves a folder whole in one place. Nothing here knows of worktrees, trash or git.
"""
