"""A worktree that an agent program asks for: under any name, and also where our store cannot be used.

A program has no second try: what it gets, or an error, is what its user sees. So a name that cannot be
is made one that can, one that is in use gets a number, and where we cannot make the worktree git does,
as the program would have without us. What is set up, and how it is taken back, is `new_worktree`'s.
"""

import contextlib
import os
import re
import shutil
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError, told
from prodigy_git.git import branch_names, repository
from prodigy_git.git.ask import SILENCE, git_status, said
from prodigy_git.lifecycle import launcher, naming
from prodigy_git.lifecycle.new_worktree import NewWorktree, Unready, new_worktree
from prodigy_git.record import gitdir, session
from prodigy_git.record.gitdir import Place
from prodigy_git.store import enrolled, home
from prodigy_git.store.broken import Broken

PLACE = ".claude/worktrees"
"""Where a program makes its worktrees itself, below the main one."""
LOCAL_SETTINGS = ".claude/settings.local.json"
"""What a program copies into worktrees that it makes itself, and leaves to us where we do."""

_REQUEST = re.compile(r"pr-([1-9][0-9]{0,8})")
"""What Claude Code calls a request's worktree (``--worktree "#12"``), and would fetch itself."""
_TRIES = 20
_LONGEST = 1 << 12  # characters of a name that are looked at
_LONGEST_BRANCH = 1000  # bytes; a path has 4096, of which the repository's folder needs some


@dataclass(frozen=True)
class Made:
    """A worktree for a program; with ``why`` it is git's alone, and has no session of ours."""

    worktree: str
    session_id: str | None
    why: str | None = None


def create(
    cwd: str,
    name: str | None,
    program: str,
    *,
    pid: int | None = None,
    broken: Broken,
) -> Made:
    """Make a worktree of the repository around ``cwd`` for a program that calls it ``name``.

    ``pid`` is the program's process. Nobody is asked anything. Where our part of it fails, git makes a
    plain worktree where the program would. Raises `ProdigyError` or `OSError` where git cannot either,
    and `Unready` where a set-up command or the repository's own hook has failed: nothing is there then.
    """
    place = repository.find(cwd)
    try:
        made = _ours(cwd, place, name, program, pid, broken)
    except Unready:
        raise
    except Exception as error:  # whatever it is: git can do without us
        why = told(error)
        return Made(_gits(cwd, place, name, why), None, why)
    top = enrolled.top(place.common, place.common)
    try:
        _bring_settings(top, made.worktree)
    except (ProdigyError, OSError) as error:
        broken(f"{LOCAL_SETTINGS} is not copied: {error}")
    if made.setup == "untrusted":
        broken(
            "made without the repository's set-up commands, which nobody has allowed: "
            f"'prodigy-git setup trust', then 'prodigy-git setup run {made.session_id}'"
        )
    return Made(made.worktree, made.session_id)


def _ours(
    cwd: str,
    place: Place,
    name: str | None,
    program: str,
    pid: int | None,
    broken: Broken,
) -> NewWorktree:
    store = home.here(cwd)
    more = {session.MADE_FOR: program, **launcher.of(pid)}
    request = _REQUEST.fullmatch(plain(name))
    made = None if request is None else _of_request(cwd, place, int(request[1]), more, broken)
    if made is not None:
        return made
    for wanted in names_for(place, name):
        # A session's id is used once, ever: its number is the name's, too.
        plain_name = wanted is not None and "/" not in wanted
        if plain_name and os.path.lexists(layout.session(store, str(wanted))):
            continue
        try:
            return new_worktree(cwd, name=wanted, more=more, broken=broken, say=broken)
        except naming.NameInUse:
            continue
    raise AssertionError("a name that is made up is nobody else's")


def _of_request(
    cwd: str, place: Place, number: int, more: Mapping[str, Any], broken: Broken
) -> NewWorktree | None:
    """Make a worktree of a pull request; None where there is none of that number, which is said."""
    for one in range(1, _TRIES + 1):
        branch = f"pr-{number}" if one == 1 else f"pr-{number}-{one}"
        if branch_names.in_the_way(place, branch) is not None:
            continue
        try:
            return new_worktree(
                cwd, branch=branch, pull=number, more=more, broken=broken, say=broken
            )
        except naming.NameInUse:
            continue
        except Unready:
            raise
        except ProdigyError as error:
            broken(f"{error}; the worktree begins at HEAD")
            return None
    return None


def names_for(place: Place, text: str | None) -> Iterator[str | None]:
    """Yield the names that a worktree may have which a program calls ``text``, the best first.

    Each is safe: a session's id, or, where the text has a stroke in it and git takes it, a branch's
    name. The last is None: one that is made up.
    """
    text = plain(text)
    if "/" in text and not text.startswith("refs/") and _is_branch(place, text):
        for number in range(1, _TRIES + 1):
            name = text if number == 1 else f"{text}-{number}"
            taken = branch_names.in_the_way(place, name)
            if taken is None:
                yield name
            elif name.startswith(f"{taken}/"):
                break  # no number helps
    stem = naming.stem(_without_accents(text))
    if stem is not None and names.is_safe(stem) and names.fits_into_ref(stem):
        with contextlib.suppress(ProdigyError):  # used a thousand times
            yield from naming.ids(stem)
    yield None


def _is_branch(place: Place, text: str) -> bool:
    """Whether git takes a text for a branch, and a filesystem for the path of a branch's file."""
    parts = [len(os.fsencode(part)) for part in text.split("/")]
    fits = max(parts) <= branch_names.LONGEST and sum(parts) <= _LONGEST_BRANCH
    return fits and branch_names.is_possible(place.top, text)


def plain(text: str | None) -> str:
    """Return a program's name for a worktree without what no name has: on one line, of one form."""
    text = unicodedata.normalize("NFC", (text or "")[:_LONGEST])
    return "".join(c for c in text if c.isprintable()).strip()


def _without_accents(text: str) -> str:
    """Return a text with the letters that are nearest to its own: an id has plain ones only."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def _gits(cwd: str, place: Place, name: str | None, why: str) -> str:
    """Have git make a worktree where the program would; return its path.

    Raises `ProdigyError` with ``why`` ours could not be made, too.
    """
    top = os.path.realpath(enrolled.top(place.common, place.common))
    stem = naming.stem(_without_accents(plain(name))) or names.fresh("agent")
    trouble = "there are too many of that name"
    for number in range(1, _TRIES + 1):
        called = stem if number == 1 else f"{stem}-{number}"
        path, branch = f"{top}/{PLACE}/{called}", f"worktree-{called}"
        if os.path.lexists(path) or branch_names.in_the_way(place, branch) is not None:
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        how = ("worktree", "add", "--quiet", "-b", branch, path)
        # As the program would, with our hooks: they fail nothing, and give it a session if they can.
        status, _, err = git_status(cwd, *how, env={SILENCE: ""})
        if status == 0:
            return path
        trouble = said(err, f"exit status {status}")
        if not os.path.lexists(path) and branch_names.in_the_way(place, branch) is None:
            break  # it was not somebody quicker
    raise ProdigyError(f"no worktree was made: {why}; and git worktree add: {trouble}")


def _bring_settings(main: str, new: str) -> None:
    """Copy the settings of the program that git ignores, as the program does for its own worktrees.

    Not through a link on either side, which may lead anywhere.
    """
    source, target = f"{main}/{LOCAL_SETTINGS}", f"{new}/{LOCAL_SETTINGS}"
    try:
        about = os.lstat(source)
    except OSError:
        return
    folder = os.path.dirname(target)
    if not stat.S_ISREG(about.st_mode) or os.path.lexists(target) or os.path.islink(folder):
        return
    there = gitdir.find(new, {})
    if there is None or git_status(new, "check-ignore", "--quiet", LOCAL_SETTINGS)[0] != 0:
        return  # it would be a new file in somebody's work
    os.makedirs(folder, exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)
