"""The trash emptied with a fault at each system call that changes something: killed there, or failing.

strace injects the fault. Afterwards an entry is whole in the trash, or it is ``emptying`` and not
restored, or it is ``emptied``; its document is never lost, and the next try ends it.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support_cli import call, environment, ok, snapshot
from support_faults import KILL, STOP, calls_on, can_trace, injected, run_traced, strace
from support_trash import make, salvage, state

from prodigy_git.cleanup import interrupted
from prodigy_git.cleanup.trash import emptying, entry

FAILURES = {
    "rename": ("EACCES", "EIO", "ENOSPC", "EROFS"),
    "unlinkat": ("EACCES", "EIO", "EROFS"),
    "unlink": ("EACCES", "EIO"),
    "rmdir": ("EIO",),
    "openat": ("EACCES", "ENOSPC", "EMFILE"),
    "write": ("ENOSPC", "EIO"),
    "fsync": ("EIO",),
    "flock": ("ENOLCK",),
}
FAULTS = [(name, f"error={error}") for name, some in FAILURES.items() for error in some] + [
    (name, KILL) for name in FAILURES if name not in ("openat", "fsync", "flock")
]

EMPTY = f"""
import sys
from prodigy_git.cleanup.trash import emptying
from prodigy_git.cleanup.trash import entry
{STOP}
found = [one for one in entry.entries(sys.argv[1], print) if one.session == "w1"]
for one in emptying.empty_now(found, lambda text: print("broken", text)):
    print("left" if one.left else "gone", one.left)
"""

pytestmark = pytest.mark.skipif(
    not can_trace(), reason="NOT TESTED: faults while emptying; strace or ptrace is missing"
)


@pytest.fixture
def empty(store, repo):
    (store / "locks").mkdir(parents=True, exist_ok=True)

    def run(*traced: str) -> subprocess.CompletedProcess[str]:
        done = run_traced(["-c", EMPTY, str(store)], traced, env=environment(), cwd=repo)
        texts = (done.stdout.decode(), done.stderr.decode())
        return subprocess.CompletedProcess(done.args, done.returncode, *texts)

    return run


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_each_call(name, fault, store, repo, git, empty, tmp_path, monkeypatch):
    monkeypatch.setattr(emptying, "start", lambda store: None)
    other = make(store, repo, git, "other")
    make(store, repo, git)
    output = tmp_path / "strace.txt"
    done = empty(*strace(name, output=str(output)))
    assert (done.returncode, done.stderr) == (0, ""), done
    points = calls_on(output, name, [str(store)])
    if name not in ("unlink", "rmdir"):
        assert points, f"emptying makes no call of {name}: is the list of calls out of date?"
    whole = snapshot(Path(other.path))
    ends = set()
    for at in points:
        shutil.rmtree(store / "trash" / "repo" / "w1", ignore_errors=True)
        made = make(store, repo, git)
        before = snapshot(Path(made.folder), Path(made.git))
        done = empty(*injected(name, f"{fault}:when={at}"))
        assert "Traceback" not in done.stderr, (at, done.stderr)
        if fault != KILL:
            assert done.returncode == 0
        # The document is there, and says what is so.
        (now,) = (one for one in entry.entries(str(store), pytest.fail) if one.session == "w1")
        ends.add(now.state)
        if now.state == "trashed":
            assert snapshot(Path(made.folder), Path(made.git)) == before, at
            assert "gone" not in done.stdout
        elif now.state == "emptied":
            assert not os.path.lexists(made.folder)
            assert not done.stdout.startswith("left")
        else:
            # Perhaps half of it is gone: it is not brought back as if it were whole.
            kept = snapshot(Path(made.path))
            assert call("worktree", "restore", "w1", cwd=repo).code == 1
            assert snapshot(Path(made.path)).keys() == kept.keys(), at
            if fault != KILL and os.path.lexists(made.folder):
                assert "gone" not in done.stdout
        assert made.salvage_ref in salvage(git, repo)
        assert interrupted.take_up(str(store), "repo", pytest.fail) == []
        assert ok("trash", "empty", "--yes", "w1", cwd=repo).code == 0
        assert state(made) == "emptied", at
        assert os.listdir(made.path) == ["entry.json"]
        assert snapshot(Path(other.path)) == whole
    if name == "rename" and fault == KILL:
        assert ends == {"trashed", "emptying"}


def test_begun_by_an_older_version(store, repo, git):
    """Its ``entry.json`` says emptying, and there is no tombstone."""
    made = make(store, repo, git)
    document = Path(made.path) / "entry.json"
    document.write_text(document.read_text().replace('"trashed"', '"emptying"'))
    assert state(made) == "emptying"
    ok("trash", "empty", "--yes", cwd=repo)
    assert state(made) == "emptied"
