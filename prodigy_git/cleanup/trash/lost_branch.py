"""The commits of a worktree that git was told to remove, and whose branch was deleted behind that.

So an agent program ends with a worktree of its own. Nothing names the commits any more, and git
deletes them some day. They get an entry like a branch that we remove (`branch_removal`): `restore`
brings branch and worktree back until its time is over.

1. the intent        entry.json, ``moving``, ``branch_only``
2. the salvage       the commits
3. entry.json        ``trashed`` and ``settled``
4. the session       says where they are, and is not looked at again

Killed before 2 the entry is taken back by the next command; killed later, the rest is done by it.
"""

import contextlib
import os
from collections.abc import Iterable
from typing import Any

from prodigy_git import layout, names
from prodigy_git.cleanup.salvage import salvage
from prodigy_git.cleanup.trash import branch_removal, intent
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.cleanup.trash.entry import Entry
from prodigy_git.errors import ProdigyError, not_noted
from prodigy_git.git.ask import look
from prodigy_git.model.session import Session
from prodigy_git.record import gitdir, locks, repokey, session
from prodigy_git.record.gitdir import Place
from prodigy_git.store import ended_by_others, locked, removed, sessions
from prodigy_git.store.briefs import Brief
from prodigy_git.store.broken import Broken


def keep(store: str, some: Iterable[Brief], broken: Broken) -> None:
    """Keep what sessions have committed whose worktrees were removed with git, if no ref has it.

    As long as a session's branch is there nothing is done: it may be asked again, and costs a look at
    the branches of its repository, once for all. So where it fails, which ``broken`` is told.
    """
    by_repo: dict[str, list[Brief]] = {}
    for one in some:
        by_repo.setdefault(one.repo or "", []).append(one)
    for repo, mine in by_repo.items():
        try:
            common = repokey.common_of(store, names.checked(repo, "repository key"))
            there = None if common is None else _branches(common)
        except (ProdigyError, OSError, ValueError) as error:
            broken(not_noted(error) or f"the branches of {repo}: {error}")
            continue
        if common is None or there is None:
            continue  # it is not in sight
        for one in mine:
            if one.branch not in there:
                try:
                    _keep(store, repo, common, one.id)
                except (ProdigyError, OSError, ValueError) as error:
                    broken(not_noted(error) or f"the commits of session {one.id}: {error}")


def _branches(common: str) -> set[str] | None:
    place = Place(common, common, common)
    status, out, _ = look(place, "for-each-ref", "--format=%(refname)", "refs/heads")
    lines = os.fsdecode(out).splitlines() if status == 0 else None
    return None if lines is None else {one.removeprefix("refs/heads/") for one in lines}


def _keep(store: str, repo: str, common: str, name: str) -> None:
    with locked.repository(store, repo):
        found = sessions.load(store, name)
        tip, path = found.text("last_commit"), found.text("worktree_path")
        if tip is None or path is None or found.metadata.get(ended_by_others.COMMITS_SETTLED):
            return
        if _has_branch(common, found):
            return
        if _is_kept(store, repo, name, tip):
            left: str | None = _back(name)
        elif removed.by_git(store, repo, common, name, path):
            left = _kept(store, repo, found, common, tip)
        else:
            return
        merged = (found.text(ended_by_others.LEFT) or "").startswith(ended_by_others.MERGED)
        _note(store, name, None if merged else left)  # where what they change is says more


def _has_branch(common: str, found: Session) -> bool:
    branch = found.text("branch")
    return branch is not None and gitdir.tip(Place(common, common, common), branch) is not None


def _is_kept(store: str, repo: str, name: str, tip: str) -> bool:
    """Whether a commit is in the trash already; what a kill has left of that is ended, or dropped."""
    for path in intent.begun(store, repo, name):
        intent.drop(path)
    for one in entries.entries(store, lambda _: None, repo, name):
        if one.branch_only and one.head == tip:
            if one.half_way:
                branch_removal.resume(one)
            if os.path.lexists(one.path):
                return True
    return False


def _back(name: str) -> str:
    return f"in no branch any more: 'prodigy-git worktree restore {name}' brings it back"


def _kept(store: str, repo: str, found: Session, common: str, tip: str) -> str | None:
    """Keep a commit that no ref has; return where it is, None where there is nothing to say."""
    place = Place(common, common, common)
    if look(place, "cat-file", "-e", f"{tip}^{{commit}}")[0] != 0:
        return None
    status, out, err = look(place, "for-each-ref", "--count=1", f"--contains={tip}")
    if status != 0:
        raise ProdigyError(f"git for-each-ref: {err}")
    if out.strip():
        return None
    _put_into_trash(store, repo, found, common, tip)
    return _back(found.id)


def _put_into_trash(store: str, repo: str, found: Session, common: str, tip: str) -> None:
    path, stamp = intent.folder(store, repo, found.id)
    moment = os.path.basename(path)
    made = Entry(
        path=path, state="moving", repo=repo, session=found.id,
        worktree=found.text("worktree_path") or f"{layout.worktrees(store, repo)}/{found.id}",
        private=f"{common}/worktrees/{found.id}-{moment}", common=common, created_at=stamp,
        folder=f"{path}/worktree", git=f"{path}/git", head=tip, branch=found.text("branch"),
        salvage_ref=salvage.ref_name(found.id, moment), session_status=found.status,
        reasons=[ended_by_others.REMOVED], branch_only=True,
    )  # fmt: skip
    try:
        intent.write(made)
        salvage.anchor_branch(common, found.id, moment, found.text("branch") or "", tip)
    except BaseException:
        with contextlib.suppress(ProdigyError):  # a later command takes it up
            branch_removal.resume(made)
        raise
    branch_removal.finish(made)


def _note(store: str, name: str, left: str | None) -> None:
    lock = locks.take(layout.session_lock(store, name))
    try:
        fields: dict[str, Any] = session.read(store, name)
        fields["metadata"][ended_by_others.COMMITS_SETTLED] = True
        if left is not None:
            fields["metadata"][ended_by_others.LEFT] = left
        session.write(store, name, fields)
    finally:
        os.close(lock)
