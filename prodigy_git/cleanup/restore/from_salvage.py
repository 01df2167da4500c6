"""Making again, from the salvage, what of a trash entry is no longer there.

What is made lies in the entry as if it had always been there, and is then restored like any other. git
does not hold everything: ignored files, what was too large, empty folders, times, the reflog and an
operation under way are gone with the folders that held them.
"""

import contextlib
import os
import re
from dataclasses import dataclass

from prodigy_git import layout
from prodigy_git.cleanup.folders import moving
from prodigy_git.cleanup.salvage import salvage, unpublished
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.cleanup.trash.entry import DISABLED, Entry
from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import git, git_status
from prodigy_git.record import clock, cursor, enrolment, files, gitdir, jsonline, ownership
from prodigy_git.record.gitdir import Place
from prodigy_git.store import repositories

_IDENTITY = b"prodigy-git <prodigy-git@localhost"
_TRAILERS = r"^Prodigy-(Session|Head|Branch|Index): (.*)$"
_QUIET = {"GIT_NO_LAZY_FETCH": "1", "GIT_NO_REPLACE_OBJECTS": "1"}


@dataclass(frozen=True)
class _Salvage:
    """What a salvage's ``commit`` holds: trees of working tree and index, and where HEAD was."""

    commit: str
    tree: str
    index: str | None
    head: str | None
    branch: str | None


@dataclass(frozen=True)
class _Commit:
    sha: str
    tree: str
    message: str


def rebuild(found: Entry, *, folder: bool, private: bool) -> list[str]:
    """Make the entry's folder, its private git directory, or both again; return what is not in them.

    Afterwards the entry is ``trashed``, and says that it is not what was removed. A half-done attempt
    is begun anew. Raises `ProdigyError` where git does not hold enough; nothing has changed then.
    """
    held = _read(found)
    notes = []
    if found.state == "trashed" and not found.branch_only:
        for missing, what in ((folder, "the folder"), (private, "the private git directory")):
            if missing:
                notes.append(f"{what} is missing from {found.path} or damaged")
    # Said before anything is made: after a kill it must not pass for what was removed.
    found.more["rebuilt"] = True
    entries.write(found)
    if private:
        notes += _make_private(found, held)
    if folder:
        notes += _make_folder(found, held)
    elif os.path.isdir(found.folder) and not os.path.lexists(f"{found.folder}/{found.disabled}"):
        _disable(found, found.folder)
    found.state = "trashed"
    found.bytes = None
    entries.write(found)
    return notes


def entry_of(store: str, name: str) -> Entry | None:
    """Return an entry made from a session's newest salvage, where the trash has lost it.

    It lies where the lost one did, so that what is still there of the folders is used. Nothing is
    written. None where no repository of the store has one.
    """
    for repo, common in _repositories(store):
        refs = salvage.names_of(common, name)
        if not refs:
            continue
        moment = salvage.moment_of(refs[-1])
        path = f"{layout.trash(store, repo, name)}/{moment}"
        found = Entry(
            path=path, state="emptied", repo=repo, session=name, common=common,
            worktree=f"{layout.worktrees(store, repo)}/{name}",
            private=f"{common}/worktrees/{name}", created_at=clock.stamp(clock.now()),
            folder=f"{path}/worktree", git=f"{path}/git", salvage_ref=refs[-1], settled=True,
        )  # fmt: skip
        _complete(store, found)
        return found
    return None


def _repositories(store: str) -> list[tuple[str, str]]:
    """Return key and common directory of the repositories in the store that are there."""
    return [
        (key, common)
        for key, common in repositories.known(store, lambda _: None)
        if os.path.isfile(f"{common}/HEAD")
    ]


def _complete(store: str, found: Entry) -> None:
    """Put into an entry what the salvage, the session's file and what is left in the trash say."""
    held = _read(found)
    found.head, found.branch = held.head, held.branch
    found.disabled = _disabled_in(found.folder)
    try:
        fields = jsonline.decode_object(files.read(layout.session(store, found.session)))
        path = fields["metadata"]["worktree_path"]
        if isinstance(path, str) and os.path.isabs(path):
            found.worktree = layout.worktree_now(store, found.repo, path)
        if found.branch is None and held.tree == held.index:
            branch = fields["metadata"].get("branch")
            found.branch = branch if isinstance(branch, str) else None
    except (OSError, ValueError, KeyError, TypeError):
        pass  # it is restored to the usual place, with HEAD detached
    if os.path.isfile(f"{found.git}/HEAD"):
        found.state = "trashed"
        place = Place(found.git, found.common, found.worktree)
        found.branch, found.head = gitdir.head(place)
    for name, attribute in (
        (f"{found.folder}/{found.disabled}", "private"),
        (f"{found.git}/gitdir", "worktree"),
    ):
        try:
            line = os.fsdecode(files.read(name).removeprefix(b"gitdir: ").rstrip(b"\r\n"))
        except OSError:
            continue
        if os.path.isabs(line):
            setattr(found, attribute, line.removesuffix("/.git"))


def _read(found: Entry) -> _Salvage:
    """Return what the salvage holds; HEAD's commit where there is none (any more)."""
    kept = unpublished.read(found.common, found.session, found.moment)
    commit = None if kept is None else kept.commit
    # Earlier versions had all in refs: the commit that holds it is at the salvage ref then.
    for name in filter(None, (commit, found.salvage_ref)):
        there = _look_up(found, name)
        if there is None or not there.message.startswith(salvage.TITLE):
            continue
        trailers = dict(re.findall(_TRAILERS, there.message, re.M))
        if trailers.get("Session") == found.session:
            head, branch = trailers.get("Head"), trailers.get("Branch")
            return _Salvage(there.sha, there.tree, trailers.get("Index"), head, branch)
    # Nothing but HEAD was there to be kept.
    for name in filter(None, (commit, found.head, found.salvage_ref)):
        there = _look_up(found, name)
        if there is not None:
            return _Salvage(there.sha, there.tree, there.tree, there.sha, found.branch)
    raise ProdigyError(
        f"of {found.session}, neither {found.folder} nor {found.salvage_ref or 'a salvage'} is "
        f"there: its branch is all that git can have; {found.path} is left as it is"
    )


def _look_up(found: Entry, name: str) -> _Commit | None:
    status, out, _ = git_status(
        found.common, "cat-file", "--batch", stdin=os.fsencode(f"{name}^{{commit}}\n"),
        env={**_QUIET, **unpublished.view(found.common, found.session, found.moment)},
    )  # fmt: skip
    about, _, text = out.partition("\n")
    sha, _, kind = about.partition(" ")
    if status != 0 or not kind.startswith("commit "):
        return None
    header, _, message = text.partition("\n\n")
    return _Commit(sha, header.split("\n")[0].removeprefix("tree "), message)


def _environment(found: Entry, private: str, folder: str) -> dict[str, str]:
    return {
        **_QUIET,
        "GIT_DIR": private,
        "GIT_COMMON_DIR": found.common,
        "GIT_WORK_TREE": folder,
    }


def _make_private(found: Entry, held: _Salvage) -> list[str]:
    """Write a private git directory as `git worktree add` would, with index and enrolment in it."""
    if os.path.isdir(f"{found.common}/reftable"):
        raise ProdigyError(
            f"{found.common} keeps its refs in reftables: make the worktree with 'git worktree add', "
            f"then, in it, '{unpublished.command(found.common, found.session, found.moment)} restore "
            f"--source={held.commit} -- .'"
        )
    fresh = f"{found.path}/git.new"
    moving.remove(fresh)
    files.make_private(f"{fresh}/logs")
    head = held.head if found.head is None else found.head
    ref = f"ref: refs/heads/{found.branch}" if found.branch is not None else head
    if ref is None:
        raise ProdigyError(f"neither branch nor commit of {found.session} is known")
    _write(f"{fresh}/HEAD", os.fsencode(f"{ref}\n"))
    _write(f"{fresh}/commondir", b"../..\n")
    _write(f"{fresh}/gitdir", os.fsencode(f"{found.worktree}/.git\n"))
    notes = []
    # As it is when the index has conflicts: the tree of HEAD then, and the files as they were.
    tree = held.index or (f"{head}^{{tree}}" if head is not None else None)
    if held.index is None and head is not None:
        notes.append("the index had conflicts, which git does not hold: it is as in HEAD")
    if tree is not None:
        environment = _environment(found, fresh, found.path)
        environment["GIT_INDEX_FILE"] = f"{fresh}/index"
        git(found.path, "-c", "core.sparseCheckout=false", "read-tree", tree, env=environment)
    line = b""
    if head is not None:
        who = b"%s> %d +0000" % (_IDENTITY, clock.now() // clock.SECOND)
        line = b"%s %s %s\trestored by prodigy-git\n" % (head.encode(), head.encode(), who)
    _write(f"{fresh}/logs/HEAD", line)
    if found.enrolment is not None:
        _write_enrolment(found, fresh, line)
    if os.path.lexists(found.git):
        name = f"git.damaged-{clock.now()}"
        moving.move(found.git, f"{found.path}/{name}", f"{os.path.dirname(found.git)}/{name}")
    found.git = f"{found.path}/git"
    ownership.hand_over_tree(fresh)
    os.rename(fresh, found.git)
    files.sync_folder(found.path)
    if found.branch_only:
        return notes
    return [*notes, "its reflog, and any operation that was under way, are gone"]


def _write_enrolment(found: Entry, fresh: str, line: bytes) -> None:
    """Write enrolment and cursor as they were, for a journal that has begun anew with ``line``."""
    assert found.enrolment is not None
    _write(f"{fresh}/{layout.ENROLMENT}", found.enrolment.encode("utf-8", "surrogateescape"))
    try:
        entered = enrolment.read(fresh)
    except ValueError:
        entered = None
    if entered is None:
        os.unlink(f"{fresh}/{layout.ENROLMENT}")
        return
    # The new journal has nothing of before the session; and it is not complete, which a start would
    # make `verify` believe.
    entered.start = None
    enrolment.write(fresh, entered)
    if found.cursor is None:
        return
    _write(f"{fresh}/{layout.CURSOR}", found.cursor.encode("utf-8", "surrogateescape"))
    at = cursor.read(fresh)
    if at is None:
        os.unlink(f"{fresh}/{layout.CURSOR}")
        return
    at.offset = at.length = len(line)
    at.digest = files.sha1_hex(line) if line else ""
    if line:
        at.sha = line.split(b" ")[0].decode("ascii")
        at.seconds, at.identity = int(line.split(b"> ")[1].split(b" ")[0]), _IDENTITY
    cursor.write(fresh, at)


def _make_folder(found: Entry, held: _Salvage) -> list[str]:
    """Check the salvage commit's tree out, without touching the worktree's own index."""
    fresh, index = f"{found.path}/worktree.new", f"{found.path}/index.new"
    moving.remove(fresh)
    if os.path.lexists(index):
        os.unlink(index)
    files.make_private(found.path)
    os.mkdir(fresh)
    environment = {**_environment(found, found.git, fresh), "GIT_INDEX_FILE": index}
    plain = ("-c", "core.sparseCheckout=false", "-c", "core.splitIndex=false")
    git(fresh, *plain, "read-tree", held.tree, env=environment)
    # A filter that fails now, but must not: then the files as git holds them, as at the removal.
    raw: list[str] = []
    _, out, _ = git_status(
        fresh, "config", "-z", "--name-only", "--get-regexp", "^filter[.]", env=environment
    )
    for driver in {name.rpartition(".")[0] for name in out.split("\0") if name}:
        for setting in ("smudge=", "process=", "required=false"):
            raw += ["-c", f"{driver}.{setting}"]
    lost: list[str] = []
    for more in ([], raw):
        git_status(fresh, *plain, *more, "checkout-index", "--all", "--quiet", env=environment)
        listed = git(fresh, *plain, "ls-files", "-z", env=environment).split("\0")
        lost = [path for path in listed if path and not os.path.lexists(f"{fresh}/{path}")]
        if not lost:
            break
    os.unlink(index)
    _disable(found, fresh)
    found.folder = f"{found.path}/worktree"
    ownership.hand_over_tree(fresh)
    os.rename(fresh, found.folder)
    files.sync_folder(found.path)
    found.root_mtime_ns = found.root_mode = None
    notes = ["it comes from the salvage: ignored files, empty folders and times are gone"]
    if found.branch_only:
        notes = ["its branch was removed, and is back; so is a worktree, as the branch has it"]
    if found.left_out or lost:
        gone = [*found.left_out, *lost]
        more_than = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
        notes.append(f"git does not hold {', '.join(gone[:3])}{more_than}")
    if not found.branch_only:
        notes.append(f"the salvage is kept: {held.commit}")
    return notes


def _disable(found: Entry, folder: str) -> None:
    """Give a folder the file that `carrying_out` makes ``.git`` of, beside all that is there."""
    if os.path.lexists(f"{folder}/{found.disabled}"):
        found.disabled = entries.free_disabled(folder)
        entries.write(found)
    _write(f"{folder}/{found.disabled}", os.fsencode(f"gitdir: {found.private}\n"))


def _disabled_in(folder: str) -> str:
    """Return what ``.git`` is called in a trashed folder: the last such name, others are the user's."""
    found = []
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if name == DISABLED or re.fullmatch(re.escape(DISABLED) + "-[0-9]+", name):
            with contextlib.suppress(OSError):
                if files.read(f"{folder}/{name}").startswith(b"gitdir: "):
                    found.append((len(name), name))
    return max(found, default=(0, DISABLED))[1]


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as stream:  # git's: with the modes that git gives
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
