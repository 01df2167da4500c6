"""What was said to an agent and by it: cut, and only what cannot be a secret is written at once.

What is suspicious goes to a process in the background that has the rules (`late_message`), through a
pipe: in no file of ours.
"""

from __future__ import annotations

import os

from prodigy_git.record import detached, gitdir, log, suspicion
from prodigy_git.record.conversations import call_identity
from prodigy_git.record.conversations.telling import Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prodigy_git.record.conversations.normal_form import Heard
    from prodigy_git.record.gitdir import Place

WORKER = "prodigy_git.record.conversations.late_message"
LIMIT = 10_000
"""How many characters of a message are kept."""
_LOOKED_AT = 16_000
"""How many are looked at, so that no secret is halved by the cut; in UTF-8 they fit into a pipe."""
_SHORTEST = 8
_SECRETS = ("KEY", "TOKEN", "SECRET", "PASS", "PWD", "AUTH", "CREDENTIAL", "PAT")
"""What is in the names of variables whose values the rules take out, and of some more."""
_OFF = ("off", "false", "no", "0")


def cut(text: str) -> str:
    """Return a text as a message has it: not longer than `LIMIT`."""
    return text if len(text) <= LIMIT else f"{text[:LIMIT]}…"


def of(heard: Heard, store: str, repo: str, session: str, place: Place | None) -> Text | None:
    """Return what an event says as the log may have it; None: a process in the background writes it.

    By git config ``prodigy.messages`` and ``prodigy.redact``, as they are for the worktree at
    ``place``; where that is gone, nothing is kept. Raises `OSError` where git cannot be asked.
    """
    call = call_identity.call_of(heard)
    if not heard.text or place is None:
        return Text(call, None)
    keep, raw = _settings(place)
    if not keep:
        return Text(call, None)
    text = heard.text[:_LOOKED_AT]
    if raw or not (suspicion.suspicious(text) or _has_value_of_environment(text)):
        return Text(call, cut(text))
    if heard.kind == "waiting":
        return Text(call, None)  # that it waits is what matters, and at once
    return None if later(Text(call, text), store, repo, session) else Text(call, None)


def later(text: Text, store: str, repo: str, session: str) -> bool:
    """Have a process in the background record what was said; False where it cannot be started."""
    given = (text.said or "").encode("utf-8", "replace")
    try:
        detached.start(WORKER, [store, repo, session, text.call], given)
    except OSError as error:
        log.report(store, f"session {session}: a message is not kept: {error}")
        return False
    return True


def _settings(place: Place) -> tuple[bool, bool]:
    """Return whether what is said is to be kept, and whether without a look for secrets."""
    _, out = gitdir.ask(place, "config", "--get-regexp", r"^prodigy\.(messages|redact)$")
    said = {}
    for line in out.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition(" ")
        said[name.lower()] = value.strip().lower()
    return said.get("prodigy.messages") not in _OFF, said.get("prodigy.redact") in _OFF


def _has_value_of_environment(text: str) -> bool:
    """Whether a value that the environment keeps under a secret's name is in a text."""
    return any(
        len(value) >= _SHORTEST and value in text and any(one in name.upper() for one in _SECRETS)
        for name, value in os.environ.items()
    )
