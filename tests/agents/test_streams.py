"""The hooks' entry under what the real programs do to it: recorded streams of their calls, replayed.

Whatever happens to them, each call ends with 0 and the empty answer, a program's session stays with one
session of ours, no event is recorded twice, and what the agent commits is recorded once.
"""

import itertools
import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from support_agents import lines, states
from support_cli import PACKAGE_PARENT, ok
from support_faults import KILL, can_trace, strace
from support_streams import (
    NAMES,
    Call,
    Commit,
    begin,
    commit,
    heard,
    load,
    make,
    replay,
    swollen,
)  # fmt: skip

HEARD = {
    "claude": (
        "start prompt working tool seen working tool seen working tool seen working tool seen "
        "working tool seen working tool .subagent_start seen working .working .subagent_start .tool "
        ".seen .subagent_end .working .tool .seen .subagent_end tool seen working working tool cwd "
        "seen idle end"
    ),
    "claude-terminal": (
        "start prompt working waiting waiting tool seen idle prompt waiting waiting tool seen idle "
        "end start prompt working end"
    ),
    "codex": (
        "start prompt working tool working tool working tool working tool working tool "
        ".subagent_start .working working .working .tool .subagent_end tool idle end"
    ),
    "copilot": (
        "start prompt working working tool working working tool working working tool working working "
        "tool working working tool working .subagent_start .working .working .working .tool .seen "
        ".subagent_end tool idle end"
    ),
    "copilot-with-claude-settings": (
        "start prompt working working tool working working tool working working tool working working "
        "tool working working tool working .subagent_start .working .working .working .tool .seen "
        ".subagent_end tool idle end"
    ),
    "cursor": (
        "start prompt working tool tool tool .subagent_start .subagent_end working tool tool tool "
        "working idle end"
    ),
    "gemini": (
        "start prompt working tool working tool working tool working tool working tool idle end"
    ),
    "opencode": "start prompt tool tool .subagent_start .tool .subagent_end tool idle end",
}  # fmt: skip
"""What each stream says, in the order in which it was recorded."""
PROGRAMS = {name: name.split("-")[0] for name in NAMES}
"""The program that made each stream."""
SESSIONS = {"claude-terminal": 2}
ONCE_TOLD = [
    "AgentProgramStarted",
    "AgentStarted",
    "ClaudeMessage",
    "AgentWaiting",
    "ToolsUsed",
    "ClaudeMessage",
    "ClaudeMessage",
    "AgentWaiting",
    "ToolsUsed",
    "ClaudeMessage",
    "AgentProgramStarted",
    "ClaudeMessage",
]
"""What is recorded of ``claude-terminal``, but for its ends: these are told in the background."""
ONCE = frozenset(ONCE_TOLD)
BY_COMMAND = ("claude-terminal", "copilot", "gemini")
"""The streams whose calls begin in a shell, as in the settings; the others are forked, quicker."""


@pytest.fixture
def tree(repo, store):
    """A worktree with a session of ours, ``wt``, in which an agent program is at work."""
    ok("install", cwd=repo)
    return Path(ok("new-worktree", "wt", cwd=repo).out.splitlines()[0])


def logged(store):
    log = store / "logs" / "hook-errors.log"
    return log.read_text().splitlines() if log.exists() else []


def events(store):
    return [
        json.loads(line)
        for log in store.glob("events/*/*/*.jsonl")
        for line in log.read_text().splitlines()
    ]


def linked(repo):
    """Return the sessions of programs that our session names, and where the newest's transcript is."""
    metadata = ok("sessions", "show", "wt", "--json", cwd=repo).json["metadata"]
    return [(one["program"], one["id"]) for one in metadata["program_sessions"]]


def holds(store, name, commits=1, state="ended"):
    """Check what holds after any replay: no event twice, the commits, one session of ours for all."""
    found = events(store)
    ids = Counter(event["id"] for event in found)
    assert [one for one, times in ids.items() if times > 1] == []
    assert [event["type"] for event in found].count("CommitCreated") == commits
    assert set(lines(store)) <= {"wt"}  # each line of it is whole
    if state is not None:
        assert {(one, state) for one, _, state in states(store, "wt")} == {(PROGRAMS[name], state)}
        assert len(states(store, "wt")) == SESSIONS.get(name, 1)


def split(steps):
    return [one for one in steps if isinstance(one, Call)], steps.count(Commit("work"))


@pytest.mark.parametrize("name", HEARD)
def test_in_order_and_then_all_of_it_again(name, tree, store, repo, git):
    steps = list(load(name, tree))
    calls, commits = split(steps)
    replay(steps, tree, git, by_command=name in BY_COMMAND)
    assert " ".join(heard(store, "wt")) == HEARD[name]
    holds(store, name, commits)
    assert linked(repo) == [one[:2] for one in states(store, "wt")]
    types = [event["type"] for event in events(store)]
    for kind in ("AgentProgramStarted", "AgentProgramEnded"):
        assert types.count(kind) == SESSIONS.get(name, 1)
    assert types.count("AgentStarted") == 1
    assert types.count("SubagentStarted") == types.count("SubagentEnded")
    for call in calls:
        make(call)
    assert [event["type"] for event in events(store)] == types
    holds(store, name, commits)
    assert logged(store) == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["claude-terminal", "codex", "copilot", "gemini"])
def test_out_of_order(name, seed, tree, store, git):
    steps = list(load(name, tree))
    commits = split(steps)[1]
    random.Random(seed).shuffle(steps)
    replay(steps, tree, git)
    holds(store, name, commits, state=None)
    assert logged(store) == []
    # The one that is the last now is bound, wherever it began.
    assert set(lines(store)) == {"wt"}


@pytest.mark.parametrize("name", ["claude-terminal", "copilot", "cursor"])
def test_each_call_cut_in_half_and_then_whole(name, tree, store, git):
    steps = list(load(name, tree))
    calls, commits = split(steps)
    for call in calls:
        data = call.data
        make(call, data[: len(data) // 2])
    assert len(logged(store)) == len(calls)
    assert all("agent-hook" in line for line in logged(store))
    assert lines(store) == {}
    replay(steps, tree, git)
    assert " ".join(heard(store, "wt")) == HEARD[name]
    holds(store, name, commits)


@pytest.mark.parametrize("name", ["claude", "codex", "gemini", "copilot"])
def test_five_megabytes_of_output(name, tree, store):
    given = ("tool_response", "tool_output", "toolResult", "tool_result")
    call = next(
        call for call in split(list(load(name, tree)))[0] if any(one in call.given for one in given)
    )
    field = next(one for one in given if one in call.given)
    # What comes behind the output is needed, too.
    swollen_call = call._replace(
        given={
            field: swollen(call.given[field]),
            **{k: v for k, v in call.given.items() if k != field},
        }
    )
    assert len(swollen_call.data) > 5_000_000
    make(swollen_call, by_command=True)
    assert heard(store, "wt") == ["tool"]
    assert logged(store) == []
    assert sum(file.stat().st_size for file in (store / "activity").rglob("*.jsonl")) < 2000


@pytest.mark.parametrize("name", ["claude-terminal", "copilot"])
def test_a_stream_that_never_ends(name, tree, store):
    calls = split(list(load(name, tree)))[0]
    for call in calls:
        with begin(call, by_command=True) as process:
            process.stdin.write(call.data)
            process.stdin.flush()
            # Nobody closes it before the process has ended.
            assert process.wait(120) == 0
            assert process.stdout.read() == call.answer
            assert process.stderr.read() == b""
    assert " ".join(heard(store, "wt")) == HEARD[name]
    holds(store, name, 0)


@pytest.mark.parametrize("name", ["claude-terminal", "gemini"])
@pytest.mark.parametrize("fed", ["nothing", "half", "all"])
def test_killed_at_any_call(name, fed, tree, store, git):
    steps = list(load(name, tree))
    calls, commits = split(steps)
    for step in steps:
        if isinstance(step, Commit):
            commit(step.subject, tree, git)
            continue
        with begin(step) as process:
            data = step.data
            process.stdin.write({"nothing": b"", "half": data[: len(data) // 2], "all": data}[fed])
            process.stdin.flush()
            process.kill()
    holds(store, name, commits, state=None)
    # It goes on as if nothing had been.
    for call in calls:
        make(call)
    holds(store, name, commits)


@pytest.mark.parametrize("name", ["write", "rename", "flock", "fsync"])
def test_killed_at_any_write_of_any_call_and_called_again(name, tree, store):
    if not can_trace():
        pytest.skip("there is no strace that may trace")
    kills = 0
    for call in split(list(load("claude-terminal", tree)))[0]:
        begin = f"from prodigy_git.record.agent_hook import main; main('claude', '{call.event}')"
        code = f"import sys; sys.path.insert(0, {PACKAGE_PARENT!r}); {begin}"
        for at in itertools.count(1):
            done = subprocess.run(
                [*strace(name, f"{KILL}:when={at}"), sys.executable, "-I", "-S", "-c", code],
                input=call.data, cwd=call.cwd, env={**os.environ, **call.environment}, check=False,
            )  # fmt: skip
            if done.returncode == 0:
                break
            kills += 1
            holds(store, "claude-terminal", 0, state=None)
    assert kills >= 5
    types = [event["type"] for event in events(store) if event["type"] in ONCE]
    assert types == ONCE_TOLD


def test_worktrees_that_the_program_makes_and_removes(repo, store, git):
    ok("install", cwd=repo)
    made, places = None, []
    for number in range(len(list(load("claude-worktrees", repo)))):
        step = list(load("claude-worktrees", repo, made))[number]
        with begin(step, by_command=True) as process:
            out, _ = process.communicate(step.data, timeout=120)
        assert process.returncode == 0, step
        if step.event == "WorktreeCreate":
            made = Path(out.decode().splitlines()[-1])
            assert git("rev-parse", "--show-toplevel", cwd=made) == str(made)
            places.append(made)
        else:
            assert out == b"", step
    subagents, entered = places
    assert subagents.is_dir()
    assert not entered.exists()
    ok("worktree", "restore", entered.name, cwd=repo)
    assert entered.is_dir()


def test_a_hook_of_claude_codes_that_copilot_runs_beside_its_own(tree, store, git):
    steps = split(list(load("copilot-with-claude-settings", tree)))[0]
    own = Path(os.environ["HOME"], ".copilot", "hooks", "prodigy-git.json")
    own.parent.mkdir(parents=True)
    own.write_text(
        '{"hooks": {"sessionStart": [{"bash": "exec prodigy-git agent-hook copilot x"}]}}'
    )
    for call in steps:
        make(call)
    assert lines(store) == {}
    # Copilot sets what Claude Code, started in its shell, has as well.
    claude = steps[0]._replace(environment={**steps[0].environment, "CLAUDECODE": "1"})
    make(claude)
    assert heard(store, "wt") == ["start"]
    assert [one[0] for one in states(store, "wt")] == ["claude"]
