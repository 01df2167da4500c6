"""conflicts: what would come of merging the results of agents, before anything is merged."""

from typing import TYPE_CHECKING, Any

import click

from prodigy_git import gitenv
from prodigy_git.cli import output, result_options

if TYPE_CHECKING:
    from prodigy_git.merging.queue.preflight import Preflight

_SIGNS = {True: "x", False: "."}
_UNKNOWN = "?"


@click.command()
@result_options.results("The branch to merge into.")
@output.json_option
def conflicts(names: tuple[str, ...], job: str | None, into: str | None, as_json: bool) -> int:
    """Say which results merge, which conflict, and in which order most of them merge.

    Results are a job's items that are done, each with the attempt that counts, or what is named:
    sessions, items, agents, branches. What is not committed is not looked at. Merges are tried with
    'git merge-tree', in a folder of their own: no branch, index, file or lock of the repository is
    touched, and nothing is fetched. In the matrix x is a conflict, ? is not known.

    \b
    Example:
      prodigy-git conflicts --job review
      prodigy-git conflicts login logout --into main --json
    """
    from prodigy_git.lifecycle import whereabouts
    from prodigy_git.merging.queue import choosing, preflight, target

    cwd = gitenv.here()
    known = None
    if names and job is None:
        store, repo = whereabouts.repository(cwd)
    else:
        store, repo, known = choosing.of_here(cwd, job, output.note, take=False)
    chosen = choosing.chosen(store, repo, names, known, output.note, fetch=False)
    branch = target.find(store, repo, cwd, into, chosen)
    chosen = [one for one in chosen if one.branch != branch.branch]
    found = preflight.of(branch, chosen, keep=True, broken=output.note)
    if as_json:
        output.emit_json({"job_id": known, "repo": repo, **found.as_json()})
        return 0
    if not chosen:
        output.note(f"there is nothing to merge into {branch.branch}")
        return 0
    _show(found)
    return 0


def _show(found: "Preflight") -> None:
    into = found.target
    output.table(
        ("NAME", "RESULT", "BRANCH", "WHAT"),
        (
            (one.name, one.state, result.branch or "-", _what(one.how, one.files, into))
            for one, result in found.pairs()
        ),
        ("BRANCH",),
    )
    for clash in found.forecast.clashes:
        text = f"not known ({clash.trouble})" if clash.trouble else _files(clash.files)
        output.prose(f"{clash.one} and {clash.other}: {text}")
    _matrix(found)
    forecast = found.forecast
    open_ones = len(forecast.order) + len(forecast.left)
    if forecast.order:
        names = ", ".join(forecast.order)
        output.prose(
            f"{len(forecast.order)} of {open_ones} merge into {into}, in this order: {names}"
        )
    for one in forecast.left:
        if one.trouble is not None:
            why = one.trouble
        else:
            whom = [*([into] if one.with_target else []), *one.against]
            who = " and ".join(whom) if whom else "what the others make together"
            why = f"with {who} in {_files(one.files)}"
        output.prose(f"left: {one.name} ({why})")


def _what(how: str | None, files: "Any", into: str) -> str:
    if files:
        return f"with {into} in {_files(files)}"
    return how or ""


def _files(files: "Any") -> str:
    return ", ".join(f"{path} ({kind})" for path, kind in files)


def _matrix(found: "Preflight") -> None:
    """Print who conflicts with whom: a row and a column for each that conflicts with anything."""
    clashes = {frozenset((one.one, one.other)): one for one in found.forecast.clashes}
    inside = {name for pair in clashes for name in pair}
    names = [one.name for one in found.forecast.standings if one.name in inside]
    if not names:
        return
    rows = []
    for number, name in enumerate(names, 1):
        cells = []
        for other in names:
            clash = clashes.get(frozenset((name, other)))
            unknown = clash is not None and clash.trouble is not None
            cells.append(
                "" if name == other else _UNKNOWN if unknown else _SIGNS[clash is not None]
            )
        rows.append((str(number), name, cells))
    width = max(2, len(str(len(names))))
    if output.on_terminal():
        import shutil

        if len(names) * (width + 1) + width + 12 > shutil.get_terminal_size().columns:
            output.note("the matrix is wider than this terminal, and is left out: --json has it")
            return
    heads = [str(number).rjust(width) for number in range(1, len(names) + 1)]
    output.table(
        ("#", "NAME", " ".join(heads)),
        [
            (number, name, " ".join(cell.rjust(width) for cell in cells))
            for number, name, cells in rows
        ],
    )
