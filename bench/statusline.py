"""What do the line for a prompt and a TAB cost, beside Python's own start?"""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bench import common

PROGRAM = os.path.join(os.path.dirname(sys.executable), "prodigy-git")
LINE, TAB = 40.0, 100.0
STATUS = ["git", "status", "--porcelain", "--untracked-files=normal"]
STARTS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    # As the console script does that pip 23 writes; later ones do without.
    "python -c 'import re'": [sys.executable, "-c", "import re"],
    "python -c 'import click'": [sys.executable, "-c", "import click"],
    "git status": STATUS,
}
WORDS = {
    "a command's name": "prodigy-git work",
    "an option": "prodigy-git events ls --all",
    "a session": "prodigy-git finish session-0",
    "a worktree": "prodigy-git worktree show ",
    "a job": "prodigy-git job show ",
    "an item": "prodigy-git dlq show --job review ",
    "an agent": "prodigy-git events ls --agent ",
    "an event's type": "prodigy-git events ls --type ",
}


def prepare(folder: Path, env: Mapping[str, str], sessions: int, items: int) -> Path:
    """Make a repository with a job, and a worktree with a dirty file and a commit; return that."""
    repo = common.make_repository(folder / "repository", env, {"file": "text\n"})
    common.run([PROGRAM, "install"], repo, env)
    given = folder / "items.jsonl"
    given.write_text("".join(json.dumps({"id": f"item-{n}"}) + "\n" for n in range(items)))
    common.run([PROGRAM, "job", "start", "review", "--items", str(given)], repo, env)
    common.run(
        [PROGRAM, "job", "next", "review", "--agent", "agent-1", "--item", "item-1"], repo, env
    )
    who = ["--job", "review", "--agent", "agent-2", "--item", "item-2"]
    made = common.run([PROGRAM, "new-worktree", "wt", *who], repo, env).splitlines()[0]
    worktree = Path(made)
    common.run(["git", "commit", "-q", "--allow-empty", "-m", "one"], worktree, env)
    (worktree / "new").write_text("dirty\n")
    store = Path(env["PRODIGY_HOME"])
    document = json.loads((store / "sessions" / "wt.json").read_text())
    for number in range(sessions - 1):
        document["id"] = f"session-{number:04}"
        (store / "sessions" / f"{document['id']}.json").write_text(json.dumps(document))
        (store / "worktrees" / "repository" / document["id"]).mkdir()
    return worktree


def completing(words: str, env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which bash's script asks for the completion of ``words``."""
    return {
        **env, "COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")),
        "_PRODIGY_GIT_COMPLETE": "bash_complete",
    }  # fmt: skip


def wrong(worktree: Path, env: Mapping[str, str], sessions: int, items: int) -> str:
    """Return what is wrong with what is timed; nothing where nothing is."""
    line = common.run([PROGRAM, "statusline"], worktree, env)
    if line != f"wt agent-2 item-2 | review 0/{items} 0% map | 1 commit | 1 dirty\n":
        return f"the line is {line!r}"
    expected = {"a session": min(1000, sessions - 1), "a worktree": sessions, "a job": 1}
    for what, words in WORDS.items():
        done = subprocess.run(
            [PROGRAM], cwd=worktree, env=completing(words, env), capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        count = done.stdout.count("plain,")
        if done.stderr or (count == 0 and what != "an item") or count < expected.get(what, 0):
            return f"completing {what} offers {count} names"
    return ""


def main() -> int:
    """Run the benchmark and print its two tables."""
    parser = common.options(__doc__, rounds=60, makes="repository")
    parser.add_argument("--sessions", type=int, default=1000, help="in the store (default: 1000)")
    parser.add_argument("--items", type=int, default=1000, help="of the job (default: 1000)")
    arguments = parser.parse_args()
    with common.sealed(arguments.folder) as (folder, env):
        worktree = prepare(folder, env, arguments.sessions, arguments.items)
        trouble = wrong(worktree, env, arguments.sessions, arguments.items)
        lines = {**STARTS, "prodigy-git statusline": [PROGRAM, "statusline"]}
        variants = {
            name: functools.partial(common.milliseconds, command, worktree, env)
            for name, command in lines.items()
        }
        variants |= {
            f"TAB: {what}": functools.partial(
                common.milliseconds, [PROGRAM], worktree, completing(words, env)
            )
            for what, words in WORDS.items()
        }
        median = common.medians(common.interleave(variants, arguments.rounds))
        common.heading(folder, f"Prompt and TAB, medians of {arguments.rounds} interleaved rounds")
        common.print_table(["process", "ms"], [[name, f"{median[name]:.1f}"] for name in lines])
        print()
        common.aim("statusline, the whole process,", median["prodigy-git statusline"], LINE, "ms")
        print()
        print(f"A TAB with {arguments.sessions:,} sessions in the store")
        print()
        rows = [[what, f"{median[f'TAB: {what}']:.1f}"] for what in WORDS]
        common.print_table(["completed is", "ms"], rows)
        print()
        slowest = max(median[f"TAB: {what}"] for what in WORDS)
        common.aim("the slowest TAB", slowest, TAB, "ms")
        return common.worthless(trouble)


if __name__ == "__main__":
    sys.exit(main())
