"""What a hook reads of git's files itself, and what it asks git when the files do not say.

Formats: gitrepository-layout(5), gitformat-loose objects (zlib), gitnamespaces of refs. A process of
git costs more than a millisecond, so the usual way starts none.
"""

from __future__ import annotations

import errno
import os
import zlib

from prodigy_git.record import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from subprocess import Popen


class Place:
    """Where a worktree's git data lies: ``private`` git directory, ``common`` one, working ``top``.

    A recorder in the background makes no file there: ``held`` is its descriptor of the cursor, which
    outlives the file. ``gone`` says that ``private`` is a stand-in with what was held open of one that
    is no more, or of a journal that was written anew: nobody will write to that any more.
    """

    __slots__ = ("common", "gone", "held", "private", "top")

    def __init__(
        self, private: str, common: str, top: str, *, held: int | None = None, gone: bool = False
    ) -> None:
        """Take absolute paths; ``top`` is the root of the working tree."""
        self.private = private
        self.common = common
        self.top = top
        self.held = held
        self.gone = gone


class Commit:
    """A commit object: its parents, its committer line, its subject as ``%s`` shows it."""

    __slots__ = ("author", "committer", "parents", "seconds", "subject", "tree")

    def __init__(self, data: bytes) -> None:
        """Parse ``data``, a commit object without its header. Raises `ValueError`."""
        header, _, message = data.partition(b"\n\n")
        self.tree = ""
        self.parents: list[str] = []
        self.author = b""
        self.committer = b""
        self.seconds = 0
        encoding = "utf-8"
        for line in header.split(b"\n"):
            word, _, value = line.partition(b" ")
            if word == b"tree":
                self.tree = value.decode("ascii")
            elif word == b"parent":
                self.parents.append(value.decode("ascii"))
            elif word == b"author":
                self.author = value
            elif word == b"committer":
                # The same `Name <mail> seconds zone` as in a reflog line.
                self.committer, self.seconds = split_ident(value)
            elif word == b"encoding":
                encoding = value.decode("ascii", "replace")
            # A signature's lines begin with a space, so that none of them is taken for a word.
        lines = []
        for line in message.lstrip(b"\n").split(b"\n"):
            if not line.strip():
                break
            lines.append(line.strip())
        try:
            self.subject = b" ".join(lines).decode(encoding, "replace")
        except LookupError:
            self.subject = b" ".join(lines).decode("utf-8", "replace")


def split_ident(value: bytes) -> tuple[bytes, int]:
    """Split ``Name <mail> seconds zone`` into identity and seconds. Raises `ValueError`."""
    identity, _, when = value.rpartition(b"> ")
    return identity, int(when.split(b" ")[0])


def find(cwd: str, environ: Mapping[str, str]) -> Place | None:
    """Return where the worktree lies that git runs a hook for, or None outside of one.

    git sets ``GIT_DIR`` for the hooks of a linked worktree, and not for those of the main one or for
    the post-checkout of ``worktree add``; the current directory is the top of the worktree
    (githooks(5)).
    """
    named = environ.get("GIT_DIR")
    top = cwd
    if named:
        private = os.path.join(cwd, named)
    else:
        while True:
            found = _follow(f"{top}/.git")
            if found is not None:
                private = found
                break
            # A git directory of another repository: a submodule's is within its superproject's.
            if top in ("/", "") or (_is_git_dir(top) and os.path.basename(top) != ".git"):
                return None
            top = os.path.dirname(top)
    # Not normpath where there are dots: behind a symlink, `..` is the target's parent.
    private = os.path.realpath(private) if ".." in private else os.path.normpath(private)
    common = common_of(private)
    # Not exists: with core.preferSymlinkRefs HEAD is a link, in a linked worktree a dangling one.
    if not os.path.lexists(f"{private}/HEAD"):
        return None
    return Place(private, common, top)


def _is_git_dir(folder: str) -> bool:
    return os.path.isfile(f"{folder}/HEAD") and (
        os.path.isdir(f"{folder}/objects") or os.path.isfile(f"{folder}/commondir")
    )


def _follow(dot_git: str) -> str | None:
    """Return the git directory that ``.git`` is or names."""
    try:
        line = files.read(dot_git, 8192)
    except OSError as error:
        return dot_git if error.errno == errno.EISDIR else None
    if not line.startswith(b"gitdir: ") or b"\0" in line:
        return None
    # A path may end in blanks; git itself takes off the line end only.
    return os.path.join(os.path.dirname(dot_git), os.fsdecode(line[8:].rstrip(b"\r\n")))


def common_of(private: str) -> str:
    """Return the common git directory that a private one belongs to."""
    try:
        line = os.fsdecode(files.read(f"{private}/commondir", 8192).rstrip(b"\r\n"))
    except OSError:
        return private
    if "\0" in line:
        return private  # damaged: no path
    return os.path.normpath(os.path.join(private, line))


def worktree_link(private: str) -> str:
    """Return what git's file ``gitdir`` says: the ``.git`` of the worktree that a private one is of.

    As it stands there: git 2.48 can write it relative. Raises `OSError`, also where it is no path.
    """
    path = f"{private}/gitdir"
    line = files.read(path, 8192).rstrip(b"\r\n")
    if b"\0" in line:
        raise files.Unusable(errno.EINVAL, "names no path", path)
    return os.fsdecode(line)


def worktree_of(private: str) -> str:
    """Return the folder of the worktree that a linked one's private directory is of, as git has it.

    Whether it is there or not. Raises `OSError` where git's file names none.
    """
    return os.path.dirname(os.path.normpath(os.path.join(private, worktree_link(private))))


def head(place: Place) -> tuple[str | None, str | None]:
    """Return HEAD's branch (None if detached) and its commit (None if unborn or unknown).

    With reftable, HEAD's file is a stub and git is asked.
    """
    text = symbolic(f"{place.private}/HEAD").rstrip(b"\n")
    if not text.startswith(b"ref:"):
        return None, text.decode("ascii", "replace")
    ref = os.fsdecode(text[4:].strip())
    if ref == "refs/heads/.invalid":
        status, out = ask(place, "symbolic-ref", "-q", "HEAD")
        branch = os.fsdecode(out.rstrip(b"\n")).removeprefix("refs/heads/") if status == 0 else None
        status, out = ask(place, "rev-parse", "-q", "--verify", "HEAD")
        return branch, out.decode().strip() if status == 0 else None
    return ref.removeprefix("refs/heads/"), _resolve(place, ref)


def symbolic(path: str) -> bytes:
    """Return what a symbolic ref's file says, also where it is a link (core.preferSymlinkRefs).

    Raises `OSError`.
    """
    try:
        descriptor = files.open_regular(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        # As git does: a link whose text is a ref's name is read, not followed.
        target = os.readlink(os.fsencode(path))
        return b"ref: " + target if target.startswith(b"refs/") else files.read(path)
    try:
        return os.read(descriptor, 1 << 16)  # longer is no ref's name
    finally:
        os.close(descriptor)


def tip(place: Place, name: str) -> str | None:
    """Return the commit of the branch ``name``, None where there is no such branch."""
    return _resolve(place, f"refs/heads/{name}")


def _resolve(place: Place, ref: str) -> str | None:
    folder = place.private if ref.startswith(("refs/worktree/", "refs/bisect/")) else place.common
    try:
        value = files.read(f"{folder}/{ref}").strip()
    except OSError:
        value = b""
    if value.startswith(b"ref:"):  # a symbolic ref that points to another
        status, out = ask(place, "rev-parse", "-q", "--verify", "HEAD")
        return out.decode().strip() if status == 0 else None
    if value:
        return value.decode("ascii", "replace")
    if os.path.isdir(f"{place.common}/reftable"):
        status, out = ask(place, "rev-parse", "-q", "--verify", ref)
        return out.decode().strip() if status == 0 else None
    try:
        packed = b"\n" + files.read(f"{place.common}/packed-refs", files.LARGEST_OF_GIT)
    except OSError:
        return None
    end = packed.find(b" " + os.fsencode(ref) + b"\n")
    if end < 0:
        return None
    return packed[packed.rfind(b"\n", 0, end) + 1 : end].decode("ascii", "replace")


def rebasing(place: Place) -> bool:
    """Whether a rebase is under way; a plain ``git am`` is none."""
    return os.path.exists(f"{place.private}/rebase-merge") or os.path.exists(
        f"{place.private}/rebase-apply/rebasing"
    )


_LONG = 5.0
"""Seconds after which it is asked what git waits for."""


def ask(place: Place, *arguments: str, stdin: bytes = b"") -> tuple[int, bytes]:
    """Run git in a worktree, silencing our hooks; return its exit status and output."""
    import subprocess

    environ = {
        **os.environ,
        "GIT_DIR": place.private,
        # Said, though `commondir` says it: in the trash that relative path leads elsewhere.
        "GIT_COMMON_DIR": place.common,
        "PRODIGY_GIT_SILENCE": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        # A partial clone must not go to the network because a hook looked at an old commit.
        "GIT_NO_LAZY_FETCH": "1",
        "LC_ALL": "C",
    }
    environ.pop("GIT_INDEX_FILE", None)
    running = subprocess.Popen(
        ["git", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=place.private,
        env=environ,
    )
    out, _ = waited(running, place.common, stdin)
    return running.returncode, out


def waited(
    running: Popen[bytes], common: str, stdin: bytes | None, patience: float | None = None
) -> tuple[bytes, bytes]:
    """Wait for a git that has pipes, give it ``stdin``, and return its output and error output.

    git opens its files as they come: of a FIFO among them it waits for the other end, for ever. So
    where it takes long that is looked for. Raises, with git ended, `files.Unusable` where there is such
    a file, and `TimeoutError` after ``patience`` seconds; `OSError`.
    """
    import subprocess

    with running:
        while True:
            try:
                for_now = _LONG if patience is None else min(_LONG, patience)
                return running.communicate(stdin, timeout=for_now)
            except subprocess.TimeoutExpired:
                stdin = None  # which `communicate` goes on with by itself
                path = _never_ending(common)
                if path is not None:
                    running.kill()
                    raise files.Unusable(
                        errno.EINVAL, "is no file that git comes to the end of", path
                    ) from None
                if patience is not None:
                    patience -= for_now
                    if patience <= 0:
                        running.kill()
                        raise TimeoutError(errno.ETIMEDOUT, "git takes too long") from None
            except BaseException:
                running.kill()
                raise


def _never_ending(common: str) -> str | None:
    """Return what git does not come to the end of, of what it reads of a repository's worktrees."""
    folders = [common, f"{common}/logs"]
    try:
        linked = os.listdir(f"{common}/worktrees")
    except OSError:
        linked = []
    for name in linked:
        folders += [f"{common}/worktrees/{name}", f"{common}/worktrees/{name}/logs"]
    for folder in folders:
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            # A link that leads nowhere has no mode; a socket, and what git makes, is not opened.
            try:
                about = entry.stat()
            except OSError:
                continue
            kind = about.st_mode & 0o170000
            # Nor, nearly, of a file with a hole: of these, only index and packed refs may be large.
            hole = (
                about.st_size > files.LARGEST_OF_GIT and about.st_blocks * 512 < about.st_size / 2
            )
            if hole or kind in (0o010000, 0o020000, 0o060000):
                return entry.path
    return None


def read_commits(place: Place, shas: Iterable[str]) -> dict[str, Commit]:
    """Return the commits of ``shas`` that exist, by SHA: loose ones from their files, else by git."""
    commits: dict[str, Commit] = {}
    packed = []
    for sha in shas:
        commit = _read_loose(place, sha)
        if commit is not None:
            commits[sha] = commit
        else:
            packed.append(sha)
    if packed:
        commits.update(_read_packed(place, packed))
    return commits


def _read_loose(place: Place, sha: str) -> Commit | None:
    try:
        data = zlib.decompress(files.read(f"{place.common}/objects/{sha[:2]}/{sha[2:]}"))
        header, _, body = data.partition(b"\0")
        return Commit(body) if header.startswith(b"commit ") else None
    except (OSError, zlib.error, ValueError):
        return None


def _read_packed(place: Place, shas: list[str]) -> dict[str, Commit]:
    request = "".join(f"{sha}\n" for sha in shas).encode("ascii", "replace")
    _, out = ask(place, "cat-file", "--batch", stdin=request)
    commits: dict[str, Commit] = {}
    at = 0
    while at < len(out):
        end = out.find(b"\n", at)
        words = out[at:end].split(b" ")
        at = end + 1
        if len(words) != 3:
            continue  # "<sha> missing"
        size = int(words[2])
        if words[1] == b"commit":
            commits[words[0].decode("ascii")] = Commit(out[at : at + size])
        at += size + 1
    return commits


def read_held(descriptor: int) -> bytes:
    """Return the contents of an open file, from its beginning. Raises `OSError`."""
    parts: list[bytes] = []
    at = 0
    while part := os.pread(descriptor, 1 << 16, at):
        parts.append(part)
        at += len(part)
    return b"".join(parts)


def is_sha(text: str) -> bool:
    """Whether a text is an object id written out."""
    return len(text) in (40, 64) and not text.strip("0123456789abcdef")


def printable(name: str) -> str:
    """Return a ref's name as text: bytes that are not UTF-8 become U+FFFD."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
