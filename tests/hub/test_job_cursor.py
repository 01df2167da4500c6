"""How far a job has been pulled, as written down: written in its place, and read while it is."""

import os
import threading
from pathlib import Path

import pytest

from prodigy_git import layout
from prodigy_git.hub import job_cursor
from prodigy_git.hub.job_cursor import Cursor

DAMAGED = Cursor("", "", 0, shared=True)


@pytest.fixture
def place(tmp_path):
    name = (str(tmp_path / "store"), "repo", "job")
    return name, Path(layout.hub_job(*name))


def cursor(seq):
    """Return a cursor whose note is longer or shorter from one number to the next."""
    sizes = {f"events-20250111-{n:012x}.jsonl": seq for n in range(seq % 7)}
    return Cursor("hub", "host", 7, True, seq, -seq, sizes, skipped=("id",), boot="boot")


def test_what_is_saved_is_loaded_whatever_was_there_before(place):
    name, path = place
    for seq in (6, 10**15, 3, 7, 13):
        job_cursor.save(*name, cursor(seq), durably=seq == 3)
        assert job_cursor.load(*name) == cursor(seq)
    inode = os.stat(path).st_ino
    job_cursor.save(*name, cursor(1))
    assert os.stat(path).st_ino == inode


@pytest.mark.parametrize("at", [0, 40, 100, -30])
def test_what_is_not_whole_is_no_cursor(place, at):
    name, path = place
    job_cursor.save(*name, cursor(123456))
    data = bytearray(path.read_bytes().rstrip())
    data[at] ^= 1
    path.write_bytes(data)
    assert job_cursor.load(*name) == DAMAGED
    path.write_bytes(b"")
    assert job_cursor.load(*name) == DAMAGED
    job_cursor.save(*name, cursor(2))
    assert job_cursor.load(*name) == cursor(2)


def test_a_number_that_is_half_another_is_not_believed(place):
    name, path = place
    job_cursor.save(*name, cursor(123456))
    path.write_bytes(path.read_bytes().replace(b'"seq":123456', b'"seq":123999'))
    assert job_cursor.load(*name) == DAMAGED


def test_it_is_read_while_it_is_written(place):
    name, _ = place
    job_cursor.save(*name, cursor(0))
    ends = threading.Event()

    def write():
        seq = 0
        while not ends.is_set():
            seq += 1
            job_cursor.save(*name, cursor(seq))

    writer = threading.Thread(target=write)
    writer.start()
    seen = [job_cursor.load(*name) for _ in range(2000)]
    ends.set()
    writer.join()
    seqs = [one.seq for one in seen]
    assert seqs == sorted(seqs)
    assert all(one == cursor(one.seq) for one in seen)
