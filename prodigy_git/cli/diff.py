"""diff: what a result changes, shown by git's own diff."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output

if TYPE_CHECKING:
    from prodigy_git.merging.results.changes import Change
    from prodigy_git.merging.results.results import Result


@click.command()
@click.argument("name", metavar="ITEM|AGENT|NAME", shell_complete=completing.explained)
@click.option(
    "--job",
    help="In which job to look, where several have the item.",
    shell_complete=completing.jobs,
)
@click.option("--stat", is_flag=True, help="Only how many lines of which files.")
@output.json_option
def diff(name: str, job: str | None, stat: bool, as_json: bool) -> int:
    """Show what an item's result changes, against where it parted from its target.

    Of an item the attempt that succeeded counts, else its last one; of an agent what it did last. The
    target is the branch that the worktree began at, or the default branch. On a terminal git's own
    pager shows it.

    \b
    Example:
      prodigy-git diff item-7
      prodigy-git diff ada --stat
    """
    from prodigy_git.lifecycle import whereabouts
    from prodigy_git.merging import of_items
    from prodigy_git.merging.results import changes, of_other_hosts, results

    cwd = gitenv.here()
    store, repo = whereabouts.repository(cwd)
    if job is not None:
        store, repo, job = whereabouts.job(cwd, job)
    found = results.named(store, repo, [name], job=job, broken=output.note)
    of_other_hosts.bring(store, repo, found, output.note, fetch=False)
    # Those of an agent may be several.
    one = max(found, key=lambda each: each.completed_at or "~")
    place = of_items.place_of(store, repo)
    change = changes.Change()
    if place is not None:
        (change,) = of_items.changed(store, repo, place, [one], output.note)
    _tell(one, change, [each.name for each in found if each is not one])
    if as_json:
        output.emit_json(changes.as_json(one, change))
        return 0
    assert place is not None
    return _show(place.common, str(change.base), str(one.head), stat=stat)


def _tell(one: "Result", change: "Change", others: list[str]) -> None:
    """Say what is not to be seen in the diff. Raises `ProdigyError` where there is none."""
    from prodigy_git.errors import ProdigyError

    if one.head is None:
        raise ProdigyError(f"nothing is left of {one.name} in git: its commits are gone")
    if change.base is None:
        why = (
            f"{one.name} has no commit in common with {change.target}"
            if change.merged is False
            else f"where {one.name} began is not known"
        )
        raise ProdigyError(f"{why}: 'git show {one.head[:12]}' shows its last commit")
    if others:
        output.note(f"{one.agent_id} did other items, too: {', '.join(others)}")
    if one.worktree is not None and _has_more(one.worktree):
        look = f"git -C {shlex.quote(one.worktree)} diff HEAD"
        output.note(f"what is not committed yet is not in it: {look}")


def _has_more(worktree: str) -> bool:
    """Whether something in a worktree is not committed, and not ignored."""
    from prodigy_git.git.ask import look
    from prodigy_git.record import gitdir

    place = gitdir.find(worktree, {})
    if place is None or place.top != worktree:
        return False
    status, out, _ = look(place, "status", "--porcelain", "--ignore-submodules=dirty")
    return status == 0 and bool(out)


def _show(common: str, base: str, head: str, *, stat: bool) -> int:
    """Have git show a diff; return its exit status."""
    env = dict(os.environ)
    gitenv.drop_local_variables(env)
    options = ["--stat"] if stat else []
    command = ["git", f"--git-dir={common}", "diff", *options, base, head, "--"]
    sys.stdout.flush()
    if output.on_terminal():  # which git is to see: for its pager, colours, the width
        # Ctrl-C is for the pager, and git waits for it. Ignored, it would be by these two as well.
        before = signal.signal(signal.SIGINT, lambda _, __: None)
        try:
            done = subprocess.run(command, check=False, env=env).returncode
        finally:
            signal.signal(signal.SIGINT, before)
    else:
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=env) as running:
            assert running.stdout is not None
            shutil.copyfileobj(running.stdout, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        done = running.returncode
    return done if done >= 0 else 128 - done
