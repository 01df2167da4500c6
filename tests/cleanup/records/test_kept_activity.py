"""What agent programs did goes to the trash with the session's file, and comes back with it."""

import pytest
from support_agent_calls import hear, nothing_in_the_background, payload
from support_cli import ok

from prodigy_git.lifecycle import program_ended


def test_it_goes_and_comes_back_with_the_session(repo, store):
    top = repo / ok("new-worktree", "w", cwd=repo).out.strip()
    with nothing_in_the_background():
        hear(payload("c1", "SessionStart", top, source="startup"))
        hear(payload("c1", "UserPromptSubmit", top, prompt="do it", prompt_id="p1"))
        hear(payload("c1", "SessionEnd", top, reason="other"))
        program_ended.settle(str(store), pytest.fail)
    ok("finish", cwd=top)
    ok("worktree", "clean", "w", "--force", "--yes", cwd=repo)
    files = {path.name: path.read_bytes() for path in (store / "activity" / "repo").iterdir()}
    assert sorted(files) == ["w.cursor", "w.jsonl"]
    assert list((store / "agents" / "claude").iterdir())
    ok("sessions", "clean", "--older-than", "0s", cwd=repo)
    trash = store / "trash" / "repo" / "w"
    assert {"session.json", "activity.jsonl", "activity.cursor"} < {p.name for p in trash.iterdir()}
    assert not list((store / "activity" / "repo").iterdir())
    assert not list((store / "agents" / "claude").iterdir())
    ok("worktree", "restore", "w", cwd=repo)
    assert {p.name: p.read_bytes() for p in (store / "activity" / "repo").iterdir()} == files
    with nothing_in_the_background():
        hear(payload("c1", "SessionStart", top, source="resume"))
    assert len((store / "activity" / "repo" / "w.jsonl").read_bytes().splitlines()) == 4
    ok("verify", cwd=repo)
    assert "unknown" not in ok("clean", "--dry-run", cwd=repo).out
