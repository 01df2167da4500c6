"""A small repository that is copied instead of made: git is not asked, and finds nothing changed."""

import hashlib
import os
import shutil
import struct
from pathlib import Path


def copy_repo(source: Path, target: Path) -> None:
    """Copy a repository of which no file but README is checked out, with its index up to date."""
    # Without times: it is made now. Hooks keep their modes.
    shutil.copytree(source, target, copy_function=shutil.copy, symlinks=True)
    _refresh(target / ".git" / "index", target / "README")


def _refresh(index: Path, file: Path) -> None:
    """Write the state of ``file`` into the first entry, as ``git update-index --refresh`` does.

    See gitformat-index(5): ten numbers behind a head of 12 bytes, and a checksum at the end.
    """
    about = file.stat()
    data = bytearray(index.read_bytes()[:-20])
    assert data[:12] == b"DIRC" + struct.pack(">II", 2, 1), data[:12]
    times = (part for at in (about.st_ctime_ns, about.st_mtime_ns) for part in divmod(at, 10**9))
    numbers = (*times, about.st_dev, about.st_ino)
    struct.pack_into(">6I", data, 12, *(number & 0xFFFFFFFF for number in numbers))
    struct.pack_into(">2I", data, 12 + 28, os.getuid(), os.getgid())
    index.write_bytes(data + hashlib.sha1(data).digest())
