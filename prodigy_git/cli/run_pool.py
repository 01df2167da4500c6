"""run --parallel: what is shown of a pool of workers, and its exit status."""

import signal
import sys
from collections.abc import Callable
from typing import Any

from prodigy_git.cli import output
from prodigy_git.cli.job import NONE_LEFT
from prodigy_git.errors import Away
from prodigy_git.jobs import summary
from prodigy_git.lifecycle import interrupts, pool, sinks, supervising
from prodigy_git.lifecycle.failing_alike import EXIT_STATUS, InARow
from prodigy_git.lifecycle.lastline import ESCAPES
from prodigy_git.lifecycle.pool import Member, Pool, Seat
from prodigy_git.lifecycle.streams import WholeLines
from prodigy_git.lifecycle.supervising import Outcome
from prodigy_git.views.harmless import clean


def start(count: int) -> Pool | Member:
    """Start workers; return as `pool.start`."""
    # Here, so that not each of them imports it.
    from prodigy_git.cleanup import worktrees as worktrees

    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    return pool.start(count, one=sinks.are_one())


def whole_lines() -> Callable[[str], WholeLines]:
    """Return what puts an agent's output together: on a terminal with nothing raw in it."""
    shown = _shown if sys.stderr is not None and sys.stderr.isatty() else None

    def made(agent: str) -> WholeLines:
        prefix = f"[{agent}] ".encode()
        return WholeLines(prefix) if shown is None else WholeLines(prefix, shown=shown)

    return made


def _shown(line: bytes) -> bytes:
    text = ESCAPES.sub("", line.decode("utf-8", "surrogateescape"))
    return clean(text.expandtabs()).encode("utf-8", "replace")


def attend(where: tuple[str, str, str], workers: Pool, in_a_row: InARow) -> int:
    """Attend to a pool until it has ended; return the exit status."""
    with sinks.ours() as ours, interrupts.listening() as signals:
        table = None
        if sys.stderr.isatty() and not output.is_plain():
            from prodigy_git.cli.pool_table import Table

            table = Table(where, ours, also_out=sys.stdout.isatty())
        view = Plain(ours) if table is None else table
        say = output.note if table is None else table.say
        try:
            outcome = supervising.supervise(where, workers, ours, signals, in_a_row, view, say)
        finally:
            if table is not None:
                table.close()
        for sink in {ours.out, ours.err}:
            if sink.left_out:
                output.note(
                    f"{sink.left_out} bytes of output were not passed on, since nobody read them: "
                    "the logs have them"
                )
        head = summary.line(*where, output.note)
        given_up = f", {head['given_up']} given up" if head["given_up"] else ""
        output.note(
            f"job {where[2]}: {head['completed']} of {head['total_items']} items completed{given_up}"
        )
        if in_a_row.why is not None:
            output.note(f"{in_a_row.why}: the workers have stopped")
        return _status(outcome, in_a_row)


class Plain:
    """Lines alone."""

    every: float | None = None

    def __init__(self, ours: sinks.Ours) -> None:
        """Write to our own output."""
        self.out = ours.out.put
        self.err = ours.err.put

    def refresh(self, seats: list[Seat]) -> None:
        """Show nothing."""

    def ended(self, attempt: dict[str, Any]) -> None:
        """Show nothing: the worker has said so."""


def _status(outcome: Outcome, in_a_row: InARow) -> int:
    if outcome.interrupted is not None:
        return 128 + outcome.interrupted
    if in_a_row.why is not None:
        return EXIT_STATUS
    # A worker that somebody ended alone (`prodigy-git stop`) has given its item back, and the others
    # have gone on with it; where all were, nobody has.
    stopped = 128 + signal.SIGTERM
    if all(status == stopped for status in outcome.statuses):
        return stopped
    said = [status for status in outcome.statuses if status not in (0, stopped)]
    for status in (127, 126, Away.code):  # its command cannot be started; the hub is not reached
        if status in said:
            return status
    if any(status != NONE_LEFT for status in said):
        return 1
    return NONE_LEFT if said else 0
