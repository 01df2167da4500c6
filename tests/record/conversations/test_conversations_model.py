"""Drawn sequences of hook calls, of several programs in several worktrees, against a small model."""

import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support_agent_calls import (
    events,
    hear,
    hear_killed,
    nothing_in_the_background,
    payload,
    sessions,
)
from support_record import commit, git

from prodigy_git.lifecycle import program_ended
from prodigy_git.record.conversations import telling

PROGRAMS = st.integers(0, 2)
WORKTREES = ("main", "one", "two")
KINDS = ("start", "resume", "prompt", "tool", "tool", "waiting", "idle", "sub", "end")
STEPS = st.one_of(
    st.tuples(st.just("call"), PROGRAMS, st.sampled_from(KINDS)),
    st.tuples(st.just("kill"), st.integers(0, 40), st.booleans()),
    st.tuples(st.just("repeat"), st.integers(1, 6), st.just(None)),
    st.tuples(st.just("replay"), PROGRAMS, st.just(None)),
    st.tuples(st.just("commit"), st.sampled_from(WORKTREES), st.just(None)),
    st.tuples(st.just("settle"), st.just(None), st.just(None)),
)


class World:
    """A repository with three worktrees, and the calls that were made."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "store"
        self.tops = {name: folder / name for name in WORKTREES}
        git("init", "-q", self.tops["main"], cwd=folder)
        commit(self.tops["main"], "begin")
        for name in WORKTREES[1:]:
            git("worktree", "add", "-q", self.tops[name], cwd=self.tops["main"])
        self.sent: list[tuple[int, dict[str, Any]]] = []
        self.where: dict[int, str] = {}
        self.texts: dict[str, bool] = {}
        self.tools: dict[str, bool] = {}
        self.waits = 0
        self.commits: list[str] = []
        self.kill: tuple[int, bool] | None = None

    def call(self, program: int, kind: str) -> None:
        if program not in self.where:
            self.where[program] = WORKTREES[program]
            self.send(program, self.made(program, "SessionStart", source="startup"), whole=True)
        number = len(self.sent)
        if kind == "start":
            raw = self.made(program, "SessionStart", source="startup")
        elif kind == "resume":
            # Perhaps in another worktree than before.
            self.where[program] = WORKTREES[(program + number) % 3]
            raw = self.made(program, "SessionStart", source="resume", prompt_id=f"s{number}")
        elif kind == "prompt":
            raw = self.made(
                program, "UserPromptSubmit", prompt=f"say {number}", prompt_id=f"p{number}"
            )
        elif kind == "tool":
            raw = self.made(
                program, "PostToolUse", tool_name=f"Tool{number}", tool_use_id=f"t{number}"
            )
        elif kind == "waiting":
            raw = self.made(program, "PermissionRequest", tool_name="Bash")
        elif kind == "sub":
            raw = self.made(
                program,
                "SubagentStop",
                agent_id=f"a{number}",
                prompt_id=f"p{number}",
                last_assistant_message=f"say {number}",
            )
        elif kind == "idle":
            raw = self.made(
                program, "Stop", prompt_id=f"p{number}", last_assistant_message=f"say {number}"
            )
        else:
            raw = self.made(program, "SessionEnd", reason="logout")
        self.send(program, raw)

    def made(self, program: int, event: str, **fields: Any) -> dict[str, Any]:
        return payload(f"session-{program}", event, self.tops[self.where[program]], **fields)

    def send(self, program: int, raw: dict[str, Any], *, whole: bool = False) -> None:
        self.sent.append((program, raw))
        through = True
        if self.kill is not None and not whole:
            (at, again), self.kill = self.kill, None
            through = not hear_killed(raw, at)
            if not through and again:
                hear(raw)
                through = True
        else:
            hear(raw)
        for known, name in ((self.texts, "prompt"), (self.texts, "last_assistant_message"),
                            (self.tools, "tool_name")):  # fmt: skip
            if name in raw and raw[name] != "Bash":
                known[raw[name]] = known.get(raw[name], False) or through

    def step(self, what: str, one: Any, other: Any) -> None:
        if what == "call":
            self.call(one, other)
        elif what == "kill":
            self.kill = (one, other)
        elif what == "repeat" and self.sent:
            self.send(*self.sent[-min(one, len(self.sent))])
        elif what == "replay":
            for program, raw in list(self.sent):
                if program == one:
                    self.send(program, raw)
        elif what == "commit":
            self.commits.append(commit(self.tops[one], f"work {len(self.commits)}"))
        elif what == "settle":
            self.settle()

    def settle(self) -> None:
        trouble: list[str] = []
        program_ended.settle(str(self.store), trouble.append)
        assert trouble == []

    def end(self) -> None:
        """End all that goes on, and do what that asks for."""
        self.kill = None
        for program in self.where:
            self.send(program, self.made(program, "SessionEnd", reason="other", prompt_id="last"))
        self.settle()
        for found in sessions(self.store).values():
            telling.bring(str(self.store), found["id"], over=True)


def check(world: World) -> None:
    told = events(world.store)
    assert [one for one, count in Counter(one["id"] for one in told).items() if count > 1] == []
    said = Counter(one["content"] for one in told if one["type"] == "ClaudeMessage")
    for text, through in world.texts.items():
        assert said[text] in ((1,) if through else (0, 1)), text
    used: Counter[str] = Counter()
    for one in told:
        if one["type"] == "ToolsUsed":
            used.update(one["tools"])
    for tool, through in world.tools.items():
        assert used[tool] in ((1,) if through else (0, 1)), tool
    known = sessions(world.store)
    for name, found in known.items():
        assert found["status"] == ("Running" if name == "main" else "Completed"), name
        assert all("ended_at" in one for one in found["metadata"]["program_sessions"])
    made = Counter(one["commit"] for one in told if one["type"] == "CommitCreated")
    assert set(made.values()) <= {1}
    began = {one["session_id"] for one in told if one["type"] == "SessionStarted"}
    assert began == {one["id"] for one in known.values()}
    kinds = {one["type"] for one in told}
    assert not kinds & {"AgentFailed", "DLQItemAdded", "AgentRetrying"}


@settings(
    max_examples=20, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(steps=st.lists(STEPS, min_size=3, max_size=25))
def test_whatever_is_called_each_thing_is_told_once(
    sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[Any]
) -> None:
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    monkeypatch.setenv("PRODIGY_HOME", str(folder / "store"))
    try:
        with nothing_in_the_background():
            world = World(folder)
            for step in steps:
                world.step(*step)
            world.end()
            if world.where:
                check(world)
    finally:
        os.chdir(tmp_path)
        shutil.rmtree(folder)
