"""run on a shared job: its lease is kept, and its command never goes on when it is another's.

The server's clock is this machine's: what a command does bears its time, and so does a claim.
"""

import contextlib
import json
import signal

import psutil
import pytest
from support_json_documented import wrong
from support_run import until

from prodigy_git.record import clock

BEAT = "exec 3>>beat; while :; do date +%s%N >&3; sleep 0.02; done"


@pytest.fixture
def hosts(sharers):
    """Make two hosts with a shared job ``J`` of one item, and a worker's command that leaves traces."""
    a, b = (one.host for one in sharers("a", "b"))
    (a.folder / "items").write_text('{"id": "x"}\n')
    a.run("job", "start", "J", "--items", a.folder / "items", "--hub", "--max-attempts", "3")
    return a, b


def beats(host):
    """Return the moments (microseconds since 1970) at which a host's command has been seen."""
    found = []
    for path in (host.store / "worktrees").glob("*/*/beat"):
        found += [int(line) // 1000 for line in path.read_text().split() if len(line) == 19]
    return sorted(found)


def start(host, *options, script=BEAT):
    """Start `run` on a host; return it once the command is at work."""
    child = host.start("run", "--job", "J", "--keep", *options, "--", "sh", "-c", script)
    until(lambda: beats(host) or child.poll() is not None)
    assert child.poll() is None, child.communicate()
    return child


def claimed(host):
    """Claim the item on a host as soon as it is to be had; return when that was."""
    made = []

    def try_it():
        done = host.run("job", "next", "J", "--agent", "other", check=False)
        assert done.code in (0, 3), done.err
        made.append(done)
        return done.code == 0

    until(try_it)
    assert made[-1].json["item_id"] == "x"
    starts = [one for one in told(host) if one["type"] == "AgentStarted"]
    return clock.parse(starts[-1]["timestamp"])


def told(host):
    """Return a host's events of the job."""
    found = []
    for path in (host.store / "events").glob("*/J/*.jsonl"):
        found += [json.loads(line) for line in path.read_text().splitlines()]
    return sorted(found, key=lambda one: one["timestamp"])


def session(host):
    (path,) = (host.store / "sessions").glob("agent-*.json")
    return json.loads(path.read_text())


def end(child, wire=None):
    if wire is not None:
        wire.pass_on()
    _, err = child.communicate(timeout=120)
    assert "Traceback" not in err
    return child.returncode, err


def test_a_lease_is_renewed_for_as_long_as_the_command_runs(hosts):
    a, b = hosts
    child = start(a, "--lease", "3s", script=BEAT.replace("while :;", "while [ ! -e go ];"))
    until(lambda: sum(one["type"] == "ClaimRenewed" for one in told(a)) >= 4)
    assert b.run("job", "next", "J", "--agent", "other", check=False).code == 3
    (beat,) = (a.store / "worktrees").glob("*/*/beat")
    (beat.parent / "go").touch()
    status, err = end(child)
    assert status == 0
    assert "lease" not in err
    assert session(a)["status"] == "Completed"
    assert a.ok("job", "show", "J")["completed"] == 1


STUBBORN = f"trap '' TERM; setsid sh -c \"trap '' TERM; {BEAT}\" & {BEAT}"


@pytest.mark.parametrize("script", [BEAT, STUBBORN], ids=["plain", "stubborn"])
def test_a_host_that_is_cut_off_has_stopped_before_another_begins(hosts, script):
    a, b = hosts
    child = start(a, "--lease", "4s", script=script)
    a.wire.stall()
    at = claimed(b)
    assert beats(a)[-1] < at
    status, err = end(child, a.wire)
    assert status == 143, err
    assert "item x: its lease could not be renewed in time" in err
    assert session(a)["status"] == "Cancelled"
    # The other one's work stands, and an interruption is no failure.
    b.run("job", "done", "J", "x", "--attempt", "2")
    assert a.run("job", "next", "J", check=False).code == 3
    assert a.ok("job", "show", "J")["completed"] == b.ok("job", "show", "J")["completed"] == 1


def test_who_kills_run_does_not_let_its_command_outlive_the_lease(hosts):
    a, b = hosts
    child = start(a, "--lease", "4s", script=STUBBORN)
    child.kill()
    child.wait()
    assert beats(a)[-1] < claimed(b)


def runs(process):
    """Whether a process is there, and not only waited for."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def of_it(child):
    """Return run, the process beside it, and those of its command."""
    top = psutil.Process(child.pid)
    guard, *command = sorted(top.children(recursive=True), key=lambda one: one.create_time())
    return top, guard, command


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGTSTP], ids=["stop", "Ctrl-Z"])
def test_a_worker_that_is_stopped_has_no_command_when_it_wakes_up(hosts, how):
    a, b = hosts
    child = start(a, "--lease", "4s")
    top, guard, command = of_it(child)
    stopped = [top, *command] if how == signal.SIGSTOP else [top]  # which stops its command
    for one in stopped:
        with contextlib.suppress(psutil.NoSuchProcess):  # a date(1) that has ended
            one.send_signal(how)
    at = claimed(b)
    assert not any(map(runs, command))
    top.resume()
    status, err = end(child)
    assert status == 143, err
    assert beats(a)[-1] < at
    assert session(a)["status"] == "Cancelled"
    assert not guard.is_running()


def test_run_sees_to_it_too_where_the_process_beside_it_is_killed(hosts):
    a, b = hosts
    child = start(a, "--lease", "4s", script=STUBBORN)
    _, guard, _ = of_it(child)
    guard.kill()
    a.wire.stall()
    at = claimed(b)
    status, err = end(child, a.wire)
    assert status == 143, err
    assert beats(a)[-1] < at


def test_an_item_that_others_have_given_away_is_let_go(hosts):
    a, b = hosts
    child = start(a, "--lease", "6s")
    b.run("job", "done", "J", "x", "--failed", "--error", "no", "--backoff", "0s")
    claimed(b)
    status, err = end(child)
    assert status == 143, err
    assert "item x: its lease was lost, its command is ended" in err
    assert session(a)["status"] == "Cancelled"
    b.run("job", "done", "J", "x", "--attempt", "2")
    assert b.ok("job", "show", "J")["completed"] == 1


def test_a_command_that_is_to_go_on_does_and_its_end_is_late(hosts):
    a, b = hosts
    script = f"(while [ ! -e go ]; do sleep 0.05; done; kill $$) & trap 'exit 0' TERM; {BEAT}"
    child = start(a, "--lease", "2s", "--on-lost-lease", "continue", script=script)
    a.wire.stall()
    at = claimed(b)
    until(lambda: beats(a)[-1] > at)
    b.run("job", "done", "J", "x", "--attempt", "2")
    (beat,) = (a.store / "worktrees").glob("*/*/beat")
    a.wire.pass_on()
    (beat.parent / "go").touch()
    status, err = end(child)
    assert status == 0, err
    late = [one for one in told(a) if one["type"] == "AgentCompleted" and one.get("late")]
    assert len(late) == 1
    assert b.ok("job", "show", "J")["completed"] == 1


def test_only_a_shared_jobs_items_have_a_lease(hosts):
    a, _ = hosts
    a.run("job", "start", "own", "--items", a.folder / "items")
    for option in (("--lease", "1m"), ("--on-lost-lease", "continue")):
        told = a.run("run", "--job", "own", *option, "--", "true", check=False)
        assert (told.code, "is for a job that hosts share" in told.err) == (2, True)
    told = a.run("run", "--job", "J", "--lease", "1s", "--", "true", check=False)
    assert "a lease of less than 2 seconds" in told.err


def test_without_the_hub_it_says_so_or_waits(hosts):
    a, _ = hosts
    a.wire.drop()
    done = a.run("run", "--job", "J", "--next", "--", "true", check=False)
    assert done.code == 6, done.err
    child = a.start("run", "--job", "J", "--next", "--wait", "--", "true")
    assert "waiting for it" in child.stderr.readline()
    a.wire.pass_on()
    assert end(child)[0] == 0
    assert a.ok("job", "show", "J")["completed"] == 1


def test_resume_says_who_had_what_and_who_has_it_still(hosts):
    a, b = hosts
    child = start(a, "--lease", "5s")
    b.run("hub", "sync")  # which says what hosts are called
    found = b.ok("resume", "J", "--force")
    assert wrong(found, "resumed", "resume", set()) == []
    assert found["released"] == []
    assert [(one["item_id"], one["host"]) for one in found["elsewhere"]] == [("x", "a")]
    assert "a: has 1 item, until " in b.run("resume", "J").out
    child.kill()
    child.wait()
    # Whose lease is over nobody has to ask.
    said = []

    def given_back():
        said.append(b.run("resume", "J"))
        return "is gone" in said[-1].out

    until(given_back)
    assert "on a is gone, pending again" in said[-1].out
    assert b.ok("job", "show", "J")["pending"] == 1


def test_the_workers_of_a_pool_keep_their_leases_and_wait_for_what_others_have(hosts):
    a, b = hosts
    (a.folder / "more").write_text('{"id": "y"}\n{"id": "z"}\n')
    a.run("job", "add", "J", "--items", a.folder / "more")
    mine = b.run("job", "next", "J", "--agent", "ben", "--lease", "4s").json["item_id"]
    pool = a.start(
        "run", "--job", "J", "--parallel", "2", "--lease", "3s", "--wait", "--", "sleep", "3"
    )
    status, err = end(pool)
    assert status == 0, err
    shown = a.ok("job", "show", "J")
    assert (shown["completed"], shown["pending"]) == (3, 0)
    # And it was there for what came back of another host.
    ends = [one for one in told(a) if one["type"] == "AgentCompleted"]
    assert ends[-1]["item_id"] == mine


WORK = 'echo "$PRODIGY_ITEM_ID" > "$PRODIGY_ITEM_ID"; git add .; git commit -qm "$PRODIGY_ITEM_ID"'


def test_what_one_host_has_made_is_merged_on_another(hosts):
    a, b = hosts
    done = a.run("run", "--job", "J", "--next", "--push", "origin", "--", "sh", "-c", WORK)
    assert "hub" not in done.err
    # It was told to the hub as it ended, with where its commits are.
    b.run("hub", "sync")
    assert [one["type"] for one in told(b) if one["type"] == "BranchPushed"] == ["BranchPushed"]
    found = b.run("merge", "--job", "J", "--json", check=False)
    assert found.code == 0, found.err
    assert [one["state"] for one in found.json["results"]] == ["merged"]
    assert (b.clone / "x").read_text() == "x\n"


def test_a_host_that_knows_the_job_by_a_session_alone_has_leases_too(sharers):
    a, b = (one.host for one in sharers("a", "b"))
    b.run("new-worktree", "early", "--job", "J")
    (a.folder / "items").write_text('{"id": "x"}\n')
    a.run("job", "start", "J", "--items", a.folder / "items", "--hub")
    done = b.run("run", "--job", "J", "--next", "--lease", "5s", "--", "true", check=False)
    assert done.code == 0, done.err
    (begun,) = [one for one in told(b) if one["type"] == "AgentStarted" and one.get("item_id")]
    assert begun["lease_until"] is not None


def test_a_name_that_nothing_has_is_told_as_ever(hosts):
    a, _ = hosts
    assert "no session and no job nobody" in a.run("resume", "nobody", check=False).err
    told = a.run("run", "--job", "nobody", "--", "true", check=False)
    assert (told.code, told.err.count("\n")) == (1, 1), told.err
    assert list((a.store / "state").glob("*/mapreduce/jobs/nobody")) == []
