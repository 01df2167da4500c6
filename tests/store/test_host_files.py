"""Whose events a log's file holds, by its name; and what another host's file is no reason for."""

import json
import os
import uuid

import pytest

from prodigy_git import layout
from prodigy_git.jobs import index as indexes
from prodigy_git.model.session import Session
from prodigy_git.record import files, session
from prodigy_git.store import ended_by_others, events, host_files, sessions

OWN = uuid.UUID("11111111-1111-4111-8111-111111111111")
EARLIER = uuid.UUID("22222222-2222-4222-8222-222222222222")
OTHER = uuid.UUID("33333333-3333-4333-8333-333333333333")


def tag(host):
    return host.hex[:12]


@pytest.fixture
def hosted(store):
    """A store that takes part in a hub, and knows of another host."""
    files.make_private(f"{store}/hub/origins")
    for host in (OWN, EARLIER, OTHER):
        (store / "hub" / "origins" / tag(host)).write_text(f"{host}\n")
    held = {"id": str(OWN), "name": "here", "earlier": [str(EARLIER)]}
    (store / "hub" / "host.json").write_text(json.dumps(held))
    return str(store)


def log(store, name, *found, job="review"):
    folder = layout.job_log(store, "repo", job)
    files.make_private(folder)
    lines = "".join(json.dumps(one) + "\n" for one in found)
    with open(f"{folder}/{name}", "a", encoding="utf-8") as stream:
        stream.write(lines)
    return f"{folder}/{name}"


def event(kind, session_id, **more):
    return {
        "id": str(uuid.uuid4()), "timestamp": "2025-01-11T12:00:00.000000Z", "type": kind,
        "event_type": kind, "session_id": session_id, "job_id": "review", **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("events-20250111.jsonl", None),
        ("events-20250111T120000Z.jsonl", None),
        ("events-20250111_120000.jsonl", None),
        ("events-20250111-333333333333.jsonl", "333333333333"),
        ("events-20250111T120000Z-333333333333.jsonl.gz", "333333333333"),
        ("events-20250111-33333333333.jsonl", None),
        ("events-20250111-33333333333G.jsonl", None),
        ("other.jsonl.rotated", None),
    ],
)
def test_a_name_says_which_host_or_none(name, found):
    assert host_files.tag_in(f"/store/events/repo/job/{name}") == found


def test_own_files_are_those_without_a_tag_and_with_ones_own(hosted):
    names = ["events-20250111.jsonl", *(f"events-20250111-{tag(one)}.jsonl" for one in (
        OWN, EARLIER, OTHER, uuid.UUID(int=5)))]  # fmt: skip
    assert host_files.own(hosted, names) == names[:3]


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"id": 3}', '{"id": "x"}'])
def test_where_nothing_says_who_one_is_a_tag_is_anothers(hosted, text):
    path = layout.hub_host(hosted)
    if text is None:
        os.unlink(path)
    else:
        with open(path, "w") as stream:
            stream.write(text)
    names = ["events-20250111.jsonl", f"events-20250111-{tag(OWN)}.jsonl"]
    assert host_files.own(hosted, names) == names[:1]


def test_without_a_hub_nothing_is_read(store, monkeypatch):
    monkeypatch.setattr(host_files, "own_ids", None)
    assert host_files.own(str(store), ["events-20250111.jsonl"]) == ["events-20250111.jsonl"]


def test_another_hosts_end_of_a_session_of_the_same_name_ends_none_here(hosted):
    """Two hosts may each have a worktree `fix`: one of them is done, and the other at work."""
    fields = session.document("fix", "review", "fix", {"repo": "repo", "job_id": "review"})
    fields["status"] = "Running"
    session.reserve(hosted, fields)
    log(
        hosted, f"events-20250111-{tag(OTHER)}.jsonl",
        event("SessionStarted", "fix"), event("CommitCreated", "fix", commit="1" * 40),
        event("SessionFinished", "fix", status="Completed"),
    )  # fmt: skip
    with indexes.opened(hosted, "repo", "review", print) as index:
        assert index.rows("SELECT status FROM sessions") == [("Completed",)]
    found = sessions.load(hosted, "fix")
    said = []
    assert not ended_by_others.mended(hosted, found, said.append)
    sessions.catch_up(hosted, found, said.append)
    assert Session.of(session.read(hosted, "fix")).status == "Running"
    assert said == []
    assert events.of_session(hosted, "repo", "review", "fix", None, said.append) == []
    told = events.of_session(hosted, "repo", "review", "fix", None, said.append, anybodys=True)
    assert len(told) == 3


def test_own_steps_on_a_shared_job_are_ones_own(hosted):
    log(hosted, f"events-20250111-{tag(OWN)}.jsonl", event("CommitCreated", "fix"))
    assert len(events.of_session(hosted, "repo", "review", "fix", None, print)) == 1
