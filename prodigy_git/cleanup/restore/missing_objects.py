"""Objects that a trashed worktree's private git directory names and that are gone.

Put back as it is, such a directory breaks `git gc` for the whole repository: git follows the reflogs,
private refs and the index of every worktree, and ends where it meets a gap. What names one is moved
to ``missing/`` inside the private directory, which git does not look into, and told.
"""

import contextlib
import glob
import os
import stat
from collections.abc import Iterable, Iterator, Sequence

from prodigy_git.cleanup.folders import trees
from prodigy_git.cleanup.salvage import salvage
from prodigy_git.cleanup.trash import intent
from prodigy_git.cleanup.trash.entry import Entry
from prodigy_git.errors import ProdigyError
from prodigy_git.git import git_index
from prodigy_git.git.ask import git_status, said
from prodigy_git.record import files
from prodigy_git.record.gitdir import Place

_ASIDE = "missing"
"""Where in the private directory it goes, unless something of that name was there before."""
# Pseudo-refs (gitglossary(7)) that do not end in _HEAD. Not MERGE_RR: what it has are no objects.
_IRREGULAR = ("AUTO_MERGE", "BISECT_EXPECTED_REV", "MERGE_AUTOSTASH", "NOTES_MERGE_PARTIAL")
# Besides the pseudo-refs: what a stopped rebase will want to have (sequencer.c, builtin/am.c).
_REBASE = ("orig-head", "onto", "autostash", "stopped-sha", "orig_head", "original-commit")


def free_aside(private: str) -> str:
    """Return a name, free in a private directory, for what is to be taken out."""
    name, number = _ASIDE, 0
    while os.path.lexists(f"{private}/{name}"):
        number += 1
        name = f"{_ASIDE}-{number}"
    return name


def _aside(found: Entry) -> str:
    # The intent of an older version does not say it.
    return str((found.restoring or {}).get("missing", _ASIDE))


def head_is_whole(found: Entry) -> bool:
    """Whether HEAD's commit is there, with all of its history and files that no ref has anyway."""
    if found.head is None:
        return True
    return _whole(found, [found.head])


def move_aside(found: Entry, folder: str) -> list[str]:
    """Take out of the private directory ``found.git`` what names missing objects; say what.

    ``folder`` is where the working tree is now: what the index names can be made again from its
    files. What git cannot read stays as it is. Can be repeated. Raises `ProdigyError` or `OSError`.
    """
    notes = []
    aside = f"{found.git}/{_aside(found)}"
    named = dict(_named(found.git))
    lost = _lost(found, {sha for shas in named.values() for sha in shas})
    for path, shas in sorted(named.items()) if lost else ():
        gone = lost.intersection(shas)
        if not gone:
            continue
        if path.startswith("logs/"):
            count = _shorten(found.git, path, gone, aside)
            notes.append(
                f"{count} {'line' if count == 1 else 'lines'} of {path} named objects that are gone"
            )
        elif path.startswith("rebase-"):
            notes.append(f"{path} names an object that is gone")
        else:
            _put_aside(found.git, path, aside)
            notes.append(f"{path} named an object that is gone")
    unread = None
    if not _index_is_whole(found) and not _is_whole_with_empty(found):
        unread = _unreadable(found)
        if unread is None:
            try:
                notes.append(_mend_index(found, folder, aside))
            except ProdigyError as error:
                unread = f"its index names objects that are gone ({error}): it is as it was"
    if os.path.lexists(aside):
        notes.append(f"what named them is kept in {_private(found)}/{_aside(found)}")
    return notes if unread is None else [*notes, unread]


def _private(found: Entry) -> str:
    """Return where the private directory goes."""
    return str((found.restoring or {}).get("private", found.private))


def _unreadable(found: Entry) -> str | None:
    """Return, in words, what of HEAD and index git cannot read, and what mends it; None: nothing."""
    place = Place(found.git, found.common, found.worktree)
    private = _private(found)
    if not intent.head_is_sound(place):
        return (
            f"git cannot read its HEAD: it is as it was; 'ref: refs/heads/BRANCH', written into "
            f"{private}/HEAD, mends it"
        )
    env = {"GIT_DIR": found.git, "GIT_COMMON_DIR": found.common}
    status, _, err = git_status(found.git, "ls-files", "--stage", "-z", env=env)
    why = said(err).replace(found.git, private)
    if status == 0:
        if git_index.is_sound(files.read(f"{found.git}/index", files.LARGEST_OF_GIT)):
            return None
        why = "its checksum is wrong"
    return (
        f"git cannot read its index ({why}): it is as it was; 'rm {private}/index', then 'git reset' "
        "in the worktree, makes another"
    )


def _named(private: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each file below a private directory that names objects, with their names."""
    for folder, below in (("", False), ("refs", True), ("logs", True)):
        for path in _files(private, folder, below=below):
            name = os.path.basename(path)
            if folder == "" and not (name.endswith("_HEAD") or name in _IRREGULAR):
                continue
            try:
                data = files.read(f"{private}/{path}")
            except OSError:  # not for this user: as it was
                continue
            width = 2 if folder == "logs" else 1
            shas = [
                word.decode("ascii")
                for line in data.split(b"\n")
                for word in line.split()[:width]
                if _is_sha(word)
            ]
            if shas:
                yield path, shas
    for folder in ("rebase-merge", "rebase-apply"):
        for name in _REBASE:
            try:
                word = files.read(f"{private}/{folder}/{name}").strip()
            except OSError:
                continue
            if _is_sha(word):
                yield f"{folder}/{name}", [word.decode("ascii")]


def _files(private: str, folder: str, *, below: bool) -> Iterator[str]:
    for root, folders, found in trees.walk(f"{private}/{folder}" if folder else private):
        inside = os.path.relpath(root, private)
        for name in found:
            path = os.path.normpath(f"{inside}/{name}")
            if stat.S_ISREG(os.lstat(f"{private}/{path}").st_mode):
                yield path
        if not below:
            folders.clear()


def _is_sha(word: bytes) -> bool:
    return (
        len(word) in (40, 64)
        and not word.strip(b"0123456789abcdef")
        and bool(word.strip(b"0"))  # the null id names nothing
    )


def _lost(found: Entry, shas: Iterable[str]) -> set[str]:
    """Return those of the objects that are missing, or that something below them is."""
    wanted = sorted(shas)
    if not wanted or _whole(found, wanted):
        return set()
    if len(wanted) == 1:
        return set(wanted)
    middle = len(wanted) // 2
    return _lost(found, wanted[:middle]) | _lost(found, wanted[middle:])


def _whole(found: Entry, shas: Sequence[str]) -> bool:
    # What the refs of the repository reach is as whole as it was. Not those of the salvage ref: it
    # reaches all of this, and would hide every gap.
    beyond = ("--not", f"--exclude={_own_refs(found)}", "--all")
    asked = "".join(f"{sha}\n" for sha in shas).encode("ascii", "replace")
    if _walk(found, ("--stdin", *beyond), asked):
        return True
    # A broken ref elsewhere fails the question itself: then it is asked without them.
    return not _walk(found, ("--stdin", *beyond), b"") and _walk(found, ("--stdin",), asked)


def _index_is_whole(found: Entry) -> bool:
    # By HEAD's name: in the trash git finds no refs, for it takes `commondir`, a relative path, and
    # not GIT_COMMON_DIR for where they are.
    known = () if found.head is None else ("--not", found.head)
    return not os.path.exists(f"{found.git}/index") or _walk(
        found,
        ("--single-worktree", "--indexed-objects", *known),
        b"",
        {"GIT_DIR": found.git, "GIT_COMMON_DIR": found.common},
    )


def _is_whole_with_empty(found: Entry) -> bool:
    # An entry that is only an intent to add names the empty blob; whoever has that can make it again.
    git_status(found.common, "hash-object", "-w", "-t", "blob", "--stdin")
    return _index_is_whole(found)


def _own_refs(found: Entry) -> str:
    return os.path.dirname(salvage.ref_name(found.session, found.moment)) + "/*"


def _walk(
    found: Entry, arguments: Sequence[str], asked: bytes, env: dict[str, str] | None = None
) -> bool:
    promised = glob.glob(f"{glob.escape(found.common)}/objects/pack/*.promisor")
    partial = ("--exclude-promisor-objects",) if promised else ()
    status, _, _ = git_status(
        found.common, "rev-list", "--objects", "--quiet", *partial, *arguments,
        stdin=asked, env={"GIT_NO_LAZY_FETCH": "1", **(env or {})},
    )  # fmt: skip
    return status == 0


def _shorten(private: str, path: str, gone: set[str], aside: str) -> int:
    """Move a reflog's lines whose new object is gone; return how many.

    A line whose old one is gone stays, and follows the line before it, as after `git reflog expire
    --rewrite`: what it leads to has no other name, perhaps.
    """
    kept: list[bytes] = []
    moved = []
    for line in files.read(f"{private}/{path}").splitlines(keepends=True):
        words = line.split(b" ", 2)
        if len(words) < 3 or words[1].decode("ascii", "replace") not in gone:
            if len(words) == 3 and words[0].decode("ascii", "replace") in gone:
                before = kept[-1].split(b" ", 2)[1] if kept else words[1]
                moved.append(line)
                line = b" ".join((before, *words[1:]))
            kept.append(line)
        else:
            moved.append(line)
    target = f"{aside}/{path}"
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "ab") as stream:
        stream.writelines(moved)
        stream.flush()
        os.fsync(stream.fileno())
    mode = stat.S_IMODE(os.stat(f"{private}/{path}").st_mode)
    files.replace(f"{private}/{path}", b"".join(kept))
    os.chmod(f"{private}/{path}", mode)
    return len(moved)


def _put_aside(private: str, path: str, aside: str) -> None:
    target = f"{aside}/{path}"
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.rename(f"{private}/{path}", target)


def _mend_index(found: Entry, folder: str, aside: str) -> str:
    """Make the missing objects of the index again from the files, or take out what cannot be.

    Raises `ProdigyError`; then the index is as it was.
    """
    env = {"GIT_DIR": found.git, "GIT_COMMON_DIR": found.common, "GIT_WORK_TREE": folder}
    env |= {"GIT_NO_LAZY_FETCH": "1", "GIT_LITERAL_PATHSPECS": "1"}
    entries = [
        (*fields.split(" "), path)
        for fields, _, path in (
            line.partition("\t")
            for line in _git(folder, env, "ls-files", "--stage", "-z").split("\0")
        )
        if path
    ]
    shas = sorted({sha for mode, sha, _, _ in entries if mode != "160000"})
    out = _git(folder, env, "cat-file", "--batch-check", stdin="\n".join(shas))
    gone = {line.split(" ")[0] for line in out.splitlines() if line.endswith(" missing")}
    for _, sha, _, path in entries:
        if sha in gone and os.path.isfile(f"{folder}/{path}"):
            wanted = _git(folder, env, "hash-object", "--", path)
            if wanted.strip() == sha:
                _git(folder, env, "hash-object", "-w", "--", path)
                gone.discard(sha)
    if not gone and _index_is_whole(found):
        return "objects that only the index named were gone: made again from the files"
    lines = []
    for mode, sha, stage, path in entries:
        if sha in gone:
            asked = ("-z", "--full-tree", found.head or "", "--", path)
            tree = _git(folder, env, "ls-tree", *asked) if stage == "0" and found.head else ""
            if not tree:
                continue
            mode, _, sha = tree.split("\t")[0].split(" ")
        lines.append(f"{mode} {sha} {stage}\t{path}")
    index = f"{found.git}/index.prodigy-new"
    fresh = {**env, "GIT_INDEX_FILE": index}
    with contextlib.suppress(FileNotFoundError):
        os.unlink(index)
    _git(folder, fresh, "update-index", "-z", "--index-info", stdin="\0".join([*lines, ""]))
    for flag, letters in (("--skip-worktree", "Ss"), ("--assume-unchanged", "hs")):
        paths = [
            line[2:]
            for line in _git(folder, env, "ls-files", "-v", "-z").split("\0")
            if line[:1] and line[0] in letters
        ]
        _git(folder, fresh, "update-index", flag, "-z", "--stdin", stdin="\0".join([*paths, ""]))
    os.makedirs(aside, exist_ok=True)
    os.link(f"{found.git}/index", f"{aside}/index.{len(os.listdir(aside))}")
    os.rename(index, f"{found.git}/index")
    return f"{len(gone)} staged contents are gone: those paths are in the index as HEAD has them"


def _git(cwd: str, env: dict[str, str], *arguments: str, stdin: str = "") -> str:
    status, out, err = git_status(
        cwd, *arguments, stdin=stdin.encode("utf-8", "surrogateescape"), env=env
    )
    if status != 0:
        raise ProdigyError(f"git {arguments[0]}: {said(err, f'exit status {status}')}")
    return out
