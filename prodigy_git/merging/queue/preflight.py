"""What would come of merging results into a branch: results in, a forecast by their names out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from prodigy_git.merging.conflicts import foresee
from prodigy_git.merging.conflicts.forecast import Candidate, Files, Forecast, Standing
from prodigy_git.merging.queue import branch_moves
from prodigy_git.merging.queue.target import Target
from prodigy_git.merging.results.results import Result
from prodigy_git.store.events import Broken


@dataclass(frozen=True)
class Preflight:
    """A forecast of results, by names that each only one of them has."""

    target: str
    """The branch's short name."""
    results: dict[str, Result]
    forecast: Forecast

    def pairs(self) -> Iterator[tuple[Standing, Result]]:
        """Yield how each result stands to the target, in the order of the results."""
        for one in self.forecast.standings:
            yield one, self.results[one.name]

    def as_json(self) -> dict[str, Any]:
        """Return it as ``conflicts --json`` prints it."""
        return {
            "target_branch": self.target,
            "target_commit": self.forecast.target,
            "results": [_standing(one, result) for one, result in self.pairs()],
            "conflicts": [
                {
                    "one": one.one, "other": one.other, "files": _files(one.files),
                    "not_known": one.trouble,
                }
                for one in self.forecast.clashes
            ],
            "order": self.forecast.order,
            "not_in_order": [
                {
                    "name": one.name, "with_target": one.with_target, "with_results": list(one.against),
                    "files": _files(one.files), "not_known": one.trouble,
                }
                for one in self.forecast.left
            ],
        }  # fmt: skip


def of(target: Target, found: Sequence[Result], *, keep: bool, broken: Broken) -> Preflight:
    """Return what would come of merging results into a branch; ``keep``: what was tried is remembered.

    Raises `ProdigyError`, as where git is older than 2.38; `OSError`.
    """
    results = dict(zip(_names(found), found, strict=True))
    tip = target.tip()
    heads = {one.head for one in found if one.head is not None}
    # What `merge` has merged, with conflicts that were resolved perhaps: the contents do not tell.
    before = branch_moves.done_before(target, tip, heads, broken)
    candidates = [
        Candidate(name, one.head, one.base)
        for name, one in results.items()
        if one.head not in before
    ]
    forecast = foresee.foresee(
        target.place, tip, candidates, store=target.store, repo=target.repo, keep=keep
    )  # fmt: skip
    standings = {one.name: one for one in forecast.standings}
    forecast.standings = [
        standings.get(name) or Standing(name, one.head, "merged", "'prodigy-git merge' merged it")
        for name, one in results.items()
    ]
    return Preflight(target.branch, results, forecast)


def _names(found: Sequence[Result]) -> list[str]:
    """Return a name for each result: its own, with more of it where several have that."""
    own = [one.name for one in found]
    names: list[str] = []
    for name, one in zip(own, found, strict=True):
        if own.count(name) > 1:
            more = one.session_id or one.agent_id or str(one.attempt)
            name = f"{name} ({more})"
        while name in names:
            name += "'"
        names.append(name)
    return names


def _standing(one: Standing, result: Result) -> dict[str, Any]:
    return {
        "name": one.name, "job_id": result.job_id, "item_id": result.item_id,
        "attempt": result.attempt, "agent_id": result.agent_id, "session_id": result.session_id,
        "branch": result.branch, "head": one.commit, "state": one.state, "how": one.how,
        "files": _files(one.files),
    }  # fmt: skip


def _files(files: Files) -> list[dict[str, Any]]:
    return [{"path": path, "kinds": kind.split(", ")} for path, kind in files]
