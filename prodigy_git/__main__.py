"""The program: ``prodigy-git``, and ``python -m prodigy_git``, which is the same.

What has milliseconds is looked at before the command line with its libraries is imported: `statusline`,
which is run at every prompt, and shell completion, at every TAB.
"""

import os
import sys

from prodigy_git import descriptors, encoding

COMPLETE = "_PRODIGY_GIT_COMPLETE"
"""The variable by which the shell's script, which click makes, asks for completion."""


def main() -> None:
    """Run the program and exit."""
    encoding.settle()
    descriptors.reserve()  # `settle` may start the process anew, which is to find them as they were
    if os.environ.get(COMPLETE, "").endswith("_complete"):
        _complete()
    if sys.argv[1:2] == ["statusline"]:
        from prodigy_git import statusline

        statusline.run()
    from prodigy_git.cli import main as command_line

    command_line()


def _complete() -> None:
    """Answer the shell's script and end the process: quietly, and without what takes time at an end."""
    import gc

    gc.disable()  # imports make many objects, and no garbage
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
