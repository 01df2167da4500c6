"""Removing what is done with, so that nothing is lost and every removal can be undone.

Where to look:

- what would be lost with a worktree, and who is in it: `evidence` (the account, what follows from it),
  `account` (gathering it), `looking` (at one worktree), `lone` (commits no ref reaches), `nested`
  (repositories inside), `mounts`, `presence` (processes), `heartbeat` (signs of life)
- which worktrees go, and whether: `worktrees`, `verdicts`
- an entry of the trash: `entry` (its document), `removal` (moving a worktree there, and going on with
  what a kill interrupted), `intent`, `moving`, `settling` (the steps of it), `salvage`,
  `named`, `uncommitted`, `apart` (keeping what only the worktree names, out of every ref's reach),
  `withdrawing` (what earlier versions left within it)
- what of either has stopped half-way: `interrupted`
- the way back: `restore` (whether, and what), `restoring` (carrying it out), `heads`, `missing`,
  `returned` (what may have changed meanwhile), `from_salvage` (when the trash has it no more)
- the end of an entry: `expiry` (which, when), `emptying`, `erasing`, `stuck` (what cannot be deleted)
- a full disk: `space` (what to say), `store/reserve.py`
- what has drifted apart: `drift` (mending), `orphans`, `linking` and `leftovers` (finding), `holding`
  (whether a half of a worktree may be moved), `halves` (bringing two together)
- sessions, logs, checkpoints and queues by age: `records`, `job_records`, `archive`
"""
