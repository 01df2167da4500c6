"""Is a branch integrated: is everything that it did in the branch it came from, or the default one?

Decided offline, for many branches of a repository at once, and as `git branch -d` and the better
worktree tools do: by history first, then by contents, then by patch. A branch that was integrated and
then reverted counts as integrated, as it does for `git branch -d`: its commits, or the squashed one
with the same patch, are in the target's history.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prodigy_git.git.ask import look
from prodigy_git.record.gitdir import Place

if TYPE_CHECKING:
    from concurrent.futures import Executor

CAP = 500
"""How many commits of a branch, or of its target since they parted, are compared by patch."""

_DEFAULTS = ("main", "master", "trunk")


@dataclass(frozen=True)
class Question:
    """A worktree's HEAD commit, its branch (None: detached), and the branch that it came from.

    ``start`` is the commit that it began at. ``made``: whether commits were made there at all.
    """

    head: str
    branch: str | None
    base: str | None
    start: str | None
    made: bool


@dataclass(frozen=True)
class Integration:
    """``kind``: integrated, unused (no commits of its own), ahead, or none (nothing to compare with).

    ``how`` says by which sign, or how many commits ahead; ``into`` is the branch that has everything,
    for one ahead the branch that it was compared with. ``into`` is None for an unused one that no
    other branch contains.
    """

    kind: str
    how: str
    into: str | None


_SAME, _NOTHING = "the same contents", "it changes nothing"
WITHOUT_COMMITS = frozenset((_SAME, _NOTHING))
"""Signs that say nothing of the commits: they may have changed nothing, and be nowhere else."""
NOTHING = Integration("none", "there is nothing to compare it with", None)


def refs(common: Place) -> dict[str, str]:
    """Return the branches, remote ones too, and the commits they are at; empty where git fails."""
    status, out, _ = look(
        common, "for-each-ref", "--format=%(refname)%00%(objectname)%00%(symref)",
        "refs/heads", "refs/remotes",
    )  # fmt: skip
    found: dict[str, str] = {}
    for line in os.fsdecode(out).split("\n")[:-1] if status == 0 else []:
        name, sha, symref = line.split("\0")
        if symref:
            found[f"->{name}"] = symref
        else:
            found[name] = sha
    return found


def defaults(known: dict[str, str], configured: str | None) -> list[str]:
    """Return the full names of the repository's default branches, the surest first."""
    found = []
    head = known.get("->refs/remotes/origin/HEAD")
    if head is not None:
        found += [f"refs/heads/{head.removeprefix('refs/remotes/origin/')}", head]
    for name in (configured, *_DEFAULTS):
        if name:
            found += [f"refs/heads/{name}", f"refs/remotes/origin/{name}"]
    there = [ref for ref in dict.fromkeys(found) if ref in known]
    # Only one of the usual names is the default one; without a sign it is the first that exists.
    return there[:2]


def targets(known: dict[str, str], default: Sequence[str], question: Question) -> list[str]:
    """Return the branches to compare with: the base, what it tracks, the default branches."""
    found = []
    if question.base is not None:
        found += [f"refs/heads/{question.base}", f"refs/remotes/{question.base}"]
        ending = f"/{question.base}"
        found += [r for r in known if r.startswith("refs/remotes/") and r.endswith(ending)]
    found += default
    own = f"refs/heads/{question.branch}"
    pushed = f"/{question.branch}"
    return [
        ref for ref in dict.fromkeys(found)
        # What a branch was pushed as is that branch again.
        if ref in known and ref != own
        and not (ref.startswith("refs/remotes/") and question.branch and ref.endswith(pushed))
    ]  # fmt: skip


def how(
    common: Place,
    known: dict[str, str],
    default: Sequence[str],
    questions: Sequence[Question],
    pool: "Executor",
) -> list[Integration]:
    """Return for each question whether it is integrated; ``known`` is what `refs` returned.

    A few processes per repository decide the usual cases; only a branch that is ahead of a target
    which has moved on costs processes of its own.
    """
    compared = [targets(known, default, question) for question in questions]
    shas = {known[ref] for ones in compared for ref in ones}
    ahead_of = dict(
        zip(shas, pool.map(lambda sha: _ahead(common, sha, questions), shas), strict=True)
    )
    answers: list[Integration | None] = []
    waiting: list[tuple[int, str, list[str], list[str]]] = []
    for number, question in enumerate(questions):
        answer, open_ones = _by_history(question, compared[number], known, ahead_of)
        answers.append(answer)
        if answer is None:
            waiting += [(number, ref, *parts) for ref, parts in open_ones]
    if waiting:
        content = _Contents(common)
        content.load_trees(
            {sha for n, ref, _, bases in waiting for sha in (questions[n].head, known[ref], *bases)}
        )

        def by_contents(one: tuple[int, str, list[str], list[str]]) -> str | None:
            number, ref, own, bases = one
            return content.sign(questions[number].head, known[ref], own, bases)

        for (number, ref, own, _), sign in zip(
            waiting, pool.map(by_contents, waiting), strict=True
        ):
            before = answers[number]
            if sign is not None and (before is None or before.kind == "ahead"):
                answers[number] = Integration("integrated", sign, _short(ref))
            elif before is None:
                many = "commit" if len(own) == 1 else "commits"
                answers[number] = Integration("ahead", f"{len(own)} {many}", _short(ref))
    return [answer or NOTHING for answer in answers]


def _short(ref: str) -> str:
    return ref.removeprefix("refs/heads/").removeprefix("refs/remotes/")


def _ahead(
    common: Place, target: str, questions: Iterable[Question]
) -> dict[str, list[str]] | None:
    """Return the commits that the questions' heads have and ``target`` has not, with their parents."""
    heads = sorted({question.head for question in questions})
    status, out, _ = look(
        common, "rev-list", "--parents", "--ignore-missing", "--stdin",
        stdin="".join(f"{sha}\n" for sha in (*heads, f"^{target}")).encode(),
    )  # fmt: skip
    if status != 0:
        return None
    lines = (line.split() for line in out.decode("ascii", "replace").splitlines())
    return {line[0]: line[1:] for line in lines}


def _by_history(
    question: Question,
    compared: Sequence[str],
    known: dict[str, str],
    ahead_of: dict[str, dict[str, list[str]] | None],
) -> tuple[Integration | None, list[tuple[str, tuple[list[str], list[str]]]]]:
    """Return the answer, or with None the targets that the contents must be compared with.

    Each of those is (ref, (the branch's own commits, where they parted from the target)).
    """
    fresh = not question.made or question.head == question.start
    open_ones = []
    for ref in compared:
        ahead = ahead_of[known[ref]]
        if ahead is None:
            continue
        if question.head not in ahead:
            sign = "the same commit" if known[ref] == question.head else "its commits are in it"
            if fresh:
                return Integration("unused", "no commits of its own", _short(ref)), []
            return Integration("integrated", sign, _short(ref)), []
        own, bases = _walk(ahead, question.head)
        open_ones.append((ref, (own, bases)))
    if question.head == question.start:
        return Integration("unused", "no commits of its own", None), []
    return None, open_ones


def _walk(ahead: dict[str, list[str]], head: str) -> tuple[list[str], list[str]]:
    """Return the commits that ``head`` is ahead by, and the commits of the target they stand on."""
    own: dict[str, None] = {}
    bases: dict[str, None] = {}
    waiting = [head]
    while waiting:
        sha = waiting.pop()
        if sha not in ahead:
            bases[sha] = None
        elif sha not in own:
            own[sha] = None
            waiting += ahead[sha]
    return list(own), list(bases)


class _Contents:
    """Compares branches by what is in them; remembers trees and patches of one repository."""

    def __init__(self, common: Place) -> None:
        self._common = common
        self._trees: dict[str, str] = {}
        self._patches: dict[tuple[str, str], frozenset[str] | None] = {}

    def load_trees(self, shas: Iterable[str]) -> None:
        """Ask for the trees of commits, all at once."""
        shas = sorted(shas)
        _, out, _ = look(
            self._common, "cat-file", "--batch-check=%(objectname)",
            stdin="".join(f"{sha}^{{tree}}\n" for sha in shas).encode(),
        )  # fmt: skip
        for sha, line in zip(shas, out.decode("ascii", "replace").splitlines(), strict=False):
            if " " not in line:  # "… missing"
                self._trees[sha] = line

    def sign(self, head: str, target: str, own: list[str], bases: list[str]) -> str | None:
        """Return by what sign ``target`` has all that ``head`` did; None where there is none."""
        tree = self._trees.get(head)
        if tree is None or not bases:
            return None
        if tree == self._trees.get(target):
            return _SAME
        base = bases[0] if len(bases) == 1 else self._merge_base(head, target)
        if base is None:
            return None
        if base not in self._trees:
            self.load_trees([base])
        if tree == self._trees.get(base):
            return _NOTHING
        if base == target:
            return None  # the target has not moved: nothing of the branch can be in it
        if self._merge_adds_nothing(head, target):
            return "merging it would change nothing"
        there = self._patches_since(base, target)
        if not there:
            return None
        patch = look(self._common, *_PATCH, base, head)[1]
        if b"\nBinary files " in patch:
            return None  # before git 2.39 two changes of a binary file had the same id
        whole = self._ids(patch)
        if whole and whole <= there:
            return "squashed into one commit"
        if len(own) <= CAP and len(bases) == 1:
            each = self._ids_of(own)
            if each and each <= there:
                return "each of its patches is in it"
        return None

    def _merge_base(self, head: str, target: str) -> str | None:
        status, out, _ = look(self._common, "merge-base", head, target)
        return out.decode().split("\n")[0] or None if status == 0 else None

    def _merge_adds_nothing(self, head: str, target: str) -> bool:
        import tempfile

        with tempfile.TemporaryDirectory(prefix="prodigy-merge-") as scratch:
            # merge-tree writes the trees that it makes: not into the repository.
            env = {
                "GIT_OBJECT_DIRECTORY": scratch,
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": _quoted(f"{self._common.common}/objects"),
            }
            status, out, _ = look(
                self._common, "merge-tree", "--write-tree", target, head, env=env
            )  # git 2.38; an older one knows no such option and fails
        return status == 0 and out.decode("ascii", "replace").strip() == self._trees.get(target)

    def _patches_since(self, base: str, target: str) -> frozenset[str] | None:
        """Return the patch ids of the target's commits since ``base``; None where they are too many."""
        key = (base, target)
        if key not in self._patches:
            _, out, _ = look(
                self._common, "rev-list", "--no-merges", f"--max-count={CAP + 1}",
                target, f"^{base}",
            )  # fmt: skip
            shas = out.decode().split()
            self._patches[key] = None if len(shas) > CAP else self._ids_of(shas)
        return self._patches[key]

    def _ids_of(self, shas: Iterable[str]) -> frozenset[str]:
        """Return the patch ids of commits; a merge, whose patch is not defined, has one of its own."""
        stdin = "".join(f"{sha}\n" for sha in shas).encode()
        return self._ids(look(self._common, *_PATCH, "--stdin", "-m", stdin=stdin)[1])

    def _ids(self, patches: bytes) -> frozenset[str]:
        _, out, _ = look(self._common, "patch-id", "--stable", stdin=patches)
        return frozenset(line.split()[0] for line in out.decode("ascii").splitlines())


_PATCH = (
    "diff-tree", "-p", "--root", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv",
    "--diff-algorithm=myers", "--unified=3",
)  # fmt: skip


def _quoted(path: str) -> str:
    """Return a path for a list of paths that colons divide (git-worktree's alternates syntax)."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
