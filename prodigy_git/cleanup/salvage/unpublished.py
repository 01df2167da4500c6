"""The part of a salvage that no ref may reach, kept apart from the repository's objects.

What a ref reaches is published by `git push --mirror`, `clone --mirror`, `fetch 'refs/*:refs/*'`,
`bundle --all` and `fast-export --all`; transfer.hideRefs keeps a server from showing a ref, but no push
from sending it. An object that no ref reaches still goes along with a local clone, and protocol 2
serves it to whoever knows its name. So whatever no branch, tag or remote-tracking ref reaches lies in
a folder beside ``objects``, ``{common}/prodigy-salvage/{session}/{time}/``: an object directory
(gitrepository-layout(5)) with one pack, and ``about``, which says whose it is, which commit holds all,
and the annotated tags that no commit can hold. git knows nothing of it: no gc, prune or repack takes
anything, and however many there are, git is as fast as before. Kept packs among the repository's own
would not do: with 2,000 of them a commit takes six times as long.

The refs of a salvage point to what is below: commits that other refs had at the removal.
"""

import contextlib
import errno
import os
import shlex
import shutil
import stat
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prodigy_git import names
from prodigy_git.cleanup.folders import moving
from prodigy_git.cleanup.salvage.uncommitted import Quarantine, ask, quoted
from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import said
from prodigy_git.record import files, gitdir, within
from prodigy_git.record.gitdir import Place

_ABOUT = "about"
_TITLE = "prodigy-git salvage"
# No deltas are searched for: ten files of the size limit would be held in memory at once.
_PACK = (
    "-c", "pack.packSizeLimit=0", "-c", "pack.indexVersion=2", "-c", "pack.compression=1",
    "pack-objects", "-q", "--window=0",
)  # fmt: skip
_ORDINARY = ("--branches", "--tags", "--remotes")
_GC_PATIENCE = 10.0
"""How many seconds a `git gc` that began before the ref was there is waited for."""
_MOST_EDGES = 200  # commits; git takes them from its command line


@dataclass(frozen=True)
class Kept:
    """What is kept apart: the ``commit`` that holds it, and annotated ``tags`` besides, as SHAs."""

    commit: str
    tags: list[str] = field(default_factory=list)


class Unkept(Exception):
    """What git said when it could not list or pack; it may go better at the next try."""


def folder(common: str, session: str, moment: str) -> str:
    """Return the object directory of a salvage."""
    return f"{common}/prodigy-salvage/{session}/{moment}"


def scratch(common: str, session: str, moment: str) -> str:
    """Return the folder in which a salvage is made, and deleted: whatever is in it is rubbish."""
    return f"{common}/prodigy-salvage-{session}-{moment}"


def view(common: str, session: str, moment: str) -> dict[str, str]:
    """Return what makes git read a salvage beside the repository's objects; {} where none is apart."""
    there = folder(common, session, moment)
    return {"GIT_ALTERNATE_OBJECT_DIRECTORIES": quoted(there)} if os.path.isdir(there) else {}


def command(common: str, session: str, moment: str) -> str:
    """Return how a person starts git so that it reads a salvage: what goes before git's command."""
    found = view(common, session, moment).items()
    return " ".join([*(f"{name}={shlex.quote(value)}" for name, value in found), "git"])


def edge(
    place: Place, tip: str, tags: Sequence[str], own: Collection[str]
) -> tuple[list[str], bool]:
    """Return the commits at which ordinary refs begin to reach what a commit and tags reach.

    Beside it whether there are commits above them. ``own`` are branches that do not count as ordinary:
    what only those have may be amended, or deleted with them. Raises `Unkept`.
    """
    # Without the one that the repository itself is on, all of its history would have to be packed.
    main, there = gitdir.head(Place(place.common, place.common, place.common))
    if tip == there and main is not None and not tags:
        return [tip], False  # as git would say, and most worktrees that made no commits ask
    exclude = [f"--exclude={name}" for name in own if name != main]
    # A branch elsewhere that is broken must not keep this worktree from being removed.
    options = ("--boundary", "--ignore-missing", "--stdin", "--not", *exclude, *_ORDINARY)
    asked = "".join(f"{one}\n" for one in (tip, *tags)).encode()
    lines = _run(place, "rev-list", *options, stdin=asked).decode("ascii").split()
    above = {line for line in lines if not line.startswith("-")}
    edges = {line[1:] for line in lines if line.startswith("-")}
    # What is asked for and ordinary itself is not among git's boundary. (What a tag is at may be
    # lacking: then more is packed than needed.)
    edges |= {tip} - above
    return _independent(place, sorted(edges)), bool(above)


def _independent(place: Place, commits: list[str]) -> list[str]:
    """Leave out what another of the commits reaches."""
    if not 1 < len(commits) <= _MOST_EDGES:
        return commits
    status, out, _ = ask(place, "merge-base", "--independent", *commits)
    return sorted(out.decode("ascii").split()) if status == 0 else commits


def put(away: Quarantine, session: str, moment: str, kept: Kept, edges: Sequence[str]) -> None:
    """Pack what ``kept`` reaches and the commits ``edges`` do not, and lay it apart.

    What lay there before goes. Raises `Unkept`, `OSError` or `ProdigyError`.
    """
    fresh, target = f"{away.folder}/kept", folder(away.common, session, moment)
    mode = stat.S_IMODE(os.stat(f"{away.common}/objects").st_mode)  # may be shared with a group
    within.refuse_links(os.path.dirname(away.common), target)
    _make(f"{fresh}/pack", mode)
    request = "".join(f"{one}\n" for one in (kept.commit, *kept.tags, *(f"^{e}" for e in edges)))
    wanted = _run(
        away, "rev-list", "--objects", "--missing=allow-promisor", "--stdin",
        stdin=request.encode(),
    )  # fmt: skip
    _run(away, *_PACK, f"{fresh}/pack/pack", stdin=wanted)
    lines = [f"{_TITLE} {session} {moment}", f"commit {kept.commit}"]
    lines += [f"tag {one}" for one in kept.tags]
    with open(f"{fresh}/{_ABOUT}", "w", encoding="ascii") as stream:
        stream.write("".join(f"{line}\n" for line in lines))
        stream.flush()
        os.fsync(stream.fileno())
    for one in (f"{fresh}/pack", fresh):
        files.sync_folder(one)
    _make(os.path.dirname(target), mode)
    moving.remove(target)
    try:
        os.rename(fresh, target)
    except FileNotFoundError as error:  # another store's last salvage was deleted just now
        raise Unkept(f"{target}: {error.strerror}") from None
    for one in (os.path.dirname(target), os.path.dirname(os.path.dirname(target)), away.common):
        files.sync_folder(one)


def _make(path: str, mode: int) -> None:
    """Make a folder, and what is missing above it, with git's own permissions."""
    if not os.path.isdir(path):
        _make(os.path.dirname(path), mode)
        with contextlib.suppress(FileExistsError):  # another store's removal
            os.mkdir(path)
            os.chmod(path, mode)


def _run(place: Place, *arguments: str, stdin: bytes = b"") -> bytes:
    status, out, err = ask(place, *arguments, stdin=stdin)
    if status != 0:
        raise Unkept(said(err))
    return out


def read(common: str, session: str, moment: str) -> Kept | None:
    """Return what is kept apart of a salvage; None where that is nothing.

    Raises `ProdigyError` where it does not say what it is.
    """
    there = folder(common, session, moment)
    if not os.path.lexists(there):
        return None
    path = f"{there}/{_ABOUT}"
    try:
        lines = files.read(path).decode("ascii", "replace").splitlines()
    except OSError as error:
        raise ProdigyError(f"{path} cannot be read ({error.strerror})") from None
    pairs = [line.split(" ") for line in lines[1:]]
    commits = [pair[1] for pair in pairs if len(pair) == 2 and pair[0] == "commit"]
    if lines[:1] != [f"{_TITLE} {session} {moment}"] or len(commits) != 1:
        raise ProdigyError(f"{path} is damaged: the newest commit in the pack beside it has all")
    return Kept(commits[0], [pair[1] for pair in pairs if pair[0] == "tag" and len(pair) == 2])


def moments(common: str, session: str) -> list[str]:
    """Return the names of a session's salvages of which something is kept apart, oldest first."""
    try:
        found = os.listdir(f"{common}/prodigy-salvage/{session}")
    except OSError:
        return []
    return sorted(filter(names.is_safe, found))


def holding(common: str, sha: str) -> list[tuple[str, str]]:
    """Return which salvages have an object in their pack, as (session, moment).

    ``sha`` is its whole name, in hex.
    """
    try:
        sessions = sorted(filter(names.is_safe, os.listdir(f"{common}/prodigy-salvage")))
    except OSError:
        return []
    return [
        (session, moment)
        for session in sessions
        for moment in moments(common, session)
        if any(_lists(path, sha) for path in _files(common, session, moment, ".idx"))
    ]


def _lists(index: str, sha: str) -> bool:
    """Whether a pack's index has an object (gitformat-pack(5), version 2)."""
    name = bytes.fromhex(sha)
    with files.stream(index) as stream:
        head = stream.read(8 + 256 * 4)
        before = [0, *(int.from_bytes(head[8 + n * 4 : 12 + n * 4], "big") for n in range(256))]
        first, last = before[name[0]], before[name[0] + 1]
        stream.seek(len(head) + first * len(name))
        some = stream.read((last - first) * len(name))
    return name in (some[at : at + len(name)] for at in range(0, len(some), len(name)))


def _files(common: str, session: str, moment: str, end: str = "") -> list[str]:
    """Return the paths of a salvage's pack and what belongs to it, the index last."""
    pack = f"{folder(common, session, moment)}/pack"
    try:
        found = [name for name in os.listdir(pack) if name.endswith(end)]
    except FileNotFoundError:
        return []
    # A pack is found by its index, so that comes when all is there.
    return [f"{pack}/{name}" for name in sorted(found, key=lambda n: (n.endswith(".idx"), n))]


def bring_back(common: str, session: str, moment: str) -> None:
    """Put what is kept apart among the repository's objects, for a worktree that will name it.

    Nothing takes it from there before `let_go`. Can be repeated. Raises `OSError`; then nothing but
    rubbish is there that git collects.
    """
    packs = f"{common}/objects/pack"
    found = _files(common, session, moment)
    if not found:
        return
    os.makedirs(packs, exist_ok=True)
    try:
        for keep in _keeps(common, session, moment):
            if not os.path.lexists(keep):
                files.replace(keep, _mark(session, moment))
        for path in found:
            _link(path, f"{packs}/{os.path.basename(path)}")
        files.sync_folder(packs)
    except BaseException:
        let_go(common, session, moment)
        raise


def _keeps(common: str, session: str, moment: str) -> list[str]:
    """Return the files by which git is told to leave a salvage's packs alone (git-repack(1))."""
    packs = _files(common, session, moment, ".pack")
    return [f"{common}/objects/pack/{os.path.basename(one)[:-4]}keep" for one in packs]


def _link(source: str, target: str) -> None:
    if os.path.lexists(target):
        return
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError as error:
        # objects may be a link to another disk; not every filesystem has hard links.
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK):
            raise
        folder, name = os.path.split(target)
        fresh = f"{folder}/tmp_{name}"  # git deletes tmp_* that are left
        try:
            shutil.copy(source, fresh)
            with open(fresh, "rb") as stream:
                os.fsync(stream.fileno())
            os.rename(fresh, target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(fresh)
            raise


def let_go(common: str, session: str, moment: str) -> None:
    """Leave to git what `bring_back` put among its objects: it collects what nothing names."""
    for keep in _keeps(common, session, moment):
        folder, name = os.path.split(keep)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{folder}/.{name}.new")  # of `files.replace`, on a full disk
        with contextlib.suppress(FileNotFoundError):
            if files.read(keep) == _mark(session, moment):
                os.unlink(keep)


def _mark(session: str, moment: str) -> bytes:
    return f"{_TITLE} {session} {moment}, being restored\n".encode("ascii")


def clear(common: str, session: str, moment: str) -> None:
    """Delete what a salvage was made from, or a kill left of it. Raises `ProdigyError`."""
    moving.remove(scratch(common, session, moment))


def delete(common: str, session: str, moment: str) -> None:
    """Delete what is kept apart of a salvage, and what a kill left of it. Raises `ProdigyError`."""
    let_go(common, session, moment)
    clear(common, session, moment)
    try:
        # At once: nobody reads half of it.
        os.rename(folder(common, session, moment), scratch(common, session, moment))
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno != errno.EXDEV:  # in a lower layer of overlayfs
            raise
        moving.remove(folder(common, session, moment))
    clear(common, session, moment)
    for empty in (f"{common}/prodigy-salvage/{session}", f"{common}/prodigy-salvage"):
        with contextlib.suppress(OSError):
            os.rmdir(empty)


def wait_for_gc(common: str) -> None:
    """Wait while a `git gc` runs that may have begun before the ref was there (gc.pid: pid, host)."""
    deadline = time.monotonic() + _GC_PATIENCE
    while time.monotonic() < deadline:
        try:
            pid, host = Path(f"{common}/gc.pid").read_text().split(" ", 1)
            if host.strip() != os.uname().nodename:
                return
            os.kill(int(pid), 0)
        except (OSError, ValueError):
            return
        time.sleep(0.02)
