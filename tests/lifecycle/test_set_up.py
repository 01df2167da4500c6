"""A worktree is set up before it is handed over: what runs, in which order, what fails."""

import json
import os
import signal
from pathlib import Path

import pytest
from support_cli import call, left_of, new, ok, refused, session_file, start
from support_setup import number_in, runs, say, trust, until

from prodigy_git import layout
from prodigy_git.record import locks


def toml(**stages):
    """Return a file of ours with commands by stage, as JSON writes them, which TOML reads as well."""
    tables = {"run": "setup", "start": "setup", "teardown": "teardown"}
    lines: dict[str, list[str]] = {}
    for stage, commands in stages.items():
        key = "run" if stage == "teardown" else stage
        lines.setdefault(tables[stage], []).append(f"{key} = {json.dumps(commands)}")
    return "".join(f"[{table}]\n" + "\n".join(some) + "\n" for table, some in lines.items())


def prepared(repo, git, **stages):
    say(repo, git, toml(**stages))
    trust(repo)


def test_commands_run_in_order_in_the_worktree_with_its_variables(repo, git, store, monkeypatch):
    monkeypatch.setenv("PRODIGY_BRANCH", "somebody-elses")
    monkeypatch.setenv("GIT_DIR", str(repo / ".git"))
    say(
        repo, git,
        toml(run=[
            "pwd > out", "printf '%s\\n' $PRODIGY_BRANCH {{ session }} >> out",
            "printf '%s\\n' $PRODIGY_ITEM_ID {{ port }} >> out",
            'echo "$MINE ${GIT_DIR-none}" >> out', "git rev-parse --show-toplevel >> out", "cat >> out",
        ]) + '[env]\nMINE = "{{ job }}-{{ agent }}"\n',
    )  # fmt: skip
    monkeypatch.delenv("GIT_DIR")
    trust(repo)
    made = new(repo, "w1", "--job", "j", "--agent", "a", "--item", "i")
    path = made["worktree"]
    port = ok("sessions", "show", "w1", "--json", cwd=repo).json["port"]
    lines = (Path(path) / "out").read_text().splitlines()
    assert lines == [path, made["branch"], "w1", "i", str(port), "j-a none", path]
    log = (store / "logs" / "repo" / "j" / "w1.setup.log").read_text()
    assert log.startswith("$ pwd > out\n")


def test_conductors_commands_find_its_variables(repo, git):
    names = ("WORKSPACE_NAME", "WORKSPACE_PATH", "ROOT_PATH", "DEFAULT_BRANCH")
    text = "printf '%s\n' " + " ".join(f"$CONDUCTOR_{name}" for name in names) + " > out"
    say(repo, git, json.dumps({"scripts": {"setup": text}}), "conductor.json")
    trust(repo)
    git("update-ref", "refs/remotes/origin/trunk", "HEAD", cwd=repo)
    git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk", cwd=repo)
    path = new(repo, "w1")["worktree"]
    assert (Path(path) / "out").read_text().splitlines() == ["w1", path, str(repo), "trunk"]


def test_a_directory_of_its_own(repo, git):
    (repo / "web").mkdir()
    (repo / "web" / "package.json").write_text("{}")
    say(repo, git, '[setup]\nrun = "pwd > out"\ndirectory = "web"\n')
    trust(repo)
    made = new(repo, "w1")
    assert (Path(made["worktree"]) / "web" / "out").read_text() == f"{made['worktree']}/web\n"


@pytest.mark.parametrize("kind", ["missing", "link"])
def test_a_directory_that_is_none_of_the_worktree(repo, git, tmp_path, kind):
    if kind == "link":
        (repo / "web").symlink_to(tmp_path)
    say(repo, git, '[setup]\nrun = "touch ran"\ndirectory = "web"\n')
    trust(repo)
    done = call("new-worktree", "w1", cwd=repo)
    assert (done.code, done.out) == (1, "")
    assert not (tmp_path / "ran").exists()


def test_commits_of_a_set_up_are_recorded_once(repo, git, events):
    prepared(repo, git, run=["git commit -q --allow-empty -m made"])
    new(repo, "w1")
    assert [e["subject"] for e in events("w1") if e["type"] == "CommitCreated"] == ["made"]


@pytest.mark.parametrize("how", ["status", "signal", "time"])
def test_a_failure_undoes_the_worktree_and_shows_the_last_lines(repo, git, store, how):
    command = {"status": "exit 3", "signal": "kill -9 $$", "time": "sleep 600"}[how]
    run = f"echo told; printf 'a\\rlast\\033[2J\\n' >&2; {command}"
    text = toml(run=[run], teardown=["echo down > $PRODIGY_REPO_ROOT/down"])
    say(repo, git, text.replace("\n[tear", "\ntimeout = 1\n[tear"))
    trust(repo)
    before = left_of(repo, store)
    done = call("new-worktree", "w1", "--agent", "a", cwd=repo)
    assert (done.code, done.out) == (1, "")
    lines = done.err.splitlines()
    assert lines[-1].startswith("prodigy-git: error: set-up failed: ")
    why = {
        "status": "exited with status 3",
        "signal": "died by signal 9",
        "time": "took longer than 1s",
    }
    assert why[how] in lines[-1]
    assert "nothing was made" in lines[-1]
    assert "prodigy-git: | told" in lines
    assert "prodigy-git: | last\\x1b[2J" in lines
    after = left_of(repo, store)
    assert (after["refs"], after["registered"]) == (before["refs"], [])
    assert after["store"].keys() - before["store"].keys() <= {
        "state/repo/trusted.json",
        "ports.json",
    }
    assert (repo / "down").read_text() == "down\n"
    # And its name is free.
    assert call("new-worktree", "w1", "--no-setup", cwd=repo).code == 0


def test_a_failure_after_a_commit_is_said_and_the_commit_kept(repo, git, store):
    prepared(repo, git, run=["git commit -q --allow-empty -m of-the-set-up", "exit 3"])
    done = call("new-worktree", "w1", "--branch", "b", cwd=repo)
    assert done.code == 1
    assert "branch b stays: something was committed to it" in done.err
    assert "exited with status 3" in done.err.splitlines()[-1]
    assert git("log", "-1", "--format=%s", "b", cwd=repo) == "of-the-set-up"
    assert left_of(repo, store)["registered"] == []
    assert not (store / "sessions" / "w1.json").exists()


def test_keep_failed_keeps_it_and_gives_its_item_back(repo, git, store, tmp_path):
    prepared(repo, git, run=["echo half > half", "exit 1"])
    items = tmp_path / "items"
    items.write_text('{"id": "a"}\n')
    ok("job", "start", "j", "--items", items, cwd=repo)
    wanted = ("--job", "j", "--agent", "x", "--item", "a", "--keep-failed")
    done = call("new-worktree", "w1", *wanted, cwd=repo)
    assert done.code == 1
    assert "kept in" in done.err
    assert (store / "worktrees" / "repo" / "w1" / "half").exists()
    assert session_file(store, "w1")["status"] == "Cancelled"
    assert ok("job", "show", "j", "--json", cwd=repo).json["pending"] == 1
    assert list((store / "setup").iterdir()) == []


def test_what_a_command_leaves_running_is_ended(repo, git):
    prepared(repo, git, run=["sleep 600 & echo $! > pid"])
    made = new(repo, "w1")
    assert not runs(number_in(Path(made["worktree"]) / "pid"))


def test_a_time_limit_ends_the_whole_group(repo, git, tmp_path):
    # The inner one does not heed a request.
    inner = f'trap "" TERM; echo $$ > {tmp_path}/b; while :; do sleep 1; done'
    command = f"(trap '' TERM; sh -c '{inner}') & wait"
    say(repo, git, toml(run=[command]) + "timeout = 1\n")
    trust(repo)
    assert call("new-worktree", "w1", cwd=repo).code == 1
    assert not runs(number_in(tmp_path / "b"))


def test_a_command_that_leaves_its_group_holds_nobody_up(repo, git, tmp_path):
    away = f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 600' &"
    prepared(repo, git, run=[f"{away} while [ ! -s {tmp_path}/pid ]; do :; done"])
    assert new(repo, "w1")["setup"] == "done"
    pid = number_in(tmp_path / "pid")
    assert runs(pid)
    os.kill(pid, signal.SIGKILL)


def test_interrupted_nothing_remains(repo, git, store, tmp_path):
    run, down = f"echo $$ > {tmp_path}/pid; sleep 600", f"echo x > {tmp_path}/down"
    prepared(repo, git, run=[run], teardown=[down])
    before = left_of(repo, store)
    child = start("new-worktree", "w1", cwd=repo)
    pid = number_in(tmp_path / "pid")
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    assert child.returncode == 130
    assert not runs(pid)
    after = left_of(repo, store)
    assert (after["refs"], after["registered"]) == (before["refs"], [])
    assert (tmp_path / "down").exists()
    assert list((store / "setup").iterdir()) == []


@pytest.mark.parametrize("worker", [False, True])
def test_a_second_interruption_ends_the_teardown_and_nothing_else(
    repo, git, store, tmp_path, worker
):
    run, down = (f"echo $$ > {tmp_path}/{name}; sleep 600" for name in ("run", "down"))
    prepared(repo, git, run=[run], teardown=[down])
    (tmp_path / "items").write_text('{"id": "a"}\n')
    ok("job", "start", "j", "--items", tmp_path / "items", cwd=repo)
    before = left_of(repo, store)
    making = ("run", "--job", "j", "--next", "--", "true") if worker else ("new-worktree", "w1")
    child = start(*making, cwd=repo)
    pid = number_in(tmp_path / "run")
    child.send_signal(signal.SIGINT)
    pid = number_in(tmp_path / "down")
    child.send_signal(signal.SIGINT)
    try:
        _, err = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 130
    assert "the teardown was interrupted" in err
    assert not runs(pid)
    after = left_of(repo, store)
    assert (after["refs"], after["registered"]) == (before["refs"], [])
    assert list((store / "setup").iterdir()) == []


def test_killed_the_next_command_takes_it_up(repo, git, store, tmp_path):
    run, down = f"echo $$ > {tmp_path}/pid; sleep 600", f"echo x > {tmp_path}/down"
    prepared(repo, git, run=[run], teardown=[down])
    child = start("new-worktree", "w1", "--agent", "a", cwd=repo)
    pid = number_in(tmp_path / "pid")
    until(lambda: b'"step":{' in next((store / "setup").iterdir()).read_bytes())
    # While it lives nobody touches it.
    call("worktree", "clean", "w1", cwd=repo)
    assert runs(pid)
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)
    assert runs(pid)
    done = ok("worktree", "clean", "w1", cwd=repo)
    assert "w1: its set-up was interrupted" in done.err
    assert not runs(pid)
    assert (tmp_path / "down").exists()
    assert session_file(store, "w1")["status"] == "Cancelled"
    assert list((store / "setup").iterdir()) == []
    assert ok("verify", cwd=repo)


def test_killed_it_can_be_set_up_again(repo, git, store, tmp_path):
    prepared(
        repo, git, run=[f"echo $$ > {tmp_path}/pid; [ -e {tmp_path}/go ] || sleep 600; touch done"]
    )
    child = start("new-worktree", "w1", cwd=repo)
    number_in(tmp_path / "pid")
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)
    (tmp_path / "go").touch()
    ok("setup", "run", "w1", cwd=repo)
    assert (store / "worktrees" / "repo" / "w1" / "done").exists()
    assert list((store / "setup").iterdir()) == []


def test_start_runs_on_and_a_second_set_up_ends_it(repo, git, store, tmp_path):
    prepared(repo, git, start=["echo $$ >> pids; echo hello; exec sleep 600"])
    child = start("new-worktree", "w1", cwd=repo, start_new_session=True)
    child.communicate(timeout=60)
    path = store / "worktrees" / "repo" / "w1" / "pids"
    first = number_in(path)
    assert os.getsid(first) == first  # no terminal's end reaches it
    until(lambda: (store / "logs" / "repo" / "w1" / "w1.start-1.log").read_text() == "hello\n")
    ok("setup", "run", "w1", cwd=repo)
    assert not runs(first)
    second = int(until(lambda: path.read_text().split()[1:])[0])
    assert runs(second)
    os.kill(second, signal.SIGKILL)


def test_set_up_by_two_at_once_one_of_them_is_refused(repo, git, store, tmp_path):
    prepared(repo, git, run=[f"echo $$ >> {tmp_path}/ran"])
    new(repo, "w1", "--no-setup")
    lock = locks.take(layout.setup_lock(str(store), "w1"))
    try:  # as of one that has read that nobody is at work
        assert "is under way: wait for it" in refused("setup", "run", "w1", cwd=repo)
    finally:
        os.close(lock)
    several = [start("setup", "run", "w1", cwd=repo) for _ in range(4)]
    done = [(one.communicate(timeout=60)[1], one.returncode) for one in several]
    assert all(code == 0 or "is under way: wait for it" in err for err, code in done)
    ran = (tmp_path / "ran").read_text().splitlines()
    assert len(ran) == [code for _, code in done].count(0) > 0


def test_a_name_that_is_borne_anew_is_set_up(repo, git):
    new(repo, "w1")
    ok("finish", "w1", cwd=repo)
    ok("worktree", "clean", "w1", cwd=repo)
    prepared(repo, git, run=["echo x > ran"])
    made = new(repo, "w1", "--no-setup")
    assert made["session_id"] != "w1"
    done = ok("setup", "run", "w1", "--json", cwd=repo).json
    assert done == {"session_id": made["session_id"], "setup": "done"}
    assert os.path.exists(f"{made['worktree']}/ran")


def test_what_cannot_be_started_is_said_and_the_worktree_is_there(repo, git):
    say(repo, git, '[setup]\nstart = "true"\ndirectory = "web"\n')
    trust(repo)
    done = ok("new-worktree", "w1", cwd=repo)
    assert "not started: true" in done.err


def test_removed_by_git_its_services_end_with_the_next_command(repo, git, store):
    prepared(repo, git, start=["echo $$ > ../pid; exec sleep 600"])
    made = new(repo, "w1")
    pid = number_in(Path(made["worktree"]).parent / "pid")
    git("worktree", "remove", "--force", made["worktree"], cwd=repo)
    ok("clean", "--yes", "--older-than", "0s", cwd=repo)
    assert not runs(pid)
    assert list((store / "setup").iterdir()) == []


def test_a_workers_worktrees_are_set_up(repo, git, store, tmp_path):
    prepared(repo, git, run=["echo ready > ready"])
    items = tmp_path / "items"
    items.write_text('{"id": "a"}\n{"id": "b"}\n')
    ok("job", "start", "j", "--items", items, cwd=repo)
    assert call("run", "--job", "j", "--next", "--", "test", "-e", "ready", cwd=repo).code == 0


def test_a_failing_set_up_costs_no_attempt(repo, git, tmp_path):
    prepared(repo, git, run=["exit 1"])
    items = tmp_path / "items"
    items.write_text('{"id": "a"}\n')
    ok("job", "start", "j", "--items", items, cwd=repo)
    done = call("run", "--job", "j", "--next", "--backoff", "0s", "--", "true", cwd=repo)
    assert done.code == 1
    assert "set-up failed" in done.err
    assert ok("job", "show", "j", "--json", cwd=repo).json["pending"] == 1


def test_a_hostile_repository_runs_nothing(repo, git, store, tmp_path):
    """Files, filters, submodules, hooks in the tree: making a worktree of it runs none of that."""
    evil = f"touch {tmp_path}/pwned"
    for path, text in {
        ".prodigy/worktree.toml": toml(run=[evil], start=[evil], teardown=[evil]),
        "conductor.json": json.dumps({"scripts": {"setup": evil}}),
        ".gitattributes": "* filter=evil\n", ".gitconfig": f'[filter "evil"]\n\tsmudge = {evil}\n',
        ".gitmodules": f'[submodule "x"]\n\tpath = x\n\turl = ext::{evil}\n',
        ".githooks/post-checkout": f"#!/bin/sh\n{evil}\n",
        "$(touch pwned)": "x", "a;touch pwned": "x", ".envrc": evil,
        "bare.git/HEAD": "ref: refs/heads/main\n",
        "bare.git/config": f'[core]\n\tfsmonitor = "{evil}"\n[prodigy]\n\tsetupRun = "{evil}"\n',
        "bare.git/objects/x": "", "bare.git/refs/x": "",
    }.items():  # fmt: skip
        say(repo, git, text, path)
    made = new(repo, "w1")
    new(repo, "w2", "--branch", "$(touch${IFS}pwned)")
    call("setup", "show", cwd=repo)
    call("setup", "run", "w1", cwd=repo)
    ok("finish", "w1", cwd=repo)
    ok("worktree", "clean", "w1", cwd=repo)
    assert made["setup"] == "untrusted"
    assert not list(tmp_path.rglob("pwned"))


def test_there_is_nothing_to_set_up_again(repo):
    new(repo, "w1")
    assert "needs no set-up" in ok("setup", "run", "w1", cwd=repo).err
    assert "no session" in refused("setup", "run", cwd=repo)
