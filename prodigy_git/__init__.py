"""The git side of running many coding agents at once."""

# Nothing is imported here: every hook of every commit imports this package.
__version__ = "0.1.0"
