"""A fault that is injected: at the call that is meant, before it is made, and at no other's."""

import signal
import sys

import pytest
from support_faults import KILL, STOP, can_trace, injected, run_traced, strace
from support_inject import can_inject

PROGRAM = f"""
import os, subprocess, sys
{STOP}
for name in "abc":
    subprocess.run([sys.executable, "-I", "-S", "-c", "import os; os.mkdir('child')"], check=True)
    os.rmdir("child")
    try:
        os.mkdir(name)
    except OSError as error:
        print(name, error.errno, flush=True)
os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", "import os; os.mkdir('d'); print('end')"])
"""


@pytest.mark.skipif(not can_trace(), reason="strace is missing, or may not trace")
@pytest.mark.parametrize("how", [injected, strace])
@pytest.mark.parametrize("at", [1, 2, 4])
def test_killed_before_the_call(how, at, tmp_path):
    for _ in range(5):  # who dies has no time to make the call
        done = run_traced(["-c", PROGRAM], how("mkdir", f"{KILL}:when={at}"), cwd=tmp_path)
        assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), done
        assert done.stdout == b""
        assert sorted(one.name for one in tmp_path.iterdir() if one.name in "abcd") == list(
            "abcd"[: at - 1]
        )
        for one in tmp_path.iterdir():
            if one.name in "abcd":
                one.rmdir()


@pytest.mark.skipif(not can_trace(), reason="strace is missing, or may not trace")
@pytest.mark.parametrize("how", [injected, strace])
def test_a_call_that_fails_is_not_made_and_all_others_are(how, tmp_path):
    done = run_traced(["-c", PROGRAM], how("mkdir", "error=EDQUOT:when=2"), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"b 122\nend\n", b"")
    assert [(tmp_path / name).is_dir() for name in "abcd"] == [True, False, True, True]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel asks on Linux alone")
def test_other_calls_are_left_to_strace():
    assert not can_inject("clone")
    assert injected("clone", "error=EAGAIN:when=1")[0] == "strace"
