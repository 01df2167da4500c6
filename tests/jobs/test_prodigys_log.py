"""A log with every record that Prodigy has: how many items, which attempts, how long."""

import json

import pytest
from support_prodigy import event_log, every_record

from prodigy_git.model.event import parse_line
from prodigy_git.record import repokey

JOB = "mapreduce-20260301_100001"


@pytest.fixture
def shown(store, repo, prodigy):
    """``shown(*words)``: what a command says as JSON in that repository."""
    store.mkdir()
    repokey.take(str(store), f"{repo}/.git")
    event_log(store, "repo", JOB, every_record(JOB))

    def ask(*words):
        done = prodigy(*words, "--json", cwd=repo, check=True)
        return json.loads(done.stdout)

    return ask


def test_a_job_has_as_many_items_as_it_was_opened_with(shown):
    job = shown("job", "show", JOB)
    assert job["total_items"] == 4
    assert (job["completed"], job["dead"], job["failed"], job["pending"]) == (1, 1, 1, 1)


def test_a_second_failure_without_a_start_is_a_second_attempt(shown):
    job = shown("job", "show", JOB)
    assert (job["attempts"], job["failed_attempts"]) == (3, 2)
    told = shown("explain", "item_0", "--job", JOB)
    tries = told["attempts"]
    assert [(one["attempt"], one["outcome"], one["error"]) for one in tries] == [
        (1, "failed", "boom 1"),
        (2, "failed", "boom 2"),
    ]


def test_a_duration_that_is_a_pair_is_one():
    done = next(one for one in every_record(JOB) if one["event"]["event_type"] == "agent_completed")
    event = parse_line(json.dumps(done).encode())
    assert event.own()["duration"] == {"secs": 7, "nanos": 250000000}
