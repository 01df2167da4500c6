"""What a salvage ref does not hold is named: before a removal, by it, in the entry, at the end."""

import json
import subprocess
from pathlib import Path

import pytest
from support_cli import new, ok
from support_ordinary import ordinary as ordinary

from prodigy_git.cleanup.folders.erasing import erase
from prodigy_git.cleanup.trash import entry as entries


@pytest.fixture
def tree(repo):
    (repo / ".gitignore").write_text("build/\n")
    git("add", ".", cwd=repo)
    git("commit", "-qm", "ignored", cwd=repo)
    return Path(new(repo, "w1")["worktree"])


def git(*words, cwd):
    return subprocess.run(
        ["git", *map(str, words)], cwd=cwd, check=True, capture_output=True, text=True
    ).stdout


def submodule(tree, repo):
    git("clone", "-q", repo, repo.parent / "lib", cwd=repo)
    git("submodule", "--quiet", "add", repo.parent / "lib", "lib", cwd=tree)
    git("commit", "-qm", "lib", cwd=tree)


def submodule_changed(tree, repo):
    submodule(tree, repo)
    (tree / "lib" / "new").write_text("x")


def submodule_unpushed(tree, repo):
    submodule(tree, repo)
    git("commit", "-q", "--allow-empty", "-m", "unpushed", cwd=tree / "lib")
    git("commit", "-qam", "newer lib", cwd=tree)


def nested_untracked(tree, repo):
    git("clone", "-q", repo, tree / "inner", cwd=repo)


def nested_ignored(tree, repo):
    git("clone", "-q", repo, tree / "build" / "inner", cwd=repo)


def too_large(tree, repo):
    git("config", "prodigy.salvageLimit", "1k", cwd=repo)
    (tree / "big").write_text("x" * 2000)
    # What is tracked is held, however large.
    (tree / "README").write_text("x" * 2000)


STATES = [
    (submodule_changed, ["lib"]),
    (submodule_unpushed, ["lib"]),
    (nested_untracked, ["inner"]),
    (nested_ignored, ["build/inner"]),
    (too_large, ["big"]),
    (submodule, []),
]


def entry_of(store):
    (path,) = (store / "trash").glob("*/w1/*/entry.json")
    return json.loads(path.read_text())


def emptied(store):
    """Leave of the entry what its retention leaves."""
    (path,) = (store / "trash" / "repo" / "w1").glob("*/")
    found = entries.read(str(path))
    assert erase(found.folder) + erase(found.git) == []
    found.state = "emptied"
    entries.write(found)


@pytest.mark.parametrize(("make", "names"), STATES, ids=[make.__name__ for make, _ in STATES])
def test_it_is_named_at_every_step(repo, store, tree, make, names):
    make(tree, repo)
    ok("finish", "w1", cwd=repo)
    words = f"{len(names)} path ({', '.join(names)}) that no salvage ref holds"
    assert (words in ok("worktree", "show", "w1", cwd=repo).out) is bool(names)
    assert (words in ok("worktree", "clean", "-f", "--dry-run", "w1", cwd=repo).out) is bool(names)
    assert (words in ok("worktree", "clean", "-f", "w1", cwd=repo).out) is bool(names)
    entry = entry_of(store)
    assert entry["left_out"] == names
    emptied(store)
    restored = ok("worktree", "restore", "w1", cwd=repo)
    assert (f"git does not hold {', '.join(names)}" in restored.err) is bool(names)


def test_three_are_named_and_the_others_counted(repo, store, tree):
    for number in range(5):
        git("clone", "-q", repo, tree / "build" / f"inner{number}", cwd=repo)
    ok("finish", "w1", cwd=repo)
    said = ok("worktree", "clean", "w1", cwd=repo).out
    names = "build/inner0, build/inner1, build/inner2 and 2 more"
    assert f"5 paths ({names}) that no salvage ref holds" in said
    assert len(entry_of(store)["left_out"]) == 5


def test_what_cannot_be_read_is_named_and_no_deletion(ordinary):
    for name in ("dir", "kept"):
        (ordinary.repo / name).mkdir()
        (ordinary.repo / name / "file").write_text("tracked\n")
    assert ordinary.run("git", "add", ".").returncode == 0
    assert ordinary.run("git", "commit", "-qm", "files").returncode == 0
    top = Path(ordinary.ok("new-worktree", "w1").strip())
    script = """
        mkdir folder && echo x > folder/inside && chmod 000 folder
        echo x > secret && chmod 000 secret
        echo changed > kept/file && chmod 000 kept/file
        echo changed > dir/file && chmod 000 dir
    """
    assert ordinary.run("sh", "-ec", script, cwd=top).returncode == 0
    ordinary.ok("finish", "w1")
    names = ["dir", "folder", "kept/file", "secret"]
    shown = json.loads(ordinary.ok("worktree", "show", "w1", "--json"))
    assert sorted(shown["unreadable_paths"]) == names
    done = ordinary.prodigy("worktree", "clean", "-f", "w1").stdout
    assert "that no salvage ref holds" in done
    entry = entry_of(ordinary.store)
    assert sorted(entry["left_out"]) == ["dir", "dir/file", *names[1:]]
    # What was committed of them stays what it was.
    for name in ("dir/file", "kept/file"):
        held = ordinary.run("git", "show", f"{entry['salvage_ref']}:{name}")
        assert held.stdout == "tracked\n"
    ordinary.ok("worktree", "restore", "w1")
    assert (top / "folder" / "inside").read_text() == "x\n"
    assert (top / "dir" / "file").read_text() == "changed\n"
