"""Which events each operation of git leaves, in which order: the table, and that it holds.

A row is ``action subject<parent's subject@branch``, or ``rewrote command old>new …``; ``~`` stands for
a detached HEAD. The worktree is on ``work``, one commit (Start) above ``base``; ``ahead`` (a1, a2) lies
above Start, ``other`` (o1, o2) and ``clash`` (k1, in conflict with f) above Base; all three are
somebody else's.
"""

import shutil
from pathlib import Path

import pytest
from support_record import KINDS, SILENT, Templates, World, drain_now, write_hooks

RESOLVE = "echo both >f; git add f;"
MINE = "f f mine mine; "
TWO = "f x 1 one; f y 2 two; "

# name: (script, events that the hooks leave, further events that a later drain finds)
TABLE: dict[str, tuple[str, list[str], list[str]]] = {
    "commit": ("f x 1 one", ["commit one<Start@work"], []),
    "commit -a": ("echo 2 >f; git commit -qam one", ["commit one<Start@work"], []),
    "empty": ("c one", ["commit one<Start@work"], []),
    "no-verify": ("c one --no-verify", ["commit one<Start@work"], []),
    "three": ("c one; c two; c three",
              ["commit one<Start@work", "commit two<one@work", "commit three<two@work"], []),
    "subject with colons": ("c 'commit (amend): rebase (pick): x'",
                            ["commit commit (amend): rebase (pick): x<Start@work"], []),
    "subjects like git's own": (
        "c 'rebase (start): checkout main'; c 'Fast-forward'; c 'moving from a to b'",
        ["commit rebase (start): checkout main<Start@work",
         "commit Fast-forward<rebase (start): checkout main@work",
         "commit moving from a to b<Fast-forward@work"], []),
    "subject of several lines": ("git commit -q --allow-empty -m 'one\nmore\n\nbody'",
                                 ["commit one more<Start@work"], []),
    "a name with a tab": ("git -c user.name='a\tb' commit -q --allow-empty -m one; c two",
                          ["commit one<Start@work", "commit two<one@work"], []),
    "amend": ("c one; c uno --amend",
              ["commit one<Start@work", "amend uno<Start@work", "rewrote amend one>uno"], []),
    "amend twice": ("c one; c uno --amend; c eins --amend",
                    ["commit one<Start@work", "amend uno<Start@work", "rewrote amend one>uno",
                     "amend eins<Start@work", "rewrote amend uno>eins"], []),
    "amend somebody else's": ("git merge -q ahead; c mine --amend",
                              ["amend mine<a1@work", "rewrote amend a2>mine"], []),
    "amend to an empty message": (
        "c one; git commit -q --amend --allow-empty --allow-empty-message -m ''; c two",
        ["commit one<Start@work", "amend <Start@work", "rewrote amend one>",
         "commit two<@work"], []),
    "empty messages": (
        "git commit -q --allow-empty --allow-empty-message -m ''; f x 1 one; git commit -q --amend"
        " --allow-empty-message -m ''; git switch -qd HEAD~2;"
        "git cherry-pick --allow-empty-message work",
        ["commit <Start@work", "commit one<@work", "amend <@work", "rewrote amend one>",
         "cherry-pick <Start@"], []),
    "orphan": ("git checkout -q --orphan new; c one; c two",
               ["initial one<@new", "commit two<one@new"], []),
    "detached": ("git checkout -q --detach; c one; c two; git checkout -q work; c three",
                 ["commit one<Start@", "commit two<one@", "commit three<Start@work"], []),
    "switching": ("c one; git switch -qc b; c two; git switch -q work; c three;"
                  "git switch -q b; c four",
                  ["commit one<Start@work", "commit two<one@b", "commit three<one@work",
                   "commit four<two@b"], []),
    "switching by dash": ("git switch -qc b; c one; git switch -q -; c two; git switch -q -; c three",
                          ["commit one<Start@b", "commit two<Start@work", "commit three<one@b"], []),
    "branch renamed": ("c one; git branch -m work/new; c two",
                       ["commit one<Start@work", "commit two<one@work/new"], []),
    "passing by": ("git checkout -q other; git checkout -q --detach ahead; git checkout -q work",
                   [], []),
    "cherry-pick": ("git cherry-pick o1 2>/dev/null || git cherry-pick other~1",
                    ["cherry-pick o1<Start@work"], []),
    "cherry-pick many": ("git cherry-pick base..other",
                         ["cherry-pick o1<Start@work", "cherry-pick o2<o1@work"], []),
    "cherry-pick in conflict": (
        MINE + "no git cherry-pick clash;" + RESOLVE + "git cherry-pick --continue",
        ["commit mine<Start@work", "cherry-pick k1<mine@work"], []),
    "cherry-pick in conflict, committed": (
        MINE + "no git cherry-pick clash;" + RESOLVE + "git commit -qm solved",
        ["commit mine<Start@work", "cherry-pick solved<mine@work"], []),
    "cherry-pick many in conflict": (
        MINE + "no git cherry-pick other~1 clash other;" + RESOLVE + "git cherry-pick --continue",
        ["commit mine<Start@work", "cherry-pick o1<mine@work", "cherry-pick k1<o1@work",
         "cherry-pick o2<k1@work"], []),
    "cherry-pick aborted": (
        MINE + "no git cherry-pick other~1 clash; git cherry-pick --abort",
        ["commit mine<Start@work", "cherry-pick o1<mine@work"], []),
    "cherry-pick --no-commit": ("git cherry-pick -n other~1; git commit -qm taken",
                                ["commit taken<Start@work"], []),
    "cherry-pick --ff": ("git cherry-pick --ff ahead~1", [], []),
    "revert": ("f x 1 one; git revert --no-edit HEAD",
               ["commit one<Start@work", 'revert Revert "one"<one@work'], []),
    "revert two": (TWO + "git revert --no-edit HEAD HEAD~1",
                   ["commit one<Start@work", "commit two<one@work", 'revert Revert "two"<two@work',
                    'revert Revert "one"<Revert "two"@work'], []),
    "am": ("git format-patch -q -1 other~1 -o p; git am -q p/*", ["am o1<Start@work"], []),
    "am many": ("git format-patch -q -2 other -o p; git am -q p/*",
                ["am o1<Start@work", "am o2<o1@work"], []),
    "am in conflict": (
        MINE + "git format-patch -q -1 clash -o p; no git am -q p/* 2>/dev/null;" + RESOLVE
        + "git am --continue", ["commit mine<Start@work", "am k1<mine@work"], []),
    "am aborted": (
        "f f mine mine; git format-patch -q -1 other~1 -o p; git format-patch -q -1 clash -o p2;"
        "no git am -q p/* p2/*; git am --abort",
        ["commit mine<Start@work", "am o1<mine@work"], []),
    "merge ff": ("git merge -q ahead", [], []),
    "merge no-ff": ("git merge -q --no-ff -m joined ahead", ["merge joined<Start@work"], []),
    "merge": ("git merge -q -m joined other", ["merge joined<Start@work"], []),
    "merge of own branch": (
        "git switch -qc b; c one; git switch -q work; c two; git merge -qm joined b",
        ["commit one<Start@b", "commit two<Start@work", "merge joined<two@work"], []),
    "merge squash": ("git merge -q --squash other; git commit -qm all", ["commit all<Start@work"], []),
    "merge in conflict": (MINE + "no git merge -q clash;" + RESOLVE + "git commit -qm joined",
                          ["commit mine<Start@work", "merge joined<mine@work"], []),
    "merge continued": (MINE + "no git merge -q -m joined clash;" + RESOLVE + "git merge --continue",
                        ["commit mine<Start@work", "merge joined<mine@work"], []),
    "merge aborted": (MINE + "no git merge -q clash; git merge --abort",
                      ["commit mine<Start@work"], []),
    "merge --no-commit": ("git merge -q --no-commit other; git commit -qm joined",
                          ["merge joined<Start@work"], []),
    "merge octopus": ("git switch -qc b; f x 1 one; git switch -q work; git merge -qm joined b other",
                      ["commit one<Start@b", "merge joined<one@work"], []),
    "merge amended": ("git merge -q -m joined other; c again --amend",
                      ["merge joined<Start@work", "amend again<Start@work",
                       "rewrote amend joined>again"], []),
    "pull": ("c one; git pull -q --no-rebase --no-edit . other",
             ["commit one<Start@work", "merge Merge branch 'other' into work<one@work"], []),
    "pull ff": ("git pull -q --ff-only . ahead", [], []),
    "pull rebase": (TWO + "git pull -q --rebase . other",
                    ["commit one<Start@work", "commit two<one@work", "rebase Start<o2@work",
                     "rebase one<Start@work", "rebase two<one@work",
                     "rewrote rebase Start>Start one>one two>two"], []),
    "pull rebase ff": ("git pull -q --rebase . ahead", [], []),
    "reset": ("c one; c two; git reset -q --soft HEAD~1; c three; git reset -q --mixed HEAD~1; c four;"
              "git reset -q --hard HEAD~1; c five; git reset -q --hard ahead",
              ["commit one<Start@work", "commit two<one@work", "commit three<one@work",
               "commit four<one@work", "commit five<one@work"], []),
    "reset to a lost one": ("c one; git reset -q --hard HEAD~1; git reset -q --hard HEAD@{1}; c two",
                            ["commit one<Start@work", "commit two<one@work"], []),
    "stash": ("echo 2 >f; git stash -q; c one; git stash pop -q; git commit -qam two",
              ["commit one<Start@work", "commit two<one@work"], []),
    "stash branch": ("echo 2 >f; git stash -q; git stash branch b; git commit -qam one",
                     ["commit one<Start@b"], []),
    "plumbing": ("n=$(git commit-tree HEAD^{tree} -p HEAD -m one); git update-ref HEAD $n",
                 [], ["unknown one<Start@work"]),
    "plumbing, with a message": (
        "n=$(git commit-tree HEAD^{tree} -p HEAD -m one); git update-ref -m mine HEAD $n",
        [], ["unknown one<Start@work"]),
    "plumbing, several": (
        "n=$(git commit-tree HEAD^{tree} -p HEAD -m one);"
        "n=$(git commit-tree HEAD^{tree} -p $n -m two); git update-ref HEAD $n; c three",
        ["unknown one<Start@work", "unknown two<one@work", "commit three<two@work"], []),
    "plumbing over somebody else's": ("git update-ref HEAD ahead", [], []),
    "own action": ("GIT_REFLOG_ACTION=mine c one; GIT_REFLOG_ACTION='a: b' git merge -qm joined other",
                   ["unknown one<Start@work", "unknown joined<one@work"], []),
    "own action, fast-forward": ("GIT_REFLOG_ACTION=mine git merge -q ahead", [], []),
    "signed": (
        "ssh-keygen -q -t ed25519 -N '' -f k; git config gpg.format ssh; git config user.signingKey k;"
        "c one -S; c two --amend -S",
        ["commit one<Start@work", "amend two<Start@work", "rewrote amend one>two"], []),
}  # fmt: skip

START2 = ["commit one<Start@work", "commit two<one@work"]
REBASED = ["rebase Start<o2@work", "rebase one<Start@work", "rebase two<one@work",
           "rewrote rebase Start>Start one>one two>two"]  # fmt: skip

TABLE |= {f"rebase: {name}": row for name, row in {
    "plain": (TWO + "git rebase -q other", START2 + REBASED, []),
    "apply": (TWO + "git rebase -q --apply --onto other HEAD~2",
              [*START2, "rebase one<o2@work", "rebase two<one@work",
               "rewrote rebase one>one two>two"], []),
    "nothing to do": (TWO + "git rebase -q base", START2, []),
    "fast-forward": ("git rebase -q ahead", [], []),
    "onto": (TWO + "git rebase -q --onto other HEAD~1",
             [*START2, "rebase two<o2@work", "rewrote rebase two>two"], []),
    "another branch": (TWO + "git branch b; git switch -qd base; git rebase -q other b",
                       START2 + [row.replace("work", "b") for row in REBASED], []),
    "another branch, from here": (
        "git branch b; c one; git rebase -q other b; c two",
        ["commit one<Start@work", "rebase Start<o2@b", "rewrote rebase Start>Start",
         "commit two<Start@b"], []),
    "detached at a branch": (
        "git switch -qd ahead; c one; git rebase -q other; git switch -q work; c two",
        ["commit one<a2@", "rebase Start<o2@", "rebase a1<Start@", "rebase a2<a1@",
         "rebase one<a2@", "rewrote rebase Start>Start a1>a1 a2>a2 one>one",
         "commit two<Start@work"], []),
    "detached": (TWO + "git switch -qd; git rebase -q other",
                 START2 + [row.replace("work", "") for row in REBASED], []),
    "force": (TWO + "sleep 1.1; git rebase -q --no-ff HEAD~1",
              [*START2, "rebase two<one@work", "rewrote rebase two>two"], []),
    "autostash": (TWO + "echo 2 >f; git rebase -q --autostash other", START2 + REBASED, []),
    "reword": (TWO + "todo 1s/pick/reword/; GIT_EDITOR='echo uno >' git rebase -qi HEAD~2",
               [*START2, "rebase uno<Start@work", "rebase two<uno@work",
                "rewrote rebase one>uno two>two"], []),
    "squash": (TWO + "todo 2s/pick/squash/; GIT_EDITOR='echo both >' git rebase -qi HEAD~2",
               [*START2, "rebase both<Start@work", "rewrote rebase one>both two>both"], []),
    "fixup": (TWO + "todo 2s/pick/fixup/; git rebase -qi HEAD~2",
              [*START2, "rebase one<Start@work", "rewrote rebase one>one two>one"], []),
    "autosquash": ("f x 1 one; f y 2 two; echo 3 >x; git commit -qa --fixup HEAD~1;"
                   "git rebase -qi --autosquash HEAD~3",
                   [*START2, "commit fixup! one<two@work", "rebase one<Start@work",
                    "rebase two<one@work", "rewrote rebase one>one fixup! one>one two>two"], []),
    "drop": (TWO + "todo 1d; git rebase -qi HEAD~2",
             [*START2, "rebase two<Start@work", "rewrote rebase two>two"], []),
    "drop all but picked": (TWO + "todo 2d; git rebase -qi HEAD~2", START2, []),
    "exec": (TWO + "git rebase -q -x 'git commit -q --allow-empty -m made' HEAD~1",
             START2, ["commit made<two@work"]),
    "edit": (TWO + "todo 1s/pick/edit/; git rebase -qi HEAD~2 2>/dev/null; c uno --amend;"
             "git rebase --continue",
             [*START2, "amend uno<Start@work", "rebase two<uno@work", "rewrote amend one>uno",
              "rewrote rebase one>uno two>two"], []),
    "edit, a commit added": (
        TWO + "todo 1s/pick/edit/; git rebase -qi HEAD~2 2>/dev/null; c extra;"
        "git rebase --continue",
        [*START2, "commit extra<one@work", "rebase two<extra@work",
         "rewrote rebase one>extra two>two"], []),
    "stopped and continued": (
        MINE + "c two; no git rebase -q clash~0 2>/dev/null;" + RESOLVE + "git rebase --continue",
        ["commit mine<Start@work", "commit two<mine@work", "rebase Start<k1@work",
         "rebase mine<Start@work", "rebase two<mine@work",
         "rewrote rebase Start>Start mine>mine two>two"], []),
    "apply, stopped and continued": (
        MINE + "f y 2 two; no git rebase -q --apply --onto clash HEAD~2 2>/dev/null;" + RESOLVE
        + "git rebase --continue",
        ["commit mine<Start@work", "commit two<mine@work",
         "rebase mine<k1@work", "rebase two<mine@work", "rewrote rebase mine>mine two>two"], []),
    "skipped": (MINE + "c two; no git rebase -q clash 2>/dev/null; git rebase --skip",
                ["commit mine<Start@work", "commit two<mine@work", "rebase Start<k1@work",
                 "rebase two<Start@work", "rewrote rebase Start>Start mine>Start two>two"], []),
    "aborted": (MINE + "c two; no git rebase -q clash 2>/dev/null; git rebase --abort",
                ["commit mine<Start@work", "commit two<mine@work"], []),
    "aborted after a commit": (
        TWO + "todo 1s/pick/edit/; git rebase -qi --no-ff other 2>/dev/null; c hand;"
        "git rebase --abort; c three",
        [*START2, "commit hand<Start@work", "commit three<two@work"], []),
    "aborted after an amend": (
        TWO + "todo 1s/pick/edit/; git rebase -qi other 2>/dev/null; c hand --amend;"
        "git rebase --abort",
        START2, ["amend hand<o2@work", "rewrote amend Start>hand"]),
    "quit": (TWO + "todo 2s/pick/edit/; git rebase -qi other 2>/dev/null; git rebase --quit",
             START2, ["rebase Start<o2@", "rebase one<Start@",
                      "rewrote rebase Start>Start one>one"]),
    "quit, and on": (
        TWO + "todo 2s/pick/edit/; git rebase -qi other 2>/dev/null; git rebase --quit;"
        "git switch -q work; c three",
        [*START2, "rebase Start<o2@", "rebase one<Start@",
         "rewrote rebase Start>Start one>one", "commit three<two@work"], []),
    "merges": ("git switch -qc b; f x 1 one; git switch -q work; f y 1 two; git merge -qm joined b;"
               "git rebase -q --rebase-merges other",
               ["commit one<Start@b", "commit two<Start@work", "merge joined<two@work",
                "rebase Start<o2@work", "rebase one<Start@work", "rebase two<Start@work",
                "rebase joined<two@work",
                "rewrote rebase Start>Start one>one two>two joined>joined"], []),
    "twice": (TWO + "git rebase -q other; git rebase -q --onto base HEAD~1",
              [*START2, *REBASED, "rebase two<Base@work", "rewrote rebase two>two"], []),
}.items()}  # fmt: skip


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return Templates(tmp_path_factory.mktemp("templates"))


@pytest.fixture(params=KINDS)
def world(
    request: pytest.FixtureRequest, sealed: Path, tmp_path: Path, templates: Templates
) -> World:
    write_hooks(sealed)
    return templates.copy(request.param, tmp_path)


def _commits(rows: list[str]) -> list[str]:
    return sorted(row for row in rows if not row.startswith("rewrote"))


@pytest.mark.parametrize("name", TABLE)
def test_events_of(name: str, world: World) -> None:
    script, by_hooks, later = TABLE[name]
    if name == "signed" and not shutil.which("ssh-keygen"):
        pytest.skip("ssh-keygen is not installed")
    world.sh(script)
    assert world.rows() == by_hooks
    drain_now(world.top)
    assert world.rows() == by_hooks + later
    assert drain_now(world.top) == 0


@pytest.mark.parametrize("name", TABLE)
def test_the_same_commits_with_hooks_silenced(name: str, world: World) -> None:
    script, by_hooks, later = TABLE[name]
    if name == "signed" and not shutil.which("ssh-keygen"):
        pytest.skip("ssh-keygen is not installed")
    world.sh(script, **SILENT)
    assert world.rows() == []
    drain_now(world.top)
    assert _commits(world.rows()) == _commits(by_hooks + later)
