"""Records that came from other hosts: a job that goes on elsewhere keeps its events here."""

import json

from support_cli import ok
from support_other_hosts import BUILD, claimed, join, pulled, tell

from prodigy_git import layout
from prodigy_git.record import files

DAY = 24 * 60


def _shared(store):
    path = layout.hub_job(str(store), "repo", "review")
    files.make_private(path.rpartition("/")[0])
    with open(path, "w") as stream:
        json.dump({"hub": "x"}, stream)


def _old(store, *more):
    pulled(
        store, BUILD, ("JobStarted", 100 * DAY, {"total_items": 2}),
        claimed(BUILD, "i0", "ada", "s-build", minutes=99 * DAY), *more,
    )  # fmt: skip


def _cleaned(repo):
    done = ok("events", "clean", "--older-than", "30d", "--dry-run", "--json", cwd=repo).json
    return [one["job_id"] for one in done]


def test_a_job_that_goes_on_elsewhere_keeps_its_old_events(repo, store):
    ok("install", cwd=repo)
    join(store)
    tell(store, BUILD, "s-build", minutes=99 * DAY)
    _old(store)
    _shared(store)
    assert _cleaned(repo) == []
    _old(store, ("JobCompleted", 90 * DAY, {"success_count": 1, "failure_count": 0}))
    assert _cleaned(repo) == ["review"]


def test_what_is_noted_of_a_hub_is_known(repo, store):
    ok("install", cwd=repo)
    ok("new-worktree", "one", "--job", "review", cwd=repo)
    join(store)
    _shared(store)
    for path in (
        f"{layout.state(str(store), 'repo')}/hub.json",
        f"{layout.job_state(str(store), 'repo', 'review')}/hub-aside.jsonl",
    ):
        with open(path, "w") as stream:
            stream.write("{}")
    found = ok("clean", "--dry-run", "--json", cwd=repo).json
    assert found["drift"]["items"] == []
