"""Fetching what is proposed on a forge: a pull request, or a merge request, by its number."""

import os
import subprocess
import sys
from dataclasses import dataclass

from prodigy_git import gitenv
from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import SILENCE, git_status, said

_REFS = ("refs/pull/{}/head", "refs/merge-requests/{}/head")
"""Where GitHub (and Gitea, Forgejo), and where GitLab, show a request's newest commit."""
_FIRST = ("upstream", "origin")
"""The remotes that are asked first: of a fork the one that it comes from has the requests."""


@dataclass(frozen=True)
class Pull:
    """A request, whose objects are here now: its remote, its ref there, its commit."""

    remote: str
    ref: str
    commit: str


def fetch(cwd: str, number: int) -> Pull:
    """Fetch a request from the first remote that has it. What git says goes to stderr.

    No ref is made, and FETCH_HEAD stays as it is: a request is called by its commit. Raises
    `ProdigyError` where no remote has it, or it cannot be fetched.
    """
    status, out, err = git_status(cwd, "remote")
    remotes = out.split() if status == 0 else []
    if not remotes:
        raise ProdigyError(f"there is no remote to fetch request {number} from: 'git remote add'")
    remotes.sort(key=lambda one: _FIRST.index(one) if one in _FIRST else len(_FIRST))
    wanted = [ref.format(number) for ref in _REFS]
    troubles = []
    for remote in remotes:
        status, out, err = git_status(cwd, "ls-remote", "--", remote, *wanted)
        if status != 0:
            troubles.append(f"{remote}: {said(err, f'exit status {status}')}")
            continue
        for line in out.splitlines():
            commit, _, ref = line.partition("\t")
            if ref in wanted:
                return Pull(remote, ref, _fetched(cwd, remote, ref, commit))
    if troubles:
        raise ProdigyError(f"request {number} cannot be asked for: {'; '.join(troubles)}")
    asked = ", ".join(remotes)
    raise ProdigyError(f"no remote has a request {number} (asked: {asked}): is the number right?")


def _fetched(cwd: str, remote: str, ref: str, commit: str) -> str:
    """Fetch a ref, and return its commit: the one that was seen a moment ago, or a later one."""
    for _ in range(3):
        sys.stderr.flush()
        done = subprocess.run(
            ["git", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", remote, ref],
            cwd=cwd, stdin=subprocess.DEVNULL, stdout=2, check=False, env=_environment(),
        )  # fmt: skip
        if done.returncode != 0:
            raise ProdigyError(f"git fetch {remote} {ref} failed: it says why above")
        if git_status(cwd, "cat-file", "-e", f"{commit}^{{commit}}")[0] == 0:
            return commit
        # Somebody has pushed another history meanwhile.
        commit = git_status(cwd, "ls-remote", "--", remote, ref)[1].partition("\t")[0] or commit
    raise ProdigyError(f"{ref} of {remote} changes all the time: try again")


def _environment() -> dict[str, str]:
    env = dict(os.environ)
    gitenv.drop_local_variables(env)
    return env | {SILENCE: "1"}
