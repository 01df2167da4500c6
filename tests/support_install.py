"""What the tests on installing look at."""

from hooks_support import World

HOOK = "post-commit"


def ran_on_commit(world: World) -> list[str]:
    world.others()
    world.calls()
    world.commit()
    return sorted(world.others() + ["ours" for _ in world.calls()])
