"""Whatever is given or lies in the store: an exit code of ours, a line on stderr, no exception."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support_cli import call, foreign_session, new, ok, refused, session_file

quick = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

# What an argument can be: no NUL, and bytes that are not UTF-8 as surrogate escapes.
words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
ids = words | st.sampled_from(
    ["../../x", "..", ".", "-", "--", "w1", "x" * 300, "a/b", "\udc80", "~", "@", "HEAD"]
)


def holds(*arguments, cwd=None):
    done = call(*arguments, cwd=cwd)
    assert done.code in (0, 1, 2), done
    assert "Traceback" not in done.err, done
    assert "internal error" not in done.err, done
    return done


READING = [
    ("sessions", "list"), ("sessions", "list", "--json"), ("sessions", "show", "w1"),
    ("sessions", "show", "w1", "--json"), ("worktree", "ls"), ("worktree", "ls", "--json"),
    ("worktree", "ls", "--all-repos"), ("events", "ls"), ("events", "ls", "--json"),
    ("sessions", "clean", "--older-than", "0s"), ("events", "clean", "--older-than", "0s"),
    ("clean", "--dry-run"), ("worktree", "clean", "w1", "--dry-run"), ("finish", "w1"),
    ("worktree", "clean", "-f", "w1", "--dry-run"),
]  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [
        ("new-worktree", "ID"), ("new-worktree", "--job", "ID"), ("new-worktree", "--base", "ID"),
        ("new-worktree", "--branch", "ID"), ("finish", "ID"), ("sessions", "show", "ID"),
        ("worktree", "clean", "ID"), ("events", "ls", "--job", "ID"),
        ("events", "ls", "--since", "ID"), ("events", "ls", "--type", "ID"), ("ID",),
    ],
    ids=" ".join,
)  # fmt: skip
@quick
@given(text=ids)
def test_any_argument(repo, command, text):
    holds(*(text if word == "ID" else word for word in command), cwd=repo)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)
SESSION = [
    "id", "session_type", "status", "started_at", "updated_at", "completed_at", "metadata",
    "checkpoints", "timings", "error", "workflow_data", "mapreduce_data",
]  # fmt: skip
METADATA = [
    "repo", "repo_path", "worktree_path", "branch", "base_branch", "base_commit", "job_id",
    "agent_id", "item_id", "commits", "finishing", "last_commit",
]  # fmt: skip


@pytest.fixture
def made(repo):
    return Path(new(repo, "w1", "--job", "j", "--agent", "a")["worktree"])


def all_hold(repo):
    for command in READING:
        holds(*command, cwd=repo)


@settings(quick, max_examples=10)
@given(data=st.binary(max_size=60))
@pytest.mark.parametrize("which", ["session", "log", "enrolment", "cursor", "mapping"])
def test_any_bytes_in_any_file(repo, made, store, git, which, data):
    path = {
        "session": store / "sessions" / "w1.json",
        "log": store / "events" / "repo" / "j" / "events-20250111.jsonl",
        "enrolment": repo / ".git" / "worktrees" / "w1" / "prodigy",
        "cursor": repo / ".git" / "worktrees" / "w1" / "prodigy-cursor",
        "mapping": store / "state" / "repo" / "mappings" / "session-to-job.json",
    }[which]
    whole = {
        one: one.read_bytes() for one in (path, store / "sessions" / "w1.json") if one.exists()
    }
    path.write_bytes(data)
    all_hold(repo)
    for one, before in whole.items():
        one.write_bytes(before)
    assert made.is_dir()


@quick
@given(st.sampled_from(SESSION), json_values)
def test_any_value_in_a_session_file(repo, made, store, name, value):
    fields = session_file(store, "w1")
    changed = json.dumps({**fields, name: value})
    for command in READING[:8]:
        (store / "sessions" / "w1.json").write_text(changed)
        holds(*command, cwd=repo)
    (store / "sessions" / "w1.json").write_text(json.dumps(fields))


@quick
@given(st.sampled_from(METADATA), json_values)
def test_any_value_in_its_metadata(repo, made, store, name, value):
    fields = session_file(store, "w1")
    changed = json.dumps({**fields, "metadata": {**fields["metadata"], name: value}})
    for command in [*READING[:8], ("finish", "w1")]:
        (store / "sessions" / "w1.json").write_text(changed)
        holds(*command, cwd=repo)
    (store / "sessions" / "w1.json").write_text(json.dumps(fields))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b'{"id":"bad"}', b'{"id":"other"}'])
def test_a_corrupt_session_file_is_one_line_and_the_others_are_listed(repo, store, made, text):
    (store / "sessions" / "bad.json").write_bytes(text)
    done = ok("sessions", "list", "--json", cwd=repo)
    assert [one["session_id"] for one in done.json] == ["w1"]
    assert done.err.count("\n") == 1
    assert "bad.json" in done.err
    assert "bad.json" in refused("sessions", "show", "bad", cwd=repo)


@pytest.mark.parametrize(
    "command",
    [
        ("sessions", "list"), ("sessions", "show", "w1"), ("events", "ls"), ("finish", "w1"),
        ("sessions", "clean"), ("events", "clean"), ("new-worktree",), ("clean", "--yes"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_store_that_is_a_file(repo, store, command):
    store.write_text("not a folder")
    refused(*command, cwd=repo)
    assert store.read_text() == "not a folder"


@pytest.mark.skipif(os.geteuid() == 0, reason="modes do not stop root")
@pytest.mark.parametrize("command", [("sessions", "list"), ("events", "ls"), ("new-worktree",)])
def test_a_store_that_cannot_be_read(repo, store, command):
    store.mkdir(mode=0)
    refused(*command, cwd=repo)
    store.chmod(0o700)


def test_a_session_of_prodigys_own_is_listed_with_ours(repo, made, store):
    foreign_session(store, "theirs", workflow_data={"workflow_id": "w", "workflow_name": "n"})
    assert [one["session_id"] for one in ok("sessions", "list", "--json").json] == ["theirs", "w1"]


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("worktree", "nonsense"), ("sessions", "show"), ("--nonsense",)]
)
def test_usage(arguments):
    assert "--help" in refused(*arguments, code=2)
