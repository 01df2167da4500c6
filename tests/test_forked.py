"""A process that is forked from the server is what a started one is, or tests test something else."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support_cli import PACKAGE_PARENT, environment
from support_forkserver import Forked

PROGRAMS = {
    "arguments": "import sys; print(sys.argv, __name__)",
    "environment": "import os, subprocess; print(os.environ['SOME'], os.environ.get('OTHER')); "
    "subprocess.run(['sh', '-c', 'echo $SOME $OTHER $PYTHONPATH'])",
    "time zone": "import time; print(time.strftime('%H', time.gmtime(0)), time.tzname)",
    "parent": "import os; print(os.getppid(), os.getpgrp(), os.getsid(0))",
    "streams": "import sys\nfor s in (sys.stdin, sys.stdout, sys.stderr): print(s.encoding, s.errors, "
    "s.line_buffering, s.write_through, s.newlines, s.mode, s.fileno(), s.name, type(s.buffer),"
    "type(getattr(s.buffer, 'raw', 0)))",
    "input": "import sys; print(sys.stdin.read(), end='')",
    "descriptors": "import os; print(sorted(os.listdir('/proc/self/fd')))",
    "signals": "import signal; print([signal.getsignal(n) for n in range(1, 65) if n not in (32, 33)])",
    "umask": "import os; print(os.umask(0))",
    "end": "import atexit, sys; atexit.register(print, 'at the end'); print('no line', end=''); "
    "sys.exit(7)",
    "thread": "import threading, time; threading.Thread(target=lambda: print('thread')).start()",
    "words": "raise SystemExit('these')",
    "killed": "import os, signal; print('lost'); os.kill(os.getpid(), signal.SIGKILL)",
    "chance": "import random, uuid; print(random.random() == random.random(), len(str(uuid.uuid4())))",
    "modules": "import sys; print([sys.path[0], sys.path[-1]], 'support_cli' in sys.modules)",
}


def _outcome(start, program, cwd, **settings):
    how = {
        "cwd": cwd, "env": environment(SOME="x\udc80y", TZ="Asia/Tokyo"), "text": True,
        "errors": "surrogateescape", "stdin": subprocess.PIPE, "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
    }  # fmt: skip
    with start([sys.executable, "-c", program, "one", "t\u00f6"], **(how | settings)) as child:
        out, err = child.communicate("a line\nand half of one")
    return child.returncode, out, err


@pytest.mark.parametrize("what", PROGRAMS)
def test_it_is_as_if_started(what, tmp_path, monkeypatch):
    monkeypatch.setenv("OTHER", "not this")
    before = os.umask(0o027)
    try:
        started = _outcome(_heard, PROGRAMS[what], tmp_path)
        assert _outcome(Forked, PROGRAMS[what], tmp_path) == started
    finally:
        os.umask(before)


def _heard(*arguments, **settings):
    return subprocess.Popen(
        *arguments, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **settings
    )


def test_it_is_forked_where_that_is_said():
    """Else the comparison compares nothing, and the suite takes three times as long."""
    if sys.platform != "linux" or os.uname().machine not in ("x86_64", "aarch64"):
        pytest.skip("NOT TESTED: forks; they are made on Linux alone")
    program = "import sys; print('prodigy_git.store.sessions' in sys.modules)"
    assert _outcome(Forked, program, "/")[1] == "True\n"
    for other in ({"LC_ALL": "C"}, {"PYTHONUTF8": "1"}):
        assert _outcome(Forked, program, "/", env=environment(**other))[1] == "False\n", other
    assert _outcome(Forked, program, "/", preexec_fn=lambda: None)[1] == "False\n"


def test_a_server_begins_where_a_library_of_an_extra_is_missing(tmp_path):
    (tmp_path / "psycopg.py").write_text("raise ModuleNotFoundError('No psycopg', name='psycopg')")
    paths = [tmp_path, Path(__file__).parent, PACKAGE_PARENT]
    env = environment(PYTHONPATH=os.pathsep.join(map(str, paths)))
    code = "import support_forkserver as server; server._import_all()"
    subprocess.run([sys.executable, "-c", code], env=env, check=True)


def test_an_error_that_nobody_catches_is_said():
    code, out, err = _outcome(Forked, "import nothing_such", "/")
    assert (code, out) == (1, "")
    assert err.endswith("ModuleNotFoundError: No module named 'nothing_such'\n")


def test_a_folder_that_is_gone_or_is_none(tmp_path):
    with pytest.raises(NotADirectoryError):
        Forked([sys.executable, "-c", ""], cwd="/dev/null")
    gone = tmp_path / "gone"
    gone.mkdir()
    with contextlib.chdir(gone):
        gone.rmdir()
        said = _outcome(
            Forked, "import os; print(os.path.exists('.'), os.listdir('/proc/self/cwd'))", None
        )
    assert said == (0, "True []\n", "")


def test_it_is_interrupted_and_sees_that_nobody_reads():
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    wait = "import signal; print('ready', flush=True); signal.pause()"
    with Forked([sys.executable, "-c", wait], env=environment(), **pipes) as child:
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGINT)
        assert child.stderr.read().endswith(b"\nKeyboardInterrupt\n")
        assert child.wait() == -signal.SIGINT
    ends = set()
    for start in (Forked, subprocess.Popen):
        reader, writer = os.pipe()
        os.close(reader)
        command = [sys.executable, "-c", "print('into nothing')"]
        with start(command, env=environment(), **pipes | {"stdout": writer}) as child:
            os.close(writer)
            assert b"BrokenPipeError" in child.stderr.read()
            ends.add(child.wait())
    assert len(ends) == 1
