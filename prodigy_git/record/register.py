"""Registering a session: the one implementation, for hooks and for ``new-worktree``.

The order, and what a kill leaves behind: the session's file (an ``Initializing`` session without a
worktree), its mappings, the cursor, the enrolment. The enrolment is the point from which on the
worktree is the session's; the events that open the log are in it, and the drain that follows writes
them. All documents here are locked by `locks.take`, since hooks write them.
"""

from __future__ import annotations

import os
import sys

from prodigy_git import layout, names
from prodigy_git.record import (
    beginnings,
    change_of_job,
    files,
    gitdir,
    journal,
    locks,
    log,
    mapping,
    new_commits,
    prodigys,
    repokey,
    session,
    whose,
    worktree_state,
)
from prodigy_git.record import cursor as cursors
from prodigy_git.record import enrolment as enrolments
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.record.journal import ABORT, FINISH, MADE, PICK, START, UNDECIDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from prodigy_git.record.gitdir import Place


def reserve(
    store: str,
    repo: str,
    worktree: str,
    job: str | None,
    metadata: dict[str, Any],
    wanted: str | None,
) -> str | None:
    """Create a session's file and return the session's id; None where ``wanted`` is taken.

    Without ``wanted`` a fresh ``session-…`` id is drawn. Ids are unique in the whole store and are not
    used again after the session's file is gone: the mappings remember them.
    """
    while True:
        name = wanted or names.fresh("session")
        fields = session.document(name, job, wanted or worktree, {"repo": repo, **metadata})
        fields["metadata"].setdefault("job_id", job or name)
        if not was_used(store, name) and session.reserve(store, fields):
            return name
        if wanted is not None:
            return None


def was_used(store: str, name: str) -> bool:
    """Whether a session was ever called ``name``, also one whose file has been cleaned."""
    try:
        repositories = os.listdir(f"{store}/state")
    except OSError:
        return False
    return any(name in mapping.read(layout.session_to_job(store, repo)) for repo in repositories)


def forget(store: str, repo: str, name: str, private: str | None = None) -> None:
    """Take back the registration of a session that never came to be, as far as it got.

    With ``private`` also cursor and enrolment in that private git directory. Raises `OSError`.
    """
    lock = locks.take(layout.session_lock(store, name))
    try:
        try:
            worktree_state.take_back(store, session.read(store, name))
        except (OSError, ValueError):
            pass  # then Prodigy was told nothing
        paths = [layout.session(store, name)]
        if private is not None:
            end = whose.suffix(private)
            named = (f"{private}/{layout.ENROLMENT}{end}", f"{private}/{layout.CURSOR}{end}")
            paths = [*named, *paths]
        for path in paths:
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
    finally:
        os.close(lock)
    try:
        mapping.take_out(store, repo, name)
    except (OSError, ValueError):
        pass  # a mapping that cannot be written may be what failed


def enrol(place: Place, enrolment: Enrolment) -> None:
    """Write cursor and enrolment, and switch the journal on where git's configuration has it off.

    Where another user's enrolment has the plain name, ours goes beside it. The session is ``Running``
    from here on. The caller then drains.
    """
    _switch_on_reflog(place)
    enrolment.suffix = whose.suffix(place.private)
    lock = locks.take(layout.session_lock(enrolment.store, enrolment.session))
    try:
        cursor = cursors.Cursor(enrolment.start)
        cursor.boot = cursors.boot_id()
        enrolments.claim(lock, enrolment)
        cursors.write(place.private, cursor, enrolment.suffix)
        enrolments.write(place.private, enrolment)
        whose.forget_said(place.private, enrolment.suffix)
        fields = session.read(enrolment.store, enrolment.session)
        fields["status"] = "Running"
        fields["metadata"].update(_identity(place, enrolment))
        session.write(enrolment.store, enrolment.session, fields)
    finally:
        os.close(lock)


def _identity(place: Place, enrolment: Enrolment) -> dict[str, str]:
    """Return what a session's file keeps of the enrolment, for when that, or its path, is gone.

    ``nonce``: an event's id is the same also where only the branch is left to find a commit by.
    ``git_dir``: the private git directory within the common one, which stays when the worktree is
    moved. ``repository_id``: another clone at the same path is another repository.
    """
    private = place.private == place.common
    known = {
        session.NONCE: enrolment.nonce,
        "git_dir": "." if private else f"worktrees/{os.path.basename(place.private)}",
    }
    mark = repokey.mark_of(place.common)
    return known if mark is None else {**known, "repository_id": mark}


def _switch_on_reflog(place: Place) -> None:
    """Create an empty ``logs/HEAD``: git appends to a reflog that is there, whatever is configured.

    (git-config(1), core.logAllRefUpdates.) With reftable there is no such file and none is wanted.
    """
    if os.path.isdir(f"{place.common}/reftable"):
        return
    files.make_private(f"{place.private}/logs", 0o777)  # git's: with the modes that git gives
    os.close(files.create(f"{place.private}/logs/HEAD", os.O_WRONLY, 0o666))


def _begin_reflog(place: Place) -> None:
    """Begin a journal that was switched off with the commit that the hook runs for, as git would."""
    _, sha = gitdir.head(place)
    commit = gitdir.read_commits(place, [sha]).get(sha) if sha else None
    if sha is None or commit is None:
        return
    old = commit.parents[0] if commit.parents else "0" * len(sha)
    verb = ("commit (initial)", "commit", "commit (merge)")[min(len(commit.parents), 2)]
    line = f"{old} {sha} ".encode() + commit.committer + f"> {commit.seconds} +0000\t".encode()
    line += f"{verb}: {commit.subject}\n".encode("utf-8", "replace")
    files.make_private(f"{place.private}/logs", 0o777)  # git's: with the modes that git gives
    try:
        flags = os.O_WRONLY | os.O_EXCL
        descriptor = files.create(f"{place.private}/logs/HEAD", flags, 0o666)
    except FileExistsError:
        return  # another hook was faster
    try:
        files.write_all(descriptor, line)
    finally:
        os.close(descriptor)


def register_in_hook(
    place: Place, hook: str, arguments: list[str], installed: int, environ: Mapping[str, str]
) -> Enrolment | None:
    """Register a session for a worktree that a hook ran in and that has none; None where it should not.

    A worktree made after ``installed`` (seconds since 1970; 0: unknown) has its journal recorded from
    its start; another one from its first commit after ``installed``, or else from the commit that the
    hook ran for. A hook that ran for no commit registers only a new worktree. What could not be
    registered is remembered beside the journal, so that the next hook begins at the same place. Where
    another user has a session in the worktree, it was there before, and what that user made stays out.
    ``prodigy.autoRegister false`` switches this off; a worktree in which is merged has no session.
    """
    if _is_to_have_none(place):
        return None
    movements, _ = new_commits.behind(place, cursors.Cursor())
    original = whose.copied_from(place)
    suffix = whose.suffix(place.private)
    if suffix:
        installed = 0
    if original is None:
        first = _first_own(movements, hook, arguments, installed)
    else:
        first = whose.first_of_copy(place.private, original, movements)
    if first is None:
        return None
    if original is None:
        first = beginnings.first(place, movements, first, installed, suffix)
    return _register_once(place, hook, movements, first, environ, original)


def register_for_program(
    place: Place, program: str, environ: Mapping[str, str], agent: str | None
) -> Enrolment | None:
    """Register a session for a worktree in which an agent program starts; None: it is to have none.

    It begins at the journal's end: what was committed before is not the program's, but for what a hook
    has seen and could not register. ``agent`` is who works there, where the environment does not say.
    """
    if _is_to_have_none(place):
        return None
    movements, _ = new_commits.behind(place, cursors.Cursor())
    original = whose.copied_from(place)
    if original is None:
        suffix = whose.suffix(place.private)
        first = beginnings.first(place, movements, len(movements), 0, suffix)
    else:
        made_there = whose.first_of_copy(place.private, original, movements)
        first = len(movements) if made_there is None else made_there
    return _register_once(
        place, session.BY_PROGRAM + program, movements, first, environ, original, agent=agent
    )


def _is_to_have_none(place: Place) -> bool:
    """Whether a worktree is to have no session: what is merged in, or as the user has configured."""
    if os.path.lexists(f"{place.private}/{layout.UNRECORDED}"):
        return True
    status, out = gitdir.ask(place, "config", "--type=bool", "--get", "prodigy.autoRegister")
    return status == 0 and out.strip() == b"false"


def _register_once(
    place: Place,
    hook: str,
    movements: list[journal.Movement],
    first: int,
    environ: Mapping[str, str],
    original: Enrolment | None,
    *,
    agent: str | None = None,
) -> Enrolment:
    """Register a session that begins at ``movements[first]``, unless another hook was faster."""
    try:
        store = layout.store_from(environ)
        repo = repokey.take(store, place.common)
        # Two hooks of one worktree can run at once: only one may register it.
        lock = locks.take(layout.register_lock(store, repo))
        try:
            there = enrolments.read(place.private)
            if there is None:
                there = _register(
                    place, hook, movements, first, store, repo, environ, original, agent
                )
                if original is not None:
                    sys.stderr.write(whose.describe_copy(original, there.session, place))
        finally:
            os.close(lock)
    except (OSError, ValueError):
        beginnings.remember(place, movements, first)
        raise
    beginnings.forget(place)
    return there


def _register(
    place: Place,
    hook: str,
    movements: list[journal.Movement],
    first: int,
    store: str,
    repo: str,
    environ: Mapping[str, str],
    original: Enrolment | None,
    otherwise: str | None,
) -> Enrolment:
    job = _id_from(environ, "PRODIGY_JOB_ID", store)
    if job is None:
        _, out = gitdir.ask(place, "config", "--get", "prodigy.job")
        job = _safe(out.decode("utf-8", "replace").strip(), "git config prodigy.job", store)
    agent = _id_from(environ, "PRODIGY_AGENT_ID", store) or otherwise
    item = _id_from(environ, "PRODIGY_ITEM_ID", store)
    branch, _ = gitdir.head(place)
    known = prodigys.origin(store, place.top, branch)
    last = movements[first - 1] if first > 0 else None
    base = movements[first].old if first < len(movements) else ""
    if first == 0 and movements and journal.is_null(base) and not movements[0].message:
        base = movements[0].new  # the line that `worktree add` begins a journal with
    if hook.startswith(session.BY_PROGRAM) and first == len(movements):
        base = movements[-1].new if movements else gitdir.head(place)[1] or ""
    base = "" if journal.is_null(base) else base
    worktree = os.path.basename(place.top) or repo
    shown = gitdir.printable(worktree)
    metadata = {
        "repo_path": os.path.realpath(place.common),
        "worktree_path": place.top,
        "branch": None if branch is None else gitdir.printable(branch),
        "base_commit": base or None,
        "agent_id": agent,
        "item_id": item,
        "host": os.uname().nodename,
        "created_by": hook,
        "parent_session": None if original is None else original.session,
        "commits": 0,
    }
    kind = job
    if known is not None:
        job, kind = prodigys.note(known, job, metadata)
        agent, item = agent or known.agent, item or known.item
        if known.parent is not None:
            change_of_job.give_parent(place, known.parent, known.job)
    name = reserve(store, repo, shown, kind, metadata, None)
    assert name is not None  # only a wanted id can be taken
    opening: list[tuple[str, dict[str, Any]]] = [("SessionStarted", {"created_by": hook})]
    if base:
        opening[0][1]["base"] = base
    if hook == "post-checkout":
        made: dict[str, Any] = {"worktree_name": shown, "base": base}
        if branch is not None:
            made["branch"] = gitdir.printable(branch)
        opening.append(("WorktreeCreated", made))
    if agent is not None:
        opening.append(("AgentStarted", {"worktree": name, "attempt": 1}))
    enrolment = Enrolment(
        store=store,
        repo=repo,
        session=name,
        job=job or name,
        agent=agent,
        item=item,
        nonce=os.urandom(16).hex(),
        worktree=shown,
        opening=opening,
        start=None if last is None else beginnings.behind(last),
    )
    mapping.put(store, repo, name, enrolment.job)
    if not movements and hook == "post-commit":
        _begin_reflog(place)
    enrol(place, enrolment)
    return enrolment


def _first_own(
    movements: list[journal.Movement], hook: str, arguments: list[str], installed: int
) -> int | None:
    """Return the index of the first movement that is the session's, None where there is none yet."""
    if hook == "post-checkout":
        # `worktree add` gives the null SHA as the previous HEAD (githooks(5)), as does `clone`.
        return 0 if arguments and journal.is_null(arguments[0]) else None
    if not movements:
        return 0  # the repository keeps no reflog: from here on it does
    newest = movements[-1]
    # Whole seconds: a journal that began in the installation's own may be older.
    if installed and movements[0].seconds > installed and journal.is_null(movements[0].old):
        return 0
    if newest.kind in (FINISH, ABORT) or hook == "post-rewrite":
        begins = [i for i, movement in enumerate(movements) if movement.kind == START]
        if begins and arguments[:1] == ["rebase"]:
            return begins[-1]
    return len(movements) - 1 if newest.kind in (MADE, PICK, UNDECIDED) else None


def _id_from(environ: Mapping[str, str], variable: str, store: str) -> str | None:
    return _safe(environ.get(variable, ""), variable, store)


def _safe(text: str, source: str, store: str) -> str | None:
    """Return an id from outside, None where there is none or it is not safe: a hook goes on."""
    if not text:
        return None
    if names.is_safe(text):
        return text
    log.report(store, f"{source}={text} is not a safe id and is not used")
    return None
