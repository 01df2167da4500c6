"""The program: ``prodigy-git``, and ``python -m prodigy_git``, which is the same.

What has milliseconds is looked at before the command line with its libraries is imported: `statusline`,
which is run at every prompt, shell completion, at every TAB, `agent-hook`, at each step of an agent.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys

from prodigy_git import descriptors, encoding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

COMPLETE = "_PRODIGY_GIT_COMPLETE"
"""The variable by which the shell's script, which click makes, asks for completion."""

_OBJECTS = 50_000
"""After how many new objects garbage is looked for."""


def main() -> None:
    """Run the program and exit."""
    # Imports make many objects, and no garbage; looking for some again and again is what takes time.
    gc.set_threshold(_OBJECTS)
    encoding.settle()
    descriptors.reserve()  # `settle` may start the process anew, which is to find them as they were
    if os.environ.get(COMPLETE, "").endswith("_complete"):
        _complete()
    if sys.argv[1:2] == ["statusline"]:
        from prodigy_git import statusline

        statusline.run()
    if sys.argv[1:2] == ["agent-hook"]:
        _hear(sys.argv[2:])
    from prodigy_git.cli import main as command_line

    _to_its_end(command_line)


def for_program() -> None:
    """Make or remove a worktree for an agent program, and exit: what `agent_hook` becomes."""
    gc.set_threshold(_OBJECTS)
    encoding.settle()
    descriptors.reserve()
    from prodigy_git.cli import program_worktrees

    _to_its_end(program_worktrees.main)


def _to_its_end(work: Callable[[], None]) -> None:
    try:
        work()
    except SystemExit as stop:
        if not isinstance(stop.code, int):
            raise  # None, or a message: the interpreter knows what is meant
        _leave(stop.code)


def _hear(words: list[str]) -> None:
    """Take in an agent program's event and end the process; return where click has to answer.

    That is for help, and for nobody's call. Whatever else is wrong does not fail: a status of 2 keeps
    an agent from going on.
    """
    if not words or {"-h", "--help"} & set(words):
        return
    from prodigy_git.record import agent_hook
    from prodigy_git.record.conversations import normal_form

    if words[0] not in normal_form.PROGRAMS:
        known = ", ".join(normal_form.PROGRAMS)
        print(f"prodigy-git: agent-hook knows {known}, not {words[0]!r:.80}", file=sys.stderr)  # noqa: T201
    agent_hook.main(words[0], words[1] if len(words) > 1 else "")


def _leave(code: int) -> None:
    """End the process, when everything is done and said, without taking down each module first.

    That is what takes a sixth of the time of a command that has little to do. Who has threads that are
    to come to their end gets the interpreter's own way out.
    """
    threading = sys.modules.get("threading")
    if threading is not None and threading.active_count() > 1:
        sys.exit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            sys.exit(code)  # as the interpreter has it
    os._exit(code)


def _complete() -> None:
    """Answer the shell's script and end the process: quietly, and without what takes time at an end."""
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # in the midst of somebody's typing
    from prodigy_git.cli import run

    status = 1
    try:
        status = run()
        sys.stdout.flush()
    except SystemExit as stop:  # this is how click ends a completion
        sys.stdout.flush()
        status = stop.code if isinstance(stop.code, int) else 1
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
