"""What would be lost, or disturbed, if a worktree vanished now; and whether it may go.

Looks, and changes nothing. Many at once: `gathering`; what follows from what is seen: `evidence`.
"""
