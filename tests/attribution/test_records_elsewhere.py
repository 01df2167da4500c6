"""What a session of another host committed is known as that; its transcript is on its host."""

from support_cli import ok
from support_other_hosts import BUILD, join, pulled, tell


def test_a_path_on_another_host_is_no_address_here(repo, git, store, traces, tmp_path):
    ok("install", cwd=repo)
    ok("new-worktree", "own", cwd=repo)
    (repo / "f").write_text("one\n")
    git("add", "f", cwd=repo)
    git("-c", "core.hooksPath=/dev/null", "commit", "-qm", "Theirs, fetched", cwd=repo)
    sha = git("rev-parse", "HEAD", cwd=repo)
    here = tmp_path / "theirs.jsonl"
    here.write_text("not theirs\n")
    join(store)
    tell(store, BUILD, "fix", job="j", agent_id="bob")
    program = {"session_id": "fix", "agent_program": "claude", "program_session": "5f0c"}
    pulled(
        store, BUILD,
        ("AgentProgramStarted", 60, {**program, "model": "claude-opus-4-5",
                                     "json_log_location": str(here)}),
        ("CommitCreated", 0, {"session_id": "fix", "agent_id": "bob", "commit": sha,
                               "action": "commit", "subject": "Theirs, fetched"}),
        job="j",
    )  # fmt: skip
    record = traces(cwd=repo)[sha]
    (conversation,) = record["files"][0]["conversations"]
    assert conversation["contributor"] == {"type": "ai", "model_id": "anthropic/claude-opus-4-5"}
    assert conversation["url"] == "urn:prodigy-git:claude:5f0c"
    assert record["metadata"]["prodigy-git"]["session_id"] == "fix"
