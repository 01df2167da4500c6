"""An attempt on another host has the commits that its end names, and no branch or folder of ours."""

import json

import pytest
from support_cli import new, ok
from support_other_hosts import BUILD, claimed, join, pulled, tell

from prodigy_git.merging.results import results


@pytest.fixture
def both(repo, store, git):
    """A session `fix` here on item a, done; and one of that name on another host, on item b."""
    items = repo / "items"
    items.write_text("".join(json.dumps({"id": name}) + "\n" for name in "ab"))
    ok("job", "start", "j", "--items", items, cwd=repo)
    own = new(repo, "fix", "--job", "j", "--agent", "ada", "--item", "a")
    git("commit", "-q", "--allow-empty", "-m", "Ours", cwd=own["worktree"])
    ok("finish", "fix", cwd=repo)
    join(store)
    tell(store, BUILD, "fix", job="j", agent_id="bob", item_id="b", branch="theirs")
    sha = git("rev-parse", "HEAD", cwd=repo)
    end = {"session_id": "fix", "agent_id": "bob", "item_id": "b", "attempt": 1, "commits": [sha]}
    pulled(
        store,
        BUILD,
        claimed(BUILD, "b", "bob", "fix", lease=60),
        ("AgentCompleted", 1, end),
        job="j",
    )
    return own, sha


def test_two_sessions_of_one_name_are_two_results(both, store):
    own, sha = both
    found = {one.item_id: one for one in results.of_job(str(store), "repo", "j", pytest.fail)}
    assert found.keys() == {"a", "b"}
    assert (found["a"].branch, found["a"].worktree) == (own["branch"], own["worktree"])
    assert found["a"].counts
    assert (found["b"].branch, found["b"].worktree, found["b"].head) == (None, None, sha)
    assert (found["b"].state, found["b"].counts) == ("succeeded", True)


def test_their_end_is_no_end_of_ours(both, repo, store):
    pulled(store, BUILD, ("SessionFinished", 0, {"session_id": "fix", "status": "Failed"}), job="j")
    ok("sessions", "list", cwd=repo)
    (ours,) = [
        one for one in ok("sessions", "list", "--json", cwd=repo).json if one["host"] == "desk"
        and one["session_id"] == "fix"
    ]  # fmt: skip
    assert ours["status"] == "Completed"
    text = ok("verify", "--session", "fix", "--json", cwd=repo).json
    assert text["sessions"][0]["missing"] == []
    assert text["sessions"][0]["foreign"] == []
