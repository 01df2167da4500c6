"""The stories of items, sessions and agents: real git, and the log of a team."""

import json
import shutil

import pytest
import support_team as team
from support_cli import new, ok, snapshot, write_log
from support_explain import explain

from prodigy_git.errors import ProdigyError
from prodigy_git.views.explain import lookup as explaining


@pytest.fixture
def review(repo, store):
    """Write the team's job into the repository's part of the store."""
    new(repo, "here")
    team.write(store, "repo")
    return repo


def test_an_item_that_failed_once_and_was_done_by_another(review):
    found = explain(review, "item-3")
    assert (found["kind"], found["job_id"], found["state"]) == ("item", team.JOB, "completed")
    one, two = found["attempts"]
    assert (one["agent_id"], one["outcome"], one["error"], one["seconds"]) == (
        "agent-20", "failed", "Timeout after 300 seconds", 480.0,
    )  # fmt: skip
    assert (two["agent_id"], two["outcome"], two["attempt"]) == ("agent-03", "completed", 2)
    assert [commit["subject"] for commit in two["commits"]] == [
        "Step 1 of item 3", "Step 2 of item 3",
    ]  # fmt: skip
    assert two["log"] == "/logs/agent-03.json"
    assert (found["data"], found["next"]) == ({"path": "src/part3.py"}, [])


@pytest.mark.parametrize(
    ("item", "state", "alive", "queue", "words"),
    [
        ("item-10", "dead", None, True, "dlq retry item-10 --job review"),
        ("item-13", "pending", None, False, "run --job review --item item-13"),
        ("item-15", "in_progress", False, False, "resume review"),
        ("item-18", "in_progress", True, False, "job done review item-18"),
        ("item-24", "pending", None, False, "run --job review --item item-24"),
    ],
)
def test_how_an_item_stands_and_what_to_do(item, state, alive, queue, words, review):
    found = explain(review, item)
    assert (found["state"], found["alive"], found["queue"] is not None) == (state, alive, queue)
    assert any(words in text for text in found["next"]), found["next"]
    assert (found["retry_at"] is not None) is (item == "item-13")
    assert len(found["attempts"]) == {"item-10": 3, "item-24": 0}.get(item, 1)


def test_an_end_that_does_not_name_its_item(repo, store):
    new(repo, "here")
    write_log(
        store, "repo", "old", "events-20250111.jsonl",
        {"type": "AgentStarted", "timestamp": "2025-01-11T12:00:00Z", "agent_id": "a",
         "item_id": "lone", "job_id": "old"},
        {"AgentCompleted": {"timestamp": "2025-01-11T12:01:00Z", "agent_id": "a", "job_id": "old",
                            "commits": ["1234567"]}},
    )  # fmt: skip
    found = explain(repo, "lone")
    assert found["state"] == "completed"
    (one,) = found["attempts"]
    assert (one["outcome"], one["seconds"], one["commits"][0]["commit"]) == (
        "completed", 60.0, "1234567",
    )  # fmt: skip


def test_an_item_that_several_jobs_have(repo, store, tmp_path, monkeypatch):
    (tmp_path / "items.json").write_text('[{"id": "same"}]')
    for job in ("one", "two"):
        ok("job", "start", job, "--items", tmp_path / "items.json", cwd=repo)
    with pytest.raises(ProdigyError, match=r"several jobs have an item same.*--job: one, two"):
        explain(repo, "same")
    assert explain(repo, "same", job="two")["job_id"] == "two"
    assert explain(tmp_path, "same", job="repo/one")["job_id"] == "one"
    monkeypatch.setenv("PRODIGY_JOB_ID", "one")
    assert explain(repo, "same")["job_id"] == "one"
    with pytest.raises(ProdigyError, match="no job three"):
        explain(repo, "same", job="three")


def test_an_agent_with_all_that_it_did(review):
    found = explain(review, "agent-10", "agent")
    assert [(one["item_id"], one["outcome"]) for one in found["attempts"]] == (
        [("item-10", "failed")] * 3
    )


def test_a_session_from_base_to_the_trash(wt, repo, commit, git):
    start = git("rev-parse", "HEAD", cwd=wt)
    first = commit(wt, "one")
    second = commit(wt, "two", "--amend")
    found = explain(repo, "wt")
    assert (found["kind"], found["status"], found["job_id"]) == ("session", "Running", "review")
    assert (found["created_by"], found["base_commit"], found["branch"]) == (
        "new-worktree", start, "prodigy-wt",
    )  # fmt: skip
    assert [(c["commit"], c["replaced_by"]) for c in found["commits"]] == [
        (first, second), (second, None),
    ]  # fmt: skip
    assert (found["worktree_state"], found["worktree"]) == ("there", wt)
    assert found["branch_exists"] is True
    assert [one["item_id"] for one in found["attempts"]] == ["i-1"]
    ok("finish", "wt", "--log", "/logs/ann.json", cwd=repo)
    ok("worktree", "clean", "-f", "wt", cwd=repo)
    found = explain(repo, "wt")
    assert (found["status"], found["worktree_state"]) == ("Completed", "trash")
    assert found["logs"] == ["/logs/ann.json"]
    assert any("worktree restore wt" in text for text in found["next"])
    kinds = [one["type"] for one in found["life"]]
    assert kinds[0] in ("AgentStarted", "SessionStarted")
    assert {"CommitsRewritten", "AgentCompleted", "SessionFinished", "WorktreeCleaned"} <= set(
        kinds
    )
    assert found["salvage_refs"]


def test_a_session_whose_worktree_vanished_and_whose_file_is_gone(wt, repo, store, commit, git):
    commit(wt, "one")
    shutil.rmtree(wt)
    found = explain(repo, "wt")
    assert found["worktree_state"] == "gone"
    assert any("resume wt" in text for text in found["next"])
    (store / "sessions" / "wt.json").unlink()
    found = explain(repo, "wt")
    assert (found["kind"], found["file"], found["job_id"], found["agent_id"]) == (
        "session", False, "review", "ann",
    )  # fmt: skip
    assert (found["branch"], len(found["commits"])) == ("prodigy-wt", 1)


def test_a_damaged_session_file_is_reported_once_and_the_log_told(wt, repo, store, commit):
    commit(wt, "one")
    (store / "sessions" / "wt.json").write_text("{")
    told = []
    found = explaining.explain(str(repo), "wt", job=None, kind=None, broken=told.append)
    assert (found["file"], len(found["commits"])) == (False, 1)
    assert len(told) == 1
    assert "is damaged" in told[0]


def test_a_broken_line_is_reported_once(wt, repo, store, commit):
    sha = commit(wt, "one")
    write_log(store, "repo", "review", "events-20250101.jsonl", f'{{"commit":"{sha}",')
    told = []
    explaining.explain(str(repo), sha, job=None, kind=None, broken=told.append)
    assert len(told) == 1


def test_a_name_of_several_things(wt, repo, tmp_path, commit, git):
    (tmp_path / "items.json").write_text('[{"id": "wt"}, {"id": "main"}]')
    ok("job", "start", "other", "--items", tmp_path / "items.json", cwd=repo)
    found = explain(repo, "wt")
    assert (found["kind"], found["also"]) == ("session", ["item"])
    assert explain(repo, "wt", "item")["job_id"] == "other"
    found = explain(repo, "main")
    assert (found["kind"], found["also"]) == ("item", ["commit"])
    assert explain(repo, "main", "commit")["commit"] == git("rev-parse", "main", cwd=repo)
    # What is a commit's id is meant as one.
    sha = commit(wt, "one")
    (tmp_path / "more.json").write_text(json.dumps([{"id": sha[:8]}]))
    ok("job", "start", "more", "--items", tmp_path / "more.json", cwd=repo)
    found = explain(repo, sha[:8])
    assert (found["kind"], found["also"]) == ("commit", ["item"])


def test_what_nobody_has(wt, repo, tmp_path):
    for name in ("nope", "../../etc/passwd", "", "a\0b", "--", "\x1b[2J", "abcd" * 3):
        for place in (repo, tmp_path):
            with pytest.raises(ProdigyError, match=r"no commit, item|names nothing"):
                explain(place, name)
        with pytest.raises(ProdigyError, match=r"no item|names nothing"):
            explain(repo, name, "item")


def test_it_writes_nothing(wt, repo, store, commit):
    sha = commit(wt, "one")
    (tmp := repo / "untracked").write_text("x")
    before = snapshot(store, repo)
    for name in (sha, "wt", "ann", "i-1", "HEAD"):
        explain(repo, name)
    assert snapshot(store, repo) == before
    assert tmp.exists()


def test_a_repository_that_the_store_does_not_know_is_not_taken_up(repo, store):
    found = explain(repo, "HEAD")
    assert (found["recorded"], found["exists"]) == ([], True)
    assert not store.exists()
