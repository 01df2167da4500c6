"""Claims on a disk that fills up: what ends is written, what would begin is not."""

import os

import pytest
from support_cli import call, ok
from support_mounts import mounted

from prodigy_git import layout


@pytest.fixture
def job(tmp_path, repo, monkeypatch):
    """Start a job in a store on a small disk of its own, with its reserve."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(disk, size="12m"):
        os.chmod(disk, 0o700)
        monkeypatch.setenv("PRODIGY_HOME", str(disk / "store"))
        items = tmp_path / "items.json"
        items.write_text(str(list(range(20))))
        ok("install", cwd=repo)
        ok("job", "start", "j", "--items", items, cwd=repo)
        yield repo, disk


def fill(disk):
    with open(disk / "fill", "ab", buffering=0) as stream:
        block = bytes(1 << 16)
        while block:
            try:
                if stream.write(block) < len(block):
                    raise OSError
            except OSError:
                block = block[: len(block) // 2]


def events(disk, kind):
    folder = layout.job_log(str(disk / "store"), "repo", "j")
    text = "".join(open(f"{folder}/{name}").read() for name in os.listdir(folder))  # noqa: SIM115
    return text.count(f'"type":"{kind}"')


def test_ends_are_written_and_claims_are_not(job):
    repo, disk = job
    held = [ok("job", "next", "j", cwd=repo).json["item_id"] for _ in range(3)]
    made = ok("new-worktree", "--job", "j", "--agent", "a", "--item", "item-9", cwd=repo)
    session = os.path.basename(made.out.strip())
    fill(disk)
    begun = events(disk, "AgentStarted")
    # The last block of the log may have room for some: what is said is what the log has.
    while (claimed := call("job", "next", "j", cwd=repo)).code == 0:
        begun += 1
    assert claimed.code == 1
    assert "No space left" in claimed.err or "no space left" in claimed.err
    assert claimed.err.count("\n") <= 2
    assert events(disk, "AgentStarted") == begun
    for number, item in enumerate(held, 1):
        done = ok("job", "done", "j", item, cwd=repo)
        assert "completed" in done.out
        assert events(disk, "AgentCompleted") == number
        fill(disk)  # whoever fills it takes what the reserve has left
    ok("finish", session, cwd=repo)
    assert ok("sessions", "show", session, "--json", cwd=repo).json["status"] == "Completed"
    assert ok("job", "show", "j", "--json", cwd=repo).json["completed"] == 4
    ok("job", "cancel", "j", cwd=repo)
    os.unlink(disk / "fill")
    assert ok("job", "show", "j", "--json", cwd=repo).json["status"] == "cancelled"
    left = [
        name for _, _, names in os.walk(disk / "store") for name in names if name[-4:] == ".new"
    ]
    assert left == []
