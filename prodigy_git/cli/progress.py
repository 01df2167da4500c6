"""A bar for what takes long, where somebody watches."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prodigy_git.cli import output

if TYPE_CHECKING:
    from rich.progress import Progress

_BAR_AFTER = 2.0  # seconds


@contextlib.contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Give a function that takes how much is done, of how much, and draws a bar, or None.

    The bar shows only when it takes longer than two seconds, and goes when all is done: what comes then
    may ask something, or print. More to be done brings it back.
    """
    if not sys.stderr.isatty() or output.is_plain():
        yield None
        return
    begun = time.monotonic()
    bars: list[Progress] = []
    drawing = threading.Lock()

    def progress(done: int, total: int) -> None:
        if time.monotonic() - begun <= _BAR_AFTER:
            return
        with drawing:
            if not bars:
                from rich.console import Console
                from rich.progress import Progress

                bars.append(Progress(console=Console(stderr=True), transient=True))
                bars[0].add_task(what)
            bar = bars[0]
            bar.update(bar.task_ids[0], completed=done, total=total)
            if done >= total:
                bar.stop()
            elif not bar.live.is_started:
                bar.start()

    try:
        yield progress
    finally:
        for bar in bars:
            bar.stop()
