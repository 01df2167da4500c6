"""The queue's commands, on what was given up here and on what others have written."""

import json
import os

import pytest
from support_cli import call, new, ok, refused


@pytest.fixture
def job(repo, tmp_path):
    (tmp_path / "items").write_text("1\n2\n3\n")
    ok("job", "start", "j", "--items", tmp_path / "items", cwd=repo)
    for number, error in ((1, "Timeout after 30 s"), (2, "Timeout after 7 s")):
        ok("job", "next", "j", "--agent", f"a{number}", cwd=repo)
        ok(
            "job",
            "done",
            "j",
            f"item-{number}",
            "--failed",
            "--error",
            error,
            "--no-retry",
            cwd=repo,
        )
    # The file is written once a second; and with a checkpoint.
    ok("job", "pause", "j", cwd=repo)
    ok("job", "resume", "j", cwd=repo)
    return repo


def queue(store):
    return store / "dlq" / "repo" / "j" / "dlq-items.json"


def listed(cwd):
    return [one["item_id"] for one in ok("dlq", "list", "--job", "j", "--json", cwd=cwd).json]


def test_what_is_in_it(job):
    assert listed(job) == ["item-1", "item-2"]
    assert "item-1\tj\t1\t" in ok("dlq", "list", "--all-jobs", cwd=job).out
    assert ok("dlq", "list", "--job", "j", "--signature", "nothing", cwd=job).out == ""
    stats = ok("dlq", "stats", "--job", "j", "--json", cwd=job).json
    assert stats["signatures"] == {"Timeout after # s": 2}  # equal failures are one
    assert stats["agents"] == {"a1": 1, "a2": 1}
    assert "Timeout after 30 s" in ok("dlq", "show", "item-1", "--job", "j", cwd=job).out
    assert "not in the queue" in refused("dlq", "show", "item-3", "--job", "j", cwd=job)


def test_retry_gives_it_back_with_its_history_and_its_attempts(job, store):
    before = queue(store).read_bytes()
    dry = ok("dlq", "retry", "item-1", "--job", "j", "--dry-run", cwd=job)
    assert dry.out == "item-1: would be pending\n"
    assert queue(store).read_bytes() == before
    assert ok("dlq", "retry", "item-1", "--job", "j", "--json", cwd=job).json["count"] == 1
    assert listed(job) == ["item-2"]
    for attempt in (2, 3, 4):
        got = ok("job", "next", "j", "--item", "item-1", cwd=job).json
        assert (got["attempt"], got["max_attempts"]) == (attempt, 4)
        ok("job", "done", "j", "item-1", "--failed", "--error", "again", "--attempt", str(attempt),
           cwd=job)  # fmt: skip
    shown = ok("dlq", "show", "item-1", "--job", "j", "--json", cwd=job).json
    assert [one["attempt"] for one in shown["failure_history"]] == [1, 2, 3, 4]
    assert ok("dlq", "retry", "--reprocess-all-eligible", "--job", "j", "--json",
              cwd=job).json["count"] == 2  # fmt: skip


def test_clear(job):
    refused("dlq", "clear", "item-1", "--job", "j", cwd=job, code=2)  # nobody to ask
    assert ok("dlq", "clear", "--all", "--job", "j", "--dry-run", cwd=job).out.count("would") == 2
    ok("dlq", "clear", "item-1", "--job", "j", "--yes", cwd=job)
    assert listed(job) == ["item-2"]
    assert ok("job", "show", "j", "--json", cwd=job).json["failed"] == 1
    # Who changes their mind names it.
    ok("dlq", "retry", "--reprocess-all-eligible", "--job", "j", cwd=job)
    assert ok("job", "show", "j", "--json", cwd=job).json["failed"] == 1
    assert "pending again" in ok("dlq", "retry", "item-1", "--job", "j", cwd=job).out


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_export(job, tmp_path, form):
    ok("dlq", "export", "--job", "j", "--format", form, "-o", tmp_path / "out", cwd=job)
    text = (tmp_path / "out").read_text()
    assert text == ok("dlq", "export", "--job", "j", "--format", form, cwd=job).out
    if form == "csv":
        assert text.splitlines()[1].startswith("j,item-1,1,")
    else:
        found = json.loads(text)["items"] if form == "json" else map(json.loads, text.splitlines())
        assert [one["item_id"] for one in found] == ["item-1", "item-2"]


def test_what_others_have_written_stays(job, store):
    document = json.loads(queue(store).read_text())
    document["theirs"] = 1
    document["items"][0] |= {"manual_review_required": True, "priority": 9}
    document["items"].append({"item_id": "foreign", "work_item": "x", "failure_history": []})
    queue(store).write_text(json.dumps(document))
    assert listed(job) == ["item-1", "item-2", "foreign"]
    assert "--force" in refused("dlq", "retry", "item-1", "--job", "j", cwd=job)
    assert (
        ok("dlq", "list", "--job", "j", "--eligible", "--json", cwd=job).json[0]["item_id"]
        == "item-2"
    )
    ok("dlq", "clear", "item-2", "--job", "j", "--yes", cwd=job)
    after = json.loads(queue(store).read_text())
    assert after["theirs"] == 1
    assert [one["item_id"] for one in after["items"]] == ["item-1", "foreign"]
    assert (after["items"][0]["priority"], after["items"][0]["manual_review_required"]) == (9, True)
    ok("dlq", "retry", "item-1", "--force", "--job", "j", cwd=job)
    assert listed(job) == ["foreign"]


def test_a_damaged_queue_is_refused_and_never_overwritten(job, store):
    queue(store).write_text("{")
    assert "is damaged" in refused("dlq", "list", "--job", "j", cwd=job)
    call("job", "next", "j", cwd=job)
    call("job", "done", "j", "item-3", "--failed", "--no-retry", cwd=job)
    assert queue(store).read_text() == "{"


def test_where_the_worktree_is(repo):
    made = new(repo, "w1", "--job", "k", "--agent", "a", "--item", "i")
    ok("finish", "--failed", cwd=made["worktree"])
    left = ok("dlq", "show", "i", "--job", "k", "--json", cwd=repo).json
    assert (left["worktree"], left["branch"]) == (made["worktree"], "prodigy/k/i")
    ok("worktree", "clean", "-f", "w1", cwd=repo)
    left = ok("dlq", "show", "i", "--job", "k", "--json", cwd=repo).json
    assert os.path.isdir(left["worktree"])
    assert "/trash/" in left["worktree"]
    assert left["salvage_ref"].startswith("refs/prodigy/salvage/w1/")
