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
        return
    from prodigy_git.cli import status_screen

    if output.on_terminal():
        status_screen.show(told, whole=ended)
    else:
        _lines(told)
    if not any(status_screen.has_anything(one) for one in found):
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


def _as_json(store: str, found: "Repository", todo: "list[Advice]") -> dict[str, Any]:
    from prodigy_git.transcripts import spent

    # Only here: a screen is for a quick look, and does not read transcripts.
    known = spent.of_repository(store, found.common, found.key, output.note)

    def agent(one: "Agent") -> dict[str, Any]:
        usage = spent.usage(known, [one.session_id] if one.session_id else [])
        return {**_agent_as_json(one, found), "usage": usage}

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
        **_hosts_as_json(found),
        "without_session": found.unenrolled,
        "advice": [{"what": one.what, "commands": one.commands} for one in todo],
    }


def _hosts_as_json(found: "Repository") -> dict[str, Any]:
    """Return the other hosts of a hub; nothing at all where there are none."""
    if found.here is None:
        return {}
    from prodigy_git.record import clock

    return {
        "host": found.here,
        "hosts": [
            {
                "host": one.seen.name,
                "host_id": one.seen.id,
                "seen_at": None if one.seen.at is None else clock.stamp(one.seen.at),
                "gone": one.seen.is_gone,
                "in_progress": one.items,
                "sessions": one.sessions,
            }
            for one in found.hosts
        ],
    }


def _agent_as_json(one: "Agent", found: "Repository") -> dict[str, Any]:
    from prodigy_git.record import clock

    fields = {name: value for name, value in vars(one).items() if name not in ("facts", "host")}
    if found.here is not None:
        fields["host"] = found.here if one.host is None else one.host.name
        fields["host_id"] = None if one.host is None else one.host.id
    now = clock.now()
    fields["activity"] = None if one.activity is None else one.activity.as_json(now)
    fields["silent_seconds"] = None if one.last is None else max(0, now - one.last) // clock.SECOND
    for old, new in (("began", "started_at"), ("last", "last_event_at")):
        moment = fields.pop(old)
        fields[new] = None if moment is None else clock.stamp(moment)
    fields["trash_path"] = fields.pop("trash")
    return fields


def _lines(told: "list[tuple[Repository, list[Advice]]]") -> None:
    """Print what there is in lines of tab-separated fields, the first of which says what it is."""
    from prodigy_git.record import clock
    from prodigy_git.views.overview import words

    now = clock.now()
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
            fields = _agent_as_json(one, found)
            _line(
                kind, found.key, one.state, one.name, one.session_id, one.job_id, one.item_id,
                one.attempt, fields["silent_seconds"], one.ahead, one.behind, one.commits,
                {True: "dirty", False: "clean", None: None}[one.dirty], one.branch,
                words.note(one), *_program(fields["activity"]),
                *([] if found.here is None or one.activity else [None] * 4),
                *([] if found.here is None else [fields["host"]]),
            )  # fmt: skip
        for same in found.same_files:
            _line("same-file", found.key, same.path, *same.editors)
        for host in found.hosts:
            jobs = [f"{count} of {job}" for job, count in host.items.items()]
            _line(
                "host", found.key, host.seen.name, host.seen.id,
                "gone" if host.seen.is_gone else "seen",
                None if host.seen.at is None else max(0, now - host.seen.at) // clock.SECOND,
                host.sessions, ", ".join(jobs),
            )  # fmt: skip
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
