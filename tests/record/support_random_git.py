"""What git is asked to do at random over three worktrees of a repository, and the model of that."""

import itertools
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from support_faults import KILL, can_inject, injected
from support_record import (
    ELSE,
    PREAMBLE,
    SILENT,
    Templates,
    commit,
    commits,
    drain_now,
    git,
    place,
    run,
    session_of,
    start_hook,
)

from prodigy_git.record import underway
from prodigy_git.store import sessions
from prodigy_git.verify import verify

# Not --abort, which takes back what HEAD no longer shows: picks that were made before the conflict.
GIVE_UP = "{ git cherry-pick --quit; git reset -q --hard; }"


trees = st.integers(0, 2)


# What a client does that runs no hooks: git config comes by the environment here.
NO_HOOKS = {
    "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": "/dev/null",
}  # fmt: skip


PLUMBING = [
    "git update-ref HEAD $n", "git update-ref -m mine HEAD $n", "git reset -q --soft $n",
    "git checkout -q $n", "git merge -q --ff-only $n", "git merge -q --no-ff -m joined $n",
]  # fmt: skip


FETCHED = [
    "git merge -q --ff-only $there || :", "git merge -q -m joined $there || git merge --abort",
    "git reset -q --hard $there", "git checkout -q $there",
    "git update-ref -m mine HEAD $there; git reset -q --hard",
]  # fmt: skip


Silence = dict[str, str]


BEHIND = {"PRODIGY_RECORD": "background"}


silence = st.sampled_from([{}, BEHIND, BEHIND, SILENT, NO_HOOKS])


linked = st.integers(1, 2)


class Operations(RuleBasedStateMachine):
    """Each rule does one thing in one worktree and adds what it made to the model."""

    templates: Templates

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(dir=self.templates.folder))
        self.numbers = itertools.count()
        self.made: dict[int, set[str]] = {0: set(), 1: set(), 2: set()}
        self.ended: dict[str, set[str]] = {}
        self.theirs: set[str] = set()
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
        self.clone = world.root / "clone"
        git("clone", "-q", "--template=", world.top, self.clone, cwd=world.root, **SILENT)
        git("remote", "add", "clone", self.clone, cwd=world.top)

    def sh(self, tree: int, script: str, silent: Silence) -> None:
        note(f"{tree}: {script}{' (silent)' if silent else ''}")
        env = {**self.env, "GIT_COMMITTER_DATE": self.date(), **silent}
        done = run("sh", "-c", PREAMBLE + script, cwd=self.tops[tree], check=False, **env)
        assert b"prodigy-git" not in done.stderr, done.stderr

    def date(self) -> str:
        # Two equal commits of one second have one SHA, and nobody could say where it was made.
        self.seconds += 10
        return f"{self.seconds} +0000"

    def known(self) -> set[str]:
        """Return all commits that were made so far, wherever."""
        return self.theirs.union(*self.made.values(), *self.ended.values())

    def head(self, tree: int) -> str:
        return git("rev-parse", "HEAD", cwd=self.tops[tree])

    def after(self, tree: int, old: str, *more: str) -> list[str]:
        """Return what HEAD has now beyond ``old`` (and what was there before)."""
        return git("rev-list", "HEAD", f"^{old}", *more, cwd=self.tops[tree]).split()

    def makes(self, tree: int, script: str, silent: Silence, *others: str) -> None:
        """Do what makes commits; all that is new in HEAD and not from ``others`` was made here."""
        old = self.head(tree)
        known = self.known()
        self.sh(tree, script, silent)
        exclude = [f"^{other}" for other in others]
        self.made[tree] |= set(self.after(tree, old, *exclude)) - known

    def subject(self) -> str:
        return f"s{next(self.numbers)}"

    @rule(tree=trees, silent=silence, how=st.sampled_from(["c", "f"]))
    def commit(self, tree: int, silent: Silence, how: str) -> None:
        name = self.subject()
        self.makes(tree, f"c {name}" if how == "c" else f"f {name} 1 {name}", silent)

    @rule(tree=trees, silent=silence)
    def conflicting_commit(self, tree: int, silent: Silence) -> None:
        name = self.subject()
        self.makes(tree, f"f shared {name} {name}", silent)

    @rule(tree=trees, silent=silence)
    def amend(self, tree: int, silent: Silence) -> None:
        self.makes(tree, f"c {self.subject()} --amend", silent)

    @rule(tree=trees, silent=silence, detach=st.booleans())
    def switch(self, tree: int, silent: Silence, detach: bool) -> None:
        self.sh(tree, "git switch -q " + ("-d" if detach else f"-c {self.subject()}"), silent)

    @rule(tree=trees, silent=silence, back=st.integers(1, 3))
    def switch_back(self, tree: int, silent: Silence, back: int) -> None:
        self.sh(tree, f"git switch -q @{{-{back}}}", silent)

    @rule(
        tree=trees, other=trees, silent=silence, how=st.sampled_from(["", "--no-ff", "--ff-only"])
    )
    def merge(self, tree: int, other: int, silent: Silence, how: str) -> None:
        there = self.head(other)
        script = f"git merge -q {how} -m {self.subject()} {there} || git merge --abort"
        self.makes(tree, script, silent, there)

    @rule(tree=trees, other=trees, silent=silence)
    def merge_with_conflicts(self, tree: int, other: int, silent: Silence) -> None:
        there = self.head(other)
        script = f"git merge -q -m x {there} || {{ git add -A; git commit -qm {self.subject()}; }}"
        self.makes(tree, script, silent, there)

    @rule(
        tree=trees,
        silent=silence,
        what=st.sampled_from(["other", "other~1", "clash", "base..other"]),
    )
    def cherry_pick(self, tree: int, silent: Silence, what: str) -> None:
        self.makes(tree, f"git cherry-pick {what} || {GIVE_UP}", silent)

    @rule(tree=trees, other=trees, silent=silence)
    def cherry_pick_from_a_sibling(self, tree: int, other: int, silent: Silence) -> None:
        there = self.head(other)
        self.makes(tree, f"git cherry-pick {there} || git cherry-pick --abort", silent, there)

    @rule(tree=trees, silent=silence)
    def revert(self, tree: int, silent: Silence) -> None:
        self.makes(tree, "git revert --no-edit HEAD || git revert --abort", silent)

    @rule(tree=trees, silent=silence, how=st.sampled_from(["soft", "mixed", "hard"]))
    def reset(self, tree: int, silent: Silence, how: str) -> None:
        # Not below Start: the story of the model begins there.
        script = "test $(git rev-list --count start..HEAD) = 0 || git reset -q"
        self.sh(tree, f"{script} --{how} HEAD~1", silent)

    @rule(tree=trees, other=trees, silent=silence)
    def reset_to_a_sibling(self, tree: int, other: int, silent: Silence) -> None:
        self.sh(tree, f"git reset -q --hard {self.head(other)}", silent)

    @rule(
        tree=trees,
        silent=silence,
        how=st.sampled_from(["", "--apply", "-i", "--no-ff"]),
        onto=st.sampled_from(["other", "ahead", "clash", "start"]),
    )
    def rebase(self, tree: int, silent: Silence, how: str, onto: str) -> None:
        script = f"git rebase -q {how} {onto} || git rebase --abort"
        self.makes(tree, script, silent, onto)

    @rule(tree=trees, silent=silence)
    def rebase_aborted(self, tree: int, silent: Silence) -> None:
        self.sh(tree, "todo 1abreak; git rebase -qi --no-ff other; git rebase --abort", silent)

    @rule(tree=trees, silent=silence)
    def rebase_with_a_commit_at_a_stop(self, tree: int, silent: Silence) -> None:
        name = self.subject()
        old = self.head(tree)
        known = self.known()
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
    def stash(self, tree: int, silent: Silence) -> None:
        self.sh(
            tree, "echo more >>f; git stash -q; git stash pop -q || git reset -q --hard", silent
        )

    @rule(tree=trees)
    def passes_by_somebody_else(self, tree: int) -> None:
        name = f"else-{self.subject()}"
        script = f"n=$(git commit-tree HEAD^{{tree}} -p HEAD -m {name}); git branch {name} $n"
        run("sh", "-e", "-c", script, cwd=self.tops[tree], **ELSE)
        self.sh(tree, f"git merge -q --ff-only {name}", {})

    @rule(
        tree=trees,
        silent=silence,
        number=st.integers(1, 3),
        dated=st.sampled_from(["", "GIT_COMMITTER_DATE='2001-02-03T04:05:06Z' "]),
        how=st.sampled_from(PLUMBING),
    )
    def plumbing(self, tree: int, silent: Silence, number: int, dated: str, how: str) -> None:
        script = "n=HEAD;"
        for _ in range(number):
            script += f"n=$({dated}git commit-tree HEAD^{{tree}} -p $n -m {self.subject()});"
        self.makes(tree, script + how, silent)

    @rule(number=st.integers(1, 2))
    def commits_in_the_clone(self, number: int) -> None:
        for _ in range(number):
            note("clone: commit")
            date = {"GIT_COMMITTER_DATE": self.date()}
            self.theirs.add(commit(self.clone, self.subject(), **SILENT, **date))

    @rule(tree=trees, silent=silence)
    def push(self, tree: int, silent: Silence) -> None:
        self.sh(tree, "git push -q -f clone HEAD:refs/heads/pushed", silent)

    @rule(on=st.booleans())
    def the_clone_goes_to_what_was_pushed(self, on: bool) -> None:
        note(f"clone: to pushed {on}")
        run("git", "checkout", "-q", *(["pushed~0"] if on else ["-"]), cwd=self.clone, check=False)

    @rule(
        tree=trees,
        silent=silence,
        what=st.sampled_from(["there=$(git rev-parse FETCH_HEAD)", "there=FETCH_HEAD"]),
        where=st.sampled_from(["../clone", "clone"]),
        how=st.sampled_from(FETCHED),
    )
    def fetch(self, tree: int, silent: Silence, what: str, where: str, how: str) -> None:
        there = self.clone if where == "../clone" else "clone"
        script = f"git fetch -q {there} HEAD; {what}; {how}"
        self.makes(tree, script, silent, git("rev-parse", "HEAD", cwd=self.clone))

    @rule(tree=linked, how=st.sampled_from(["git", "mv", "mv without repair"]))
    def move(self, tree: int, how: str) -> None:
        old = self.tops[tree]
        new = old.with_name(f"moved-{next(self.numbers)}")
        note(f"{tree}: moved by {how}")
        if how == "git":
            git("worktree", "move", old, new, cwd=self.tops[0])
        else:
            old.rename(new)
            if how == "mv":
                git("worktree", "repair", new, cwd=self.tops[0])
        self.tops[tree] = new

    @rule(tree=linked, last=st.sampled_from([None, SILENT, BEHIND]), same=st.booleans())
    def remove_and_add_again(self, tree: int, last: Silence | None, same: bool) -> None:
        """On its branch; right behind a commit in the background, or one that nobody has recorded.

        Of the latter `verify` finds by the branch what the branch has.
        """
        top = self.tops[tree]
        branch = git("branch", "--show-current", cwd=top)
        unclear = run("git", "rev-parse", "-q", "--verify", "MERGE_HEAD", cwd=top, check=False)
        if not branch or unclear.returncode == 0:
            return
        note(f"{tree}: removed and added again, behind {last}")
        self.drain(tree)
        session = session_of(top)
        # What its file does not name is not looked at once the worktree is gone.
        if last is SILENT and sessions.load(str(self.store), session).text("branch") != branch:
            last = None
        git("worktree", "repair", top, cwd=self.tops[0])
        if last is not None:
            self.makes(tree, f"c {self.subject()}", last)
        git("worktree", "remove", "--force", top, cwd=self.tops[0])
        self.ended[session], self.made[tree] = self.made[tree], set()
        self.tops[tree] = top if same else top.with_name(f"again-{next(self.numbers)}")
        if last is SILENT:
            self.verified(fix=True)
        env = {**self.env, "GIT_COMMITTER_DATE": self.date()}
        git("worktree", "add", "-q", self.tops[tree], branch, cwd=self.tops[0], **env)
        assert session_of(self.tops[tree]) != session

    @rule()
    def verify(self) -> None:
        """Through git, wherever the worktrees are; nothing that it appends comes again."""
        note("verify --fix")
        self.verified(fix=True)

    def verified(self, fix: bool) -> None:
        assert underway.wait(str(self.store), 60) == []
        told: list[str] = []
        found = sessions.load_all(str(self.store), told.append)
        verdicts, _ = verify(str(self.store), found, fix=fix, broken=told.append, note=told.append)
        assert not told
        wrong = [one for one in verdicts if one.differs()]
        assert not wrong, wrong

    @rule(tree=trees)
    def reflog_expires(self, tree: int) -> None:
        """Everything is recorded before: what expired unseen cannot be."""
        self.drain(tree)
        self.sh(tree, "git reflog expire --expire=all HEAD", SILENT)

    @rule()
    def objects_are_packed(self) -> None:
        self.sh(0, "git repack -qad; git pack-refs --all", SILENT)

    @rule(tree=trees)
    def cursor_is_lost(self, tree: int) -> None:
        (Path(place(self.tops[tree]).private) / "prodigy-cursor").unlink(missing_ok=True)

    @rule(tree=trees)
    def drain(self, tree: int) -> None:
        drain_now(self.tops[tree])

    @rule(tree=trees, at=st.integers(1, 6), call=st.sampled_from(["write", "rename", "fsync"]))
    def hook_is_killed(self, tree: int, at: int, call: str) -> None:
        before = injected(call, f"{KILL}:when={at}")
        if can_inject(call) or shutil.which("strace"):
            self.makes(tree, f"c {self.subject()}", SILENT)
            start_hook(self.tops[tree], before=before, **self.env)

    def teardown(self) -> None:
        if not self.tops:
            return
        assert underway.wait(str(self.store), 60) == []
        for tree, top in enumerate(self.tops):
            drain_now(top)
            found = Counter(commits(self.store, session_of(top)))
            known = git("log", "--all", "-g", "--format=%h %gs", "HEAD", cwd=top)
            assert found == Counter(self.made[tree]), f"{tree}\n{known}"
        for session, made in self.ended.items():
            assert Counter(commits(self.store, session)) == Counter(made), session
        total = Counter(commits(self.store))
        assert total == Counter(self.known() - self.theirs)
        self.verified(fix=False)
        shutil.rmtree(self.root)
