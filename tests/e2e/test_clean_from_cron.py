"""clean as cron runs it, over and over, while agents commit, begin and finish: nothing lost or doubled.

Each of the four agents is a process that makes worktrees, commits in them through the installed hooks,
and finishes them; beside them one worktree stays as it is, with uncommitted work, in a session that
runs. The processes are held together by pipes and by their ends.
"""

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from support_cli import environment, session_file, start

AGENTS, SESSIONS, COMMITS = 4, 2, 4

# Prints "worktree sha" for each commit that it made. A session's own job, or one for all of them.
AGENT = """
import os, subprocess, sys
program, job, sessions, commits = [sys.executable, "-m", "prodigy_git"], *sys.argv[1:]
def run(*command, cwd="."):
    done = subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode or "prodigy-git" in done.stderr:
        sys.exit(f"{command}: {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout.strip()
sys.stdin.read()
for number in range(int(sessions)):
    options = ["--job", job] if job else []
    top = run(*program, "new-worktree", *options)
    for count in range(int(commits)):
        run("git", "commit", "-q", "--allow-empty", "-m", f"{top} {count}", cwd=top)
        print(os.path.basename(top), run("git", "rev-parse", "HEAD", cwd=top))
    run(*program, "finish", os.path.basename(top))
"""

CLEAN = ("clean", "--all", "--yes", "--older-than", "0s", "--archive", "--json")


def all_events(store, troubles):
    """Return all events of the store's logs, archives, and logs in the trash."""
    found = []
    for path in [*store.glob("events/*/*/*"), *store.glob("trash/*/*/events/*")]:
        text = path.read_bytes()
        if path.name.endswith(".gz"):
            text = gzip.decompress(text)
        elif not path.name.endswith(".jsonl"):
            troubles.append(path)
        assert text.endswith(b"\n")
        found += [{**json.loads(line), "file": str(path)} for line in text.splitlines()]
    return found


@pytest.mark.parametrize("job", ["", "shared"], ids=["jobs-of-their-own", "one-job"])
def test_clean_while_agents_work(job, repo, store, git, prodigy):
    prodigy("install", cwd=repo, check=True)
    # A job that was over before: something to archive in any case.
    first = Path(prodigy("new-worktree", "early", cwd=repo, check=True).stdout[:-1])
    git("commit", "-q", "--allow-empty", "-m", "early", cwd=first)
    made = {"early": [git("rev-parse", "HEAD", cwd=first)]}
    prodigy("finish", "early", cwd=repo, check=True)
    still = Path(prodigy("new-worktree", "still", cwd=repo, check=True).stdout[:-1])
    (still / "precious").write_text("not committed\n")
    waiting, gate = os.pipe()
    agents = [
        subprocess.Popen(
            [sys.executable, "-c", AGENT, job, str(SESSIONS), str(COMMITS)],
            cwd=repo, env=environment(), stdin=waiting, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )
        for _ in range(AGENTS)
    ]  # fmt: skip
    os.close(waiting)
    os.close(gate)  # now they begin
    archived, rounds = 0, 0
    working = True
    while working:
        working = any(agent.poll() is None for agent in agents)  # and once more behind the last
        cleaners = [start(*CLEAN, cwd=repo) for _ in range(2)]  # cron does not wait either
        for cleaner in cleaners:
            out, err = cleaner.communicate()
            assert cleaner.returncode == 0, err
            assert "Traceback" not in err
            report = json.loads(out)
            archived += report["events"]["count"]
            results = {one["name"]: one["result"] for one in report["worktrees"]["items"]}
            assert results["still"] == "refused"
        rounds += 1
        assert rounds < 500
    for agent in agents:
        out, err = agent.communicate()
        assert agent.returncode == 0, err
        for line in out.splitlines():
            name, sha = line.split()
            made.setdefault(name, []).append(sha)
    assert sum(map(len, made.values())) == AGENTS * SESSIONS * COMMITS + 1
    assert archived > 0

    troubles = []
    log = all_events(store, troubles)
    assert troubles == []
    created = Counter(
        (one["session_id"], one["commit"]) for one in log if one["type"] == "CommitCreated"
    )
    # Told with their ids and files: of one id, or recorded under two enrolments?
    twice = [one for one in log if created[one.get("session_id"), one.get("commit")] > 1]
    assert twice == []
    assert created == Counter((name, sha) for name, shas in made.items() for sha in shas)
    assert len({one["id"] for one in log}) == len(log)
    assert (still / "precious").read_text() == "not committed\n"
    assert session_file(store, "still")["status"] in ("Running", "Initializing")
    for one in ("early", *made):
        ended = [e for e in log if e.get("session_id") == one and e["type"] == "SessionFinished"]
        assert len(ended) == 1, one
    # Commands read the archives as they read logs.
    listed = prodigy("events", "ls", "--type", "CommitCreated", "--json", cwd=repo, check=True)
    assert len(listed.stdout.splitlines()) == sum(created.values())
    prodigy("verify", cwd=repo, check=True)
    verified = prodigy("verify", "--all", "--json", cwd=repo, check=True)
    assert json.loads(verified.stdout)["broken_lines"] == []
    assert not (store / "logs" / "hook-errors.log").exists()
