"""Worktrees with repositories in them, for each way to lose work there; how any state is made."""

import subprocess


def run(*command, cwd, check=True):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, done
    return done.stdout.strip()


def commit(cwd, message, **files):
    for name, text in files.items():
        (cwd / name).write_text(text)
    run("git", "add", "-A", cwd=cwd)
    run("git", "commit", "-q", "--allow-empty", "-m", message, cwd=cwd)


def write(tree, **files):
    for name, text in files.items():
        (tree / name).write_text(text)


def setting(tree, name, value):
    run("git", "config", name, value, cwd=tree)


def stashed(tree, repo):
    write(tree, README="changed\n")
    run("git", "stash", cwd=tree)


def clone_in(folder, repo):
    run("git", "clone", "-q", str(repo), str(folder), cwd=repo)


def nested_untracked(tree, repo):
    clone_in(tree / "inner", repo)
    write(tree / "inner", new="x")


def nested_unborn(tree, repo):
    run("git", "init", "-q", str(tree / "inner"), cwd=tree)
    write(tree / "inner", new="x")


def nested_ignored(tree, repo):
    clone_in(tree / "build" / "inner", repo)
    commit(tree / "build" / "inner", "unpushed")


def nested_ignored_clean(tree, repo):
    clone_in(tree / "build" / "inner", repo)


def nested_bare(tree, repo):
    run("git", "clone", "-q", "--bare", str(repo), str(tree / "build" / "bare.git"), cwd=repo)


def nested_among_tracked(tree, repo):
    run("git", "init", "-q", str(tree / "dir"), cwd=tree)
    commit(tree / "dir", "its own")


def nested_stash(tree, repo):
    clone_in(tree / "build" / "inner", repo)
    stashed(tree / "build" / "inner", repo)


def nested_worktree(tree, repo):
    run("git", "worktree", "add", "-q", str(tree / "build" / "wt"), cwd=tree)


def nested_worktree_of_another(tree, repo):
    clone_in(repo.parent / "other", repo)
    run("git", "worktree", "add", "-q", str(tree / "build" / "wt"), cwd=repo.parent / "other")


def nested_with_worktree_elsewhere(tree, repo):
    clone_in(tree / "build" / "inner", repo)
    run("git", "worktree", "add", "-q", str(repo.parent / "wt"), cwd=tree / "build" / "inner")


def submodule(tree, repo):
    clone_in(repo.parent / "lib", repo)
    run("git", "submodule", "--quiet", "add", str(repo.parent / "lib"), "lib", cwd=tree)
    run("git", "commit", "-qm", "lib", cwd=tree)


def submodule_untracked_hidden(tree, repo):
    submodule(tree, repo)
    run("git", "config", "--global", "status.showUntrackedFiles", "no", cwd=tree)
    setting(tree, "diff.ignoreSubmodules", "all")
    write(tree / "lib", new="x")


def submodule_ahead(tree, repo):
    submodule(tree, repo)
    commit(tree / "lib", "unpushed")
    run("git", "commit", "-qam", "newer lib", cwd=tree)


def submodule_deinitialised(tree, repo):
    submodule_ahead(tree, repo)
    run("git", "submodule", "--quiet", "deinit", "-f", "lib", cwd=tree)
