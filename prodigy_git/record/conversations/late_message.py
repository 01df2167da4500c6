"""The process that looks closely at what was said to an agent, or by it, and then records it.

A hook starts it (`speech`): the agent does not wait until the rules are loaded. What was said
comes through a pipe, and stands in no file of ours before.
"""

from __future__ import annotations

import os
import sys

from prodigy_git.record import log, redacting
from prodigy_git.record.conversations import speech, telling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE = 30.0
"""Seconds that each lock is waited for: nobody waits for this process."""


def main(arguments: Sequence[str]) -> None:
    """Read a message from standard input, and record it for the call of the session that it is of.

    ``arguments`` are the store, the repository's key, the session and the call (`call_identity`).
    """
    store, repo, session, call = arguments
    try:
        given = sys.stdin.buffer.read().decode("utf-8", "replace")
        said = speech.cut(redacting.text(store, repo, given, os.environ))
        text = telling.Text(call, said)
        telling.bring_all(store, session, text=text, patience=PATIENCE)
    except (OSError, ValueError) as error:
        if os.path.isdir(store):
            log.report(store, f"session {session}: a message is not kept: {error}")
