"""What `worktree clean` says of each."""

from support_cli import call


def results_of(*arguments, cwd, code=0):
    done = call("worktree", "clean", *arguments, "--json", cwd=cwd)
    assert done.code == code, done
    return {one["name"]: one["result"] for one in done.json}
