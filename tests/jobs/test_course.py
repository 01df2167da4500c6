"""A job that ends with items at work, and goes on; a queue without limit."""

import pytest
from test_claims import claim, complete, counted, fail, lines, quiet, start, states

from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import claims, course, dead_letters, index, requeue, snapshots
from prodigy_git.record import clock, log


def reopen(store):
    return course.reopen(str(store), "r", "j", None, quiet)


def test_what_fails_after_the_end_is_not_pending_until_the_job_is_reopened(store):
    start(store, 4, max_attempts=2)
    failing, ending, giving_up, _ = (claim(store, f"a{n}") for n in range(4))
    assert [one["item_id"] for one in course.cancel(str(store), "r", "j", "stop", quiet)] == [
        "i0", "i1", "i2", "i3",
    ]  # fmt: skip
    assert fail(store, failing).state == "failed"
    assert complete(store, ending).state == "completed"
    assert fail(store, giving_up, retry=False).state == "dead"
    claims.release_dead(str(store), "r", "j", quiet, unknown_too=True)
    assert states(store) == {"i0": "failed", "i1": "completed", "i2": "dead", "i3": "failed"}
    assert claim(store) is None
    assert reopen(store) == ["i0", "i3"]
    assert states(store) == {"i0": "pending", "i1": "completed", "i2": "dead", "i3": "pending"}
    again = claim(store, "b", item="i0")
    assert (again.attempt, again.max_attempts) == (2, 2)  # what was tried counts
    assert fail(store, again).state == "dead"
    with pytest.raises(ProdigyError, match="has not ended"):
        reopen(store)


def test_a_success_after_all_counts_also_where_the_job_has_ended(store):
    start(store, 1)
    made = claim(store)
    course.finish(str(store), "r", "j", error="no more", broken=quiet)
    claims.release_dead(str(store), "r", "j", quiet, unknown_too=True)
    assert states(store) == {"i0": "failed"}
    ended = complete(store, made)
    assert (ended.state, ended.late) == ("completed", False)


def test_a_job_can_end_and_go_on_more_than_once(store):
    start(store, 1)
    complete(store, claim(store))
    for _ in range(2):
        course.finish(str(store), "r", "j", broken=quiet)
        with index.opened(str(store), "r", "j", quiet) as opened:
            assert (opened.job.status, opened.job.phase) == ("completed", "complete")
        assert reopen(store) == []
        with index.opened(str(store), "r", "j", quiet) as opened:
            assert (opened.job.status, opened.job.phase) == ("running", "map")
            assert opened.job.ended_at == ""


@pytest.mark.parametrize("dry", [False, True])
def test_nothing_is_put_back_where_nobody_could_claim_it(store, dry):
    start(store, 1)
    fail(store, claim(store), retry=False)
    course.finish(str(store), "r", "j", broken=quiet)
    before = lines(store)
    with pytest.raises(ProdigyError, match="job reopen j' first"):
        requeue.requeue(str(store), "r", "j", ["i0"], quiet, dry_run=dry)
    assert lines(store) == before
    assert states(store) == {"i0": "dead"}
    reopen(store)
    assert requeue.requeue(str(store), "r", "j", ["i0"], quiet, dry_run=dry) == ["i0"]
    assert states(store) == {"i0": "dead" if dry else "pending"}


def in_queue(store):
    with index.opened(str(store), "r", "j", quiet) as opened:
        return [one.item_id for one in snapshots.queue(opened, quiet).items]


def test_the_queue_has_no_limit_and_its_file_is_written_now_and_then(store, monkeypatch):
    """1,005 is past the limit that it once had, beyond which the oldest went for good."""
    written = []
    write = dead_letters.write
    monkeypatch.setattr(dead_letters, "write", lambda *a: written.append(1) or write(*a))
    monkeypatch.setattr(log.os, "fsync", lambda _: None)
    # One checkpoint, with which the queue is written too, is due after so many items.
    start(store, 1005, max_attempts=1, checkpoint_items=10_000)
    written.clear()
    begun = clock.now()
    while (made := claim(store)) is not None:
        fail(store, made)
    seconds = (clock.now() - begun) / clock.SECOND
    assert len(written) <= seconds + 3
    assert counted(store)["dead"] == 1005
    assert len(in_queue(store)) == 1005
    assert (store / "dlq/r/j/dlq-items.json").read_bytes().count(b'"item_id"') == 1005
    requeue.requeue(str(store), "r", "j", ["i0"], quiet)
    assert claim(store, item="i0").attempt == 2


def test_what_earlier_versions_took_out_of_a_long_queue_is_in_it(store):
    start(store, 2)
    fail(store, claim(store), retry=False)
    with index.opened(str(store), "r", "j", quiet) as opened:
        removed = {"item_id": "i0", "attempt": 1, "reason": "evicted"}
        log.append(str(store), "r", "j", [
            {"id": "5f0c1a3e-0000-5000-8000-000000000000", "timestamp": "",
             "type": "DLQItemRemoved", "event_type": "DLQItemRemoved", **removed},
        ])  # fmt: skip
        index.advance(opened, quiet)
    assert states(store)["i0"] == "dead"
    assert in_queue(store) == ["i0"]
    requeue.requeue(str(store), "r", "j", ["i0"], quiet)
    assert states(store)["i0"] == "pending"


def test_what_was_cleared_is_tried_again_where_it_is_named(store):
    start(store, 2)
    for _ in range(2):
        fail(store, claim(store), retry=False)
    requeue.clear(str(store), "r", "j", ["i0"], quiet)
    assert requeue.requeue(str(store), "r", "j", None, quiet, dry_run=True) == ["i1"]
    assert requeue.requeue(str(store), "r", "j", ["i0", "i1"], quiet) == ["i0", "i1"]
    assert (states(store), in_queue(store)) == ({"i0": "pending", "i1": "pending"}, [])
    assert claim(store, item="i0").attempt == 2
