"""Making a worktree for a session: all of it, or nothing."""

import contextlib
import functools
import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from prodigy_git import names
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.git.ask import SILENCE, git
from prodigy_git.lifecycle import beginning, launcher, naming, preparing, taking
from prodigy_git.lifecycle.meanwhile import done_meanwhile
from prodigy_git.record import mapping, ownership, register, repokey, wake
from prodigy_git.record.drain import drain
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.setup import groups, ignored_files
from prodigy_git.setup.plan import Approve
from prodigy_git.store import enrolled, home, reserve
from prodigy_git.store.broken import Broken

_SETTINGS = r"^(prodigy\.(job|branchformat)|core\.ignorecase|branch\..*\.merge)$"


class Unready(ProdigyError):
    """What makes a worktree ready for work has failed: a set-up command, the repository's own hook."""


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
    setup: preparing.State = "none"

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
    path: str | None = None,
    pull: int | None = None,
    claimed: int | None = None,
    setup: bool = True,
    more: Mapping[str, Any] | None = None,
    approve: Approve = lambda _: False,
    keep_failed: bool = False,
    say: preparing.Say = lambda _: None,
    broken: Broken,
    progress: ignored_files.Progress = lambda _, __: None,
    meanwhile: Callable[[str], object] | None = None,
) -> NewWorktree:
    """Make a worktree of the repository around ``cwd`` under ``worktrees/{repo}/``, and its session.

    ``name`` is the session's id and the folder's name (default: a fresh ``agent-…`` or
    ``session-…``); one with a slash is the new branch's. ``branch`` is a new one, or one to be checked
    out: as it is here, else as a remote has it, or from the ``pull`` request of that number. A new one
    begins at the revision ``base`` (default: HEAD of the worktree around ``cwd``; for an item whose
    result was not merged, the branch that it was to go into), and is called as `naming` says. ``path``
    is where the worktree is to be. ``job`` defaults to ``$PRODIGY_JOB_ID``, then git config
    ``prodigy.job``, then the session's id. An item of a job that was started with items
    is claimed, unless its agent has it already; ``claimed`` is the attempt where the caller has claimed
    it. ``more`` is for the session's metadata, and says better who asked. A job checkpoint that cannot
    be written is reported to ``broken``. ``meanwhile`` is called with
    the path by another thread, as `done_meanwhile` says, while git writes the files.

    What git ignores comes along (`ignored_files`), and ``progress`` hears how far that is. With
    ``setup`` its set-up commands run (`preparing`): ``approve`` is asked about those that nobody has
    trusted, ``say`` told each. Raises `ProdigyError`, `names.BadName` or `OSError`; then no branch,
    folder, session or registration remains, but with ``keep_failed`` a worktree whose set-up failed.
    """
    place = repository.find(cwd)
    store = home.here(cwd)
    settings = repository.settings(cwd, _SETTINGS)
    if job is None:
        job = os.environ.get("PRODIGY_JOB_ID") or settings.get("prodigy.job") or None
    plain = None if name is not None and "/" in name else name
    for value, what in ((plain, "name"), (job, "job id"), (agent, "agent id"), (item, "item id")):
        if value is not None:
            names.checked(value, what)
    if base is None and item is not None and branch is None and pull is None:
        from prodigy_git.jobs import unmerged

        base = unmerged.beginning(store, place.common, job, item)
    begun = beginning.of(cwd, place, name=name, base=base, branch=branch, pull=pull)
    base_branch, base_commit = begun.base_branch, begun.commit
    spot = None if path is None else naming.spot(store, place, cwd, path)
    try:
        repo = repokey.take(store, place.common)
    except ValueError as error:
        raise ProdigyError(str(error)) from error
    where, failure = None, None
    preparation = preparing.Preparation(
        store, repo, place.common, enrolled.top(place.common, place.common),
        preparing.read_ahead(place, base_commit) if setup else None, approve, broken,
    )  # fmt: skip
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
            **(more or {}),
        }
        asked = taking.Asked(
            place, store, repo, name, job, agent, item, claimed, begun, spot, settings,
            preparation.begin,
        )  # fmt: skip
        session, path, branch = taking.take(undo, asked, metadata, broken)
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
        if begun.exists:
            opening[-1][1]["branch_existed"] = True
        if agent is not None and claimed is None:
            from prodigy_git.jobs import claims

            claim = claims.begin(undo, store, repo, job, agent, item, session, broken)
            if not claim.recorded:
                opening.append(("AgentStarted", {"worktree": session, "attempt": claim.attempt}))
        enrolment = Enrolment(
            store=store, repo=repo, session=session, job=job or session, agent=agent, item=item,
            nonce=os.urandom(16).hex(), worktree=session, opening=opening,
        )  # fmt: skip
        try:
            mapping.put(store, repo, session, enrolment.job)
            register.enrol(made, enrolment)
            lists = ignored_files.lists(made)
            if lists is not None:
                preparation.begin_copying(undo, session)
                ignored_files.bring(store, made, lists, broken, progress)
            _run_post_checkout(path, base_commit)
            note = preparation.note
            try:
                if note is not None and note.plan.parts:
                    undo.callback(preparing.take_back, note, made, enrolment.job, broken, say)
                    where = preparing.run(note, made, enrolment.job, broken, say)
            except ProdigyError as error:
                if not keep_failed:
                    text = f"{error}; nothing was made, --keep-failed would keep it"
                    raise Unready(text) from error
                failure = error
            ownership.hand_over_tree(path)
            drain(made, enrolment)
            wake.keep(made, enrolment, os.environ)  # its first commit waits for nobody, either
        except ValueError as error:
            raise ProdigyError(str(error)) from error
        undo.pop_all()
    if failure is not None:
        assert note is not None
        preparing.keep_failed(note, path, failure, broken)
    beginning.follow(place, begun, branch, settings, broken)
    if note is not None:
        preparing.start(note, where, enrolment.job, broken)
    reserve.keep(store, place.common)
    if job is not None:
        from prodigy_git.jobs import course

        try:
            course.note_joined(store, repo, job, session, broken)
        except (ProdigyError, OSError, ValueError) as error:
            broken(f"no checkpoint of job {job} written ({error}): the log has everything")
    assert preparation.decision is not None
    return NewWorktree(
        session, enrolment.job, agent, item, path, branch, base_branch, base_commit,
        preparation.decision.state,
    )  # fmt: skip


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


def _run_post_checkout(path: str, commit: str) -> None:
    """Run the repository's own post-checkout hook, as ``git worktree add`` with a checkout does.

    Ours is silenced. What the hook prints goes to stderr, like git's own.
    """
    null = "0" * len(commit)
    sys.stderr.flush()
    hook: subprocess.Popen[bytes] | None = None
    try:
        with groups.signals_held_back():
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
            groups.end_child(hook)
        raise
    if status != 0:
        raise Unready(
            f"the repository's post-checkout hook failed (exit status {status}): nothing was made"
        )
