"""What a command can do while git works for it, which is most of the time that it takes."""

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def done_meanwhile(work: Callable[[], object]) -> Iterator[None]:
    """Have a thread do ``work`` during a ``with``, and wait for both.

    Only what may as well not be done: an `Exception` in ``work`` is dropped. Signals interrupt the
    ``with``, as they would without the thread.
    """

    def quietly() -> None:
        with contextlib.suppress(Exception):
            work()

    thread = threading.Thread(target=quietly)
    thread.start()
    try:
        yield
    finally:
        thread.join()
