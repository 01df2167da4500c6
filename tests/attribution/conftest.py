"""A repository with our hooks, and the records of its commits, each checked against the schema."""

import json
from pathlib import Path

import jsonschema
import pytest
from support_cli import ok

SCHEMA = json.loads((Path(__file__).parent / "agent_trace_0.1.0.json").read_text())


def checked(record):
    """Check a record against the schema, and what the specification's own reader wants more."""
    jsonschema.Draft202012Validator(
        SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    ).validate(record)
    assert set(record) <= {"version", "id", "timestamp", "vcs", "tool", "files", "metadata"}
    assert record["timestamp"].endswith("Z")
    assert set(record["tool"]) == {"name", "version"}
    return record


@pytest.fixture
def traces():
    """Return a function: the records of a repository by commit."""

    def read(*options, cwd):
        done = ok("events", "export", "--format", "agent-trace", *options, cwd=cwd)
        return {one["vcs"]["revision"]: checked(one) for one in done.lines}

    return read


@pytest.fixture
def shares():
    """Return a function: a record as {path: {contributor's type: line numbers}}."""

    def of(record):
        found = {}
        for file in record["files"]:
            there = found.setdefault(file["path"], {})
            for one in file["conversations"]:
                there.setdefault(one["contributor"]["type"], []).extend(
                    line
                    for part in one["ranges"]
                    for line in range(part["start_line"], part["end_line"] + 1)
                )
        return found

    return of
