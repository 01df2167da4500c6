"""The hot path: what a git hook runs. Standard library only, and of that no more than needed.

A hook is only a wake-up. `drain.drain` reads a worktree's journal (git's own HEAD reflog) from the
cursor to its end, appends one event per new commit to the job's log and moves the cursor. It is the
one implementation of draining a journal, and `log.append` the one of appending to a log; the rest
of the program calls them too, while nothing here imports from the rest.

Modules here avoid `typing`, `json`, `re`, `subprocess`, `hashlib`, `datetime`, `contextlib` and
`collections` on the usual way: together these cost more than all the work of a commit.
"""
