"""Which results are meant, in which order they are merged, and what would come of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import git, version
from prodigy_git.lifecycle import whereabouts
from prodigy_git.merging.conflicts import foresee, three_way
from prodigy_git.merging.conflicts.forecast import Candidate, Forecast
from prodigy_git.merging.queue import branch_moves, culprits, outcomes
from prodigy_git.merging.queue.outcomes import Outcome
from prodigy_git.merging.queue.target import Target
from prodigy_git.merging.results import of_other_hosts, results
from prodigy_git.merging.results.results import Result
from prodigy_git.store.events import Broken

Order = Literal["conflicts", "item", "time"]


@dataclass
class Plan:
    """Results in the order in which they are merged, and what is known of some beforehand."""

    results: list[Result]
    known: dict[int, Outcome] = field(default_factory=dict)
    """By their places: what is not done, or has been merged."""
    forecast: Forecast | None = None
    """Of the others, by their places as texts; None where git is too old for one."""


def chosen(
    store: str,
    repo: str,
    names: Sequence[str],
    job: str | None,
    broken: Broken,
    *,
    fetch: bool | None = None,
) -> list[Result]:
    """Return the results that names name; without any those of the job that count.

    ``fetch``: what other hosts have pushed is fetched; False: it is told how; None: it is left alone.
    Raises `ProdigyError` as `results.named` and `results.of_job`.
    """
    found = _chosen(store, repo, names, job, broken)
    if fetch is not None and of_other_hosts.bring(store, repo, found, broken, fetch=fetch):
        return _chosen(store, repo, names, job, broken)
    return found


def _chosen(
    store: str, repo: str, names: Sequence[str], job: str | None, broken: Broken
) -> list[Result]:
    if names:
        return results.named(store, repo, names, job=job, broken=broken)
    assert job is not None
    return [one for one in results.of_job(store, repo, job, broken) if one.counts]


def of_here(cwd: str, job: str | None, told: Broken, *, take: bool) -> tuple[str, str, str]:
    """Return (store, repository key, job id) of a job of the repository around ``cwd``.

    As `whereabouts.job`; raises `ProdigyError` for one of another repository, too: nothing of that can
    be merged here.
    """
    store, repo = whereabouts.repository(cwd, take=take)
    _, its, known = whereabouts.job(cwd, job, told=told)
    if its != repo:
        raise ProdigyError(f"job {known} is one of repository {its}: change into that first")
    return store, repo, known


def can_foresee() -> bool:
    """Whether git can: then an order by conflicts can be found."""
    return version() >= three_way.OLDEST


def plan(
    target: Target, found: Sequence[Result], order: Order | None, *, keep: bool, broken: Broken
) -> Plan:
    """Put results into an order, and find out which are not to be merged; None: as they come.

    ``conflicts``: that which merges the most. What was tried for it is remembered, if ``keep``.
    Where that cannot be found they come as they are; but raises `ProdigyError` unless ``keep``.
    """
    ordered = list(found)
    if order == "time":
        ordered.sort(key=lambda one: one.completed_at or "~")
    tip = target.tip()
    heads = {one.head for one in ordered if one.head is not None}
    before = branch_moves.done_before(target, tip, heads, broken)
    made = Plan(ordered)
    candidates = []
    for number, one in enumerate(ordered):
        known = before.get(one.head or "")
        if one.state != "succeeded" or one.head is None:
            made.known[number] = Outcome(one, "not_ready", reason=outcomes.why_not_ready(one))
        elif known is not None:
            made.known[number] = Outcome(one, "already_merged", commit=known["commit"])
        else:
            candidates.append(Candidate(str(number), one.head, one.base))
    if not candidates or (not can_foresee() and order != "conflicts"):
        return made
    try:
        made.forecast = foresee.foresee(
            target.place, tip, candidates, store=target.store if keep else None, repo=target.repo,
            as_given=order != "conflicts", with_pairs=order == "conflicts" or not keep,
        )  # fmt: skip
    except ProdigyError as error:
        if not keep:
            raise
        broken(f"what would come of it cannot be foreseen, so they have their turns: {error}")
        return made
    for standing in made.forecast.standings:
        one = ordered[int(standing.name)]
        if standing.state == "merged":
            made.known[int(standing.name)] = Outcome(one, "already_merged")
        elif standing.state == "empty":
            made.known[int(standing.name)] = Outcome(one, "empty")
    return made if order != "conflicts" else _reordered(made, made.forecast)


def _reordered(made: Plan, forecast: Forecast) -> Plan:
    """Put what merges first, as the forecast has it; what that leaves out has its turn all the same."""
    turns = [int(name) for name in forecast.order]
    turns += [number for number in range(len(made.results)) if number not in turns]
    place = {number: at for at, number in enumerate(turns)}

    def renamed(name: str) -> str:
        return str(place[int(name)])

    return Plan(
        [made.results[number] for number in turns],
        {place[number]: outcome for number, outcome in made.known.items()},
        Forecast(
            forecast.target,
            order=[renamed(name) for name in forecast.order],
            standings=[
                one.__class__(renamed(one.name), one.commit, one.state, one.how, one.files)
                for one in forecast.standings
            ],
            left=[
                one.__class__(
                    renamed(one.name), one.files, tuple(map(renamed, one.against)), one.with_target,
                    one.trouble,
                )
                for one in forecast.left
            ],
        ),
    )  # fmt: skip


def foreseen(target: Target, made: Plan) -> list[Outcome]:
    """Return what would come of each result of a plan, as far as git alone says: no check is run.

    Raises `ProdigyError`.
    """
    if made.forecast is None:
        return [outcome for _, outcome in sorted(made.known.items())]
    left = {int(one.name): one for one in made.forecast.left}
    unclear = {
        int(one.name): one.how
        for one in made.forecast.standings
        if one.state in ("unknown", "unrelated", "gone")
    }
    found = []
    for number, one in enumerate(made.results):
        outcome = made.known.get(number)
        if outcome is None and number in left:
            there = left[number]
            files = tuple(path for path, _ in there.files)
            cwd = target.place.common
            whom = culprits.of(target, cwd, made.forecast.target, str(one.head), files)
            whom += [_as_culprit(target, made.results[int(name)]) for name in there.against]
            outcome = Outcome(one, "conflict", files=files, culprits=whom, reason=there.trouble)
        elif outcome is None and number in unclear:
            outcome = Outcome(one, "refused", reason=unclear[number])
        found.append(outcome or Outcome(one, "merged"))
    return found


def _as_culprit(target: Target, one: Result) -> dict[str, str | None]:
    subject = git(target.place.common, "log", "-1", "--format=%s", str(one.head)).rstrip("\n")
    return {
        "commit": one.head, "subject": subject, "item_id": one.item_id, "agent_id": one.agent_id,
        "session_id": one.session_id,
    }  # fmt: skip
