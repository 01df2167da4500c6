"""Which jobs and events the filters mean: where one stands, what is named, what is refused."""

import pytest
from support_cli import ok, refused, write_log


def at(second, kind="X", **more):
    return {"timestamp": f"2025-01-11T12:00:{second:02}Z", "type": kind, **more}


@pytest.fixture
def logs(repo, store):
    """Write logs of this repository (the key ``repo``) and another one; return this one's folder."""
    name = "events-20250111.jsonl"
    write_log(store, "repo", "mine", name, at(1, agent_id="a", item_id="i"), at(2, agent_id="b"))
    write_log(store, "repo", "both", name, at(3, "AgentFailed", agent_id="a", session_id="s"))
    write_log(store, "other", "both", name, at(4, item_id="j"))
    write_log(store, "other", "theirs", name, at(5))
    return repo


def seconds(*arguments, cwd):
    done = ok("events", "ls", *arguments, "--json", cwd=cwd)
    return [int(event["timestamp"][17:19]) for event in done.lines]


@pytest.mark.parametrize(
    ("arguments", "inside", "outside"),
    [
        ((), [1, 2, 3], [1, 2, 3, 4, 5]),
        (("--all-jobs",), [1, 2, 3], None),
        (("--all-repos",), [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
        (("--job", "mine"), [1, 2], [1, 2]),
        (("--job", "both"), [3], [3, 4]),
        (("--job", "other/both"), [4], [4]),
        (("--job", "theirs"), [5], [5]),
        (("--job", "mine", "--job", "theirs", "--job", "mine"), [1, 2, 5], [1, 2, 5]),
        (("--agent", "a"), [1, 3], [1, 3]),
        (("--agent", "a", "--agent", "b"), [1, 2, 3], [1, 2, 3]),
        (("--item", "i", "--item", "j"), [1], [1, 4]),
        (("--session", "s", "--agent", "a"), [3], [3]),
        (("--session", "s", "--agent", "b"), [], []),
        (("--type", "agent_failed", "--type", "Other"), [3], [3]),
        (("--since", "2025-01-11T12:00:02Z", "--until", "2025-01-11T12:00:04Z"), [2, 3], [2, 3, 4]),
    ],
)
def test_what_is_meant(logs, tmp_path, arguments, inside, outside):
    assert seconds(*arguments, cwd=logs) == inside
    if outside is None:
        assert "--all-repos" in refused("events", "ls", *arguments, cwd=tmp_path)
    else:
        assert seconds(*arguments, cwd=tmp_path) == outside


def test_what_is_refused(logs):
    assert "nobody" in refused("events", "ls", "--job", "nobody", cwd=logs)
    assert "other/mine" in refused("events", "ls", "--job", "other/mine", cwd=logs)
    assert "safe name" in refused("events", "ls", "--job", "../x", cwd=logs)
    assert "safe name" in refused("events", "ls", "--job", "../x/both", cwd=logs)
    refused("events", "ls", "--job", "mine", "--all-jobs", cwd=logs, code=2)
    refused("events", "ls", "--all-jobs", "--all-repos", cwd=logs, code=2)
