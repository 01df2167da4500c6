"""Results that another host has made, and pushed: their commits are brought here, or it is said how."""

from collections.abc import Sequence

from prodigy_git.git import remotes
from prodigy_git.jobs import prodigy_runs, pushed_branches
from prodigy_git.jobs.pushed_branches import Pushed
from prodigy_git.merging.results.results import Result
from prodigy_git.record.gitdir import Place
from prodigy_git.store.events import Broken


def bring(store: str, repo: str, found: Sequence[Result], broken: Broken, *, fetch: bool) -> bool:
    """Fetch the commits of results that are not here, and were pushed; return whether any came.

    With ``fetch`` False they are only told of. What cannot be had is told, too, and no error.
    """
    lacking = [one for one in found if one.head is None and one.state == "succeeded"]
    common = prodigy_runs.common_of(store, repo) if lacking else None
    if common is None:
        return False
    place = Place(common, common, common)
    wanted = pushed_branches.lacking(place, _pushed(store, repo, lacking, broken))
    if not wanted:
        return False
    if not fetch:
        # A remote's name is what another host says: it may be made for the shell it is pasted into.
        known = remotes.known(common)
        there = sorted({one.remote for one in wanted if one.remote in known}) or ["--all"]
        named = ", ".join(f"'git fetch {one}'" for one in there)
        results = "1 result was" if len(wanted) == 1 else f"{len(wanted)} results were"
        broken(f"{results} made on other hosts, and pushed: {named} brings them here")
        return False
    left = pushed_branches.fetch(place, wanted, broken)
    for one in left:
        broken(
            f"the commits of {one.item_id or one.session_id} are on no remote of this repository: "
            f"they were pushed to {one.remote} ({one.url}) as {one.ref}"
        )
    return len(left) < len(wanted)


def _pushed(store: str, repo: str, lacking: Sequence[Result], broken: Broken) -> list[Pushed]:
    found: list[Pushed] = []
    for job in sorted({one.job_id for one in lacking}):
        sessions = {one.session_id for one in lacking if one.job_id == job and one.session_id}
        if sessions:
            of_job = pushed_branches.of_job(store, repo, job, broken, sessions=sessions)
            found += of_job.values()
    return found
