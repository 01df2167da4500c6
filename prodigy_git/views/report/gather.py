"""What a report needs of the store and of git, and the report made of it. Only reads."""

import os
from typing import Any

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import index_counts, peek, prodigy_runs, summary
from prodigy_git.model.selection import Selection
from prodigy_git.names import is_safe
from prodigy_git.record import clock, redacting
from prodigy_git.store import briefs, events, other_hosts, other_sessions, stream
from prodigy_git.store.briefs import Brief
from prodigy_git.store.events import Broken
from prodigy_git.transcripts import spent
from prodigy_git.views.overview import program_states
from prodigy_git.views.report import data, merging, overlaps, story
from prodigy_git.views.report.story import Story


def of_job(
    store: str, repo: str, job: str, wanted: Selection, stuck_after: int, broken: Broken
) -> dict[str, Any]:
    """Return the report of a job, as `data.build`. Raises `ProdigyError` where there is no such job."""
    log = layout.job_log(store, repo, job)

    def of_state(text: str) -> None:
        # The log is read for the job's state and for its events: what is broken in it is said once.
        if not text.startswith(f"{log}/"):
            broken(text)

    with peek.opened(store, repo, job, of_state) as index:
        head = summary.of(index)
        given_up = {name for name, _ in index.in_state("dead", "failed")}
        mended = index_counts.mended(index.rows)
    paths = prodigy_runs.log_files(store, repo, job)
    told = story.of_events(stream.merge(paths, broken), wanted)
    at_work = _at_work(store, told)
    spend = spent.of_repository(store, prodigy_runs.common_of(store, repo), repo, broken)
    hosts = _hosts(store, repo)
    known = data.Known(
        job=head,
        given_up=given_up,
        mended=mended,
        now=clock.now(),
        stuck_after=stuck_after,
        persons={one.id for one in at_work if one.persons},
        doing=program_states.of_sessions(
            store,
            ((one.repo, one.job, one.id, one.worktree, one.persons) for one in at_work),
            broken,
        ),
        hosts=None if hosts is None else hosts[1],
        here=None if hosts is None else hosts[0],
        usage=spent.of_job(spend, job),
        usages={one: found for one in spend.sessions if (found := spent.usage(spend, (one,)))},
    )
    said = merging.of_job(store, repo, job, of_state)
    found = data.build(told, known, _changed(store, repo, told), wanted, said, merging.within(said))
    # It is made to be passed on, and a log may be older than the gate.
    passed_on: dict[str, Any] = redacting.value(store, repo, found)
    return passed_on


def _hosts(store: str, repo: str) -> tuple[str, dict[str, str]] | None:
    """Return what this host is called, and the others by their sessions; None where there are none."""
    hosts = other_hosts.known(store)
    if not hosts.several():
        return None
    return hosts.named(None), {
        one.id: hosts.named(one.other_host)
        for one in other_sessions.read(store, repo, ended=True)
        if not os.path.lexists(layout.session(store, one.id))
    }


def _at_work(store: str, told: Story) -> list[Brief]:
    """Return the sessions that have not ended of the attempts that have no end in the log."""
    these = {one.session_id for one in told.attempts if one.outcome == "running"}
    known = briefs.read_some(store, sorted(name for name in these if name and is_safe(name)))
    return [one for one in known if not one.over]


def _changed(store: str, repo: str, told: Story) -> overlaps.Changed | str:
    place = overlaps.place_of(store, repo)
    if place is None:
        return "the repository is not at hand"
    try:
        return overlaps.changed(place, data.standing(told))
    except ProdigyError as error:
        return str(error)


def newest_job(store: str, repo: str) -> str | None:
    """Return the job of a repository whose log was written to last; None where it has none.

    One session's own only where there is no other, and a person's own checkout never. Where no log
    has anything, the newest run of Prodigy's.
    """
    runs = prodigy_runs.of_repository(store, repo, lambda _: None)
    theirs = other_sessions.ids(store, repo)
    found = [
        (
            not os.path.lexists(layout.session(store, job)) and job not in theirs,
            max(
                (events.last_change(path) for path in events.log_files(store, repo, job)), default=0
            ),
            job,
        )
        for _, job in events.jobs(store, repo)
        if not any(one.persons for one in briefs.read_some(store, [job]))
        and (not runs or any(map(os.path.getsize, events.log_files(store, repo, job))))
    ]
    if not found and runs:
        return runs[-1].job_id
    return max(found)[-1] if found else None
