"""Removing what is done with, so that nothing is lost and every removal can be undone.

The rooms, from the ground up; each imports only what is below it:

- `folders`: moving, comparing and deleting folders of any contents; what is mounted
- `account`: what would be lost with a worktree, who is in it, and whether it may go
- `salvage`: what only a worktree names, kept in its repository
- `trash`: an entry for each removed worktree, from the intent to remove it until it is emptied
- `records`: sessions, logs, checkpoints and queues by age
- `restore`: the way back
- `drift`: where store and git have drifted apart
- `interrupted`: going on with what a kill has interrupted, on the way to the trash or back
- `teardown`: what comes before a worktree that was set up is removed
- `subjects`: which worktrees there are to be cleaned
- `worktrees`: which of them go, several at once; one that fails stops no other
"""
