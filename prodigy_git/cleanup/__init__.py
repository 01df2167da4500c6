"""Removing what is done with, so that nothing is lost and every removal can be undone.

Where to look:

- what would be lost with a worktree, and who is in it: `evidence` (the account, what follows from it),
  `account` (gathering it), `lone` (commits no ref reaches), `nested` (repositories inside), `presence`
- which worktrees go, and whether: `worktrees`
- an entry of the trash: `entry` (its document), `removal` (moving a worktree there, and going on with
  what a kill interrupted), `intent`, `moving`, `settling` (the steps of it), `salvage` and
  `uncommitted` (the ref that holds what only the worktree names)
- the way back: `restore` (whether, and what), `restoring` (carrying it out), `heads`, `missing`,
  `returned` (what may have changed meanwhile), `from_salvage` (when the trash has it no more)
- the end of an entry: `expiry` (which, when), `emptying`, `erasing`, `stuck` (what cannot be deleted)
- a full disk: `space` (what to say), `store/reserve.py`
- what has drifted apart: `drift` (mending), `orphans` and `leftovers` (finding)
- sessions, logs, checkpoints and queues by age: `records`, `job_records`, `archive`
"""
