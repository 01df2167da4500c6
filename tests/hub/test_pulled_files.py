"""Files of pulled events: what is in their way, full disks, lost power, damaged notes."""

import json
import os
import resource
import signal
from pathlib import Path

import pytest
from support_hub_stores import Store, new_hub, on_hub

from prodigy_git import layout
from prodigy_git.hub import job_cursor
from prodigy_git.record import log


@pytest.fixture
def two(hub_url, tmp_path):
    number = new_hub(hub_url)
    a, b = (Store(tmp_path / name, hub_url, number) for name in ("a", "b"))
    a.record("a1", "a2")
    a.sync()
    return a, b


def name_of(a):
    """Return the file on other hosts in which the events of today of this one stand."""
    (path,) = a.folder.glob("events-????????.jsonl")
    return f"{path.stem}-{a.where().host.short}.jsonl"


@pytest.mark.parametrize("what", ["link", "dangling link", "FIFO", "folder"])
def test_what_is_no_file_in_its_place_is_left_and_another_name_taken(two, tmp_path, what):
    a, b = two
    b.folder.mkdir(parents=True)
    place = b.folder / name_of(a)
    other = tmp_path / "other"
    if what == "link":
        other.write_text("")
    {
        "link": lambda: place.symlink_to(other),
        "dangling link": lambda: place.symlink_to(other),
        "FIFO": lambda: os.mkfifo(place),
        "folder": place.mkdir,
    }[what]()
    b.sync()
    (made,) = (path for path in b.folder.iterdir() if path != place)
    assert made.name.startswith(f"{place.name[:15]}T")
    assert made.name.endswith(f"Z-{a.where().host.short}.jsonl")
    assert sorted(line[7:43] for line in made.read_text().splitlines()) == a.ids()
    assert not other.exists() or other.read_text() == ""
    assert b.sync() == (0, 0)
    if what == "FIFO":
        place.unlink()  # for whoever copies what a test leaves


def test_a_full_file_is_followed_by_another(two, monkeypatch):
    a, b = two
    b.sync()
    monkeypatch.setattr(log, "MAX_FILE", 10)
    a.record("a3")
    a.sync()
    b.sync()
    assert len(b.files()) == 2
    assert b.ids() == a.ids()


def test_a_full_disk_leaves_whole_lines_and_the_rest_comes_later(two):
    a, b = two
    b.sync()
    (path,) = b.folder.iterdir()
    before = path.read_bytes()
    a.record(*("x" * 500 for _ in range(20)))
    a.sync()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            limit = len(before) + 3000
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            try:
                b.pull()
            except OSError:
                code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert path.read_bytes() == before
    b.sync()
    assert b.ids() == a.ids()
    assert len(b.ids()) == 22


def test_what_a_loss_of_power_took_is_pulled_again(two):
    a, b = two
    b.pull()
    note = Path(layout.hub_job(*b.name))
    cursor = json.loads(note.read_text())
    assert cursor["boot"] == job_cursor.boot()
    note.write_text(json.dumps(cursor | {"boot": "an earlier one"}))
    (path,) = b.folder.iterdir()
    os.truncate(path, len(path.read_bytes()) - 30)
    assert b.pull() == 1
    assert b.ids() == a.ids()
    # A sync makes them last: then nothing is to be feared of the next start of the machine.
    b.sync()
    assert b.cursor()["boot"] is None


@pytest.mark.parametrize("text", ["", "{", "{}", '{"hub": 5}', "\0" * 400])
def test_a_damaged_note_is_made_anew(two, text, hub_url):
    a, b = two
    b.sync()
    b.record("b1")
    Path(layout.hub_job(*b.name)).write_text(text)
    assert b.where().cursor().shared  # nobody claims without the hub meanwhile
    b.sync()
    a.sync()
    assert a.ids() == b.ids() == sorted(one for _, one in on_hub(hub_url))
    assert len(a.ids()) == 3
