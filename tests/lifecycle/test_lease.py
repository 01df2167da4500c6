"""What is due of a lease, as the clocks go: looked at with moments that lie in the past."""

import os
import signal
import time

import pytest

from prodigy_git.jobs import leases
from prodigy_git.jobs.endings import Claim
from prodigy_git.lifecycle import elapsing
from prodigy_git.lifecycle.elapsing import Moment
from prodigy_git.lifecycle.lease import Lease, Terms
from prodigy_git.lifecycle.lease_guard import Guard
from prodigy_git.record import clock

SECONDS = 300


@pytest.fixture
def guard():
    reading, writing = os.pipe()
    yield Guard(writing, os.getpid())
    os.close(reading)
    os.close(writing)


@pytest.fixture
def lease(guard):
    """``lease(boot, day)``: one that was granted so many seconds ago, by either clock."""

    def made(boot, day=None, guard=guard):
        now = elapsing.now()
        asked = Moment(now.boot - boot, now.day - (boot if day is None else day))
        claim = Claim("j", "x", "a", 1, 3, None)
        terms = Terms(SECONDS * clock.SECOND, guard)
        return Lease(("store", "repo", "j"), claim, terms, asked, said.append)

    said = []
    made.said = said
    return made


def test_it_is_asked_to_end_and_then_made_to_before_the_lease_is_over(lease):
    assert lease(0).due() == (pytest.approx(0.2), None)
    assert lease(0).lost() is None
    assert lease(279).due()[1] is None
    assert lease(281).due()[1] == signal.SIGTERM
    assert lease(291).due()[1] == signal.SIGKILL
    assert "could not be renewed in time" in lease(281).lost()
    assert len(lease.said) == 2


def test_a_clock_that_was_put_back_gives_no_time(lease):
    assert lease(291, -10_000).due()[1] == signal.SIGKILL


def test_where_the_time_of_day_jumps_the_command_is_held_until_more_is_known(lease, monkeypatch):
    one = lease(10, 400)
    assert one.due()[1] == signal.SIGSTOP
    assert one.due()[1] is None
    monkeypatch.setattr(leases, "keep", lambda *_: "kept")
    assert one._next() <= 0  # it is asked at once
    one._try()
    assert one.due()[1] == signal.SIGCONT
    assert one.due()[1] is None
    assert one.lost() is None


@pytest.mark.parametrize("answer", ["lost", OSError("away")], ids=str)
def test_and_it_is_ended_where_the_item_is_lost_or_nobody_says(lease, monkeypatch, answer):
    one = lease(10, 400)
    assert one.due()[1] == signal.SIGSTOP

    def keep(*_):
        if isinstance(answer, str):
            return answer
        raise answer

    monkeypatch.setattr(leases, "keep", keep)
    one._try()
    if answer == "lost":
        assert one.due()[1] == signal.SIGTERM
    one._held = Moment(elapsing.now().boot - 6, time.time() - 6)
    if one._asked_to_end is not None:
        one._asked_to_end = one._held
    assert one.due()[1] == signal.SIGKILL
    assert one.lost() is not None


def test_what_was_ended_for_us_is_not_lost_and_what_may_go_on_is_not_ended(lease, monkeypatch):
    monkeypatch.setattr(leases, "keep", lambda *_: "ended")
    one = lease(290)
    one._try()
    assert (one.due()[1], one.lost()) == (None, None)
    free = lease(400, guard=None)
    assert (free.due()[1], free.lost()) == (None, None)
