"""Which events are meant: the one set of filters that every command on events takes."""

import re
from dataclasses import dataclass

from prodigy_git.model.event import Event

Names = frozenset[str]


@dataclass(frozen=True)
class Selection:
    """Events of some types, agents, sessions, items, of some stretch of time; empty means any.

    ``types`` are in PascalCase. ``since`` and ``until`` are in microseconds since 1970, both included;
    an event without a readable time is in no stretch. ``text`` is what the event's line has to hold
    as it stands, as a commit's id.
    """

    types: Names = frozenset()
    agents: Names = frozenset()
    sessions: Names = frozenset()
    items: Names = frozenset()
    since: int | None = None
    until: int | None = None
    text: str = ""

    def fits(self, event: Event) -> bool:
        """Whether an event is meant; of ``text`` the caller has to see itself."""
        if self.types and event.type not in self.types:
            return False
        if self.agents and event.agent_id not in self.agents:
            return False
        if self.sessions and event.session_id not in self.sessions:
            return False
        if self.items and event.item_id not in self.items:
            return False
        if self.since is None and self.until is None:
            return True
        moment = event.moment
        return (
            moment is not None
            and (self.since is None or moment >= self.since)
            and (self.until is None or moment <= self.until)
        )

    def needle(self) -> bytes | None:
        """Return bytes that the line of every event that is meant holds, unless it is escaped there.

        The rarest there are: of ids rather than of types. None where there are none to speak of.
        """
        if len(self.text) > _SHORT and _is_plain(self.text):
            return self.text.encode("ascii")
        for names in (self.items, self.sessions, self.agents):
            if len(names) == 1:
                (name,) = names
                if len(name) > _SHORT and _is_plain(name):
                    return name.encode("ascii")
        return _of_type(next(iter(self.types))) if len(self.types) == 1 else None


_SHORT = 2


def _is_plain(name: str) -> bool:
    # What JSON writes as it is. A slash may be written as \/, a quote has to be escaped.
    return name.isascii() and name.isprintable() and not set(name) & set('"\\/')


def _of_type(kind: str) -> bytes | None:
    """Return what all the spellings of a type that `pascal_case` takes have in common.

    They differ in where capitals and underscores are: the longest run of small letters is the same.
    """
    if not (kind.isascii() and kind.isalnum()):
        return None
    longest = max(re.findall("[a-z]+", kind), key=len, default="")
    return longest.encode("ascii") if len(longest) > _SHORT else None
