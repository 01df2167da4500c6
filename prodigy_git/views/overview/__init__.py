"""All agents at one look: who there is, how it stands with each, what to do about it."""
