"""The story of a commit, a work item, a session or an agent."""
