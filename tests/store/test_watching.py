"""Being told of changes: of files, of folders that begin, and after more than the system keeps."""

import sys
import threading
from pathlib import Path

import pytest

from prodigy_git.store import watching

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


def test_a_file_that_grows_a_folder_that_begins(tmp_path):
    folder = tmp_path / "r" / "j"
    folder.mkdir(parents=True)
    path = folder / "events-20250111.jsonl"
    path.write_text("a\n")
    stop = threading.Event()
    found = watching._inotify(str(tmp_path), stop)
    assert next(found) == []
    with path.open("a") as stream:
        stream.write("b\n")
    assert next(found) == [(True, str(path))]
    path.rename(f"{path}.rotated")
    assert next(found) == [(False, str(path)), (False, f"{path}.rotated")]
    (tmp_path / "new").mkdir()
    job = tmp_path / "new" / "job"
    job.mkdir()  # perhaps before the folder above it is watched
    assert next(found) == [(False, str(job))]
    (job / "events-20250111.jsonl").write_text("c\n")
    assert (False, str(job / "events-20250111.jsonl")) in next(found)
    (tmp_path / "r" / "k").mkdir()
    assert next(found) == [(False, str(tmp_path / "r" / "k"))]
    found.close()


def test_nothing_is_told_where_nothing_happens_and_it_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "_LOOK", 10)
    stop = threading.Event()
    found = watching.changes(str(tmp_path), stop, pytest.fail)
    assert [next(found) for _ in range(3)] == [[], [], []]
    stop.set()
    assert len(list(found)) <= 1


def test_the_other_way_tells_the_same(tmp_path):
    stop = threading.Event()
    found = watching._watchfiles(str(tmp_path), stop)
    assert next(found) == []
    path = tmp_path / "r" / "j" / "events-20250111.jsonl"
    told = set()
    for count in range(100):  # what is written before it watches is not told
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as stream:
            stream.write(f"{count}\n")
        told |= set(next(found))
        if (True, str(path)) in told:
            break
    else:
        pytest.fail("not told")
    stop.set()
    found.close()


def test_more_changes_than_the_system_keeps(tmp_path):
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    folder = tmp_path / "r" / "j"
    folder.mkdir(parents=True)
    other = tmp_path / "r" / "k"
    other.mkdir()
    found = watching._inotify(str(tmp_path), threading.Event())
    next(found)
    streams = [(folder / f"{n}.jsonl").open("w", buffering=1) for n in range(2)]
    for number in range(limit + 100):  # in turns, or equal ones are told as one
        streams[number % 2].write("x\n")
    told = set()
    while (False, str(other)) not in told:
        told |= set(next(found))
    for stream in streams:
        stream.close()
    found.close()
