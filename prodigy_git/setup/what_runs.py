"""Reading what would run in a worktree of a commit: from that commit, never from a checkout.

What is read here is what is shown, hashed and run: nobody can put something else in its place
meanwhile. The content of a script that a command names is hashed, too; before it runs, the file in the
worktree is compared (`differing`).
"""

import os
import posixpath
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace

from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import git, git_status, said
from prodigy_git.record import files
from prodigy_git.record.gitdir import Place
from prodigy_git.setup.plan import FOREIGN, OURS, STAGES, Part, Plan, Script

# What reads a file is imported where there is one: most repositories have none.

_SETTINGS = r"^prodigy\.(setup(run|start|timeout|env|directory)|teardown(run|timeout)|check)$"
_LARGEST = 1 << 20  # bytes of a file that says what to run
_LONGEST = 4096  # characters of a path that can be opened (PATH_MAX)
_LINE = 500_000  # bytes of a command line: Linux takes two million (execve(2))
_RUNS_FILES = frozenset(
    ("sh", "bash", "dash", "zsh", "ksh", "fish", "python", "python3", "node", "ruby", "perl", "source",
     ".", "deno", "bun", "exec", "env", "sudo", "time", "nice")
)  # fmt: skip
_TOPS = ("$PRODIGY_WORKTREE/", "${PRODIGY_WORKTREE}/", "./")


class Unfollowed(ProdigyError):
    """Another tool's file cannot be followed: it was not written for us."""


class _LeadsOut(ProdigyError):
    """A link in a commit leads out of it."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is a link that leads out of the repository")
        self.path = path


def plan(place: Place, commit: str) -> Plan:
    """Return what would run in a new worktree of ``commit``: the repository's file, one's own settings.

    Of the repository's files the first one counts that says anything, ours before other tools'.
    Raises `ProdigyError` with what is wrong in one, `Unfollowed` in another tool's.
    """
    theirs, unread = _of_commit(place, commit)
    parts = [] if theirs is None else [theirs]
    entries = _settings(place)
    if entries:
        from prodigy_git.setup import own_settings

        parts += own_settings.parts(place, entries)
    found = [_with_scripts(place, commit, one) if one.given else one for one in parts]
    return Plan(tuple(found), tuple(unread), commit)


def _of_commit(place: Place, commit: str) -> tuple[Part | None, list[str]]:
    """Return what a commit's file says, and which files are there that it hides."""
    try:
        blobs = _blobs(place, commit, (OURS, *FOREIGN))
    except _LeadsOut as error:
        if error.path == OURS:
            raise
        raise Unfollowed(str(error)) from error
    found: Part | None = None
    unread = []
    for path, (blob, size) in blobs.items():
        if found is not None and (found.commands or found.source == OURS):
            unread.append(path)
            continue
        try:
            found = _part(path, _text(place, path, blob, size)) or found
        except ProdigyError as error:
            if path == OURS:
                raise
            raise Unfollowed(str(error)) from error
    return found, unread


def _text(place: Place, path: str, blob: str, size: int) -> str:
    if size > _LARGEST:
        raise ProdigyError(f"{path} has {size} bytes: a file that says what to run is small")
    text = git(place.common, "cat-file", "blob", blob)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ProdigyError(f"{path} is not UTF-8") from None
    return text


def _settings(place: Place) -> list[tuple[str, str]]:
    """Return what git's configuration has of set-up: the file of each setting, and the setting."""
    status, out, err = git_status(
        place.top, "config", "-z", "--show-origin", "--get-regexp", _SETTINGS
    )
    if status not in (0, 1):  # 1: there is none
        raise ProdigyError(f"git config: {said(err)}")
    fields = out.split("\0")
    return list(zip(fields[::2], fields[1::2], strict=False))


def _part(path: str, text: str) -> Part | None:
    if path == OURS:
        from prodigy_git.setup import our_file

        return our_file.part(text)
    from prodigy_git.setup import foreign_files

    return foreign_files.part(path, text)


def _blobs(place: Place, commit: str, paths: tuple[str, ...]) -> dict[str, tuple[str, int]]:
    """Return blob and size of each file of a commit that is there; a link in it is followed.

    Raises `ProdigyError` for one that leads out of the commit.
    """
    asked = "".join(f"{commit}:{path}\n" for path in paths).encode("utf-8", "surrogateescape")
    status, out, err = git_status(
        place.common, "cat-file", "--batch-check", "--follow-symlinks", stdin=asked
    )
    if status != 0:
        raise ProdigyError(f"git cat-file: {said(err)}")
    found = {}
    lines = iter(out.split("\n"))
    for path in paths:
        line = next(lines, "")
        words = line.split(" ")
        if len(words) == 3 and words[1] == "blob" and words[2].isdigit():
            found[path] = words[0], int(words[2])
        elif words[0] in ("symlink", "dangling", "loop", "notdir") and len(words) == 2:
            next(lines, "")  # where it leads
            if words[0] == "symlink":
                raise _LeadsOut(path)
    return found


def blob_of(place: Place, commit: str, path: str) -> Script | None:
    """Return a file of a commit; None where there is none. Raises `ProdigyError`."""
    found = _blobs(place, commit, (path,)).get(path)
    return None if found is None else Script(path, found[0])


def _with_scripts(place: Place, commit: str, one: Part) -> Part:
    """Add the files of the commit that a part's commands run by their path.

    Raises `ProdigyError` where one is a link that leads out of it, `Unfollowed` in another tool's file.
    """
    candidates: dict[str, bool] = {}
    commands: dict[str, str] = {}
    for stage in STAGES:
        for text in one.of(stage):
            for path, surely in _named(text, one.folder):
                candidates[path] = candidates.get(path, False) or surely
                commands.setdefault(path, text)
    if not candidates:
        return one
    listed = ""
    for some in _command_lines(candidates):
        listed += git(
            place.common, "ls-tree", "-z", "--full-tree", commit, "--", *some,
            env={"GIT_LITERAL_PATHSPECS": "1"},  # a word like ':!vendor' is one of the command's own
        )  # fmt: skip
    paths = []
    for entry in dict.fromkeys(listed.split("\0")[:-1]):
        about, _, path = entry.partition("\t")
        mode, kind, _ = about.split(" ")
        if kind == "blob" and (mode == "100755" or mode == "120000" or candidates.get(path)):
            paths.append(path)
    try:
        blobs = _blobs(place, commit, tuple(paths)) if paths else {}
    except _LeadsOut as error:
        why = f"{error}; {one.source} names it: {' '.join(commands[error.path].split())}"
        raise (Unfollowed if one.source in FOREIGN else ProdigyError)(why) from error
    return replace(one, scripts=tuple(Script(path, blobs[path][0]) for path in sorted(blobs)))


def _command_lines(paths: Iterable[str]) -> Iterator[list[str]]:
    some: list[str] = []
    size = 0
    for path in paths:
        size += len(os.fsencode(path)) + 9  # with its end, and a pointer to it
        if some and size > _LINE:
            yield some
            some, size = [], 0
        some.append(path)
    if some:
        yield some


def _named(text: str, directory: str) -> list[tuple[str, bool]]:
    """Return the paths that a command may name, and whether it surely runs what is there."""
    words = shlex.shlex(text, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    words.commenters = ""
    try:
        split = list(words)
    except ValueError:  # quotes that do not end: sh will say so
        split = text.split()
    found, surely = [], True
    for word in split:
        path = word
        for top in _TOPS:
            path = path.removeprefix(top)
        inside = word.startswith(_TOPS[:2])
        path = posixpath.normpath(path if inside else posixpath.join(directory, path))
        outside = path.startswith(("/", "../", "-")) or path in ("", ".", "..")
        if not outside and len(path) <= _LONGEST and "\n" not in path and "\0" not in path:
            found.append((path, surely))
        starts = set(word) <= set(";&|()") or word in ("then", "do", "else", "!", "{")
        surely = starts or word in _RUNS_FILES or (surely and word.startswith("-"))
    return found


def scripts_of(part: Part, text: str) -> tuple[Script, ...]:
    """Return those of a part's scripts that one command names."""
    named = {path for path, _ in _named(text, part.folder)}
    return tuple(one for one in part.scripts if one.name in named)


def differing(top: str, scripts: tuple[Script, ...]) -> str | None:
    """Return the first script whose file in a worktree is not what was read in the commit; or None.

    A file's attributes (``ident``, ``working-tree-encoding``) can make another one of it; and whoever
    works there may have changed it.
    """
    import hashlib

    for one in scripts:
        try:
            data = files.read(f"{top}/{one.name}")
        except (OSError, ValueError):
            return one.name
        kind = hashlib.sha1 if len(one.blob) == 40 else hashlib.sha256
        if kind(b"blob %d\0" % len(data) + data).hexdigest() != one.blob:
            return one.name
    return None
