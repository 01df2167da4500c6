"""How long does a report take to make and to open, and how large is it? Of 10,000 events, and more."""

import argparse
import re
import shutil
import statistics
import sys
from pathlib import Path

from bench import common
from bench.read_events import timed, written

EVENTS = {10_000: 5, 1_000_000: 1}
"""Of how many events, and in how many rounds."""
BUILT, USABLE, SIZE = 3.0, 2.0, 5.0  # seconds, seconds, MB: of 10,000 events


def usable(chromium: str, page: Path, rounds: int) -> list[float]:
    """Open a report in a fresh tab each time; return after how many seconds it was ready."""
    from playwright.sync_api import sync_playwright

    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--disable-gpu"])
        for _ in range(rounds + 1):  # the first starts the browser's own processes
            tab = browser.new_page()
            tab.goto(page.as_uri())
            tab.wait_for_selector("html[data-ready]")
            found.append(int(tab.evaluate("document.documentElement.dataset.ready")) / 1000)
            tab.close()
        browser.close()
    return found[1:]


def main() -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, help="timed rounds (default: 5, of the large log 1)")
    parser.add_argument("--scale", type=float, default=1.0, help="shrinks the logs (default: 1)")
    parser.add_argument("--folder", help="where to make the logs (default: $TMPDIR)")
    arguments = parser.parse_args()
    if not 0 < arguments.scale <= 1:
        parser.error("--scale is more than 0 and at most 1")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    rows, wrong = [], ""
    measured: dict[int, tuple[float, float, float | None]] = {}
    with common.sealed(arguments.folder) as (folder, env):
        for whole, rounds in EVENTS.items():
            count = max(1, round(whole * arguments.scale))
            log = folder / "store" / "events" / "repo" / f"job-{whole}" / "events-20250111.jsonl"
            written(log, count, env)
            page = folder / f"{whole}.html"
            command = [sys.executable, "-m", "prodigy_git", "report"]
            command += ["--job", log.parent.name, "-o", str(page)]
            runs = [timed(command, env, folder / "out") for _ in range(arguments.rounds or rounds)]
            built = statistics.median(seconds for seconds, _ in runs)
            size = page.stat().st_size / 1e6
            opened = None
            if chromium is not None:
                opened = statistics.median(usable(chromium, page, arguments.rounds or rounds))
            said = re.search(r'"counts":\{"events":(\d+)', page.read_text(encoding="utf-8"))
            if said is None or int(said[1]) != count:
                wrong = f"{count} events written, the report is of {said and said[1]}"
            measured[whole] = built, size, opened
            rows.append(
                [
                    f"{count:,}",
                    f"{built:.2f}",
                    f"{max(memory for _, memory in runs):.0f}",
                    f"{size:.1f}",
                    "not measured" if opened is None else f"{opened:.2f}",
                ]
            )
        print(
            "A job's report, made by 'prodigy-git report' and opened in headless Chromium; medians"
        )
        print(common.machine(folder))
    print()
    common.print_table(
        ["events", "s to make", "MB of memory", "MB of page", "s until usable"], rows
    )
    print()
    built, size, opened = measured[min(EVENTS)]
    common.aim("a report of 10,000 events takes", built, BUILT, "s to make")
    common.aim("it is", size, SIZE, "MB")
    if opened is None:
        print("chromium is not installed (Debian: apt-get install chromium): not opened.")
    else:
        common.aim("it takes", opened, USABLE, "s until it is usable")
    return common.worthless(wrong)


if __name__ == "__main__":
    sys.exit(main())
