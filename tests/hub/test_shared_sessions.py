"""Sessions of several hosts: each host hears of the others', and keeps them apart."""

import json
import os
import uuid

import pytest

from prodigy_git import layout
from prodigy_git.hub import connection, schema, shared_sessions
from prodigy_git.hub import host as hosts
from prodigy_git.hub.address import parsed
from prodigy_git.hub.connection import Connection
from prodigy_git.record import session
from prodigy_git.store import other_sessions, sessions

WITHIN = 60.0
SECRET = "ghp_hunter2passhunter2passhunter2passhun"


class Store:
    """A store as a host, without a machine around it."""

    def __init__(self, folder, url):
        self.path = str(folder)
        self.conn = Connection(parsed(url, "the test"))
        self.hub = schema.made(self.conn)[0].id
        self.host = hosts.own(self.path)
        self.said = []

    def begin(self, name, *, repo="repo", job=None, **metadata):
        fields = session.document(name, job, name, {"repo": repo, "job_id": job, **metadata})
        fields["status"] = "Running"
        session.reserve(self.path, fields)

    def end(self, name, status="Completed", error=None):
        fields = session.read(self.path, name)
        fields.update(status=status, error=error, completed_at="2025-01-11T12:00:00.000000Z")
        session.write(self.path, name, fields)

    def ship(self, number=1, stays=(), hub=None):
        return shared_sessions.ship_sessions(
            self.conn, hub or self.hub, self.path, "repo", number, self.host,
            stays=lambda job: job in stays, within=WITHIN,
        )  # fmt: skip

    def pull(self, number=1, hub=None):
        return shared_sessions.pull_sessions(
            self.conn, hub or self.hub, self.path, "repo", number, self.host,
            within=WITHIN, say=self.said.append,
        )  # fmt: skip

    def others(self, *, ended=True):
        return {one.id: one for one in other_sessions.read(self.path, "repo", ended=ended)}

    def ask(self, question, *values):
        with connection.transaction(self.conn, within=WITHIN) as tx:
            done = tx.execute(question, values)
            return done.fetchall() if done.description else []

    def tell(self, name, doc, seq):
        """Write a row of this host's as a member of the hub can that has another program."""
        with connection.transaction(self.conn, within=WITHIN) as tx:
            hosts.sign_of_life(tx, self.host)
        hosts_row = "UPDATE prodigy_hub.host SET session_seq = %s WHERE id = %s"
        self.ask(hosts_row, seq, self.host.id)
        self.ask(
            "INSERT INTO prodigy_hub.session (repository, host, id, seq, doc)"
            " VALUES (1, %s, %s, %s, %s)",
            self.host.id, name, seq, doc if isinstance(doc, str) else json.dumps(doc),
        )  # fmt: skip


@pytest.fixture
def stores(hub_url, tmp_path):
    made = [Store(tmp_path / name, hub_url) for name in ("a", "b", "c")]
    yield made
    for one in made:
        one.conn.close()


def test_what_became_of_a_session_comes_to_the_others_and_not_back(stores):
    one, other, third = stores
    one.begin("fix", job="review", agent_id="ada", item_id="i1", branch="prodigy/review/i1")
    assert (one.ship(), other.pull(), one.pull()) == (1, 1, 0)
    (there,) = other.others().values()
    assert (there.id, there.status, there.job, there.agent, there.item, there.branch) == (
        "fix", "Running", "review", "ada", "i1", "prodigy/review/i1",
    )  # fmt: skip
    assert there.other_host == str(one.host.id)
    one.end("fix", "Failed", "no such API")
    assert (one.ship(), other.pull(), third.pull()) == (1, 1, 1)
    assert other.others()["fix"].error == "no such API"
    assert other.others() == third.others()
    assert other.others(ended=False) == {}
    assert sessions.ids(other.path) == []


def test_what_has_not_changed_is_told_once(stores):
    one, other, _ = stores
    one.begin("fix")
    assert [one.ship() for _ in range(3)] == [1, 0, 0]
    assert [other.pull() for _ in range(2)] == [1, 0]


def test_no_path_no_process_and_no_secret_is_told(stores):
    one, other, _ = stores
    one.begin(
        "fix", worktree_path="/home/ada/secret-place/fix", host="machine", pid=17, nonce="abc",
        branch=f"b-{SECRET}",
    )  # fmt: skip
    one.end("fix", "Failed", f"token {SECRET} refused\x1b[31m\nand more")
    one.ship()
    (row,) = one.ask("SELECT doc FROM prodigy_hub.session")
    assert not [
        word for word in ("secret-place", "machine", SECRET, "abc", "\x1b") if word in row[0]
    ]
    other.pull()
    there = other.others()["fix"]
    assert there.worktree is None
    assert there.process is None
    assert there.error == "token [redacted: github-pat] refused?[31m\nand more"
    assert other.said == []


def test_sessions_of_other_repositories_and_of_jobs_that_stay_are_not_told(stores):
    one, other, _ = stores
    one.begin("fix", job="local")
    one.begin("elsewhere", repo="another")
    one.begin("told", job="shared")
    assert one.ship(stays=("local",)) == 1
    other.pull()
    assert set(other.others()) == {"told"}


def test_two_hosts_may_have_a_session_of_one_name(stores):
    one, other, third = stores
    for each in (one, other):
        each.begin("fix", branch=each.path[-1])
        each.ship()
        each.pull()
    assert other.others()["fix"].branch == "a"
    third.pull()
    assert {there.branch for there in other_sessions.find(third.path, "fix")} == {"a", "b"}


def test_many_are_told_and_heard_in_parts(stores, monkeypatch):
    monkeypatch.setattr(shared_sessions, "_AT_ONCE", 7)
    one, other, _ = stores
    for number in range(30):
        one.begin(f"s{number}")
    assert (one.ship(), other.pull()) == (30, 30)
    assert other.pull(number=2) == 0


def test_whoever_is_killed_in_between_begins_anew_and_nothing_is_lost(stores, monkeypatch):
    monkeypatch.setattr(shared_sessions, "_AT_ONCE", 2)
    one, other, _ = stores
    for number in range(5):
        one.begin(f"s{number}")
    with monkeypatch.context() as patch:
        calls = []

        def dies(*arguments):
            calls.append(arguments)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return tell(*arguments)

        tell = shared_sessions._tell
        patch.setattr(shared_sessions, "_tell", dies)
        with pytest.raises(KeyboardInterrupt):
            one.ship()
    assert one.ship() == 3
    with monkeypatch.context() as patch:
        patch.setattr(shared_sessions.other_sessions, "write", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            other.pull()
    assert other.pull() == 5


def test_a_hub_put_back_from_a_backup_hears_all_again(stores, postgres):
    one, other, third = stores
    one.begin("s0")
    one.ship()
    copy = postgres.backup()
    for number in range(1, 4):
        one.begin(f"s{number}")
    one.end("s0")
    one.ship()
    other.pull()
    postgres.restore(copy)
    one.begin("s4")
    one.ship()
    other.pull()
    third.pull()
    assert set(other.others()) == set(third.others()) == {f"s{n}" for n in range(5)}
    assert third.others()["s0"].status == "Completed"


def test_an_empty_hub_hears_all_again(stores):
    one, other, third = stores
    one.begin("fix")
    one.ship()
    other.pull()
    one.ask("TRUNCATE prodigy_hub.session, prodigy_hub.host")
    again = uuid.uuid4()
    assert one.ship(hub=again) == 1
    assert other.pull(hub=again) == third.pull(hub=again) == 1


def test_a_clock_that_was_put_back_costs_a_look_at_all(stores):
    one, other, _ = stores
    one.begin("fix")
    one.ship()
    path = shared_sessions.cursor_path(one.path, "repo")
    with open(path) as stream:
        held = json.load(stream)
    held["since"] += 10**15
    with open(path, "w") as stream:
        json.dump(held, stream)
    one.end("fix")
    assert (one.ship(), other.pull()) == (1, 1)


def test_a_file_that_was_moved_back_is_told(stores, tmp_path):
    one, other, _ = stores
    one.begin("fix")
    path = layout.session(one.path, "fix")
    os.rename(path, tmp_path / "aside")
    os.utime(tmp_path / "aside", (1, 1))
    one.ship()
    os.rename(tmp_path / "aside", path)
    assert (one.ship(), other.pull()) == (1, 1)


GOOD = {"id": "x", "status": "Running", "job_id": "j"}


@pytest.mark.parametrize(
    ("name", "doc", "why"),
    [
        ("x", "{", "no JSON object"),
        ("x", "[]", "no JSON object"),
        ("x", "[" * 5000, "no JSON object"),
        ("x", GOOD | {"id": "y"}, "another session"),
        ("../../x", GOOD | {"id": "../../x"}, "not a safe name"),
        ("x\x1b[31m", GOOD, "not a safe name"),
        ("x" * 300, GOOD, "not a safe name"),
        ("x", GOOD | {"status": "Odd"}, "no status"),
        ("x", GOOD | {"status": ["Running"]}, "no status"),
        ("x", {"id": "x", "status": "Running"}, "no job_id"),
        ("x", GOOD | {"job_id": "../j"}, "its job_id is not a safe name"),
        ("x", GOOD | {"agent_id": 3}, "its agent_id is no text"),
        ("x", GOOD | {"branch": "a\x1b]0;title"}, "do something to a terminal"),
        ("x", GOOD | {"branch": "a\nb"}, "do something to a terminal"),
        ("x", GOOD | {"branch": "\ud800"}, "do something to a terminal"),
        ("x", GOOD | {"error": "a" * 1001}, "too long"),
        ("x", GOOD | {"error": "a" * 20000}, "more than 16384 bytes"),
        ("x", GOOD | {"started_at": "yesterday"}, "its started_at is no time"),
        ("x", GOOD | {"last_commit": "--help"}, "its last_commit is no commit"),
        ("x", GOOD | {"commits": -1}, "its commits is no number"),
        ("x", GOOD | {"commits": 10**30}, "its commits is no number"),
        ("x", GOOD | {"resumed": True}, "its resumed is no number"),
    ],
)
def test_what_is_no_session_is_set_aside_and_named_and_the_rest_goes_on(stores, name, doc, why):
    one, other, _ = stores
    one.tell(name, doc, 1)
    one.tell("good", GOOD | {"id": "good", "more": {"unknown": 1}}, 2)
    assert other.pull() == 1
    assert set(other.others()) == {"good"}
    (said,) = other.said
    assert why in said
    assert all(c.isprintable() for c in said)
    with open(shared_sessions.aside_path(other.path, "repo"), encoding="ascii") as stream:
        (line,) = map(json.loads, stream)
    assert (line["host"], why in line["why"]) == (str(one.host.id), True)
    cursor = shared_sessions.cursor_path(other.path, "repo")
    os.unlink(cursor)
    other.pull()
    assert len(other.said) == 1


def test_a_store_that_took_another_id_is_not_another_host_to_itself(stores):
    one, other, _ = stores
    one.begin("fix")
    one.ship()
    one.host = hosts.renewed(one.path, one.host)
    assert one.ship() == 1
    assert one.pull() == 0
    assert one.others() == {}
    assert other.pull() == 2


def test_a_number_that_a_member_has_set_far_too_high_keeps_nobody_from_telling(stores):
    one, other = stores[:2]
    one.begin("s1")
    one.ship()
    other.pull()
    for far in (2**63 - 1, 2**63 - 2):
        one.ask("UPDATE prodigy_hub.host SET session_seq = %s WHERE id = %s", far, one.host.id)
        other.pull()  # it takes that for heard
        one.begin(f"s{far}")
        assert one.ship() == 1
        other.pull()
        assert f"s{far}" in other.others()
