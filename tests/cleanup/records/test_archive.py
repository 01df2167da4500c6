"""Archived logs: readable as before, never appended to, each event once whenever the archiver dies."""

import errno
import gzip
import json
import os
from pathlib import Path

import pytest
from support_cli import call, foreign_session, new, ok, snapshot, write_log

from prodigy_git.cleanup.records import archive, by_age
from prodigy_git.record import archived, clock, cursor, gitdir, log
from prodigy_git.record.log_position import Position
from prodigy_git.store import events

DAY = "events-20250111.jsonl"
OLD = "2025-01-11T12:00:00Z"
CHANGING = ("open", "write", "rename", "unlink", "fsync", "mkdir", "rmdir")


def event(number, **fields):
    """Return an event's line as our own log has it: `log.find` looks at no others."""
    found = {"id": identity(number), "timestamp": OLD, "type": "X", "number": number, **fields}
    return json.dumps(found, separators=(",", ":"))


def identity(number):
    return log.event_id("nonce", str(number))


def append(store, job, number):
    event = {"id": identity(number), "type": "X", "number": number}
    log.append(str(store), "r", job, [event])


def numbers(store, job="j"):
    return [one.own()["number"] for one in events.read_job(str(store), "r", job, pytest.fail)]


def archive_all(store, *options):
    return ok("clean", "--events", "--archive", "--all-repos", "--yes", "--json", *options).json


def folder(store):
    return store / "events" / "r" / "j"


def names(store):
    return sorted(path.name for path in folder(store).iterdir())


def test_what_is_archived_reads_as_before(store):
    lines = [
        event(0),
        {"event_type": "agent_completed", "timestamp": OLD, "number": 1},
        {"id": "x", "timestamp": OLD, "event": {"event_type": "agent_failed", "number": 2}},
        {"AgentStarted": {"timestamp": OLD, "number": 3}},
    ]
    path = write_log(store, "r", "j", DAY, *lines)
    write_log(store, "r", "j", "events-20250110_120000.jsonl", event(4))
    write_log(store, "r", "j", "events-1.jsonl.rotated", event(5))
    whole = path.read_bytes()
    before = ok("events", "ls", "--job", "j", "--json").out
    said = archive_all(store)["events"]
    assert said["count"] == 3
    assert names(store) == [
        "events-1.jsonl.rotated.gz", "events-20250110_120000.jsonl.gz", f"{DAY}.gz",
    ]  # fmt: skip
    assert ok("events", "ls", "--job", "j", "--json").out == before
    packed = folder(store) / f"{DAY}.gz"
    assert gzip.decompress(packed.read_bytes()) == whole
    assert packed.stat().st_mode & 0o777 == 0o600
    (own,) = [one for one in said["items"] if one["path"] == str(path)]
    assert (own["bytes"], own["archive_bytes"]) == (len(whole), packed.stat().st_size)
    assert archive_all(store)["events"]["count"] == 0


def test_an_archive_goes_to_the_trash_when_logs_do(store):
    write_log(store, "r", "j", DAY, event(0))
    archive_all(store)
    ok("events", "clean")
    assert not folder(store).exists()
    (there,) = (store / "trash").rglob("events-*")
    assert gzip.decompress(there.read_bytes()).count(b"\n") == 1


@pytest.mark.parametrize(
    "last", ['{"type":"X"}', "{broken", '{"type":"X","timestamp":"2999-01-01T00:00:00Z"}']
)
def test_what_is_undated_broken_or_young_stays_as_it_is(store, last):
    path = write_log(store, "r", "j", DAY, event(0), last)
    before = snapshot(store)
    done = ok("clean", "--events", "--archive", "--all-repos", "--yes")
    assert snapshot(store) == before
    assert (f"{path}:2: " in done.err) == ("2999" not in last)


def test_a_later_event_goes_to_another_file_and_stamps_never_go_back(store, monkeypatch):
    ahead = (clock.parse(OLD) or 0) + 1_500_000
    write_log(store, "r", "j", DAY, event(0, timestamp=clock.stamp(ahead)))
    archive_all(store)
    # The clock has been put back, to a time of the archive's day.
    monkeypatch.setattr(clock, "now", lambda: clock.parse("2025-01-11T11:58:30Z") or 0)
    for number in (1, 2):
        append(store, "j", number)
    assert names(store) == [f"{DAY}.gz", "events-20250111T120002Z.jsonl"]
    assert numbers(store) == [0, 1, 2]
    # That one archived too, and the next event within the same second.
    (found,) = by_age.find(str(store), {"events": ahead + 10**9}, pytest.fail, archiving=True)
    by_age.carry_out(str(store), [found], pytest.fail)
    append(store, "j", 3)
    assert len(names(store)) == 3
    assert numbers(store) == [0, 1, 2, 3]


def test_a_position_in_a_log_holds_for_its_archive(store):
    path = write_log(store, "r", "j", DAY, *(event(number) for number in range(5)))
    offset = len(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    wanted = [identity(number) for number in range(6)]
    positions = [None, Position("", 0), Position(DAY, offset), Position("f", 0)]
    before = [log.find(str(folder(store)), wanted, since) for since in positions]
    assert [len(found) for found in before] == [5, 5, 2, 0]
    archive_all(store)
    assert [log.find(str(folder(store)), wanted, since) for since in positions] == before
    assert events.position_name(f"{path}.gz") == DAY


def test_a_reader_that_listed_the_folder_before_finds_the_archive(store):
    path = write_log(store, "r", "j", DAY, event(0), event(1))
    archive_all(store)
    assert len(list(events.read_file(str(path), pytest.fail))) == 2
    troubles: list[str] = []
    assert list(events.read_file(f"{path}x", troubles.append)) == []
    assert len(troubles) == 1


def test_a_damaged_archive_gives_what_it_can_and_is_told(store):
    path = write_log(
        store, "r", "j", DAY, *(event(n, noise=os.urandom(99).hex()) for n in range(9))
    )
    archive_all(store)
    packed = Path(f"{path}.gz")
    packed.write_bytes(packed.read_bytes()[:-600])
    troubles: list[str] = []
    found = [one.own()["number"] for one in events.read_job(str(store), "r", "j", troubles.append)]
    assert found == list(range(len(found)))
    assert str(packed) in troubles[0]
    ids = [identity(number) for number in range(9)]
    assert log.find(str(folder(store)), ids, None) >= set(ids[: len(found)])
    before = snapshot(folder(store))
    assert str(packed) in ok("events", "clean").err
    assert snapshot(folder(store)) == before


def test_another_archive_of_that_name_is_not_overwritten_and_both_are_read(store):
    path = write_log(store, "r", "j", DAY, event(0))
    Path(f"{path}.gz").write_bytes(gzip.compress(event(1).encode() + b"\n"))
    before = snapshot(folder(store))
    done = call("clean", "--events", "--archive", "--all-repos", "--yes")
    assert (done.code, done.err.count("holds other events")) == (1, 1)
    assert snapshot(folder(store)) == before
    assert sorted(numbers(store)) == [0, 1]


def test_what_has_grown_meanwhile_is_left(store):
    path = write_log(store, "r", "j", DAY, event(0))
    size = path.stat().st_size
    with path.open("a") as stream:
        stream.write(event(1) + "\n")
    assert archive.compress(str(store), "r", "j", str(path), size, 0) is None
    assert names(store) == [DAY]


def faulty(monkeypatch, at, fault):
    """Let the ``at``-th call that changes something be the last, or fail; return the counter."""
    count = [0]

    def wrap(real):
        def call_(*arguments, **more):
            # Opening to read, as the lock's and the source's, changes nothing.
            if real is not os.open or arguments[1] & (os.O_WRONLY | os.O_CREAT):
                count[0] += 1
                if count[0] == at:
                    fault()
            return real(*arguments, **more)

        return call_

    for name in CHANGING:
        monkeypatch.setattr(os, name, wrap(getattr(os, name)))
    return count


def kill():
    os._exit(9)


def fail():
    raise OSError(errno.EIO, "injected")


def clean_now(store, archiving):
    limit = {"events": clock.now()}
    found = by_age.find(str(store), limit, lambda _: None, archiving=archiving)
    return by_age.carry_out(str(store), found, lambda _: None)


@pytest.mark.parametrize("then", ["archive", "trash"])
def test_killed_before_any_change(store, then):
    wanted = list(range(3))
    ids = {identity(number) for number in wanted}
    reached = True
    at = 0
    while reached:
        at += 1
        job = f"j{at}"
        path = write_log(store, "r", job, DAY, *map(event, wanted))
        child = os.fork()
        if child == 0:
            with pytest.MonkeyPatch.context() as patch:
                faulty(patch, at, kill)
                clean_now(store, archiving=True)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, 9)
        reached = status == 9
        assert numbers(store, job) == wanted
        assert log.find(str(path.parent), ids, None) == ids
        # Another's event comes before the next clean-up does.
        append(store, job, 3)
        assert numbers(store, job) == [*wanted, 3]
        clean_now(store, archiving=then == "archive")
        left = sorted(one.name for one in path.parent.iterdir()) if path.parent.exists() else []
        if then == "archive":
            assert numbers(store, job) == [*wanted, 3]
            assert all(name.endswith(".jsonl.gz") for name in left), left
        else:
            assert left == []
            trashed = [p for p in (store / "trash" / "r" / job).rglob("events-*") if p.is_file()]
            text = b"".join(
                gzip.decompress(p.read_bytes()) if p.suffix == ".gz" else p.read_bytes()
                for p in trashed
            )
            assert text.count(b"\n") == 4
    assert at > 10  # temporary, contents, sync, names, original: they were all met


def test_any_call_may_fail(store):
    failed = True
    at = 0
    while failed:
        at += 1
        job = f"j{at}"
        path = write_log(store, "r", job, DAY, event(0), event(1))
        with pytest.MonkeyPatch.context() as patch:
            count = faulty(patch, at, fail)
            done = clean_now(store, archiving=True)
        failed = count[0] >= at
        assert numbers(store, job) == [0, 1]
        if [one.error for one in done if one.owner == job] not in ([None], []):
            assert path.exists()
        assert {one.suffix for one in path.parent.iterdir()} <= {".jsonl", ".gz"}
        clean_now(store, archiving=True)
        assert [one.name for one in path.parent.iterdir()] == [f"{DAY}.gz"]


def test_a_copy_is_told_from_another_log(tmp_path):
    path = tmp_path / DAY
    for original, packed, expected in (
        (b"a\nb\n", b"a\nb\n", True), (b"a\nb\nc\n", b"a\nb\n", True), (b"", b"", True),
        (b"a\nb\n", b"a\nc\n", False), (b"a\n", b"a\nb\n", False),
    ):  # fmt: skip
        path.write_bytes(original)
        Path(f"{path}.gz").write_bytes(gzip.compress(packed))
        assert archived.is_copy(str(path)) is expected, (original, packed)
    Path(f"{path}.gz").write_bytes(b"short")
    assert not archived.is_copy(str(path))


def test_a_cursor_that_is_lost_finds_what_was_recorded_in_the_archive(repo, store, git, prodigy):
    top = Path(new(repo, "w1")["worktree"])
    prodigy("install", cwd=repo, check=True)
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=top)
    ok("finish", "w1", cwd=repo)
    said = ok("clean", "--events", "--archive", "--older-than", "0s", "--yes", "--json", cwd=repo)
    assert said.json["events"]["count"] == 1
    place = gitdir.find(str(top), {})
    assert place is not None
    assert cursor.read(place.private) is not None
    os.unlink(f"{place.private}/prodigy-cursor")
    git("commit", "-q", "--allow-empty", "-m", "two", cwd=top)
    found = list(events.read_job(str(store), "repo", "w1", pytest.fail))
    subjects = [one.own()["subject"] for one in found if one.type == "CommitCreated"]
    assert subjects == ["one", "two"]
    assert len({one.id for one in found}) == len(found)
    ok("verify", cwd=repo)


def test_a_running_session_keeps_its_log_from_the_archive(store):
    write_log(store, "r", "j", DAY, event(0))
    foreign_session(store, "s", status="Running", completed_at=None, metadata={"job_id": "j"})
    assert archive_all(store, "--older-than", "0s")["events"]["count"] == 0
    assert names(store) == [DAY]
