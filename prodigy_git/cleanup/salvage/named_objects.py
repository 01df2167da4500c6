"""What a private git directory names: objects that may be gone with it."""

import os
import re

from prodigy_git.cleanup.folders import trees
from prodigy_git.cleanup.salvage.uncommitted import ask
from prodigy_git.record import files
from prodigy_git.record.gitdir import Place

_NAME = re.compile(rb"[0-9a-f]{40,64}")
_FOLDERS = ("refs", "logs", "reftable", "rebase-merge", "rebase-apply", "sequencer")
"""Where in a private git directory objects are named, beside the files at its top."""
_OTHERS = ("commondir", "gitdir", "locked", "config.worktree")
_OURS = ("prodigy", "prodigy-cursor")  # with a uid behind a dot they are a second user's
# With reftable these are not files (gitglossary(7), pseudoref).
_PSEUDO_REFS = (
    "ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "AUTO_MERGE",
    "BISECT_HEAD", "BISECT_EXPECTED_REV", "MERGE_AUTOSTASH", "FETCH_HEAD",
)  # fmt: skip


def sources(private: str) -> list[str]:
    """Return the files of a private git directory that name objects, or say what HEAD is."""
    found = [
        one.path
        for one in os.scandir(private)
        if one.is_file(follow_symlinks=False)
        and one.name not in _OTHERS
        and one.name.partition(".")[0] not in _OURS
    ]
    for folder in _FOLDERS:
        for root, _, names in trees.walk(f"{private}/{folder}"):
            found += [f"{root}/{name}" for name in names]
    return sorted(found)


def in_files(private: str) -> tuple[set[bytes], set[bytes]]:
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


def in_reftable(place: Place) -> set[bytes]:
    """Return the values, now and before, of the refs that only this worktree has."""
    private = ("refs/worktree", "refs/bisect", "refs/rewritten")
    _, out, _ = ask(place, "for-each-ref", "--format=%(objectname) %(refname)", *private)
    refs = [line.split(b" ", 1) for line in out.splitlines()]
    found = {sha for sha, _ in refs} | {name.encode() for name in _PSEUDO_REFS}
    for name in ("HEAD", *(os.fsdecode(name) for _, name in refs)):
        _, out, _ = ask(place, "rev-list", "-g", name, "--")
        found.update(out.split())
    return found
