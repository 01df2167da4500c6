"""What the known events are made of: numbers, commits, lengths of time, and what any event may have."""

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0)]
Sha = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{7,64}$")]


class Duration(msgspec.Struct):
    """A length of time, as Rust's serde writes one."""

    secs: Count
    nanos: Annotated[int, msgspec.Meta(ge=0, lt=1_000_000_000)] = 0


class Rewrite(msgspec.Struct):
    """A commit and what replaced it."""

    old: Sha
    new: Sha


class KnownEvent(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What any event may have."""

    session_id: str | None = None
    agent_id: str | None = None
    item_id: str | None = None
    job_id: str | None = None
    correlation_id: str | None = None
    attempt: Count | None = None
