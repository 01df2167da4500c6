"""hub sync: real hosts, their hooks and commands, and what others see of them."""

import json
import signal
from pathlib import Path

import pytest


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


def test_follow_carries_an_event_to_a_reader_on_the_other_host(two):
    alpha, beta = two
    committed(alpha, "job-1", "one")
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
        assert (one.returncode, out, err) == (0, "", "")
