"""status: what all agents are doing, on one screen."""

import os
from typing import TYPE_CHECKING, Any

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output
from prodigy_git.cli.when import Duration
from prodigy_git.errors import ProdigyError
from prodigy_git.store import home

if TYPE_CHECKING:
    from prodigy_git.views.overview.advice import Advice
    from prodigy_git.views.overview.agents import Agent
    from prodigy_git.views.overview.repositories import Repository

_CHEAP = 50  # worktrees that git is asked about without being told to
_FEWEST = 12  # agents that a screen shows, however low it is
_AROUND = 14  # lines of a screen that are for what is around them
_COLOURS = {
    "waiting": "magenta", "dead": "red", "failed": "red", "stuck": "yellow",
    "retrying": "yellow", "running": "green",
}  # fmt: skip

_STATES = ("waiting", "dead", "failed", "stuck", "retrying", "running", "idle", "finished")

stuck_option = click.option(
    "--stuck-after", type=Duration(), default="15m", show_default=True, metavar="AGE",
    help="For how long an agent may be silent.",
)  # fmt: skip


@click.command()
@click.option("--all-repos", is_flag=True, help="All repositories in the store.")
@click.option(
    "--job", metavar="JOB", shell_complete=completing.jobs, help="Only this job and its agents."
)
@click.option(
    "--state", "states", multiple=True, type=click.Choice(_STATES),
    help="Only agents in this state; repeatable.",
)  # fmt: skip
@click.option("--all", "ended", is_flag=True, help="Also jobs and sessions that have ended.")
@click.option(
    "--dirty/--no-dirty", default=None,
    help="Say which worktrees have changes. [default: where there are at most 50]",
)  # fmt: skip
@stuck_option
@output.json_option
def status(
    all_repos: bool,
    job: str | None,
    states: tuple[str, ...],
    ended: bool,
    dirty: bool | None,
    stuck_after: int,
    as_json: bool,
) -> None:
    """Show jobs, agents, queue and trash, trouble first, and what to do about it.

    An agent is waiting (for a permission, an answer or a prompt of yours), dead (what it ran in is
    gone), failed, stuck (silent for --stuck-after), retrying (its item waits for another try),
    running, idle or finished. Outside of any repository all are shown. Nothing is changed.

    \b
    Example:
      prodigy-git status
      prodigy-git status --job review --stuck-after 30m
      prodigy-git status --state waiting
    """
    from prodigy_git.views.overview import advice
    from prodigy_git.views.overview.memory import Memory
    from prodigy_git.views.overview.repositories import Wish, of_store

    store, keys, inside, job = meant(all_repos=all_repos, job=job)
    if dirty is None:
        dirty = _worktrees(store, keys) <= _CHEAP
    ended = ended or "finished" in states
    wish = Wish(job=job, dirty=dirty, stuck_after=stuck_after, ended=ended)
    found = of_store(store, keys, wish, Memory(), output.note)
    if job is not None and not any(one.jobs or one.agents for one in found):
        raise ProdigyError(f"no job {job} here: 'prodigy-git job list' names the jobs")
    told = [(one, advice.of(one, inside=inside)) for one in found]
    for one in found if states else ():
        one.agents = [agent for agent in one.agents if agent.state in states]
        one.checkouts = [own for own in one.checkouts if own.state in states]
    if as_json:
        output.emit_json(
            {"store": store, "repositories": [_as_json(store, one, todo) for one, todo in told]}
        )
    elif output.on_terminal():
        _screen(told, whole=ended)
    else:
        _lines(told)
    if not as_json and not any(_has_anything(one) for one in found):
        output.note(
            "no sessions and no jobs yet: 'prodigy-git install', then 'prodigy-git new-worktree'"
        )


def meant(*, all_repos: bool, job: str | None) -> tuple[str, list[str], bool, str | None]:
    """Return (store, repository keys, whether that is the one we stand in, job).

    Outside of any repository all of the store are meant. A job may be named ``REPOSITORY/JOB``.
    Raises `names.BadName`.
    """
    from prodigy_git.lifecycle import whereabouts
    from prodigy_git.names import checked
    from prodigy_git.views.overview.repositories import here

    named, slash, job_id = (job or "").rpartition("/")
    wanted = checked(job_id, "job id") if job is not None else None
    if slash:
        store = home.here()
        return store, [checked(named, "repository key")], False, wanted
    try:
        store, key, _ = here(gitenv.here())
        if not all_repos:
            return store, [key] if key is not None else [], True, wanted
    except ProdigyError:
        store = home.here()
    return store, whereabouts.repositories(store), False, wanted


def _worktrees(store: str, keys: list[str]) -> int:
    """Return how many worktrees there are at most whose changes could be asked for."""
    from prodigy_git.jobs.prodigy_runs import common_of

    count = 0
    for key in keys:
        try:
            count += 1 + len(os.listdir(f"{common_of(store, key)}/worktrees"))
        except OSError:
            continue
    return count


def _has_anything(found: "Repository") -> bool:
    rows = found.jobs or found.ended_jobs or found.checkouts
    return bool(rows or any(found.counts.values()))


# JSON ----------------------------------------------------------------------------------------


def _as_json(store: str, found: "Repository", todo: "list[Advice]") -> dict[str, Any]:
    from prodigy_git.transcripts import spent

    # Only here: a screen is for a quick look, and does not read transcripts.
    known = spent.of_repository(store, found.common, found.key, output.note)

    def agent(one: "Agent") -> dict[str, Any]:
        usage = spent.usage(known, [one.session_id] if one.session_id else [])
        return {**_agent_as_json(one), "usage": usage}

    return {
        "repo": found.key,
        "common_dir": found.common,
        "jobs": [{**job, "usage": spent.of_job(known, job["job_id"])} for job in found.jobs],
        "ended_jobs": found.ended_jobs,
        "counts": found.counts,
        "agents": [agent(one) for one in found.agents],
        "checkouts": [agent(one) for one in found.checkouts],
        "same_files": [
            {"path": one.path, "last_at": one.last, "session_ids": list(one.editors)}
            for one in found.same_files
        ],
        "queued": sum(job["queued"] for job in found.jobs),
        "trash": {
            "count": found.trash,
            "bytes": found.trash_bytes,
            "measured": found.trash_measured,
        },
        "half_way": [one.as_json() for one in found.half_way],
        "finished_worktrees": found.finished_worktrees,
        "hooks": {
            # Nobody can tell where the repository is gone.
            "in_effect": None if found.common is None else not found.hooks,
            "wrong": found.hooks,
        },
        "without_session": found.unenrolled,
        "advice": [{"what": one.what, "commands": one.commands} for one in todo],
    }


def _agent_as_json(one: "Agent") -> dict[str, Any]:
    from prodigy_git.record import clock

    fields = {name: value for name, value in vars(one).items() if name != "facts"}
    now = clock.now()
    fields["activity"] = None if one.activity is None else one.activity.as_json(now)
    fields["silent_seconds"] = None if one.last is None else max(0, now - one.last) // clock.SECOND
    for old, new in (("began", "started_at"), ("last", "last_event_at")):
        moment = fields.pop(old)
        fields[new] = None if moment is None else clock.stamp(moment)
    fields["trash_path"] = fields.pop("trash")
    return fields


# Not a terminal ------------------------------------------------------------------------------


def _lines(told: "list[tuple[Repository, list[Advice]]]") -> None:
    """Print what there is in lines of tab-separated fields, the first of which says what it is."""
    from prodigy_git.views.overview import words

    for found, todo in told:
        for job in found.jobs:
            _line(
                "job", found.key, job["job_id"], job["phase"], words.status(job), job["completed"],
                job["in_progress"], job["pending"], job["queued"], job["failed"],
                job["total_items"], job["rates"]["ended_per_minute"],
                job["rates"]["seconds_left"],
            )  # fmt: skip
        for state, count in found.counts.items():
            _line("count", found.key, state, count)
        kinds = {"agent": found.agents, "checkout": found.checkouts}
        for kind, one in ((kind, one) for kind, some in kinds.items() for one in some):
            fields = _agent_as_json(one)
            _line(
                kind, found.key, one.state, one.name, one.session_id, one.job_id, one.item_id,
                one.attempt, fields["silent_seconds"], one.ahead, one.behind, one.commits,
                {True: "dirty", False: "clean", None: None}[one.dirty], one.branch,
                words.note(one), *_program(fields["activity"]),
            )  # fmt: skip
        for same in found.same_files:
            _line("same-file", found.key, same.path, *same.editors)
        _line("trash", found.key, found.trash, found.trash_bytes)
        if found.hooks:
            _line("hooks", found.key, "; ".join(found.hooks))
        for advised in todo:
            _line("do", found.key, advised.what, *advised.commands)


def _program(doing: "dict[str, Any] | None") -> list[object]:
    """Return the fields of a line on an agent program: none where there is no program."""
    if doing is None:
        return []
    return [doing["agent_program"], doing["state"], doing["since_seconds"], doing["reason"]]


def _line(*fields: object) -> None:
    click.echo("\t".join("-" if one in (None, "") else output.clean(one) for one in fields))


# A terminal ----------------------------------------------------------------------------------


def _screen(told: "list[tuple[Repository, list[Advice]]]", *, whole: bool) -> None:
    shown = [pair for pair in told if len(told) == 1 or _has_anything(pair[0]) or pair[1]]
    for number, (found, todo) in enumerate(shown):
        if number:
            click.echo()
        _repository(found, whole=whole)
        _advice(todo)


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
        _table(found.agents if whole else found.agents[:room], found.jobs)
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


def _table(agents: "list[Agent]", jobs: list[dict[str, Any]]) -> None:
    from prodigy_git.record import clock
    from prodigy_git.views.overview import words

    now = clock.now()
    columns: dict[str, list[object]] = {
        "STATE": [one.state for one in agents],
        "AGENT": [one.name for one in agents],
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
        and not (name == "JOB" and len({*cells, *(job["job_id"] for job in jobs)}) == 1)
    }
    dispensable = [one for one in ("JOB", "BRANCH", "COMMITS", "TRY", "DIRTY", "BASE")
                   if one in kept and one != list(kept)[-1]]  # fmt: skip
    output.table(tuple(kept), zip(*kept.values(), strict=True), dispensable)


def _rest(found: "Repository") -> "list[str]":
    from prodigy_git.amounts import human
    from prodigy_git.views.overview import words

    texts = [_checkout(one) for one in found.checkouts]
    if found.same_files:
        texts.append(f"edited by several: {words.same_files(found)}")
    queued = {job["job_id"]: job["queued"] for job in found.jobs if job["queued"]}
    if queued:
        names = ", ".join(f"{count} of {name}" for name, count in queued.items())
        texts.append(f"queue: {names}")
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
