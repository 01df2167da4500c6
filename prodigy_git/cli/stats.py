"""events stats: how many events there are of each kind, agent, hour …"""

import os
import sys
from typing import TYPE_CHECKING

import click

from prodigy_git import duration
from prodigy_git.cli import output
from prodigy_git.cli.events import NONE, catch_up
from prodigy_git.cli.filters import Wanted, filters

if TYPE_CHECKING:
    from prodigy_git.views.stats import By, Tallies, Tally

_WAYS = ("type", "agent", "hour", "day", "item", "session", "job")
_IN_TIME = ("hour", "day")
_BAR = 24


@click.command()
@filters()
@click.option(
    "--by", type=click.Choice(_WAYS), default="type", show_default=True, help="What is counted."
)
@output.json_option
def stats(wanted: Wanted, by: "By", as_json: bool) -> None:
    """Count events: how many, which share of all, when the first and the last was.

    The most frequent come first, hours and days in their order. An event that has no such property
    counts under '-'.

    \b
    Example:
      prodigy-git events stats --job review --by agent
    """
    from prodigy_git.views import stats as views

    catch_up(wanted)
    logs = wanted.logs()
    several = len({repo for repo, _, _ in logs}) > 1
    apart = several or (as_json and by == "job")
    named = [(f"{repo}/{job}" if apart else job, path) for repo, job, path in logs]
    found = views.count(named, by, wanted.selection, output.note, _workers())
    whole = sum(one.count for one in found.values())
    if as_json:
        rows = [
            {**_named(by, key), "count": one.count, "share": round(one.count / whole, 6),
             "first_at": one.first, "last_at": one.last}
            for key, one in _sorted(found, by)
        ]  # fmt: skip
        output.emit_json({"by": by, "events": whole, "rows": rows})
        return
    bars = output.on_terminal()
    most = max((one.count for one in found.values()), default=0)
    shown: list[list[object]] = []
    for key, one in _sorted(found, by):
        row = [
            "-" if key is None else key, one.count, _percent(one.count / whole),
            duration.moment(one.first), duration.moment(one.last),
        ]  # fmt: skip
        shown.append([*row, _bar(one.count / most)] if bars else row)
    headings = [by.upper(), "COUNT", "SHARE", "FIRST", "LAST"]
    output.table(
        [*headings, ""] if bars else headings, shown, ("FIRST", "SHARE", "LAST"), empty=NONE
    )


def _named(by: "By", key: str | None) -> dict[str, str | None]:
    """Return what a row is of, as every command's JSON names it."""
    if by == "job" and key is not None:
        repo, _, job = key.rpartition("/")
        return {"repo": repo, "job_id": job}
    return {f"{by}_id" if by in ("agent", "item", "session", "job") else by: key}


def _workers() -> int:
    """Return how many processes may count: those of the cores that we may use."""
    if not sys.platform.startswith("linux"):
        return 1  # where forking is not to be relied on
    return min(8, len(os.sched_getaffinity(0)))


def _sorted(found: "Tallies", by: "By") -> "list[tuple[str | None, Tally]]":
    if by in _IN_TIME:
        return sorted(found.items(), key=lambda one: one[0] or "")
    return sorted(found.items(), key=lambda one: (-one[1].count, one[0] or ""))


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "<0.1%"


_EIGHTHS = " ▏▎▍▌▋▊▉"


def _bar(share: float) -> str:
    whole, rest = divmod(max(1, round(share * _BAR * 8)), 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")
