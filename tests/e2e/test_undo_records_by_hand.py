"""docs/reference/by-hand.md says how to bring files back from the trash; this does what it says."""

import re
import subprocess
from pathlib import Path

import pytest
from support_cli import ok, write_log

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference" / "by-hand.md"
OLD = "2025-01-11T12:00:00Z"
NAMES = {
    "SESSION": "s", "DAY": "20250111", "JOB": "job", "REPO": "repo", "CHECKPOINT": "job-state.json",
}  # fmt: skip


def documented(store):
    """Return what the documentation says, for the things that `in_trash` makes."""
    (script,) = re.findall(r"```sh\n(cd .*?)```", DOCS.read_text(), re.DOTALL)
    for word, name in NAMES.items():
        script = re.sub(rf"\b{word}\b", name, script)
    return script.replace("~/.prodigy", f"'{store}'")


@pytest.fixture
def places(store):
    """Put one of each into the trash; return where they lie and where they were."""
    trash = store / "trash" / "repo"
    return {
        trash / "s" / "session.json": store / "sessions" / "s.json",
        trash / "s" / "activity.jsonl": store / "activity" / "repo" / "s.jsonl",
        trash / "s" / "activity.cursor": store / "activity" / "repo" / "s.cursor",
        trash / "job" / "events" / "events-20250111.jsonl": (
            store / "events" / "repo" / "job" / "events-20250111.jsonl"
        ),
        trash / "job" / "output" / "s.log": store / "logs" / "repo" / "job" / "s.log",
        trash / "job" / "checkpoints" / "job-state.json": (
            store / "state" / "repo" / "mapreduce" / "jobs" / "job" / "job-state.json"
        ),
        trash / "job" / "dlq" / "dlq-items.json": store / "dlq" / "repo" / "job" / "dlq-items.json",
    }


def fill(paths, text):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_everything_comes_back(store, places):
    fill(places, "old\n")
    subprocess.run(["sh", "-e", "-c", documented(store)], check=True)
    assert [path.read_text() for path in places.values()] == ["old\n"] * len(places)
    assert not any(path.exists() for path in places)


def test_nothing_newer_is_overwritten_and_nothing_older_lost(store, places):
    fill(places, "old\n")
    fill(places.values(), "new\n")
    done = subprocess.run(
        ["sh", "-c", documented(store)], capture_output=True, text=True, check=False
    )
    assert done.stderr.count("File exists") == len(places)
    assert [path.read_text() for path in places] == ["old\n"] * len(places)
    assert [path.read_text() for path in places.values()] == ["new\n"] * len(places)


def test_a_log_beside_a_newer_one_is_read(store, repo):
    write_log(
        store, "repo", "job", "events-20250111.jsonl",
        {"type": "Y", "timestamp": "2025-01-11T13:00:00Z"},
    )  # fmt: skip
    write_log(store, "repo", "job", "events-20250111-2.jsonl", {"type": "X", "timestamp": OLD})
    found = ok("events", "ls", "--job", "job", "--json", cwd=repo.parent)
    assert [one["type"] for one in found.lines] == ["X", "Y"]
