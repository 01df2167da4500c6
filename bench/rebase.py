"""What do hooks add to a rebase of 100 commits? Ours, and an empty one, over none."""

import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import common
from bench.commit_latency import PRODIGY, empty_hook, no_hook, ours, recorded

BARE = "no hooks"
PROGRAM = "post-commit is the program true, no shell"
EMPTY = "empty sh hook for post-commit"
SHELL = "prodigy-git, silenced: its shell part alone"
OURS = "prodigy-git, recorded"

AIM = 1.05

COMMITS = 100
BASES = ("base-a", "base-b")


def program_hook(repo: Path, _env: Mapping[str, str]) -> None:
    """Install a hook that is a program and not a script: no hook can cost less."""
    found = shutil.which("true")
    if found is None:
        raise SystemExit("no program named true in $PATH")
    (repo / ".git" / "hooks").mkdir(exist_ok=True)
    (repo / ".git" / "hooks" / "post-commit").symlink_to(found)


VARIANTS: dict[str, Callable[[Path, Mapping[str, str]], None]] = {
    BARE: no_hook,
    PROGRAM: program_hook,
    EMPTY: empty_hook,
    SHELL: ours,
    OURS: ours,
}


def build(repo: Path, env: Mapping[str, str]) -> None:
    """Make two bases with a commit each on ``main``, and a branch of 100 commits on the first."""
    for base in reversed(BASES):
        common.run(["git", "checkout", "-q", "-b", base, "main"], repo, env)
        (repo / f"{base}.txt").write_text(f"{base}\n")
        common.run(["git", "add", "."], repo, env)
        common.run(["git", "commit", "-q", "-m", base], repo, env)
    common.run(["git", "checkout", "-q", "-b", "topic"], repo, env)
    for number in range(COMMITS):
        (repo / f"{number}.txt").write_text(f"{number}\n")
        common.run(["git", "add", "."], repo, env)
        common.run(["git", "commit", "-q", "-m", f"commit {number}"], repo, env)


def commits(repo: Path, env: Mapping[str, str], *revisions: str) -> list[str]:
    """Return the commits that ``revisions`` name, oldest first."""
    return common.run(["git", "rev-list", "--reverse", *revisions], repo, env).split()


def rebase(
    repo: Path, env: Mapping[str, str], where: list[str], seen: list[str]
) -> Callable[[], float]:
    """Return what rebases ``topic`` back and forth, and notes in ``seen`` the commits that it made.

    From one base to the other and not onto the same again: then git would pick nothing, but keep
    the commits as they are.
    """

    def timed() -> float:
        here, there = where
        where.reverse()
        command = ["git", "rebase", "-q", "--merge", "--onto", there, here]
        taken = common.milliseconds(command, repo, env)
        new = commits(repo, env, f"{there}..HEAD")
        if len(new) != COMMITS:
            raise SystemExit(f"{len(new)} commits on {there} after a rebase of {COMMITS}")
        seen.extend(new)
        return taken

    return timed


def wrong_records(store: Path, repo: Path, made: list[str], rebased: list[str]) -> str:
    """Return what is wrong with the log, or an empty string: each commit is to be in it once."""
    # Two rebases onto one base within a second can make one and the same commit: it counts once.
    wanted = set(made) | set(rebased)
    found = Counter(recorded(store, repo))
    missing = len(wanted - set(found))
    twice = sum(number > 1 for number in found.values())
    more = len(set(found) - wanted)
    if missing or twice or more:
        return f"of {len(wanted)} commits {missing} missing, {twice} doubled, {more} not theirs"
    return ""


def main() -> int:
    """Run the benchmark and print its table."""
    parser = common.options(__doc__, rounds=11, makes="repositories")
    arguments = parser.parse_args()

    with common.sealed(arguments.folder) as (folder, env):
        repos: dict[str, Path] = {}
        rebased: dict[str, list[str]] = {}
        rounds: dict[str, Callable[[], float]] = {}
        made: list[str] = []
        for number, (name, set_up) in enumerate(VARIANTS.items()):
            repo = common.make_repository(folder / f"variant-{number}", env, {"file": "text\n"})
            start = common.run(["git", "rev-parse", "HEAD"], repo, env).strip()
            set_up(repo, env)
            build(repo, env)
            if name == OURS:
                made = commits(repo, env, "--all", f"^{start}")
            repos[name], rebased[name] = repo, []
            silence = {"PRODIGY_GIT_SILENCE": "1"} if name == SHELL else {}
            rounds[name] = rebase(repo, env | silence, list(BASES), rebased[name])
        times = common.interleave(rounds, arguments.rounds, warm_up=1)
        common.run([*PRODIGY, "sync", "--all"], repos[OURS], env)
        wrong = wrong_records(Path(env["PRODIGY_HOME"]), repos[OURS], made, rebased[OURS])

        median = common.medians(times)
        common.heading(
            folder, f"Rebase of {COMMITS} commits, medians of {arguments.rounds} interleaved rounds"
        )
        common.print_table(
            ["variant", "ms", "ms over bare", "ms per commit", "x bare", "least ms"],
            [
                [
                    name,
                    f"{ms:.0f}",
                    f"{ms - median[BARE]:+.0f}" if name != BARE else "",
                    f"{(ms - median[BARE]) / COMMITS:+.2f}" if name != BARE else "",
                    f"{ms / median[BARE]:.2f}",
                    f"{min(times[name]):.0f}",
                ]
                for name, ms in median.items()
            ],
        )
        print()
    common.aim(
        f"a rebase of {COMMITS} commits takes",
        median[OURS] / median[EMPTY],
        AIM,
        "times what it takes with an empty sh hook",
    )
    parts = {
        "git starts any hook": median[PROGRAM] - median[BARE],
        "it is a shell script": median[EMPTY] - median[PROGRAM],
        "what ours does in the shell": median[SHELL] - median[EMPTY],
        "our recorder, once": median[OURS] - median[SHELL],
    }
    print(f"Made up of: {', '.join(f'{name} {ms:+.0f} ms' for name, ms in parts.items())}.")
    return common.worthless(wrong)


if __name__ == "__main__":
    sys.exit(main())
