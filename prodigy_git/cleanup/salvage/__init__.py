"""What only one worktree names, kept in its repository: commits, the index, what is not committed.

Made before anything is removed; a restore has it when the trash has nothing left.
"""
