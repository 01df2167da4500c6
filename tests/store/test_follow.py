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
from prodigy_git.record import log
from prodigy_git.store import events, follow


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
        [sys.executable, "-m", "prodigy_git", "events", "follow", "--all-jobs", "--since", "1d",
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
