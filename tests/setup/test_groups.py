"""Process groups are ended: nothing of them runs once that is said."""

import subprocess

import psutil

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
