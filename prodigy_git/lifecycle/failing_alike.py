"""Noticing that every item fails for the same reason: it is not the items then, but the command."""

from prodigy_git.jobs import signatures
from prodigy_git.lifecycle import stop_requests
from prodigy_git.lifecycle.run import Attempt

EXIT_STATUS = 5
"""That of a `run` that stopped for it."""


class InARow:
    """The failures in a row that are alike, by their signature, whoever had the items."""

    def __init__(self, limit: int | None) -> None:
        """Begin with none; ``limit`` is how many different items it takes, None: none are enough."""
        self.why: str | None = None
        """Once it was enough: what is to be said of it."""
        self._limit = limit
        self._alike: str | None = None
        self._items: set[str] = set()

    def note(self, done: Attempt) -> bool:
        """Take an attempt's end; return whether there have been enough by now."""
        interrupted = done.interrupted is not None or done.error == stop_requests.WORDS
        if self._limit is None or interrupted:
            return self.why is not None  # an interruption says nothing of the command
        failed = done.error is not None and done.state != "completed"
        alike = signatures.of(done.error or "") if failed else None
        if alike is None or alike != self._alike:
            self._items.clear()
        self._alike = alike
        if alike is not None:
            self._items.add(done.item_id)
            if len(self._items) >= self._limit and self.why is None:
                self.why = f"{len(self._items)} items in a row failed alike ({done.error})"
        return self.why is not None
