"""The library, as an orchestrator in Python uses it."""

import json
import threading

import pytest

from prodigy_git import api


@pytest.fixture
def job(repo):
    return api.open_job("j", items=[{"id": "a"}, "second"], max_attempts=2, cwd=str(repo))


def test_a_job_from_start_to_end(job):
    first = api.claim(job, agent="a1")
    assert (first.item_id, first.data, first.attempt) == ("a", {"id": "a"}, 1)
    assert api.finish(job, first, commits=["abcdef1"], result={"ok": 1}).state == "completed"
    second = api.claim(job, agent="a1", lease=60)
    assert (second.item_id, second.data) == ("item-2", "second")
    assert api.renew(job, second, lease=120) > second.lease_until
    assert api.finish(job, second, error="no", reason="Timeout").state == "pending"
    third = api.claim(job, agent="a2")
    assert api.finish(job, third, error="no", retry=False).state == "dead"
    assert api.claim(job, agent="a3") is None
    state = api.job_state(job)
    assert (state["completed"], state["dead"]) == (1, 1)
    kinds = [event.type for event in api.read_events(job)]
    assert kinds[:1] == ["JobStarted"]
    assert kinds.count("AgentStarted") == 3


def test_a_job_is_opened_once(job, repo):
    assert api.open_job("j", items=["other"], cwd=str(repo)) == job
    assert api.job_state(job)["total_items"] == 2
    with pytest.raises(api.ProdigyError, match="was started"):
        api.open_job("j", items=["other"], cwd=str(repo), exist_ok=False)
    assert api.open_job("free", cwd=str(repo)).job_id == "free"
    with pytest.raises(api.ProdigyError, match="no job free"):
        api.claim(api.open_job("free", cwd=str(repo)), agent="a")


def test_events_of_ones_own(job):
    identity = api.record_event(job, "ClaudeMessage", content="hello", agent_id="a1", mine=[1])
    (event,) = [one for one in api.read_events(job) if one.type == "ClaudeMessage"]
    assert (event.id, event.agent_id) == (identity, "a1")
    assert event.own() == {"content": "hello", "mine": [1]}
    with pytest.raises(api.ProdigyError, match=r"ClaudeMessage.content"):
        api.record_event(job, "ClaudeMessage", content=1)


def test_following_goes_on_where_it_was(job):
    got, cursor = [], None
    stop = threading.Event()
    for number in range(3):
        api.record_event(job, "ClaudeMessage", content=str(number))
    for event, at in api.follow(job, since=0, stop=stop):
        got.append(event)
        if at is not None:
            cursor = at
            stop.set()
    before = [event.id for event in got]
    assert before == [event.id for event in api.read_events(job)]
    later = [api.record_event(job, "ClaudeMessage", content=str(n)) for n in range(3)]
    stop = threading.Event()
    again = []
    for event, _ in api.follow(job, since=cursor, stop=stop):
        again.append(event.id)
        if len(again) == len(later):
            stop.set()
    assert again == later


def test_it_says_nothing_on_its_own(job, capfd):
    made = api.claim(job, agent="a", lease=-1)
    assert api.claim(job, agent="b", item=made.item_id).attempt == 2
    assert capfd.readouterr() == ("", "")  # it goes to the logger


def test_the_example_of_its_documentation(repo):
    code = "\n".join(
        line[4:] for line in api.__doc__.splitlines() if line.startswith("    ") or not line
    )
    exec(code.replace("/path/to/repository", str(repo)), {})
    state = api.job_state(api.open_job("review", cwd=str(repo)))
    assert (state["completed"], state["total_items"]) == (1, 1)
    json.dumps(state)
