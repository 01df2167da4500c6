"""Every view says the same numbers of a job, and they are those of the log."""

import json
import re

import pytest
from support_cli import new, ok

from prodigy_git import api
from prodigy_git.jobs import claims
from prodigy_git.record import clock
from prodigy_git.tui import app as top
from prodigy_git.views.overview.memory import Memory
from prodigy_git.views.overview.repositories import Wish, of_store

ITEMS = [f"i{number}" for number in range(1, 21)]
AGENT = '[ "$PRODIGY_ATTEMPT" = 1 ] && exit 7; git commit -q --allow-empty -m "$PRODIGY_ITEM_ID"'


def silent(text):
    """Take what the library reports, which is not the matter here."""


@pytest.fixture
def job(repo, git, tmp_path):
    """One job after a busy day, another that was never opened, and a person's own checkout."""
    source = tmp_path / "items.json"
    source.write_text(json.dumps([{"id": name} for name in ITEMS]))
    ok("install", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "a person's own", cwd=repo)
    ok("job", "start", "day", "--items", source, "--max-attempts", "2", cwd=repo)
    found = api.open_job("day", cwd=str(repo))

    def claim(agent, item, **how):
        return api.claim(found, agent=agent, item=item, **how)

    def work(agent, item, error=None, **how):
        return api.finish(found, claim(agent, item), error=error, **how)

    for item in ITEMS[:6]:
        work("w1", item)
    work("w2", "i7", "tests failed: 3 of 9")
    work("w3", "i7")
    options = ("--job", "day", "--item", "i8", "--backoff", "1s", "--keep")
    ok("run", *options, "--", "sh", "-c", AGENT, cwd=repo)
    for item in ("i9", "i10", "i11", "i12"):
        work("w2", item, "cannot build")
        work("w2", item, "cannot build")
    ok("dlq", "retry", "--job", "day", "i10", "i12", cwd=repo)
    work("w1", "i10")
    ok("dlq", "clear", "--job", "day", "i11", "--yes", cwd=repo)
    lost = claim("w3", "i13", lease=1e-6)  # over at once
    work("w1", "i13")
    assert api.finish(found, lost, error="too late").late
    by_hand = ok("job", "next", "day", "--item", "i14", cwd=repo).json
    ok("job", "done", "day", "i14", "--commit", "1" * 40, cwd=repo)
    assert by_hand["item_id"] == "i14"
    claim("w5", "i15")
    claims.fail(
        found.store, found.repo, "day", claim("w2", "i16"), error="busy", backoff_ms=3_600_000,
        broken=silent,
    )  # fmt: skip
    back = claim("w6", "i17")
    claims.release(found.store, found.repo, "day", back, reason="interrupted", broken=silent)
    made = new(repo, "with-commits", "--job", "day", "--agent", "w1", "--item", "i18")["worktree"]
    for _ in range(2):
        git("commit", "-q", "--allow-empty", "-m", "one", cwd=made)
    git("commit", "-q", "--allow-empty", "--amend", "-m", "two", cwd=made)
    for name in ("red", "blue"):
        new(repo, name, "--job", "team")
    return found


def counted(store, repo, job):
    """Count a job's numbers from the lines of its log alone."""
    lines = [
        json.loads(line)
        for path in (store / "events" / repo / job).glob("*.jsonl")
        for line in path.read_text().splitlines()
    ]
    state = dict.fromkeys(ITEMS, "pending")
    started, failed, agents, commits, given_back = set(), set(), set(), set(), set()
    for one in sorted(lines, key=lambda one: one["timestamp"]):
        kind, item, agent = one["type"], one.get("item_id"), one.get("agent_id")
        attempt = (item, one.get("attempt"))
        if kind == "AgentStarted":
            state[item] = "in_progress"
            started.add(attempt)
            agents.add(item if re.fullmatch("agent-[a-z2-9]{8}", agent) else agent)
        elif kind == "ClaimReleased":
            state[item] = "pending"
            given_back.add(attempt)
        elif kind == "AgentCompleted" and not one.get("late"):
            state[item] = "completed"
        elif kind == "AgentFailed":
            failed.add(attempt)
            if not one.get("late"):
                state[item] = "pending"
        elif kind == "DLQItemAdded":
            state[item] = "dead"
        elif kind == "DLQItemRemoved":
            state[item] = "failed"
        elif kind == "DLQItemsReprocessed":
            state |= dict.fromkeys(one["items"], "pending")
        elif kind == "CommitCreated":
            commits.add(one["commit"])
    states = list(state.values())
    return {
        "total_items": 20,
        **{name: states.count(name) for name in STATES},
        "given_up": states.count("dead") + states.count("failed"),
        "percent_done": 100 * states.count("completed") // 20,
        "waiting": 1,
        "attempts": len(started - given_back),
        "failed_attempts": len(failed),
        "retried_well": sum(state[item] == "completed" for item, _ in failed),
        "agent_count": len(agents),
        "commits": len(commits),
    }


STATES = ("completed", "in_progress", "pending", "dead", "failed")
OF_ITEMS = (*STATES, "total_items", "given_up", "percent_done", "waiting")
OF_ATTEMPTS = ("attempts", "failed_attempts", "retried_well", "agent_count", "commits")


def test_all_views_say_the_same(job, repo, store):
    truth = counted(store, job.repo, "day")
    assert {name: truth[name] for name in STATES} == {
        "completed": 11, "in_progress": 2, "pending": 5, "dead": 1, "failed": 1,
    }  # fmt: skip
    assert (truth["attempts"], truth["failed_attempts"], truth["retried_well"]) == (25, 12, 5)
    # w1, w2, w3, w5, w6, and whoever did i8 and i14
    assert (truth["agent_count"], truth["commits"]) == (7, 4)

    state = api.job_state(job)
    (shown,) = [one for one in status(repo)["jobs"] if one["job_id"] == "day"]
    (listed,) = [
        one for one in ok("job", "list", "--json", cwd=repo).json if one["job_id"] == "day"
    ]
    shows = ok("job", "show", "day", "--json", cwd=repo).json
    report = ok("report", "--job", "day", "--json", cwd=repo).json
    (seen,) = [one for one in live(job).jobs if one["job_id"] == "day"]
    for view in (state, shown, listed, shows, report["job"], seen):
        assert {name: view[name] for name in OF_ITEMS} == {name: truth[name] for name in OF_ITEMS}
    counts = {**report["counts"], "agent_count": report["counts"]["agents"]}
    for view in (state, shown, shows, counts, seen):
        assert {n: view[n] for n in OF_ATTEMPTS} == {n: truth[n] for n in OF_ATTEMPTS}

    assert "11/20" in top._job(seen, 120).plain
    assert "11 completed" not in top._job(seen, 120).plain
    said = ok("job", "show", "day", cwd=repo).out
    assert "20 in all, 11 completed, 2 in progress, 5 pending, 1 in the queue, 1 failed" in said
    assert "done: 55 %, over: 65 %" in said
    line = json.loads(ok("statusline", "--json", cwd=store / "worktrees/repo/with-commits").out)
    assert (line["done"], line["failed"], line["total"], line["percent"]) == (11, 2, 20, 55)
    resumed = ok("resume", "day", "--json", cwd=repo).json
    assert (resumed["pending"], resumed["in_progress"]) == (5, 2)
    queue = ok("dlq", "stats", "--job", "day", "--json", cwd=repo).json
    assert queue["items"] == truth["dead"]
    each_item_is_told_of_alike(truth, repo)
    a_retried_failure_is_no_open_one(state)
    a_line_is_an_agents_or_an_items(report)
    a_persons_checkout_is_no_agent(repo)
    a_job_of_sessions_alone(repo)
    answer = ok("job", "finish", "day", "--failed", "enough", "--json", cwd=repo).json
    assert (answer["success_count"], answer["failure_count"]) == (11, 2)


def each_item_is_told_of_alike(truth, repo):
    told = [ok("explain", name, "--as", "item", "--json", cwd=repo).json for name in ITEMS]
    states = [one["state"] for one in told]
    assert {name: states.count(name) for name in STATES} == {name: truth[name] for name in STATES}
    tries = [one for item in told for one in item["attempts"] if one["outcome"] != "cancelled"]
    assert len(tries) == truth["attempts"]
    assert sum(one["outcome"] == "failed" for one in tries) == truth["failed_attempts"]


def a_retried_failure_is_no_open_one(state):
    failures = {one["error_signature"]: one for one in state["failures"]}
    assert {name: one["item_count"] for name, one in failures.items()} == {
        "cannot build": 3,
        "busy": 1,
    }
    assert failures["cannot build"]["to_be_retried"] == 1


def a_line_is_an_agents_or_an_items(report):
    lanes = {(one["item_id"], one["who"]) for one in report["attempts"]}
    assert {one for one in lanes if one[0] in ("i7", "i8", "i14")} == {
        ("i7", "w2"), ("i7", "w3"), ("i8", "i8"), ("i14", "i14"),
    }  # fmt: skip


def a_persons_checkout_is_no_agent(repo):
    found = status(repo)
    assert [one["worktree"] for one in found["checkouts"]] == [str(repo)]
    assert str(repo) not in [one["worktree"] for one in found["agents"]]
    at_work = {state: count for state, count in found["counts"].items() if state != "finished"}
    assert sum(at_work.values()) == len(found["agents"])
    assert [one["job_id"] for one in ok("job", "list", "--json", cwd=repo).json] == ["day", "team"]
    mine = found["checkouts"][0]["job_id"]
    assert ok("job", "show", mine, "--json", cwd=repo).json["commits"] == 1
    assert mine not in ok("job", "list", cwd=repo).out
    # Where no job is named it is the one that is under way, not the checkout's own.
    for command in (("job", "show"), ("dlq", "list"), ("report",)):
        done = ok(*command, "--json", cwd=repo)
        assert "this is day, the only one under way here" in done.err
        assert "day" in done.out


def a_job_of_sessions_alone(repo):
    (shown,) = [one for one in status(repo)["jobs"] if one["job_id"] == "team"]
    report = ok("report", "--job", "team", "--json", cwd=repo).json
    assert (shown["agent_count"], shown["attempts"], shown["sessions"]) == (0, 0, {"Running": 2})
    counts = report["counts"]
    assert (counts["agents"], counts["attempts"], counts["sessions"]) == (0, 0, 2)
    assert (shown["total_items"], shown["percent_done"]) == (0, None)


def status(repo):
    (found,) = ok("status", "--json", cwd=repo).json["repositories"]
    return found


def live(job):
    """Return what `top` looks at."""
    wish = Wish(stuck_after=15 * 60 * clock.SECOND)
    (found,) = of_store(job.store, [job.repo], wish, Memory(keep=True), silent)
    return found
