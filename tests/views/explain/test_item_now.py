"""Who has an item now, who completed it, or why nobody has it; and what is advised then can be done."""

import json
import shlex

import pytest
from support_cli import call, new, ok, refused

from prodigy_git.views.explain import lookup

ITEMS = [
    {"id": "first"},
    {"id": "second", "after": ["first"]},
    {"id": "third", "after": ["second", "first"]},
]


@pytest.fixture
def job(repo, tmp_path):
    def start(name="j", items=ITEMS, **how):
        (tmp_path / "items.json").write_text(json.dumps(items))
        more = [word for key, value in how.items() for word in (f"--{key}", value)]
        ok("job", "start", name, "--items", tmp_path / "items.json", *more, cwd=repo)
        return repo

    return start


def explain(cwd, name, job="j"):
    return lookup.explain(str(cwd), name, job=job, kind="item", broken=pytest.fail)


def shown(cwd, name, job="j"):
    """Return what the lines of a story say, by their headings; of several lines in a list."""
    found, last = {}, ""
    for line in ok("explain", name, "--as", "item", "--job", job, cwd=cwd).out.splitlines():
        last = line[:12].strip() or last
        found.setdefault(last, []).append(line[12:])
    return found


def waits_for(found):
    return [(one["item_id"], one["state"]) for one in found["waits_for"]]


def follow(cwd, found):
    """Do what the first advice says."""
    (command,) = [text.split("'")[1] for text in found["next"]][:1]
    return ok(*shlex.split(command)[1:], cwd=cwd)


def test_who_has_it_and_who_completed_it(job):
    repo = job()
    made = new(repo, "w", "--job", "j", "--agent", "ann", "--item", "first")
    found = explain(repo, "first")
    held = found["holder"]
    assert {name: held[name] for name in held.keys() - {"since_at"}} == {
        "agent_id": "ann", "session_id": "w", "attempt": 1, "branch": "prodigy/j/first",
        "branch_exists": True, "worktree": made["worktree"], "worktree_state": "there",
    }  # fmt: skip
    assert (held["since_at"], found["completed_by"]) == (found["since_at"], None)
    assert (found["why_free"], found["waits_for"]) == (None, [])
    assert shown(repo, "first")["now"] == [
        f"with session w, agent ann: attempt 1, since {held['since_at'][:19]}Z",
        f"branch prodigy/j/first, worktree {made['worktree']}",
    ]
    ok("finish", "w", cwd=repo)
    ok("worktree", "clean", "w", cwd=repo)
    found = explain(repo, "first")
    assert (found["holder"], found["why_free"]) == (None, None)
    done = found["completed_by"]
    assert (done["agent_id"], done["session_id"], done["worktree_state"]) == ("ann", "w", "trash")
    first, second = shown(repo, "first")["now"]
    assert first == f"completed by session w, agent ann: attempt 1, {done['since_at'][:19]}Z"
    assert "worktree in the trash: " in second


def test_which_items_it_waits_for_and_which_of_them_are_in_the_queue(job):
    repo = job(**{"max-attempts": "1"})
    found = explain(repo, "third")
    assert (found["why_free"], waits_for(found)) == (
        "after", [("first", "pending"), ("second", "pending")],
    )  # fmt: skip
    assert follow(repo, found).out.startswith("item        first")
    ok("job", "next", "j", "--agent", "ann", cwd=repo)
    assert waits_for(explain(repo, "second")) == [("first", "in_progress")]
    ok("job", "done", "j", "first", "--agent", "ann", "--failed", "--error", "x", cwd=repo)
    assert shown(repo, "first")["now"] == ["nobody has it: it is in the queue"]
    lines = shown(repo, "third")
    assert lines["now"] == ["nobody has it: it waits for other items"]
    assert lines["waits for"] == ["first, in the queue", "second, pending"]
    found = explain(repo, "second")
    assert "dlq retry first --job j" in found["next"][0]
    follow(repo, found)
    assert explain(repo, "first")["why_free"] == "pending"
    ok("job", "next", "j", "--agent", "bob", cwd=repo)
    ok("job", "done", "j", "first", "--agent", "bob", cwd=repo)
    assert (explain(repo, "second")["why_free"], explain(repo, "second")["waits_for"]) == (
        "pending", [],
    )  # fmt: skip
    assert waits_for(explain(repo, "third")) == [("second", "pending")]


def test_what_it_waits_for_that_somebody_has_to_review_first(job, store):
    repo = job()
    ok("job", "next", "j", "--agent", "ann", cwd=repo)
    ok("job", "done", "j", "first", "--agent", "ann", "--failed", "--no-retry", cwd=repo)
    path = store / "dlq/repo/j/dlq-items.json"
    document = json.loads(path.read_text())
    document["items"][0] |= {"manual_review_required": True}
    path.write_text(json.dumps(document))
    found = explain(repo, "second")
    assert "reviewed" in refused("dlq", "retry", "first", "--job", "j", cwd=repo)
    assert "--force" in found["next"][0]
    follow(repo, found)
    assert waits_for(explain(repo, "second")) == [("first", "pending")]


def test_what_it_waits_for_that_was_given_up(job):
    repo = job(**{"max-attempts": "1"})
    ok("job", "next", "j", "--agent", "ann", cwd=repo)
    ok("job", "done", "j", "first", "--agent", "ann", "--failed", cwd=repo)
    ok("dlq", "clear", "first", "--job", "j", "--yes", cwd=repo)
    assert explain(repo, "first")["why_free"] == "failed"
    assert shown(repo, "first")["now"] == ["nobody has it: it is given up, and not in the queue"]
    assert shown(repo, "second")["waits for"] == ["first, given up, and not in the queue"]
    follow(repo, explain(repo, "second"))


def test_why_nobody_has_what_is_pending(job):
    repo = job("two", [{"id": "a"}, {"id": "b"}], **{"max-attempts": "2"})
    assert shown(repo, "a", "two")["now"] == ["nobody has it: whoever claims next may have it"]
    ok("job", "next", "two", "--agent", "ann", cwd=repo)
    ok("job", "done", "two", "a", "--agent", "ann", "--failed", cwd=repo)
    found = explain(repo, "a", "two")
    assert found["why_free"] == "backoff"
    said = f"nobody has it: it may be tried again from {found['retry_at'][:19]}Z on"
    assert shown(repo, "a", "two")["now"] == [said]
    ok("job", "pause", "two", cwd=repo)
    assert shown(repo, "b", "two")["now"] == ["nobody has it: its job is paused"]
    follow(repo, explain(repo, "b", "two"))
    assert explain(repo, "b", "two")["why_free"] == "pending"
    ok("job", "cancel", "two", cwd=repo)
    assert shown(repo, "b", "two")["now"] == ["nobody has it: its job has ended"]
    follow(repo, explain(repo, "b", "two"))
    assert explain(repo, "b", "two")["why_free"] == "pending"


def test_an_end_that_is_late_and_a_lease_that_is_over_in_text(job, store):
    repo = job("late", [{"id": "a"}])
    ok("job", "next", "late", "--agent", "ann", "--lease", "1h", cwd=repo)
    (now,) = shown(repo, "a", "late")["now"]
    assert now.startswith("with agent ann: attempt 1, since ")
    assert now.endswith("Z, if it is not renewed")
    log = next((store / "events/repo/late").glob("*.jsonl"))
    text = log.read_text()
    until = text.split('"lease_until":"')[1].split('"')[0]
    log.write_text(text.replace(until, "2025-01-11T12:00:00.000000Z"))
    for derived in (store / "state/repo/mapreduce/jobs/late").glob("[!i]*.json"):
        derived.unlink()
    (store / "state/repo/mapreduce/jobs/late/index.sqlite").unlink()
    (now,) = shown(repo, "a", "late")["now"]
    assert now.endswith(", until 2025-01-11T12:00:00Z, which is over")
    follow(repo, explain(repo, "a", "late"))
    ok("job", "next", "late", "--agent", "bob", "--item", "a", cwd=repo)
    done = call("job", "done", "late", "a", "--agent", "ann", "--attempt", "1", cwd=repo)
    assert done.code == 4
    assert shown(repo, "a", "late")["attempt 1"][0].startswith("completed in ")
    assert ", late, agent ann" in shown(repo, "a", "late")["attempt 1"][0]
