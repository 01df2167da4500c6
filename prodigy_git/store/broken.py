"""Who is told of what cannot be read. A module of its own: a listing has no use for what reads logs."""

from collections.abc import Callable

Broken = Callable[[str], None]
"""Called with one line of text for everything that could not be read."""
