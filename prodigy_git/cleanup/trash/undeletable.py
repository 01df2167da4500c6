"""What to say of something in the trash that could not be deleted: what, why, and what helps.

The commands can be followed as they stand: they touch nothing outside of the entry's own folders. So
nothing is said of ``rm`` while something is mounted in there: ``rm -r`` would delete what that is.
"""

import os
import pwd
import re
import shlex
import shutil
from collections.abc import Iterable, Sequence

from prodigy_git.cleanup.folders.erasing import Left

_MOST = 5  # mount points in one command


def words(left: Sequence[Left], folders: Sequence[str]) -> str:
    """Return, in one line, what is left of an entry's ``folders``, why, and the command that helps."""
    first = left[0]
    more = f" and {len(left) - 1} more" if len(left) > 1 else ""
    said = f"{first.path}{more} could not be deleted ({first.why})"
    help_ = _commands(left, [one for one in folders if os.path.lexists(one)])
    return f"{said}: {help_}" if help_ else said


def _commands(left: Sequence[Left], folders: Sequence[str]) -> str:
    mounts = mounts_in(folders) or [one.path for one in left if one.cause == "mount"]
    if mounts:
        # The innermost first; what lies on top of one another takes more than one.
        innermost = sorted(mounts, key=len, reverse=True)[:_MOST]
        return _as_root("umount", innermost)
    commands = []
    if any(one.cause == "flags" for one in left):
        commands.append(_as_root("chattr -R -f -i -a", folders))
    foreign = [one for one in left if one.cause == "owner"]
    if foreign:
        commands.append(_by_owner(foreign, folders))
    return ", then ".join(commands)


def _by_owner(foreign: Sequence[Left], folders: Iterable[str]) -> str:
    command = f"rm -rf --one-file-system {_quoted(folders)}"
    if os.geteuid() == 0:  # and yet refused: in a container, or by NFS, root is not root
        return f"as {_user(foreign[0].uid)}, or outside of this container: '{command}'"
    return _as_root("rm -rf --one-file-system", folders)


def _user(uid: int | None) -> str:
    try:
        return pwd.getpwuid(-1 if uid is None else uid).pw_name
    except (KeyError, OverflowError):
        return f"the user {uid}"


def _as_root(command: str, paths: Iterable[str]) -> str:
    text = f"{command} {_quoted(paths)}"
    if os.geteuid() == 0:
        return f"'{text}'"
    return f"'sudo {text}'" if shutil.which("sudo") else f"as root: '{text}'"


def _quoted(paths: Iterable[str]) -> str:
    """Return paths as a shell takes them; in double quotes: the whole command stands in single ones."""

    def quoted(path: str) -> str:
        plain = shlex.quote(path) == path or set(path) & set('"$`\\!')
        return shlex.quote(path) if plain else f'"{path}"'

    return " ".join(map(quoted, paths))


def mounts_in(folders: Iterable[str]) -> list[str]:
    """Return what is mounted at or below ``folders``, in this process's namespace."""
    try:
        with open("/proc/self/mountinfo", "rb") as stream:
            lines = stream.read().splitlines()
    except OSError:
        return []
    points = []
    for line in lines:
        # proc(5): the fifth field, with space, tab, newline and backslash in octal.
        point = re.sub(
            rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), line.split(b" ")[4]
        )
        points.append(os.fsdecode(point))
    real = [os.path.realpath(folder) for folder in folders]
    return [point for point in points if any(f"{point}/".startswith(f"{one}/") for one in real)]
