"""What is known here of a hub's other hosts and their sessions: what came, and harmless."""

import json
import os
import uuid

import pytest

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.record import clock, files
from prodigy_git.store import other_hosts, other_sessions, sessions

OWN, OTHER, THIRD = (uuid.UUID(int=number << 96) for number in (1, 2, 3))
MINUTE = 60 * clock.SECOND


def seen(minutes):
    at = clock.parse("2025-01-11T12:00:00.000000Z") - int(minutes * MINUTE)
    return clock.stamp(at)


def put_hosts(store, hosts, at="2025-01-11T12:00:00.000000Z"):
    files.make_private(f"{store}/hub/origins")
    for one in (OWN, OTHER, THIRD):
        with open(f"{store}/hub/origins/{one.hex[:12]}", "w") as stream:
            stream.write(str(one))
    with open(layout.hub_host(store), "w") as stream:
        json.dump({"id": str(OWN), "name": "here"}, stream)
    with open(layout.hub_hosts(store), "w") as stream:
        json.dump({"hub": "x", "at": at, "hosts": hosts}, stream)


def host(one, name, minutes, **more):
    return {"id": str(one), "name": name, "seen_at": seen(minutes), "left_at": None, **more}


@pytest.fixture
def hub(store):
    put_hosts(store, [
        host(OWN, "here", 0, clock_apart_us=5), host(OTHER, "build", 3), host(THIRD, "away", 90),
    ])  # fmt: skip
    return str(store)


def test_who_is_gone_is_judged_by_the_servers_clock_as_it_was_asked(hub):
    found = other_hosts.known(hub)
    assert found.several()
    assert (found.is_gone(str(OTHER)), found.is_gone(str(THIRD))) == (False, True)
    assert found.silent(str(OTHER)) == 3 * MINUTE
    later = found.asked + 100 * MINUTE
    assert found.seen_ago(str(OTHER), later) == 103 * MINUTE
    assert not found.is_gone(str(OTHER))  # nobody has asked since
    assert found.apart == 5


def test_a_host_that_left_is_gone(store):
    put_hosts(store, [host(OTHER, "build", 0, left_at=seen(0))])
    assert other_hosts.known(str(store)).is_gone(str(OTHER))


def test_hosts_of_one_name_are_told_apart_and_names_are_harmless(store):
    put_hosts(store, [
        host(OWN, "node", 0), host(OTHER, "node", 0), host(THIRD, "evil\x1b[31m" + "x" * 200, 0),
    ])  # fmt: skip
    found = other_hosts.known(str(store))
    names = [found.named(str(one)) for one in (OWN, OTHER, THIRD)]
    assert names[:2] == [f"node-{str(one)[:8]}" for one in (OWN, OTHER)]
    assert names[2].startswith("evil?[31mxxx")
    assert len(names[2]) == 60
    assert found.named("f" * 36) == "ffffffff"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"hosts": 3}', '{"hosts": [{"id": 3}]}'])
def test_a_damaged_note_says_nothing(hub, text):
    with open(layout.hub_hosts(hub), "w") as stream:
        stream.write(text)
    assert other_hosts.known(hub) == other_hosts.NONE
    assert not other_hosts.NONE.several()


def told(**more):
    return {"id": "fix", "status": "Running", "job_id": "review", **more}


def test_sessions_of_others_are_read_and_end_in_a_place_of_their_own(hub):
    tag = OTHER.hex[:12]
    other_sessions.write(hub, "repo", tag, told(agent_id="ada"), ended=False)
    (one,) = other_sessions.read(hub, "repo", ended=False)
    assert (one.agent, one.other_host, one.worktree, one.process) == ("ada", str(OTHER), None, None)
    other_sessions.write(hub, "repo", tag, told(status="Completed"), ended=True)
    assert other_sessions.read(hub, "repo", ended=False) == []
    assert [one.status for one in other_sessions.read(hub, None, ended=True)] == ["Completed"]
    assert other_sessions.read(hub, "another", ended=True) == []


def test_whoever_was_killed_between_the_two_places_left_one_session(hub):
    tag = OTHER.hex[:12]
    old = told(updated_at=seen(2))
    other_sessions.write(hub, "repo", tag, told(status="Failed", updated_at=seen(1)), ended=True)
    path = other_sessions.path(hub, "repo", tag, "fix")
    with open(path, "w") as stream:
        json.dump(old, stream)
    assert [one.status for one in other_sessions.read(hub, "repo", ended=True)] == ["Failed"]


def test_what_is_damaged_or_nobodys_or_ones_own_is_not_there(hub):
    for tag in (OTHER.hex[:12], OWN.hex[:12], "f" * 12):
        other_sessions.write(hub, "repo", tag, told(), ended=False)
    assert len(other_sessions.read(hub, "repo", ended=False)) == 1
    with open(other_sessions.path(hub, "repo", OTHER.hex[:12], "fix"), "w") as stream:
        stream.write("{")
    assert other_sessions.read(hub, "repo", ended=False) == []
    assert other_sessions.find(hub, "fix") == []
    assert other_sessions.find(hub, "../fix") == []


def test_who_asks_for_anothers_session_is_told_where_it_is(hub):
    other_sessions.write(hub, "repo", OTHER.hex[:12], told(), ended=False)
    with pytest.raises(
        ProdigyError, match=r"session fix is on host build.* give this command there"
    ):
        sessions.load(hub, "fix")
    with pytest.raises(ProdigyError, match="no session other: "):
        sessions.load(hub, "other")


def test_as_of_is_when_the_job_or_the_hosts_were_heard_of_last(hub):
    found = other_hosts.known(hub)
    assert found.as_of(hub, "repo", "review") == found.asked + 5
    path = layout.hub_job(hub, "repo", "review")
    files.make_private(os.path.dirname(path))
    with open(path, "w"):
        pass
    os.utime(path, ns=(0, (found.asked + 1000) * 1000))
    assert found.as_of(hub, "repo", "review") == found.asked + 1005
    assert other_hosts.NONE.as_of(hub, "repo", "nothing") is None
