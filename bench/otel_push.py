"""How long does `otel push` take for a job of 1,000,000 events, and in how much memory?

To a receiver on loopback that reads each request, drops it and accepts it.
"""

import argparse
import http.server
import json
import os
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bench import common
from bench.read_events import EVENTS, timed, written

PUSH = [sys.executable, "-m", "prodigy_git", "otel", "push", "--all-repos", "--json"]


@contextmanager
def sink() -> Iterator[str]:
    """Give the URL of a receiver that accepts everything."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def main() -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="timed rounds (default: 1)")
    parser.add_argument("--scale", type=float, default=1.0, help="shrinks the logs (default: 1)")
    arguments = parser.parse_args()
    if not 0 < arguments.scale <= 1:
        parser.error("--scale is more than 0 and at most 1")
    sizes = [max(100, round(count * arguments.scale)) for count in (EVENTS // 100, EVENTS)]
    wrong = ""
    rows = []
    with common.sealed() as (folder, env), sink() as url:
        env = {name: value for name, value in env.items() if not name.lower().endswith("_proxy")}
        for size in sizes:
            store = folder / str(size)
            written(store / "events" / "repo" / "job" / "events-20250111.jsonl", size, env)
            os.sync()
            runs, most = [], 0.0
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            for _ in range(arguments.rounds):
                out = folder / "out"
                seconds, memory = timed(
                    [*PUSH, "--endpoint", url], env | {"PRODIGY_HOME": str(store)}, out
                )
                sent = json.loads(out.read_text())
                runs.append(seconds)
                most = max(most, memory)
                if not sent["spans"] or not sent["points"]:
                    wrong = "nothing was sent"
            spans = sent["spans"]
            median = common.medians({"push": runs})["push"]
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            busy = f"{used / arguments.rounds:.2f}"
            rows.append([f"{size:,}", f"{spans:,}", f"{median:.2f}", busy, f"{most:.0f}"])
        common.heading(
            folder, f"otel push of one job over HTTP, medians of {arguments.rounds} round(s)"
        )
        common.print_table(["events", "spans", "s", "s of CPU", "MB of memory"], rows)
    return common.worthless(wrong)


if __name__ == "__main__":
    sys.exit(main())
