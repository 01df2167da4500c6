"""Two machines whose clocks are apart: leases go by the store's clock, and it is said."""

import os
import tempfile

import pytest
from support_cli import ok

from prodigy_git.jobs import claims, clocks, course
from prodigy_git.record import clock

MINUTE = 60 * clock.SECOND
WHERE = ("r", "j")


def quiet(_):
    pass


@pytest.fixture(autouse=True)
def nothing_said_yet():
    clocks._said.clear()


@pytest.fixture
def machine(monkeypatch):
    """Lets this process have a clock that is so many microseconds ahead; files keep the store's."""
    real = clock.now

    def become(ahead):
        monkeypatch.setattr(clock, "now", lambda: real() + ahead)

    return become


def start(store):
    course.start(str(store), *WHERE, given=[(f"i{n}", n) for n in range(3)], broken=quiet)


def claim(store, agent, said=quiet, **how):
    return claims.claim(str(store), *WHERE, agent=agent, lease=10 * MINUTE, broken=said, **how)


@pytest.mark.parametrize("apart", [-60 * MINUTE, 60 * MINUTE])
def test_a_lease_is_over_for_all_at_once(store, machine, apart):
    start(store)
    held = claim(store, "here", item="i0")
    machine(apart)
    said = []
    assert claim(store, "there", said.append, item="i1").attempt == 1
    assert claims.release_dead(str(store), *WHERE, said.append) == []
    machine(0)
    assert claims.release_dead(str(store), *WHERE, quiet) == []
    until = claims.renew(str(store), *WHERE, "i1", "there", MINUTE, quiet)
    assert abs(clock.parse(until) - clock.now() - MINUTE) < MINUTE
    assert abs(clock.parse(held.lease_until) - clock.now() - 10 * MINUTE) < MINUTE
    which = "ahead of" if apart < 0 else "behind"
    (about_store,) = [text for text in said if "the store's clock is" in text]
    assert f"seconds {which} this machine's" in about_store


def test_events_from_ahead_are_said_once(store, machine):
    start(store)
    machine(3 * MINUTE)
    claim(store, "there")
    machine(0)
    said = []
    for _ in range(2):
        claims.waiting(str(store), *WHERE, said.append)
    assert len([text for text in said if "the newest event of job j is 1" in text]) == 1
    clocks._said.clear()
    machine(-3 * MINUTE)
    said = []
    claims.waiting(str(store), *WHERE, said.append)
    assert any("the store's clock is" in text for text in said)


def test_clocks_that_agree_say_nothing(store):
    start(store)
    assert claim(store, "here", pytest.fail).attempt == 1
    with tempfile.TemporaryFile() as probe:
        assert clocks.ahead(probe.fileno()) == 0


def test_doctor_says_it(repo, store, machine):
    ok("install", cwd=repo)
    ok("new-worktree", cwd=repo)
    assert "clock" not in ok("doctor", cwd=repo).out
    machine(-2 * MINUTE)
    found = ok("doctor", "--json", cwd=repo).json
    assert os.path.isdir(store)
    (about,) = [one for one in found if one["what"] == "clock"]
    assert "ahead of this machine's" in about["words"]
