"""run --parallel: workers of one command, their lines, and what becomes of them when it is ended."""

import contextlib
import functools
import json
import re
import signal
import sys
from collections import Counter

import psutil
import pytest
from support_cli import ok, refused
from support_run import done, run, shown, started, until
from support_terminal import Terminal


@pytest.fixture
def job(repo, tmp_path):
    return functools.partial(started, repo, tmp_path)


def items(count):
    return [{"id": f"i{number}"} for number in range(1, count + 1)]


def of_kind(events, kind):
    return [one for one in events("j") if one["type"] == kind]


def gone(pid):
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def numbers(folder, count):
    """Wait until so many commands have written their process id; return them."""
    until(lambda: len(list(folder.glob("up-*"))) >= count)
    found = [path.read_text() for path in folder.glob("up-*")]
    until(lambda: all(path.read_text().strip() for path in folder.glob("up-*")))
    return [int(path.read_text()) for path in folder.glob("up-*")] if found else []


def until_told(folder):
    """Return a command that waits until its item is told to go on."""
    return f"while ! test -e {folder}/go-$PRODIGY_ITEM_ID; do sleep 0.05; done"


def waiting(folder, then="exec sleep 300"):
    return ["--", "sh", "-c", f"echo $$ > {folder}/up-$PRODIGY_ITEM_ID; {then}"]


def test_each_item_once_and_each_line_whole_with_its_agent_in_front(job, events):
    cwd = job(*items(6))
    script = (
        "printf '%s: gr\\303'; printf '\\274n\\n' ; printf '10%%\\r20%%\\r\\n'; echo; echo to err >&2;"
        "head -c 300000 /dev/zero | tr '\\0' x; echo; printf end"
    )
    code, out, err = done(cwd, "--parallel", 3, "--agent", "ada", "--", "sh", "-c", script)
    assert code == 0, err
    lines = out.decode().split("\n")
    assert lines.pop() == ""
    said = Counter(line.partition("] ")[2] for line in lines)
    assert said == {": grün": 6, "20%": 6, "": 6, "x" * 300000: 6, "end": 6}
    assert {line.partition("] ")[0] for line in lines} <= {"[ada-1", "[ada-2", "[ada-3"}
    assert sum(line.endswith("] to err") for line in err.splitlines()) == 6
    assert "job j: 6 of 6 items completed" in err
    assert Counter(one["item_id"] for one in of_kind(events, "AgentStarted")) == Counter(
        one["id"] for one in items(6)
    )


def test_json_is_one_line_for_each_end(job):
    cwd = job(*items(4))
    code, out, _ = done(cwd, "--parallel", 2, "--json", "--", "sh", "-c", "echo noise")
    assert code == 0
    assert sorted(json.loads(line)["item_id"] for line in out.splitlines()) == [
        "i1", "i2", "i3", "i4",
    ]  # fmt: skip


def test_the_first_interrupt_lets_the_agents_finish(job, tmp_path):
    cwd = job(*items(5), max_attempts=1)
    child = run(cwd, "--parallel", 2, *waiting(tmp_path, until_told(tmp_path)))
    numbers(tmp_path, 2)
    child.send_signal(signal.SIGINT)
    assert b"no other item is taken; 2 in progress go on" in child.stderr.readline()
    for path in tmp_path.glob("up-*"):
        (tmp_path / path.name.replace("up", "go")).touch()
    child.communicate(timeout=60)
    found = shown(cwd)
    assert child.returncode == 130
    assert (found["completed"], found["pending"]) == (2, 3)


@pytest.mark.parametrize(
    "sent", [[signal.SIGINT, signal.SIGINT], [signal.SIGTERM], [signal.SIGHUP]]
)
def test_what_is_ended_is_given_back(job, events, tmp_path, sent):
    cwd = job(*items(3), max_attempts=1)
    child = run(cwd, "--parallel", 2, *waiting(tmp_path))
    commands = numbers(tmp_path, 2)
    for number in sent:
        child.send_signal(number)
        if len(sent) > 1 and number == sent[0]:
            child.stderr.readline()
            sent = [0]
    _, err = child.communicate(timeout=60)
    assert child.returncode == 128 + number, err
    assert all(map(gone, commands))
    found = shown(cwd)
    assert (found["pending"], found["dead"]) == (3, 0)
    assert len(of_kind(events, "ClaimReleased")) == 2
    assert of_kind(events, "AgentFailed") == []


def test_workers_whose_starter_is_killed_give_back_what_they_have(job, events, tmp_path):
    cwd = job(*items(2), max_attempts=1)
    stubborn = "test $PRODIGY_ITEM_ID = i1 && trap '' TERM; while :; do sleep 0.1; done"
    child = run(cwd, "--parallel", 2, *waiting(tmp_path, stubborn))
    commands = numbers(tmp_path, 2)
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)
    until(lambda: all(map(gone, commands)))
    until(lambda: len(of_kind(events, "ClaimReleased")) == 2)
    assert shown(cwd)["pending"] == 2


def test_a_worker_that_dies_leaves_the_others_at_work(job, events, tmp_path):
    cwd = job(*items(3))
    child = run(cwd, "--parallel", 2, "--backoff", "0s",
                *waiting(tmp_path, f"test $PRODIGY_ATTEMPT = 2 || test ! -e {tmp_path}/one-i1 ||"
                         f" test $PRODIGY_ITEM_ID != i1 || exec sleep 300; test -e {tmp_path}/go ||"
                         f" {{ touch {tmp_path}/one-$PRODIGY_ITEM_ID; exec sleep 300; }}"))  # fmt: skip
    commands = numbers(tmp_path, 2)
    until(lambda: len(list(tmp_path.glob("one-*"))) == 2)
    (tmp_path / "go").touch()
    victim = psutil.Process(commands[0]).parent()
    other = psutil.Process(commands[1])
    victim.kill()
    until(lambda: gone(commands[0]))
    other.terminate()
    _, err = child.communicate(timeout=90)
    assert child.returncode == 1, err
    assert b"died by signal 9; 1 go on. It worked on item i" in err
    assert shown(cwd)["completed"] == 3


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_what_one_had_is_taken_by_another_that_waits_for_it(job, tmp_path, how):
    cwd = job(*items(1))
    child = run(cwd, "--parallel", 2, "--backoff", "0s",
                *waiting(tmp_path, "test $PRODIGY_ATTEMPT != 1 || exec sleep 300"))  # fmt: skip
    (command,) = numbers(tmp_path, 1)
    if how == "killed":
        psutil.Process(command).parent().kill()
    else:
        until(lambda: list(tmp_path.rglob("*.process.json")))
        ok("stop", "i1", cwd=cwd)
    _, err = child.communicate(timeout=90)
    assert child.returncode == (1 if how == "killed" else 0), err
    assert b"job j: 1 of 1 items completed" in err
    assert shown(cwd)["completed"] == 1


def test_stops_where_all_items_fail_alike(job, events):
    cwd = job(*items(9), max_attempts=1)
    code, _, err = done(cwd, "--next", "--fail-fast", 3, "--", "sh", "-c", "nosuchcommand; exit 4")
    assert code == 5
    assert "3 items in a row failed alike (exit status 4: sh: " in err
    assert shown(cwd)["dead"] == 3
    code, _, err = done(
        cwd, "--parallel", 2, "--fail-fast", 2, "--", "sh", "-c", "echo bad >&2; exit 4"
    )
    assert code == 5
    assert shown(cwd)["dead"] in (5, 6)
    code, *_ = done(
        cwd, "--next", "--fail-fast", 2, "--", "sh", "-c", 'exit "${PRODIGY_ITEM_ID#i}"'
    )
    assert code == 1
    assert shown(cwd)["pending"] == 0


def test_what_was_stopped_to_fail_says_nothing_of_the_command(job, tmp_path):
    cwd = job(*items(2), max_attempts=1)
    child = run(cwd, "--parallel", 2, "--fail-fast", 2, *waiting(tmp_path))
    numbers(tmp_path, 2)
    until(lambda: len(list(tmp_path.rglob("*.process.json"))) == 2)
    ok("stop", "--fail", "--job", "j", cwd=cwd)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 1, err
    assert b"failed alike" not in err
    assert shown(cwd)["dead"] == 2


def test_items_that_come_while_others_work_are_taken(job, tmp_path):
    cwd = job(*items(1))
    (tmp_path / "more").write_text('{"id": "n1"}\n{"id": "n2"}\n')
    script = (
        f"test $PRODIGY_ITEM_ID = i1 || {{ echo $$ > {tmp_path}/up-$PRODIGY_ITEM_ID;"
        f" {until_told(tmp_path)}; exit; }};"
        f" {sys.executable} -m prodigy_git job add j --items {tmp_path}/more;"
        f" while ! test -e {tmp_path}/up-n1 -a -e {tmp_path}/up-n2; do sleep 0.1; done"
    )
    child = run(cwd, "--parallel", 3, "--", "sh", "-c", script)
    numbers(tmp_path, 2)  # both at once, while the first is still at work
    for n in (1, 2):
        (tmp_path / f"go-n{n}").touch()
    _, err = child.communicate(timeout=60)
    assert child.returncode == 0, err


def test_a_pool_waits_for_no_items_of_strangers(job, tmp_path):
    cwd = job(*items(2))
    ok("job", "next", "j", "--agent", "stranger", "--lease", "1h", cwd=cwd)
    code, _, err = done(cwd, "--parallel", 3, "--", "true")
    assert code == 0, err
    assert shown(cwd)["in_progress"] == 1


@pytest.mark.parametrize("columns", [120, 50, 20])
def test_a_terminal_shows_who_works_on_what(job, tmp_path, columns):
    cwd = job(*items(3))
    terminal = Terminal(
        "run", "--job", "j", "--parallel", "2", "--agent", "ada",
        *waiting(tmp_path, "printf 'a\\033[2Jb\\007c\\n'; " + until_told(tmp_path)),
        cwd=cwd, columns=columns,
    )  # fmt: skip
    try:
        numbers(tmp_path, 2)
        terminal.until("[ada-1] ab\\x07c")
        terminal.until("ITEM")
        terminal.until("i2")
        assert ("SAYS" in terminal.text()) == (columns > 70)
        assert b"\033[2J" not in terminal.written
        for count in range(1, 4):
            (tmp_path / f"go-i{count}").touch()
        assert terminal.end() == 0
        assert "3 of 3 items completed" in terminal.text()
        assert terminal.written.rstrip().count(b"\033[?25h") >= 1  # the cursor is back
        # What a key echoes finds a line of its own, and does not go over the end of a full one.
        before = re.findall(rb"([^\r])\r\033\[2K\033\[1A", terminal.written)
        assert set(before) == {b"\n"}
    finally:
        terminal.close()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--parallel", "2", "--item", "i1"], "--item goes neither with"),
        (["--parallel", "2", "--stdin"], "exclude each other"),
        (["--parallel", "2", "--pty"], "exclude each other"),
        (["--fail-fast", "2"], "several items"),
        (["--parallel", "0"], "0"),
    ],
)
def test_what_makes_no_sense_is_refused(job, given, said):
    cwd = job(*items(1))
    assert said in refused("run", "--job", "j", *given, "--", "true", cwd=cwd, code=2)
    assert shown(cwd)["pending"] == 1


def test_a_command_that_there_is_not_costs_no_item(job):
    cwd = job(*items(2))
    code, _, err = done(cwd, "--parallel", 2, "--", "nosuchcommand")
    assert code == 127
    assert "no command nosuchcommand" in err
    code, _, err = done(cwd, "--parallel", 2, "--", "./nosuch")  # known in the worktree alone
    assert (code, "tried again as after a failure" in err) == (127, False)
    assert shown(cwd)["in_progress"] == 0
    assert shown(cwd)["pending"] == 2
