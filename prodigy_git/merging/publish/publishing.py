"""Publishing results: each one's branch is pushed, and a pull request opened, or its address said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from prodigy_git.errors import ProdigyError
from prodigy_git.git import remotes, repository
from prodigy_git.git.ask import git_status, said
from prodigy_git.merging.publish import forges, own_pushes, pull_request
from prodigy_git.merging.queue import outcomes
from prodigy_git.merging.queue.target import Target
from prodigy_git.merging.results.results import Result
from prodigy_git.store.events import Broken

State = Literal["published", "would_publish", "nothing", "not_ready", "refused"]


@dataclass
class Published:
    """A result and what came of it; ``url`` is its pull request, else where one can be opened."""

    result: Result
    state: State
    title: str | None = None
    body: str | None = None
    pushed: bool = False
    """Whether the branch was pushed; not where the remote has that commit already."""
    url: str | None = None
    opened: Literal["now", "before"] | None = None
    """Whether there is a pull request, and since when."""
    reason: str | None = None

    def as_json(self, remote: str) -> dict[str, Any]:
        """Return the fields as ``publish --json`` prints them."""
        one = self.result
        return {
            "job_id": one.job_id, "item_id": one.item_id, "agent_id": one.agent_id,
            "session_id": one.session_id, "branch": one.branch, "head": one.head, "remote": remote,
            "state": self.state, "title": self.title, "body": self.body, "branch_pushed": self.pushed,
            "url": self.url, "request_opened": self.opened, "reason": self.reason,
        }  # fmt: skip


@dataclass(frozen=True)
class _Remote:
    cwd: str
    """Where the user stands: a path that is relative starts at the top of that worktree."""
    name: str
    url: str
    forge: forges.Forge | None
    program: str | None
    heads: dict[str, str]
    """The branches that it has, and where they are."""


def publish(
    target: Target,
    results: Sequence[Result],
    remote: str,
    *,
    cwd: str,
    draft: bool,
    dry_run: bool,
    told: Callable[[Published], None],
    broken: Broken,
) -> list[Published]:
    """Push the branches of results, and have pull requests into the target opened.

    Returns what came of each; ``told`` is called with it as it is known. With ``dry_run`` the remote is
    asked, and nothing is changed. ``cwd`` is where the user stands. Raises `ProdigyError` where the
    remote cannot be asked.
    """
    there = _remote(cwd, remote)
    found = []
    for one in results:
        try:
            done = _publish(target, there, one, broken, draft=draft, dry_run=dry_run)
        except ProdigyError as error:
            done = Published(one, "refused", reason=str(error))
        found.append(done)
        told(done)
    return found


def _remote(cwd: str, name: str) -> _Remote:
    status, out, err = git_status(cwd, "remote", "get-url", "--push", "--", name)
    if status != 0:
        raise ProdigyError(f"there is no remote {name}: 'git remote' names them ({said(err)})")
    url = out.rstrip("\n")
    status, out, err = git_status(cwd, "ls-remote", "--heads", "--", url)
    if status != 0:
        why = said(err).replace(url, remotes.harmless(url))
        raise ProdigyError(f"remote {name} cannot be asked: {why}")
    lines = [line.split("\t") for line in out.split("\n") if "\t" in line]
    heads = {ref.removeprefix("refs/heads/"): sha for sha, ref in lines}
    forge = forges.of(url, repository.config(cwd, "prodigy.forge"))
    program = None if forge is None else forges.program(forge, cwd)
    return _Remote(cwd, name, remotes.harmless(url), forge, program, heads)


def _publish(
    target: Target, there: _Remote, one: Result, broken: Broken, *, draft: bool, dry_run: bool
) -> Published:
    cwd, tip = target.place.common, target.tip()
    if one.state != "succeeded" or one.head is None:
        return Published(one, "not_ready", reason=outcomes.why_not_ready(one))
    if one.branch is None:
        return Published(
            one, "refused", reason="it has no branch (any more): 'git branch' makes one"
        )
    if git_status(cwd, "merge-base", "--is-ancestor", one.head, tip)[0] == 0:
        return Published(one, "nothing", reason=f"{target.branch} has all of it")
    title, body = pull_request.title_and_body(target.store, target.repo, cwd, tip, one, broken)
    done = Published(one, "would_publish" if dry_run else "published", title, body)
    lease = _lease(target, there, one)
    done.pushed = there.heads.get(one.branch) != one.head
    if there.forge is not None:
        done.url = forges.link(there.forge, one.branch, target.branch, title, body)
    if dry_run:
        return done
    if done.pushed:
        _push(target, there, one, lease)
    if there.forge is None or there.program is None:
        return done
    try:
        before = forges.existing(there.program, there.forge, one.branch, cwd)
        if before is not None:
            done.url, done.opened = before, "before"
            return done
        made = forges.create(
            there.program, there.forge, one.branch, target.branch, title, body, draft=draft, cwd=cwd
        )
    except ProdigyError as error:  # what was pushed stays, and the request can be opened by hand
        done.state, done.reason = "refused", str(error)
        return done
    done.url, done.opened = made or done.url, "now"
    return done


def _lease(target: Target, there: _Remote, one: Result) -> str | None:
    """Return the commit that may be replaced there; None where the push needs no force.

    Raises `ProdigyError` where somebody else has pushed what is there.
    """
    now = there.heads.get(str(one.branch))
    if now is None or now == one.head:
        return None
    cwd = target.place.common
    if git_status(cwd, "merge-base", "--is-ancestor", now, str(one.head))[0] == 0:
        return None
    ours = own_pushes.read(target.store, target.repo).get(there.url, {}).get(str(one.branch), [])
    if now not in ours:
        raise ProdigyError(
            f"{there.name} has another {one.branch}, at {now[:12]}, that was not pushed from here: "
            f"'git fetch {there.name}' to look at it"
        )
    return now


def _push(target: Target, there: _Remote, one: Result, lease: str | None) -> None:
    ref, head = f"refs/heads/{one.branch}", str(one.head)
    known = own_pushes.read(target.store, target.repo).get(there.url, {}).get(str(one.branch), [])
    now = there.heads.get(str(one.branch))
    mine = [sha for sha in known if sha == now]
    own_pushes.note(target.store, target.repo, there.url, str(one.branch), [*mine, head])
    force = [] if lease is None else [f"--force-with-lease={ref}:{lease}"]
    status, _, err = git_status(there.cwd, "push", "--quiet", *force, there.name, f"{head}:{ref}")
    if status != 0:
        lines = [line.strip() for line in err.splitlines() if line.strip()]
        why = [line for line in lines if line.startswith(("remote:", "!", "fatal:"))]
        raise ProdigyError(f"not pushed: {'; '.join((why or lines)[:5])}")
    own_pushes.note(target.store, target.repo, there.url, str(one.branch), [head])
