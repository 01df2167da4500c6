"""The terminal that the screen is on, and how it is left when that goes away."""

import os
import select
import sys
import threading

INTERRUPTED = 130
"""The exit status after a signal, and where the terminal went away."""


def problem() -> str | None:
    """Return in words why there can be no full screen here; None where there can."""
    for stream in (sys.__stdin__, sys.__stdout__, sys.__stderr__):  # textual draws on stderr
        if stream is None or not stream.isatty():
            return "needs a terminal: 'prodigy-git status' prints the same anywhere"
    if os.environ.get("TERM", "dumb") == "dumb":
        return "needs a terminal that can do more than TERM=dumb: see 'prodigy-git status'"
    return None


def leave_when_gone(descriptor: int) -> None:
    """End this process, from a thread, once the other end of its terminal is closed."""
    threading.Thread(target=_leave, args=(descriptor,), name="terminal", daemon=True).start()


def _leave(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, 0)  # hang-ups are told in any case
    poll.poll()
    # At once: there is nothing to put back, and textual, whose writer has died of it, would wait for
    # that for ever.
    os._exit(INTERRUPTED)
