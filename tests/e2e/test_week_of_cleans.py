"""A week in fast motion: agents work and end, disks and containers come and go, cron cleans.

At the end every byte that an agent wrote is in its worktree, in a commit, or in the trash.

To run more: PRODIGY_TEST_SESSIONS=30 PRODIGY_TEST_HOURS=168 pytest tests/e2e/test_week_of_cleans.py
"""

import os
import random
import subprocess
import sys
from pathlib import Path

from support_cli import call, environment, new, ok, session_file

from prodigy_git.record import clock

SESSIONS = int(os.environ.get("PRODIGY_TEST_SESSIONS", "8"))
HOURS = int(os.environ.get("PRODIGY_TEST_HOURS", "150"))
STEP = int(os.environ.get("PRODIGY_TEST_STEP", "6"))  # hours between two runs of cron

CLEAN = ("clean", "--all", "--all-repos", "--archive", "--yes")
IN_A_CONTAINER = """
import sys
from prodigy_git.record import clock
real, passed = clock.now, int(sys.argv[1])
clock.now = lambda: real() + passed
from prodigy_git import cli
sys.exit(cli.run(sys.argv[2:]))
"""


class Agent:
    """A session, and everything that it wrote: file name to contents, committed or not."""

    def __init__(self, repo: Path, number: int, git) -> None:
        self.name = f"s{number}"
        self.top = Path(new(repo, self.name, "--job", f"j{number % 3}")["worktree"])
        self.git = git
        self.wrote: dict[str, str] = {}
        self.running = True

    def work(self, luck: random.Random, hour: int) -> None:
        if not self.running or not (self.top / "README").exists():
            return  # ended; or its folder is not in sight just now
        name = f"{luck.choice(('a', 'b', 'c'))}{hour}{luck.choice(('', '.env'))}"
        text = f"{self.name} {hour} {luck.random()}"
        (self.top / name).write_text(text)
        self.wrote[name] = text
        if luck.random() < 0.5:
            subprocess.run(
                ["sh", "-c", "git add . && git commit -q -m work"], cwd=self.top, check=False,
                capture_output=True, env=environment(),
            )  # fmt: skip

    def end(self, repo: Path) -> None:
        if self.running and (self.top / "README").exists():
            self.running = call("finish", self.name, cwd=repo).code != 0


def _folders(store: Path, repo: Path, tmp_path: Path) -> dict[str, Path]:
    return {
        "worktrees": store / "worktrees" / "repo",
        "registrations": repo / ".git" / "worktrees",
        "repository": repo,
    }


def test_every_byte_is_somewhere(repo, store, git, tmp_path, monkeypatch):
    (repo / ".gitignore").write_text("*.env\n")
    git("add", ".", cwd=repo)
    git("commit", "-qm", "ignore", cwd=repo)
    luck = random.Random(12)
    passed = 0
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + passed)
    agents: list[Agent] = []
    away: dict[str, Path] = {}
    places = _folders(store, repo, tmp_path)
    for hour in range(0, HOURS, STEP):
        passed = hour * 3600 * clock.SECOND
        if len(agents) < SESSIONS and not away and luck.random() < 0.6:
            agents.append(Agent(repo, len(agents), git))
        for agent in agents:
            agent.work(luck, hour)
            if luck.random() < 0.05 and not away:
                agent.end(repo)
        # A disk goes, or is back; one at a time, for some hours or days.
        if away and luck.random() < 0.4:
            ((name, there),) = away.items()
            if places[name].exists():
                places[name].rmdir()
            there.rename(places[name])
            away = {}
        elif not away and luck.random() < 0.35:
            name = luck.choice(sorted(places))
            if places[name].exists():
                away = {name: tmp_path / f"disk of {name}"}
                places[name].rename(away[name])
                if luck.random() < 0.7:
                    places[name].mkdir()
        done = call(*CLEAN, cwd=tmp_path)
        assert "internal error" not in done.err, done
        hidden = luck.choice([*places.values(), None, None])
        if hidden is not None and hidden.is_dir() and os.geteuid() == 0:
            # In another container, which sees less, and where cron runs, too.
            subprocess.run(
                ["unshare", "--mount", "sh", "-c",
                 'mount -t tmpfs none "$1"; shift; exec "$@"', "sh", hidden,
                 sys.executable, "-c", IN_A_CONTAINER, str(passed), *CLEAN],
                cwd=tmp_path, env=environment(), check=False, capture_output=True,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
    for name, there in away.items():
        if places[name].exists():
            places[name].rmdir()
        there.rename(places[name])
    call(*CLEAN, cwd=repo)
    assert agents
    for agent in agents:
        if not (agent.top / ".git").exists():
            assert not agent.running, agent.name
            ok("worktree", "restore", agent.name, cwd=repo)
        git("status", cwd=agent.top)
        for name, text in agent.wrote.items():
            assert (agent.top / name).read_text() == text, (agent.name, name)
        status = session_file(store, agent.name)["status"]
        assert status == ("Running" if agent.running else "Completed"), agent.name
    git("fsck", "--connectivity-only", cwd=repo)
    assert call("verify", "--all", cwd=repo).code in (0, 1)
