"""Which repository, and which job, is meant where somebody stands."""

import os
from collections.abc import Callable

from prodigy_git import duration, names
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository as git_repository
from prodigy_git.record import clock, enrolment, gitdir, repokey, whose
from prodigy_git.store import home

_SHOWN = 10
"""How many jobs an error names."""


def repositories(store: str) -> list[str]:
    """Return the keys of the repositories that the store has anything of, sorted."""
    found: set[str] = set()
    for top in ("state", "events"):
        try:
            found.update(filter(names.is_safe, os.listdir(f"{store}/{top}")))
        except (FileNotFoundError, NotADirectoryError):
            continue
    return sorted(found)


def repository(cwd: str, *, take: bool = False) -> tuple[str, str]:
    """Return (store, repository key) of the repository around ``cwd``. Raises `ProdigyError`.

    ``take`` is for whoever goes on to write: a repository that the store does not know gets its key
    then. Who only looks is told which one that would be, and leaves no trace.
    """
    # git itself is asked where its files do not say: a process takes longer than reading them.
    place = gitdir.find(cwd, {}) or git_repository.find(cwd)
    try:
        there = enrolment.read(place.private)
    except (OSError, ValueError):
        there = None  # 'hooks' and 'doctor' say so
    if there is not None:
        if not there.known:  # a key would be taken, in a store that is not this worktree's
            raise ProdigyError(f"{place.top}: {whose.words(there)}")
        return there.store, there.repo
    store = home.named()
    try:
        return store, (repokey.take if take else repokey.meant)(store, place.common)
    except ValueError as error:
        raise ProdigyError(str(error)) from error


def job(
    cwd: str,
    name: str | None,
    *,
    own: bool = False,
    take: bool = False,
    told: Callable[[str], None] = lambda _: None,
) -> tuple[str, str, str]:
    """Return (store, repository key, job id) of the job that is meant.

    ``name`` is a job's id, or ``{repository key}/{job id}``. None stands for the job of the worktree
    that one stands in, ``$PRODIGY_JOB_ID``, or git config ``prodigy.job``; where none of these names
    one, for the only job of the repository that was opened and has not ended: ``told`` is called with
    a line that says so. A session that was given no job is a job by itself, which nobody means; with
    ``own``, for who records what a session does, it is. ``take`` as in `repository`. Outside of any
    repository an id that only one repository has a job of is enough. Raises `ProdigyError`,
    `names.BadName`.
    """
    if name is not None and "/" in name:
        repo, _, wanted = name.partition("/")
        names.checked(repo, "repository key")
        return home.here(cwd), repo, names.checked(wanted, "job id")
    try:
        store, repo = repository(cwd, take=take)
    except ProdigyError:
        if name is None:
            raise
        return _only_one(cwd, names.checked(name, "job id"))
    if name is None:
        name = _named_here(cwd, own) or _only_open(cwd, store, repo, told)
    return store, repo, names.checked(name, "job id")


def _named_here(cwd: str, own: bool) -> str | None:
    there = _enrolled(cwd)
    if there is not None and (own or there.job != there.session):
        return there.job
    return os.environ.get("PRODIGY_JOB_ID") or git_repository.config(cwd, "prodigy.job")


def _enrolled(cwd: str) -> enrolment.Enrolment | None:
    try:
        return enrolment.read(git_repository.find(cwd).private)
    except (OSError, ValueError):
        return None


def _only_open(cwd: str, store: str, repo: str, told: Callable[[str], None]) -> str:
    from prodigy_git.jobs import summary

    found = summary.under_way(store, repo, told)
    there = _enrolled(cwd)
    if there is not None and there.job in found:
        return there.job  # a session that is called as its job
    if len(found) == 1:
        told(f"no job is named: this is {found[0]}, the only one under way here")
        return found[0]
    if not found:
        raise ProdigyError(
            "no job is meant, and none is under way here: 'prodigy-git job start' opens one, "
            "'prodigy-git job list' names those that have ended"
        )
    shown = ", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
    raise ProdigyError(
        f"{len(found)} jobs are under way, name the one that is meant, or set PRODIGY_JOB_ID: {shown}"
    )


def identity(cwd: str, session: str | None, agent: str | None, item: str | None) -> dict[str, str]:
    """Return session_id, agent_id and item_id of whoever is at work here, as far as is known.

    What is given wins over the worktree's own, and that over ``$PRODIGY_SESSION_ID`` and its like.
    Raises `names.BadName`.
    """
    try:
        there = enrolment.read(git_repository.find(cwd).private)
    except (ProdigyError, ValueError):
        there = None
    own = (None, None, None) if there is None else (there.session, there.agent, there.item)
    found = {}
    for name, given, here in zip(
        ("session", "agent", "item"), (session, agent, item), own, strict=True
    ):
        value = given or here or os.environ.get(f"PRODIGY_{name.upper()}_ID")
        if value:
            found[f"{name}_id"] = names.checked(value, f"{name} id")
    return found


def _only_one(cwd: str, name: str) -> tuple[str, str, str]:
    from prodigy_git.jobs import index

    store = home.here(cwd)
    found = [repo for repo in repositories(store) if index.exists(store, repo, name)]
    if len(found) != 1:
        which = f"{', '.join(found)} each have one" if found else "no repository has one"
        raise ProdigyError(f"job {name}: {which}: give it as REPOSITORY/{name}")
    return store, found[0], name


def checkpoint_every(cwd: str, given: str | None) -> tuple[int | None, int | None]:
    """Return (items, seconds) between checkpoints, None where the default is meant.

    ``given`` is a number of items or an age as ``5m``; else git config ``prodigy.checkpointItems``
    and ``prodigy.checkpointSeconds`` are asked. Raises `ProdigyError` for anything else.
    """
    if given is None:
        return tuple(  # type: ignore[return-value]
            _count(git_repository.config(cwd, f"prodigy.{name}"), f"git config prodigy.{name}")
            for name in ("checkpointItems", "checkpointSeconds")
        )
    if given.isdigit():
        return _count(given, "--checkpoint-every"), None
    micros = duration.parse(given)
    if micros is None:
        raise ProdigyError(f"--checkpoint-every {given!r}: write a number of items, or 30s, 5m, 1h")
    return None, max(1, micros // clock.SECOND)


def _count(text: str | None, where: str) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or not 0 < int(text) <= 1 << 31:
        raise ProdigyError(f"{where} is {text!r}: it has to be a number from 1 on")
    return int(text)
