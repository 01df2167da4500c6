"""Starting `run` as a process of its own, on a job ``j`` with items."""

import json
import subprocess
import sys
import time

import pytest
from support_cli import environment, ok
from support_forkserver import Forked


def started(repo, tmp_path, *items, **options):
    """Open the job ``j`` with items; return where."""
    path = tmp_path / "items"
    path.write_text("".join(json.dumps(one) + "\n" for one in items or ("first",)))
    more = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    ok("job", "start", "j", "--items", path, *more, cwd=repo)
    return repo


def run(cwd, *arguments, **settings):
    """Start `run`, without a terminal."""
    how = {
        "cwd": cwd, "env": environment(), "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
    }  # fmt: skip
    return Forked(
        [sys.executable, "-m", "prodigy_git", "run", "--job", "j", *map(str, arguments)],
        **(how | settings),
    )


def done(cwd, *arguments, **settings):
    """Run it to its end; return exit status, stdout, stderr."""
    child = run(cwd, *arguments, **settings)
    out, err = child.communicate(timeout=120)
    assert b"Traceback" not in (err or b""), err
    assert b"internal error" not in (err or b""), err
    return child.returncode, out, (err or b"").decode()


def shown(cwd):
    return ok("job", "show", "j", "--json", cwd=cwd).json


def until(true):
    """Wait for what another process does; a test that waits in vain has failed."""
    for _ in range(6000):
        if true():
            return
        time.sleep(0.01)
    pytest.fail("in vain")
