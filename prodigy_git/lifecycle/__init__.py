"""What happens to one session: it begins with a worktree, and ends."""
