"""hub sync: real hosts, their hooks and commands, and what others see of them."""

import errno
import json
import os
import signal
from pathlib import Path

import pytest
from support_hub import rows

from prodigy_git.hub.syncing import Done, Exchange
from prodigy_git.record import files


@pytest.fixture
def two(new_host, hub_url, postgres):
    hosts = [new_host(name, postgres.port) for name in ("alpha", "beta")]
    for one in hosts:
        one.url = hub_url.replace(f":{postgres.port}/", f":{one.wire.port}/")
        one.ok("hub", "init", one.url)
    return hosts


def committed(host, job, text):
    host.run("install")
    made = host.run("new-worktree", text, "--job", job).out
    there = Path(made.strip())
    (there / text).write_text(text)
    host.git("add", ".", cwd=there)
    host.git("commit", "-q", "-m", text, cwd=there)


def subjects(host, job):
    found = host.run("events", "ls", "--job", job, "--type", "CommitCreated", "--json").out
    return sorted(json.loads(line)["subject"] for line in found.splitlines())


def test_a_commit_is_in_the_events_of_the_other_host(two):
    alpha, beta = two
    committed(alpha, "job-1", "one")
    done = alpha.ok("hub", "sync")
    assert done["shipped"] > 0
    assert done["pulled"] == 0
    committed(beta, "job-2", "two")
    assert beta.ok("hub", "sync")["pulled"] == done["shipped"]
    assert subjects(beta, "job-1") == ["one"]
    alpha.ok("hub", "sync")
    assert subjects(alpha, "job-2") == ["two"]
    nothing = alpha.ok("hub", "sync")
    assert (nothing["shipped"], nothing["pulled"]) == (0, 0)


def test_a_new_hub_gets_back_jobs_of_which_only_a_host_that_is_gone_had_recorded(two, hub_url):
    alpha, beta = two
    committed(alpha, "job-1", "one")
    alpha.ok("hub", "sync")
    pulled = beta.ok("hub", "sync")["pulled"]
    assert pulled > 0
    rows(hub_url, "DROP SCHEMA prodigy_hub CASCADE")
    beta.ok("hub", "init", beta.url)
    done = beta.ok("hub", "sync")
    assert done["shipped"] == pulled
    assert rows(hub_url, "SELECT count(*) FROM prodigy_hub.event") == [(pulled,)]


def test_what_nobody_has_changed_for_long_is_pulled_too(two, hub_url):
    alpha, beta = two
    committed(alpha, "job-1", "one")
    done = alpha.ok("hub", "sync")
    rows(hub_url, "UPDATE prodigy_hub.job SET changed_at = changed_at - interval '1 day'")
    assert beta.ok("hub", "sync")["pulled"] == done["shipped"]


def test_follow_carries_an_event_to_a_reader_on_the_other_host(two, hub_url):
    alpha, beta = two
    committed(alpha, "job-1", "one")
    alpha.run("hub", "sync")
    # What a member can write: it is looked at again each time, and named once.
    rows(
        hub_url,
        "INSERT INTO prodigy_hub.job (repository, name, changed_at)"
        " SELECT id, '../x', 'infinity' FROM prodigy_hub.repository",
    )
    follows = [one.start("hub", "sync", "--follow") for one in two]
    reads = beta.start("events", "follow", "--job", "job-1", "--json")
    try:
        for number in range(20):
            alpha.run(
                "event", "add", "--job", "job-1", "--type", "Seen", "--field", f"number={number}"
            )
        numbers = []
        while len(numbers) < 20:
            line = reads.stdout.readline()
            if '"Seen"' in line:
                numbers.append(int(line.split('"number":')[1].split(",")[0].strip('"}\n ')))
        assert numbers == list(range(20))
    finally:
        reads.send_signal(signal.SIGKILL)
        for one in follows:
            one.send_signal(signal.SIGTERM)
    for one in follows:
        out, err = one.communicate(timeout=60)
        assert (one.returncode, out, err.count("\n")) == (0, "", 1)
        assert "its name '../x' is no name of a job" in err


def test_by_way_of_pgbouncer_nobody_hears_anything_and_all_comes(new_host, pgbouncer):
    alpha, beta = new_host("alpha"), new_host("beta")
    for one in (alpha, beta):
        one.ok("hub", "init", pgbouncer)
    follows = [one.start("hub", "sync", "--follow") for one in (alpha, beta)]
    reads = beta.start("events", "follow", "--job", "job-1", "--json", "--since", "1h")
    for number in range(3):
        alpha.run("event", "add", "--job", "job-1", "--type", "Seen", "--field", f"number={number}")
        assert json.loads(reads.stdout.readline())["number"] == number
    reads.kill()
    reads.communicate()
    for one in follows:
        one.send_signal(signal.SIGINT)
        assert one.communicate(timeout=60) == ("", "")
        assert one.returncode == 0


def test_a_job_with_items_stays_and_a_shared_one_goes_with_its_items(two, tmp_path):
    alpha, beta = two
    items = tmp_path / "items.jsonl"
    items.write_text('{"id": "i1", "data": 1}\n{"id": "i2", "data": 2}\n')
    alpha.run("job", "start", "local", "--items", items)
    alpha.run("job", "start", "shared", "--items", items, "--hub")
    done = alpha.ok("hub", "sync")
    assert done["local_jobs"] == ["local"]
    beta.run("job", "start", "local", "--items", items)
    beta.ok("hub", "sync")
    here, there = (one.ok("job", "show", "shared") for one in two)
    del here["rates"], there["rates"]  # which go on with the time
    assert here == there
    assert (there["total_items"], there["pending"]) == (2, 2)
    handed = json.loads(beta.run("job", "next", "shared", "--agent", "ada").out)
    assert handed["item_id"] == "i1"
    # A job of this name comes to the hub from elsewhere: ours has its own items.
    alpha.run("event", "add", "--job", "mine", "--type", "Note", "--content", "x")
    beta.run("job", "start", "mine", "--items", items)
    alpha.ok("hub", "sync")
    answer = beta.run("hub", "sync", "--json", check=False)
    assert answer.code == 1
    assert "job mine: the hub has a job of this name" in answer.err


def test_a_job_that_nobody_knows_is_named(two):
    alpha, _ = two
    done = alpha.run("hub", "sync", "--job", "nothing", check=False)
    assert done.code == 1
    assert "no job nothing, here or on the hub" in done.err


def test_a_job_whose_note_is_no_file_is_named_and_the_others_go_on(two):
    alpha, beta = two
    committed(alpha, "bad", "one")
    alpha.ok("hub", "sync")
    (note,) = alpha.store.rglob("jobs/bad/hub.json")
    note.unlink()
    os.mkfifo(note)
    committed(alpha, "good", "two")
    answer = alpha.run("hub", "sync", "--json", check=False)
    assert answer.code == 1
    assert answer.err.count("hub.json is a FIFO") == 1
    assert {one["job_id"]: one["shipped"] for one in answer.json["jobs"]}["good"] > 0
    assert answer.json["sessions_shipped"] == 1
    assert beta.ok("hub", "sync")["pulled"] > 0


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError(errno.EIO, "Input/output error", "/x"), "Input/output error: /x"),
        (files.NotRegular(errno.EINVAL, "is a FIFO, not a file", "/x"), "/x is a FIFO, not a file"),
        (ValueError("so so"), "so so"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_one_job_is_told_in_words(error, told):
    done = Done()
    with Exchange._noting(None, "J", done):
        raise error
    assert done.failed == {"J": told}
