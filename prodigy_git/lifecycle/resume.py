"""Taking up again what a crash or a restart left: claims, the job, worktrees that are missing."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.git.ask import git, git_status, said
from prodigy_git.jobs import claims, course, index, leases
from prodigy_git.jobs.endings import Released
from prodigy_git.lifecycle import launcher, of_other_host, unended, whereabouts
from prodigy_git.model.session import Session
from prodigy_git.prodigy import runs as prodigys_runs
from prodigy_git.record import (
    clock,
    files,
    gitdir,
    going_on,
    jsonline,
    locks,
    log,
    ownership,
    prodigys,
    register,
    session,
    wake,
    whose,
)
from prodigy_git.record.drain import drain
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.store import (
    by_name,
    ended_by_others,
    home,
    locked,
    mappings,
    other_hosts,
    other_sessions,
    sessions,
)
from prodigy_git.store.events import Broken


@dataclass
class Resumed:
    """What was done: ``worktrees`` were made again, ``problems`` say why others could not be.

    ``sessions`` are those that have not ended, ``taken_up`` of them the one that others had ended.
    """

    job_id: str
    repo: str
    sessions: list[str]
    was_paused: bool = False
    released: list[Released] = field(default_factory=list)
    worktrees: list[str] = field(default_factory=list)
    taken_up: list[str] = field(default_factory=list)
    settled: dict[str, str] = field(default_factory=dict)
    """Sessions that were over (`unended.settle`), and how they ended."""
    elsewhere: list[leases.Elsewhere] = field(default_factory=list)
    """What other hosts work on: nobody can give it back before its lease is over."""
    problems: list[str] = field(default_factory=list)
    pending: int = 0
    in_progress: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``resume --json`` prints them."""
        fields = asdict(self)
        fields["session_ids"] = fields.pop("sessions")
        return fields


def resume(cwd: str, name: str, *, force: bool = False, broken: Broken) -> Resumed:
    """Take up a job, or the session ``name`` and its job, where they were left.

    Claims whose owners are gone are ended, and their sessions with them, with ``force`` also those that
    cannot be told from here; a paused job hands out items again; sessions that have not ended get their
    missing worktrees back. A session ``name`` that others ended (`store.ended_by_others`) goes on, too.
    Of one of another host what it has pushed gets a worktree here (`of_other_host`), and nothing else.
    Raises `ProdigyError` where nothing has that name, while another resume of the job is under way,
    or for a job that has ended; `OSError`.
    """
    try:
        store, repo, job, wanted = _meant(cwd, name)
    except ProdigyError:
        other = of_other_host.worktree(cwd, name, broken=broken)
        if other is None:
            raise
        # The other host's session is that host's: here another one goes on.
        repo = whereabouts.repository(cwd)[1]
        return Resumed(other.job_id, repo, [other.session_id], worktrees=[other.worktree])
    with _alone(store, repo, job):
        done = Resumed(job, repo, [])
        done.released = claims.release_dead(store, repo, job, broken, unknown_too=force)
        if leases.is_shared(store, repo, job, broken):
            known = other_hosts.known(store)
            done.released = [replace(one, host=_called(known, one.host)) for one in done.released]
            done.elsewhere = [
                replace(one, host=known.named(one.host))
                for one in leases.elsewhere(store, repo, job, broken)
            ]
        done.settled = unended.settle(store, broken, repo=repo, job=job).ended
        done.was_paused = course.unpause(store, repo, job, broken)
        for one in wanted:
            found = sessions.catch_up(store, sessions.load(store, one), broken)
            again = one == name and ended_by_others.by_others(found) is not None
            if found.ended and not again:
                if one == name:
                    raise ProdigyError(f"session {one} is {found.status}: nothing to resume")
                continue
            try:
                if _recreated(store, repo, found):
                    made = sessions.load(store, one).text("worktree_path")
                    done.worktrees.append(made or one)
                if again:
                    going_on.go_on(store, one, launcher.described())
                    done.taken_up.append(one)
                done.sessions.append(one)
            except (ProdigyError, OSError, ValueError) as error:
                done.problems.append(f"session {one}: {error}")
        left = claims.waiting(store, repo, job, broken)
        done.pending, done.in_progress = left.pending, left.in_progress
        return done


def _called(known: other_hosts.Hosts, host: str | None) -> str | None:
    return None if host is None else known.named(host)


def _meant(cwd: str, name: str) -> tuple[str, str, str, list[str]]:
    """Return (store, repository key, job, its sessions) of what a session's or a job's id names."""
    store = home.here(cwd)
    if names.is_safe(name) and os.path.lexists(layout.session(store, name)):
        found = sessions.load(store, name)
        if prodigys.wrote(found.metadata):
            raise ProdigyError(_say_whose(store, name))
        repo = found.text("repo")
        if repo is None:
            repo = whereabouts.repository(cwd, take=True)[1]
        return store, repo, found.job, [name]
    if (other := other_sessions.refusal(store, name)) is not None:
        raise other
    store, repo, job = whereabouts.job(cwd, name, take=True)
    if not index.exists(store, repo, job):
        leases.is_shared(store, repo, job, lambda _: None)  # which brings it here
    if not index.exists(store, repo, job) and prodigys_runs.run_of(store, repo, job) is not None:
        raise ProdigyError(_say_whose(store, job))
    if not index.exists(store, repo, job):
        called = by_name.session(store, cwd, name)
        if called != name:
            return _meant(cwd, called)
        raise ProdigyError(f"no session and no job {name}: 'prodigy-git job list' shows the jobs")
    of_job = []
    for one in mappings.sessions_of(store, job, lambda _: None):
        with contextlib.suppress(ProdigyError, OSError):
            if sessions.load(store, one).text("repo") in (repo, None):
                of_job.append(one)
    return store, repo, job, of_job


def _say_whose(store: str, name: str) -> str:
    """Say how a session or job of Prodigy's goes on, or that it is over."""
    run = next(
        (one for one in prodigys_runs.runs(store) if name in (one.session_id, one.job_id)), None
    )
    if run is not None and run.state in ("completed", "cancelled"):
        return f"{name} is Prodigy's, and {run.state}: nothing to resume"
    take_over = "'prodigy-git import' takes over what it left"
    if run is None or run.kind == "Workflow":
        return f"{name} is Prodigy's: 'prodigy resume {name}' goes on with it, or {take_over}"
    return f"{name} is a MapReduce of Prodigy's: {take_over}"


@contextlib.contextmanager
def _alone(store: str, repo: str, job: str) -> Iterator[None]:
    """Hold the lock of a job's resume; a dead holder's is taken over, since the system freed it."""
    path = layout.resume_lock(store, repo, job)
    try:
        lock = locks.take(path, 0)
    except locks.Busy:
        raise ProdigyError(f"job {job} is being resumed by {_holder(path)}: wait for it") from None
    try:
        holder = {
            "pid": os.getpid(), "host": os.uname().nodename, "since": clock.stamp(clock.now()),
        }  # fmt: skip
        os.ftruncate(lock, 0)
        os.pwrite(lock, jsonline.encode(holder).encode("ascii"), 0)
        yield
    finally:
        os.close(lock)


def _holder(path: str) -> str:
    try:
        holder = jsonline.decode_object(files.read(path))
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"


def _recreated(store: str, repo: str, found: Session) -> bool:
    """Make a session's worktree again if its folder is missing; return whether that was so.

    Raises `ProdigyError` where it cannot be, `OSError`.
    """
    path = found.text("worktree_path")
    if path is None or os.path.isdir(path) or sessions.enrolled_place(store, found) is not None:
        return False
    if found.text("trash_path") is not None:
        raise ProdigyError(
            f"its worktree is in the trash: 'prodigy-git worktree restore {found.id}'"
        )
    common = sessions.common_of(store, found)
    if common is None:
        raise ProdigyError(f"its repository {found.text('repo_path')} is gone")
    path = layout.worktree_now(store, repo, path)
    with locked.repository(store, repo):
        private = _private_of(common, path)
        if private is not None:
            _put_back(private, path)
        else:
            _add_again(store, repo, found, common, path)
    restored = ended_by_others.envelope(store, found, f"resumed:{clock.now()}", "WorktreeRestored")
    log.append(store, repo, found.job, [restored | {"worktree_name": found.id}])
    return True


def _private_of(common: str, path: str) -> str | None:
    """Return the private git directory of a worktree whose folder is missing; None if it went too."""
    try:
        listed = os.listdir(f"{common}/worktrees")
    except FileNotFoundError:
        return None
    for name in listed:
        private = f"{common}/worktrees/{name}"
        with contextlib.suppress(OSError):
            if gitdir.worktree_of(private) == path:
                return private
    return None


def _put_back(private: str, path: str) -> None:
    """Make the folder of a worktree whose git data is there: what was staged stays staged."""
    files.make_private(os.path.dirname(path))
    os.mkdir(path)
    with open(f"{path}/.git", "w", encoding="utf-8", errors="surrogateescape") as link:
        link.write(f"gitdir: {private}\n")
    if os.path.exists(f"{private}/index"):
        git(path, "checkout-index", "--all", "--quiet")
    else:
        git(path, "reset", "--hard", "--quiet")
    ownership.hand_over_tree(path)


def _add_again(store: str, repo: str, found: Session, common: str, path: str) -> None:
    """Make a worktree of which nothing but the branch is left, and enrol it in its session again."""
    branch = found.text("branch")
    if branch is None or not repository.has_ref(common, f"refs/heads/{branch}"):
        raise ProdigyError(f"its worktree and its branch {branch} are gone{_back(common, found)}")
    files.make_private(os.path.dirname(path))
    status, _, err = git_status(common, "worktree", "add", "--quiet", path, branch)
    made = repository.private_of(path)
    if status != 0 or made is None:
        raise ProdigyError(f"git worktree add: {said(err, f'exit status {status}')}")
    enrolment = Enrolment(
        store=store, repo=repo, session=found.id, job=found.job, agent=found.text("agent_id"),
        item=found.text("item_id"), nonce=found.text("nonce") or os.urandom(16).hex(),
        worktree=found.id,
    )  # fmt: skip
    _note_again(store, found.id)
    register.enrol(made, enrolment)
    drain(made, enrolment)
    wake.keep(made, enrolment, os.environ)
    whose.note_place(made, enrolment)
    ownership.hand_over_tree(path)


def _back(common: str, found: Session) -> str:
    """Return what brings a branch back that was deleted, as long as git has its last commit."""
    branch, last = found.text("branch"), found.text("last_commit")
    if branch is None or last is None or git_status(common, "cat-file", "-e", last)[0] != 0:
        return ""
    return f": 'git branch {branch} {last}' brings the branch back"


def _note_again(store: str, name: str) -> None:
    """Note from when on the worktree's journal is a new one, for `verify`."""
    lock = locks.take(layout.session_lock(store, name))
    try:
        fields = session.read(store, name)
        fields["metadata"]["enrolled_again_at"] = clock.stamp(clock.now())
        session.write(store, name, fields)
    finally:
        os.close(lock)
