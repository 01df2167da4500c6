"""Views of what the agents do: plain data, from what is there; nothing is locked, nothing written."""
