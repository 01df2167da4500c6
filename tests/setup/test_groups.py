"""Process groups are ended: nothing of them runs once that is said."""

import signal
import subprocess

import psutil
import pytest

from prodigy_git.setup import groups

STUBBORN = "trap '' TERM; echo; while :; do sleep 600; done"
MANY = 30  # what was only just killed is seen to run in some of them


def test_what_had_to_be_killed_is_gone_at_once():
    for _ in range(MANY):
        with subprocess.Popen(
            ["sh", "-c", STUBBORN], stdout=subprocess.PIPE, start_new_session=True
        ) as leader:
            assert leader.stdout is not None
            leader.stdout.readline()
            found = psutil.Process(leader.pid)
            assert groups.end_group(leader.pid, grace=0.0) >= 1
            assert found.status() == psutil.STATUS_ZOMBIE


def test_a_signal_that_was_held_back_acts_where_something_fails_meanwhile():
    def stop(*_):
        raise KeyboardInterrupt

    def fail():
        with groups.signals_held_back():
            signal.raise_signal(signal.SIGTERM)
            raise OSError

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            fail()
        assert signal.getsignal(signal.SIGTERM) is stop
    finally:
        signal.signal(signal.SIGTERM, before)
