"""No wake-up is lost: the recorder's own loop, with git at work between any two of its steps.

A commit is two steps of somebody else's: git writes the journal, and then its hook looks whether a
recorder holds the journal, and wakes another where none does.
"""

import itertools
import os
from typing import Any

import pytest

from prodigy_git.record import recorder

COMMITS = 2


class Schedule:
    """One order of the steps: ``at[n]`` is the recorder's step before which somebody's n-th is done."""

    def __init__(self, at: tuple[int, ...]) -> None:
        self.at = at
        self.step = 0
        self.done = 0
        self.journal = 1
        self.read = 0
        self.held = True
        self.woken = 0

    def reach(self) -> None:
        """Do what is to be done before the recorder's next step."""
        while self.done < len(self.at) and self.at[self.done] <= self.step:
            if self.done % 2 == 0:
                self.journal += 1  # git
            elif not self.held:
                self.woken = self.journal  # its hook
            self.done += 1
        self.step += 1

    def missed(self) -> bool:
        """Whether a line is left that this recorder has not read, and that no other was woken for."""
        return max(self.read, self.woken) < self.journal


def run(schedule: Schedule, patch: pytest.MonkeyPatch, *, second_look: bool) -> None:
    """Run `recorder.run` in this process, with its calls as the steps."""
    looks: list[int] = []
    closed: list[int] = []

    def look() -> Any:
        schedule.reach()
        # Without the second look: as though it were what it was.
        looks.append(schedule.journal if second_look or not closed else looks[-1])
        closed.clear()
        return looks[-1], None

    def record(*_: Any) -> None:
        schedule.reach()
        schedule.read = schedule.journal
        schedule.reach()

    def close(descriptor: int) -> None:
        if descriptor == recorder.JOURNAL:
            schedule.reach()
            schedule.held = False
            closed.append(1)

    def dup2(*_: Any, **__: Any) -> None:
        schedule.reach()
        schedule.held = True

    with patch.context() as inner:
        inner.setattr(recorder, "_look", look)
        inner.setattr(recorder, "_record", record)
        inner.setattr(recorder, "_changes", lambda seen, linger: False)
        inner.setattr(os, "dup", lambda _: 99)
        inner.setattr(os, "close", close)
        inner.setattr(os, "dup2", dup2)
        recorder.run("/nowhere", 0)
    schedule.held = False
    schedule.step = 1000
    schedule.reach()  # what comes when the recorder is gone


def schedules() -> list[tuple[int, ...]]:
    """Return every order: each step of git and of its hooks before one of the recorder's."""
    steps = 14
    return list(itertools.combinations_with_replacement(range(steps), 2 * COMMITS))


def test_no_order_of_steps_loses_a_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    for at in schedules():
        schedule = Schedule(at)
        run(schedule, monkeypatch, second_look=True)
        assert not schedule.missed(), at


def test_without_the_second_look_one_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = 0
    for at in schedules():
        schedule = Schedule(at)
        run(schedule, monkeypatch, second_look=False)
        lost += schedule.missed()
    assert lost
