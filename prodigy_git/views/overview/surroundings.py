"""What is around the agents of a repository: hooks, trash, worktrees that nobody has."""

import contextlib
import os
from collections.abc import Iterator

from prodigy_git import layout
from prodigy_git.cleanup.trash import entry, unfinished
from prodigy_git.cleanup.trash.unfinished import HalfWay
from prodigy_git.errors import ProdigyError
from prodigy_git.git import ask, repository
from prodigy_git.hookfiles import HOOKS, look
from prodigy_git.record import enrolment, gitdir
from prodigy_git.record.gitdir import Place
from prodigy_git.store import removed
from prodigy_git.store.events import Broken


def trash(store: str, key: str, broken: Broken) -> tuple[int, int, bool]:
    """Return how many worktrees wait in the trash, their bytes as far as known, whether all are."""
    some = [
        one.bytes
        for one in entry.entries(store, broken, key)
        if one.state in ("moving", "trashed", "restoring")
    ]
    return len(some), sum(filter(None, some)), None not in some


def half_way(store: str, key: str, broken: Broken) -> list[HalfWay]:
    """Return the removals and restores that were interrupted; not those under way."""
    return [one for one in unfinished.find(store, broken, key) if one.command]


def hooks(common: str) -> list[str]:
    """Return what is wrong with the hooks, in words; the usual case costs one process of git."""
    top = os.path.dirname(common) if os.path.basename(common) == ".git" else common
    place = Place(common, common, top)
    with contextlib.suppress(ProdigyError):
        status, out, _ = ask.look(place, "rev-parse", "--git-path", "hooks")
        folder = os.path.normpath(os.path.join(top, os.fsdecode(out.removesuffix(b"\n"))))
        if status == 0 and all(_is_in_effect(f"{folder}/{hook}") for hook in HOOKS):
            return []
    from prodigy_git import install

    try:
        report = install.hooks_status(top)
    except (ProdigyError, OSError) as error:
        return [str(error)]
    return [f"{one.hook}: {one.words}" for one in report.hooks if not one.in_effect()]


def _is_in_effect(path: str) -> bool:
    found = look(path)
    return bool(
        found is not None
        and found.kind == "ours"
        and found.executable
        and not found.edited
        and found.runtime is not None
        and found.runtime.exists()
    )


def unenrolled(common: str) -> list[str]:
    """Return the paths of the linked worktrees that belong to no session, sorted.

    One that Prodigy keeps the state of belongs to a session of Prodigy's.
    """
    return sorted(
        top
        for private, top in _linked(common)
        if not os.path.exists(f"{private}/{layout.ENROLMENT}") and not _is_prodigys(top)
    )


def _is_prodigys(top: str) -> bool:
    folder, name = os.path.split(top)
    return os.path.isfile(f"{folder}/.metadata/{name}.json")


def enrolled(common: str) -> dict[str, str]:
    """Return where the worktrees are that belong to a session, the main one too, by session."""
    found = {}
    main = [(common, os.path.dirname(common))] if os.path.basename(common) == ".git" else []
    for private, top in [*main, *_linked(common)]:
        with contextlib.suppress(OSError, ValueError):
            there = enrolment.read(private)
            if there is not None:
                found[there.session] = top
    return found


class Worktrees:
    """Where a repository's worktrees have gone: asked only where one is not where it should be."""

    def __init__(self, store: str, key: str, common: str | None) -> None:
        """Ask nothing yet; ``common`` is None where the repository is not there."""
        self._store, self._key, self._common = store, key, common
        self._moved: dict[str, str] | None = None
        self._on_its_way: set[str] | None = None

    def moved_to(self, session: str) -> str | None:
        """Return where git says that a session's worktree is; None where it does not."""
        if self._moved is None:
            self._moved = {} if self._common is None else enrolled(self._common)
        return self._moved.get(session)

    def on_its_way(self, session: str) -> bool:
        """Whether a command is moving a session's worktree, into the trash or out of it."""
        if self._on_its_way is None:
            found = unfinished.find(self._store, lambda _: None, self._key)
            self._on_its_way = {one.session for one in found if not one.command}
        return session in self._on_its_way

    def is_left_of(self, path: str, branch: str | None) -> bool:
        """Whether a missing worktree can be made again: git's data for it are there, or its branch."""
        if self._common is None:
            return False
        if any(top == path for _, top in _named(self._common)):
            return True
        return branch is not None and repository.has_ref(self._common, f"refs/heads/{branch}")

    def removed(self, session: str, path: str) -> bool:
        """Whether git was told to remove a session's worktree (`store.removed`)."""
        return self._common is not None and removed.by_git(
            self._store, self._key, self._common, session, path
        )


def _linked(common: str) -> Iterator[tuple[str, str]]:
    """Yield private git directory and top of each linked worktree that is there."""
    return (pair for pair in _named(common) if os.path.isdir(pair[1]))


def _named(common: str) -> Iterator[tuple[str, str]]:
    """Yield private git directory and top of each linked worktree, also where that is missing."""
    try:
        listed = os.listdir(f"{common}/worktrees")
    except OSError:
        return
    for name in listed:
        private = f"{common}/worktrees/{name}"
        with contextlib.suppress(OSError):
            yield private, gitdir.worktree_of(private)
