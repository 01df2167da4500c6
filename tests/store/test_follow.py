"""Following: nothing lost, nothing twice, never half a line, whatever becomes of the files."""

import gzip
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
