"""An exchange that is broken off anywhere: by the network, by the server, by a slow member."""

import contextlib
import json
import signal
import threading
import uuid

import pytest
from support_hub import PATIENCE, way
from support_hub_stores import JOB, Store, new_hub, on_hub
from support_proxy import Proxy

from prodigy_git.errors import Away
from prodigy_git.hub import connection, job_streams


@pytest.fixture
def number(hub_url):
    return new_hub(hub_url)


def test_cut_off_after_any_number_of_bytes(hub_url, number, postgres, tmp_path):
    with Proxy(postgres.port) as wire:
        by_wire = hub_url.replace(f":{postgres.port}/", f":{wire.port}/")
        a = Store(tmp_path / "a", by_wire, number)
        b = Store(tmp_path / "b", by_wire, number)
        wanted = []
        cut = 0
        for count in range(200, 16_000, 500):
            for one in (a, b):
                wanted += one.record(f"{count}")
                wire.pass_on()
                wire.cut_after(count)
                with contextlib.suppress(Away):
                    one.sync()
                cut += wire.cut.is_set()
        wire.pass_on()
        for one in (a, b, a):
            one.sync()
    assert cut > 20
    assert a.ids() == b.ids() == sorted(wanted) == sorted(one for _, one in on_hub(hub_url))
    assert a.said == b.said == []


def test_killed_at_any_change_of_a_file_and_any_question(hub_url, number, tmp_path):
    a, b = (Store(tmp_path / name, hub_url, number) for name in "ab")
    wanted = a.record("first")
    a.sync()
    b.sync()
    moments = 0
    while True:
        wanted += a.record("more")
        killed = a.sync_killed(moments)
        a.sync()
        killed = b.sync_killed(moments) or killed
        if not killed:
            break
        moments += 1
    assert moments > 30
    b.sync()
    assert a.ids() == b.ids() == sorted(wanted) == sorted(one for _, one in on_hub(hub_url))


def test_nothing_is_skipped_behind_a_slow_commit(hub_url, number, tmp_path):
    a, b, c = (Store(tmp_path / name, hub_url, number) for name in "abc")
    first = a.record("first")
    a.sync()
    b.record("waits")
    with way(hub_url) as conn:
        with connection.transaction(conn, within=PATIENCE) as tx:
            held = job_streams.held(tx, a.cursor()["job"])
            slow = str(uuid.uuid4())
            text = {"id": slow, "timestamp": "2026-01-01T00:00:00.000000Z", "type": "Slow",
                    "event_type": "Slow", "job_id": JOB}  # fmt: skip
            line = json.dumps(text, separators=(",", ":")).encode()
            row = job_streams.Row(uuid.uuid4(), True, slow, text["timestamp"], line)
            assert job_streams.append(tx, held, [row]).seq == 2
            ships = threading.Thread(target=b.ship)
            ships.start()
            # What is not committed is not there, and neither is what comes behind it.
            assert c.pull() == 1
            assert c.ids() == first
            assert ships.is_alive()
        ships.join(PATIENCE)
    assert [seq for seq, _ in on_hub(hub_url)] == [1, 2, 3]
    for one in (a, b, c):
        one.sync()
    assert a.ids() == b.ids() == c.ids()
    assert len(a.ids()) == 3


def test_many_processes_of_one_store_exchange_at_once(hub_url, number, tmp_path):
    a, b = (Store(tmp_path / name, hub_url, number) for name in "ab")
    a.record(*map(str, range(300)))
    b.record(*map(str, range(200)))
    b.ship()
    faults = []

    def sync():
        try:
            a.sync()
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=sync) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(PATIENCE)
    assert faults == []
    b.sync()
    assert a.ids() == b.ids() == sorted(one for _, one in on_hub(hub_url))
    assert len(a.ids()) == 500


@pytest.fixture
def followed(new_host, hub_url, postgres):
    """Two hosts that follow, with wires of their own, and what reads events on the second."""
    hosts = [new_host(name, postgres.port) for name in ("alpha", "beta")]
    for one in hosts:
        one.ok("hub", "init", hub_url.replace(f":{postgres.port}/", f":{one.wire.port}/"))
    follows = [one.start("hub", "sync", "--follow") for one in hosts]
    reads = hosts[1].start("events", "follow", "--job", "job-1", "--json", "--since", "1h")
    yield *hosts, reads
    reads.kill()
    reads.communicate()
    for one in follows:
        one.send_signal(signal.SIGTERM)
    for one in follows:
        out, err = one.communicate(timeout=PATIENCE)
        assert (one.returncode, out) == (0, "")
        assert "Traceback" not in err


def said(host, word):
    host.run("event", "add", "--job", "job-1", "--type", "Said", "--field", f"word={word}")


def heard(reads, word):
    """Wait until a word comes on the other host; return how often it did by then."""
    while True:
        line = reads.stdout.readline()
        assert line, reads.communicate()
        if json.loads(line)["word"] == word:
            return


def test_follow_goes_on_after_partitions_and_when_the_server_was_killed(followed, postgres):
    alpha, beta, reads = followed
    said(alpha, "first")
    heard(reads, "first")
    for what in ("drop", "stall", "reset"):
        for one in (alpha, beta):
            getattr(one.wire, what)()
        said(alpha, what)
        for one in (alpha, beta):
            one.wire.pass_on()
        heard(reads, what)
    postgres.kill()
    said(alpha, "killed")
    postgres.start()
    heard(reads, "killed")
    said(alpha, "last")
    heard(reads, "last")
    words = alpha.run("events", "ls", "--job", "job-1", "--type", "Said", "--json").out
    here = beta.run("events", "ls", "--job", "job-1", "--type", "Said", "--json").out
    assert len(here.splitlines()) == 6
    assert here == words
