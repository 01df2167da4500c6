"""Anchoring, by a ref, every object that only one worktree names, and what is not committed in it.

The ref points to a commit whose tree is the working tree as it was: tracked files with their changes,
and untracked ones that are not ignored. Its parents are HEAD's commit (if any), a commit whose tree is
the index (if that has no conflict), and, where there is more to keep, one that holds the rest: other
commits as its parents, blobs and trees as the entries of its tree. Where HEAD's commit is all there
is, the ref points to that. Trailers of the message say which is which.

Everything is made from a copy of the index, with hooks silenced, and nothing is signed. git may
collect garbage meanwhile and take an object before the ref holds it: so new ones are made outside of
the repository and moved into it just before, and all are looked for afterwards, and made again.
"""

import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from prodigy_git.cleanup import moving, trees, uncommitted
from prodigy_git.cleanup.uncommitted import Quarantine, ask
from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import said
from prodigy_git.record import clock, files, gitdir, jsonline
from prodigy_git.record.gitdir import Place

_TRIES = 6
_GC_PATIENCE = 10.0
"""How many seconds a `git gc` that began before the ref was there is waited for."""

_NAME = re.compile(rb"[0-9a-f]{40,64}")
_FOLDERS = ("refs", "logs", "reftable", "rebase-merge", "rebase-apply", "sequencer")
"""Where in a private git directory objects are named, beside the files at its top."""
_OTHERS = ("commondir", "gitdir", "locked", "config.worktree", "prodigy", "prodigy-cursor")
# With reftable these are not files (gitglossary(7), pseudoref).
_PSEUDO_REFS = (
    "ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "AUTO_MERGE",
    "BISECT_HEAD", "BISECT_EXPECTED_REV", "MERGE_AUTOSTASH", "FETCH_HEAD",
)  # fmt: skip


@dataclass(frozen=True)
class Anchors:
    """What holds a worktree's objects; ``left_out`` are files that nothing but the folder holds.

    ``head`` is HEAD's commit, None where it has none or that is broken; ``tip`` what ``ref`` is at.
    """

    ref: str
    tip: str
    head: str | None
    tag_refs: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass
class _Found:
    """What is to be held beside HEAD: commits, (mode, type, SHA) of blobs and trees, tags."""

    commits: list[str] = field(default_factory=list)
    loose: set[tuple[str, str, str]] = field(default_factory=set)
    tags: list[str] = field(default_factory=list)


class _Gone(Exception):
    """An object that was there a moment ago is not any more, or git could not write."""


def ref_name(session: str, moment: str) -> str:
    """Return the salvage ref of a session's entry ``moment`` (``20260111T120000.123456Z``)."""
    # A session id may hold what a ref's name may not (git-check-ref-format(1)); it has no %.
    if ".." in session or session.endswith((".", ".lock")):
        session = session.replace(".", "%2E")
    return f"refs/prodigy/salvage/{session}/{moment.replace('.', '-')}"


def sources(private: str) -> list[str]:
    """Return the files of a private git directory that name objects, or say what HEAD is."""
    found = [
        one.path
        for one in os.scandir(private)
        if one.is_file(follow_symlinks=False) and one.name not in _OTHERS
    ]
    for folder in _FOLDERS:
        for root, _, names in trees.walk(f"{private}/{folder}"):
            found += [f"{root}/{name}" for name in names]
    return sorted(found)


def anchor(place: Place, session: str, moment: str, limit: int, *, dirty: bool = True) -> Anchors:
    """Make the salvage ref of a worktree, and say what it does not hold.

    ``limit`` is in bytes, for files that are not in git: larger ones are left out. ``dirty`` False says
    that index and working tree are HEAD's: they are not looked at. Objects that are missing already
    are left out. Raises `ProdigyError` where git cannot make or keep what is needed.
    """
    trouble = ""
    for number in range(_TRIES):
        try:
            return _anchor(place, session, moment, limit, dirty=dirty, tried=number)
        except _Gone as error:
            trouble = str(error)
        finally:
            moving.remove(_folder(place.common, session, moment))
    raise ProdigyError(f"what only this worktree holds could not be kept in git: {trouble}")


def _folder(common: str, session: str, moment: str) -> str:
    return f"{common}/prodigy-salvage-{session}-{moment}"


def delete(common: str, session: str, moment: str) -> None:
    """Delete an entry's salvage refs, as they are now, and what a kill left. Raises `ProdigyError`."""
    moving.remove(_folder(common, session, moment))
    ref = ref_name(session, moment)
    place = Place(common, common, common)
    status, out, err = ask(
        place, "for-each-ref", "--format=%(objectname) %(refname)", ref, f"{ref}-tag-*"
    )
    if status == 0:
        lines = (line.split(b" ", 1) for line in out.splitlines())
        request = b"".join(b"delete %s %s\n" % (name, sha) for sha, name in lines)
        status, _, err = _update_refs(place, request) if request else (0, b"", "")
    if status != 0:
        raise ProdigyError(f"the refs {ref}* could not be deleted: {said(err)}")


def _anchor(
    place: Place, session: str, moment: str, limit: int, *, dirty: bool, tried: int
) -> Anchors:
    """Try once more after ``tried`` times; the later, the more is done to succeed."""
    careful = tried > 1  # look at everything alone, and leave out what is broken in itself
    branch, head = gitdir.head(place)
    if head is not None and not _sound(place, head, thorough=careful):
        head = None
    taken = uncommitted.Uncommitted()
    away = None
    if dirty or head is None or _keeps_more(f"{place.private}/index"):
        away = Quarantine(place, _folder(place.common, session, moment))
        taken = uncommitted.take(away, head, limit, careful=careful)
    if taken.trouble:
        raise _Gone(taken.trouble)
    found = _named(away or place, head, taken.objects, careful=careful)
    base = None
    if head is not None and (away is not None or found.commits or found.loose):
        base = _tree_of(place, head)
        away = away or Quarantine(place, _folder(place.common, session, moment))
    tip = head
    if away is not None and (
        found.commits or found.loose or taken.left_out or head is None
        or (taken.tree is not None and (taken.tree, taken.index) != (base, base))
    ):  # fmt: skip
        tree = taken.tree or base or uncommitted.empty_tree(away)
        index = taken.index if taken.tree is not None else base
        tip = _commits(away, session, branch, head, tree, index, found, taken.left_out)
    if tip is None:
        raise _Gone("no commit could be made")
    ref = ref_name(session, moment)
    tags = {f"{ref}-tag-{number}": sha for number, sha in enumerate(found.tags, 1)}
    request = "".join(f"update {name} {sha}\n" for name, sha in {ref: tip, **tags}.items())
    # Somebody prunes without a pause, it seems. A pack for each removal would be too many.
    kept = away.pack() if away is not None and tried > 2 else []
    try:
        if away is not None:
            away.release()
        status, _, err = _update_refs(place, request.encode())
    finally:
        for path in kept:
            os.unlink(path)
    if status != 0:
        raise _Gone(said(err))
    if tip != head or tags:
        _wait_for_gc(place.common)
        if not _complete(place, [tip, *tags.values()], head):
            raise _Gone("an object of it is missing; is 'git prune' running?")
    return Anchors(ref, tip, head, list(tags), taken.left_out)


def complete(common: str, anchors: Anchors) -> bool:
    """Whether the refs, and every object that they hold beside what HEAD reaches, are there."""
    if anchors.tip == anchors.head and not anchors.tag_refs:
        return True
    # Asked in the common directory: from a private one that has been moved, git finds no shared ref.
    place = Place(common, common, common)
    return _complete(place, [anchors.ref, *anchors.tag_refs], anchors.head)


def _complete(place: Place, tips: list[str], head: str | None) -> bool:
    return ask(
        place, "rev-list", "--objects", "--quiet", "--missing=allow-promisor", *tips,
        *(["--not", head] if head is not None else []), "--",
    )[0] == 0  # fmt: skip


def _sound(place: Place, sha: str, *, thorough: bool, without: str | None = None) -> bool:
    """Whether a commit exists; with ``thorough``, also everything that it reaches."""
    if not thorough:
        return os.path.exists(f"{place.common}/objects/{sha[:2]}/{sha[2:]}") or (
            ask(place, "cat-file", "-e", f"{sha}^{{commit}}")[0] == 0
        )
    return _complete(place, [sha], without)


def _keeps_more(index: str) -> bool:
    """Whether an index that equals HEAD may name more: what a resolved conflict was made from."""
    try:
        return b"REUC" in files.read(index)  # gitformat-index(5), resolve undo
    except OSError:
        return False


def _named(
    place: Place, head: str | None, more: set[tuple[str, str, str]], *, careful: bool
) -> _Found:
    """Return which objects the private git directory names that HEAD does not reach.

    ``more`` are the index's own, as (mode, type, SHA).
    """
    names, moves = _names_in_files(place.private)
    if os.path.isdir(f"{place.private}/reftable"):
        names |= _names_in_reftable(place)
    moves.discard((head or "").encode())
    names -= moves | {(head or "").encode()}
    found = _Found(loose=set(more))
    tips = [name.decode() for name in moves]
    out = b""
    if names:
        request = b"".join(name + b"\n" for name in sorted(names))
        _, out, _ = ask(place, "cat-file", "--batch-check", stdin=request)
    for line in out.decode("ascii", "replace").splitlines():
        sha, _, kind = line.partition(" ")
        kind = kind.split(" ")[0]
        if kind == "tag":
            found.tags.append(sha)
        elif kind == "commit":
            tips.append(sha)
        elif kind in ("tree", "blob"):
            found.loose.add(("040000" if kind == "tree" else "100644", kind, sha))
    if careful:
        tips = [sha for sha in tips if _sound(place, sha, thorough=True, without=head)]
        found.tags = [sha for sha in found.tags if _complete(place, [sha], head)]
        found.loose = {one for one in found.loose if _complete(place, [one[2]], head)}
    found.commits = _independent(place, tips, head)
    return found


def _names_in_files(private: str) -> tuple[set[bytes], set[bytes]]:
    """Return everything in a private git directory's files that may be an object's name.

    Beside it those of them that HEAD's reflog names: commits, if they are there at all.
    """
    found: set[bytes] = set()
    moves: set[bytes] = set()
    for path in sources(private):
        name = os.path.basename(path)
        # A message may quote any SHA, and the index is read by git.
        if name.endswith("MSG") or name.startswith(("index", "sharedindex")):
            continue
        try:
            data = files.read(path)
        except OSError:
            continue
        if path == f"{private}/logs/HEAD":
            shas = {one for line in data.splitlines() for one in line.split(b" ", 2)[:2]}
            moves = {one for one in shas if _NAME.fullmatch(one) and one.strip(b"0")}
        found.update(one for one in _NAME.findall(data) if len(one) in (40, 64) and one.strip(b"0"))
        if name in ("git-rebase-todo", "done", "todo"):
            # `pick 1234567 subject`: an editor is given short names, and may leave them.
            words = (line.split() for line in data.splitlines() if not line.startswith(b"#"))
            short = (word for line in words for word in line[1:4])
            found.update(word for word in short if re.fullmatch(rb"[0-9a-f]{4,64}", word))
    return found, moves


def _names_in_reftable(place: Place) -> set[bytes]:
    """Return the values, now and before, of the refs that only this worktree has."""
    private = ("refs/worktree", "refs/bisect", "refs/rewritten")
    _, out, _ = ask(place, "for-each-ref", "--format=%(objectname) %(refname)", *private)
    refs = [line.split(b" ", 1) for line in out.splitlines()]
    found = {sha for sha, _ in refs} | {name.encode() for name in _PSEUDO_REFS}
    for name in ("HEAD", *(os.fsdecode(name) for _, name in refs)):
        _, out, _ = ask(place, "rev-list", "-g", name, "--")
        found.update(out.split())
    return found


def _independent(place: Place, tips: list[str], head: str | None) -> list[str]:
    """Return those commits that HEAD does not reach, and none of the others."""
    if not tips:
        return []
    lines = [*tips, *([f"^{head}"] if head is not None else [])]
    status, out, err = ask(
        place,
        "rev-list",
        "--parents",
        "--ignore-missing",
        "--stdin",
        stdin="".join(f"{one}\n" for one in lines).encode(),
    )
    if status != 0:
        raise _Gone(said(err))
    reached: set[str] = set()
    listed = set()
    for line in out.decode("ascii").splitlines():
        sha, *parents = line.split(" ")
        listed.add(sha)
        reached.update(parents)
    return sorted((listed & set(tips)) - reached)


def _tree_of(place: Place, commit: str) -> str:
    status, out, err = ask(place, "rev-parse", "--verify", f"{commit}^{{tree}}")
    if status != 0:
        raise _Gone(said(err))
    return out.decode().strip()


def _commits(
    place: Place,
    session: str,
    branch: str | None,
    head: str | None,
    tree: str,
    index: str | None,
    found: _Found,
    left_out: list[str],
) -> str:
    """Write the commits of a salvage and return the one that holds them all."""
    parents = [] if head is None else [head]
    if index is not None:
        kept = f"Index of the worktree of session {session}\n"
        parents.append(_commit(place, index, parents[:1], kept))
    if found.commits or found.loose:
        lines = "".join(f"{mode} {kind} {sha}\t{sha}\n" for mode, kind, sha in sorted(found.loose))
        status, out, err = ask(place, "mktree", "--missing", stdin=lines.encode())
        if status != 0:
            raise _Gone(said(err))
        kept = f"Everything else that only the worktree of session {session} named\n"
        parents.append(_commit(place, out.decode().strip(), found.commits, kept))
    message = [f"Worktree of session {session}, as it was when it was removed", ""]
    if left_out:
        message += ["Not in it, since too large, not readable, or a repository:", ""]
        message += [f"  {jsonline.encode(path)}" for path in left_out] + [""]
    trailers = {"Session": session, "Head": head, "Branch": branch, "Index": index}
    message += [f"Prodigy-{name}: {value}" for name, value in trailers.items() if value is not None]
    return _commit(place, tree, parents, "\n".join(message) + "\n")


def _commit(place: Place, tree: str, parents: list[str], message: str) -> str:
    """Write a commit object; not by commit-tree, whose parents' number the command line limits."""
    who = f"prodigy-git <prodigy-git@localhost> {clock.now() // clock.SECOND} +0000"
    lines = [f"tree {tree}", *(f"parent {one}" for one in parents), f"author {who}"]
    text = "\n".join([*lines, f"committer {who}", "", message])
    status, out, err = ask(
        place, "hash-object", "-t", "commit", "-w", "--stdin", stdin=os.fsencode(text)
    )
    if status != 0:
        raise _Gone(said(err))
    return out.decode().strip()


def _update_refs(place: Place, request: bytes) -> tuple[int, bytes, str]:
    """Run a transaction of ``git update-ref --stdin``; again where another process holds a lock."""
    for pause in (0.01, 0.05, 0.2, 1.0, 0):
        answer = ask(place, "update-ref", "--no-deref", "--stdin", stdin=request)
        if answer[0] == 0 or "File exists" not in answer[2]:
            break
        time.sleep(pause)
    return answer


def _wait_for_gc(common: str) -> None:
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
