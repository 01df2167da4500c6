"""Which set-up commands a person has trusted: by the hash over all of them, for one repository.

``state/{repo}/trusted.json`` of the store: nothing that a repository brings lies there. Several hashes
may be trusted at once, since branches differ.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from prodigy_git import gitenv, layout
from prodigy_git.errors import ProdigyError
from prodigy_git.record import clock, files, gitdir, jsonline, locks, repokey
from prodigy_git.setup.plan import Plan


def is_trusted(store: str, repo: str, common: str, plan: Plan) -> bool:
    """Whether all that a plan has of the repository may run. Raises `ProdigyError` (a damaged file)."""
    wanted = plan.hash
    if wanted is None:
        return True
    mark = repokey.mark_of(common)
    return any(
        # Another repository at the same place may call the same commands, which do other things.
        one.get("hash") == wanted and one.get("repository_id") == mark
        for one in _read(store, repo)
    )


def how(commit: str | None) -> str:
    """Return what a person calls, where we stand, to trust what a commit says: HEAD needs no --base."""
    place = gitdir.find(gitenv.here(), {})
    if commit is None or (place is not None and gitdir.head(place)[1] == commit):
        return "prodigy-git setup trust"
    return f"prodigy-git setup trust --base {commit[:12]}"


def trust(store: str, repo: str, common: str, plan: Plan) -> None:
    """Note that a person has trusted a plan. Raises as `is_trusted`, or `OSError`."""
    if plan.hash is None or is_trusted(store, repo, common, plan):
        return
    with _locked(store, repo):
        entry = {
            "hash": plan.hash, "repository_id": repokey.mark_of(common),
            "sources": [part.source for part in plan.parts if part.given],
            "trusted_at": clock.stamp(clock.now()),
        }  # fmt: skip
        _write(store, repo, [*_read(store, repo), entry])


def revoke(store: str, repo: str) -> int:
    """Forget all that was trusted in a repository; return how many hashes. Raises `OSError`.

    A damaged file is put in order by this.
    """
    with _locked(store, repo):
        try:
            count = len(_read(store, repo))
        except ProdigyError:
            count = 1
        if count:
            _write(store, repo, [])
    return count


@contextlib.contextmanager
def _locked(store: str, repo: str) -> Iterator[None]:
    files.make_private(f"{store}/locks")
    lock = locks.take(layout.state_lock(store, repo))
    try:
        yield
    finally:
        os.close(lock)


def _read(store: str, repo: str) -> list[dict[str, Any]]:
    path = layout.trusted(store, repo)
    try:
        found = jsonline.decode_object(files.read(path)).get("trusted")
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise ProdigyError(
            f"{path} cannot be read ({why}): 'prodigy-git setup trust --revoke' begins it anew"
        ) from None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _write(store: str, repo: str, entries: list[dict[str, Any]]) -> None:
    files.make_private(layout.state(store, repo))
    files.replace(layout.trusted(store, repo), jsonline.line({"trusted": entries}))
