"""What the tests on shared jobs begin with."""

import pytest
from support_shared import Sharer, made

from prodigy_git.hub import connection, shared_step, ways


@pytest.fixture
def sharers(new_host, postgres, hub_url):
    """``sharers("a", "b")``: hosts of a hub, each with a wire of its own."""
    made(hub_url)

    def make(*names):
        found = []
        for name in names:
            host = new_host(name, to=postgres.port)
            url = hub_url.replace(f":{postgres.port}/", f":{host.wire.port}/")
            host.git("config", "prodigy.hub", url)
            found.append(Sharer(host))
        return found

    yield make
    shared_step._not_reached.clear()
    shared_step._addresses.clear()
    ways.forget()
    kept = getattr(connection._kept, "connection", None)
    if kept is not None:
        kept.close()
