"""What would come of merging a job's results, for its report. Nothing is written."""

from typing import Any

from prodigy_git.errors import ProdigyError
from prodigy_git.merging.queue import choosing, preflight, target
from prodigy_git.store.events import Broken
from prodigy_git.views.report import overlaps

_MOST = 200
"""Results, of more of which a report would take minutes."""
_NOTHING: dict[str, Any] = {
    "target_branch": None, "target_commit": None, "results": [], "conflicts": [], "order": [],
    "not_in_order": [],
}  # fmt: skip


def of_job(store: str, repo: str, job: str, broken: Broken) -> dict[str, Any]:
    """Return what `conflicts` says of a job, with ``unknown``: why that cannot be told, else None."""
    try:
        place = overlaps.place_of(store, repo)
        if place is None:
            return {"unknown": "the repository is not at hand", **_NOTHING}
        found = choosing.chosen(store, repo, (), job, broken)
        if len(found) > _MOST:
            why = (
                f"these are {len(found)} results: 'prodigy-git conflicts --job {job}' compares them"
            )
            return {"unknown": why, **_NOTHING}
        branch = target.find(store, repo, place.common, None, found)
        found = [one for one in found if one.branch != branch.branch]
        said = preflight.of(branch, found, keep=False, broken=broken)
    except (ProdigyError, OSError) as error:
        return {"unknown": str(error), **_NOTHING}
    return {"unknown": None, **said.as_json()}


def within(said: dict[str, Any]) -> set[str]:
    """Return the sessions whose work the target has."""
    return {
        one["session_id"]
        for one in said["results"]
        if one["state"] in ("merged", "empty") and one["session_id"] is not None
    }
