"""The one exception that a user is meant to read."""

import errno
import os

_NO_RIGHT = frozenset((errno.EROFS, errno.EACCES, errno.EPERM))


class ProdigyError(Exception):
    """What is wrong and what to do about it, in one line; the command line prints it and exits."""

    code = 1
    """The exit status (docs/reference/exit-codes.md)."""

    @property
    def why(self) -> str:
        """What is wrong, without the advice to try again: for who does so, or goes on without."""
        return str(self).removesuffix(": try again")


class Refused(ProdigyError):
    """The hub does not let us, whenever it is tried: wrong password, no schema, no right."""


class Away(ProdigyError):
    """The hub is not reached now; nothing was done, and it may be tried again."""

    code = 6


class Unsure(Away):
    """The hub was lost before it answered a COMMIT: what it was told is there, or is not.

    Whoever gets this asks it again, by the ids of what was written.
    """


def told(error: Exception) -> str:
    """Return an exception's text, on one line; with its type where nobody foresaw it."""
    foreseen = isinstance(error, (ProdigyError, OSError, ValueError))
    text = " ".join(str(error).split())
    return text if foreseen and text else f"{type(error).__name__}: {text}"


def extra(name: str) -> str:
    """Return in words how what an extra needs is installed; no registry has this package."""
    return (
        f"in a clone of prodigy-git: python3 -m pip install '.[{name}]', "
        f"or pipx install --force '.[{name}]'"
    )


def not_noted(error: BaseException) -> str | None:
    """Return what to say where a reader has no right to write; None for any other error.

    It names no session: whoever looks at many says it once.
    """
    if not isinstance(error, OSError) or error.errno not in _NO_RIGHT:
        return None
    why = os.strerror(error.errno)
    return f"what hooks noted last may be missing: it cannot be recorded from here ({why})"
