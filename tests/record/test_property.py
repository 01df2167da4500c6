"""Random sequences of git operations over three worktrees of a repository, against a model.

The model is computed from git itself: HEAD before and after each operation, and the operation's
kind, say which commits were made, and where. At the end each of them is in the log once, under its
worktree's session, and nothing else is.

To run more: PRODIGY_TEST_EXAMPLES=1000 pytest tests/record/test_property.py (a number other than
the default also draws at random instead of the same each time).
"""

import itertools
import os
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from support_record import (
    ELSE,
    PREAMBLE,
    SILENT,
    Templates,
    commits,
    drain_now,
    git,
    place,
    run,
    session_of,
    start_hook,
    write_hooks,
)

EXAMPLES = 40
WANTED = int(os.environ.get("PRODIGY_TEST_EXAMPLES", EXAMPLES))

# Not --abort, which takes back what HEAD no longer shows: picks that were made before the conflict.
GIVE_UP = "{ git cherry-pick --quit; git reset -q --hard; }"

trees = st.integers(0, 2)
silence = st.booleans()


class Operations(RuleBasedStateMachine):
    """Each rule does one thing in one worktree and adds what it made to the model."""

    templates: Templates

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(dir=self.templates.folder))
        self.numbers = itertools.count()
        self.made: dict[int, set[str]] = {0: set(), 1: set(), 2: set()}
        self.tops: list[Path] = []
        self.seconds = int(time.time())

    @initialize()
    def start(self) -> None:
        world = self.templates.copy("main", self.root)
        self.tops = [world.top, world.root / "two", world.root / "three"]
        self.store = world.root / "store"
        self.env = {"PRODIGY_HOME": str(self.store)}
        git("tag", "start", cwd=world.top)
        for top in self.tops[1:]:
            git("worktree", "add", "-q", "-b", f"b-{top.name}", top, cwd=world.top, **self.env)
        self.made[0].add(git("rev-parse", "HEAD", cwd=world.top))

    def sh(self, tree: int, script: str, silent: bool) -> None:
        note(f"{tree}: {script}{' (silent)' if silent else ''}")
        # Two equal commits of one second have one SHA, and nobody could say where it was made.
        self.seconds += 10
        env = {**self.env, "GIT_COMMITTER_DATE": f"{self.seconds} +0000"}
        env |= SILENT if silent else {}
        done = run("sh", "-c", PREAMBLE + script, cwd=self.tops[tree], check=False, **env)
        assert b"prodigy-git" not in done.stderr, done.stderr

    def head(self, tree: int) -> str:
        return git("rev-parse", "HEAD", cwd=self.tops[tree])

    def after(self, tree: int, old: str, *more: str) -> list[str]:
        """Return what HEAD has now beyond ``old`` (and what was there before)."""
        return git("rev-list", "HEAD", f"^{old}", *more, cwd=self.tops[tree]).split()

    def makes(self, tree: int, script: str, silent: bool, *others: str) -> None:
        """Do what makes commits; all that is new in HEAD and not from ``others`` was made here."""
        old = self.head(tree)
        known = set().union(*self.made.values())
        self.sh(tree, script, silent)
        exclude = [f"^{other}" for other in others]
        self.made[tree] |= set(self.after(tree, old, *exclude)) - known

    def subject(self) -> str:
        return f"s{next(self.numbers)}"

    @rule(tree=trees, silent=silence, how=st.sampled_from(["c", "f"]))
    def commit(self, tree: int, silent: bool, how: str) -> None:
        name = self.subject()
        self.makes(tree, f"c {name}" if how == "c" else f"f {name} 1 {name}", silent)

    @rule(tree=trees, silent=silence)
    def conflicting_commit(self, tree: int, silent: bool) -> None:
        name = self.subject()
        self.makes(tree, f"f shared {name} {name}", silent)

    @rule(tree=trees, silent=silence)
    def amend(self, tree: int, silent: bool) -> None:
        self.makes(tree, f"c {self.subject()} --amend", silent)

    @rule(tree=trees, silent=silence, detach=st.booleans())
    def switch(self, tree: int, silent: bool, detach: bool) -> None:
        self.sh(tree, "git switch -q " + ("-d" if detach else f"-c {self.subject()}"), silent)

    @rule(tree=trees, silent=silence, back=st.integers(1, 3))
    def switch_back(self, tree: int, silent: bool, back: int) -> None:
        self.sh(tree, f"git switch -q @{{-{back}}}", silent)

    @rule(
        tree=trees, other=trees, silent=silence, how=st.sampled_from(["", "--no-ff", "--ff-only"])
    )
    def merge(self, tree: int, other: int, silent: bool, how: str) -> None:
        there = self.head(other)
        script = f"git merge -q {how} -m {self.subject()} {there} || git merge --abort"
        self.makes(tree, script, silent, there)

    @rule(tree=trees, other=trees, silent=silence)
    def merge_with_conflicts(self, tree: int, other: int, silent: bool) -> None:
        there = self.head(other)
        script = f"git merge -q -m x {there} || {{ git add -A; git commit -qm {self.subject()}; }}"
        self.makes(tree, script, silent, there)

    @rule(
        tree=trees,
        silent=silence,
        what=st.sampled_from(["other", "other~1", "clash", "base..other"]),
    )
    def cherry_pick(self, tree: int, silent: bool, what: str) -> None:
        self.makes(tree, f"git cherry-pick {what} || {GIVE_UP}", silent)

    @rule(tree=trees, other=trees, silent=silence)
    def cherry_pick_from_a_sibling(self, tree: int, other: int, silent: bool) -> None:
        there = self.head(other)
        self.makes(tree, f"git cherry-pick {there} || git cherry-pick --abort", silent, there)

    @rule(tree=trees, silent=silence)
    def revert(self, tree: int, silent: bool) -> None:
        self.makes(tree, "git revert --no-edit HEAD || git revert --abort", silent)

    @rule(tree=trees, silent=silence, how=st.sampled_from(["soft", "mixed", "hard"]))
    def reset(self, tree: int, silent: bool, how: str) -> None:
        # Not below Start: the story of the model begins there.
        script = "test $(git rev-list --count start..HEAD) = 0 || git reset -q"
        self.sh(tree, f"{script} --{how} HEAD~1", silent)

    @rule(tree=trees, other=trees, silent=silence)
    def reset_to_a_sibling(self, tree: int, other: int, silent: bool) -> None:
        self.sh(tree, f"git reset -q --hard {self.head(other)}", silent)

    @rule(
        tree=trees,
        silent=silence,
        how=st.sampled_from(["", "--apply", "-i", "--no-ff"]),
        onto=st.sampled_from(["other", "ahead", "clash", "start"]),
    )
    def rebase(self, tree: int, silent: bool, how: str, onto: str) -> None:
        script = f"git rebase -q {how} {onto} || git rebase --abort"
        self.makes(tree, script, silent, onto)

    @rule(tree=trees, silent=silence)
    def rebase_aborted(self, tree: int, silent: bool) -> None:
        self.sh(tree, "todo 1abreak; git rebase -qi --no-ff other; git rebase --abort", silent)

    @rule(tree=trees, silent=silence)
    def rebase_with_a_commit_at_a_stop(self, tree: int, silent: bool) -> None:
        name = self.subject()
        old = self.head(tree)
        known = set().union(*self.made.values())
        script = (
            "todo 1ibreak; git rebase -qi start;"
            f"if test -d $(git rev-parse --git-dir)/rebase-merge; then c {name};"
            "git rebase --continue || git rebase --abort; fi"
        )
        self.sh(tree, script, silent)
        self.made[tree] |= set(self.after(tree, old)) - known
        by_hand = git(
            "log", "-g", "--format=%H", f"--grep=^{name}$", "HEAD", cwd=self.tops[tree]
        ).split()
        self.made[tree] |= set(by_hand)

    @rule(tree=trees, silent=silence)
    def stash(self, tree: int, silent: bool) -> None:
        self.sh(
            tree, "echo more >>f; git stash -q; git stash pop -q || git reset -q --hard", silent
        )

    @rule(tree=trees)
    def passes_by_somebody_else(self, tree: int) -> None:
        name = f"else-{self.subject()}"
        script = f"n=$(git commit-tree HEAD^{{tree}} -p HEAD -m {name}); git branch {name} $n"
        run("sh", "-e", "-c", script, cwd=self.tops[tree], **ELSE)
        self.sh(tree, f"git merge -q --ff-only {name}", False)

    @rule(tree=trees)
    def plumbing(self, tree: int) -> None:
        script = f"git update-ref HEAD $(git commit-tree HEAD^{{tree}} -p HEAD -m {self.subject()})"
        self.makes(tree, script, True)

    @rule(tree=trees)
    def reflog_expires(self, tree: int) -> None:
        """Everything is recorded before: what expired unseen cannot be."""
        self.drain(tree)
        self.sh(tree, "git reflog expire --expire=all HEAD", True)

    @rule()
    def objects_are_packed(self) -> None:
        self.sh(0, "git repack -qad; git pack-refs --all", True)

    @rule(tree=trees)
    def cursor_is_lost(self, tree: int) -> None:
        (Path(place(self.tops[tree]).private) / "prodigy-cursor").unlink(missing_ok=True)

    @rule(tree=trees)
    def drain(self, tree: int) -> None:
        drain_now(self.tops[tree])

    @rule(tree=trees, at=st.integers(1, 6), call=st.sampled_from(["write", "rename", "fsync"]))
    def hook_is_killed(self, tree: int, at: int, call: str) -> None:
        if shutil.which("strace"):
            rule = f"inject={call}:signal=KILL:when={at}"
            before = ("strace", "-o", "/dev/null", "-e", f"trace={call}", "-e", rule)
            self.makes(tree, f"c {self.subject()}", True)
            start_hook(self.tops[tree], before=before, **self.env)

    def teardown(self) -> None:
        if not self.tops:
            return
        for tree, top in enumerate(self.tops):
            drain_now(top)
            found = Counter(commits(self.store, session_of(top)))
            known = git("log", "--all", "-g", "--format=%h %gs", "HEAD", cwd=top)
            assert found == Counter(self.made[tree]), f"{tree}\n{known}"
        total = Counter(commits(self.store))
        assert total == Counter(itertools.chain.from_iterable(self.made.values()))
        shutil.rmtree(self.root)


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return Templates(tmp_path_factory.mktemp("templates"))


@pytest.mark.parametrize("part", range(2))  # one for each worker of a small machine
def test_each_commit_once_in_its_session(part: int, sealed: Path, templates: Templates) -> None:
    write_hooks(sealed)
    Operations.templates = templates

    class Part(Operations):
        """Of its own name, from which hypothesis takes the seed."""

    Part.__qualname__ = Part.__name__ = f"Operations{part}"
    run_state_machine_as_test(
        Part,
        settings=settings(
            max_examples=WANTED // 2,
            stateful_step_count=14,
            derandomize=WANTED == EXAMPLES,
            deadline=None,
            # Shrinking takes minutes; the notes of a failure say what was done.
            phases=[Phase.generate],
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
