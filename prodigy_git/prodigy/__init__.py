"""What Prodigy, the workflow runner that shares the store, wrote there: where it lies, what it says.

Everything here only reads, and takes no lock. What is damaged, a link, no file or another user's is
told to ``broken``, and the rest is read. Nothing is imported here, and whoever only lists imports
`found` and `sessions` alone: mostly there is nothing of Prodigy's in a store.
"""

DOOR = {
    "dead_letters": "dead_letters dead_letters_of_job",
    "found": "look",
    "goes_on": "Stander goes_on standers",
    "items": "UNKNOWN RunItem items with_input",
    "runs": "Run agent_states run_of runs state_at",
    "sessions": "ENDED MADE_BY filled worktrees",
    "worktree_states": "worktree_state",
}
"""What others take of this room, by its modules."""
