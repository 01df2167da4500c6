"""run: what is kept of a command's output, what of it is the error, and what it yields."""

import functools
import os

import pytest
from support_cli import environment
from support_run import done, run, shown, started

from prodigy_git.jobs import signatures
from prodigy_git.lifecycle.lastline import last_line
from prodigy_git.store.runlog import RunLog


@pytest.fixture
def job(repo, tmp_path):
    return functools.partial(started, repo, tmp_path)


def read(path):
    with open(path, "rb") as stream:
        return stream.read()


def error_of(events):
    return next(one["error"] for one in events("j") if one["type"] == "AgentFailed")


@pytest.mark.parametrize(
    ("output", "wanted"),
    [
        (b"", ""),
        (b"\n \n", ""),
        (b"first\nsecond\n\n", "second"),
        (
            b"\x1b[31mError:\x1b[0m \x1b]8;;http://x\x07it\x1b]8;;\x07 \x9bbad\a\n",
            "Error: it \ufffdbad",
        ),
        (b"10%\r20%\r30% read\n", "30% read"),
        (b"a\tb\xff\n", "a b\ufffd"),
        ("a\u202eb\n".encode(), "ab"),
        (b"x" * 9000, "x" * 299 + "\u2026"),
    ],
)
def test_the_last_line(output, wanted):
    assert last_line(output, {}) == wanted


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("echo out; echo 'no module x' >&2; exit 2", "exit status 2: no module x"),
        ("echo out; exit 2", "the command exited with status 2"),
        ("echo dying >&2; kill -9 $$", "signal 9: dying"),
        ("kill -9 $$", "the command died by signal 9"),
        (
            "echo 'FAILED test_a.py::test_x - assert 1 == 2'; exit 1",
            "exit status 1: FAILED test_a.py::test_x - assert 1 == 2",
        ),
        (
            'echo "no access to $AGENT_TOKEN" >&2; exit 1',
            "exit status 1: no access to [redacted: AGENT_TOKEN]",
        ),
    ],
)
def test_why_it_failed_is_recorded(job, events, script, error):
    cwd = job("x", max_attempts=1)
    done(cwd, "--", "sh", "-c", script, env=environment() | {"AGENT_TOKEN": "tulip-under-glass"})
    assert error_of(events) == error


def test_failures_that_are_alike_have_one_signature():
    one = "exit status 2: No such file: /w/x 7c3f2d1a-11ec-4e2b-9a51-3bdc2a9d3c4e agent-bcd2345f"
    other = (
        "exit status 2: No such file: /v/y/z 11e1e111-eeee-abcd-8a52-4adc2a9d3c4f agent-xzq2xz79"
    )
    assert signatures.of(one) == signatures.of(other)
    assert "No such file" in signatures.of(one)
    assert signatures.of(one) != signatures.of("exit status 2: Permission denied")


def test_a_result_is_recorded(job, events):
    cwd = job("x")
    outside = "case $PRODIGY_RESULT in $PRODIGY_WORKTREE*) exit 1;; esac;"
    script = outside + """ echo '{"n": [1]}' > $PRODIGY_RESULT"""
    assert done(cwd, "--", "sh", "-c", script)[0] == 0
    (processed,) = [one for one in events("j") if one["type"] == "WorkItemProcessed"]
    assert processed["result"] == {"n": [1]}


@pytest.mark.parametrize(
    "script",
    [
        "echo no > $PRODIGY_RESULT", "mkfifo $PRODIGY_RESULT", "mkdir $PRODIGY_RESULT",
        "ln -s /etc/passwd $PRODIGY_RESULT", "printf '\\377' > $PRODIGY_RESULT",
        "printf '\"\\\\ud83d\"' > $PRODIGY_RESULT", "echo NaN > $PRODIGY_RESULT",
        "yes '[' | head -c 20000 | tr -d '\\n' > $PRODIGY_RESULT",
        "(echo '\"'; head -c 3000000 /dev/zero | tr '\\0' x; echo '\"') > $PRODIGY_RESULT",
    ],
)  # fmt: skip
def test_a_result_that_cannot_be_recorded_is_no_failure(job, events, script):
    cwd = job("x")
    code, _, err = done(cwd, "--", "sh", "-c", script)
    assert code == 0, err
    assert err.count("result is not recorded") == 1
    (processed,) = [one for one in events("j") if one["type"] == "WorkItemProcessed"]
    assert "result" not in processed


def test_the_beginning_and_the_end_of_the_output_are_kept(tmp_path):
    path = str(tmp_path / "logs" / "x.log")
    log = RunLog(path, 1000)
    lines = [b"line %05d\n" % n for n in range(1000)]
    for n, line in enumerate(lines):
        log.write(line)
        assert len(os.listdir(tmp_path / "logs")) <= 3
        if n == 500:  # it can be read while it grows
            text = read(path)
            assert text.startswith(lines[0])
            assert b"x.log.tail-1" in text
            assert line in read(f"{path}.tail-1") + read(f"{path}.tail-2")
    log.close()
    assert os.listdir(tmp_path / "logs") == ["x.log"]
    text = read(path)
    head, _, rest = text.partition(b"\n[prodigy-git: ")
    count, _, tail = rest.partition(b" bytes left out here: see --log-limit]\n")
    whole = b"".join(lines)
    assert whole.startswith(head)
    assert whole.endswith(tail)
    assert (len(head), 250 <= len(tail) <= 500) == (500, True)
    assert int(count) == len(whole) - len(head) - len(tail)


@pytest.mark.parametrize(("before", "more"), [(900, 100), (1500, 0)])
def test_where_the_next_file_cannot_be_made_nobodys_descriptor_is_touched(tmp_path, before, more):
    folder, away = tmp_path / "logs", tmp_path / "away"
    log = RunLog(f"{folder}/x.log", 2000)
    log.write(b"a" * before)
    folder.rename(away)
    log.write(b"b" * 1000)
    assert isinstance(log.trouble, FileNotFoundError)
    log.write(b"c" * 10)
    others = [os.open(tmp_path / name, os.O_CREAT | os.O_RDWR) for name in ("one", "two")]
    for other in others:
        os.write(other, b"of others")
    away.rename(folder)
    log.write(b"d" * 10)
    log.close()
    for other in others:
        assert os.fstat(other).st_size == 9
        os.close(other)
    assert os.listdir(folder) == ["x.log"]
    assert read(folder / "x.log") == b"a" * before + b"b" * more + b"d" * 10


@pytest.mark.parametrize(("limit", "size"), [(1000, 999), (1000, 1000), (0, 5000)])
def test_what_is_within_the_limit_is_kept_as_it_is(tmp_path, limit, size):
    path = str(tmp_path / "logs" / "x.log")
    log = RunLog(path, limit)
    data = bytes(n % 251 for n in range(size))
    for begin in range(0, size, 300):
        log.write(data[begin : begin + 300])
    log.close()
    assert read(path) == data
    assert os.listdir(tmp_path / "logs") == ["x.log"]


def test_the_limit_is_kept_by_run(job, tmp_path):
    cwd = job("x")
    child = run(
        cwd, "--log-limit", "10k", "--keep", "--", "sh", "-c", "seq 1 20000; echo $PRODIGY_LOG >&2"
    )
    out, err = child.communicate(timeout=60)
    assert out.count(b"\n") == 20000
    log = read(err.split(b"\n")[0])
    assert len(log) < 10_200
    assert log.startswith(b"1\n2\n")
    assert b"bytes left out here" in log
    assert b"20000\n" in log
    assert shown(cwd)["completed"] == 1
