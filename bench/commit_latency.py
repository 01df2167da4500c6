"""What does a hook add to a commit? No hooks, ours, prek and pre-commit, in one run."""

import functools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench import common

BARE = "no hooks"
EMPTY = "empty sh hook"
OURS = "prodigy-git, recorded in the background"
WAITING = "prodigy-git, git waits until it is recorded"
CHECKPOINT = "prodigy-git, the same with a checkpoint"
IDLE = "prodigy-git, autoRegister false, not enrolled"
PREK = "prek, one hook that does nothing"
PRE_COMMIT = "pre-commit, one hook that does nothing"

AIM = 2.0
AIM_PREK = 0.2
AIM_WAITING = 1.1
AIM_CHECKPOINT = 1.7
AIM_IDLE = 2.0
WAIT = {"PRODIGY_RECORD": "wait"}

# Every variant's repository holds this file, so that all of them are the same.
CONFIG = """\
repos:
  - repo: local
    hooks:
      - id: nothing
        name: nothing
        entry: "true"
        language: system
        always_run: true
        pass_filenames: false
        stages: [post-commit]
"""

PRODIGY = [sys.executable, "-m", "prodigy_git"]
COMMIT = ["git", "commit", "--allow-empty", "-q", "-m", "a commit"]


def no_hook(repo: Path, _env: Mapping[str, str]) -> None:
    """Leave the repository as it is."""
    for hook in (repo / ".git" / "hooks").glob("post-*"):
        if not hook.name.endswith(".sample"):
            raise SystemExit(f"{hook} comes from a template: the bare variant is not bare")


def empty_hook(repo: Path, _env: Mapping[str, str]) -> None:
    """Install the cheapest hook there can be."""
    hook = repo / ".git" / "hooks" / "post-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 0\n")
    hook.chmod(0o755)


def ours(repo: Path, env: Mapping[str, str]) -> None:
    """Install, and enrol the main worktree by a first commit."""
    common.run([*PRODIGY, "install"], repo, env)
    common.run(COMMIT, repo, env)


def ours_idle(repo: Path, env: Mapping[str, str]) -> None:
    """Install where nothing is to be recorded."""
    common.run(["git", "config", "prodigy.autoRegister", "false"], repo, env)
    common.run([*PRODIGY, "install"], repo, env)


def framework(program: str) -> Callable[[Path, Mapping[str, str]], None]:
    """Return the set-up for prek or pre-commit, which share their configuration."""

    def install(repo: Path, env: Mapping[str, str]) -> None:
        common.run([program, "install", "-t", "post-commit"], repo, env)
        said = common.run(COMMIT, repo, env)
        if "Passed" not in said:
            raise SystemExit(f"{program} did not run its hook, it said: {said!r}")

    return install


VARIANTS: dict[str, Callable[[Path, Mapping[str, str]], None]] = {
    BARE: no_hook,
    EMPTY: empty_hook,
    OURS: ours,
    WAITING: ours,
    CHECKPOINT: ours,
    IDLE: ours_idle,
    PREK: framework("prek"),
    PRE_COMMIT: framework("pre-commit"),
}


def recorded(store: Path, repo: Path) -> list[str]:
    """Return the commits of every CommitCreated in the log of one repository, in file order."""
    return [
        event["commit"]
        for log in sorted((store / "events").glob(f"{repo.name}/*/*.jsonl"))
        for event in common.created(log.read_text(encoding="utf-8").splitlines())
    ]


def wrong_records(store: Path, repo: Path, start: str, env: Mapping[str, str]) -> str:
    """Return what is wrong with the log after the run, or an empty string.

    A hook that fails is quick: a time counts only if the work was done.
    """
    made = common.run(["git", "rev-list", "--reverse", f"{start}..HEAD"], repo, env).split()
    events = recorded(store, repo)
    if events != made:
        missing = len(set(made) - set(events))
        return f"{len(made)} commits made, {len(events)} recorded ({missing} missing)"
    return ""


def checkpointed(store: Path, commits: Sequence[str]) -> bool:
    """Whether each of the newest commits has written its own checkpoint: a session keeps ten."""
    kept = [
        [checkpoint["state"]["commit"] for checkpoint in session["checkpoints"]]
        for session in (json.loads(path.read_text()) for path in store.glob("sessions/*.json"))
    ]
    return list(commits[-10:]) in kept


def end_burst(repo: Path) -> None:
    """Make the next hook take its commit for the first one in a long time, which has a checkpoint."""
    cursor = repo / ".git" / "prodigy-cursor"
    fields = json.loads(cursor.read_text())
    cursor.write_text(json.dumps({**fields, "noted": 0}) + "\n")


def main() -> int:
    """Run the benchmark and print its table."""
    parser = common.options(__doc__, rounds=60, makes="repositories")
    parser.add_argument(
        "--busy", type=int, default=0, help="busy processes for each core beside it (default: 0)"
    )
    arguments = parser.parse_args()

    with common.sealed(arguments.folder) as (folder, env), common.busy(arguments.busy):
        repos: dict[str, Path] = {}
        starts: dict[str, str] = {}
        for number, (name, set_up) in enumerate(VARIANTS.items()):
            repo = common.make_repository(
                folder / f"variant-{number}", env, {".pre-commit-config.yaml": CONFIG}
            )
            starts[name] = common.run(["git", "rev-parse", "HEAD"], repo, env).strip()
            set_up(repo, env)
            repos[name] = repo

        def timed(name: str) -> float:
            if name == CHECKPOINT:
                end_burst(repos[name])
            waiting = WAIT if name in (WAITING, CHECKPOINT) else {}
            return common.milliseconds(COMMIT, repos[name], env | waiting)

        times = common.interleave(
            {name: functools.partial(timed, name) for name in repos}, arguments.rounds
        )
        store = Path(env["PRODIGY_HOME"])
        wrong = ""
        common.run([*PRODIGY, "sync", "--all"], repos[OURS], env)
        for name in (OURS, WAITING, CHECKPOINT):
            wrong = wrong or wrong_records(store, repos[name], starts[name], env)
        if recorded(store, repos[IDLE]):
            wrong = wrong or "commits were recorded where autoRegister is false"
        if not checkpointed(store, recorded(store, repos[CHECKPOINT])):
            wrong = wrong or "not every commit wrote a checkpoint where it was to"

        median = common.medians(times)
        over = {name: ms - median[BARE] for name, ms in median.items()}
        beside = f", {arguments.busy} busy processes per core beside it" if arguments.busy else ""
        common.heading(
            folder, f"Commit latency, medians of {arguments.rounds} interleaved rounds{beside}"
        )
        common.print_table(
            ["variant", "ms", "ms over bare", "x bare", "added, x empty's", "added, x prek's"],
            [
                [
                    name,
                    f"{ms:.1f}",
                    f"{over[name]:+.1f}" if name != BARE else "",
                    f"{ms / median[BARE]:.2f}",
                    f"{over[name] / over[EMPTY]:.2f}" if name != BARE else "",
                    f"{over[name] / over[PREK]:.2f}" if name != BARE else "",
                ]
                for name, ms in median.items()
            ],
        )
        print()

    nothing = "times what prek adds with a hook that does nothing"
    empty = "times what an empty sh hook adds"
    common.aim("a recorded commit adds", over[OURS] / over[EMPTY], AIM, empty)
    common.aim("a recorded commit adds", over[OURS] / over[PREK], AIM_PREK, nothing)
    common.aim("one that git waits for adds", over[WAITING] / over[PREK], AIM_WAITING, nothing)
    share = over[CHECKPOINT] / over[PREK]
    common.aim("one that git waits for, with a checkpoint, adds", share, AIM_CHECKPOINT, nothing)
    common.aim("hooks with nothing to record add", over[IDLE] / over[EMPTY], AIM_IDLE, empty)
    return common.worthless(wrong)


if __name__ == "__main__":
    sys.exit(main())
