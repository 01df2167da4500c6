"""The events of a run: each record of Prodigy's ``EventRecord``, as the project's own events."""

import os
from collections.abc import Iterator

from prodigy_git.model.event import Event
from prodigy_git.prodigy import reading
from prodigy_git.prodigy.reading import Broken
from prodigy_git.prodigy.runs import Run


def events(store: str, run: Run, *, broken: Broken = reading.quiet) -> Iterator[Event]:
    """Yield a run's events by time; their fields, and the nanoseconds of their times, as they stand.

    Types have our names (``d_l_q_item_added`` is ``DLQItemAdded``). What is no event is reported with
    its file and line.
    """
    from prodigy_git.store import stream  # whoever only lists sessions comes by here, too

    return stream.merge(log_files(store, run.events, broken), broken)


def log_files(store: str, folder: str, broken: Broken) -> list[str]:
    """Return the log files in a folder, sorted by name; what is no file there is reported."""
    if reading.behind_link(store, folder, broken):
        return []
    from prodigy_git.store.events import is_log

    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_log(entry.name):
                    if entry.is_file(follow_symlinks=False):
                        found.append(entry.path)
                    else:
                        broken(f"{entry.path} is not a file: passed over")
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        broken(reading.told(folder, error))
    return sorted(found)
