"""On which host a session is, for lists that name sessions: said only where a hub has other hosts."""

import os
from typing import Any

from prodigy_git import layout


class Hosts:
    """What is known of the sessions of other hosts; read once for a list."""

    def __init__(self, store: str) -> None:
        """Read it; without other hosts, that there are none."""
        from prodigy_git.store import other_hosts, other_sessions

        self._store = store
        self._known = other_hosts.known(store)
        some = other_sessions.read(store, None, ended=True) if self._known.several() else []
        self._sessions = {one.id: one.other_host for one in some}

    def of(self, session: str | None) -> str | None:
        """Return the name of the other host that a session is on; None for one of this host's."""
        host = self._id(session)
        return None if host is None else self._known.named(host)

    def as_json(self, session: str | None) -> dict[str, Any]:
        """Return ``host`` and ``host_id``; nothing where there is only one."""
        if not self._known.several():
            return {}
        host = self._id(session)
        return {"host": self._known.named(host), "host_id": host}

    def _id(self, session: str | None) -> str | None:
        if session is None or os.path.lexists(layout.session(self._store, session)):
            return None
        return self._sessions.get(session)
