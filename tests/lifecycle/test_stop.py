"""stop: agents of run, and nothing else, wherever their terminal is."""

import contextlib
import functools
import json
import os
import signal
import subprocess

import psutil
import pytest
from support_cli import ok, refused
from support_run import done, run, shown, started, until


@pytest.fixture
def job(repo, tmp_path):
    return functools.partial(started, repo, tmp_path)


def commands(folder, count):
    """Wait until so many commands have written their process id; return them."""

    def there():
        found = list(folder.glob("up-*"))
        return len(found) >= count and all(path.read_text().strip() for path in found)

    until(there)
    return {path.name[3:]: int(path.read_text()) for path in folder.glob("up-*")}


def waiting(folder, then="exec sleep 300"):
    return ["--", "sh", "-c", f"echo $$ > {folder}/up-$PRODIGY_ITEM_ID; {then}"]


def gone(pid):
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def kinds(events):
    wanted = ("AgentFailed", "ClaimReleased")
    return [one["type"] for one in events("j") if one["type"] in wanted]


@pytest.fixture
def note(store):
    """Change what is noted of the one command at work."""

    def change(**fields):
        (path,) = (store / "logs").rglob("*.process.json")
        found = json.loads(path.read_text())
        found["process"].update(fields)
        path.write_text(json.dumps(found))
        return path

    return change


def test_a_stopped_agent_gives_its_item_back(job, events, tmp_path):
    cwd = job({"id": "a"}, {"id": "b"}, max_attempts=1)
    left = f"sh -c 'echo $$ > {tmp_path}/up-child; exec sleep 300' & trap 'exit 0' TERM; wait"
    child = run(cwd, "--next", "--agent", "ada", *waiting(tmp_path, left))
    pids = commands(tmp_path, 2)
    (said,) = ok("stop", "ada", "--json", cwd=cwd).json
    assert (said["item_id"], said["agent_id"], said["state"]) == ("a", "ada", "pending")
    assert said["enforced"] is False
    assert all(map(gone, pids.values()))
    _, err = child.communicate(timeout=60)
    assert child.returncode == 143, err
    assert kinds(events) == ["ClaimReleased"]
    assert shown(cwd)["pending"] == 2


def test_a_failed_one_is_tried_again_and_its_worker_goes_on(job, events, tmp_path):
    cwd = job({"id": "a"}, {"id": "b"}, max_attempts=1)
    child = run(cwd, "--next", *waiting(tmp_path, "test $PRODIGY_ITEM_ID = b || exec sleep 300"))
    commands(tmp_path, 1)
    assert "item a: dead" in ok("stop", "a", "--fail", cwd=cwd).out
    child.communicate(timeout=60)
    assert child.returncode == 1
    assert kinds(events) == ["AgentFailed"]
    assert (shown(cwd)["completed"], shown(cwd)["dead"]) == (1, 1)


def test_one_that_does_not_end_is_made_to(job, tmp_path):
    cwd = job({"id": "a"})
    child = run(cwd, *waiting(tmp_path, "trap '' TERM; while :; do sleep 1; done"))
    (pid,) = commands(tmp_path, 1).values()
    assert ok("stop", "a", "--grace", "0s", "--json", cwd=cwd).json[0]["enforced"] is True
    assert gone(pid)
    child.communicate(timeout=60)


def test_all_of_a_job_that_is_over(job, tmp_path):
    cwd = job({"id": "a"}, {"id": "b"}, {"id": "c"})
    child = run(cwd, "--parallel", 2, *waiting(tmp_path))
    commands(tmp_path, 2)
    assert "'prodigy-git stop agent-" in ok("job", "cancel", "j", cwd=cwd).err
    assert len(ok("stop", "--job", "j", "--json", cwd=cwd).json) == 2
    _, err = child.communicate(timeout=60)
    assert child.returncode == 143, err
    assert shown(cwd)["in_progress"] == 0
    assert "nobody is at work" in ok("stop", "--job", "j", cwd=cwd).err


def test_a_pool_of_which_all_were_stopped_has_not_done_well(job, tmp_path):
    cwd = job("a", "b", "c")
    child = run(cwd, "--parallel", 2, *waiting(tmp_path))
    commands(tmp_path, 2)
    assert len(ok("stop", "--job", "j", "--json", cwd=cwd).json) == 2
    child.communicate(timeout=60)
    assert child.returncode == 143
    assert shown(cwd)["pending"] == 3


@pytest.mark.parametrize("by", ["agent", "job"])
@pytest.mark.parametrize("how", [["--failed", "--error", "no"], []])
def test_one_whose_session_was_ended_by_others_is_told_of_and_stopped(
    job, store, tmp_path, how, by
):
    cwd = job("a", max_attempts=1)
    child = run(cwd, *waiting(tmp_path))
    (pid,) = commands(tmp_path, 1).values()
    until(lambda: list((store / "logs").rglob("*.process.json")))
    (agent,) = (one["session_id"] for one in ok("sessions", "list", "--json", cwd=cwd).json)
    ended = ok("finish", agent, *how, cwd=cwd)
    assert f"'prodigy-git stop {agent}' ends it" in ended.err
    answer = ok("stop", *([agent] if by == "agent" else ["--job", "j"]), "--json", cwd=cwd)
    (stopped,) = answer.json
    assert (stopped["session_id"], stopped["attempt"]) == (agent, 1)
    assert stopped["state"] == ("dead" if how else "completed")
    assert gone(pid)
    child.communicate(timeout=60)
    assert child.returncode == 143
    found = shown(cwd)
    assert (found["dead"], found["completed"]) == ((1, 0) if how else (0, 1))


def test_a_command_whose_worker_was_killed(job, events, tmp_path):
    cwd = job({"id": "a"}, max_attempts=1)
    child = run(cwd, *waiting(tmp_path))
    (pid,) = commands(tmp_path, 1).values()
    until(lambda: list((tmp_path).rglob("*.process.json")))
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)
    assert not gone(pid)
    assert ok("stop", "a", "--json", cwd=cwd).json[0]["state"] == "pending"
    assert gone(pid)
    assert kinds(events) == ["ClaimReleased"]
    assert done(cwd, "--", "true")[0] == 0


@pytest.mark.parametrize("by_others", [True, False])
def test_a_killed_workers_session_that_has_ended(job, events, store, tmp_path, by_others):
    cwd = job({"id": "a"}, max_attempts=1)
    child = run(cwd, *waiting(tmp_path))
    (pid,) = commands(tmp_path, 1).values()
    until(lambda: list(tmp_path.rglob("*.process.json")))
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)
    (path,) = (store / "sessions").glob("agent-*.json")
    fields = json.loads(path.read_text())
    fields |= {"status": "Failed", "completed_at": fields["updated_at"]}
    if by_others:
        fields["metadata"]["ended_because"] = "nobody seemed to be there"
    path.write_text(json.dumps(fields))
    answer = ok("stop", "a", "--json", cwd=cwd)
    assert gone(pid)
    if by_others:
        assert answer.json[0]["state"] == "pending"
        assert kinds(events) == ["ClaimReleased"]
    else:
        assert answer.json[0]["state"] == "in_progress"
        assert "its end could not be recorded; the next command on the job does" in answer.err
        assert done(cwd, "--", "true")[0] == 3  # which has found that its owner is gone
        assert shown(cwd)["dead"] == 1


def test_what_cannot_be_proven_is_left_alone(job, tmp_path, note):
    cwd = job({"id": "a"})
    bystander = subprocess.Popen(["sleep", "300"], start_new_session=True)
    child = run(cwd, *waiting(tmp_path))
    try:
        (pid,) = commands(tmp_path, 1).values()
        until(lambda: list(tmp_path.rglob("*.process.json")))
        note(pid=bystander.pid)  # a number that is another's by now
        assert "is gone" in refused("stop", "a", cwd=cwd)
        note(host="elsewhere")
        assert "on host elsewhere" in refused("stop", "a", cwd=cwd)
        note(host=os.uname().nodename, pid_namespace="pid:[1] time:[1]")
        assert "another container" in refused("stop", "a", cwd=cwd)
        assert bystander.poll() is None
        assert not gone(pid)
    finally:
        bystander.kill()
        bystander.wait()
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=60)
    assert shown(cwd)["pending"] == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone could end others' processes")
def test_root_ends_nothing_on_another_users_word(job, tmp_path, note):
    cwd = job({"id": "a"})
    child = run(cwd, *waiting(tmp_path))
    (pid,) = commands(tmp_path, 1).values()
    until(lambda: list(tmp_path.rglob("*.process.json")))
    os.chown(note(), 12345, -1)
    assert "not of the user" in refused("stop", "a", cwd=cwd)
    assert not gone(pid)
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=60)


def test_who_was_not_started_by_run_and_who_is_not_there(job):
    cwd = job({"id": "a"})
    ok("job", "next", "j", "--agent", "ada", "--lease", "1h", cwd=cwd)
    assert "no command of 'run'" in refused("stop", "--job", "j", "a", cwd=cwd)
    assert "no agent or item bob is at work" in refused("stop", "bob", cwd=cwd)
    assert "--job for all" in refused("stop", cwd=cwd, code=2)
    assert shown(cwd)["in_progress"] == 1
