"""Where a file has data, and where only holes: a copy of a sparse file takes no more space than it."""

import contextlib
import errno
import os


def data(descriptor: int) -> list[tuple[int, int]]:
    """Return where an open file has data, as (begin, end) in bytes; the rest are holes (lseek(2))."""
    about = os.fstat(descriptor)
    if about.st_blocks * 512 >= about.st_size:
        return [(0, about.st_size)] if about.st_size else []
    # Before they are on the disk, some filesystems show data as a hole.
    with contextlib.suppress(OSError):
        os.fsync(descriptor)
    found: list[tuple[int, int]] = []
    end = 0
    try:
        while end < about.st_size:
            begin = os.lseek(descriptor, end, os.SEEK_DATA)
            end = os.lseek(descriptor, begin, os.SEEK_HOLE)
            found.append((begin, end))
    except OSError as error:
        if error.errno != errno.ENXIO:  # which says that there is only a hole from here on
            return [(0, about.st_size)]
    return found
