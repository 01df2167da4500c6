"""Taking what a new worktree is to be called, and making its folder and its branch so."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.lifecycle import adding, naming
from prodigy_git.lifecycle.beginning import Beginning
from prodigy_git.record import register
from prodigy_git.record.gitdir import Place
from prodigy_git.store.broken import Broken

_TRIES = 20


class Asked(NamedTuple):
    """What a worktree is asked for, and where."""

    place: Place
    store: str
    repo: str
    name: str | None
    job: str | None
    agent: str | None
    item: str | None
    claimed: int | None
    begun: Beginning
    spot: naming.Spot | None
    settings: dict[str, str]
    reserved: Callable[[contextlib.ExitStack, str], None]
    """Called with what undoes, and the session's id, before anything of its worktree is made."""


def take(
    undo: contextlib.ExitStack, asked: Asked, metadata: dict[str, Any], broken: Broken
) -> tuple[str, str, str]:
    """Take a session id, and make folder and branch; return id, path and branch."""
    begun = asked.begun
    for _ in range(_TRIES):
        with contextlib.ExitStack() as step:
            session, path, branch = _reserve(step, asked, metadata)
            asked.reserved(step, session)
            try:
                adding.add(
                    step, asked.place, asked.store, asked.repo, path, branch, begun.commit,
                    exists=begun.exists, spot=asked.spot, broken=broken,
                )  # fmt: skip
            except adding.Taken:
                if begun.branch is not None:
                    raise
                continue  # several do the same item at once: the next name
            if asked.name not in (None, session) and "/" not in asked.name:
                broken(f"the name {asked.name} was used before: the session is {session}")
            undo.push(step.pop_all())
            return session, path, branch
    raise ProdigyError("others make branches of that name all the time: choose one with --branch")


def _reserve(
    undo: contextlib.ExitStack, asked: Asked, metadata: dict[str, Any]
) -> tuple[str, str, str]:
    """Take a session id; return id, path and branch."""
    for wanted in _ids(asked):
        path = f"{layout.worktrees(asked.store, asked.repo)}/{wanted}"
        # Or the worktree could never be cleaned: the salvage ref has the session's id in its name.
        if not names.fits_into_ref(wanted):
            raise ProdigyError(f"{wanted} cannot be a part of a ref's name: choose another NAME")
        if asked.name is not None and _was_used(asked.store, wanted):
            _refuse_borne(asked, wanted)
            continue
        if asked.spot is not None:
            path = asked.spot.path
        elif os.path.lexists(path) and wanted != asked.name:
            continue  # as on a disk that does not tell capitals from small letters
        branch = _branch(asked, wanted)
        made = "" if asked.begun.exists else branch
        own = {"worktree_path": path, "branch": branch, "made_branch": made}
        if asked.name not in (None, wanted):
            own["name"] = asked.name
        try:
            session = register.reserve(
                asked.store, asked.repo, wanted, asked.job, {**metadata, **own}, wanted
            )
        except ValueError as error:
            raise ProdigyError(str(error)) from error
        if session is not None:
            undo.callback(register.forget, asked.store, asked.repo, session)
            if asked.spot is None and os.path.lexists(path):
                raise naming.NameInUse(f"{path} exists already: choose another NAME")
            return session, path, branch
        _refuse_borne(asked, wanted)  # it was taken in this moment, or has no mapping yet
    raise AssertionError("there is always another id")


def _was_used(store: str, session: str) -> bool:
    try:
        return register.was_used(store, session)
    except ValueError as error:  # a damaged mapping
        raise ProdigyError(str(error)) from error


def _refuse_borne(asked: Asked, session: str) -> None:
    """Raise `ProdigyError` where a session still bears the name that is asked for."""
    borne = None
    if asked.name is not None:
        borne = naming.bearer(asked.store, asked.repo, session, asked.name)
    if borne is not None:
        raise naming.NameInUse(f"the name {asked.name} is in use: {borne}; choose another NAME")


def _ids(asked: Asked) -> Iterator[str]:
    """Yield the ids that the session may have, the best first."""
    stem = asked.name
    if stem is None or "/" in stem:
        given = stem or asked.begun.branch
        if given is None and asked.spot is not None:
            given = os.path.basename(asked.spot.path)
        stem = None if given is None else naming.stem(given)
    if stem is not None:
        yield from naming.ids(stem)
    while True:
        yield names.fresh("agent" if asked.agent else "session")


def _branch(asked: Asked, session: str) -> str:
    """Return what the branch of a session is to be called. Raises `ProdigyError`."""
    ignore_case = asked.settings.get("core.ignorecase", "") in ("true", "yes", "on", "1")
    begun = asked.begun
    if begun.branch is not None:
        if not begun.exists:
            pull = begun.pull is not None
            naming.refuse_taken(asked.place, begun.branch, ignore_case=ignore_case, pull=pull)
        return begun.branch
    known = naming.Known(asked.job or session, asked.item, asked.agent, asked.name or session)
    form = asked.settings.get("prodigy.branchformat")
    return next(naming.branches(asked.place, known, form, asked.claimed, ignore_case=ignore_case))
