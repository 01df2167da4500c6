"""What is around the agents of a repository: hooks, trash, worktrees that nobody has."""

import contextlib
import os
from collections.abc import Iterator

from prodigy_git import layout
from prodigy_git.cleanup import entry, interrupted
from prodigy_git.cleanup.interrupted import HalfWay
from prodigy_git.errors import ProdigyError
from prodigy_git.git import ask
from prodigy_git.hookfiles import HOOKS, look
from prodigy_git.record import enrolment, files
from prodigy_git.record.gitdir import Place
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
    return [one for one in interrupted.find(store, broken, key) if one.command]


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
    """Return the paths of the linked worktrees that belong to no session, sorted."""
    return sorted(
        top
        for private, top in _linked(common)
        if not os.path.exists(f"{private}/{layout.ENROLMENT}")
    )


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


def _linked(common: str) -> Iterator[tuple[str, str]]:
    """Yield private git directory and top of each linked worktree that is there."""
    try:
        listed = os.listdir(f"{common}/worktrees")
    except OSError:
        return
    for name in listed:
        private = f"{common}/worktrees/{name}"
        with contextlib.suppress(OSError):
            said = os.fsdecode(files.read(f"{private}/gitdir")).removesuffix("\n")
            top = os.path.dirname(os.path.normpath(os.path.join(private, said)))
            if os.path.isdir(top):
                yield private, top
