"""Removing what is done with, so that nothing is lost and every removal can be undone."""
