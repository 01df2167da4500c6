"""What a command that works in a worktree finds in its environment."""

from prodigy_git.jobs import unmerged
from prodigy_git.record import gitdir
from prodigy_git.record.gitdir import Place
from prodigy_git.setup import ports
from prodigy_git.store import enrolled, home
from prodigy_git.store.events import Broken

NAMES = frozenset(
    ("PRODIGY_WORKTREE", "PRODIGY_REPO_ROOT", "PRODIGY_BRANCH", "PRODIGY_SESSION_ID", "PRODIGY_ITEM_ID",
     "PRODIGY_JOB_ID", "PRODIGY_AGENT_ID", "PRODIGY_CONFLICT", *ports.variables(0))
)  # fmt: skip
"""What is another worktree's where it is inherited, and not to be passed on."""


def variables(place: Place, broken: Broken) -> dict[str, str]:
    """Return the variables that say which worktree this is, whose, and which ports it has.

    What there is not is left out: a branch on a detached HEAD, an item, ports (told to ``broken``).
    """
    found: dict[str, str | None] = {
        "PRODIGY_WORKTREE": place.top,
        "PRODIGY_REPO_ROOT": enrolled.top(place.common, place.common),
        "PRODIGY_BRANCH": gitdir.head(place)[0],
    }
    there = home.enrolled(place)
    if there is not None:
        found |= {
            "PRODIGY_HOME": there.store,
            "PRODIGY_SESSION_ID": there.session,
            "PRODIGY_JOB_ID": there.job,
            "PRODIGY_AGENT_ID": there.agent,
            "PRODIGY_ITEM_ID": there.item,
        }
        told = unmerged.of(there.store, there.repo, there.job, there.item)
        if told is not None:
            found["PRODIGY_CONFLICT"] = told.path
    said = {name: value for name, value in found.items() if value is not None}
    return said | ports.variables(ports.block(place, broken))
