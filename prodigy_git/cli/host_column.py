"""On which host a session is, for lists that name sessions: said only where a hub has other hosts."""

from typing import Any


class Hosts:
    """What is known of the sessions of other hosts; read once for a list."""

    def __init__(self, store: str) -> None:
        """Read it; without other hosts, that there are none."""
        from prodigy_git.store import other_hosts, other_sessions

        self._store = store
        self._known = other_hosts.known(store)
        some = other_sessions.read(store, None, ended=True) if self._known.several() else []
        self._sessions = {(one.id, one.agent): one.other_host for one in some}

    def of(self, session: str | None, agent: str | None) -> str | None:
        """Return the name of the other host that an agent's session is on; None for this one's.

        The agent tells sessions of two hosts apart that have one name.
        """
        host = self._id(session, agent)
        return None if host is None else self._known.named(host)

    def as_json(self, session: str | None, agent: str | None) -> dict[str, Any]:
        """Return ``host`` and ``host_id``; nothing where there is only one."""
        if not self._known.several():
            return {}
        host = self._id(session, agent)
        return {"host": self._known.named(host), "host_id": host}

    def _id(self, session: str | None, agent: str | None) -> str | None:
        there = self._sessions.get((session or "", agent))
        if there is None or session is None:
            return None
        from prodigy_git.store import briefs

        ours = briefs.read_some(self._store, [session])
        return None if ours and ours[0].agent in (None, agent) else there
