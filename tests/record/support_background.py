"""A world whose commits are recorded in the background, and a gate before which a recorder waits."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support_record import (
    PACKAGE,
    Templates,
    World,
    drain_now,
    hookfiles,
    place,
    start_hook,
    write_hooks,
)

from prodigy_git import layout
from prodigy_git.record import underway

PATIENCE = 60.0
LONG_AGO = 1_600_000_000
# As the interpreter that the hooks start: a recorder's own code comes only when the gate is opened.
_GATED = """#!/bin/sh
case "$*" in
*record.recorder*) echo >>'{folder}/woken'; read -r _ <'{folder}/gate' ;;
esac
exec {before} '{python}' "$@"
"""


def age_configuration(home: Path, top: Path) -> None:
    """Let git's configuration be old: what has only just been written, a hook does not rely on."""
    common = subprocess.run(
        ["git", "rev-parse", "--path-format=absolute", "--git-common-dir"],
        cwd=top, check=True, capture_output=True, text=True,
    ).stdout.rstrip("\n")  # fmt: skip
    for path in (home / ".gitconfig", Path(common) / "config"):
        os.utime(path, (LONG_AGO, LONG_AGO))


def wait_until(true: Callable[[], object], what: str) -> None:
    """Wait for what another process is about to do."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} seconds: {what}"
        time.sleep(0.002)


class Background:
    """A world, and its recorders."""

    def __init__(self, world: World, home: Path) -> None:
        self.world = world
        self.top = world.top
        self.store = world.store
        self.home = home
        self.folder = home.parent

    def leave(self, top: Path | None = None) -> None:
        """Have a hook that git waits for see that all is well: from here on none is waited for."""
        where = top or self.top
        (Path(place(where).private) / layout.WAKE).unlink(missing_ok=True)
        age_configuration(self.home, where)
        done = start_hook(where, PRODIGY_HOME=str(self.store))
        assert (done.returncode, done.stderr) == (0, b"")

    def close_gate(self, before: str = "") -> None:
        """Have recorders wait before their first act; ``before`` is a command that starts Python."""
        gate = self.folder / "gate"
        if not gate.exists():
            os.mkfifo(gate)
        python = self.folder / "python"
        python.write_text(_GATED.format(folder=self.folder, python=sys.executable, before=before))
        python.chmod(0o755)
        for hook in hookfiles.HOOKS:
            runtime = hookfiles.Runtime(str(python), PACKAGE, 1)
            (self.folder / "hooks" / hook).write_bytes(hookfiles.render(hook, [], runtime))

    def open_gate(self) -> None:
        """Let every recorder go on, and wait until they are through."""
        wait_until(lambda: not self._let_in() and not self.alive(), "the end of the recorders")

    def let_in(self) -> None:
        """Let the recorder go on that is before the gate, or about to come there."""
        wait_until(self._let_in, "a recorder before the gate")

    def _let_in(self) -> bool:
        try:
            descriptor = os.open(self.folder / "gate", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False  # nobody is there
        os.write(descriptor, b"\n" * 100)
        os.close(descriptor)
        return True

    def alive(self) -> list[int]:
        """Return the process ids of the recorders under way."""
        store = str(self.store)
        return [pid for name, pid in underway.marks(store) if underway.is_alive(store, name, pid)]

    def end(self) -> None:
        """Leave no process behind."""
        for pid in self.alive():
            os.kill(pid, signal.SIGKILL)

    def woken(self) -> int:
        """Return how many recorders were woken since the gate was closed."""
        path = self.folder / "woken"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def pids(self) -> list[int]:
        """Return the process ids of the recorders that have left a mark."""
        return [pid for _, pid in underway.marks(str(self.store))]

    def through(self) -> None:
        """Wait until no recorder is under way."""
        assert underway.wait(str(self.store), PATIENCE) == []

    def drained(self) -> None:
        """Wait for the recorders, then record what is still missing: nothing, mostly."""
        self.through()
        drain_now(self.top)


def background(
    kind: str, home: Path, folder: Path, templates: Templates, patch: pytest.MonkeyPatch
) -> Background:
    """Return a world of a kind, in which nothing is waited for any more."""
    if shutil.which("setsid") is None or not os.path.isdir("/proc/self/fd"):
        pytest.skip("NOT TESTED: setsid or /proc is missing")
    write_hooks(home)
    it = Background(templates.copy(kind, folder), home)
    patch.delenv("PRODIGY_RECORD", raising=False)
    it.leave()
    return it
