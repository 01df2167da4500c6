"""Helpers of the tests that remove worktrees: states in which work is easily lost."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from prodigy_git.git.ask import SILENCE
from prodigy_git.record import enrolment, gitdir
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.record.gitdir import Place

LATER = {"GIT_COMMITTER_DATE": "2025-02-01T12:00:00+00:00"}


def git(*args: str | Path, cwd: Path | str, check: bool = True, **env: str) -> str:
    done = subprocess.run(
        ["git", *map(str, args)], cwd=cwd, check=False, capture_output=True,
        encoding="utf-8", errors="surrogateescape", stdin=subprocess.DEVNULL,
        env={**os.environ, SILENCE: "1", **env},
    )  # fmt: skip
    assert done.returncode == 0 or not check, (args, done.stdout, done.stderr)
    return done.stdout.rstrip("\n")


def place_of(worktree: Path | str) -> Place:
    place = gitdir.find(str(worktree), {})
    assert place is not None
    return place


def enrolled(worktree: Path | str) -> tuple[Place, Enrolment]:
    place = place_of(worktree)
    there = enrolment.read(place.private)
    assert there is not None
    return place, there


def commit(tree: Path, name: str, text: str, *more: str) -> str:
    """Commit a file; return the commit."""
    (tree / name).write_text(text)
    git("add", name, cwd=tree)
    git("commit", "-qm", f"{name} {text}", *more, cwd=tree)
    return git("rev-parse", "HEAD", cwd=tree)


def _sides(tree: Path) -> None:
    """Two lines of commits that conflict; HEAD on one, branch ``side-…`` the other."""
    git("checkout", "-q", "-b", f"side-{tree.name}", cwd=tree)
    commit(tree, "README", "one side\n")
    commit(tree, "more", "one side\n")
    git("checkout", "-q", "-", cwd=tree)
    commit(tree, "README", "the other\n")


def merge(tree: Path) -> None:
    _sides(tree)
    git("merge", f"side-{tree.name}", cwd=tree, check=False)


def resolved(tree: Path) -> None:
    merge(tree)
    (tree / "README").write_text("both\n")
    git("add", "README", cwd=tree)


def odd_conflict(tree: Path) -> None:
    """A conflict whose sides no commit holds, as one of uncommitted work is (`checkout -m`)."""
    lines = []
    for stage in "123":
        (tree / "side").write_text(f"side {stage}\n")
        lines.append(f"100644 {git('hash-object', '-w', 'side', cwd=tree)} {stage}\tREADME\n")
    (tree / "side").unlink()
    git("update-index", "--force-remove", "README", cwd=tree)
    subprocess.run(
        ["git", "update-index", "--index-info"], cwd=tree, check=True, input="".join(lines).encode()
    )


def rebase(tree: Path) -> None:
    _sides(tree)
    commit(tree, "third", "x\n")
    (tree / "third").write_text("into the autostash\n")
    git("rebase", "--autostash", f"side-{tree.name}", cwd=tree, check=False)


def edit(tree: Path) -> None:
    """A rebase stopped at an edit, with a commit of its own that only the reflog will know."""
    commit(tree, "a", "a\n")
    commit(tree, "b", "b\n")
    git("rebase", "-q", "-i", "HEAD~2", cwd=tree, GIT_SEQUENCE_EDITOR="sed -i 1s/pick/edit/")
    commit(tree, "c", "c\n")
    git("reset", "-q", "--hard", "HEAD~", cwd=tree)


def pick(tree: Path) -> None:
    _sides(tree)
    git("cherry-pick", f"HEAD..side-{tree.name}", cwd=tree, check=False)


def revert(tree: Path) -> None:
    first = commit(tree, "README", "one\n")
    commit(tree, "README", "two\n")
    git("revert", "--no-edit", first, cwd=tree, check=False)


def apply(tree: Path) -> None:
    _sides(tree)
    git("format-patch", "-q", "-o", tree / "patches", f"HEAD..side-{tree.name}", cwd=tree)
    git("am", *sorted((tree / "patches").iterdir()), cwd=tree, check=False)


def bisect(tree: Path) -> None:
    first = git("rev-parse", "HEAD", cwd=tree)
    for number in range(4):
        commit(tree, "n", f"{number}\n")
    git("bisect", "start", "HEAD", first, cwd=tree)


def reset_away(tree: Path) -> None:
    commit(tree, "lost", "only the reflog has it\n")
    commit(tree, "lost", "and this\n")
    git("reset", "-q", "--hard", "HEAD~2", cwd=tree)


def detached(tree: Path) -> None:
    git("checkout", "-q", "--detach", cwd=tree)
    commit(tree, "alone", "x\n")
    (tree / "alone").write_text("changed\n")


def orphan(tree: Path) -> None:
    git("checkout", "-q", "--orphan", f"unborn-{tree.name}", cwd=tree)
    (tree / "staged").write_text("in an unborn branch\n")
    git("add", "staged", cwd=tree)


def private_refs(tree: Path) -> None:
    made = commit(tree, "own", "x\n")
    git("reset", "-q", "--hard", "HEAD~", cwd=tree)
    git("update-ref", "refs/worktree/commit", made, cwd=tree)
    git("tag", "-a", "-m", "annotated", "tag", made, cwd=tree)
    git("update-ref", "refs/worktree/tag", git("rev-parse", "tag", cwd=tree), cwd=tree)
    git("tag", "-d", "tag", cwd=tree)
    (tree / "loose").write_text("blob of a private ref\n")
    git("update-ref", "refs/worktree/blob", git("hash-object", "-w", "loose", cwd=tree), cwd=tree)
    git(
        "update-ref", "refs/worktree/tree", git("rev-parse", f"{made}^{{tree}}", cwd=tree), cwd=tree
    )
    (tree / "loose").unlink()


def fetched(tree: Path) -> None:
    other = tree.parent / f"other-{tree.name}"
    git("init", "-q", other, cwd=tree.parent)
    commit(other, "theirs", "x\n")
    git("fetch", "-q", other, "HEAD", cwd=tree)


def staged_twice(tree: Path) -> None:
    (tree / "README").write_text("staged, then changed\n")
    git("add", "README", cwd=tree)
    (tree / "README").write_text("in the working tree\n")


STATES: list[Callable[[Path], None]] = [
    merge, resolved, odd_conflict, rebase, edit, pick, revert, apply, bisect, reset_away, detached,
    orphan, private_refs, fetched, staged_twice,
]  # fmt: skip


def named_by(place: Place) -> set[str]:
    """Return every object that a worktree's private directory names, and that exists."""
    found: set[str] = set()
    pattern = re.compile(rb"\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b")
    for root, _, names in os.walk(place.private):
        for name in names:
            data = Path(root, name).read_bytes() if not name.startswith("index") else b""
            found.update(one.decode() for one in pattern.findall(data))
    for option in ("--stage", "--resolve-undo"):
        for line in git("ls-files", option, cwd=place.top).splitlines():
            if not line.startswith("160000"):
                found.add(line.split(" ")[1])
    return set(existing(place.top, found))


def salvage_folder(cwd: Path | str, ref: str) -> Path:
    """Return where the salvage of a ref lies apart, whether it does or not."""
    session, time = ref.replace("%2E", ".").split("/")[3:]
    common = git("rev-parse", "--path-format=absolute", "--git-common-dir", cwd=cwd)
    return Path(common, "prodigy-salvage", session, time.replace("-", "."))


def salvaged(cwd: Path | str, ref: str) -> tuple[str, dict[str, str]]:
    """Return the commit that holds a salvage, and what git needs to read it."""
    folder = salvage_folder(cwd, ref)
    if not folder.exists():
        return git("rev-parse", ref, cwd=cwd), {}
    about = (folder / "about").read_text().splitlines()
    return about[1].removeprefix("commit "), {"GIT_ALTERNATE_OBJECT_DIRECTORIES": str(folder)}


def existing(cwd: Path | str, names: set[str], ref: str | None = None) -> set[str]:
    """Return which objects are there, in the repository or in the salvage of ``ref``."""
    more = {} if ref is None else salvaged(cwd, ref)[1]
    done = subprocess.run(
        ["git", "cat-file", "--batch-check"], cwd=cwd, check=True, capture_output=True, text=True,
        input="".join(f"{name}\n" for name in sorted(names)), env={**os.environ, **more},
    )  # fmt: skip
    return {line.split(" ")[0] for line in done.stdout.splitlines() if "missing" not in line}


def collect_garbage(cwd: Path | str) -> None:
    """Let git take everything that it may take, at once."""
    git("gc", "--prune=now", "--quiet", cwd=cwd)


def files_in(
    folder: Path | str, *, without: tuple[str, ...] = ()
) -> dict[bytes, tuple[str, bytes]]:
    """Return each file's mode as git has it, and contents; by path."""
    top = os.fsencode(folder)
    found = {}
    for root, folders, names in os.walk(top):
        folders[:] = [name for name in folders if os.fsdecode(name) not in without]
        for name in [*names, *(one for one in folders if os.path.islink(os.path.join(root, one)))]:
            path = os.path.join(root, name)
            if os.path.islink(path):
                state = ("120000", os.readlink(path))
            elif os.path.isfile(path):
                mode = "100755" if os.stat(path).st_mode & 0o100 else "100644"
                state = (mode, Path(os.fsdecode(path)).read_bytes())
            else:
                continue
            if os.fsdecode(name) not in (".git", ".git.in-trash", *without):
                found[os.path.relpath(path, top)] = state
    return found


def files_of(cwd: Path | str, revision: str) -> dict[bytes, tuple[str, bytes]]:
    """Return the same of a commit's tree; of a salvage ref, the tree that the salvage holds."""
    more: dict[str, str] = {}
    if revision.startswith("refs/prodigy/salvage/"):
        revision, more = salvaged(cwd, revision)
    env = {**os.environ, **more}
    done = subprocess.run(
        ["git", "ls-tree", "-r", "-z", revision], cwd=cwd, check=True, capture_output=True, env=env
    )
    found = {}
    for entry in done.stdout.split(b"\0")[:-1]:
        about, _, path = entry.partition(b"\t")
        mode, kind, sha = about.decode().split(" ")
        if kind == "blob":
            blob = subprocess.run(
                ["git", "cat-file", "blob", sha], cwd=cwd, check=True, capture_output=True, env=env
            )
            found[path] = (mode, blob.stdout)
    return found
