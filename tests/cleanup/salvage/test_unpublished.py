"""Salvages out of the reach of every ref: what is published, and what survives."""

import re
import shutil
from pathlib import Path

import pytest
from support_cli import call, ok
from support_removal import (
    commit,
    existing,
    git,
    named_by,
    place_of,
    salvaged,
)
from support_restore import bring_back, difference, remove, seen, sh, whole
from support_unpublished import COLLECT, SECRETS, empty, objects

from prodigy_git.cleanup.salvage import salvage, unpublished

PUBLISHING = {
    "push --mirror": "git push -q --mirror ../out",
    "push --all": "git push -q --all ../out",
    "push refs": "git push -q ../out 'refs/*:refs/*'",
    "clone --mirror": "rm -r ../out; git clone -q --mirror . ../out",
    "clone": "rm -r ../out; git clone -q . ../out",
    "clone without links": "rm -r ../out; git clone -q --mirror file://$PWD ../out",
    "fetch": "git -C ../out fetch -q ../repo 'refs/*:refs/*'",
    "bundle": "git bundle create -q ../b --all; git -C ../out fetch -q ../b 'refs/*:refs/*'",
    "export": "git fast-export --all | git -C ../out fast-import --quiet",
    "by name": "for name in main $NAMES; do git -C ../out fetch -q file://$PWD $name || :; done",
}


@pytest.mark.parametrize("how", PUBLISHING)
def test_nothing_that_publishes_refs_publishes_it(world, how):
    sh(world.tree, SECRETS)
    names = sh(world.tree, "git rev-parse :s refs/worktree/t HEAD HEAD@{1}").replace("\n", " ")
    remove(world)
    # The branch is given up afterwards, and what git itself still had of all that is collected.
    sh(world.repo, f"git branch -q -D prodigy-w; {COLLECT} git init -q --bare ../out")
    assert b"TOKEN" not in objects(world.repo)
    sh(world.repo, PUBLISHING[how], NAMES=names)
    out = world.repo.parent / "out"
    assert b"a repository" in objects(out)
    assert b"TOKEN" not in objects(out)
    assert "prodigy-salvage" not in "".join(path.name for path in out.rglob("*"))


def test_what_refs_reach_is_what_other_refs_reached(world):
    sh(world.tree, SECRETS)
    found = remove(world)
    sh(world.repo, "git init -q --bare ../out; git push -q --mirror ../out")
    assert b"TOKEN own" in objects(world.repo.parent / "out")  # by the branch, which is there
    refs = sh(world.repo, "git for-each-ref --format='%(refname) %(objectname)' refs/prodigy")
    assert refs == f"{found.salvage_ref} {git('rev-parse', 'main', cwd=world.repo)}"


def test_a_commit_that_is_amended_after_the_removal(world):
    commit(world.tree, "c", "TOKEN")
    remove(world)
    sh(world.repo, "git worktree add -q ../again prodigy-w")
    sh(world.repo.parent / "again", "printf 'fine' >c; git commit -q -a --amend -m fine")
    sh(world.repo, "git init -q --bare ../out; git push -q --mirror ../out")
    assert b"TOKEN" not in objects(world.repo.parent / "out")


def test_the_branch_of_a_rebase_that_has_stopped_is_its_own(world):
    script = "git switch -q -c other; printf 'TOKEN' >c; git add c; git commit -q -m c;"
    sh(world.tree, f"{script} GIT_SEQUENCE_EDITOR='sed -i 1s/pick/edit/' git rebase -q -i HEAD~")
    remove(world)
    sh(world.repo, "git branch -q -D other; git init -q --bare ../out; git push -q --mirror ../out")
    assert b"TOKEN" not in objects(world.repo.parent / "out")


def test_a_repository_without_branches_but_that_one_is_not_packed_again(tmp_path):
    sh(tmp_path, "git init -q --bare bare.git; git clone -q bare.git w 2>/dev/null")
    commit(tmp_path / "w", "README", "x\n")
    sh(tmp_path / "w", "git push -q origin HEAD:main; git -C ../bare.git worktree add -q ../m main")
    tree = tmp_path / "m"
    found = salvage.anchor(place_of(tree), "s", "20260111T120000.123456Z", 1000)
    assert found.kept is None


@pytest.mark.parametrize("trash", ["there", "emptied"])
def test_everything_survives_what_git_collects(world, trash):
    """Branches go, too: of the worktree, and those on which its commits were made."""
    sh(world.repo, "git branch base; git switch -q base; git commit -q --allow-empty -m below")
    sh(world.tree, "git reset -q --hard base")
    sh(world.tree, SECRETS)
    sh(world.repo, "git switch -q main")
    named = named_by(place_of(world.tree))
    before = seen(world)
    found = remove(world)
    sh(world.repo, f"git branch -q -D prodigy-w base; {COLLECT}")
    assert existing(world.repo, named) < named
    assert existing(world.repo, named, found.salvage_ref) == named
    git("fsck", "--connectivity-only", cwd=world.repo)
    if trash == "emptied":
        empty(found)
    done = bring_back(world)
    after = seen(world)
    assert done.source == ("trash" if trash == "there" else "salvage")
    assert after["status"] == before["status"]
    assert sh(world.tree, "git show :s; cat s u") == "TOKEN stagedTOKEN changedTOKEN untracked"
    assert sh(world.tree, "git log --format=%s main..").splitlines() == ["a", "own", "below"]
    if trash == "there":
        assert existing(world.repo, named) == named
        del before["refs"], after["refs"]
        assert difference(before, after) == []
        assert not (world.repo / ".git/prodigy-salvage").exists()
        assert git("for-each-ref", "refs/prodigy", cwd=world.repo) == ""
    assert not list((world.repo / ".git/objects/pack").glob("*.keep"))
    whole(world.repo)


def test_several_commits_below(world):
    """HEAD and its reflog lie on lines of history that no one commit has."""
    for name in ("one", "two"):
        git("branch", name, "main", cwd=world.repo)
        sh(world.tree, f"git switch -q {name}; git commit -q --allow-empty -m {name}")
        sh(world.tree, f"git switch -q --detach; git commit -q --allow-empty -m on-{name}")
    sh(world.tree, "printf 'u' >u")
    lone = sh(world.tree, "git log -g --format=%H --grep=on-").split()
    assert len(lone) >= 2
    found = remove(world)
    refs = git("for-each-ref", "--format=%(refname)", "refs/prodigy", cwd=world.repo).splitlines()
    assert refs == [found.salvage_ref, f"{found.salvage_ref}-2"]
    sh(world.repo, f"git branch -q -D one two prodigy-w; {COLLECT}")
    _, more = salvaged(world.repo, found.salvage_ref)
    git("rev-list", "--objects", *lone, cwd=world.repo, **more)
    assert salvage.names_of(found.common, "w") == [found.salvage_ref]
    bring_back(world)
    assert git("for-each-ref", "refs/prodigy", cwd=world.repo) == ""
    whole(world.repo)


def test_a_history_that_has_nothing_below_it(world):
    sh(world.tree, "git checkout -q --orphan new; git commit -q -m first; printf 'u' >u")
    sh(world.tree, "git reflog expire --expire=now --all; git update-ref -d ORIG_HEAD")
    found = remove(world)
    assert git("for-each-ref", "refs/prodigy", cwd=world.repo) == ""
    assert salvage.names_of(found.common, "w") == [found.salvage_ref]
    sh(world.repo, f"git branch -q -D new; {COLLECT}")
    shutil.rmtree(found.path)
    # Without an entry, its salvage is found all the same.
    assert bring_back(world).source == "salvage"
    assert sh(world.tree, "git log --format=%s; cat u") == "first\nu"


def test_by_hand_as_the_documentation_says(world):
    sh(world.tree, "printf 'u' >u")
    found = remove(world)
    sha, _ = salvaged(world.repo, found.salvage_ref)
    text = (Path(__file__).parents[3] / "docs" / "reference" / "trash.md").read_text()
    text = text.partition("## What git keeps: the salvage")[2].partition("\n## ")[0]
    words = {"SESSION": "w", "TIME": found.moment, "COMMIT": sha, "PATH": "u", "NAME": "saved"}
    for word, value in words.items():
        text = re.sub(rf"\b{word}\b", value, text)
    look, branch, delete = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    sh(world.repo, COLLECT)
    (world.repo / "below").mkdir()
    for where in (world.repo, world.repo / "below"):
        out = sh(where, look if where == world.repo else look.replace(" -- u", " -- :/u"))
        assert out == f"prodigy-git salvage w {found.moment}\ncommit {sha}\nu"
        assert sh(world.repo, "cat u; git ls-files u; rm u") == "u"
    assert unpublished.command(found.common, "w", found.moment).endswith(f"/{found.moment} git")
    sh(world.repo, look.partition("\n")[0] + "\n" + branch)
    assert sh(world.repo, "git show saved:u; git fsck --no-dangling") == "u"
    sh(world.repo, delete)
    assert salvage.names_of(found.common, "w") == []
    mirror = re.search(r"`(git push --prune .*)`\.", text)
    assert mirror is not None
    sh(world.repo, f"git init -q --bare ../out; {mirror[1].replace('REMOTE', '../out')}")
    assert "refs/prodigy" not in git("for-each-ref", cwd=world.repo.parent / "out")


def test_explain_knows_what_lies_apart(world):
    sh(world.tree, "git switch -q --detach; git commit -q --allow-empty -m lone")
    lone = git("rev-parse", "HEAD", cwd=world.tree)
    found = remove(world)
    for _ in range(2):
        told = ok("explain", lone, "--json", cwd=world.repo).json
        assert told["exists"] is True
        assert told["refs"]["salvage"] == [found.salvage_ref]
        assert any(f"show {lone[:12]}" in text for text in told["next"])
        sh(world.repo, COLLECT)
    assert existing(world.repo, {lone}) == set()
    assert unpublished.holding(found.common, "0" * 40) == []
    assert call("explain", "0123456789abcdef0", cwd=world.repo).code != 2
