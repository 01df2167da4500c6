"""A job of a few items, and the steps of its workers, for the tests on claims."""

import json

from prodigy_git.jobs import (
    books,
    claims,
    course,
    index,
    replay,
)
from prodigy_git.record import clock

HOUR = 3600 * clock.SECOND


def quiet(_):
    pass


def start(store, count=5, **how):
    given = [(f"i{n}", {"n": n}) for n in range(count)]
    course.start(str(store), "r", "j", given=given, broken=quiet, **how)


def claim(store, agent="a", **how):
    return claims.claim(str(store), "r", "j", agent=agent, broken=quiet, **how)


def complete(store, made, **how):
    return claims.complete(str(store), "r", "j", made, commits=[], broken=quiet, **how)


def fail(store, made, error="boom", **how):
    how.setdefault("backoff_ms", 0)
    return claims.fail(str(store), "r", "j", made, error=error, broken=quiet, **how)


def states(store):
    """Return {item: state} as a replay of the whole log has it."""
    known = replay.whole(str(store), "r", "j", quiet).items
    return {name: books.view(item).state for name, item in known.items()}


def counted(store):
    with claims.step(str(store), "r", "j", quiet) as opened:
        return {state: opened.count(state) for state in index.NUMBER}


def lines(store):
    found = []
    for path in sorted((store / "events" / "r" / "j").iterdir()):
        found += [json.loads(line) for line in path.read_text().splitlines()]
    return found
