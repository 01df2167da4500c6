"""What an agent program asks of us for its worktrees: it makes none itself where we are asked.

Started by the entry of the programs' hooks (`record.agent_hook`), which has no libraries, for Claude
Code's hooks WorktreeCreate and WorktreeRemove. The program takes the last line of our standard
output for the new worktree's path, and an exit status other than 0 for a failure. Ours is `FAILED`:
any other says that we could not even begin.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from prodigy_git import cli, descriptors, gitenv
from prodigy_git.cli import output
from prodigy_git.errors import ProdigyError

FAILED = 3
"""The exit status where there is no worktree, or one still is."""
_PID = "CLAUDE_PID"
"""Where the program says which process it is."""


@dataclass(frozen=True)
class Asking:
    """The program that asks: its name, the folder that it works in, and its process.

    ``parent`` is who started the hook, which may be another by now; ``process`` is None where the
    program does not say.
    """

    program: str
    cwd: str
    parent: int | None
    process: int | None


def main() -> None:
    """Do what the entry asks for and exit: ``create``, or ``remove``, and who asks for what."""
    what, program, process, cwd, about = sys.argv[1:]
    asking = Asking(program, _folder(cwd), _number(process), _number(os.environ.get(_PID, "")))
    work = create if what == "create" else remove
    cli.call(lambda: FAILED if work(asking, about or None) else 0)


def create(asking: Asking, name: str | None) -> int:
    """Make the worktree that a program calls ``name``, print its path, and return whether that failed.

    Whoever cannot be told the path gets no worktree.
    """
    with _stdout_is_for_the_path() as descriptor:
        if descriptor is None:
            output.error("standard output is closed: nobody would know where the worktree is")
            return 1
        from prodigy_git.lifecycle import made_for_program

        try:
            made = made_for_program.create(
                asking.cwd, name, asking.program, pid=asking.process or asking.parent,
                broken=output.note,
            )  # fmt: skip
        except (ProdigyError, OSError) as error:
            output.error(str(error))
            return 1
        if made.why is not None:
            output.note(f"git alone has made {made.worktree}, without a session: {made.why}")
        try:
            os.write(descriptor, os.fsencode(made.worktree) + b"\n")
        except OSError as error:
            output.error(f"{made.worktree} is made, but the path is not told: {error.strerror}")
            return 1
    return 0


def remove(asking: Asking, path: str | None) -> int:
    """Remove the worktree at ``path`` since its program is done with it; return whether it is there.

    It goes to the trash with all that is in it, and its session ends. One that has no session gets one
    first: git's own removal would throw away what git ignores, and commits on no branch.
    """
    with _stdout_is_for_the_path():
        try:
            why = _removed(asking, path)
        except (ProdigyError, OSError, ValueError) as error:
            why = str(error)
    if why is not None:
        output.error(why)
        return 1
    return 0


def _removed(asking: Asking, given: str | None) -> str | None:
    """Remove a worktree; return why it is still there, None where it is not."""
    from prodigy_git.cleanup import worktrees
    from prodigy_git.cleanup.account import evidence, presence
    from prodigy_git.git import repository
    from prodigy_git.lifecycle import adopt
    from prodigy_git.record.session import BY_PROGRAM
    from prodigy_git.store import home

    if not given:
        return "no worktree is named that is to be removed"
    path = os.path.realpath(os.path.join(asking.cwd, given))
    if not os.path.lexists(path):
        return None
    place = repository.private_of(path)
    if place is None:
        if not os.path.lexists(path):
            return None  # another one that was asked for the same was quicker
        return f"{path} is not the top of a worktree: it is left as it is"
    if os.path.realpath(place.private) == os.path.realpath(place.common):
        return f"{path} is the repository's main worktree: it is left as it is"
    there = home.enrolled(place)
    if there is not None and there.known:
        return _cleaned(asking, there.store, there.session)
    # What stays gets no session on the way.
    with presence.asked_by(asking.process):
        never = evidence.forbids(worktrees.show(home.here(), path, path))
    if never:
        return f"{path} is kept: {'; '.join(never)}"
    adopted = adopt.adopt(path, by=BY_PROGRAM + asking.program, broken=output.note)
    return _cleaned(asking, home.here(), adopted.session_id)


def _cleaned(asking: Asking, store: str, session: str) -> str | None:
    """End a session, and move its worktree to the trash; return why it is still there."""
    from prodigy_git.cleanup import worktrees
    from prodigy_git.cleanup.account import presence
    from prodigy_git.lifecycle import finish as ending
    from prodigy_git.lifecycle import program_ended
    from prodigy_git.record.session import MADE_FOR
    from prodigy_git.store import locked, sessions

    found = sessions.load(store, session)
    if found.text("item_id") is not None and not found.ended:
        return (
            f"{session} works on item {found.text('item_id')}: it is left as it is until that ends"
        )
    at_work = program_ended.going_elsewhere(store, found, (asking.parent, asking.process))
    if at_work is not None:
        return f"{session} is kept: {at_work} goes on in it"
    # What began for the program ends with it; of any other, who began it says how it ended.
    made_for = found.text(MADE_FOR) == asking.program
    if not found.ended and (made_for or program_ended.is_to_end(store, found)):
        try:
            ending.finish(store, session, broken=output.note)
        except ProdigyError:  # a hook that is installed twice is called twice
            if not sessions.load(store, session).ended:
                raise
    options = worktrees.Options(force=True)
    # Its servers and shells are there still, when it asks at its end.
    with presence.asked_by(asking.process):
        (outcome,) = worktrees.clean(store, gitenv.here(), [session], options, output.note)
    if outcome.result == "cleaned":
        return None
    # Another one that was asked for the same may be moving it just now: it holds this lock.
    with locked.repository(store, found.text("repo") or ""):
        if not os.path.lexists(found.text("worktree_path") or ""):
            return None
    return f"{session} is kept: {'; '.join(outcome.reasons)}"


def _folder(cwd: str) -> str:
    """Return where the program works: what it says, else where we stand."""
    return cwd if os.path.isabs(cwd) and os.path.isdir(cwd) else gitenv.here()


def _number(said: str) -> int | None:
    return int(said) if said.isascii() and said.isdigit() and len(said) < 10 else None


@contextlib.contextmanager
def _stdout_is_for_the_path() -> Iterator[int | None]:
    """Have everything that is printed meanwhile go to stderr, also by what we start.

    Give the descriptor of the real standard output; None where that is closed.
    """
    kept = None
    if not descriptors.is_closed():
        with contextlib.suppress(OSError):
            kept = os.dup(1)
    try:
        with contextlib.suppress(OSError):
            os.dup2(2, 1)
        yield kept
    finally:
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)
