"""What a forecast stands on: the target, what the candidates are and descend from, and merges.

The commits of candidates that git can merge at all are `Ready`: what comes of each alone is known.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from prodigy_git.errors import ProdigyError
from prodigy_git.git import integration
from prodigy_git.git.integration import Question
from prodigy_git.merging.conflicts import touched
from prodigy_git.merging.conflicts.forecast import Candidate, Standing, State
from prodigy_git.merging.conflicts.known_merges import Known
from prodigy_git.merging.conflicts.three_way import Merge, Scratch
from prodigy_git.merging.results import ancestry
from prodigy_git.merging.results.ancestry import Ancestry
from prodigy_git.record.gitdir import Place

_TARGET = "target"
_MOST_COMMITS = 5000
_MISSING = "objects of it are missing here: fetch them first, nothing is fetched unasked"
_SHALLOW = "this clone is shallow, and lacks where it began: 'git fetch --unshallow' brings that"


@dataclass(frozen=True, slots=True)
class Ready:
    """A candidate that git can merge; ``merge`` is what comes of it with the target alone."""

    name: str
    commit: str
    tree: str
    merge: Merge


class Ground:
    """A repository (its three parts the same), a target commit in it, and merges with both."""

    def __init__(
        self, common: Place, target: str, scratch: Scratch, known: Known, commits: Sequence[str]
    ) -> None:
        """Look where ``commits`` descend from. Raises `ProdigyError` where there is no target."""
        self.common, self.target = common, target
        self.scratch, self.known = scratch, known
        self.trees: dict[str, str] = {}
        self._laid: set[str] = set()
        self.load_trees([target, *commits])
        if target not in self.trees:
            raise ProdigyError(f"git does not have all of {target}: fetch it first")
        self.line: Ancestry = ancestry.of(
            common, target, [one for one in commits if one in self.trees]
        )
        self.load_trees([base for one in self.line.descents.values() for base in one.bases])

    def load_trees(self, shas: Sequence[str]) -> None:
        """Ask for the trees of commits; of one that is not there whole there is none then."""
        asked = sorted(set(shas) - self.trees.keys())
        if not asked:
            return
        _, out, _ = self.scratch.ask(
            "cat-file", "--batch-check=%(objectname)",
            stdin="".join(f"{sha}^{{tree}}\n" for sha in asked).encode(),
        )  # fmt: skip
        for sha, line in zip(asked, out.decode("ascii", "replace").splitlines(), strict=False):
            if " " not in line:  # "… missing"
                self.trees[sha] = line

    def key(self, bases: Sequence[str], ours: str, theirs: str) -> tuple[str, ...]:
        """Return by what a merge is remembered: with one base by trees, else by the commits."""
        if len(bases) == 1 and all(one in self.trees for one in (*bases, ours, theirs)):
            return ("trees", *(self.trees[one] for one in (*bases, ours, theirs)))
        return ("commits", ours, theirs)

    def into_target(self, commits: Sequence[str]) -> list[Merge]:
        """Return what comes of merging each commit into the target."""
        found: dict[str, Merge] = {}
        asked = {}
        for sha in commits:
            bases = self.line.descents[sha].bases
            key = self.key(bases, self.target, sha)
            # Where the target has not moved, merging is to follow the commit.
            ahead = Merge(self.trees[sha], (), True) if bases == (self.target,) else None
            done = ahead or self.known.merge(key)
            if done is None:
                asked[sha] = key
            else:
                found[sha] = done
        self._laid.update(sha for sha in found if self.line.descents[sha].bases == (self.target,))
        for sha, done in zip(asked, self._tried(list(asked)), strict=True):
            self.known.remember(asked[sha], done)
            found[sha] = done
        return [found[sha] for sha in commits]

    def _tried(self, commits: Sequence[str]) -> list[Merge]:
        self._laid.update(commits)
        return self.scratch.merge([(self.target, sha) for sha in commits], keep=True)

    def lay_on_target(self, commits: Sequence[str]) -> None:
        """See to it that git finds the trees of commits as they are merged into the target."""
        self._tried([sha for sha in dict.fromkeys(commits) if sha not in self._laid])

    # ---- each candidate alone ----

    def stand(self, candidates: Sequence[Candidate]) -> tuple[list[Standing], list[Ready]]:
        """Return how each candidate stands to the target, and those that are to be merged."""
        early = [self._early(one) for one in candidates]
        asked = [one for one, standing in zip(candidates, early, strict=True) if standing is None]
        merges = self.into_target([one.commit or "" for one in asked])
        late = dict(zip(asked, zip(merges, self._within(asked, merges), strict=True), strict=True))
        standings = []
        ready = []
        for one, standing in zip(candidates, early, strict=True):
            if standing is not None:
                standings.append(standing)
                continue
            merge, how = late[one]
            commit = one.commit or ""
            if how is not None:
                standings.append(Standing(one.name, commit, "merged", how))
            elif merge.tree is None:
                standings.append(Standing(one.name, commit, "unknown", merge.trouble))
            else:
                state: State = "clean" if merge.clean else "conflict"
                standings.append(Standing(one.name, commit, state, None, merge.files))
                ready.append(Ready(one.name, commit, self.trees[commit], merge))
        return standings, ready

    def _early(self, one: Candidate) -> Standing | None:
        """Return how a candidate stands, where that needs no merge."""
        name, commit = one.name, one.commit
        if commit is None:
            return Standing(name, None, "gone", "nothing names its commit any more")
        if commit not in self.trees:
            return Standing(name, commit, "unknown", _MISSING)
        line = self.line.descents[commit]
        if line.trouble is not None:
            return Standing(name, commit, "unknown", line.trouble)
        if not line.own:
            if one.base == commit:
                return Standing(name, commit, "empty", "no commits of its own")
            return Standing(name, commit, "merged", "its commits are in it")
        if not line.bases:
            if os.path.exists(f"{self.common.common}/shallow"):
                return Standing(name, commit, "unknown", _SHALLOW)
            return Standing(name, commit, "unrelated", "no history in common")
        if any(base not in self.trees for base in line.bases):
            return Standing(name, commit, "unknown", _MISSING)
        if len(line.bases) == 1 and self.trees[line.bases[0]] == self.trees[commit]:
            return Standing(name, commit, "empty", "it changes nothing")
        return None

    def _within(self, candidates: Sequence[Candidate], merges: Sequence[Merge]) -> list[str | None]:
        """Return by what sign the target has all of a candidate, as squashed or picked; else None."""
        found: list[str | None] = [None] * len(candidates)
        asked = []
        for number, (one, merge) in enumerate(zip(candidates, merges, strict=True)):
            if merge.clean and merge.tree == self.trees[self.target]:
                found[number] = "merging it would change nothing"
            elif self.line.descents[one.commit or ""].bases != (self.target,):
                # Else the target has not moved: nothing of it can be in there.
                asked.append(number)
        asked = self._that_may_be_within(asked, candidates)
        questions = [
            Question(candidates[n].commit or "", None, _TARGET, candidates[n].base, True)
            for n in asked
        ]
        known = {f"refs/heads/{_TARGET}": self.target}
        with ThreadPoolExecutor(4) as pool:
            answers = integration.how(self.common, known, [], questions, pool)
        for number, answer in zip(asked, answers, strict=True):
            if answer.kind == "integrated":
                found[number] = answer.how
        return found

    def _that_may_be_within(
        self, numbers: Sequence[int], candidates: Sequence[Candidate]
    ) -> list[int]:
        """Leave out those that changed a file which the target did not since: each costs processes.

        The same patch is at the same paths, and patches are what is left to compare.
        """
        lines = {n: self.line.descents[candidates[n].commit or ""] for n in numbers}
        bases = sorted({base for line in lines.values() for base in line.bases})
        there = None if not bases else self._changed_since(bases)
        if there is None:
            return list(numbers)
        pairs = {
            n: (self.trees[line.bases[0]], self.trees[candidates[n].commit or ""])
            for n, line in lines.items()
            if len(line.bases) == 1
        }
        changes = touched.between(self.scratch, pairs.values())
        nothing = touched.Touched()
        return [
            n for n in numbers
            if n not in pairs or changes.get(pairs[n], nothing).paths <= there
        ]  # fmt: skip

    def _changed_since(self, bases: Sequence[str]) -> set[str] | None:
        """Return the paths that the target's commits changed since the bases; None: not known."""
        start = bases[0]
        if len(bases) > 1:
            status, out, _ = self.scratch.ask("merge-base", "--octopus", *bases)
            start = out.decode("ascii").strip()
            if status != 0:
                return None
        status, out, _ = self.scratch.ask(
            "rev-list", "--no-merges", f"--max-count={_MOST_COMMITS + 1}", self.target, f"^{start}"
        )
        if status != 0 or out.count(b"\n") > _MOST_COMMITS:
            return None
        status, out, _ = self.scratch.ask(
            "diff-tree", "--stdin", "-r", "-z", "--root", "--no-renames", "--name-only",
            "--no-commit-id", stdin=out,
        )  # fmt: skip
        return set(map(os.fsdecode, out.split(b"\0"))) if status == 0 else None
