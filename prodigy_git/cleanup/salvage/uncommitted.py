"""A worktree's index and working tree as git trees, made from a copy of the index.

The worktree's own index, and every other file of it, stay as they are.
"""

import contextlib
import errno
import os
import re
import shutil
import stat
from dataclasses import dataclass, field

from prodigy_git.cleanup.folders import trees
from prodigy_git.git import git_index
from prodigy_git.git.ask import look, said
from prodigy_git.record import files, ownership
from prodigy_git.record.gitdir import Place

# Settings under which git would run a program of the user's, refuse a file, or pass over one.
_PLAIN = (
    "-c", "core.hooksPath=/dev/null", "-c", "core.logAllRefUpdates=false",
    "-c", "core.safecrlf=false", "-c", "core.ignoreStat=false", "-c", "core.sparseCheckout=false",
    "-c", "index.sparse=false", "-c", "core.commitGraph=false",
)  # fmt: skip
_FILTER = re.compile(r"clean filter '(.+)' failed$", re.MULTILINE)
_GITLINK = "160000"


@dataclass
class Uncommitted:
    """The working tree's ``tree`` and the ``index``'s, as SHAs; the latter None with conflicts.

    ``objects`` are those that the index names besides, as (mode, type, SHA); ``left_out`` paths in
    the folder that could not be put into ``tree``; ``trouble`` what git said where it failed.
    """

    tree: str | None = None
    index: str | None = None
    objects: set[tuple[str, str, str]] = field(default_factory=set)
    left_out: list[str] = field(default_factory=list)
    trouble: str = ""


@dataclass(frozen=True)
class _Line:
    """One entry of the index: its tag (git-ls-files(1), -v), mode, SHA, stage and path."""

    tag: str
    mode: str
    sha: str
    stage: str
    path: bytes


class Quarantine(Place):
    """A worktree, and a folder outside of the repository's objects that git writes new ones to.

    No garbage collection knows of it, and no ref reaches into it.
    """

    __slots__ = ("folder",)

    def __init__(self, place: Place, folder: str) -> None:
        """Make the folder, on the repository's filesystem. Raises `OSError`."""
        super().__init__(place.private, place.common, place.top)
        self.folder = folder
        os.mkdir(folder, 0o700)
        ownership.hand_over(folder)
        files.make_private(f"{folder}/objects")

    def environment(self) -> dict[str, str]:
        """Return what makes git write there, and read from the repository as well."""
        return {
            "GIT_OBJECT_DIRECTORY": f"{self.folder}/objects",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": quoted(f"{self.common}/objects"),
        }


def quoted(path: str) -> str:
    """Return a path as git takes it in its list of object directories, which colons separate."""
    if ":" in path or path.startswith('"'):
        return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return path


def _put(source: str, target: str) -> None:
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # else ``objects`` is a link to another disk
            raise
        folder, name = os.path.split(target)
        temporary = f"{folder}/tmp_obj_{name}"  # such a name git deletes after a while
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        trees.copy(source, temporary)
        os.rename(temporary, target)


class _Failed(Exception):
    """What git said."""


def ask(
    place: Place, *arguments: str, stdin: bytes = b"", env: dict[str, str] | None = None
) -> tuple[int, bytes, str]:
    """Run git on a worktree with nothing of the user's that could run, sign or refuse; see `look`."""
    away = place.environment() if isinstance(place, Quarantine) else {}
    plain = {"GIT_NO_REPLACE_OBJECTS": "1", **away, **(env or {})}
    return look(place, *_PLAIN, *arguments, stdin=stdin, env=plain)


def empty_tree(place: Place) -> str:
    """Write the tree that has no entry, and return its SHA."""
    return ask(place, "mktree")[1].decode().strip()


def take(place: Quarantine, head: str | None, limit: int, *, careful: bool) -> Uncommitted:
    """Write index and working tree as trees.

    ``limit`` is in bytes, for files that are not in git; ``careful`` leaves out of the index what is
    missing. Trouble that may be gone at the next try is in the result.
    """
    taken = Uncommitted()
    try:
        _take(place, f"{place.folder}/index", head, limit, taken, careful=careful)
    except _Failed as error:
        taken.trouble = str(error)
    return taken


def _take(
    place: Place, index: str, head: str | None, limit: int, taken: Uncommitted, *, careful: bool
) -> None:
    copy = _Index(place, index)
    with contextlib.suppress(FileNotFoundError):
        # With its time: by that, git tells which files may have changed unnoticed.
        shutil.copy2(f"{place.private}/index", index)
    sound = not os.path.exists(index) or git_index.is_sound(files.read(index, files.LARGEST_OF_GIT))
    lines: list[_Line] = []
    try:
        lines = copy.lines()
    except _Failed:
        if sound and not careful:
            raise
        sound = False
    if not sound:
        # git reads on past the end of one that is cut off: what it says of it is half true. So the
        # files are compared with HEAD's.
        taken.objects |= copy.blobs(lines)
        os.unlink(index)
        if head is not None:
            copy.run("read-tree", head)
        lines = copy.lines()
    if careful:
        lines = copy.without_missing(lines)
    unmerged = [line for line in lines if line.stage != "0"]
    if unmerged:
        _keep_conflict(copy, unmerged, taken)
    else:
        taken.index = copy.write_tree()
    taken.objects |= copy.resolved()
    _uncover(copy, lines)
    lines = _without_replaced(copy, lines)
    gone, changed = _changed(copy, limit, {one.path: one.mode for one in lines}, taken.left_out)
    if gone:
        copy.update(gone, "--force-remove")
    _add(copy, changed, taken.left_out)
    taken.tree = copy.write_tree()


class _Index:
    """A copy of a worktree's index, and git run on it."""

    def __init__(self, place: Place, path: str) -> None:
        """Take the worktree and the copy's path."""
        self.place = place
        self.path = path
        self.settings: list[str] = []

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run git on the copy and return its output. Raises `_Failed`."""
        env = {"GIT_INDEX_FILE": self.path}
        status, out, err = ask(self.place, *self.settings, *arguments, stdin=stdin, env=env)
        if status != 0:
            raise _Failed(said(err))
        return out

    def lines(self) -> list[_Line]:
        """Return the entries. Raises `_Failed`."""
        found = []
        for entry in self.run("ls-files", "--stage", "-v", "-z").split(b"\0")[:-1]:
            about, _, path = entry.partition(b"\t")
            try:
                tag, mode, sha, stage = about.decode().split(" ")
            except ValueError:  # what a damaged one may say
                raise _Failed("the index is damaged") from None
            found.append(_Line(tag, mode, sha, stage, path))
        return found

    def blobs(self, lines: list[_Line]) -> set[tuple[str, str, str]]:
        """Return those blobs of the entries that are there. Raises `_Failed`."""
        names = sorted({line.sha for line in lines})
        out = self.run("cat-file", "--batch-check", stdin="".join(f"{n}\n" for n in names).encode())
        about = (line.decode("ascii", "replace").split(" ") for line in out.splitlines())
        return {("100644", "blob", one[0]) for one in about if one[1:2] == ["blob"]}

    def write_tree(self) -> str:
        """Write the index as a tree and return its SHA. Raises `_Failed`."""
        # A partial clone may lack blobs of the index; whether others do is looked for in the end.
        return self.run("write-tree", "--missing-ok").decode().strip()

    def resolved(self) -> set[tuple[str, str, str]]:
        """Return the blobs from which resolved conflicts were made (git-ls-files(1))."""
        out = self.run("ls-files", "--resolve-undo", "-z")
        about = (entry.split(b"\t")[0].decode().split(" ") for entry in out.split(b"\0")[:-1])
        return {(mode, "blob", sha) for mode, sha, _ in about if mode != _GITLINK}

    def without_missing(self, lines: list[_Line]) -> list[_Line]:
        """Drop the entries whose blobs are missing, and return the others. Raises `_Failed`."""
        names = sorted({line.sha for line in lines if line.mode != _GITLINK})
        out = self.run("cat-file", "--batch-check", stdin="".join(f"{n}\n" for n in names).encode())
        missing = {line.split(b" ")[0].decode() for line in out.splitlines() if b" missing" in line}
        gone = sorted({line.path for line in lines if line.sha in missing})
        if gone:
            self.update(gone, "--force-remove")
        return [line for line in lines if line.path not in set(gone)]

    def update(self, paths: list[bytes], *options: str) -> None:
        """Run ``update-index`` on paths. Raises `_Failed`; then the index is as it was."""
        self.run(
            "update-index", *options, "-z", "--stdin", stdin=b"".join(p + b"\0" for p in paths)
        )


def _keep_conflict(copy: _Index, unmerged: list[_Line], taken: Uncommitted) -> None:
    """Keep every stage of a conflict, and the tree of the entries that have none."""
    taken.objects |= {(one.mode, "blob", one.sha) for one in unmerged if one.mode != _GITLINK}
    other = _Index(copy.place, f"{copy.path}-merged")
    shutil.copy2(copy.path, other.path)
    other.update(sorted({one.path for one in unmerged}), "--force-remove")
    taken.objects.add(("040000", "tree", other.write_tree()))


def _uncover(copy: _Index, lines: list[_Line]) -> None:
    """Clear assume-unchanged and skip-worktree of files that exist, so that git looks at them."""
    top = os.fsencode(copy.place.top)
    links: dict[bytes, bool] = {}
    for option, hidden in (
        ("--no-assume-unchanged", [line.path for line in lines if line.tag.islower()]),
        # In a sparse checkout the others are absent on purpose, not deleted.
        ("--no-skip-worktree", [line.path for line in lines if line.tag in "Ss"]),
    ):
        there = [
            path for path in hidden
            if os.path.lexists(top + b"/" + path)
            and not trees.beyond_link(top, os.path.dirname(path), links)
        ]  # fmt: skip
        if there:
            copy.update(there, option)


def _without_replaced(copy: _Index, lines: list[_Line]) -> list[_Line]:
    """Drop the submodules that a symbolic link has replaced: git would refuse to look at anything."""
    top = os.fsencode(copy.place.top)
    links: dict[bytes, bool] = {}
    replaced = {
        one.path
        for one in lines
        if one.mode == _GITLINK and trees.beyond_link(top, one.path, links)
    }
    if replaced:
        copy.update(sorted(replaced), "--force-remove")
    return [one for one in lines if one.path not in replaced]


def _changed(
    copy: _Index, limit: int, tracked: dict[bytes, str], left_out: list[str]
) -> tuple[list[bytes], list[bytes]]:
    """Return the paths of the index that are gone, and those to be added; ``tracked`` has modes."""
    top = os.fsencode(copy.place.top)
    out = copy.run(
        "ls-files", "-z", "-t", "--others", "--modified", "--deleted", "--exclude-standard"
    )
    gone, changed = [], []
    links: dict[bytes, bool] = {}
    for path in sorted({entry[2:] for entry in out.split(b"\0")[:-1]}):
        if trees.beyond_link(top, os.path.dirname(path), links):
            gone.append(path)
            continue
        try:
            about = os.lstat(top + b"/" + path)
        except (FileNotFoundError, NotADirectoryError):
            gone.append(path)
            continue
        except OSError:  # behind a folder without permission: not known to be gone
            left_out.append(os.fsdecode(path))
            continue
        kind = stat.S_IFMT(about.st_mode)
        if kind == stat.S_IFDIR:
            if tracked.get(path, _GITLINK) != _GITLINK:  # a folder has replaced a file
                gone.append(path)
                continue
            keep = path in tracked  # a submodule; an untracked one is a repository
        elif kind == stat.S_IFREG:
            keep = path in tracked or about.st_size <= limit
            keep = keep and os.access(top + b"/" + path, os.R_OK)
        else:
            keep = kind == stat.S_IFLNK
        if keep:
            changed.append(path)
        else:
            left_out.append(os.fsdecode(path))
    return gone, changed


def _add(copy: _Index, changed: list[bytes], left_out: list[str]) -> None:
    """Put files into the index as they are, one by one where all at once fails."""
    pending = [changed] if changed else []
    while pending:
        paths = pending.pop()
        try:
            copy.update(paths, "--add", "--remove", "--replace")
        except _Failed as error:
            failed = _FILTER.search(str(error))
            if failed is not None and f"filter.{failed[1]}.required=false" not in copy.settings:
                # A required filter whose program is missing here: what it cannot clean is kept raw.
                for name in ("clean=", "process=", "required=false"):
                    copy.settings += ["-c", f"filter.{failed[1]}.{name}"]
                pending.append(paths)
            elif len(paths) > 1:
                half = len(paths) // 2
                pending += [paths[half:], paths[:half]]
            elif not _add_raw(copy, paths[0]):
                left_out.append(os.fsdecode(paths[0]))


def _add_raw(copy: _Index, path: bytes) -> bool:
    """Put a file's bytes into the index, with no conversion; return whether that succeeded."""
    try:
        about = os.lstat(os.fsencode(copy.place.top) + b"/" + path)
        if not stat.S_ISREG(about.st_mode):
            return False
        sha = copy.run(
            "hash-object", "-w", "--no-filters", "--", os.fsdecode(path)
        ).decode().strip()  # fmt: skip
        mode = "100755" if about.st_mode & stat.S_IXUSR else "100644"
        line = f"{mode} {sha} 0\t".encode() + path + b"\0"
        copy.run("update-index", "--add", "--replace", "-z", "--index-info", stdin=line)
    except (OSError, _Failed):
        return False
    return True
