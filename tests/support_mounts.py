"""Helpers of the tests that mount: only root may, and not in every container."""

import contextlib
import functools
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@functools.cache
def _allowed() -> bool:
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", folder],
            check=False, capture_output=True,
        )  # fmt: skip
    return done.returncode == 0


def needs_mounts() -> None:
    """Skip the test where nothing can be mounted."""
    try:
        allowed = _allowed()
    except FileNotFoundError:
        allowed = False
    if not allowed:
        pytest.skip("needs root, and a kernel that lets it mount")


@contextlib.contextmanager
def mounted(point: Path, source: Path | None = None, *, size: str | None = None) -> Iterator[None]:
    """Mount ``source`` (a folder or file) at ``point`` until the end; None: an empty filesystem.

    ``size`` is that filesystem's, as mount(8) takes it.
    """
    needs_mounts()
    sized = [] if size is None else ["-o", f"size={size}"]
    what = [*sized, "-t", "tmpfs", "tmpfs"] if source is None else ["--bind", str(source)]
    subprocess.run(["mount", *what, str(point)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(point)], check=False, capture_output=True)
