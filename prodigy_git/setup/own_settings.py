"""Set-up commands of one's own, from git's configuration: ``prodigy.setupRun`` and its like.

They run beside the repository's, and need no trust: whoever can write there can run anything. But a
configuration may include a file that is tracked (``git config include.path ../.gitconfig``); what that
one says a repository has brought, and is treated so.
"""

import os

from prodigy_git.git import repository
from prodigy_git.record.gitdir import Place
from prodigy_git.setup import our_file
from prodigy_git.setup.plan import Part

_COMMANDS = {
    "prodigy.setupRun": "run", "prodigy.setupStart": "start", "prodigy.teardownRun": "teardown",
    "prodigy.check": "check",
}  # fmt: skip
_LIMITS = {
    "prodigy.setupTimeout": "run", "prodigy.teardownTimeout": "teardown",
}  # fmt: skip
_DIRECTORY, _ENV = "prodigy.setupDirectory", "prodigy.setupEnv"
# git gives names in small letters.
_NAMES = {name.lower(): name for name in (*_COMMANDS, *_LIMITS, _DIRECTORY, _ENV)}


def parts(place: Place, entries: list[tuple[str, str]]) -> list[Part]:
    """Return what settings say, by whether the repository brought them. Raises `ProdigyError`.

    ``entries`` are as git prints them: where each stands, and its name and value.
    """
    ours: list[tuple[str, str]] = []
    brought: list[tuple[str, str]] = []
    for origin, entry in entries:
        key, _, value = entry.partition("\n")
        (brought if _is_tracked(place, origin) else ours).append((key, value))
    made = []
    if brought:
        made.append(_part("a file that git's configuration includes", True, brought))
    if ours:
        made.append(_part("git config", False, ours))
    return made


def _part(source: str, given: bool, entries: list[tuple[str, str]]) -> Part:
    commands: dict[str, list[str]] = {}
    limits: dict[str, float] = {}
    env: dict[str, str] = {}
    directory = "."
    for name, value in entries:
        key = _NAMES.get(name)
        where = f"{source} {key}"
        if key in _COMMANDS:
            commands.setdefault(_COMMANDS[key], []).extend(our_file.texts(value, where))
        elif key in _LIMITS:
            limits[_LIMITS[key]] = our_file.seconds(value, where)
        elif key == _DIRECTORY:
            directory = our_file.folder(value, where)
        elif key == _ENV:
            variable, _, text = value.partition("=")
            env |= our_file.environment({variable: text}, where)
    texts = {stage: tuple(found) for stage, found in commands.items()}
    return our_file.checked(Part(source, given, texts, env, directory, limits))


def _is_tracked(place: Place, origin: str) -> bool:
    """Whether a setting stands in a file of a worktree, and so may have come with the repository."""
    kind, _, name = origin.partition(":")
    if kind != "file":
        return kind == "blob"
    if name in _users_files():
        return False  # also where a user keeps all of the home folder in git
    path = os.path.realpath(os.path.join(place.top, name))
    private = [os.path.realpath(one) for one in (place.common, place.private)]
    if path in (f"{private[0]}/config", f"{private[1]}/config.worktree"):
        return False
    # The processes that this takes are paid only by who has such settings elsewhere.
    listed = [one.path for one in repository.worktrees(place.common) if not one.bare]
    tops = [os.path.realpath(one) for one in (place.top, *listed)]
    around = [one for one in (*private, *tops) if path.startswith(f"{one}/")]
    # The innermost says what it is: a worktree has a `.git` in it, and may lie in a bare repository.
    return max(around, key=len, default="") in tops


def _users_files() -> set[str]:
    """Return where git looks for a user's own configuration (git-config(1), FILES)."""
    home = os.path.expanduser("~")
    xdg = os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    named = (os.environ.get(name, "") for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"))
    return {f"{home}/.gitconfig", f"{xdg}/git/config", *named}
