"""Real workers on four hosts: killed, cut off, a host gone, their server killed; then all is mended.

What each of them was at is drawn so that no two are at one item; then whoever is left goes on.
"""

import contextlib
import json
import os
import time

import psutil
import pytest
from support_hub import rows
from support_hub_promises import each_once, one_live_claim, shared

ITEMS = [f"i{n}" for n in range(8)]
WORK = """
echo "$PRODIGY_ITEM_ID" >> "$0"
cat "$1"
test "$PRODIGY_ITEM_ID" != i3 || exit 1
git commit -q --allow-empty -m "$PRODIGY_ITEM_ID"
"""


class Gate:
    """What each command waits for: a FIFO, until it is opened."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path)

    def open(self):
        plain = self.path.with_suffix(".open")
        plain.write_text("")
        fifo = os.open(self.path, os.O_RDWR)
        plain.rename(self.path)  # who comes now does not wait
        os.close(fifo)  # and who waits reads to its end


def work(host, folder):
    """Start a worker on a host, which goes on until nothing is left."""
    out = (folder / f"{host.name}.err").open("ab")
    return host.start(
        "run", "--job", "J", "--next", "--wait", "--lease", "6s", "--backoff", "0s", "--",
        "sh", "-ec", WORK, folder / host.name, folder / "gate", stdout=out, stderr=out,
    )  # fmt: skip


def until(what, true):
    """Wait for something to be true."""
    end = time.monotonic() + 300
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def kill_all(process):
    """Kill a process and all that it has started, at once."""
    top = psutil.Process(process.pid)
    top.suspend()
    for one in [*top.children(recursive=True), top]:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()


@pytest.mark.parametrize(
    ("killed", "gone", "cut", "how"), [("a", "b", "c", "stall"), ("b", "d", "a", "drop")]
)
def test_what_workers_leave_is_done_once_by_those_that_are_left(
    sharers, postgres, hub_url, tmp_path, killed, gone, cut, how
):
    hosts = {one.host.name: one.host for one in sharers("a", "b", "c", "d")}
    (calm,) = hosts.keys() - {killed, gone, cut}
    calm = hosts[calm]
    gate = Gate(tmp_path / "gate")
    (calm.clone / "items").write_text("".join(json.dumps({"id": one}) + "\n" for one in ITEMS))
    calm.run("job", "start", "J", "--items", "items", "--max-attempts", "6", "--hub")
    asked = calm.run("job", "next", "J", "--agent", "calm", "--lease", "1h").json
    dead = hosts[cut].run("job", "next", "J", "--agent", "dead", "--lease", "1s").json
    workers = {name: work(host, tmp_path) for name, host in hosts.items()}
    until("all have begun", lambda: all((tmp_path / name).exists() for name in hosts))

    workers[killed].kill()
    kill_all(workers[gone])
    getattr(hosts[cut].wire, how)()
    postgres.kill()
    postgres.start()
    gate.open()
    calm.run("job", "done", "J", asked["item_id"], "--agent", "calm", "--attempt", "1")
    assert workers[calm.name].wait(300) in (0, 1)

    hosts[cut].wire.pass_on()
    for name in (killed, gone):
        workers[name].wait(300)
        hosts[name].run("hub", "sync")
        hosts[name].run("resume", "J", check=False)
        workers[name] = work(hosts[name], tmp_path)
    for worker in workers.values():
        assert worker.wait(300) in (0, 1)
    assert dead["item_id"] in ITEMS

    for _ in range(2):
        for host in hosts.values():
            host.run("hub", "sync")
    shown = {name: host.ok("job", "show", "J") for name, host in hosts.items()}
    for one in shown.values():
        assert shared(one) == shared(shown["a"])
    assert (shown["a"]["completed"], shown["a"]["dead"]) == (len(ITEMS) - 1, 1)
    for host in hosts.values():
        assert [one["item_id"] for one in host.ok("dlq", "list", "--job", "J")] == ["i3"]
        host.run("hub", "verify", "--job", "J")
    stream = rows(hub_url, "SELECT seq, id::text, line FROM prodigy_hub.event ORDER BY seq")
    each_once(stream, [(str(host.store), "clone", "J") for host in hosts.values()])
    one_live_claim(line for _, _, line in stream)
