"""What becomes of recorded streams of hook calls: the same events, however often they are made."""

import random
from collections import Counter

import pytest
from support_agent_calls import events, hear, nothing_in_the_background, sessions
from support_streams import NAMES, Call, load

from prodigy_git.lifecycle import program_ended
from prodigy_git.record.conversations import telling

STREAMS = sorted(set(NAMES) - {"copilot-with-claude-settings", "claude-worktrees"})
"""Not Copilot's through the settings of Claude Code, nor where a program makes worktrees."""
TOLD = {
    "claude": {
        "AgentProgramStarted": 1, "AgentProgramEnded": 1, "SubagentStarted": 2, "SubagentEnded": 2,
    },
    "claude-terminal": {"AgentProgramStarted": 2, "AgentProgramEnded": 2, "AgentWaiting": 2},
    "codex": {
        "AgentProgramStarted": 1, "AgentProgramEnded": 1, "SubagentStarted": 1, "SubagentEnded": 1,
    },
    "copilot": {
        "AgentProgramStarted": 1, "AgentProgramEnded": 1, "SubagentStarted": 1, "SubagentEnded": 1,
    },
    "cursor": {"AgentProgramStarted": 1, "AgentProgramEnded": 1},
    "gemini": {"AgentProgramStarted": 1, "AgentProgramEnded": 1},
    "opencode": {
        "AgentProgramStarted": 1, "AgentProgramEnded": 1, "SubagentStarted": 1, "SubagentEnded": 1,
    },
}  # fmt: skip
"""How many events of some types follow from each."""


def told(store):
    """Return what was told, without what differs each time: types, texts, tools."""
    found = Counter()
    for one in events(store):
        if one["type"] == "ToolsUsed":
            for tool, count in one["tools"].items():
                found["tool", one["correlation_id"] == one["session_id"], tool] += count
        else:
            found[one["type"], one.get("content"), one.get("subagent_id"), one.get("reason")] += 1
    return found


def make(calls, store):
    for call in calls:
        hear(call.given, program=call.program, event=call.event)
    program_ended.settle(str(store), pytest.fail)
    for one in sessions(store).values():
        telling.bring(str(store), one["id"], over=True)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_told_once_however_often_it_is_made(name, repo, git, tmp_path, monkeypatch):
    counts = {}
    with nothing_in_the_background():
        for how in ("once", "each twice", "all twice", "pairs turned round"):
            top = tmp_path / how.replace(" ", "-")
            git("worktree", "add", "-q", top, cwd=repo)
            monkeypatch.setenv("PRODIGY_HOME", str(tmp_path / f"store of {how}"))
            there = tmp_path / f"store of {how}"
            calls = [one for one in load(name, top) if isinstance(one, Call)]
            if how == "each twice":
                calls = [one for one in calls for _ in "12"]
            elif how == "all twice":
                calls = calls * 2
            elif how == "pairs turned round":
                calls = [one for n in range(0, len(calls), 2) for one in reversed(calls[n : n + 2])]
            make(calls, there)
            counts[how] = told(there)
            found = sessions(there)[top.name]
            assert found["status"] == "Completed", how
    once = counts["once"]
    assert counts["each twice"] == once
    assert counts["all twice"] == once
    types = Counter()
    for (kind, *_), count in once.items():
        types[kind] += count
    assert {kind: types[kind] for kind in TOLD[name]} == TOLD[name]
    assert types["tool"]
    if name != "opencode":  # it does not tell what its agent says
        assert any(key[0] == "ClaudeMessage" and key[1] == "All done." for key in once)
    assert types["ClaudeMessage"]
    said = {key: count for key, count in once.items() if key[0] in ("tool", "ClaudeMessage")}
    assert {key: counts["pairs turned round"][key] for key in said} == said


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["claude", "codex", "copilot", "opencode"])
def test_in_any_order_nothing_is_lost_and_nothing_twice(
    name, seed, repo, git, store, tmp_path, monkeypatch
):
    git("worktree", "add", "-q", tmp_path / "wt", cwd=repo)
    calls = [one for one in load(name, tmp_path / "wt") if isinstance(one, Call)]
    first = next(one for one in calls if one.event.lower().startswith("session"))
    rest = [one for one in calls if one is not first]
    random.Random(seed).shuffle(rest)
    monkeypatch.setenv("PRODIGY_HOME", str(tmp_path / "in order"))
    with nothing_in_the_background():
        make(calls, tmp_path / "in order")
    git("worktree", "remove", "--force", tmp_path / "wt", cwd=repo)
    git("worktree", "add", "-q", tmp_path / "wt", "HEAD", "--detach", cwd=repo)
    monkeypatch.setenv("PRODIGY_HOME", str(store))
    with nothing_in_the_background():
        make([first, *rest, *rest], store)
    ids = [one["id"] for one in events(store)]
    assert len(ids) == len(set(ids))
    kept = ("tool", "ClaudeMessage", "SubagentStarted", "SubagentEnded", "AgentProgramEnded")
    found, wanted = (
        {key: count for key, count in told(one).items() if key[0] in kept}
        for one in (store, tmp_path / "in order")
    )
    assert found == wanted
    assert sessions(store)["wt"]["status"] == "Completed"
    assert not {"AgentFailed", "DLQItemAdded"} & {one["type"] for one in events(store)}
