"""The library, as an orchestrator in Python uses it."""

import json
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prodigy_git import api
from prodigy_git.record import jsonline


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
    assert api.finish(job, second, error="no", reason="Timeout", backoff=0).state == "pending"
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


def test_items_that_are_added_and_their_order(job):
    added = api.add_items(job, [{"id": "first", "priority": 1}, {"id": "last", "after": ["a"]}])
    assert added == ["first", "last"]
    assert api.add_items(job, [{"id": "a"}, {"id": "new"}], skip_known=True) == ["new"]
    with pytest.raises(api.ProdigyError, match="has item a already"):
        api.add_items(job, [{"id": "a"}])
    for wrong in ([], "ab", {"id": "b"}, [{"id": "b", "after": ["nobody"]}], [{"t": "\ud83d"}]):
        with pytest.raises(api.ProdigyError):
            api.add_items(job, wrong)
    got = [api.claim(job, agent=f"a{n}") for n in range(5)]
    assert [one and one.item_id for one in got] == ["first", "a", "item-2", "new", None]


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
    made = api.claim(job, agent="a", lease=1e-6)
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


NO_NAME = st.sampled_from(
    ["", "a b", "../x", "\udcff", "x" * 200, 5, None, b"a", ["a"], {"a": 1}, 1.5]
)
NO_NAME_OR_NONE = NO_NAME.filter(lambda value: value is not None)
NO_LEASE = st.sampled_from(
    [0, -5, -0.0, float("nan"), float("inf"), -float("inf"), 1e300, 10**400, "3", True, [1], b"1"]
)
NO_ATTEMPTS = st.sampled_from([0, -1, 10**9, "3", True, 1.0, None, [1]])
NO_JSON = st.sampled_from(
    [object(), b"x", {1: 2}, {None: 1}, float("nan"), [float("-inf")], {"t": "\ud83d"},
     {"\ud83d": 1}, {"a": [{"b": {"c": "x\udc00"}}]}, {1}, 1j, jsonline.decode, range(3)]
)  # fmt: skip
NO_COMMITS = st.sampled_from(
    ["abcdef1", b"abcdef1", 5, ["x"], ["abc"], [None], ["\udcff"], ["a" * 65]]
)
NO_FOLDER = st.sampled_from(["/nowhere/at/all", "", "\0", 5, b"/nowhere", ["/"]])


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@st.composite
def wrong_calls(draw):
    """Draw a call with one argument that is wrong, as (function, positional, named)."""
    which = draw(st.integers(0, 17))
    if which == 0:
        return api.open_job, (draw(NO_NAME),), {}
    if which == 1:
        return api.open_job, ("n",), {"items": [1], "max_attempts": draw(NO_ATTEMPTS)}
    if which == 2:
        return api.open_job, ("n",), {"items": [1, draw(NO_JSON)]}
    if which == 3:
        bad = draw(st.sampled_from([[], (), iter(()), 5, "ab", b"ab", {"a": 1}, object()]))
        return api.open_job, ("n",), {"items": bad}
    if which == 4:
        return api.open_job, ("n",), {"items": [1], "cwd": draw(NO_FOLDER)}
    if which == 5:
        return api.open_job, ("n",), {"levels": draw(st.sampled_from([101, 250, 990, 5000]))}
    if which == 6:
        return api.claim, ("job",), {"agent": draw(NO_NAME)}
    if which == 7:
        return api.claim, ("job",), {"agent": "a", "item": draw(NO_NAME_OR_NONE)}
    if which == 8:
        return api.claim, ("job",), {"agent": "a", "lease": draw(NO_LEASE)}
    if which == 9:
        return api.renew, ("job", "claim"), {"lease": draw(NO_LEASE)}
    if which == 10:
        return api.finish, ("job", "claim"), {"commits": draw(NO_COMMITS)}
    if which == 11:
        return api.finish, ("job", "claim"), {"result": draw(NO_JSON)}
    if which == 12:
        name = draw(st.sampled_from(["error", "reason", "log_path"]))
        return (
            api.finish,
            ("job", "claim"),
            {"error": "x", name: draw(st.sampled_from([5, b"x", ["x"]]))},
        )
    if which == 13:
        kind = draw(st.sampled_from(["", 5, "a b", None, b"x"]))
        return api.record_event, ("job", kind), {}
    if which == 14:
        return api.record_event, ("job", "Mine"), {"field": draw(NO_JSON.filter(no_text))}
    if which == 15:
        given = draw(st.sampled_from([5, "x", b"x", {"type": "Mine"}, [5], [None], [{}]]))
        return api.record_events, ("job", given), {}
    if which == 16:
        wait = draw(st.sampled_from([-1, float("nan"), float("inf"), 1e300, "3", True, [1]]))
        return api.finish, ("job", "claim"), {"error": "x", "backoff": wait}
    since = draw(st.sampled_from(["", "x", b"x", 1.5, True, [], "%%%", "\udcff", "a.b"]))
    return (lambda *a, **k: list(api.follow(*a, **k))), ("job",), {"since": since, "stop": STOPPED}


STOPPED = threading.Event()
STOPPED.set()


def no_text(value):
    """An event's text may be cut anywhere; the log keeps it as an escape, and its readers cope."""
    return "ud" not in repr(value)


@pytest.fixture
def begun(job):
    return job, api.claim(job, agent="a1")


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(call=wrong_calls())
def test_what_a_caller_gets_wrong_is_a_prodigy_error_and_writes_nothing(begun, repo, store, call):
    """Whatever else it raises nobody has foreseen, and after what was written nobody could go on."""
    job, claimed = begun
    function, positional, named = call
    known = {"job": job, "claim": claimed}
    positional = [known.get(one, one) if isinstance(one, str) else one for one in positional]
    if "levels" in named:  # hypothesis itself cannot show such a list
        named = {"items": [deep(named["levels"])]}
    if function is api.open_job:
        named = {"cwd": str(repo), **named}
    log = store / "events"
    before = {path: path.stat().st_size for path in log.rglob("*.jsonl")}
    with pytest.raises(api.ProdigyError) as caught:
        function(*positional, **named)
    assert "\n" not in str(caught.value)
    str(caught.value).encode("utf-8", "strict" if "\udcff" not in str(call) else "replace")
    assert before == {path: path.stat().st_size for path in log.rglob("*.jsonl")}
    assert not list(store.rglob("jobs/n"))


def test_no_job_and_no_claim_are_told_by_their_types(job):
    for call in (
        lambda: api.claim("j", agent="a"), lambda: api.renew(job, "a"), lambda: api.finish(job, None),
        lambda: api.job_state(None), lambda: api.record_event(5, "Mine"),
        lambda: api.read_events("j"), lambda: next(api.follow("j")),
        lambda: api.Job("here", "r", "j"), lambda: api.Job("/x", "../r", "j"),
    ):  # fmt: skip
        with pytest.raises(api.ProdigyError):
            call()


def test_texts_that_are_none_are_recorded_readable(job):
    first = api.claim(job, agent="a1")
    ended = api.finish(job, first, error="x \ud800 y \udcff", retry=False)
    assert ended.state == "dead"
    (failed,) = [one for one in api.read_events(job) if one.type == "AgentFailed"]
    assert failed.own()["error"] == "x \ufffd y \\xff"
    assert api.job_state(job)["failures"][0]["error_signature"] == "x \ufffd y \\xff"
