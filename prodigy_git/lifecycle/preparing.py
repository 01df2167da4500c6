"""A new worktree is made ready to work, by the commands that its repository and its user have for that.

What would run is read from the commit that the worktree begins at, once, and asked about before
anything is made. Then, in the worktree: the commands before it is handed over, and those in the
background after.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.record import files, locks, within
from prodigy_git.record.gitdir import Place
from prodigy_git.setup import what_runs, which_files
from prodigy_git.setup.plan import Approve, Plan
from prodigy_git.store.broken import Broken

if TYPE_CHECKING:  # imported where there is something to be run
    from prodigy_git.setup.notes import Note
    from prodigy_git.setup.stages import Site

State = Literal["done", "none", "skipped", "untrusted", "failed"]
"""What became of a set-up; "failed" where the worktree was kept all the same."""
Say = Callable[[str], None]
"""Called with what is being done, a line each."""


@dataclass(frozen=True)
class Decision:
    """What is to run in a new worktree, and how that was decided."""

    plan: Plan
    state: State


SKIPPED = Decision(Plan(), "skipped")


def read_ahead(place: Place, commit: str) -> Callable[[], Plan]:
    """Read by another thread what would run in a worktree of ``commit``; return what waits for that.

    It takes two processes of git, beside which others work. What is returned raises `ProdigyError`.
    """
    found: list[Plan | BaseException] = []

    def read() -> None:
        try:
            found.append(what_runs.plan(place, commit))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=read)
    thread.start()

    def result() -> Plan:
        thread.join()
        if isinstance(found[0], BaseException):
            raise found[0]
        return found[0]

    return result


def decide(store: str, repo: str, common: str, plan: Plan, approve: Approve) -> Decision:
    """Return what of a plan runs in a new worktree; what is trusted meanwhile is noted.

    Without trust one's own commands run, and none of the repository's. Raises `ProdigyError` for a
    damaged list of what is trusted, or as ``approve``.
    """
    if not plan.has("run", "start", "teardown"):
        return Decision(Plan(), "none")
    if not plan.given("run", "start", "teardown"):
        return Decision(plan, "done")
    from prodigy_git.setup import trust

    if not trust.is_trusted(store, repo, common, plan):
        if not approve(plan):
            own = tuple(part for part in plan.parts if not part.given)
            return Decision(Plan(own), "untrusted")
        trust.trust(store, repo, common, plan)
    return Decision(plan, "done")


def check(store: str, repo: str, cwd: str, base: str | None) -> None:
    """Raise `ProdigyError` where a worktree of ``base`` would lack its set-up for want of trust."""
    from prodigy_git.git import repository

    place = repository.find(cwd)
    commit = repository.commit_of(cwd, "HEAD" if base is None else base)
    try:
        plan = what_runs.plan(place, commit)
    except what_runs.Unfollowed:
        return  # each worktree says so
    decide(store, repo, place.common, plan, refuse)


def refuse(plan: Plan) -> bool:
    """Raise `ProdigyError`: where nobody would see a warning, nothing begins half ready."""
    raise ProdigyError(f"{untrusted(plan)}, or --no-setup does without")


def untrusted(plan: Plan) -> str:
    """Return, in words, that set-up commands wait for a person."""
    from prodigy_git.setup import trust

    sources = " and ".join(dict.fromkeys(part.source for part in plan.parts if part.given))
    return (
        f"the set-up commands of {sources} are not trusted: a person allows them with "
        f"'{trust.how(plan.commit)}'"
    )


@dataclass
class Preparation:
    """What is to be done to one new worktree, decided before there is anything of it.

    ``would_run`` is None where no set-up is wanted, ``top`` the main worktree.
    """

    store: str
    repo: str
    common: str
    top: str
    would_run: Callable[[], Plan] | None
    approve: Approve
    broken: Broken
    decision: Decision | None = None
    note: "Note | None" = None

    def begin(self, undo: contextlib.ExitStack, session: str) -> None:
        """Decide, and note that a session's worktree is being set up, if it is, before it is made.

        So whoever finds a part of it knows that nobody has it yet. ``undo`` forgets the note. Raises as
        `decide`, or `OSError`.
        """
        if self.decision is None:
            self.decision = SKIPPED
            if self.would_run is not None:
                try:
                    plan = self.would_run()
                except what_runs.Unfollowed as error:
                    self.broken(f"no set-up commands: {error}")
                    plan = Plan()
                self.decision = decide(self.store, self.repo, self.common, plan, self.approve)
        self.note = None  # of a session that was given up
        # Copying takes as long as it takes; which lists count is known once there are files.
        copies = any(os.path.lexists(f"{self.top}/{name}") for name in which_files.NAMES)
        if copies or self.decision.plan.has("run", "start", "teardown"):
            self.begin_copying(undo, session)

    def begin_copying(self, undo: contextlib.ExitStack, session: str) -> None:
        """Note it, where that has not been done: a list may come with the commit. Raises `OSError`."""
        if self.note is None:
            from prodigy_git.setup import notes

            assert self.decision is not None
            self.note = notes.begin(self.store, self.repo, session, self.decision.plan, making=True)
            undo.callback(self.note.drop)


def run(remembered: "Note", place: Place, job: str, broken: Broken, say: Say) -> "Site":
    """Run the commands that come before a worktree is handed over; return where the others run.

    Raises `ProdigyError` with what failed, its last lines told to ``broken``, or `OSError`; none of the
    commands runs then.
    """
    from prodigy_git.setup import stages

    where = stages.site(place, broken)
    if remembered.plan.has("run"):
        log = layout.setup_log(remembered.store, remembered.repo, job, remembered.session)
        within.refuse_links(remembered.store, log)
        try:
            stages.run("run", remembered.plan, where, log, note=remembered, say=say)
        except stages.Failed as failure:
            for line in failure.last:
                broken(f"| {line}")
            raise
    return where


def take_back(remembered: "Note", place: Place, job: str, broken: Broken, say: Say) -> None:
    """Tear down what a set-up that failed, or was interrupted, has done so far; a failure is told."""
    from prodigy_git.setup import stages

    if not remembered.plan.has("teardown"):
        return
    log = layout.setup_log(remembered.store, remembered.repo, job, remembered.session)
    try:
        where = stages.site(place, broken)
        with _a_further_signal_ends_it():
            stages.run("teardown", remembered.plan, where, log, note=remembered, say=say)
    except _Hurried:
        broken("the teardown was interrupted: something of the set-up may be left")
    except (ProdigyError, OSError) as error:
        broken(str(error))


class _Hurried(BaseException):
    """Somebody does not want to wait for a teardown."""


@contextlib.contextmanager
def _a_further_signal_ends_it() -> Iterator[None]:
    """Where an interruption is being undone, let the next one raise `_Hurried` within a ``with``, once.

    Elsewhere in an undoing signals are ignored: git must not be cut short, nor what it would leave. But
    a command of somebody else's may take for ever; and it must not ignore the signals that end it.
    """
    undone = sys.exc_info()[1]
    interrupted = undone is not None and not isinstance(undone, Exception)
    if not interrupted or threading.current_thread() is not threading.main_thread():
        yield
        return
    previous: dict[int, Any] = {}
    came: list[int] = []

    def hurry(number: int, frame: FrameType | None) -> None:
        if callable(previous[number]):
            previous[number](number, frame)
        came.append(number)
        if len(came) == 1:
            raise _Hurried

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.getsignal(number)
            signal.signal(number, hurry)
        yield
    finally:
        for held, handler in previous.items():
            signal.signal(held, handler)


def start(remembered: "Note", where: "Site | None", job: str, broken: Broken) -> None:
    """Start what runs in the background, now that the worktree is its user's; never raises.

    ``where`` is None where no command runs in it.
    """
    try:
        if where is not None:
            from prodigy_git.setup import background

            background.start(remembered, where, job, broken)
        remembered.settle()  # until then it is half-way, for whoever finds it so
    except (ProdigyError, OSError) as error:
        broken(f"not all is started in the background: {error}")


def keep_failed(remembered: "Note", path: str, failure: ProdigyError, broken: Broken) -> None:
    """End the session of a worktree whose set-up failed, and that is kept. Always raises."""
    from prodigy_git.lifecycle import interrupted_setups

    ended = interrupted_setups.cancel(remembered, str(failure), broken)
    raise ProdigyError(f"{failure}; kept in {path}, its session is {ended}") from failure


def again(store: str, session: str, *, approve: Approve, say: Say, broken: Broken) -> State:
    """Set up the worktree of a session that is there already, by what its commit says.

    What was started for it before is ended first. Raises `ProdigyError`, also where it is not trusted,
    or `OSError`; what its teardown would undo is remembered all the same.
    """
    from prodigy_git.git import repository
    from prodigy_git.setup import background, notes
    from prodigy_git.store import sessions

    found = sessions.load(store, session)
    there = sessions.enrolled_place(store, found)
    if there is None:
        raise ProdigyError(f"session {session} has no worktree that could be set up")
    place, enrolment = there
    commit = repository.commit_of(place.top, "HEAD")
    plan = what_runs.plan(place, commit)
    decision = decide(store, enrolment.repo, place.common, plan, approve)
    if decision.state == "untrusted":
        raise ProdigyError(untrusted(plan))
    if decision.state == "none":
        return "none"
    with _alone(store, session):
        before = notes.read(store, session)
        if before is not None:
            background.end_interrupted(before)
            background.end(before, broken)
            before.drop()
        remembered = notes.begin(store, enrolment.repo, session, decision.plan, making=False)
        try:
            where = run(remembered, place, enrolment.job, broken, say)
        except BaseException:
            remembered.settle()  # what it did so far is torn down, too
            raise
        start(remembered, where, enrolment.job, broken)
    return "done"


@contextlib.contextmanager
def _alone(store: str, session: str) -> Iterator[None]:
    """Let nobody else set a worktree up again meanwhile. Raises `ProdigyError` where somebody does.

    The note says so, too, but two may read it before one of them writes.
    """
    files.make_private(f"{store}/locks")
    try:
        lock = locks.take(layout.setup_lock(store, session), 0.0)
    except locks.Busy:
        raise ProdigyError(f"the set-up of {session} is under way: wait for it") from None
    try:
        yield
    finally:
        os.close(lock)
