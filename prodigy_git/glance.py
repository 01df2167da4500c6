"""A glance at a job's index: a few rows, without a lock, without the libraries that the rest needs.

For a prompt and for shell completion, which have milliseconds. They see the job as it was at the last
step that somebody took (a claim, an end): bringing the index up to the log is for those who ask more.
Standard library only.
"""

from __future__ import annotations

import os
import stat

from prodigy_git.record import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

VERSION = 6
"""Of the index's tables: `jobs.tables` makes them, and the prompt reads them without it."""
IN_PROGRESS = 1
"""The number of that state in the index."""
_JOURNAL_MAGIC = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
_ATTEMPTS = 3
_STEPS = 1_000_000
"""How many instructions SQLite may take for a question: a damaged file must not keep a prompt."""


def generation(path: str) -> bytes | None:
    """Return what is another after each change of an index; None while it is being changed.

    SQLite's file format says how to know: a transaction begins its journal with a magic number before
    it writes a page, counts up in the header (bytes 24 to 27), and at its end clears the journal's
    head. So a count that is the same before and after, without a journal, means that nothing changed.
    Raises `OSError`.
    """
    try:
        with files.stream(f"{path}-journal") as journal:
            if journal.read(8) == _JOURNAL_MAGIC:
                return None
    except FileNotFoundError:
        pass
    with files.stream(path) as stream:
        return stream.read(28)[24:]


def rows(path: str, question: str, values: Sequence[Any] = ()) -> list[Any]:
    """Return the rows that an index answers a SELECT with; none where it is missing or damaged.

    ``immutable`` makes SQLite take no lock: a reader's would make whoever commits wait.
    """
    try:
        # The module itself: the package around it brings datetime, which takes longer than the answer.
        import _sqlite3 as sqlite3
    except ImportError:
        import sqlite3  # type: ignore[no-redef]

    for _ in range(_ATTEMPTS):
        try:
            if not is_file(path) or (before := generation(path)) is None:
                continue
            connection = sqlite3.connect(f"file:{_quoted(path)}?mode=ro&immutable=1", uri=True)
            try:
                connection.set_progress_handler(lambda: 1, _STEPS)
                found = connection.execute(question, values).fetchall()
            finally:
                connection.close()
            if generation(path) == before:
                return found
        except (OSError, ValueError, OverflowError, MemoryError):
            return []
        except sqlite3.Error:
            continue  # perhaps a page of one state and one of the next
    return []


def is_file(path: str) -> bool:
    """Whether ``path`` is a plain file: a pipe of that name would never end."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _quoted(path: str) -> str:
    for character in "%?#":  # what ends the path of a URI, and the sign that quotes it
        path = path.replace(character, f"%{ord(character):02x}")
    return path
