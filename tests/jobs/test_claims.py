"""Claims and their ends: one by one, across threads, with an index that is missing or wrong."""

import json
import os
import sqlite3
import subprocess
import sys
import threading

import pytest
from support_claims import HOUR, claim, complete, counted, fail, lines, quiet, start, states

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import (
    books,
    checkpoints,
    claims,
    course,
    endings,
    index,
    owner,
    summary,
)
from prodigy_git.record import clock


def test_items_are_handed_out_in_their_order_and_once(store):
    start(store, 3)
    got = [claim(store, f"a{n}") for n in range(3)]
    assert [one.item_id for one in got] == ["i0", "i1", "i2"]
    assert [one.data for one in got] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert claim(store) is None
    assert complete(store, got[0]).state == "completed"
    assert counted(store) == {
        "pending": 0, "in_progress": 2, "completed": 1, "dead": 0, "failed": 0,
    }  # fmt: skip


def test_a_failed_item_is_tried_again_until_its_attempts_are_used_up(store):
    start(store, 1, max_attempts=2)
    first = claim(store, "a1")
    assert (first.attempt, first.max_attempts) == (1, 2)
    assert fail(store, first).state == "pending"
    second = claim(store, "a2")
    assert second.attempt == 2
    assert fail(store, second, error="again 7").state == "dead"
    assert claim(store) is None
    queue = json.loads((store / "dlq/r/j/dlq-items.json").read_text())
    (item,) = queue["items"]
    assert [one["attempt_number"] for one in item["failure_history"]] == [1, 2]
    assert (item["failure_count"], item["error_signature"]) == (2, "again #")
    assert item["work_item"] == {"id": "i0", "data": {"n": 0}}
    kinds = [event["type"] for event in lines(store)]
    assert kinds.count("AgentFailed") == 2
    assert kinds.count("DLQItemAdded") == kinds.count("WorkItemProcessed") == 1


def test_backoff_holds_an_item_back(store):
    start(store, 2)
    first = claim(store)
    fail(store, first, backoff_ms=3_600_000)
    assert claim(store).item_id == "i1"
    assert claim(store) is None
    left = claims.waiting(str(store), "r", "j", quiet)
    assert (left.pending, left.in_progress) == (1, 1)
    assert abs(left.ready_at - clock.now() - HOUR) < 60 * clock.SECOND
    assert claim(store, item="i0").attempt == 2  # who names it does not wait


def test_a_late_end_changes_nothing(store):
    start(store, 1)
    old = claim(store, "old", lease=-1)
    new = claim(store, "new")
    assert (old.item_id, new.attempt) == (new.item_id, 2)
    assert complete(store, old) == endings.Ended("i0", 1, "in_progress", late=True)
    assert fail(store, old).late
    assert complete(store, new) == endings.Ended("i0", 2, "completed", late=False)
    assert complete(store, new).late  # once more
    assert states(store) == {"i0": "completed"}


def test_an_end_after_the_claim_was_given_up_counts_while_nobody_else_has_the_item(store):
    start(store, 1)
    old = claim(store, lease=-1)
    assert claims.release_dead(str(store), "r", "j", quiet)[0].state == "pending"
    assert complete(store, old) == endings.Ended("i0", 1, "completed", late=False)


@pytest.mark.parametrize("how", ["pid", "lock"])
def test_a_claim_ends_with_its_owner(store, how):
    start(store, 1)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    held = owner.of_process(child.pid)
    if how == "lock":
        held, descriptor = owner.hold(str(store), "r", "j")
    claim(store, "a1", owner=held.as_json())
    assert claim(store, "a2") is None
    if how == "lock":
        os.close(descriptor)
    child.communicate(b"\n")
    again = claim(store, "a2")
    assert (again.item_id, again.attempt) == ("i0", 2)
    (failed,) = [one for one in lines(store) if one["type"] == "AgentFailed"]
    assert (failed["agent_id"], failed["attempt"], failed["retry_eligible"]) == ("a1", 1, True)


def test_a_claim_of_another_host_is_left_alone_unless_forced(store):
    start(store, 1)
    claim(store, owner={"host": "elsewhere", "pid": 1})
    assert claim(store) is None
    (released,) = claims.release_dead(str(store), "r", "j", quiet, unknown_too=True)
    assert released.state == "pending"


def test_all_whose_owners_are_gone_are_ended_with_one_write(store, monkeypatch):
    """Else a step on a shared job would be as many of the server's transactions."""
    start(store, 3)
    for number in range(3):
        claim(store, f"a{number}", owner={"host": "elsewhere", "pid": 1})
    written = []
    real = endings.log.append
    monkeypatch.setattr(
        endings.log, "append", lambda *a, **how: (written.append(len(a[3])), real(*a, **how))[1]
    )
    released = claims.release_dead(str(store), "r", "j", quiet, unknown_too=True)
    assert [(one.item_id, one.state) for one in released] == [
        (f"i{n}", "pending") for n in range(3)
    ]
    assert written == [3]


ELSEWHERE = {"store": "another", "place": "another"}


@pytest.mark.parametrize("lock", [False, True])
def test_what_another_store_has_claimed_is_judged_by_its_lease_alone(store, lock):
    start(store, 1)
    own = owner.of_process(os.getpid()).as_json() | ({"lock": 0, "nonce": "x"} if lock else {})
    claim(store, "a1", owner=own | ELSEWHERE, lease=HOUR)
    with claims.step(str(store), "r", "j", quiet) as opened:
        start_of_it = books.view(opened.item("i0")).start
        assert endings.end_dead(opened, quiet, unknown_too=True) == []
    where = str(store), "r", "j", start_of_it
    assert owner.has(*where, clock.now())[0] is None
    assert owner.has(*where, clock.now() + 2 * HOUR)[0] is False


def test_what_was_claimed_here_ends_with_its_process_or_with_its_lease(store):
    start(store, 2)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    here = owner.whose(str(store), "this")
    held = owner.of_process(child.pid).as_json() | here
    claim(store, "a1", owner=held, lease=HOUR, item="i0")
    claim(store, "a2", owner=here, lease=HOUR, item="i1")

    def has(item, now):
        with claims.step(str(store), "r", "j", quiet) as opened:
            found = books.view(opened.item(item)).start
        return owner.has(str(store), "r", "j", found, now)[0]

    now = clock.now()
    assert has("i0", now) is has("i1", now) is True
    assert has("i0", now + 2 * HOUR) is has("i1", now + 2 * HOUR) is False
    child.communicate(b"\n")
    (ended,) = claims.release_dead(str(store), "r", "j", quiet)
    assert (ended.item_id, ended.agent_id) == ("i0", "a1")


def test_a_lease_is_renewed_and_only_by_who_has_it(store):
    start(store, 1)
    claim(store, "a1", lease=HOUR)
    until = claims.renew(str(store), "r", "j", "i0", "a1", 2 * HOUR, quiet)
    with claims.step(str(store), "r", "j", quiet) as opened:
        assert books.view(opened.item("i0")).start.lease == until
    with pytest.raises(ProdigyError, match="cannot be renewed"):
        claims.renew(str(store), "r", "j", "i0", "a2", HOUR, quiet)


@pytest.mark.parametrize(
    ("state", "said"),
    [("in_progress", "agent a has it"), ("completed", "is completed"), ("dead", "dlq retry")],
)
def test_an_item_that_is_not_pending_is_refused_by_name(store, state, said):
    start(store, 1)
    made = claim(store)
    if state == "completed":
        complete(store, made)
    elif state == "dead":
        fail(store, made, retry=False)
    with pytest.raises(ProdigyError, match=said):
        claim(store, item="i0")
    with pytest.raises(ProdigyError, match="no item other"):
        claim(store, item="other")


def test_a_paused_job_hands_out_nothing(store):
    start(store)
    made = claim(store)
    course.pause(str(store), "r", "j", "lunch", quiet)
    assert claim(store) is None
    assert complete(store, made).state == "completed"  # what is in progress goes on
    assert course.unpause(str(store), "r", "j", quiet)
    assert claim(store) is not None


def test_the_course_of_a_job(store):
    start(store, 1)
    with pytest.raises(course.Started, match="was started"):
        start(store, 1)
    made = claim(store)
    with pytest.raises(ProdigyError, match="1 in progress"):
        course.finish(str(store), "r", "j", broken=quiet)
    complete(store, made)
    assert course.set_phase(str(store), "r", "j", "reduce", quiet) == "map"
    assert course.finish(str(store), "r", "j", broken=quiet) == course.Finished(1, 0, [])
    with pytest.raises(ProdigyError, match="is completed since"):
        course.cancel(str(store), "r", "j", None, quiet)
    found = summary.whole(str(store), "r", "j", quiet)
    assert (found["phase"], found["status"]) == ("complete", "completed")
    folder = store / "state/r/mapreduce/jobs/j"
    assert {p.name.split("-2")[0] for p in folder.glob("*checkpoint*")} == {
        "setup-checkpoint.json", "map-checkpoint", "reduce-checkpoint-v1",
    }  # fmt: skip


def test_the_index_is_made_anew_whatever_is_wrong_with_it(store):
    start(store, 4)
    complete(store, claim(store))
    path = store / "state/r/mapreduce/jobs/j/index.sqlite"
    wanted = counted(store)
    for damage in ("gone", "rubbish", "cut", "row", "boot", "ahead"):
        if damage == "gone":
            path.unlink()
        elif damage == "rubbish":
            path.write_bytes(b"rubbish" * 1000)
        elif damage == "cut":
            path.write_bytes(path.read_bytes()[:5000])
        else:
            with sqlite3.connect(path) as connection:
                (value,) = connection.execute("SELECT value FROM meta").fetchone()
                meta = json.loads(value)
                if damage == "row":
                    meta = {"version": 1}
                elif damage == "boot":
                    meta["boot"] = "another"
                else:
                    for mark in meta["position"].values():
                        mark[0] += 1
                connection.execute("UPDATE meta SET value = ?", (json.dumps(meta),))
                connection.execute("UPDATE items SET state = 4")  # wrong, and not believed
            connection.close()
        assert counted(store) == wanted, damage
    assert claim(store).item_id == "i1"


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(store):
    start(store, 30, checkpoint_items=1)
    for _ in range(4):
        complete(store, claim(store))
    folder = store / "state/r/mapreduce/jobs/j"
    newest = sorted(folder.glob("map-checkpoint-*"))
    assert len(newest) >= 2
    text = newest[-1].read_bytes()
    newest[-1].write_bytes(text.replace(b'"completed_items":["i0"', b'"completed_items":["i9"'))
    assert newest[-1].read_bytes() != text  # and job-state.json, which is the same file
    said = []
    state, _ = checkpoints.newest(str(store), "r", "j", said.append)
    assert len(said) == 2
    assert all("integrity" in line for line in said)
    assert books.view(state.items["i0"]).state == "completed"


def test_what_the_log_has_lost_a_checkpoint_does_not_say(store):
    start(store, 5, checkpoint_items=1)
    complete(store, claim(store))
    before = counted(store)
    (path,) = (store / "events/r/j").iterdir()
    kept = path.read_bytes()
    complete(store, claim(store))
    path.write_bytes(kept)  # as after a loss of power
    said = []
    with index.opened(str(store), "r", "j", said.append) as opened:
        assert {state: opened.count(state) for state in index.NUMBER} == before
    assert any("more than the log holds" in line for line in said)


def test_ten_checkpoints_are_kept_and_each_is_an_event(store):
    start(store, 20, checkpoint_items=1)
    for _ in range(15):
        complete(store, claim(store))
    folder = store / "state/r/mapreduce/jobs/j"
    kept = sorted(folder.glob("map-checkpoint-*"))
    assert len(kept) == 10
    saved = [one for one in lines(store) if one["type"] == "CheckpointSaved"]
    assert len(saved) == 15 + 3  # and that of the start, and two as the map phase begins
    assert [one["checkpoint_path"] for one in saved[-10:]] == list(map(str, kept))
    assert (folder / "job-state.json").read_bytes() == kept[-1].read_bytes()


def test_a_large_jobs_checkpoints_get_rarer(store):
    start(store, 400, checkpoint_items=1)
    for _ in range(100):
        complete(store, claim(store))
    saved = [one for one in lines(store) if one["type"] == "CheckpointSaved"]
    assert len(saved) == 3 + 5  # each 5 % of 400 items


def test_threads_of_one_process_do_not_get_the_same_item(store):
    start(store, 40)
    got = []

    def work(agent):
        while (made := claim(store, agent)) is not None:
            got.append(made.item_id)
            complete(store, made)

    threads = [threading.Thread(target=work, args=(f"a{n}",)) for n in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(got) == sorted(f"i{n}" for n in range(40))


def test_items_that_were_changed_behind_the_jobs_back_are_refused(store):
    start(store, 2)
    path = store / "state/r/mapreduce/jobs/j/items.jsonl"
    path.write_text(path.read_text().replace('"n":1', '"n":2'))
    os.unlink(layout.index(str(store), "r", "j"))
    with pytest.raises(ProdigyError, match="not what the job was started with"):
        claim(store)


@pytest.mark.parametrize("damage", [None, b"{\n", b'{"id":"i0","data":"\\ud83d"}\n'])
def test_a_job_whose_items_cannot_be_read_can_be_looked_at_and_ended(store, damage):
    """As an older version left it that began a job before it had read its items back."""
    start(store, 2)
    made = claim(store)
    path = store / "state/r/mapreduce/jobs/j/items.jsonl"
    kept = path.read_bytes()
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    index.discard(str(store), "r", "j")
    said = []
    assert summary.line(str(store), "r", "j", said.append)["in_progress"] == 1
    assert any("restore it" in text for text in said)
    with pytest.raises(ProdigyError, match=r"items.jsonl.*restore it"):
        claim(store, "b")
    course.pause(str(store), "r", "j", None, quiet)
    path.write_bytes(kept)  # once they are back all is as before
    course.unpause(str(store), "r", "j", quiet)
    second = claim(store, "b")
    assert (second.item_id, second.data) == ("i1", {"n": 1})
    path.unlink()
    index.discard(str(store), "r", "j")
    assert complete(store, made).state == "completed"
    course.cancel(str(store), "r", "j", None, quiet)
    assert summary.line(str(store), "r", "j", quiet)["status"] == "cancelled"
