"""What a safe name is: session, job, agent and item ids, and the store's repository keys.

Ids come from the command line, the environment, git's configuration and files on disk, and become
file names and parts of ref names. Standard library only: the hooks use this module.
"""

import os

from prodigy_git.errors import ProdigyError

MAX_LENGTH = 128

_FIRST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_REST = _FIRST | frozenset("._-")

# No vowels, and nothing that is easily misread: an id is typed, and should not spell a word.
_ALPHABET = "bcdfghjkmnpqrstvwxz23456789"


class BadName(ProdigyError, ValueError):
    """A name that may not become a file name of the store."""


def is_safe(name: str) -> bool:
    """Whether ``name`` matches ``[A-Za-z0-9][A-Za-z0-9._-]{0,127}`` (DESIGN, section 5)."""
    # Written out without ``re``: importing it costs a hook a millisecond and more.
    return 0 < len(name) <= MAX_LENGTH and name[0] in _FIRST and _REST.issuperset(name)


def checked(name: str, what: str) -> str:
    """Return ``name``, or raise `BadName` with a line that says what ``what`` may contain."""
    if not isinstance(name, str):  # a program's mistake, where ids come from somebody's own data
        raise BadName(f"{what} {name!r:.40} is not a string")
    if not is_safe(name):
        shown = name if len(name) <= 40 else name[:37] + "..."
        raise BadName(
            f"{what} {shown!r} is not a safe name: use letters, digits, '.', '_' and '-', "
            f"a letter or digit first, at most {MAX_LENGTH}"
        )
    return name


def fits_into_ref(name: str) -> bool:
    """Whether a safe name may stand between the strokes of a ref's name (git-check-ref-format(1))."""
    return ".." not in name and not name.endswith((".", ".lock"))


def fresh(prefix: str) -> str:
    """Return ``{prefix}-{8 random characters}``: about 38 bits, from the system's random source."""
    return f"{prefix}-" + "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in os.urandom(8))


def is_made_up(agent: str) -> bool:
    """Whether an agent's id is one that `fresh` made, for a single attempt: nobody is called so."""
    stem, _, rest = agent.partition("-")
    return stem == "agent" and len(rest) == 8 and all(c in _ALPHABET for c in rest)


def repository_stem(folder: str) -> str:
    """Return a safe repository key made from a folder's name, which may hold any character."""
    stem = "".join(c if c in _REST else "-" for c in folder).lstrip("._-")
    return stem[: MAX_LENGTH - 7] or "repository"


def is_text(value: str) -> bool:
    """Whether there is something in a string, and what may be a file's name or be written out.

    JSON can hold what neither may have: a NUL, and half a character (a lone surrogate) that does not
    stand for a byte.
    """
    if value.isascii():
        return bool(value) and "\0" not in value
    try:
        return b"\0" not in value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False


def printable(text: str) -> str:
    """Return ``text`` on one line, without characters that a terminal would act on."""
    return "".join(c if c.isprintable() else "?" for c in text)
