"""The program: ``prodigy-git``, and ``python -m prodigy_git``, which is the same.

`statusline` is answered before the command line with its libraries is imported: it is run at every
prompt.
"""

import sys


def main() -> None:
    """Run the program and exit."""
    if sys.argv[1:2] == ["statusline"]:
        from prodigy_git import statusline

        statusline.run()
    from prodigy_git.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
