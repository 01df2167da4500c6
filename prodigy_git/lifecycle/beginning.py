"""What a new worktree begins with: a new branch, one that is there, a remote's, a pull request."""

from typing import TYPE_CHECKING, NamedTuple

from prodigy_git.errors import ProdigyError
from prodigy_git.git import branch_names, repository
from prodigy_git.git.ask import git_status, said
from prodigy_git.lifecycle.naming import NameInUse
from prodigy_git.record import gitdir
from prodigy_git.record.gitdir import Place
from prodigy_git.store.broken import Broken

if TYPE_CHECKING:
    from prodigy_git.git.pulls import Pull


class Beginning(NamedTuple):
    """The commit that a worktree begins at, and the branch that it gets.

    ``base_branch`` is where a new branch comes from, None where nobody says. ``branch`` is None where
    it is to be called after what it is for; ``exists`` says that it is there and is checked out.
    """

    commit: str
    base_branch: str | None
    branch: str | None
    exists: bool = False
    upstream: str | None = None
    """The remote's branch that a new one follows."""
    pull: "Pull | None" = None
    """The request that a new branch follows."""


def of(
    cwd: str, place: Place, *, name: str | None, base: str | None, branch: str | None, pull: int | None
) -> Beginning:  # fmt: skip
    """Return what a worktree begins with that is made with such options.

    A ``name`` with a slash is a new branch's. Fetches a ``pull`` request. Raises `ProdigyError` where
    there is no such thing, or it is somebody else's.
    """
    wanted = branch
    if wanted is None and name is not None and "/" in name:
        wanted = name
    if wanted is not None and not branch_names.is_possible(cwd, wanted):
        raise ProdigyError(
            f"{wanted!r} cannot be a branch: choose another {'NAME or ' if name else ''}--branch"
        )
    if pull is not None:
        if base is not None:
            raise ProdigyError(f"request {pull} begins where it is: leave out --base")
        from prodigy_git.git import pulls

        found = pulls.fetch(cwd, pull)
        return Beginning(found.commit, None, wanted or f"pr-{pull}", pull=found)
    if wanted is not None:
        there = branch_names.find(place, wanted)
        if there is not None and (branch is None or base is not None):
            _refuse(place, wanted, there, asked=branch is not None, based=base is not None)
        elif there is not None:
            local = there.kind == "local"
            return Beginning(there.commit, None, there.name, exists=local, upstream=there.upstream)
    return _from_revision(cwd, place, base)._replace(branch=wanted)


def _refuse(
    place: Place, wanted: str, there: branch_names.Found, *, asked: bool, based: bool
) -> None:
    """Raise `NameInUse` where a new branch would have the name of one that is there."""
    how = f"--branch {wanted} {'without --base ' if asked else ''}checks it out"
    if there.kind == "local":
        where = repository.checked_out_where(place.common, wanted)
        if where is not None:
            raise NameInUse(f"{where}, or choose another name")
        raise NameInUse(f"the branch {wanted} exists already: {how}, or choose another name")
    if not based:  # with --base it is plain that a new one is meant
        raise NameInUse(
            f"there is {there.upstream}: {how} and follows it, --base REF begins a new branch"
        )


def _from_revision(cwd: str, place: Place, base: str | None) -> Beginning:
    """Return the branch and the commit that a revision names; None is HEAD. Raises `ProdigyError`."""
    if base is not None:
        return Beginning(repository.commit_of(cwd, base), repository.branch_of(cwd, base), None)
    branch, commit = gitdir.head(place)  # which seldom takes a process
    if commit is None or not gitdir.is_sha(commit):
        return Beginning(repository.commit_of(cwd, "HEAD"), branch, None)
    return Beginning(commit, branch, None)


def follow(
    place: Place, begun: Beginning, branch: str, settings: dict[str, str], broken: Broken
) -> None:
    """Have a new branch follow what it was made from, for `git pull`; trouble is reported.

    ``settings`` are those of git before it was made. Done last: the worktree is whole without it.
    """
    asked = []
    if begun.upstream is not None:
        asked.append(("branch", f"--set-upstream-to={begun.upstream}", branch))
    elif begun.pull is not None:
        asked += [
            ("config", f"branch.{branch}.remote", begun.pull.remote),
            ("config", f"branch.{branch}.merge", begun.pull.ref),
        ]
    elif not begun.exists and f"branch.{branch}.merge" in settings:
        # One of that name did, and went without its settings (`update-ref -d`): it may come back.
        asked.append(("branch", "--unset-upstream", branch))
    for one in asked:
        status, _, err = git_status(place.common, *one)
        if status != 0:
            broken(
                f"branch {branch} does not follow what it should: {said(err, f'exit status {status}')}"
            )
            return
