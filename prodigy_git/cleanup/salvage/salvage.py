"""Keeping every object that only one worktree names, and what is not committed in it.

One commit holds it: its tree is the working tree as it was, tracked files with their changes, and
untracked ones that are not ignored. Its parents are HEAD's commit (if any), a commit whose tree is
the index (if that has no conflict), and, where there is more to keep, one that holds the rest: other
commits as its parents, blobs and trees as the entries of its tree. Where HEAD's commit is all there
is, that stands for it. Trailers of the message say which is which.

What of all this no ordinary ref reaches lies apart (`unpublished`): no push of refs may publish it.
The salvage refs hold what is below, against garbage collection when the ordinary refs have moved on.

Everything is made from a copy of the index, outside of the repository's objects, with hooks silenced,
and nothing is signed. git may collect garbage meanwhile and take an object before it is packed, or
before a ref holds it: so all are looked for afterwards, and made again.
"""

import contextlib
import functools
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from prodigy_git.cleanup.salvage import named_objects, refs, uncommitted, unpublished
from prodigy_git.cleanup.salvage.refs import Update, ref_names
from prodigy_git.cleanup.salvage.refs import moment_of as moment_of
from prodigy_git.cleanup.salvage.refs import ref_name as ref_name
from prodigy_git.cleanup.salvage.refs import update_refs as update_refs
from prodigy_git.cleanup.salvage.uncommitted import Quarantine, ask
from prodigy_git.cleanup.salvage.unpublished import Kept, Unkept
from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import said
from prodigy_git.record import clock, enrolment, files, gitdir, jsonline
from prodigy_git.record.gitdir import Place

TITLE = "Worktree of session"
"""How the message begins of the commit that holds all; what the user commits may have its trailers."""
_TRIES = 6

_MOMENT = re.compile("/[0-9]{8}T[0-9]{6}-[0-9]{6}Z$")


@dataclass(frozen=True)
class Anchors:
    """What holds a worktree's objects; ``left_out`` are files that nothing but the folder holds.

    ``head`` is HEAD's commit, None where it has none or that is broken; ``kept`` what lies apart, with
    HEAD's history below ``refs``, None where those hold all.
    """

    session: str
    moment: str
    refs: list[str]
    head: str | None
    kept: Kept | None
    left_out: list[str] = field(default_factory=list)


@dataclass
class _Found:
    """What is to be held beside HEAD: commits, (mode, type, SHA) of blobs and trees, tags."""

    commits: list[str] = field(default_factory=list)
    loose: set[tuple[str, str, str]] = field(default_factory=set)
    tags: list[str] = field(default_factory=list)


def anchor(
    place: Place,
    session: str,
    moment: str,
    limit: int,
    *,
    dirty: bool = True,
    update: Update | None = None,
) -> Anchors:
    """Make the salvage of a worktree, and say what it does not hold.

    ``limit`` is in bytes, for files that are not in git: larger ones are left out. ``dirty`` False says
    that index and working tree are HEAD's: they are not looked at. Objects that are missing already
    are left out. ``update`` does what `update_refs` does, for others too. Raises `ProdigyError` where
    git cannot make or keep what is needed.
    """

    def anchored(tried: int) -> Anchors:
        return _anchor(place, session, moment, limit, dirty=dirty, update=update, tried=tried)

    return _kept(place.common, session, moment, anchored, "what only this worktree holds")


def anchor_branch(common: str, session: str, moment: str, branch: str, tip: str) -> Anchors:
    """Make a salvage of a branch alone that is at the commit ``tip``. Raises `ProdigyError`."""
    place = Place(common, common, common)

    def anchored(_: int) -> Anchors:
        return _hold(place, None, session, moment, tip, [], {branch}, None, [])

    return _kept(common, session, moment, anchored, f"branch {branch}")


def _kept(
    common: str, session: str, moment: str, anchored: Callable[[int], Anchors], what: str
) -> Anchors:
    """Try to make a salvage, several times: ``anchored`` is called with how often that was tried."""
    trouble = ""
    unpublished.clear(common, session, moment)  # what a killed run was at
    for number in range(_TRIES):
        try:
            return anchored(number)
        except Unkept as error:
            trouble = str(error)
        finally:
            unpublished.clear(common, session, moment)
    raise ProdigyError(f"{what} could not be kept in git: {trouble}")


def delete(common: str, session: str, moment: str) -> None:
    """Delete an entry's salvage, as it is now, and what a kill left of it. Raises `ProdigyError`."""
    unpublished.delete(common, session, moment)
    ref = ref_name(session, moment)
    place = Place(common, common, common)
    status, out, err = ask(
        place, "for-each-ref", "--format=%(objectname) %(refname)", *refs.patterns(ref)
    )
    if status == 0:
        lines = (line.split(b" ", 1) for line in out.splitlines())
        request = b"".join(b"delete %s %s\n" % (name, sha) for sha, name in lines)
        status, _, err = update_refs(place, request) if request else (0, b"", "")
    if status != 0:
        raise ProdigyError(f"the refs {ref}* could not be deleted: {said(err)}")


def names_of(common: str, session: str) -> list[str]:
    """Return the salvages that a repository has of a session, as their refs' names, oldest first."""
    found = {ref_name(session, moment) for moment in unpublished.moments(common, session)}
    pattern = f"{os.path.dirname(ref_name(session, '0'))}/"
    place = Place(common, common, common)
    _, out, _ = ask(place, "for-each-ref", "--format=%(refname)", pattern)
    found |= {ref for ref in out.decode("ascii", "replace").split() if _MOMENT.search(ref)}
    return sorted(found)


def _anchor(
    place: Place,
    session: str,
    moment: str,
    limit: int,
    *,
    dirty: bool,
    update: Update | None,
    tried: int,
) -> Anchors:
    """Try once more after ``tried`` times; the later, the more is done to succeed."""
    careful = tried > 1  # look at everything alone, and leave out what is broken in itself
    branch, head = gitdir.head(place)
    if head is not None and not _sound(place, head, thorough=careful):
        head = None
    taken = uncommitted.Uncommitted()
    away = None
    if dirty or head is None or _keeps_more(f"{place.private}/index"):
        away = Quarantine(place, unpublished.scratch(place.common, session, moment))
        taken = uncommitted.take(away, head, limit, careful=careful)
    if taken.trouble:
        raise Unkept(taken.trouble)
    found = _named(away or place, head, taken.objects, careful=careful)
    base = None
    if head is not None and (away is not None or found.commits or found.loose):
        base = _tree_of(place, head)
        away = away or Quarantine(place, unpublished.scratch(place.common, session, moment))
    tip = head
    if away is not None and (
        found.commits or found.loose or taken.left_out or head is None
        or (taken.tree is not None and (taken.tree, taken.index) != (base, base))
    ):  # fmt: skip
        tree = taken.tree or base or uncommitted.empty_tree(away)
        index = taken.index if taken.tree is not None else base
        tip = _commits(away, session, branch, head, tree, index, found, taken.left_out)
    if tip is None:
        raise Unkept("no commit could be made")
    own, left_out = own_branches(place.private, session, branch), taken.left_out
    return _hold(place, away, session, moment, tip, found.tags, own, head, left_out, update)


def _hold(
    place: Place,
    away: Quarantine | None,
    session: str,
    moment: str,
    tip: str,
    tags: list[str],
    own: set[str],
    head: str | None,
    left_out: list[str],
    update: Update | None = None,
) -> Anchors:
    """Hold all that ``tip`` and tags reach, by refs or apart. Raises `Unkept`.

    ``own`` are the branches that will not hold it; ``away`` is where what git does not have lies.
    """
    edges, above = unpublished.edge(away or place, tip, tags, own)
    kept = Kept(tip, tags) if above or tags else None
    if kept is not None:
        away = away or Quarantine(place, unpublished.scratch(place.common, session, moment))
        unpublished.put(away, session, moment, kept, edges)
    else:
        unpublished.delete(place.common, session, moment)  # an earlier try's
    names = ref_names(session, moment, len(edges))
    request = "".join(f"update {name} {sha}\n" for name, sha in zip(names, edges, strict=True))
    update = update or functools.partial(update_refs, place)
    status, _, err = update(request.encode())
    if status != 0:
        raise Unkept(said(err))
    anchors = Anchors(session, moment, names, head, kept, left_out)
    if kept is not None:
        unpublished.wait_for_gc(place.common)
        if not complete(place.common, anchors):
            raise Unkept("an object of it is missing; is 'git prune' running?")
    return anchors


def own_branches(private: str, session: str, branch: str | None) -> set[str]:
    """Return a worktree's own branches: HEAD's, a stopped rebase's, the one made for it."""
    # Earlier versions called the one made for a session always after it.
    found = {f"prodigy-{session}", *([] if branch is None else [branch])}
    for folder in ("rebase-merge", "rebase-apply"):
        with contextlib.suppress(OSError):
            name = os.fsdecode(files.read(f"{private}/{folder}/head-name")).strip()
            found.add(name.removeprefix("refs/heads/"))
    with contextlib.suppress(OSError, ValueError):
        there = enrolment.as_written(private)
        if there is not None and there.session == session:
            found.update(
                own["branch"]
                for _, own in there.opening
                if isinstance(own.get("branch"), str) and not own.get("branch_existed")
            )
    return found


def complete(common: str, anchors: Anchors) -> bool:
    """Whether the salvage, and every object that it holds beside what HEAD reaches, is there."""
    if anchors.kept is None:
        return True
    # Asked in the common directory: from a private one that has been moved, git finds no shared ref.
    place = Place(common, common, common)
    tips = (anchors.kept.commit, *anchors.kept.tags, *anchors.refs)
    view = unpublished.view(common, anchors.session, anchors.moment)
    return _complete(place, tips, anchors.head, view)


def _complete(
    place: Place, tips: Sequence[str], head: str | None, view: dict[str, str] | None = None
) -> bool:
    return ask(
        place, "rev-list", "--objects", "--quiet", "--missing=allow-promisor", *tips,
        *(["--not", head] if head is not None else []), "--", env=view,
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
        return b"REUC" in files.read(
            index, files.LARGEST_OF_GIT
        )  # gitformat-index(5), resolve undo
    except OSError:
        return False


def _named(
    place: Place, head: str | None, more: set[tuple[str, str, str]], *, careful: bool
) -> _Found:
    """Return which objects the private git directory names that HEAD does not reach.

    ``more`` are the index's own, as (mode, type, SHA).
    """
    names, moves = named_objects.in_files(place.private)
    if os.path.isdir(f"{place.private}/reftable"):
        names |= named_objects.in_reftable(place)
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


def _independent(place: Place, tips: list[str], head: str | None) -> list[str]:
    """Return those commits that HEAD does not reach, and none of the others."""
    if not tips:
        return []
    lines = [*tips, *([f"^{head}"] if head is not None else [])]
    status, out, err = ask(
        place, "rev-list", "--parents", "--ignore-missing", "--stdin",
        stdin="".join(f"{one}\n" for one in lines).encode(),
    )  # fmt: skip
    if status != 0:
        raise Unkept(said(err))
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
        raise Unkept(said(err))
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
            raise Unkept(said(err))
        kept = f"Everything else that only the worktree of session {session} named\n"
        parents.append(_commit(place, out.decode().strip(), found.commits, kept))
    message = [f"{TITLE} {session}, as it was when it was removed", ""]
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
        raise Unkept(said(err))
    return out.decode().strip()
