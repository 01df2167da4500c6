"""Showing what a repository wants to run, and asking a person about it.

All of it is foreign text: each line is shown harmless, so that none can hide, or move, another.
"""

import contextlib
import os
import select
import sys
from typing import TYPE_CHECKING

from prodigy_git.cli import output

if TYPE_CHECKING:
    from prodigy_git.setup.plan import Part, Plan

_PATIENCE = 120.0  # seconds for an answer: a program at a terminal of its own gives none
_MOST = 100  # lines; what has left the screen nobody has seen
_STAGES = (
    ("run", "before a worktree is handed over"), ("start", "in the background after that"),
    ("teardown", "before it is cleaned"), ("check", "to check a merge"),
)  # fmt: skip


def lines(part: "Part") -> list[str]:
    """Return one source's commands and what goes with them, for eyes."""
    from prodigy_git import duration

    said = [f"from {part.source}:"]
    for stage, words in _STAGES:
        if part.of(stage):
            limit = part.limit(stage)
            more = "" if limit is None else f" (each {duration.seconds(limit)} at most)"
            said.append(f"  {words}{more}:")
            for text in part.of(stage):
                said += [f"    {line}" for line in text.splitlines() or [""]]
    if part.folder != ".":
        said.append(f"  in the folder {part.folder}")
    said += [f"  with {name}={text}" for name, text in part.env.items()]
    said += [f"  script {one.name} ({one.blob})" for one in part.scripts]
    said += [f"  left out: {text}" for text in part.left_out]
    return [output.clean(line) for line in said]


def approve(plan: "Plan") -> bool:
    """Ask at the terminal whether a repository's commands may run; without one, nobody is asked."""
    if not somebody_is_there():
        return False
    shown = [line for part in plan.parts if part.given for line in lines(part)]
    rows = _rows(shown)
    if rows > _MOST:
        from prodigy_git.setup import trust

        how = trust.how(plan.commit)
        output.note(
            f"what this repository wants to run takes {rows} lines, too many to be asked about: "
            f"'{how.replace(' trust', ' show')}' has them, '{how} --hash HASH' allows them"
        )
        return False
    _say("prodigy-git: this repository brings commands that nobody has allowed yet:")
    for line in shown:
        _say(line)
    return answer("Run them, now and as long as they stay as they are?")


def _rows(shown: list[str]) -> int:
    """Return how many rows of the terminal lines take: a long one can push others off, too."""
    from prodigy_git.cli import columns

    width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
    return sum(max(1, -(-columns.width_of(line) // width)) for line in shown)


def answer(question: str) -> bool:
    """Ask for a yes on the terminal, and take silence for a no.

    What was typed before the question is no answer to it.
    """
    import termios

    with contextlib.suppress(termios.error):
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
    sys.stderr.write(f"{question} [y/N]: ")
    sys.stderr.flush()
    if not select.select([sys.stdin], [], [], _PATIENCE)[0]:
        _say("")
        output.note("nobody answered: that is a no")
        return False
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def somebody_is_there() -> bool:
    """Whether there is a terminal to ask at, and it is ours: reading elsewhere would stop us."""
    if sys.stdin is None or sys.stderr is None or os.environ.get("CI"):
        return False
    try:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:
        return False
