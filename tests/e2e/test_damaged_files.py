"""Whatever the files of a store and of git's worktrees hold or are: no traceback, no hang, git works.

``PRODIGY_TEST_SEED=N`` tries other damages; a failure prints the seed and the case.
"""

import os
import random
from pathlib import Path

import pytest
from support_damage import NAMES, choose, commands, damage
from support_damaged_world import World

SEED = int(os.environ.get("PRODIGY_TEST_SEED", "1"))
CASES, AT_ONCE, CALLS = 25, 3, 6
CHUNKS = 4
"""Each of its own process, where there are several: 4 times 25 cases of 3 damages each are 300."""
STATUSES = frozenset((0, 1, 3, 4))
"""Those of docs/reference/exit-codes.md for a command with right usage, which nobody interrupts."""


@pytest.fixture(scope="module")
def world(scratch: Path) -> World:
    return World(scratch)


def faults(world: World, chance: random.Random, at_once: int, calls: int) -> list[str]:
    """Damage files, run commands, and return what must not have happened."""
    number = chance.random()
    done = _damaged(world, random.Random(number), at_once)
    found = []
    every = list(commands(world))
    some = sorted(chance.sample(range(len(every)), min(calls, len(every))))
    # git waits for a FIFO, and reads a device for ever: then it is another worktree's turn.
    blocked = any("/w1" in one and one.endswith(("FIFO", "zero")) for one in done)
    tree: Path = world.repo if blocked or not world.tree.is_dir() else world.tree
    ran = world.commit(cwd=tree)
    if ran.status != 0 or NAMES.search(ran.said):
        _damaged(world, random.Random(number), at_once)
        if world.commit("-c", "core.hooksPath=/dev/null", cwd=tree).status == 0:
            found.append(f"git commit: {ran}")
    world.look_outside()
    for place in some:
        ran = world.call(*every[place])
        if ran.status not in STATUSES or NAMES.search(ran.said):
            found.append(f"{' '.join(every[place])}: {ran.status} {ran.said[-600:]}{world.trace()}")
        if not world.unharmed():
            return [f"{done}: OUTSIDE CHANGED by {' '.join(every[place])}"]
    return [f"{done}: {one}" for one in found]


def _damaged(world: World, chance: random.Random, at_once: int) -> list[str]:
    world.renew()
    done = []
    for _ in range(at_once):
        chosen = choose(world, chance)
        if chosen is not None:
            damage(world, *chosen, chance)
            done.append(f"{chosen[0].relative_to(world.top / 'live')}: {chosen[1]}")
    return done


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_damaged_files_stop_nothing_and_nobody(world: World, chunk: int) -> None:
    chance = random.Random(f"{SEED}-{chunk}")
    found: list[str] = []
    for _ in range(CASES):
        found += faults(world, chance, AT_ONCE, CALLS)
    assert not found, f"PRODIGY_TEST_SEED={SEED}:\n" + "\n".join(found)


W1 = "repo/.git/worktrees/w1"
FOUND = (
    ("store/state/repo/mappings/session-to-job.json", "NUL in the midst", "worktree restore w4"),
    (f"{W1}/logs/HEAD", "a hole", "sessions list"),
    (f"{W1}/logs/HEAD", "a hole", "verify"),
    (f"{W1}/prodigy", "NUL in the midst", "finish w1"),
    (f"{W1}/gitdir", "NUL in the midst", "clean --all --all-repos --older-than 0s --dry-run"),
    ("repo/.git/worktrees/w2/commondir", "FIFO", "new-worktree w9"),
    ("repo/.git/worktrees/w2/HEAD", "FIFO", "worktree ls"),
    ("store/events/repo/w3/events-*.jsonl.gz", "a hole", "otel push --dry-run"),
    ("store/state/repo/mapreduce/jobs/j/items.jsonl", "a hole", "status"),
    ("store/state/repo/repository.json", "empty", "worktree clean --all -f"),
    ("repo/.git/prodigy-salvage", "link to a folder outside", "worktree clean w2 -f"),
    ("store/reserve/30", "FIFO", "new-worktree w9"),
    ("store/events/repo/j", "link to a folder outside", "events clean --older-than 0s"),
)
"""What was found so, before it was mended."""


@pytest.mark.parametrize(("name", "how", "command"), FOUND)
def test_what_was_found_once(world: World, name: str, how: str, command: str) -> None:
    world.renew()
    damage(world, next((world.top / "live").glob(name)), how, random.Random(1))
    ran = world.call(*command.split())
    assert ran.status in STATUSES, ran
    assert not NAMES.search(ran.said), (ran, world.trace())
    assert world.unharmed()
