"""Who ends between the reading of the log and the look at its holders is over, and not gone."""

import subprocess
import sys

import pytest

from prodigy_git.jobs import claims, course, owner, peek, summary
from prodigy_git.model.selection import Selection
from prodigy_git.record import clock, log
from prodigy_git.views.explain import lookup
from prodigy_git.views.report import data, gather


@pytest.fixture
def mortal():
    """A process that ends when its input does."""
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True
    ) as one:
        yield one
        one.kill()


@pytest.fixture
def job(store):
    """Start a job of three items; return its coordinates."""
    where = (str(store), "r", "j")
    course.start(*where, given=[(f"item-{n}", n) for n in (1, 2, 3)], broken=pytest.fail)
    return where


def claimed(job, item, process=None, agent="a", **more):
    held_by = None if process is None else owner.of_process(process.pid).as_json()
    return claims.claim(*job, agent=agent, item=item, owner=held_by, broken=pytest.fail, **more)


@pytest.fixture
def before_asking(monkeypatch):
    """Return a list of what happens next each time that somebody's holder is to be asked for."""
    coming, real, within = [], owner.has, []

    def has(*arguments):
        if coming and not within:
            within.append(True)  # a step asks, too
            coming.pop(0)()
            within.clear()
        return real(*arguments)

    monkeypatch.setattr(owner, "has", has)
    return coming


def in_the_jobs_words(job, name):
    shown = summary.whole(*job, pytest.fail)
    assert shown["in_progress"] == len(shown["in_progress_items"])
    row = next((one for one in shown["in_progress_items"] if one["item_id"] == name), None)
    return "not in progress" if row is None else row["alive"]


def in_the_report(job, name):
    shown = gather.of_job(*job, Selection(), data.STUCK_AFTER, pytest.fail)
    assert shown["trouble"]["dead"]["count"] == shown["counts"]["outcomes"].get("dead", 0)
    newest = [one["outcome"] for one in shown["attempts"] if one["item_id"] == name][-1]
    return {"running": True, "dead": False}.get(newest, "not in progress")


def in_its_story(job, name):
    found = lookup.explain("/", name, job=f"{job[1]}/{job[2]}", kind="item", broken=pytest.fail)
    assert any("agent is gone" in text for text in found["next"]) == (found["alive"] is False)
    return found["alive"] if found["state"] == "in_progress" else "not in progress"


every_view = pytest.mark.parametrize("seen", [in_the_jobs_words, in_the_report, in_its_story])


@every_view
@pytest.mark.parametrize("how", [claims.complete, claims.fail, claims.release])
def test_who_ends_meanwhile_is_over(job, mortal, before_asking, how, seen):
    made = claimed(job, "item-1", mortal)
    more = {
        claims.complete: {"commits": []},
        claims.fail: {"error": "x", "reason": "CommandFailed"},
        claims.release: {"reason": "Interrupted"},
    }[how]

    def ends():
        how(*job, made, broken=pytest.fail, **more)
        mortal.communicate("\n")

    before_asking.append(ends)
    assert seen(job, "item-1") == "not in progress"
    assert not before_asking


@every_view
def test_who_is_followed_by_another_meanwhile_is_over_and_the_other_at_work(
    job, mortal, before_asking, seen
):
    made = claimed(job, "item-1", mortal)

    def changes():
        claims.release(*job, made, reason="Interrupted", broken=pytest.fail)
        claimed(job, "item-1", agent="b", lease=10**10)
        mortal.communicate("\n")

    before_asking.append(changes)
    assert seen(job, "item-1") is True


@every_view
def test_who_renews_a_lease_meanwhile_is_there(job, before_asking, seen):
    claimed(job, "item-1", lease=1)
    until = clock.stamp(clock.now() + 10**10)
    told = {"agent_id": "a", "item_id": "item-1", "attempt": 1, "lease_until": until}
    # A step would give it up for dead first.
    before_asking.append(lambda: log.append(*job, [{"id": "r", "type": "ClaimRenewed", **told}]))
    assert seen(job, "item-1") is True


@every_view
def test_who_is_gone_is_called_so(job, mortal, before_asking, seen):
    claimed(job, "item-1", mortal)
    claimed(job, "item-2", lease=1, agent="b")
    mortal.communicate("\n")
    assert seen(job, "item-1") is False
    assert seen(job, "item-2") is False


def test_begun_and_gone_at_each_look_is_said_to_be_unknown(job, before_asking):
    claimed(job, "item-1", lease=1)
    numbers = iter(range(1, 1000))

    def again():
        number = next(numbers)
        over = {"agent_id": "a", "item_id": "item-1", "attempt": number}
        began = {**over, "attempt": number + 1, "lease_until": "2025-01-11T12:00:00Z"}
        log.append(*job, [
            {"id": f"e{number}", "type": "ClaimReleased", **over},
            {"id": f"s{number}", "type": "AgentStarted", **began},
        ])  # fmt: skip

    before_asking += [again] * 100
    assert in_the_jobs_words(job, "item-1") is None
    assert 90 < len(before_asking) < 100


def test_one_item_s_holder_is_asked_for_alone(job, before_asking):
    claimed(job, "item-1", lease=10**10)
    claimed(job, "item-2", lease=10**10, agent="b")
    before_asking += [lambda: None, lambda: None]
    assert in_its_story(job, "item-1") is True
    assert len(before_asking) == 1
    with peek.opened(*job, pytest.fail) as index:
        assert [row["alive"] for row in summary.at_work(index)] == [True, True]
