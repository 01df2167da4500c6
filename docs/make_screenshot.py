"""Make docs/reference/report.png: the report of a job that is always the same, in a real browser."""

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
NOW = 1_736_610_300_000_000  # 2025-01-11 15:45 UTC
WAITS = "agent-18"
FILES = ("src/parser.py", "src/render.py", "tests/test_parser.py", "README.md")


def make_repository(folder: Path, env: dict[str, str]) -> dict[str, str]:
    """Make a repository whose commits are those of the job's agents; return {subject: SHA}."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=folder, env=env, check=True, capture_output=True, text=True
        ).stdout.strip()

    folder.mkdir()
    git("init", "-q", "-b", "main")
    found = {}
    for number in range(20):
        for one in range(2):
            name = FILES[(number * 3 + one) % len(FILES)] if number % 3 else f"src/part{number}.py"
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{number} {one}\n")
            git("add", "-A")
            git("commit", "-q", "-m", f"Step {one + 1} of item {number}")
            found[f"{number}/{one}"] = git("rev-parse", "HEAD")
    return found


def have_one_wait(store: Path, repo: str, job: str) -> None:
    """Have the agent program of one that is at work wait for a permission."""
    from prodigy_git import layout
    from prodigy_git.record import clock, log

    since = NOW - 4 * 60 * clock.SECOND
    whose = {"program": "claude", "program_session": "5f0c2b7e"}
    files = {
        layout.session(str(store), WAITS): {
            "id": WAITS, "status": "Running", "started_at": clock.stamp(since),
            "metadata": {"repo": repo, "job_id": job, "agent_id": WAITS, "item_id": "item-18"},
        },
        layout.activity(str(store), repo, WAITS): {
            "at": clock.stamp(since), **whose, "kind": "waiting", "reason": "permission",
        },
    }  # fmt: skip
    for path, content in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(content, separators=(",", ":")) + "\n")
    asked = {
        "id": "waits", "timestamp": clock.stamp(since), "type": "AgentWaiting",
        "event_type": "AgentWaiting", "session_id": WAITS, "agent_id": WAITS, "reason": "permission",
        "agent_program": "claude", "program_session": "5f0c2b7e",
        "message": "Bash: npm run build && npm test",
    }  # fmt: skip
    clock.now = lambda: since  # `append` has its own stamp
    log.append(str(store), repo, job, [asked])


def main() -> int:
    """Make the picture; return an exit status."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("make_screenshot: install chromium", file=sys.stderr)
        return 1
    import support_team

    from prodigy_git import layout
    from prodigy_git.cli import output
    from prodigy_git.model.selection import Selection
    from prodigy_git.record import clock, repokey
    from prodigy_git.views.report import data, gather, page

    support_team.JOB = "review-2025-01"
    support_team.HOSTILE = "Read the configuration once"
    stamp = datetime.fromtimestamp(NOW / 1e6, UTC).isoformat()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        env = {
            "PATH": os.environ["PATH"], "HOME": name, "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_DATE": stamp, "GIT_COMMITTER_DATE": stamp, "GIT_AUTHOR_NAME": "A",
            "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "A",
            "GIT_COMMITTER_EMAIL": "a@example.org",
        }  # fmt: skip
        commits = make_repository(folder / "shop", env)
        support_team.sha = lambda text: commits.get(text, "0" * 40)
        store = folder / "store"
        repo = repokey.take(str(store), str(folder / "shop" / ".git"))
        support_team.write(store, repo, NOW)
        have_one_wait(store, repo, support_team.JOB)
        clock.now = lambda: NOW
        value = gather.of_job(
            str(store), repo, support_team.JOB, Selection(), data.STUCK_AFTER, sys.exit
        )
        assert os.path.isdir(layout.job_log(str(store), repo, support_team.JOB))
        html = folder / "report.html"
        html.write_text(page.render(value, output.clean), encoding="utf-8")
        (DOCS / "reference" / "report.png").write_bytes(picture(chromium, html))
    print(DOCS / "reference" / "report.png")
    return 0


def picture(chromium: str, html: Path) -> bytes:
    """Return the page, from its head to the lanes, as a PNG."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--disable-gpu"])
        context = browser.new_context(
            viewport={"width": 1200, "height": 900}, timezone_id="UTC", locale="en-GB"
        )
        shown = context.new_page()
        shown.goto(html.as_uri())
        shown.wait_for_selector("html[data-ready]")
        end = shown.locator(".columns").bounding_box()
        assert end is not None
        clip = {"x": 0, "y": 0, "width": 1200, "height": end["y"] + end["height"] + 16}
        data = shown.screenshot(full_page=True, clip=clip)
        browser.close()
    return io.BytesIO(data).getvalue()


if __name__ == "__main__":
    sys.exit(main())
