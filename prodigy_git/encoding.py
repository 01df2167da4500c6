"""Text outside of the program: paths and arguments are UTF-8, and no output fails for a character.

git, the hooks and the store have paths in UTF-8, or as bytes that are not. In a locale with another
encoding Python would read and write them otherwise than the hooks do, so that one and the same store
had two names. Standard library only: a prompt comes through here.
"""

from __future__ import annotations

import os
import sys

_TERMINAL = "prodigy_git_terminal"
"""The interpreter's option (``-X``) that tells the program, started again, what the terminal takes."""


def valid(text: str) -> str:
    """Return ``text`` with what no UTF-8 has a form for made readable.

    A byte of the command line that was not UTF-8 becomes ``\\xNN``, half a UTF-16 pair U+FFFD: every
    reader of JSON takes that, and it can be printed.
    """
    if text.isascii():
        return text
    return "".join(
        f"\\x{ord(c) - 0xDC00:02x}" if 0xDC80 <= ord(c) <= 0xDCFF
        else "\ufffd" if 0xD800 <= ord(c) <= 0xDFFF
        else c
        for c in text
    )  # fmt: skip


def settle() -> None:
    """See to it that this process works with UTF-8, and that it can print anything.

    Where the locale is neither UTF-8 nor C, the process starts itself anew in Python's UTF-8 mode,
    which can be had at an interpreter's start only.
    """
    if not sys.flags.utf8_mode and sys.getfilesystemencoding() != "utf-8":
        _start_again()
    terminal = sys._xoptions.get(_TERMINAL)
    for stream in (sys.stdout, sys.stderr):
        # A caller who has put something else in place of a stream knows what it takes.
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding=terminal or None, errors="backslashreplace")
    if sys.stdin is not None and hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(encoding=terminal or None, errors="replace")


def _start_again() -> None:
    """Replace this process by one in UTF-8 mode; go on as it is where that cannot be done."""
    if not sys.executable or len(sys.orig_argv) < 2:
        return
    own = ["-X", "utf8"]
    if sys.stdout is not None:
        own += ["-X", f"{_TERMINAL}={sys.stdout.encoding}"]
    try:
        os.execv(sys.executable, [sys.executable, *own, *sys.orig_argv[1:]])
    except OSError:  # too many arguments, say
        return  # output is safe all the same
