"""A way to the hub for tests in this process."""

from collections.abc import Iterator
from contextlib import contextmanager

from prodigy_git.hub import address, connection
from prodigy_git.hub.connection import Connection

PATIENCE = 60.0


@contextmanager
def way(url: str, patience: float = PATIENCE) -> Iterator[Connection]:
    """Give a connection of its own to the hub at ``url``."""
    made = Connection(address.parsed(url, "URL"))
    made.ready(patience)
    try:
        yield made
    finally:
        made.close()


def rows(url: str, *commands: str) -> list[tuple]:
    """Tell the hub something, in one transaction; return what the last command gives."""
    with way(url) as there, connection.transaction(there, within=PATIENCE) as tx:
        for command in commands:
            done = tx.execute(command)
        return done.fetchall() if done.description else []
