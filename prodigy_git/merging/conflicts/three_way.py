"""Merging commits without a worktree: what comes out, and which files are in conflict.

`git merge-tree --write-tree` (git 2.38) merges as `git merge` does, with the same settings, renames and
attributes, and touches no index and no file. It writes the trees that it makes: into a folder of ours,
beside the repository's objects, which is deleted with the `Scratch`.

- Attributes, as ``merge=union``, are read by git from files in its current directory. That is the
  scratch folder, in which the target's ``.gitattributes`` are laid, as in a checkout of the target.
- A merge driver (gitattributes(5)) that the user's own configuration has is run, as `git merge` would
  run it; its files lie in the scratch folder, too.
- What a partial clone lacks is not fetched (`ask.look`): the merge is then not known.
"""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType

from prodigy_git.errors import ProdigyError
from prodigy_git.git import ask
from prodigy_git.git.ask import look, said
from prodigy_git.record.gitdir import Place

OLDEST = (2, 38)
"""The oldest git that merges without a worktree."""
_STDIN_SINCE = (2, 39)
"""Since then one process merges many."""
_AT_ONCE = 128
"""Merges of one process, whose trees are deleted before the next begins: the disk stays bounded."""
# The objects are gone in a moment: neither synced nor made small.
_PASSING = ("-c", "core.fsync=none", "-c", "core.looseCompression=0")
_ASKED_TO_END = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
"""Signals that come to git too, when somebody ends the command. Others tell of a fault in git."""
_PREFIX = "prodigy-merges-"
_LEFT = 86400.0  # seconds after which a folder is a killed command's: none takes so long
_LARGEST_ATTRIBUTES = 1 << 20  # bytes; git takes 100 MB


@dataclass(frozen=True, slots=True)
class Merge:
    """What came of a merge. ``tree`` is the merged one, with conflict markers where it is not clean.

    ``files`` has the paths in conflict, each with what kinds of conflict they are ("contents",
    "modify/delete", "binary", …), as git calls them. ``trouble`` says why git could not merge: then
    ``tree`` is None.
    """

    tree: str | None
    files: tuple[tuple[str, str], ...] = ()
    clean: bool = False
    trouble: str | None = None


def check_version() -> tuple[int, ...]:
    """Return git's version. Raises `ProdigyError` where it cannot merge without a worktree."""
    found = ask.version()
    if found < OLDEST:
        here, needed = (".".join(map(str, one)) for one in (found, OLDEST))
        raise ProdigyError(f"this takes git {needed} or newer, here is {here}: update git")
    return found


class Scratch:
    """A folder in which commits of one repository are merged; used in a ``with`` statement."""

    def __init__(self, common: Place, target: str) -> None:
        """Prepare for the repository ``common`` (its three parts the same) and a target commit.

        Raises `ProdigyError` for a git that is too old, `OSError`.
        """
        self._many = check_version() >= _STDIN_SINCE
        self._common = common
        self._alternates = f"{common.common}/objects"
        _sweep()
        self.folder = tempfile.mkdtemp(prefix=_PREFIX)
        self._kept = f"{self.folder}/kept"
        self._number = 0
        self._lock = threading.Lock()
        self._over = False  # whether no more merges are wanted
        try:
            self._top = f"{self.folder}/top"
            os.mkdir(self._kept)
            os.mkdir(self._top)
            self.attributes = self._lay_attributes(target)
            """What the target's ``.gitattributes`` say, as one digest."""
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def __enter__(self) -> "Scratch":
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _lay_attributes(self, target: str) -> str:
        # Where objects are missing, there are none to go by: the merges say what is wrong.
        status, out, _ = self.ask("ls-tree", "-r", "-z", "--full-tree", target)
        digest = hashlib.sha256()
        for entry in out.split(b"\0") if status == 0 else ():
            about, _, path = entry.partition(b"\t")
            if not path.endswith(b".gitattributes") or not about.startswith(b"100"):
                continue
            folder, _, name = os.fsdecode(path).rpartition("/")
            if name != ".gitattributes" or ".." in folder.split("/"):
                continue
            sha = about.split(b" ")[2].decode("ascii")
            status, text, _ = self.ask("cat-file", "blob", sha)
            if status != 0 or len(text) > _LARGEST_ATTRIBUTES:
                continue
            digest.update(entry)
            os.makedirs(f"{self._top}/{folder}", exist_ok=True)
            with open(f"{self._top}/{folder}/{name}", "wb") as stream:
                stream.write(text)
        return digest.hexdigest()

    def ask(self, *arguments: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
        """Ask git about the repository, with what was kept here; as `ask.look`."""
        return self._run(self._kept, *arguments, stdin=stdin)

    def _run(self, objects: str, *arguments: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
        others = [self._alternates] if objects == self._kept else [self._kept, self._alternates]
        env = {
            "GIT_OBJECT_DIRECTORY": objects,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": ":".join(map(_quoted, others)),
        }
        place = Place(self._common.private, self._common.common, self._top)
        return look(place, *_PASSING, *arguments, stdin=stdin, env=env)

    def commit(self, tree: str, parents: Sequence[str]) -> str:
        """Keep a commit here, of a tree and parents that are known, and return its SHA."""
        lines = [f"tree {tree}", *(f"parent {one}" for one in parents)]
        who = "prodigy-git <prodigy-git@localhost> 0 +0000"
        text = "\n".join([*lines, f"author {who}", f"committer {who}", "", "merged in memory\n"])
        data = b"commit %d\0" % len(text.encode()) + text.encode()
        # A tree's name tells which of the two formats the repository has (gitformat-hash-transition).
        sha = (hashlib.sha256(data) if len(tree) == 64 else hashlib.sha1(data)).hexdigest()
        os.makedirs(f"{self._kept}/{sha[:2]}", exist_ok=True)
        with open(f"{self._kept}/{sha[:2]}/{sha[2:]}", "wb") as stream:
            stream.write(zlib.compress(data, 0))
        return sha

    def merge(self, pairs: Sequence[tuple[str, str]], *, keep: bool = False) -> list[Merge]:
        """Merge pairs of commits, (ours, theirs), and return what came of each, in their order.

        ``keep``: the trees that are made stay until the end, so that `commit` may have them. Raises
        `ProdigyError` where git cannot be started, or is asked to end.
        """
        cores = max(1, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else 2
        size = max(1, min(_AT_ONCE, -(-len(pairs) // cores)))
        chunks = [pairs[at : at + size] for at in range(0, len(pairs), size)]
        if len(chunks) < 2:
            return [one for chunk in chunks for one in self._chunk(chunk, keep)]
        with ThreadPoolExecutor(cores) as pool:
            try:
                done = list(pool.map(lambda chunk: self._chunk(chunk, keep), chunks))
            except BaseException:
                self._over = True
                pool.shutdown(cancel_futures=True)
                raise
        return [one for some in done for one in some]

    def _chunk(self, pairs: Sequence[tuple[str, str]], keep: bool) -> list[Merge]:
        with contextlib.ExitStack() as stack:
            objects = self._kept
            if not keep:
                with self._lock:
                    self._number += 1
                    objects = f"{self.folder}/objects-{self._number}"
                os.mkdir(objects)
                stack.callback(shutil.rmtree, objects, ignore_errors=True)
            found: list[Merge] = []
            while len(found) < len(pairs) and not self._over:
                some = pairs[len(found) :] if self._many else pairs[len(found) : len(found) + 1]
                found += self._merged(objects, some)
        return found

    def _merged(self, objects: str, pairs: Sequence[tuple[str, str]]) -> list[Merge]:
        """Merge as many as one process does: at what it cannot merge git ends. At least one."""
        if self._many:
            stdin = "".join(f"{ours} {theirs}\n" for ours, theirs in pairs).encode()
            status, out, err = self._run(
                objects, "merge-tree", "--write-tree", "--stdin", stdin=stdin
            )
        else:
            # A conflict is 1, clean 0; what cannot be merged is another.
            status, out, err = self._run(objects, "merge-tree", "--write-tree", "-z", *pairs[0])
            if status in (0, 1):
                out = b"%d\0" % (1 - status) + out
        if -status in _ASKED_TO_END:  # no fault of the pair's, and the next is not to be tried
            raise ProdigyError(f"git merge-tree was ended by signal {-status}")
        found = [_by_its_name(one, pair) for one, pair in zip(_parsed(out), pairs, strict=False)]
        if len(found) < len(pairs) and (self._many or not found):
            found.append(Merge(None, trouble=_why(err, status)))
        return found


def _why(err: str, status: int) -> str:
    """Return in words why git could not merge."""
    if "promisor remote" in err:  # what a partial clone has left there: git may not fetch it
        return "this partial clone lacks files that it takes: fetch them first, none is fetched unasked"
    return said(err, f"git merge-tree ended with {status}")


def _parsed(out: bytes) -> Iterator[Merge]:
    """Yield the merges of an output of git's (git-merge-tree(1), OUTPUT); not one that is cut off."""
    fields = iter(out.split(b"\0")[:-1])
    try:
        for status in fields:
            tree = next(fields).decode("ascii")
            found: dict[str, list[str]] = {}
            for entry in iter(lambda: next(fields, b""), b""):  # mode SP object SP stage TAB path
                found.setdefault(os.fsdecode(entry.partition(b"\t")[2]), [])
            # Of a clean merge nothing is said, and that nothing was the end of it. Else the end is no
            # number: nothing, or what git before 2.43 advises where submodules are in conflict.
            while status == b"0" and (count := next(fields, b"")).isdigit():
                paths = [os.fsdecode(next(fields)) for _ in range(int(count))]
                kind = next(fields).decode("utf-8", "replace")
                next(fields)  # in words
                _note(found, kind, paths)
            kinds = (
                # That contents differ is said of a binary file, too.
                (path, ", ".join(one for one in words if one != "contents") or "contents")
                for path, words in found.items()
            )
            yield Merge(tree, tuple(sorted(kinds)), status == b"1")
    except StopIteration:
        return


def _by_its_name(one: Merge, pair: tuple[str, str]) -> Merge:
    """Return a merge without the names that git makes up: ``path~SHA`` where a folder is in the way."""
    if not any("~" in path for path, _ in one.files):
        return one
    made_up = re.compile(f"~({'|'.join(pair)})(_[0-9]+)?(?=/|$)")
    files = {made_up.sub("", path): kind for path, kind in one.files}
    return replace(one, files=tuple(sorted(files.items())))


def _note(found: dict[str, list[str]], kind: str, paths: Sequence[str]) -> None:
    """Note at the paths of a message what kind of conflict it tells of."""
    if not kind.startswith("CONFLICT"):
        return  # "Auto-merging" and the like
    word = kind.partition("(")[2].rpartition(")")[0] or kind
    known = [path for path in paths if path in found]
    # A conflict may be about a path that is in no stage, as a folder that was renamed to two.
    for path in known or paths[:1]:
        words = found.setdefault(path, [])
        if word not in words:
            words.append(word)


def _sweep() -> None:
    """Delete what commands that were killed have left of ours among the temporary files."""
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as there:
        for one in there:
            if not one.name.startswith(_PREFIX) or not one.is_dir(follow_symlinks=False):
                continue
            with contextlib.suppress(OSError):  # gone meanwhile
                about = one.stat(follow_symlinks=False)
                if about.st_uid == os.geteuid() and time.time() - about.st_mtime > _LEFT:
                    shutil.rmtree(one.path, ignore_errors=True)


def _quoted(path: str) -> str:
    """Return a path for a list of paths that colons divide (git(1), alternates)."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
