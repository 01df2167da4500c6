"""As many as possible of things that conflict in pairs."""

import itertools
import random

from prodigy_git.merging.conflicts import independent


def _random(seed, count):
    rnd = random.Random(seed)
    dense = rnd.random()
    return [{one for one in range(at) if rnd.random() < dense} for at in range(count)]


def _fits(choice, conflicts):
    return not any(other in conflicts[one] for one in choice for other in choice)


def test_of_few_it_is_the_largest_choice():
    for seed in range(150):
        count = seed % 9 + 1
        conflicts = _random(seed, count)
        found = independent.most(conflicts)
        assert _fits(found, conflicts)
        largest = max(
            len(some)
            for size in range(count + 1)
            for some in itertools.combinations(range(count), size)
            if _fits(some, conflicts)
        )
        assert len(found) == largest, (conflicts, found)


def test_of_many_it_is_a_choice_that_fits_and_is_always_the_same(monkeypatch):
    conflicts = _random(3, 200)
    found = independent.most(conflicts)
    assert found == sorted(found) == independent.most(conflicts)
    assert _fits(found, conflicts)
    monkeypatch.setattr(independent, "_EFFORT", 0)
    quick = independent.most(conflicts)
    assert _fits(quick, conflicts)
    assert 0 < len(quick) <= len(found)


def test_as_many_as_there_may_be_hang_together():
    assert independent.most([set(range(at)) for at in range(1100)]) == [0]


def test_who_comes_first_is_preferred():
    assert independent.most([{1}, set()]) == [0]
    assert independent.most([set(), {0}, {0, 1}]) == [0]
    assert independent.most([]) == []
    assert independent.most([set(), set(), {1}]) == [0, 1]
