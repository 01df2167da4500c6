"""The options that every command on events takes, and what they come to: jobs and a selection."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing
from prodigy_git.cli.when import Moment
from prodigy_git.errors import ProdigyError
from prodigy_git.names import checked, is_safe
from prodigy_git.store import home

if TYPE_CHECKING:
    from prodigy_git.model.selection import Selection


@dataclass(frozen=True)
class Wanted:
    """What a command was asked for: of which jobs, which events.

    ``jobs`` is asked again where jobs may begin meanwhile; ``named`` says that they were named.
    ``repo`` is the key of the repository that they are of, None for any.
    """

    store: str
    jobs: Callable[[], list[tuple[str, str]]]
    selection: "Selection"
    named: bool
    repo: str | None = None

    def means(self, repo: str, job: str) -> bool:
        """Whether a job is meant that has begun."""
        if self.named:
            return (repo, job) in self.jobs()
        return self.repo in (None, repo) and is_safe(repo) and is_safe(job)

    def repositories(self) -> list[str]:
        """Return the keys of the repositories that are meant, where no job was named."""
        from prodigy_git.lifecycle import whereabouts

        return whereabouts.repositories(self.store) if self.repo is None else [self.repo]

    def logs(self) -> list[tuple[str, str, str]]:
        """Return (repository key, job id, path) of the log files of the jobs."""
        from prodigy_git.store import events

        return [
            (repo, job, path)
            for repo, job in self.jobs()
            for path in events.log_files(self.store, repo, job)
        ]

    def paths(self) -> list[str]:
        """Return the log files of the jobs."""
        return [path for _, _, path in self.logs()]


_OPTIONS = {
    "job": click.option(
        "--job",
        multiple=True,
        metavar="JOB",
        help="Of this job; repeatable.",
        shell_complete=completing.jobs,
    ),
    "all_jobs": click.option(
        "--all-jobs", is_flag=True, help="Of all jobs of this repository. [default]"
    ),
    "all_repos": click.option(
        "--all-repos", is_flag=True, help="Of all jobs of all repositories in the store."
    ),
    "type": click.option(
        "--type",
        multiple=True,
        metavar="TYPE",
        help="Of this type; repeatable.",
        shell_complete=completing.types,
    ),
    "agent": click.option(
        "--agent",
        multiple=True,
        metavar="AGENT",
        help="Of this agent.",
        shell_complete=completing.agents,
    ),
    "session": click.option(
        "--session",
        multiple=True,
        metavar="SESSION",
        help="Of this session.",
        shell_complete=completing.sessions,
    ),
    "item": click.option(
        "--item",
        multiple=True,
        metavar="ITEM",
        help="Of this work item.",
        shell_complete=completing.items(),
    ),
    "since": click.option(
        "--since", type=Moment(), metavar="TIME", help="From then on: 2h or 3d ago, or ISO."
    ),
    "until": click.option("--until", type=Moment(), metavar="TIME", help="Up to then."),
}
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def filters(*without: str, unborn: bool = False) -> Decorator:
    """Give a command the filters, as one argument ``wanted`` (`Wanted`); not those ``without``.

    They are job, all_jobs, all_repos, type, agent, session, item, since, until; what names something
    may be repeated. Without --job and --all-repos the jobs are those of the repository that one stands
    in, outside of any all of them. With ``unborn`` a job may be named that has no events yet.
    """
    options = {name: option for name, option in _OPTIONS.items() if name not in without}

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_wanted(*arguments: Any, **values: Any) -> Any:
            given = {name: values.pop(name) for name in options}
            return command(*arguments, wanted=_wanted(given, unborn), **values)

        for option in reversed(options.values()):
            option(with_wanted)
        return with_wanted

    return decorate


def _wanted(given: dict[str, Any], unborn: bool) -> Wanted:
    from prodigy_git.lifecycle import whereabouts
    from prodigy_git.model.event import pascal_case
    from prodigy_git.model.selection import Selection

    named = given.get("job", ())
    all_jobs, all_repos = given.get("all_jobs", False), given.get("all_repos", False)
    if bool(named) + all_jobs + all_repos > 1:
        raise click.UsageError("Give one of --job, --all-jobs and --all-repos.")
    try:
        store, here = whereabouts.repository(gitenv.here())
    except ProdigyError as error:  # outside of any repository
        if all_jobs:
            raise ProdigyError(f"{error}, or give --all-repos") from error
        store, here = home.here(), None
    selection = Selection(
        types=frozenset(map(pascal_case, given.get("type", ()))),
        agents=frozenset(given.get("agent", ())),
        sessions=frozenset(given.get("session", ())),
        items=frozenset(given.get("item", ())),
        since=given.get("since"),
        until=given.get("until"),
    )
    if named:
        pairs = [pair for name in named for pair in _jobs_called(store, here, name, unborn)]
        return Wanted(store, lambda: list(dict.fromkeys(pairs)), selection, True)
    repo = None if all_repos else here
    return Wanted(store, lambda: _jobs_of(store, repo), selection, False, repo)


def _jobs_of(store: str, repo: str | None) -> list[tuple[str, str]]:
    """Return (key, job) of the logs of a repository, or of all: a run of Prodigy's has its own key."""
    from prodigy_git.jobs import prodigy_runs
    from prodigy_git.store import events

    found = set(events.jobs(store, repo))
    if repo is not None:
        runs = prodigy_runs.of_repository(store, repo, lambda _: None)
        found |= {(one.key, one.job_id) for one in runs}
    return sorted(found)


def _jobs_called(store: str, here: str | None, name: str, unborn: bool) -> list[tuple[str, str]]:
    """Return (repository key, job id) of a job: of the repository here, else of any that has it."""
    from prodigy_git.store import events

    repo, slash, job = name.rpartition("/")
    if slash:
        checked(repo, "repository key")
    checked(job, "job id")
    found = events.jobs(store, repo or None, job)
    own = [(here, job)] if here is not None and not slash else []
    if found:
        from prodigy_git.jobs import prodigy_runs

        # What Prodigy wrote of a run that is here lies under the run's own key.
        mine = [
            pair
            for pair in found
            if here is not None and prodigy_runs.logical(store, *pair) == (here, job)
        ]
        return mine or [pair for pair in own if pair in found] or found
    if unborn and (own or slash):
        return own or [(repo, job)]
    raise ProdigyError(f"no events of a job {name}: 'prodigy-git job list' names the jobs")
