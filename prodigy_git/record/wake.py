"""The note by which a hook's shell part may leave git's way, and who writes it.

A shell cannot look closely, and asking git costs it a process. So whoever looked closely and found all
well, which is a hook that git waits for, leaves a note in the private git directory: what ``git config
prodigy.record`` says, where the worktree and its store are, and which files git's configuration is made
of. As long as the note is younger than each of those, and where it says it was written, the shell wakes
a recorder and exits (``hooks/wake.sh``). In every other case git waits, and the note is written anew.

Each line of it is a fact, the last one a dot: what is not whole is no note.
"""

from __future__ import annotations

import os
import time

from prodigy_git import layout
from prodigy_git.record import files, gitdir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from prodigy_git.record.enrolment import Enrolment
    from prodigy_git.record.gitdir import Place

WAIT = "wait"
BACKGROUND = "background"
_OF_HOME = (
    "HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM",
)  # fmt: skip
"""The variables that say where git's configuration is; in the order in which the shell joins them."""
_TICK = 20_000_000
"""Nanoseconds by which a file's time may be behind the clock's: the kernel counts in ticks."""


class Note:
    """What a note says, see the module; ``home`` are the values of the variables of `_OF_HOME`."""

    __slots__ = ("common", "files", "home", "private", "session", "store", "way")

    def __init__(
        self,
        way: str,
        private: str,
        common: str,
        store: str,
        session: str,
        home: str,
        configuration: list[str],
    ) -> None:
        """Take the lines of a note, the paths absolute."""
        self.way = way
        self.private = private
        self.common = common
        self.store = store
        self.session = session
        self.home = home
        self.files = configuration

    def lines(self) -> list[str]:
        """Return the lines, as `parsed` reads them."""
        head = (self.way, self.private, self.common, self.store, self.session, self.home)
        return [*head, *self.files, "."]


def parsed(data: bytes) -> Note | None:
    """Return what the text of a note says; None where it is not whole."""
    lines = os.fsdecode(data).split("\n")
    if len(lines) < 8 or lines[-2:] != [".", ""]:
        return None
    way, private, common, store, session, home = lines[:6]
    return Note(way, private, common, store, session, home, lines[6:-2])


def keep(place: Place, there: Enrolment, environ: Mapping[str, str]) -> None:
    """Write the note where there is none that is true; never raises.

    To be called by a hook that git waits for, or a command, when it has done its work: nobody deletes
    the worktree meanwhile. No note is written where a recorder could not do what a hook can.
    """
    # Who is made to wait need not know what is configured; nor be kept longer, to be told so.
    if environ.get("PRODIGY_RECORD") == WAIT or not _can_be_left(place, there):
        return
    try:
        home = _home(environ)
        path = f"{place.private}/{layout.WAKE}"
        if _is_true(path, place, there, home):
            return
        begun = time.time_ns()
        found = _configured(place, environ)
        if found is None:
            return
        way, configuration = found
        note = Note(
            way, place.private, place.common, there.store, there.session, home, configuration
        )
        lines = note.lines()
        if any("\n" in line for line in lines):
            return
        files.make_private(layout.recorders(there.store))
        _write(path, os.fsencode("\n".join(lines) + "\n"), _time_for(begun, configuration))
    except (OSError, ValueError):
        pass  # git waits at the next commit too, then


def _can_be_left(place: Place, there: Enrolment) -> bool:
    """Whether the journal is a file of this user's alone, which can be read when it is deleted."""
    if there.suffix or not there.known or there.stale:
        return False
    try:
        return (
            os.stat(f"{place.private}/{layout.ENROLMENT}").st_uid == os.geteuid()
            and os.path.isfile(f"{place.private}/logs/HEAD")
            and not os.path.islink(f"{place.private}/HEAD")  # core.preferSymlinkRefs
            and not os.path.isdir(f"{place.common}/reftable")
        )
    except OSError:
        return False


def _home(environ: Mapping[str, str]) -> str:
    return "|".join(environ.get(name, "") for name in _OF_HOME)


def _is_true(path: str, place: Place, there: Enrolment, home: str) -> bool:
    """Whether the note at ``path`` still holds: what the shell asks, asked here."""
    try:
        note = parsed(files.read(path))
        when = os.stat(path).st_mtime_ns
    except OSError:
        return False
    if note is None:
        return False
    facts = (note.private, note.common, note.store, note.session, note.home)
    if facts != (place.private, place.common, there.store, there.session, home):
        return False
    return all(when > (_changed(one) or 0) for one in note.files)


def _changed(path: str) -> int | None:
    """Return when a file was changed, in nanoseconds since 1970; None: there is none."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


def _time_for(begun: int, configuration: list[str]) -> int:
    """Return the time that a note gets: every later change of the configuration is to be younger."""
    times = [when for one in configuration if (when := _changed(one)) is not None]
    if any(when % 10**9 == 0 for when in times):
        return begun - begun % (
            2 * 10**9
        )  # perhaps a filesystem that counts in whole seconds, or two
    return begun - _TICK


def _configured(place: Place, environ: Mapping[str, str]) -> tuple[str, list[str]] | None:
    """Return what ``prodigy.record`` is, and the files that it may be in; None: no note can tell.

    Those that git read, and those that it would read if they were there (git-config(1), FILES).
    """
    status, out = gitdir.ask(place, "config", "--list", "--show-origin", "-z")
    if status != 0:
        return None
    way = BACKGROUND
    named = [f"{place.common}/config", f"{place.private}/config.worktree"]
    system = environ.get("GIT_CONFIG_SYSTEM") or "/etc/gitconfig"
    own = environ.get("GIT_CONFIG_GLOBAL")
    if own:
        named.append(own)
    elif environ.get("HOME"):
        above = environ.get("XDG_CONFIG_HOME") or f"{environ['HOME']}/.config"
        named += [f"{environ['HOME']}/.gitconfig", f"{above}/git/config"]
    if environ.get("GIT_CONFIG_NOSYSTEM", "") in ("", "0", "false", "no"):
        named.append(system)
    words = out.split(b"\0")
    for origin, entry in zip(words[::2], words[1::2], strict=False):
        key, _, value = os.fsdecode(entry).partition("\n")
        kind, _, path = os.fsdecode(origin).partition(":")
        asked = key == "prodigy.record"
        included = key == "include.path" or (key.startswith("includeif.") and key.endswith(".path"))
        if kind == "file":
            path = os.path.join(place.private, path)
            named.append(path)
        elif asked or included:
            return None  # on the command line, or in a variable: for this command alone
        if asked:
            way = WAIT if value.strip().lower() == WAIT else BACKGROUND
        if included:
            value = os.path.expanduser(value)
            named.append(os.path.join(os.path.dirname(path), value))
            if key.startswith("includeif.onbranch:"):
                named.append(f"{place.private}/HEAD")
    return way, list(dict.fromkeys(map(os.path.normpath, named)))


def _write(path: str, data: bytes, when: int) -> None:
    """Put a note in its place at once, with the time ``when``; not synced, since it can be missing."""
    temporary = f"{path}.new"
    descriptor = files.create(temporary, os.O_WRONLY | os.O_TRUNC)
    try:
        files.write_all(descriptor, data)
    finally:
        os.close(descriptor)
    os.utime(temporary, ns=(when, when))
    os.rename(temporary, path)
