"""Opening a job for a step; of a shared job the hub's lock is taken, and what others did comes first.

Then the index goes by the server's clock, and what a step records goes to the hub (`hub.shared_step`).
A job that is not shared costs one look whether there is a note that it is, and imports nothing of it.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prodigy_git import layout
from prodigy_git.errors import Away, ProdigyError, Refused
from prodigy_git.git import repository
from prodigy_git.jobs import index as indexes
from prodigy_git.jobs.index import Index
from prodigy_git.record import clock, repokey
from prodigy_git.store import host_files
from prodigy_git.store.events import Broken

if TYPE_CHECKING:
    from prodigy_git.hub.shared_step import Step


@contextlib.contextmanager
def opened(
    store: str, repo: str, job: str, broken: Broken, *, ends: bool = False
) -> Iterator[Index]:
    """Hold a job's claims lock, of a shared job also its row on the hub, its index up to both.

    With ``ends`` for what ends something that was begun: where the hub is not to be had, that goes on
    with what is known here (``Index.away``), and what is recorded is shipped later. Raises as
    `index.opened`; `Away`, and `Refused` where the hub does not let us in.
    """
    where = store, repo, job
    shared = None
    away: Away | Refused | None = None
    if os.path.exists(layout.hub_job(*where)) or found(*where, broken):
        from prodigy_git.hub import shared_step

        try:  # connected before the lock is taken: nobody here waits for a network that is gone
            shared = shared_step.opened(*where, broken, ends=ends)
        except (Away, Refused) as error:
            if not ends:
                raise
            away = error
    with contextlib.ExitStack() as held:
        index = held.enter_context(indexes.opened(*where, broken))
        if index.job.opened is None and not (ends or shared or away) and has_hub(store, repo):
            held.close()
            shared = _started_elsewhere(*where, broken)
            index = held.enter_context(indexes.opened(*where, broken))
        if shared is None and away is None and not ends:
            _check_note(index)
        if shared is not None:
            try:
                index = _begun(held, index, shared, broken)
            except (Away, Refused) as error:
                if not ends:
                    raise
                away = error
                held.close()  # as it perhaps is: it was let go for what was to be pulled
                index = held.enter_context(indexes.opened(*where, broken))
        if away is not None:
            broken(f"{away.why}; what ends here is written here, and goes to the hub later")
            index.shared, index.away = None, True
        held.callback(let_go, index)
        yield index


_TRIES = 5


def _check_note(index: Index) -> None:
    """Raise `ProdigyError` where a job has come from a hub, and the note of that is gone.

    Claims that only this host knew of would be made on it.
    """
    path = layout.hub_job(index.store, index.repo, index.job_id)
    if (
        any(map(host_files.tag_in, index.meta.position))
        and not os.path.exists(path)
        and has_hub(index.store, index.repo)
    ):
        raise ProdigyError(
            f"job {index.job_id} has come from a hub, and {path} is missing: "
            "'prodigy-git hub sync' makes it anew"
        )


def _begun(held: contextlib.ExitStack, index: Index, shared: "Step", broken: Broken) -> Index:
    """Begin a step on the hub; where that is far ahead, it is pulled first, and nothing is held."""
    from prodigy_git.hub.shared_step import Behind

    lacking = False
    for _ in range(_TRIES):
        index.shared = shared
        with contextlib.suppress(Behind):
            begin(index, broken)
            # Somebody may have been killed between pulling what names a file of items, and the file.
            if index.fault is None or lacking:
                return index
            lacking = True
            let_go(index)
        held.close()
        shared.catch_up()
        index = held.enter_context(indexes.opened(index.store, index.repo, index.job_id, broken))
    index.shared = shared
    begin(index, broken)
    return index


def found(store: str, repo: str, job: str, broken: Broken) -> bool:
    """Bring a shared job here that this host does not know, if there is one. Raises as `opened`."""
    where = store, repo, job
    if os.path.isdir(layout.job_log(*where)) or os.path.exists(layout.index(*where)):
        return False
    if not has_hub(store, repo):
        return False
    from prodigy_git.hub import shared_start

    return shared_start.found(*where, broken)


def has_hub(store: str, repo: str) -> bool:
    """Whether a repository has a hub, by what is configured alone."""
    if os.environ.get("PRODIGY_HUB"):
        return True
    common = repokey.common_of(store, repo)
    return common is not None and bool(repository.config(common, "prodigy.hub"))


def _started_elsewhere(store: str, repo: str, job: str, broken: Broken) -> "Step | None":
    """Return the step on a job that another host has started, where nobody has here.

    It has been worked on here, as by ``new-worktree --job``, which goes on where the hub is away.
    """
    from prodigy_git.hub import shared_start, shared_step

    try:
        if shared_start.found(store, repo, job, broken):
            return shared_step.opened(store, repo, job, broken, ends=False)
    except ProdigyError as error:
        broken(f"whether another host has started job {job} is not known: {error}")
    return None


def begin(index: Index, broken: Broken) -> None:
    """Take a shared job's row, as at first or after `endings.record`, and bring the index up to it.

    Raises `Away`, `Refused`, `OSError`.
    """
    shared = index.shared
    assert shared is not None
    shared.begin()
    indexes.advance(index, broken)


def let_go(index: Index) -> None:
    """Give a shared job's row back: nothing more is recorded."""
    if index.shared is not None:
        index.shared.end()


def moment(index: Index) -> int:
    """Return the time that what waits for its time goes by: of a shared job the server's."""
    return clock.now() if index.shared is None else index.shared.now()
