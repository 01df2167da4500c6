"""Following: nothing lost, nothing twice, never half a line, whatever becomes of the files."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import threading

import pytest
from support_cli import PACKAGE_PARENT

from prodigy_git.errors import ProdigyError
from prodigy_git.record import clock, log
from prodigy_git.store import events, follow, watching


def add(store, *ids, job="j"):
    log.append(str(store), "r", job, [{"id": f"{one:0>36}", "type": "Mine"} for one in ids])


def follower(store, since=0):
    return follow.Follower(str(store), lambda: events.jobs(str(store)), since, pytest.fail)


def new(one):
    return [event.id.lstrip("0") for found in one.new() for _, _, event in found]


def test_files_that_are_rotated_archived_and_begun_anew(store):
    add(store, "1", "2")
    one = follower(store)
    assert new(one) == ["1", "2"]
    (path,) = (store / "events/r/j").iterdir()
    path.rename(path.with_name(path.name + ".rotated"))
    add(store, "3")
    assert new(one) == ["3"]
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert new(one) == []
    add(store, "4", job="k")
    assert new(one) == ["4"]
    assert new(follower(store, one.cursor())) == []


def test_what_was_before_and_what_comes_are_all_there_is(store):
    draw = random.Random(11)
    lines = []
    for number in range(1, 41):
        # Of two writers, whose files are not named by their times.
        stamp = f"2025-01-11T12:00:{number:02}.000000Z"
        lines.append((draw.choice("ab"), json.dumps({"id": number, "timestamp": stamp})[1:-1]))
    folder = store / "events/r/j"
    folder.mkdir(parents=True)

    def write(part):
        for name, line in part:
            number = line.split(",")[0].removeprefix('"id": ')
            text = line.replace(f'"id": {number},', f'"id": "{number}","type":"T",')
            with (folder / f"events-{name}.jsonl").open("a") as stream:
                stream.write("{" + text + "}\n")

    write(lines[:20])
    with (folder / "events-a.jsonl").open("a") as stream:
        stream.write('{"id":"half","type":"T",')
        stream.flush()
        one = follower(store, None)
        stream.write('"timestamp":"2025-01-11T12:00:59Z"}\n')
    (folder / "events-b.jsonl").rename(folder / "events-b.jsonl.rotated")
    write(lines[20:])
    before = [event.id for _, _, event in one.before()]
    assert before == [str(number) for number in range(1, 21)]
    assert sorted(new(one)) == sorted([*(str(n).lstrip("0") for n in range(21, 41)), "half"])


def test_half_a_line_waits_for_its_end(store):
    add(store, "1")
    one = follower(store)
    assert new(one) == ["1"]
    (path,) = (store / "events/r/j").iterdir()
    with path.open("a") as stream:
        stream.write('{"id":"2","type":"Mine",')
        stream.flush()
        assert new(one) == []
        stream.write('"event_type":"Mine"}\n')
    assert new(one) == ["2"]


def test_from_now_on_is_without_what_was(store):
    add(store, "1")
    one = follower(store, None)
    add(store, "2")
    assert new(one) == ["2"]


def test_cursors_cut_anywhere_lose_and_repeat_nothing(store):
    draw = random.Random(7)
    wanted, got, cursor = [], [], 0
    for number in range(60):
        job = draw.choice("jk")
        add(store, str(number + 1), job=job)
        wanted.append(str(number + 1))
        if draw.random() < 0.4:
            one = follower(store, cursor)
            got += new(one)
            cursor = one.cursor()
    got += new(follower(store, cursor))
    assert sorted(got, key=int) == wanted


@pytest.mark.parametrize("text", ["", "x", "e30=", "eJyrBQAAdQD5"])
def test_what_is_no_cursor_is_refused(store, text):
    with pytest.raises(ProdigyError, match="no cursor"):
        follower(store, text)


def test_whatever_becomes_of_the_files_cursors_cut_anywhere_lose_and_repeat_nothing(store):
    # Halves of lines, rotations, archives, new jobs and days; a reader that stops anywhere.
    for seed in range(25):
        draw = random.Random(seed)
        root = store / str(seed)
        written, got, cursor, halves, count = [], [], 0, {}, 0
        one = follower(root, cursor)
        for _ in range(60):
            job = draw.choice("jkl")
            folder = root / "events" / "r" / job
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"events-2025011{draw.randrange(3)}.jsonl"
            deed = draw.choice(["append"] * 5 + ["half", "rotate", "archive", "look", "stop"])
            if deed in ("append", "half") and not os.path.exists(f"{path}.gz"):
                count += 1
                line = json.dumps({"id": f"{count:0>36}", "type": "Mine"}) + "\n"
                cut = draw.randrange(len(line)) if deed == "half" else len(line)
                with path.open("a") as stream:
                    stream.write(halves.pop(path, "") + line[:cut])
                if line[cut:]:
                    halves[path] = line[cut:]
                written.append(str(count))
            elif deed == "rotate" and path.exists() and path not in halves:
                rotated = path.with_name(path.name + ".rotated")
                if not rotated.exists():
                    path.rename(rotated)
            elif deed == "archive" and path.exists() and path not in halves:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
                if draw.random() < 0.5:
                    got += new(one)  # both are there
                path.unlink()
            elif deed == "look":
                got += new(one)
            elif deed == "stop":
                for found in one.new():  # and is killed after the first of what it gets
                    got += [event.id.lstrip("0") for _, _, event in found]
                    break
                one = follower(root, one.cursor())
        for path, rest in halves.items():
            with path.open("a") as stream:
                stream.write(rest)
        one = follower(root, one.cursor())
        got += new(one)
        assert new(one) == []
        assert sorted(got, key=int) == written, seed


def test_a_cursor_of_one_who_began_at_a_time_keeps_the_time(store):
    for name, second in (("j", 1), ("k", 5)):
        folder = store / "events" / "r" / name
        folder.mkdir(parents=True)
        (folder / "events-20250111.jsonl").write_text(
            "".join(
                json.dumps({"id": f"{name}{at}", "type": "X",
                            "timestamp": f"2025-01-11T12:00:{at:02}Z"}) + "\n"
                for at in (second, second + 10)
            )
        )  # fmt: skip
    one = follower(store, clock.parse("2025-01-11T12:00:10Z"))
    got = [event.id for _, _, event in next(one.new())]
    got += new(follower(store, one.cursor()))
    assert got == ["j11", "k15"]


def test_what_is_older_than_the_time_is_not_read(store):
    add(store, "1")
    (path,) = (store / "events/r/j").iterdir()
    path.write_text("{broken\n" + path.read_text())
    os.utime(path, (1, 1))
    one = follower(store, clock.now() - clock.SECOND)
    assert new(one) == []
    add(store, "2")
    assert new(one) == ["2"]


def test_a_rotation_between_listing_and_opening(store, monkeypatch):
    add(store, "1", "2", "3")
    one = follower(store)
    assert new(one) == ["1", "2", "3"]
    add(store, "4")
    (path,) = (store / "events/r/j").iterdir()
    listed = events.log_files(str(store), "r", "j")
    path.rename(f"{path}.rotated")
    add(store, "5")
    answers = iter([listed])
    real = events.log_files
    monkeypatch.setattr(events, "log_files", lambda *a: next(answers, None) or real(*a))
    assert sorted(new(one)) == ["4", "5"]
    assert new(one) == []


def test_the_cursor_of_many_jobs_changes_where_few_have_changed(store):
    for number in range(300):
        add(store, str(number + 1), job=f"j{number}")
    one = follower(store)
    new(one)
    first = one.cursor()
    add(store, "1000", job="j7")
    assert new(one) == ["1000"]
    second = one.cursor()
    assert first.split(".")[0] == second.split(".")[0]
    assert first != second
    assert new(follower(store, second)) == []
    assert new(follower(store, first)) == ["1000"]


def test_jobs_that_begin_while_it_follows_and_none_that_are_not_meant(store):
    got, asked = [], []
    stop = threading.Event()

    def meant(repo, job):
        asked.append(job)
        return job != "other"

    one = follow.Follower(
        str(store), lambda: [pair for pair in events.jobs(str(store)) if pair[1] != "other"],
        None, pytest.fail, meant,
    )  # fmt: skip
    number = 0
    for found in one.follow(stop, rounds=True):
        got += [event.id.lstrip("0") for _, _, event in found]
        if not found and len(got) == number and number < 5:
            number += 1
            add(store, "99", job="other")
            add(store, str(number), job=f"new{number}")
        elif len(got) == 5:
            stop.set()
    assert got == ["1", "2", "3", "4", "5"]
    assert {"other", "new5"} <= set(asked)


def test_without_being_told_it_looks_by_itself(store, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(watching, "_inotify", refuse)
    monkeypatch.setattr(watching, "_LOOK", 10)
    said, got = [], []
    stop = threading.Event()
    one = follow.Follower(str(store), lambda: events.jobs(str(store)), None, said.append)
    rounds = 0
    for found in one.follow(stop, rounds=True):
        got += [event.id.lstrip("0") for _, _, event in found]
        rounds += not found
        if rounds == 1:
            add(store, "1")
        if got or rounds > 500:
            stop.set()
    assert got == ["1"]
    assert "not told" in said[0]


def test_writers_at_full_speed(store):
    got = []
    stop = threading.Event()
    writers, each = 4, 100

    def write(number):
        for count in range(each):
            add(store, f"{number}{count:03}", job=f"j{number}")

    threads = [threading.Thread(target=write, args=(n,)) for n in range(1, writers + 1)]
    one = follower(store)
    for thread in threads:
        thread.start()
    for found in one.follow(stop):
        got += [event.id for _, _, event in found]
        if len(got) >= writers * each:
            stop.set()
    for thread in threads:
        thread.join()
    assert len(got) == len(set(got)) == writers * each


def test_the_command_prints_whole_lines_and_ends_with_its_reader(repo, store):
    add(store, "1")
    with subprocess.Popen(
        [sys.executable, "-m", "prodigy_git", "events", "follow", "--all-repos", "--since", "1d",
         "--type", "Mine", "--json"],
        cwd=repo, env={**os.environ, "PYTHONPATH": PACKAGE_PARENT}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert '"cursor":' in child.stdout.readline()
        add(store, "2")
        assert f'"{"2":0>36}"' in child.stdout.readline()
        child.send_signal(signal.SIGTERM)  # INT is ignored by what a script starts with '&'
        _, err = child.communicate(timeout=60)
        assert child.returncode == 130
        assert "Traceback" not in err


def test_the_command_says_where_to_go_on_at_once_and_where_nothing_fits(repo, store):
    add(store, "1")
    environment = {**os.environ, "PYTHONPATH": PACKAGE_PARENT}
    command = [sys.executable, "-m", "prodigy_git", "events", "follow", "--all-repos", "--json"]
    with subprocess.Popen(
        [*command, "--cursor", "--type", "Other"], cwd=repo, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        first = child.stderr.readline().split("cursor: ")[1].strip()
        add(store, "2")
        second = child.stderr.readline().split("cursor: ")[1].strip()
        child.send_signal(signal.SIGTERM)
        out, _ = child.communicate(timeout=60)
    assert out == ""
    assert new(follower(store, first)) == ["2"]
    assert new(follower(store, second)) == []
