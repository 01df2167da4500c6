"""Items that are to be before or after others, and items that a job gets while it runs."""

import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_claims import claim, complete, counted, fail, lines, quiet, states

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import (
    checkpoints,
    claims,
    course,
    index,
    items,
    ordering,
    peek,
    requeue,
    summary,
)


def begin(store, *data, **how):
    course.start(str(store), "r", "j", given=items.named(list(data), "f"), broken=quiet, **how)


def add(store, *data, **how):
    return course.add(str(store), "r", "j", list(data), where="f", broken=quiet, **how)


def got(made):
    return None if made is None else made.item_id


def test_the_highest_priority_is_first_and_then_the_order(store):
    begin(store, {"id": "a"}, {"id": "b", "priority": 1}, {"id": "c", "priority": -1}, 4,
          {"id": "e", "priority": 1}, {"id": "f", "priority": 7})  # fmt: skip
    assert [got(claim(store, f"a{n}")) for n in range(7)] == [
        "f",
        "b",
        "e",
        "a",
        "item-4",
        "c",
        None,
    ]


def test_what_is_to_be_after_others_waits_and_says_so(store):
    begin(store, {"id": "a"}, {"id": "b", "after": ["a"], "priority": 9}, {"id": "c", "after": ["b"]},
          max_attempts=1)  # fmt: skip
    first = claim(store)
    assert (first.item_id, claim(store)) == ("a", None)
    left = claims.waiting(str(store), "r", "j", quiet)
    assert (left.pending, left.in_progress, left.waiting, left.held_up_by) == (2, 1, 2, ())
    assert left.ready_at is not None  # whoever waits asks again then
    with pytest.raises(ProdigyError, match="item c waits for b"):
        claim(store, item="c")
    assert fail(store, first).state == "dead"
    left = claims.waiting(str(store), "r", "j", quiet)
    assert (left.pending, left.ready_at, left.waiting, left.held_up_by) == (2, None, 2, ("a",))
    assert left.stuck
    with peek.opened(str(store), "r", "j", quiet) as opened:
        found = summary.of(opened)
    assert (found["waiting"], found["waiting_for_others"]) == (2, 2)
    assert found["held_up_by"] == [{"item_id": "a", "state": "dead", "waiting_count": 1}]
    with pytest.raises(ProdigyError, match="2 pending"):
        course.finish(str(store), "r", "j", broken=quiet)
    requeue.requeue(str(store), "r", "j", ["a"], quiet)
    for name in "abc":
        made = claim(store)
        assert made.item_id == name
        complete(store, made)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([{"id": "a", "after": ["zz"]}], "item a is after zz, which is no item"),
        ([{"id": "a", "after": ["a"]}], "wait for each other: a after a"),
        (
            [{"id": "a", "after": ["c"]}, {"id": "b", "after": ["a"]}, {"id": "c", "after": ["b"]}],
            "wait for each other: a after c after b after a",
        ),
        ([{"id": "a", "after": "b"}], "give a list of items' ids, or give --no-order"),
        ([{"id": "a", "after": [["b"]]}], "give a list"),
        ([{"id": "a", "after": [True]}], "give a list"),
        ([{"id": "a", "after": None}], "give a list"),
        ([{"id": "a", "priority": "high"}], "give a whole number, or give --no-order"),
        ([{"id": "a", "priority": 1.5}], "give a whole number"),
        ([{"id": "a", "priority": True}], "give a whole number"),
        ([{"id": "a", "priority": 10**12}], "give a whole number"),
    ],
)
def test_what_no_order_can_be_made_of_is_refused_before_anything_is_written(store, data, said):
    with pytest.raises(ProdigyError, match=said):
        begin(store, *data)
    assert not (store / "events").exists()
    begin(store, {"id": "first"})
    before = lines(store)
    with pytest.raises(ProdigyError, match=said):
        add(store, *data)
    assert lines(store) == before
    assert sorted(path.name for path in store.rglob("items*")) == ["items.jsonl"]
    if "a" in data[0]["id"] and len(data) == 1 and data[0].get("priority") != 10**12:
        add(store, *data, ordered=False)  # it means something else there
        assert [got(claim(store)) for _ in range(2)] == ["first", "a"]


def test_a_long_chain_is_no_circle(store):
    chain = [(f"i{n}", {"after": [f"i{n + 1}"]}) for n in range(5000)] + [("i5000", 1)]
    assert len(ordering.asked(chain, lambda _: False, "f")) == 5000
    chain[-1] = ("i5000", {"after": ["i0"]})
    with pytest.raises(ProdigyError, match="wait for each other"):
        ordering.asked(chain, lambda _: False, "f")


def test_fields_of_items_of_before_mean_what_they_did(store):
    """An older version's file has no order, whatever its items are called."""
    begin(store, {"id": "a", "after": ["b"]}, {"id": "b", "priority": 3}, ordered=False)
    assert got(claim(store)) == "a"


def test_a_job_gets_more_items_while_it_runs(store):
    begin(store, {"id": "a"}, 2)
    first = claim(store)
    assert add(store, {"id": "x", "after": ["a"]}, "no id", {"id": "y", "priority": 1}) == (
        ["x", "item-4", "y"], [],
    )  # fmt: skip
    assert [got(claim(store, f"b{n}")) for n in range(4)] == ["y", "item-2", "item-4", None]
    complete(store, first)
    made = claim(store)
    assert (made.item_id, made.data) == ("x", {"id": "x", "after": ["a"]})
    before = lines(store)
    with pytest.raises(ProdigyError, match="has item x and 1 more already: give --skip-known"):
        add(store, {"id": "z"}, {"id": "x"}, {"id": "y"})
    assert lines(store) == before
    assert add(store, {"id": "z"}, {"id": "x"}, skip_known=True) == (["z"], ["x"])
    assert add(store, {"id": "x"}, skip_known=True) == ([], ["x"])
    assert counted(store)["pending"] == 1
    index.discard(str(store), "r", "j")
    assert (counted(store)["pending"], got(claim(store))) == (1, "z")
    found, _ = checkpoints.newest(str(store), "r", "j", quiet)
    assert len(found.job.added) <= 2


def test_a_job_that_is_over_or_was_not_started_gets_none(store):
    with pytest.raises(ProdigyError, match="no job j"):
        add(store, 1)
    course.start(str(store), "r", "j", given=None, broken=quiet)
    assert add(store, 1) == (["item-1"], [])
    with pytest.raises(ProdigyError, match="has no item other"):
        claim(store, item="other")
    course.cancel(str(store), "r", "j", None, quiet)
    with pytest.raises(ProdigyError, match="job reopen j"):
        add(store, 2)
    course.reopen(str(store), "r", "j", None, quiet)
    assert add(store, 2) == (["item-2"], [])


def test_items_that_were_added_and_are_lost_are_named(store):
    begin(store, 1)
    add(store, 2)
    (path,) = (store / "state/r/mapreduce/jobs/j").glob("items-*.jsonl")
    kept = path.read_bytes()
    for damage in (None, kept.replace(b"2", b"3")):
        index.discard(str(store), "r", "j")
        path.unlink() if damage is None else path.write_bytes(damage)
        with pytest.raises(ProdigyError, match=path.name):
            claim(store)
        path.write_bytes(kept)
    assert [got(claim(store)) for _ in range(2)] == ["item-1", "item-2"]


def test_what_was_added_elsewhere_is_known_once_its_event_is(store, tmp_path):
    """An index that others have brought up to the log, or not: as after a kill between the two."""
    begin(store, {"id": "a"})
    path = store / "state/r/mapreduce/jobs/j/index.sqlite"
    shutil.copy(path, tmp_path / "kept")
    add(store, {"id": "b", "priority": 1})
    path.write_bytes((tmp_path / "kept").read_bytes())  # the same file, as it was
    assert [got(claim(store)) for _ in range(3)] == ["b", "a", None]


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32))
def test_any_order_against_a_model(scratch, seed):
    """Random priorities, predecessors, ends and additions; the index thrown away now and then."""
    store = Path(tempfile.mkdtemp(dir=scratch))
    draw = random.Random(seed)
    known = []  # (id, priority, after) in their order
    over = {}  # id: its state, if that is not pending

    def some(count):
        fresh = [f"i{len(known) + n}" for n in range(count)]
        made = []
        for place, name in enumerate(fresh):
            before = [one for one, _, _ in known] + fresh[:place]
            after = draw.sample(before, min(len(before), draw.choice((0, 0, 1, 2))))
            made.append((name, draw.choice((0, 0, 1, 5)), after))
        data = [{"id": n, "priority": p, "after": a} for n, p, a in made]
        draw.shuffle(data)
        known.extend((one["id"], one["priority"], one["after"]) for one in data)
        return data

    begin(store, *some(draw.randrange(1, 6)), max_attempts=1)
    for _ in range(20):
        if draw.random() < 0.2:
            index.discard(str(store), "r", "j")
        if draw.random() < 0.15:
            add(store, *some(draw.randrange(1, 4)))
        free = [
            (-priority, place, name)
            for place, (name, priority, after) in enumerate(known)
            if name not in over and all(over.get(one) == "completed" for one in after)
        ]
        made = claim(store)
        assert got(made) == (min(free)[2] if free else None)
        if made is None:
            dead = sorted(name for name, state in over.items() if state == "dead")
            if not dead:
                break
            requeue.requeue(str(store), "r", "j", dead[:1], quiet)
            del over[dead[0]]
        elif draw.random() < 0.3:
            fail(store, made)
            over[made.item_id] = "dead"
        else:
            complete(store, made)
            over[made.item_id] = "completed"
    assert {name: state for name, state in states(store).items() if state != "pending"} == over


def test_the_files_of_items_are_known_to_clean(store):
    begin(store, 1)
    add(store, 2)
    path = layout.items_added(str(store), "r", "j", lines(store)[-1]["items_sha256"])
    from prodigy_git.cleanup.drift import leftovers

    said = [finding.path for finding in leftovers.unknown(str(store), "r")]
    assert path not in said
