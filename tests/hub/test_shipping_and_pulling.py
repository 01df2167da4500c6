"""What one host records comes to every other one, once, and nothing of it comes back."""

import pytest
from support_hub import rows
from support_hub_stores import JOB, Store, new_hub, on_hub

from prodigy_git.hub import copied_rows, pulling


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


def test_many_lines_of_many_sizes_come_in_batches(three):
    a, b, _ = three
    words = [f"{number} {'y' * (number % 1700)}" for number in range(30_000)]
    a.record(*words)
    assert a.sync() == (30_000, 0)
    assert b.sync() == (0, 30_000)
    assert b.words() == words
    assert b.cursor()["seq"] == a.cursor()["seq"] == 30_000
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
