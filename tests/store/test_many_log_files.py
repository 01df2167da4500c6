"""A job with the files of more hosts than a process may have descriptors: all of it is read."""

import json
import resource
import subprocess
import sys
import uuid

import pytest

from prodigy_git.cleanup.records import archive
from prodigy_git.record import clock

HOSTS, EVENTS = 300, 10
REPO, JOB = "repo-abcdef", "job-1"
START = clock.parse("2026-01-02T00:00:00Z")
# Longer than half a block: then no file is read as a whole at once.
LONG = "x" * 14_000


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = tmp_path_factory.mktemp("many") / "store"
    folder = store / "events" / REPO / JOB
    folder.mkdir(parents=True)
    for host in range(HOSTS):
        lines = []
        for number in range(EVENTS):
            moment = START + (number * HOSTS + host) * clock.SECOND
            lines.append(json.dumps({
                "id": str(uuid.uuid4()), "timestamp": clock.stamp(moment), "type": "WordSaid",
                "event_type": "WordSaid", "job_id": JOB, "word": f"{number}/{host}", "long": LONG,
            }, separators=(",", ":")))  # fmt: skip
        path = folder / f"events-20260102-{host:012x}.jsonl"
        path.write_text("\n".join(lines) + "\n")
        if host % 4 == 0:
            size = path.stat().st_size
            archive.compress(str(store), REPO, JOB, str(path), size, START + (1 << 40))
    return store


_READ = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120))
from prodigy_git.store import events, stream
stream._KEPT = 500  # as where there are so many that they are not all kept
faults = []
words = [one.own()["word"] for one in events.read_job(*sys.argv[1:], faults.append)]
assert faults == [], faults[:3]
hosts, each = 300, 10
assert words == [f"{n}/{host}" for n in range(each) for host in range(hosts)], words[:5]
"""


def test_all_is_read_in_order_of_time(store):
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 120
    command = [sys.executable, "-c", _READ, str(store), REPO, JOB]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
