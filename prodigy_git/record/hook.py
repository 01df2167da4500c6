"""What a hook's shell script starts, and what pre-commit starts: ``main`` and nothing more."""

from __future__ import annotations

import os
import sys

from prodigy_git.record import files, gitdir, underway, wake
from prodigy_git.record.drain import drain
from prodigy_git.record.enrolment import read

PATIENCE = 2.0
"""Seconds that a hook waits for a lock, at most; what it leaves the next drain records."""


def main(hook: str, arguments: list[str], installed: str = "") -> None:
    """Run the hook ``hook`` with git's ``arguments`` and end the process with exit status 0.

    ``installed`` is the time of the installation in seconds since 1970. Whatever goes wrong is one
    line on stderr and one in the store's log: no hook of ours ever fails a git command.
    """
    try:
        run(hook, arguments or _arguments_from_pre_commit(hook), installed)
    except KeyboardInterrupt:
        pass  # Ctrl-C meant git; a later drain records
    except Exception as error:
        _complain(hook, error)
    if files.ROOT:
        try:
            _hand_over()
        except Exception as error:
            _complain(hook, error)
    # Not sys.exit: taking the interpreter down properly costs a commit a millisecond.
    try:
        sys.stderr.flush()
    finally:
        os._exit(0)


def run(hook: str, arguments: list[str], installed: str) -> None:
    """Register the worktree where it is new, then drain its journal."""
    if os.environ.get("PRODIGY_GIT_SILENCE"):
        return
    place = gitdir.find(os.getcwd(), os.environ)
    if place is None:
        return
    rebase_ended = hook == "post-rewrite" and arguments[:1] == ["rebase"]
    # The shell script has looked already, but pre-commit has no shell script of ours.
    if not rebase_ended and gitdir.rebasing(place):
        return
    enrolment = read(place.private)
    if enrolment is None:
        from prodigy_git.record.register import register_in_hook

        since = int(installed) if installed.isdigit() else 0
        enrolment = register_in_hook(place, hook, arguments, since, os.environ)
        if enrolment is None:
            return
    if not enrolment.known:
        from prodigy_git.record import whose

        sys.stderr.write(whose.say_once(place, enrolment) or "")
        return
    underway.let_pass(enrolment.store, enrolment.session, place.private, PATIENCE)
    drain(place, enrolment, rebase_ended=rebase_ended, burst=True, patience=PATIENCE)
    wake.keep(place, enrolment, os.environ)
    underway.sweep(enrolment.store, enrolment.session)


def _hand_over() -> None:
    """Give what root's git command made in somebody's repository to its owner."""
    place = gitdir.find(os.getcwd(), os.environ)
    if place is not None:
        from prodigy_git.record import ownership

        try:
            there = read(place.private)
            own = there is not None and os.stat(there.store).st_uid == 0
        except (OSError, ValueError):
            own = False
        # With a session of root's own beside the user's, their commits must stay apart.
        ownership.hand_over_tree(place.common, beside=ownership.KEPT, objects=not own)


def _arguments_from_pre_commit(hook: str) -> list[str]:
    """Return git's arguments from the variables that pre-commit and prek pass them in."""
    environ = os.environ
    if hook == "post-checkout" and "PRE_COMMIT_FROM_REF" in environ:
        return [
            environ["PRE_COMMIT_FROM_REF"],
            environ.get("PRE_COMMIT_TO_REF", ""),
            environ.get("PRE_COMMIT_CHECKOUT_TYPE", ""),
        ]
    if hook == "post-rewrite" and "PRE_COMMIT_REWRITE_COMMAND" in environ:
        return [environ["PRE_COMMIT_REWRITE_COMMAND"]]
    return []


def _complain(hook: str, error: Exception) -> None:
    # A disk is full, perhaps: then CPython before 3.12.8 leaves half of a compiled module behind, which
    # nobody can import any more.
    sys.dont_write_bytecode = True
    from prodigy_git import layout, names
    from prodigy_git.record import log

    what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    where = getattr(error, "filename", None)
    if isinstance(error, files.Unusable):
        what, where = str(error), None
    text = f"{what}: {where}" if where else what or type(error).__name__
    sys.stderr.write(
        f"prodigy-git: {hook}: not recorded yet ({names.printable(text)}); git is not affected, "
        "and the next hook or prodigy-git command tries again\n"
    )
    try:
        store = layout.store_from(os.environ)
    except layout.NoStore:
        return  # said above: it is what went wrong
    log.report(store, f"{hook}: {type(error).__name__}: {text}")


if __name__ == "__main__":  # `python -m prodigy_git.record.hook post-commit`, from pre-commit
    main(sys.argv[1], sys.argv[2:])
