"""An index that is damaged, gone, or no file at all: every step and every look has the log's answer."""

import os
import random
import shutil
import socket
from collections import Counter

import pytest

from prodigy_git import glance, layout
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import books, claims, course, peek, replay, requeue, summary
from prodigy_git.jobs import index as indexes
from prodigy_git.views.overview import items as shown

PAGE = 4096
WHERE = ("r", "j")


def quiet(_):
    pass


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A job of 120 items: 20 completed, 20 failed for good with a long error, 20 in progress."""
    store = str(tmp_path_factory.mktemp("template") / "store")
    given = [(f"item-{n:03}", n) for n in range(120)]
    course.start(store, *WHERE, given=given, max_attempts=1, broken=pytest.fail)
    with claims.step(store, *WHERE, pytest.fail) as index:
        index.meta.checkpoint_ended = (
            1000  # none is written meanwhile: the log is what it is made from
        )
    for n in range(60):
        made = claims.claim(store, *WHERE, agent=f"a{n}", lease=10**12, broken=pytest.fail)
        if n < 20:
            claims.complete(store, *WHERE, made, commits=[], broken=pytest.fail)
        elif n < 40:
            claims.fail(store, *WHERE, made, error="x" * 1500, broken=pytest.fail)
    return store


@pytest.fixture
def place(template, tmp_path):
    shutil.copytree(template, tmp_path / "store")
    store = str(tmp_path / "store")
    with indexes.opened(store, *WHERE, quiet):
        pass  # the copy of an index is made anew
    return store


def counts(store):
    found = replay.whole(store, *WHERE, quiet).items.values()
    return Counter(books.view(item).state for item in found)


STEPS = {
    "next": lambda s: claims.claim(s, *WHERE, agent="b", lease=10**12, broken=quiet).item_id,
    "done": lambda s: (
        claims.complete(
            s,
            *WHERE,
            claims.claim_now(s, *WHERE, "item-045", None, None, quiet),
            commits=[],
            broken=quiet,
        ).state
    ),
    "failed": lambda s: (
        claims.fail(
            s,
            *WHERE,
            claims.claim_now(s, *WHERE, "item-045", None, None, quiet),
            error="e",
            broken=quiet,
        ).state
    ),
    "waiting": lambda s: claims.waiting(s, *WHERE, quiet).pending,
    "pause": lambda s: course.pause(s, *WHERE, None, quiet),
    "requeue": lambda s: len(requeue.requeue(s, *WHERE, None, quiet)),
    "finish": lambda s: course.finish(s, *WHERE, error="e", broken=quiet),
    "show": lambda s: _without_rates(summary.whole(s, *WHERE, quiet)),
    "looks": lambda s: _looked(s),
}


def _without_rates(found):
    return {name: value for name, value in found.items() if name != "rates"}


def _looked(store):
    with peek.opened(store, *WHERE, quiet) as index:
        return [one.item for one in shown.held(index)], index.item("item-045") is not None


def pages(store):
    return os.path.getsize(layout.index(store, *WHERE)) // PAGE


def damage(store, change):
    with open(layout.index(store, *WHERE), "r+b") as stream:
        change(stream)


def zeroed(number):
    def change(stream):
        stream.seek(number * PAGE)
        stream.write(bytes(PAGE))

    return change


@pytest.mark.parametrize("step", STEPS)
def test_any_page_zeroed(step, place, tmp_path):
    calm = str(tmp_path / "calm")
    shutil.copytree(place, calm)
    expected, after = STEPS[step](calm), counts(calm)
    log = layout.job_log(place, *WHERE)
    shutil.copytree(log, tmp_path / "log")
    with open(layout.index(place, *WHERE), "rb") as stream:
        sound = stream.read()
    for number in range(pages(place)):
        shutil.rmtree(log)
        shutil.copytree(tmp_path / "log", log)
        with open(layout.index(place, *WHERE), "r+b") as stream:
            stream.truncate()
            stream.write(sound)
        damage(place, zeroed(number))
        assert STEPS[step](place) == expected, number
        assert counts(place) == after, number


def test_any_bytes_changed_are_found_out(place):
    before = counts(place)
    chance = random.Random(1)
    with open(layout.index(place, *WHERE), "rb") as stream:
        sound = stream.read()

    def change(stream):
        for _ in range(chance.choice((1, 20))):
            stream.seek(chance.randrange(len(sound)))
            stream.write(chance.randbytes(chance.choice((1, 8, 200))))

    for _ in range(60):
        with open(layout.index(place, *WHERE), "r+b") as stream:
            stream.truncate()
            stream.write(sound)
        damage(place, change)
        assert claims.waiting(place, *WHERE, quiet).pending == 60
        with claims.step(place, *WHERE, quiet) as index:
            found = {one: len(list(index.in_state(one))) for one in ("completed", "dead")}
        assert found == {"completed": 20, "dead": 20}
        assert counts(place) == before


def in_its_place(kind, path, tmp_path):
    os.unlink(path)
    if kind == "folder":
        os.mkdir(path)
        (tmp_path / "x").write_text("x")
        os.rename(tmp_path / "x", f"{path}/x")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        (tmp_path / "target").write_bytes(b"")
        os.symlink(tmp_path / "target", path)
    elif kind == "dangling":
        os.symlink(tmp_path / "nowhere", path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            here = os.getcwd()
            os.chdir(os.path.dirname(path))
            made.bind(os.path.basename(path))
            os.chdir(here)


@pytest.mark.parametrize("ending", ["", "-journal"])
@pytest.mark.parametrize("kind", ["folder", "fifo", "link", "dangling", "socket"])
def test_what_is_no_file_is_done_without_and_left_alone(kind, ending, place, tmp_path):
    path = layout.index(place, *WHERE) + ending
    in_its_place(kind, path, tmp_path)
    was = os.lstat(path)
    said = []
    made = claims.claim(place, *WHERE, agent="b", lease=10**12, broken=said.append)
    assert made.item_id == "item-060"
    assert len(said) == 1
    assert "done without it" in said[0]
    second = claims.claim(place, *WHERE, agent="b", lease=10**12, broken=quiet)
    assert second.item_id == "item-061"
    assert summary.whole(place, *WHERE, quiet)["in_progress"] == 22
    assert glance.rows(layout.index(place, *WHERE), "SELECT 1 FROM nothing") == []
    assert os.lstat(path).st_ino == was.st_ino
    assert not (tmp_path / "nowhere").exists()
    if kind == "link":
        assert (tmp_path / "target").read_bytes() == b""


def test_an_index_removed_during_a_step_leaks_no_claim(place):
    with claims.step(place, *WHERE, quiet) as index:
        shutil.rmtree(layout.job_state(place, *WHERE))
        claims.record(index, [claims.event(index, "JobPaused", sequence=9)], quiet)
        assert index.job.status == "paused"
    assert summary.line(place, *WHERE, quiet)["status"] == "paused"


def test_another_job_s_index_and_a_copy_are_not_trusted(place, tmp_path):
    course.start(place, "r", "other", given=[("z", 1)], broken=quiet)
    shutil.copyfile(layout.index(place, "r", "other"), layout.index(place, *WHERE))
    assert claims.claim(place, *WHERE, agent="b", lease=10**12, broken=quiet).item_id == "item-060"
    path = layout.index(place, *WHERE)
    shutil.copyfile(path, tmp_path / "copy")
    with indexes.opened(place, *WHERE, quiet) as index:
        index.connection.execute("UPDATE items SET due = 0")
    os.rename(tmp_path / "copy", path)  # a sound file, and not the one that was written
    with indexes.opened(place, *WHERE, quiet) as index:
        assert index.meta.inode == os.stat(path).st_ino


@pytest.mark.parametrize("how", ["missing", "changed", "line", "fifo"])
def test_items_that_cannot_be_read_are_found_out_before_the_claim(how, place):
    path = layout.items(place, *WHERE)
    with open(path, "rb") as stream:
        lines = stream.read().splitlines(keepends=True)
    os.unlink(path)
    if how == "changed":
        lines[0] = lines[0].replace(b"item-000", b"item-0000")
    elif how == "line":
        lines[60] = b"x" * (len(lines[60]) - 1) + b"\n"
    if how == "fifo":
        os.mkfifo(path)
    elif how != "missing":
        with open(path, "wb") as stream:
            stream.writelines(lines)
    before = counts(place)
    for there in (True, False):
        if not there:
            indexes.discard(place, *WHERE)
        with pytest.raises(ProdigyError, match="restore it"):
            claims.claim(place, *WHERE, agent="b", broken=quiet)
        assert counts(place) == before
    # What needs no item's data goes on: the job can be looked at and ended.
    assert summary.whole(place, *WHERE, quiet)["completed"] == 20
    assert len(course.cancel(place, *WHERE, None, quiet)) == 20
