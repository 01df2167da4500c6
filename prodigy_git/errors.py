"""The one exception that a user is meant to read."""


class ProdigyError(Exception):
    """What is wrong and what to do about it, in one line; the command line prints it and exits 1."""
