"""Four hosts work on a job, and everything goes wrong; it is mended, and nothing is lost or double.

What happens is drawn: steps, and in the midst of them, or between them, deaths of workers, wires that
stall, are mute or cut, a server that goes, comes again, is restored from a backup or replaced, time.

To run more: PRODIGY_TEST_EXAMPLES=1000 pytest tests/hub/test_hosts_property.py (a number other than the
default also draws anew instead of the same each time). PRODIGY_TEST_SEED=N runs one.
"""

import os
import random

import pytest
from support_hub_worker import JOB, OTHER
from support_hub_world import Hub, World

from prodigy_git import api

EXAMPLES, PARTS = 12, 2
WANTED = int(os.environ.get("PRODIGY_TEST_EXAMPLES", EXAMPLES))
SEED = os.environ.get("PRODIGY_TEST_SEED")

STEPS = {
    "claim": 12, "claim at once": 2, "finish": 8, "fail": 4, "release": 2, "renew": 3, "retry": 2,
    "clear": 1, "pause": 1, "unpause": 2, "cancel": 0.5, "reopen": 1, "phase": 1, "add": 1, "say": 3,
    "sync": 5, "show": 1,
}  # fmt: skip
BETWEEN = {
    "stall": 1,
    "mute": 1,
    "drop": 2,
    "pass": 4,
    "crash": 0.3,
    "down": 0.3,
    "up": 2,
    "kill": 2,
    "lapse": 2,
}
BACK = {"backup": 2, "restore": 1.5, "replace": 0.7}
WITHIN = {
    "die": 8,
    "stall": 1,
    "mute": 2,
    "drop": 2,
    "reset": 3,
    "crash": 0.5,
    "lapse": 1,
    "race": 1,
}
CALLS = {"": 4, "poll": 4, "rename": 4, "write": 3, "flock": 1}
LEASES = (0.001, 600, 600, None)


def drawn(seed):
    """Return what happens in one run: (what, host, number, moment, action) each."""
    draw = random.Random(seed)

    def of(weights):
        return draw.choices(list(weights), list(weights.values()))[0]

    between = BETWEEN | (BACK if draw.random() < 0.3 else {})
    kinds = {**STEPS, **dict.fromkeys(["between"], sum(STEPS.values()) / 4)}
    found = []
    for _ in range(draw.randint(12, 36)):
        what, host, number = of(kinds), draw.randrange(4), draw.randrange(8)
        if what == "between":
            found.append((of(between), host, number, (0, ""), ""))
            continue
        if draw.random() < 0.4:
            call = of(CALLS)
            moment = int(2 ** (draw.random() * (2.5 if call else 7.5))), call
            found.append((what, host, number, moment, of(WITHIN)))
        else:
            found.append((what, host, number, (0, ""), ""))
    return found


def carried_out(world, what, host, number, moment, action):
    """Let one drawn thing happen."""
    how = {"moment": moment, "action": action}
    held = [one for one in world.held if one.host == host] or world.held
    one = held[number % len(held)] if held else None
    if what == "claim":
        world.claim(host, f"{host}-{len(world.told)}", LEASES[number % len(LEASES)], **how)
    elif what == "claim at once":
        world.claim_at_once({host, number % 4, (host + 1) % 4})
    elif what == "finish":
        if one is not None:
            world.finish(one, **how)
    elif what == "fail":
        if one is not None:
            world.finish(one, error="boom", retry=number > 1, backoff=number // 4, **how)
    elif what == "release":
        if one is not None:
            world.finish(one, released=True, **how)
    elif what == "renew":
        if one is not None:
            world.renew(one, **how)
    elif what == "say":
        world.say(host, (JOB, OTHER)[number % 2], **how)
    elif what == "add":
        world.add(host, **how)
    elif what == "phase":
        world.step(host, "phase", phase=("map", "reduce")[number % 2], **how)
    elif what in STEPS:
        world.step(host, what, **how)
    else:
        world.happen(host, what)


def run(world, steps):
    """Carry out what was drawn, heal, and check."""
    world.begin()
    try:
        names = [f"i{n}" for n in range(4)]
        world.sure(0, "start", items=[{"id": one} for one in names], most=2)
        world.items.update(names)
        for step in steps:
            carried_out(world, *step)
        world.heal()
        world.check()
    except BaseException as error:
        error.add_note("\n".join(world.told))
        raise
    finally:
        world.end()


@pytest.fixture
def worlds(new_host, postgres, hub_url, monkeypatch):
    """``worlds(seed)``: a world as it is before anything happens."""
    hub = Hub(postgres, hub_url)
    hosts = []
    for name in "abcd":
        host = new_host(name, to=postgres.port)
        host.git(
            "config", "prodigy.hub", hub_url.replace(f":{postgres.port}/", f":{host.wire.port}/")
        )
        monkeypatch.setenv("PRODIGY_HOME", str(host.store))
        job = api.open_job("none", cwd=host.clone)
        hosts.append(host)
    yield lambda seed: World(hub, hosts, job.repo, seed, [0, 0, -3 * 3600_000_000, 7200_000_000])
    hub.close()


@pytest.mark.parametrize("part", range(PARTS))  # one for each worker of a small machine
def test_nothing_is_lost_or_double_whatever_goes_wrong(worlds, part):
    first = 0 if WANTED == EXAMPLES else random.randrange(1 << 30)
    seeds = range(first + part, first + WANTED, PARTS) if SEED is None else [int(SEED)]
    for seed in seeds:
        steps = drawn(seed)
        try:
            run(worlds(seed), steps)
        except BaseException as error:
            error.add_note(f"PRODIGY_TEST_SEED={seed}: {steps}")
            raise
