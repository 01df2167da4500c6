"""Appending to a log, and reading it: torn lines, clocks, rotation, full disks, many writers."""

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support_record import PACKAGE, events, run

from prodigy_git import layout
from prodigy_git.record import clock, log
from prodigy_git.record.log_position import Position

NOON = clock.parse("2026-03-04T12:00:00Z") or 0
MINUTE = 60 * clock.SECOND
DAY = 24 * 60 * MINUTE


@pytest.fixture
def folder(store: Path) -> Path:
    return Path(layout.job_log(str(store), "repo", "job"))


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set the clock."""

    def set_clock(moment: int) -> None:
        monkeypatch.setattr(clock, "now", lambda: moment)

    set_clock(NOON)
    return set_clock


def add(store: Path, name: str, **fields: Any) -> Position:
    identity = log.event_id("nonce", name)
    return log.append(
        str(store), "repo", "job", [{"id": identity, "type": "Test", "name": name, **fields}]
    )


def names(store: Path) -> list[str]:
    return [event["name"] for event in events(store)]


def test_one_line_with_the_envelope_first(store: Path, folder: Path, at: Any) -> None:
    position = add(store, "a", more=1)
    data = (folder / "events-20260304.jsonl").read_bytes()
    assert (position.file, position.offset) == ("events-20260304.jsonl", len(data))
    assert list(json.loads(data).items()) == [
        ("id", log.event_id("nonce", "a")), ("timestamp", "2026-03-04T12:00:00.000000Z"),
        ("type", "Test"), ("event_type", "Test"), ("name", "a"), ("more", 1),
    ]  # fmt: skip


def test_everything_is_private(store: Path, folder: Path) -> None:
    add(store, "a")
    for path in (store, *store.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize(
    "torn",
    [b'{"id":"half', b"{", b'{"id":"x","timestamp":"2026-03-04T11:00:00Z","type":"T"', b"\xff\xfe",
     b"\0\0\0\0", b'"not an object"', b'{"id":"' + b"x" * 20000],
)  # fmt: skip
def test_a_torn_last_line_is_closed_off_and_reported(
    torn: bytes, store: Path, folder: Path, at: Any
) -> None:
    first = add(store, "a")
    file = folder / first.file
    with file.open("ab") as stream:
        stream.write(torn)
    marks: list[int] = []
    new = {"id": log.event_id("nonce", "b"), "type": "Test", "name": "b"}
    log.append(str(store), "repo", "job", [new], before=lambda p: marks.append(p.offset))
    lines = file.read_bytes().split(b"\n")
    assert lines[1] == torn
    assert json.loads(lines[2])["name"] == "b"
    assert lines[3:] == [b""]
    assert marks == [first.offset + len(torn)]
    report = Path(layout.hook_errors(str(store))).read_text()
    assert report.count("torn line closed off") == 1
    found = log.find(str(folder), [log.event_id("nonce", n) for n in "ab"], None)
    assert found == {log.event_id("nonce", "a"), log.event_id("nonce", "b")}


def test_a_whole_last_line_without_newline_counts(store: Path, folder: Path, at: Any) -> None:
    file = folder / add(store, "a").file
    file.write_bytes(file.read_bytes()[:-1])
    wanted = log.event_id("nonce", "a")
    assert log.find(str(folder), [wanted], None) == {wanted}
    add(store, "b")
    assert names(store) == ["a", "b"]
    assert not Path(layout.hook_errors(str(store))).exists()


def test_times_do_not_go_backwards(store: Path, at: Any) -> None:
    for moment in (NOON, NOON - MINUTE, NOON - 4 * MINUTE, NOON + 1):
        at(moment)
        add(store, str(moment))
    stamps = [event["timestamp"] for event in events(store)]
    assert stamps == [clock.stamp(NOON)] * 3 + [clock.stamp(NOON + 1)]


@pytest.mark.parametrize(
    ("ahead", "followed"), [(5 * MINUTE, True), (5 * MINUTE + 1, False), (DAY, False), (1, True)]
)
def test_a_clock_that_was_ahead(ahead: int, followed: bool, store: Path, at: Any) -> None:
    at(NOON + ahead)
    add(store, "ahead")
    at(NOON)
    add(store, "now")
    by_name = {event["name"]: event["timestamp"] for event in events(store)}
    assert by_name["now"] == clock.stamp(NOON + ahead if followed else NOON)


def test_a_clock_that_stood_in_2099(store: Path, folder: Path, at: Any) -> None:
    add(store, "before")
    at(clock.parse("2099-01-01T00:00:00Z") or 0)
    add(store, "far")
    at(NOON - MINUTE)
    add(store, "after")
    assert sorted(path.name for path in folder.iterdir()) == [
        "events-20260304.jsonl", "events-20990101.jsonl",
    ]  # fmt: skip
    assert [json.loads(x)["name"] for x in (folder / "events-20260304.jsonl").open()] == [
        "before", "after",
    ]  # fmt: skip
    assert {e["timestamp"] for e in events(store) if e["name"] != "far"} == {clock.stamp(NOON)}


def test_a_line_of_2099_in_todays_file(store: Path, folder: Path, at: Any) -> None:
    file = folder / add(store, "before").file
    with file.open("a") as stream:
        stream.write('{"id":"far","timestamp":"2099-01-01T00:00:00Z","type":"T","name":"far"}\n')
    at(NOON - MINUTE)
    add(store, "after")
    add(store, "again")
    stamps = {event["name"]: event["timestamp"] for event in events(store)}
    assert stamps["before"] == clock.stamp(NOON)
    assert stamps["after"] >= stamps["before"]
    assert stamps["again"] >= stamps["after"]
    assert stamps["again"] < "2027"


def test_midnight(store: Path, folder: Path, at: Any) -> None:
    midnight = NOON + DAY // 2
    for moment in (midnight - 1, midnight, midnight - MINUTE, midnight + MINUTE):
        at(moment)
        add(store, str(moment))
    assert [len(path.read_text().splitlines()) for path in sorted(folder.iterdir())] == [1, 3]
    stamps = [event["timestamp"] for event in events(store)]
    assert stamps == sorted(stamps)


def test_rotation(store: Path, folder: Path, at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MAX_FILE", 1000)
    for second in range(40):
        at(NOON + second * clock.SECOND)
        add(store, str(second))
    files = sorted(folder.iterdir(), key=lambda path: path.name.ljust(30))
    assert len(files) > 3
    assert files[0].name == "events-20260304.jsonl"
    assert all(path.name.startswith("events-20260304T1200") for path in files[1:])
    assert all(1000 <= path.stat().st_size < 1400 for path in files[:-1])
    lines = [json.loads(line)["name"] for path in files for line in path.open()]
    assert lines == [str(second) for second in range(40)]
    ids = {log.event_id("nonce", str(second)) for second in range(40)}
    assert log.find(str(folder), ids, None) == ids


def test_full_files_within_one_second(
    store: Path, folder: Path, at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "MAX_FILE", 100)
    for index in range(20):
        add(store, str(index))
    assert sorted(map(int, names(store))) == list(range(20))


def test_find_from_a_mark_over_a_rotation(
    store: Path, folder: Path, at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "MAX_FILE", 300)
    add(store, "before")
    mark = add(store, "mark")
    for second in range(1, 6):
        at(NOON + second * clock.SECOND)
        add(store, str(second))
    ids = [log.event_id("nonce", str(second)) for second in range(1, 6)]
    before = log.event_id("nonce", "before")
    assert log.find(str(folder), [*ids, before], mark) == set(ids)


def test_a_full_disk_leaves_no_half_line(store: Path, folder: Path) -> None:
    """RLIMIT_FSIZE makes the write that crosses it a short one, as a full disk does."""
    first = add(store, "a")
    program = (
        "import resource, signal, sys; sys.path.insert(0, sys.argv[1])\n"
        "from prodigy_git.record import log\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)\n"
        "try: log.append(sys.argv[2], 'repo', 'job', [{'id': 'x', 'type': 'T', 'v': 'y' * 5000}])\n"
        "except OSError as error: print(error.errno)\n"
    )
    for room in (1, 100, 4000):
        done = run(
            sys.executable, "-c", program, PACKAGE, store, str(first.offset + room),
            cwd=store,
        )  # fmt: skip
        assert done.stdout.strip() in (b"28", b"27")
        assert (folder / first.file).stat().st_size == first.offset
    add(store, "b")
    assert names(store) == ["a", "b"]


WRITER = """
import sys; sys.path.insert(0, sys.argv[1])
from prodigy_git.record import log
store, writer, count, size = sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
for index in range(count):
    name = f"{writer}.{index}"
    event = {"id": log.event_id("nonce", name), "type": "T", "name": name, "text": "x" * size}
    log.append(store, "repo", "job", [event], patience=60)
"""


def test_many_writers_and_a_reader(store: Path, folder: Path, monkeypatch: Any) -> None:
    """64 processes; the reader follows as `tail -f` does, taking only what a newline ends."""
    sizes = {f"w{n}": (200, 2_000, 20_000, 200)[n % 4] for n in range(60)}
    sizes |= {f"big{n}": 1_000_000 for n in range(4)}
    followed: list[str] = []
    stop = threading.Event()

    def follow() -> None:
        seen = 0
        while True:
            last_round = stop.is_set()
            for file in folder.glob("*.jsonl"):
                with file.open("rb") as stream:
                    stream.seek(seen)
                    data = stream.read()
                whole = data[: data.rfind(b"\n") + 1]
                followed.extend(json.loads(line)["name"] for line in whole.splitlines())
                seen += len(whole)
            if last_round:
                return

    reader = threading.Thread(target=follow)
    reader.start()
    children = [
        os.spawnv(
            os.P_NOWAIT, sys.executable,
            [sys.executable, "-I", "-S", "-c", WRITER, PACKAGE, str(store), name,
             "3" if size == 1_000_000 else "8", str(size)],
        )
        for name, size in sizes.items()
    ]  # fmt: skip
    try:
        assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    finally:
        stop.set()
        reader.join()
    log_events = events(store)
    expected = {
        f"{name}.{index}"
        for name, size in sizes.items()
        for index in range(3 if size == 1_000_000 else 8)
    }
    found = [event["name"] for event in log_events]
    assert len(found) == len(set(found))
    assert set(found) == expected
    stamps = [event["timestamp"] for event in log_events]
    assert stamps == sorted(stamps)
    for name in sizes:
        own = [int(one.split(".")[1]) for one in found if one.startswith(f"{name}.")]
        assert own == sorted(own)
    if len(list(folder.glob("*.jsonl"))) == 1:  # not over midnight
        assert followed == found
