"""What we ask git: repository identity, worktrees, integration checks, the hooks directory."""
