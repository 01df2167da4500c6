"""What status shows a person, on a terminal as wide and as high as it is."""

from typing import TYPE_CHECKING, Any

import click

from prodigy_git.cli import output

if TYPE_CHECKING:
    from prodigy_git.views.overview.advice import Advice
    from prodigy_git.views.overview.agents import Agent
    from prodigy_git.views.overview.repositories import Repository

_FEWEST = 12  # agents that a screen shows, however low it is
_AROUND = 14  # lines of a screen that are for what is around them
_COLOURS = {
    "waiting": "magenta", "dead": "red", "failed": "red", "stuck": "yellow",
    "retrying": "yellow", "running": "green",
}  # fmt: skip


def show(told: "list[tuple[Repository, list[Advice]]]", *, whole: bool) -> None:
    """Print repositories, each with the advice on it; ``whole``: all agents, however many there are."""
    shown = [pair for pair in told if len(told) == 1 or has_anything(pair[0]) or pair[1]]
    for number, (found, todo) in enumerate(shown):
        if number:
            click.echo()
        _repository(found, whole=whole)
        _advice(todo)


def has_anything(found: "Repository") -> bool:
    """Whether there is a session or a job in a repository."""
    rows = found.jobs or found.ended_jobs or found.checkouts
    return bool(rows or any(found.counts.values()))


def _repository(found: "Repository", *, whole: bool) -> None:
    from prodigy_git.views import trouble

    counts = [
        output.styled(f"{count} {state}", fg=_COLOURS.get(state))
        for state in trouble.ORDER
        if (count := found.counts.get(state, 0))
    ]
    title = output.styled(output.clean(found.key), bold=True)
    click.echo(f"{title}: {', '.join(counts) or 'no sessions'}")
    for job in found.jobs:
        _job(job)
    if found.agents:
        click.echo()
        import shutil

        room = max(_FEWEST, shutil.get_terminal_size().lines - _AROUND)
        _table(found.agents if whole else found.agents[:room], found)
        if not whole and len(found.agents) > room:
            output.prose(f"and {len(found.agents) - room} more: 'status --all', or 'top'")
    rest = [*_rest(found)]
    if rest:
        click.echo()
        for text in rest:
            output.prose(text)


def _job(job: dict[str, Any]) -> None:
    import shutil

    from prodigy_git.views.overview import words

    width = shutil.get_terminal_size().columns
    total = job["total_items"]
    click.echo()
    head = f"job {output.clean(job['job_id'])}: {job['phase']}, {words.status(job)}"
    if total:
        far = words.progress(job)
        size = max(10, min(30, width - len(far) - 4))
        output.prose(head)
        output.line(f"  {words.bar(job['completed'], total, size)} {far}")
        output.prose(f"  {words.items(job)}")
    else:
        output.prose(f"{head}, no items")
    if job["error"]:
        click.echo(output.fit_line(f"  error: {job['error']}"))
    for failure in job["failures"][:3]:
        click.echo(output.fit_line(f"  {failure['item_count']} x {failure['error_signature']}"))


def _table(agents: "list[Agent]", found: "Repository") -> None:
    from prodigy_git.record import clock
    from prodigy_git.views.overview import words

    now = clock.now()
    columns: dict[str, list[object]] = {
        "STATE": [one.state for one in agents],
        "AGENT": [one.name for one in agents],
        "HOST": words.hosts_of(agents),
        "LAST": [words.age(one.last, now) for one in agents],
        "ITEM": [one.item_id or "-" for one in agents],
        "TRY": [one.attempt or "-" for one in agents],
        "BASE": [words.against_base(one) for one in agents],
        "COMMITS": ["-" if one.commits is None else one.commits for one in agents],
        "DIRTY": [words.changes(one) for one in agents],
        "JOB": [one.job_id or "-" for one in agents],
        "BRANCH": [one.branch or "-" for one in agents],
        "NOTE": [words.note(one) for one in agents],
    }
    # What nobody has, or all share, is not worth a column.
    kept = {
        name: cells
        for name, cells in columns.items()
        if any(cell not in ("-", "") for cell in cells)
        and not (name == "JOB" and len({*cells, *(job["job_id"] for job in found.jobs)}) == 1)
    }
    dispensable = [one for one in ("JOB", "BRANCH", "COMMITS", "TRY", "DIRTY", "BASE")
                   if one in kept and one != list(kept)[-1]]  # fmt: skip
    output.table(tuple(kept), zip(*kept.values(), strict=True), dispensable)


def _rest(found: "Repository") -> "list[str]":
    from prodigy_git.amounts import human
    from prodigy_git.record import clock
    from prodigy_git.views.overview import words

    texts = [_checkout(one) for one in found.checkouts]
    if found.same_files:
        texts.append(f"edited by several: {words.same_files(found)}")
    queued = {job["job_id"]: job["queued"] for job in found.jobs if job["queued"]}
    if queued:
        names = ", ".join(f"{count} of {name}" for name, count in queued.items())
        texts.append(f"queue: {names}")
    if found.hosts:
        texts.append(f"other hosts: {words.hosts(found, clock.now())}")
    if found.trash:
        size = human(found.trash_bytes)
        known = (
            f", {'' if found.trash_measured else 'at least '}{size}" if found.trash_bytes else ""
        )
        texts.append(f"trash: {_worktree_count(found.trash)}{known}")
    if found.finished_worktrees:
        texts.append(
            f"finished: {_worktree_count(found.finished_worktrees)} still there, "
            "'worktree clean --all' looks"
        )
    if found.ended_jobs:
        texts.append(f"ended jobs: {found.ended_jobs}")
    if found.hooks:
        texts.append(f"hooks: {found.hooks[0]}" + (", …" if len(found.hooks) > 1 else ""))
    return texts


def _checkout(one: "Agent") -> str:
    from prodigy_git.record import clock
    from prodigy_git.views.overview import words

    now = clock.now()
    made = f"{one.commits or 0} commit{'' if one.commits == 1 else 's'} recorded"
    gone = ", which is gone" if one.missing else ""
    doing = "" if one.activity is None or gone else f"; {words.does(one.activity, now)}"
    last = words.age(one.last, now)
    return f"your own: {one.worktree or one.session_id}{gone}, {made}, last {last} ago{doing}"


def _worktree_count(number: int) -> str:
    return f"{number} worktree{'' if number == 1 else 's'}"


def _advice(todo: "list[Advice]") -> None:
    if not todo:
        return
    click.echo()
    click.echo(output.styled("what to do", bold=True))
    for one in todo:
        output.prose(f"  {one.what}")
        for command in one.commands:
            # Not wrapped by us: it is there to be copied.
            click.echo("    " + output.styled(output.clean(command), fg="cyan"))
