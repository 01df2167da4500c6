"""Making a worktree for a session: all of it, or nothing."""

import contextlib
import functools
import importlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.git.ask import SILENCE, git, git_status, said
from prodigy_git.lifecycle import launcher
from prodigy_git.lifecycle.meanwhile import done_meanwhile
from prodigy_git.record import gitdir, mapping, ownership, register, repokey, wake, within
from prodigy_git.record.drain import drain
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.record.gitdir import Place
from prodigy_git.store import home, locked, reserve
from prodigy_git.store.broken import Broken

_TRIES = 5


@dataclass(frozen=True)
class NewWorktree:
    """What was made; ``worktree`` is the path, None where there is no such thing."""

    session_id: str
    job_id: str
    agent_id: str | None
    item_id: str | None
    worktree: str
    branch: str
    base_branch: str | None
    base_commit: str

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``new-worktree --json`` prints them."""
        return asdict(self)


def new_worktree(
    cwd: str,
    *,
    name: str | None = None,
    job: str | None = None,
    agent: str | None = None,
    item: str | None = None,
    base: str | None = None,
    branch: str | None = None,
    claimed: int | None = None,
    broken: Broken,
    meanwhile: Callable[[str], object] | None = None,
) -> NewWorktree:
    """Make a worktree of the repository around ``cwd`` under ``worktrees/{repo}/``, and its session.

    ``name`` is the session's id and the folder's name (default: a fresh ``agent-…`` or
    ``session-…``), ``base`` the revision that the new ``branch`` (default ``prodigy-{name}``) begins
    at (default: HEAD of the worktree around ``cwd``; for an item whose result was not merged, the
    branch that it was to go into). ``job`` defaults to ``$PRODIGY_JOB_ID``, then git
    config ``prodigy.job``, then the session's id. An item of a job that was started with items is
    claimed, unless its agent has it already; ``claimed`` is the attempt where the caller has claimed
    it. A job checkpoint that cannot be written is reported to ``broken``. ``meanwhile`` is called with
    the path by another thread, as `done_meanwhile` says, while git writes the files. Raises
    `ProdigyError`, `names.BadName` or `OSError`; then no branch, folder, session or registration
    remains.
    """
    place = repository.find(cwd)
    store = home.here(cwd)
    if job is None:
        job = os.environ.get("PRODIGY_JOB_ID") or repository.config(cwd, "prodigy.job") or None
    for value, what in ((name, "name"), (job, "job id"), (agent, "agent id"), (item, "item id")):
        if value is not None:
            names.checked(value, what)
    if base is None and item is not None:
        from prodigy_git.jobs import unmerged

        base = unmerged.beginning(store, place.common, job, item)
    base_branch, base_commit = _beginning(cwd, place, base)
    try:
        repo = repokey.take(store, place.common)
    except ValueError as error:
        raise ProdigyError(str(error)) from error
    with contextlib.ExitStack() as undo:
        metadata = {
            "repo_path": os.path.realpath(place.common),
            "base_branch": base_branch,
            "base_commit": base_commit,
            "agent_id": agent,
            "item_id": item,
            **launcher.described(),
            "created_by": "new-worktree",
            "commits": 0,
        }
        session, path, branch = _reserve(undo, cwd, store, repo, name, job, agent, branch, metadata)
        _add(undo, place, store, repo, path, branch, base_commit)
        made = repository.private_of(path)
        if made is None:
            raise ProdigyError(f"git made no worktree at {path}")
        # What `worktree add` does itself after adding; here it is outside of the repository's lock.
        with done_meanwhile(functools.partial(_ahead, agent, job, path, meanwhile)):
            git(path, "reset", "--hard", "--quiet", "--no-recurse-submodules")
        opening: list[tuple[str, dict[str, Any]]] = [
            ("SessionStarted", {"created_by": "new-worktree", "base": base_commit}),
            ("WorktreeCreated", {"worktree_name": session, "branch": branch, "base": base_commit}),
        ]
        if agent is not None and claimed is None:
            from prodigy_git.jobs import claims

            begun = claims.begin(undo, store, repo, job, agent, item, session, broken)
            if not begun.recorded:
                opening.append(("AgentStarted", {"worktree": session, "attempt": begun.attempt}))
        enrolment = Enrolment(
            store=store, repo=repo, session=session, job=job or session, agent=agent, item=item,
            nonce=os.urandom(16).hex(), worktree=session, opening=opening,
        )  # fmt: skip
        try:
            mapping.put(store, repo, session, enrolment.job)
            register.enrol(made, enrolment)
            _run_post_checkout(path, base_commit)
            ownership.hand_over_tree(path)
            drain(made, enrolment)
            wake.keep(made, enrolment, os.environ)  # its first commit waits for nobody, either
        except ValueError as error:
            raise ProdigyError(str(error)) from error
        undo.pop_all()
    reserve.keep(store, place.common)
    if job is not None:
        from prodigy_git.jobs import course

        try:
            course.note_joined(store, repo, job, session, broken)
        except (ProdigyError, OSError, ValueError) as error:
            broken(f"no checkpoint of job {job} written ({error}): the log has everything")
    return NewWorktree(session, enrolment.job, agent, item, path, branch, base_branch, base_commit)


def _ahead(
    agent: str | None, job: str | None, path: str, meanwhile: Callable[[str], object] | None
) -> None:
    """Import what is needed once git has written the files; then what the caller wants done."""
    # The two take a third of the time that git takes for three thousand files.
    if agent is not None:
        importlib.import_module("prodigy_git.jobs.claims")
    if job is not None:
        importlib.import_module("prodigy_git.jobs.course")
    if meanwhile is not None:
        meanwhile(path)


def _beginning(cwd: str, place: Place, base: str | None) -> tuple[str | None, str]:
    """Return the branch and the commit that a revision names; None is HEAD. Raises `ProdigyError`."""
    if base is not None:
        return repository.branch_of(cwd, base), repository.commit_of(cwd, base)
    branch, commit = gitdir.head(place)  # which seldom takes a process
    if commit is None or not gitdir.is_sha(commit):
        return branch, repository.commit_of(cwd, "HEAD")
    return branch, commit


def _reserve(
    undo: contextlib.ExitStack,
    cwd: str,
    store: str,
    repo: str,
    name: str | None,
    job: str | None,
    agent: str | None,
    branch: str | None,
    metadata: dict[str, Any],
) -> tuple[str, str, str]:
    """Take a session id, with folder and branch; return id, path and branch."""
    while True:
        wanted = name or names.fresh("agent" if agent else "session")
        path = f"{layout.worktrees(store, repo)}/{wanted}"
        new_branch = f"prodigy-{wanted}" if branch is None else branch
        fits = names.fits_into_ref(wanted)
        # What is made of a name that fits is a branch's name, too.
        if not (fits and branch is None) and not _can_be_branch(cwd, new_branch):
            raise ProdigyError(
                f"{new_branch!r} cannot be a branch: choose another NAME or --branch"
            )
        # Or the worktree could never be cleaned: the salvage ref has the session's id in its name.
        if not fits:
            raise ProdigyError(f"{wanted} cannot be a part of a ref's name: choose another NAME")
        places = {"worktree_path": path, "branch": new_branch}
        try:
            session = register.reserve(store, repo, wanted, job, {**metadata, **places}, wanted)
        except ValueError as error:
            raise ProdigyError(str(error)) from error
        if session is not None:
            break
        if name is not None:
            raise ProdigyError(f"the name {name} has been used before: choose another")
    undo.callback(register.forget, store, repo, session)
    if os.path.lexists(path):
        raise ProdigyError(f"{path} exists already: choose another NAME")
    return session, path, new_branch


def _can_be_branch(cwd: str, name: str) -> bool:
    return git_status(cwd, "check-ref-format", "--branch", name)[0] == 0


def _add(
    undo: contextlib.ExitStack,
    place: Place,
    store: str,
    repo: str,
    path: str,
    branch: str,
    commit: str,
) -> None:
    """Run ``git worktree add`` without checking out.

    Concurrent ones race inside git (one reads the ``commondir`` file that another has not yet
    written), leaving their branch behind: so ours run one at a time, and are tried again when they
    meet somebody else's.
    """
    within.make_folder(store, os.path.dirname(path))
    with locked.repository(store, repo):
        if gitdir.tip(place, branch) is not None:
            raise ProdigyError(
                f"the branch {branch} exists already: choose another NAME or --branch"
            )
        undo.callback(_take_back, place.common, path, branch, commit)
        for attempt in range(1, _TRIES + 1):
            # From where the user stands: git copies that worktree's sparse-checkout patterns.
            status, _, err = git_status(
                place.top, "worktree", "add", "--quiet", "--no-track", "--no-checkout",
                "-b", branch, path, commit,
            )  # fmt: skip
            if status == 0:
                return
            if "commondir" not in err or attempt == _TRIES:
                raise ProdigyError(f"git worktree add: {said(err, f'exit status {status}')}")
            _delete_branch(place.common, branch, commit)


def _delete_branch(common: str, branch: str, commit: str) -> None:
    """Delete a branch that still is where we made it: a compare-and-swap on its SHA."""
    if repository.has_ref(common, f"refs/heads/{branch}"):
        git(common, "update-ref", "-d", f"refs/heads/{branch}", commit)


def _take_back(common: str, path: str, branch: str, commit: str) -> None:
    """Remove a worktree and branch that were made a moment ago and that nobody has seen yet."""
    # `_add` may still hold the lock, which is not reentrant: so none is taken here. Removing one
    # worktree by its path touches no other's files.
    if os.path.lexists(f"{path}/.git"):
        git_status(common, "worktree", "remove", "--force", "--force", path)
    shutil.rmtree(path, ignore_errors=True)
    _delete_branch(common, branch, commit)


def _run_post_checkout(path: str, commit: str) -> None:
    """Run the repository's own post-checkout hook, as ``git worktree add`` with a checkout does.

    Ours is silenced. What the hook prints goes to stderr, like git's own.
    """
    null = "0" * len(commit)
    sys.stderr.flush()
    hook: subprocess.Popen[bytes] | None = None
    try:
        with _signals_held_back():
            hook = subprocess.Popen(
                [
                    "git",
                    "hook",
                    "run",
                    "--ignore-missing",
                    "post-checkout",
                    "--",
                    null,
                    commit,
                    "1",
                ],
                cwd=path,
                stdin=subprocess.DEVNULL,
                stdout=2,
                env={**os.environ, SILENCE: "1"},
                process_group=0,
            )
        status = hook.wait()
    except BaseException:
        # Interrupted: it must not go on writing into a folder that is being taken back. `git hook
        # run` dies of a signal without passing it on, hence a group of its own.
        if hook is not None:
            _end_group(hook)
        raise
    if status != 0:
        raise ProdigyError(
            f"the repository's post-checkout hook failed (exit status {status}): nothing was made"
        )


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Let a signal that arrives meanwhile act at the end only.

    One that interrupts `subprocess.Popen` leaves a process behind that nobody has a name for.
    """
    held: list[int] = []
    previous = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if callable(signal.getsignal(number)):
                previous[number] = signal.signal(number, lambda came, _: held.append(came))
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    for came in held:
        signal.raise_signal(came)


def _end_group(leader: subprocess.Popen[bytes]) -> None:
    """End a process group, by force where it does not heed a request within five seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            leader.wait(timeout=5)
            return
