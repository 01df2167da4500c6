"""Worktrees in random states, removed, and restored: from the trash all of it, else what git holds.

To run more: PRODIGY_TEST_EXAMPLES=1000 pytest tests/cleanup/test_clean_property.py (a number other
than the default also draws at random instead of the same each time).
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st
from support_cli import new
from support_restore import (
    Templates,
    World,
    bring_back,
    difference,
    files_of,
    remove,
    seen,
    sh,
)

from prodigy_git.cleanup.trash import entry as entries

EXAMPLES = 40
WANTED = int(os.environ.get("PRODIGY_TEST_EXAMPLES", EXAMPLES))

SETTINGS = {
    "untracked hidden": "git config status.showUntrackedFiles no",
    "crlf": "git config core.autocrlf true",
    "no modes": "git config core.fileMode false",
    "split": "git config core.splitIndex true; git update-index --split-index",
    "cache": "git config core.untrackedCache true; git update-index --untracked-cache; git status",
    "version 4": "git config index.version 4; git update-index --index-version 4",
    "no reflog": "git config core.logAllRefUpdates false",
    "own config": "git config extensions.worktreeConfig true; git config --worktree user.name Own",
    "sparse": "git sparse-checkout set --no-cone '/*' '!/dir/'",
    "filter": "git config filter.f.clean false; git config filter.f.smudge false;"
    "git config filter.f.required true; echo '*.f filter=f' >.gitattributes",
    "signing": "git config commit.gpgSign true; git config tag.gpgSign true;"
    "git config gpg.program false",
    "hooks": "mkdir -p ../h; git config core.hooksPath $PWD/../h; for h in pre-commit post-index-change"
    " reference-transaction; do printf '#!/bin/sh\\nexit 1\\n' >../h/$h; chmod 755 ../h/$h; done",
    "conflict style": "git config merge.conflictStyle diff3; git config rerere.enabled true",
}

HEADS = {
    "branch": ":",
    "detached": "git switch -q --detach; git commit -q --allow-empty -m detached",
    "unborn": "git switch -q --orphan unborn; echo unborn >new; git add new",
    "orphaned": "git checkout -q --orphan unborn",
    "reset away": "git commit -q --allow-empty -m lone; git tag -a -m tag t; git tag -d t;"
    "git reset -q --hard HEAD~",
}

OPERATIONS = {
    "none": ":",
    "merge": "git merge side",
    "merge without commit": "git merge --no-commit --no-ff clean",
    "rebase": "echo x >autostashed; git add autostashed; git rebase --autostash side",
    "rebase apply": "git rebase --apply side",
    "rebase edit": "GIT_SEQUENCE_EDITOR='sed -i 1ibreak' git rebase -i HEAD~;"
    "git commit -q --allow-empty -m stop",
    "cherry-pick": "git cherry-pick side~ side",
    "revert": "git revert --no-edit side~",
    "bisect": "git bisect start HEAD HEAD~2",
    "am": "git format-patch -1 side~ --stdout >p; git am p; rm p",
    "stash pop": "echo stashed >a; git stash; echo clash >a; git add a; git stash pop",
}

PIECES = {
    "modified": "echo modified >>b",
    "staged": "echo staged >c; git add c",
    "staged and modified": "echo s >s; git add s; echo m >s",
    "deleted": "rm d",
    "deleted, staged": "git rm -q --cached e; rm e",
    "deleted in index": "git rm -q --cached e",
    "mode": "chmod 755 b; chmod 644 run",
    "file to link": "rm b; ln -s c b",
    "link to file": "rm link; echo f >link",
    "file to folder": "rm b; mkdir b; echo f >b/f",
    "folder to file": "rm -r dir; echo f >dir",
    "intent to add": "echo i >ita; git add -N ita",
    "assume unchanged": "git update-index --assume-unchanged c; echo hidden >c",
    "skip worktree": "git update-index --skip-worktree d; echo hidden >d",
    "untracked": "echo u >u; mkdir -p deep/er; echo u >deep/er/u; chmod 600 u",
    "ignored": "echo secret >.env; mkdir -p ignored; echo i >ignored/i; touch -d 2001-01-01 .env",
    "excluded": "echo '*.mine' >>$(git rev-parse --git-path info/exclude); echo m >x.mine",
    "nested": "git init -q nest; echo n >nest/n; git -C nest add n; git -C nest commit -q -m n",
    "nested, ignored": "mkdir -p ignored; git init -q ignored/nest; echo n >ignored/nest/n",
    "links": "ln -s /nowhere l1; ln -s dir l2; ln -s . l3; touch -h -d 2002-02-02 l1",
    "hard links": "echo h >h1; ln h1 h2; ln c h3",
    "odd names": "echo o >\"new\nline\"; echo o >' lead'; echo o >'*'; echo o >-n; echo o >:x;"
    "echo o >$(printf 'caf\\351'); git add -A -- $(printf 'caf\\351')",
    "empty folders": "mkdir -p empty/er; chmod 700 empty; touch -d 2003-03-03 empty",
    "closed": "mkdir closed; echo c >closed/c; chmod 555 closed; chmod 400 closed/c",
    "special": "mkfifo pipe",
    "filtered": "echo f >x.f",
    "crlf file": "printf 'a\\r\\nb\\n' >mixed",
    "private refs": "git update-ref refs/worktree/mine $(git commit-tree -m p HEAD^{tree})",
    "resolved": "echo resolved >a; git add a",
    "big": "head -c 300000 /dev/zero | tr '\\0' x >big; git add big; echo >>big",
    "closed root": "chmod 555 .",
    "times": "touch -d 2004-04-04 a .; touch -d 2005-05-05 dir",
}

MEANWHILE = {
    "prune": "git worktree prune --expire=now",
    "successor": "git worktree add -q --detach ../succ/w; git worktree remove ../succ/w",
    "pack": "git pack-refs --all --prune; git repack -qad",
    "commit": "git commit -q --allow-empty --no-verify --no-gpg-sign -m meanwhile",
    "reflogs": "git reflog expire --expire=all HEAD main prodigy-w side",
    "another place": "git worktree add -q --detach ../another; cd ../another; echo >x",
}

states = st.fixed_dictionaries(
    {
        "settings": st.sets(st.sampled_from(sorted(SETTINGS)), max_size=3),
        "head": st.sampled_from(["branch", *sorted(HEADS)]),
        "operation": st.sampled_from(sorted(OPERATIONS)),
        "pieces": st.lists(st.sampled_from(sorted(PIECES)), max_size=10, unique=True),
        "meanwhile": st.sets(st.sampled_from(sorted(MEANWHILE)), max_size=3),
        "branch goes": st.booleans(),
    }
)

HEAD = "git rev-parse -q --verify HEAD || :; git symbolic-ref -q HEAD || :"
CHECKED = "git fsck --connectivity-only 2>&1 | grep -v dangling || true"

SEED = """
for f in a b c d e; do echo $f >$f; done; echo run >run; chmod 755 run; ln -s a link
mkdir dir; echo 1 >dir/1; echo 2 >dir/2; printf '.env\\nignored/\\n' >.gitignore
git add .; git commit -q -m base; git branch clean; git switch -q clean; echo z >z; git add z
git commit -q -m clean; git switch -q -c side prodigy-w; echo side >a; git commit -qam side1
echo s2 >s2; git add s2; git commit -q -m side2; git switch -q prodigy-w; echo own >a
git commit -qam own1; echo o2 >o2; git add o2; git commit -q -m own2
"""


@pytest.fixture
def templates(repo: Path, store: Path, scratch: Path) -> Templates:
    """The template's folder is filled by the first test of the module."""
    template = scratch / "template"
    if not template.exists():
        new(repo, "w", "--job", "j")
        sh(store / "worktrees/repo/w", SEED)
        template.mkdir()
        made = World(repo, store, store / "worktrees/repo/w")
        Templates(repo.parent).copy(template / "x")
        assert made.tree.exists()
        shutil.move(template / "x" / "home", template / "home")
    return Templates(template / "x")


def _into_state(world: World, state: dict[str, Any]) -> None:
    for script in (
        *(SETTINGS[one] for one in sorted(state["settings"])),
        HEADS[state["head"]],
        OPERATIONS[state["operation"]],
        *(PIECES[one] for one in state["pieces"]),
    ):
        # What does not go together fails, and leaves a state like any other.
        sh(
            world.tree,
            f"exec >/dev/null 2>&1; set +e; export GIT_EDITOR=true; {script}; :",
            GIT_OPTIONAL_LOCKS="1",
        )


def _holds_branch(world: World) -> bool:
    """Whether the worktree's HEAD, or the rebase or bisect under way, is on its branch."""
    private = world.private
    on = [
        private / name
        for name in ("HEAD", "rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START")
    ]
    return any(path.exists() and "prodigy-w" in path.read_text() for path in on)


def _meanwhile(world: World, state: dict[str, Any], branch: bool) -> None:
    quiet = "exec >/dev/null 2>&1; set +e;"
    for one in sorted(state["meanwhile"]):
        sh(world.repo, f"{quiet} {MEANWHILE[one]}; :")
    if branch and state["branch goes"]:
        sh(world.repo, f"{quiet} git update-ref -d refs/heads/prodigy-w; :")
    sh(world.repo, "git -c core.hooksPath=/dev/null gc -q --prune=now 2>/dev/null")


def _run(check: Callable[[dict[str, Any]], None], number: int) -> None:
    fixed = WANTED == EXAMPLES
    drawn = seed(number)(given(states)(check)) if fixed else given(states)(check)
    settings(
        max_examples=max(1, WANTED // 4),
        deadline=None,
        # Shrinking takes minutes; the state that fails is small enough to be read.
        phases=[Phase.generate],
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )(drawn)()


@pytest.mark.parametrize("part", range(2))  # one for each worker of a small machine
def test_all_of_it_comes_back(part: int, templates: Templates, scratch: Path) -> None:
    def check(state: dict[str, Any]) -> None:
        root = Path(tempfile.mkdtemp(dir=scratch))
        world = templates.copy(root / "world")
        _into_state(world, state)
        note(str(state))
        before = seen(world)
        held = _holds_branch(world)
        checked = sh(world.repo, CHECKED)
        remove(world)
        main = sh(world.repo, "git rev-parse HEAD")
        _meanwhile(world, state, held)
        done = bring_back(world)
        after = seen(world)
        for found in (before, after):
            found["refs"] = found["refs"].replace(main, "main")
            del found["list"]
        if "commit" in state["meanwhile"]:
            for found in (before, after):
                found["refs"] = "\n".join(
                    line for line in found["refs"].splitlines() if "refs/heads/main" not in line
                )
        assert difference(before, after) == []
        assert all("made again" in text for text in done.notes), done.notes
        assert sh(world.repo, CHECKED) == checked
        # In the worktree: elsewhere git does not know its refs/worktree, and collects what they name.
        sh(world.tree, "git -c core.hooksPath=/dev/null gc -q --prune=now")
        assert seen(world)["status"] == before["status"]
        shutil.rmtree(root)

    _run(check, part)


def _held(world: World) -> dict[bytes, tuple[int, bytes]]:
    """Return the files that a salvage ref is to hold, with kind and contents."""
    listed = sh(world.tree, "git ls-files -z -co --exclude-standard | tr '\\0' '\\1'")
    everything = files_of(world.tree)
    wanted = {}
    for name in listed.split("\1"):
        about = everything.get(os.fsencode(name))
        if about is not None and not stat.S_ISDIR(about[0]) and not stat.S_ISFIFO(about[0]):
            wanted[os.fsencode(name)] = (stat.S_IFMT(about[0]), about[2])
    return wanted


def _tree_of_index(world: World) -> str:
    script = "i=$PWD/../i; cp $(git rev-parse --git-path index) $i; "
    script += "GIT_INDEX_FILE=$i git write-tree || :; rm $i"
    return sh(world.tree, f"exec 2>/dev/null; {script}")


@pytest.mark.parametrize("part", range(2))
def test_what_git_holds_comes_back_without_the_trash(
    part: int, templates: Templates, scratch: Path
) -> None:
    def check(state: dict[str, Any]) -> None:
        root = Path(tempfile.mkdtemp(dir=scratch))
        world = templates.copy(root / "world")
        _into_state(world, state)
        note(str(state))
        files = _held(world)
        tree = _tree_of_index(world)
        head = sh(world.tree, HEAD)
        found = remove(world)
        shutil.rmtree(found.folder)
        shutil.rmtree(found.git)
        found.state = "emptied"
        entries.write(found)
        _meanwhile(world, state, branch=False)
        done = bring_back(world)
        assert done.source == "salvage"
        assert head == sh(world.tree, HEAD)
        if tree:
            assert _tree_of_index(world) == tree
        now = files_of(world.tree)
        left_out = {os.fsencode(name) for name in found.left_out}
        for name, (kind, content) in files.items():
            if name not in left_out:
                assert name in now, name
                assert stat.S_IFMT(now[name][0]) == kind, name
                if "crlf" not in state["settings"]:
                    assert now[name][2] == content, name
        sh(
            world.repo,
            "git -c core.hooksPath=/dev/null gc -q --prune=now; git fsck --connectivity-only",
        )
        shutil.rmtree(root)

    _run(check, part + 2)
