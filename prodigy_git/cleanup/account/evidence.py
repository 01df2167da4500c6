"""What would be lost, or disturbed, if a worktree's folder vanished now; and what follows from it.

`gather` accounts for many worktrees at once. `forbids` and `doubts` are the one place where it is
decided what may be removed; every command that removes or shows worktrees asks them.
"""

import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from prodigy_git import amounts
from prodigy_git.cleanup.account.presence import Process
from prodigy_git.git.integration import NOTHING, WITHOUT_COMMITS, Integration
from prodigy_git.model.session import Session
from prodigy_git.record import clock
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.record.gitdir import Place

_MOMENTS = {
    "started_at": "started_at", "ended_at": "ended_at", "last_activity": "last_activity_at",
    "last_sign": "last_sign_at",
}  # fmt: skip
"""The fields that are moments, and what they are called in JSON."""


@dataclass(frozen=True)
class Subject:
    """A worktree to be accounted for: by its session, or without one by its folder.

    ``place`` is None where git's side of it is missing; ``trouble`` then says what is wrong. ``alone``:
    its whole repository is gone, see `without_repository`.
    """

    name: str
    path: str
    place: Place | None
    session: Session | None = None
    enrolment: Enrolment | None = None
    trouble: str | None = None
    alone: bool = False


@dataclass
class Evidence:
    """The account of one worktree; counts are files, paths are relative to ``path`` where inside it.

    ``hidden`` are changes under assume-unchanged and skip-worktree. ``lone_commits`` are those on HEAD
    that no branch, tag or other ref reaches; ``lone_in_reflog`` were given up (reset, a detached HEAD
    left behind) and ``rewritten`` replaced by an amend or a finished rebase: only the worktree's
    reflog names them. ``stashes`` were made on its branch; they belong to the repository and stay.
    ``nested`` maps repositories inside to the work in them, ``nested_worktrees`` are registered ones
    that would lose their repository, or it them. ``git_locks`` are lock files of git's younger than a
    minute, ``old_git_locks`` older ones. ``mounts`` are mount points in the folder or the private git
    directory, ``mounted_at`` those elsewhere that show a part of it. ``background`` were started with
    the worktree and end with it. ``unseen_processes`` could not be looked at, ``unseen`` says in words
    which those and others are; ``last_sign`` is when something was done in it last, as far as files and
    events tell (`heartbeat`), ``last_sign_of`` says what. Other ``users`` have a session in it.
    ``prodigy_session`` is Prodigy's session that has the worktree, and
    has not ended for certain; ``prodigy_merges`` is the one whose commits Prodigy merges from here.
    ``too_large`` are untracked files over the size limit of what a salvage commit holds. ``unreadable``
    says what could not be looked at, ``unreadable_paths`` are the files and folders of it.
    Times are microseconds since 1970; ``gathered_at`` is of `time.monotonic`, in seconds.
    """

    name: str
    path: str
    session_id: str | None = None
    status: str | None = None
    ended: bool = False
    job: str | None = None
    place: Place | None = None
    main: bool = False
    head: str | None = None
    branch: str | None = None
    default_branch: bool = False
    staged: int = 0
    modified: int = 0
    unmerged: int = 0
    untracked: int = 0
    hidden: int = 0
    ignored: int = 0
    ignored_bytes: int = 0
    lone_commits: int = 0
    lone_in_reflog: int = 0
    rewritten: int = 0
    operations: list[str] = field(default_factory=list)
    private_refs: list[str] = field(default_factory=list)
    stashes: int = 0
    nested: dict[str, list[str]] = field(default_factory=dict)
    nested_worktrees: list[str] = field(default_factory=list)
    submodules: dict[str, list[str]] = field(default_factory=dict)
    locked: str | None = None
    mounts: list[str] = field(default_factory=list)
    mounted_at: list[str] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    background: list[Process] = field(default_factory=list)
    unseen_processes: int = 0
    unseen: list[str] = field(default_factory=list)
    last_sign: int | None = None
    last_sign_of: str = ""
    users: list[str] = field(default_factory=list)
    prodigy_session: str | None = None
    prodigy_merges: str | None = None
    git_locks: list[str] = field(default_factory=list)
    old_git_locks: list[str] = field(default_factory=list)
    integration: Integration = NOTHING
    started_at: int | None = None
    ended_at: int | None = None
    last_activity: int | None = None
    too_large: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    alone: bool = False
    unreadable_paths: list[str] = field(default_factory=list)
    gathered_at: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the account as ``worktree show --json`` prints it, the verdicts with it."""
        fields = asdict(self)
        del fields["place"], fields["gathered_at"]
        fields["worktree"], fields["job_id"] = fields.pop("path"), fields.pop("job")
        fields["mounted_elsewhere"] = fields.pop("mounted_at")
        for old, new in _MOMENTS.items():
            moment = fields.pop(old)
            fields[new] = None if moment is None else clock.stamp(moment)
        fields["private"] = None if self.place is None else self.place.private
        fields["forbids"] = forbids(self)
        fields["doubts"] = doubts(self)
        return fields


def forbids(e: Evidence, *, unlock: bool = False) -> list[str]:
    """Return, in words, why a worktree must not be removed, forced or not; empty: it may be."""
    if e.place is None and not e.alone:
        return e.unreadable
    reasons = []
    if e.main:
        reasons.append("it is the repository's main worktree")
    if e.locked is not None and not unlock:
        reasons.append(
            f"it is locked ({e.locked or 'no reason given'}), --unlock cleans it all the same"
        )
    reasons += [
        f"user {user} has a session in it, which 'prodigy-git worktree forget --anew' of that user ends"
        for user in e.users
    ]
    if e.mounts:
        itself = e.mounts == [e.path]
        what = "it is a mount point" if itself else f"{_some('mount point', e.mounts)} in it"
        reasons.append(f"{what}: {_unmount(e.mounts)} first")
    if e.mounted_at:
        where = ", ".join(e.mounted_at[:3])
        reasons.append(f"it is also mounted at {where}: {_unmount(e.mounted_at)} first")
    reasons += [f"{one.name} (pid {one.pid}) {one.why}" for one in e.processes]
    reasons += [f"git is at work in it ({name} is younger than a minute)" for name in e.git_locks]
    if e.nested_worktrees:
        reasons.append(f"{_some('registered worktree', e.nested_worktrees)} in it")
    return reasons


def _unmount(points: list[str]) -> str:
    return " and ".join(f"'umount {shlex.quote(point)}'" for point in points[:3])


def doubts(e: Evidence) -> list[str]:
    """Return, in words, why a worktree should not be removed without being forced; empty: safe."""
    if e.place is None and not e.alone:
        return []
    reasons = []
    if e.session_id not in (None, e.prodigy_session) and not e.ended:
        reasons.append(f"its session is {e.status}, 'prodigy-git finish {e.session_id}' ends it")
    if e.prodigy_session is not None and not (e.prodigy_session == e.session_id and e.ended):
        reasons.append(
            f"Prodigy's session {e.prodigy_session} has not ended, as far as its files say: "
            "it runs, or was interrupted or killed"
        )
    if e.prodigy_merges is not None and e.integration.kind != "integrated":
        reasons.append(
            f"Prodigy has not merged it, 'prodigy worktree merge {e.prodigy_merges}' needs the worktree"
        )
    reasons += [
        f"{count} {what}"
        for count, what in (
            (e.staged, "staged"),
            (e.modified, "modified"),
            (e.unmerged, "unmerged"),
            (e.untracked, "untracked"),
            (e.hidden, "modified under assume-unchanged or skip-worktree"),
        )
        if count
    ]
    if e.operations:
        reasons.append(f"{e.operations[0]} is under way")
    if e.head is None and not e.unreadable and not e.alone:
        reasons.append("its HEAD has no commit yet")
    if not _is_done_with(e):
        reasons += _lone(e)
    if e.private_refs and not any("bisect" in words for words in e.operations):
        reasons.append(_some("private ref", e.private_refs))
    reasons += [f"the repository {path} in it: {', '.join(w)}" for path, w in _work(e.nested)]
    reasons += [f"the submodule {path}: {', '.join(w)}" for path, w in _work(e.submodules)]
    if e.old_git_locks:
        reasons.append(f"{', '.join(e.old_git_locks)} left by a git command that was killed")
    reasons += e.unreadable
    return reasons


def _is_done_with(e: Evidence) -> bool:
    """Whether the session has ended and what its commits have done is in another branch.

    Then what of them nothing else reaches was given up, squashed or picked: the salvage has it.
    """
    kind, how = e.integration.kind, e.integration.how
    return e.ended and kind == "integrated" and how not in WITHOUT_COMMITS


def _lone(e: Evidence) -> list[str]:
    return [
        f"{_many(count, 'commit')} that {what} reaches"
        for count, what in (
            (e.lone_commits, "no other ref"), (e.lone_in_reflog, "only its reflog"),
        )
        if count
    ]  # fmt: skip


def touched(e: Evidence) -> bool:
    """Return whether index or working tree may hold anything that HEAD's commit does not."""
    changes = (e.staged, e.modified, e.unmerged, e.untracked, e.hidden, e.operations, e.unreadable)
    return any(changes) or bool(_work(e.nested)) or bool(_work(e.submodules))


def left_out(e: Evidence) -> list[str]:
    """Return the paths of what a salvage commit cannot hold: the trash has it, and then nothing.

    Repositories and work in submodules, what cannot be read, files over the limit.
    """
    submodules = (path for path, _ in _work(e.submodules))
    return sorted({*e.too_large, *e.unreadable_paths, *e.nested, *submodules})


def remarks(e: Evidence, lost: list[str] | None = None) -> list[str]:
    """Return, in words, what comes back with `restore`, and what a salvage commit does not hold.

    ``lost`` are the paths of that, where it has been made; None: as far as the account tells.
    """
    said = _lone(e) if _is_done_with(e) else []
    if e.ignored:
        said.append(f"{_many(e.ignored, 'ignored file')} of {amounts.human(e.ignored_bytes)}")
    lost = left_out(e) if lost is None else lost
    if lost:
        said.append(f"{_some('path', lost)} that no salvage ref holds")
    return said


def _work(found: dict[str, list[str]]) -> Iterable[tuple[str, list[str]]]:
    return [(path, work) for path, work in sorted(found.items()) if work]


def _many(count: int, what: str) -> str:
    return f"{count} {what if count == 1 else what + 's'}"


def _some(what: str, names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{_many(len(names), what)} ({', '.join(names[:3])}{more})"
