"""What an agent program is told at its start, where somebody wants that: in the program's own form."""

import json

import pytest
from support_agents import say
from support_cli import new, ok

from prodigy_git.record.conversations import start_answer

FORMS = {
    "claude": lambda said: said["hookSpecificOutput"]["additionalContext"],
    "codex": lambda said: said["hookSpecificOutput"]["additionalContext"],
    "gemini": lambda said: said["hookSpecificOutput"]["additionalContext"],
    "copilot": lambda said: said["additionalContext"],
    "cursor": lambda said: said["additional_context"],
}
EMPTY = {"gemini": b"{}\n", "cursor": b"{}\n"}


@pytest.fixture
def worktree(repo, git):
    ok("install", cwd=repo)
    other = new(repo, "other", "--agent", "bob")["worktree"]
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=other)
    return new(repo, "wt", "--agent", "ada")["worktree"]


@pytest.mark.parametrize("program", FORMS)
def test_it_is_told_where_somebody_wants_it(worktree, git, program):
    assert say(program, "SessionStart", cwd=worktree).stdout == EMPTY.get(program, b"")
    git("config", "prodigy.context", "on", cwd=worktree)
    done = say(program, "SessionStart", cwd=worktree, session="s2", source="startup")
    assert (done.returncode, done.stderr) == (0, b"")
    text = FORMS[program](json.loads(done.stdout))
    assert 'session "wt"' in text
    assert text.endswith("prodigy-git finish --failed --error 'WHY'")
    assert done.stdout.isascii()
    # Of a start only.
    assert say(program, "Stop", cwd=worktree, session="s2").stdout == EMPTY.get(program, b"")


def test_where_there_is_no_session_nothing_is_told(repo, tmp_path, git):
    git("config", "--global", "prodigy.context", "on", cwd=repo)
    done = say("claude", "SessionStart", cwd=tmp_path, source="startup")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_what_takes_too_long_is_gone_without(worktree, store, git, monkeypatch):
    git("config", "prodigy.context", "brief", cwd=worktree)
    say("claude", "SessionStart", cwd=worktree, source="startup")
    heard = _heard(worktree)
    assert start_answer.answer(heard, str(store), {}) is not None
    monkeypatch.setattr(start_answer, "PATIENCE", 0.0)
    assert start_answer.answer(heard, str(store), {}) is None


def _heard(worktree):
    from prodigy_git.record.conversations.normal_form import normal

    raw = {"session_id": "s1", "hook_event_name": "SessionStart", "cwd": str(worktree)}
    return normal("claude", None, raw)
