"""What one host records comes to every other one, once, and nothing of it comes back."""

import uuid

import pytest
from support_hub import rows
from support_hub_stores import JOB, Store, new_hub, on_hub

from prodigy_git.hub import copied_rows, pulling, shipping
from prodigy_git.store import outside_events


@pytest.fixture
def three(hub_url, tmp_path):
    number = new_hub(hub_url)
    return [Store(tmp_path / name, hub_url, number) for name in ("a", "b", "c")]


def test_what_is_recorded_on_one_host_is_on_all(three, hub_url):
    a, b, c = three
    first = a.record("one", "two")
    assert a.sync() == (2, 0)
    second = b.record("three")
    assert b.sync() == (1, 2)
    assert a.sync() == (0, 1)
    assert c.sync() == (0, 3)
    assert a.ids() == b.ids() == c.ids() == sorted(first + second)
    assert [seq for seq, _ in on_hub(hub_url)] == [1, 2, 3]
    for one in three:
        assert one.sync() == (0, 0)
        assert one.said == []


def test_lines_come_byte_for_byte_into_a_file_of_their_host(three):
    a, b, _ = three
    a.record("back\\slash", 'quo"te', "tab\tand\nline", "ünïcode", "x" * 5000)
    a.sync()
    b.sync()
    ((name, text),) = a.files().items()
    day = name.removeprefix("events-").removesuffix(".jsonl")
    assert b.files() == {f"events-{day}-{a.where().host.short}.jsonl": text}
    assert b.words() == a.words()


def test_others_files_are_never_appended_to_by_a_writer_here(three):
    a, b, _ = three
    a.record("there")
    a.sync()
    b.sync()
    before = b.files()
    b.record("here")
    assert {name: text for name, text in b.files().items() if name in before} == before
    assert len(b.files()) == 2


def test_many_lines_of_many_sizes_come_in_batches(three, monkeypatch):
    for module, name, value in (
        (shipping, "_ROWS", 70), (pulling, "_ROWS", 90), (copied_rows, "_BLOCK", 10_000),
        (copied_rows, "_PIECE", 3000),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    a, b, _ = three
    words = [f"{number} {'y' * (number * 7 % 1700)}" for number in range(500)]
    a.record(*words)
    assert a.sync() == (500, 0)
    assert b.sync() == (0, 500)
    assert b.words() == words
    assert b.cursor()["seq"] == a.cursor()["seq"] == 500
    assert JOB == "job-1"


@pytest.mark.parametrize("removed", ["5 AND 14", "1 AND 14", "9 AND 20", "1 AND 20"])
def test_a_long_stream_is_asked_for_in_parts_whatever_was_removed(
    three, hub_url, monkeypatch, removed
):
    """A server without statistics would sort all the rest of a stream for each part."""
    a, b, _ = three
    asked = []
    blocks = copied_rows.blocks

    def asking(tx, job, first, last):
        asked.append(last - first)
        return blocks(tx, job, first, last)

    monkeypatch.setattr(copied_rows, "blocks", asking)
    monkeypatch.setattr(pulling, "_ROWS", 3)
    a.record(*(str(number) for number in range(20)))
    a.ship()
    rows(hub_url, f"DELETE FROM prodigy_hub.event WHERE seq BETWEEN {removed}")
    left = sorted(one for _, one in on_hub(hub_url))
    assert b.pull() == len(left)
    assert b.ids() == left
    assert max(asked) == 3
    assert len(asked) <= 2 + len(left)
    a.record("more")
    assert a.ship() == 1
    assert b.pull() == 1


def test_an_event_that_came_from_elsewhere_is_not_recorded_again(three):
    a, b, _ = three
    given = {"id": str(uuid.uuid4()), "type": "Note", "content": "of a CI"}
    outside_events.record(*a.name, [given])
    a.sync()
    b.sync()
    outside_events.record(*b.name, [given])
    assert b.sync() == (0, 0)
    assert b.ids() == a.ids() == [given["id"]]


def test_one_event_that_two_hosts_record_at_once_is_on_each_once(three, hub_url):
    a, b, c = three
    given = {"id": str(uuid.uuid4()), "type": "Note", "content": "of a CI"}
    for one in (a, b):
        outside_events.record(*one.name, [given])
        one.record("its own")
    for one in (a, b, c, a):
        one.sync()
    assert a.ids() == b.ids() == c.ids() == sorted(one for _, one in on_hub(hub_url))
    assert len(a.ids()) == 3
