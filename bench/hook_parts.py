"""What is a recorded commit's time made of? Interpreter, each import, each step of the drain."""

import functools
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bench import common
from bench.commit_latency import COMMIT, ours

# What record's modules import of the standard library, dearest first; the rest is built in.
LIBRARIES = ("os", "zlib", "fcntl", "_sha1", "_json")
NOTHING = "the interpreter starts and ends"
OWN = "all that, and the modules of prodigy_git.record"

# Runs in the interpreter that a hook runs in; prints milliseconds per step, from the drain's own calls.
STEPS = """
import sys, time
sys.path.insert(0, sys.argv[1])
import os
from prodigy_git.record import cursor, drain, enrolment, files, gitdir, log, new_commits
taken = {}
def watch(module, name, what):
    inner = getattr(module, name)
    def outer(*given, **named):
        begin = time.perf_counter()
        try:
            return inner(*given, **named)
        finally:
            taken[what] = taken.get(what, 0) + (time.perf_counter() - begin) * 1000
    setattr(module, name, outer)
watch(new_commits, "read", "read journal, HEAD and commit")
watch(cursor, "read", "read the cursor")
watch(cursor, "write", "write the cursor: the intent, the move")
watch(log, "append", "append to the log, fsync included")
watch(os, "fsync", "  of it fsync")
watch(files, "lock", "take the two locks")
watch(drain, "_checkpoint", "checkpoint, where one is written")
begin = time.perf_counter()
place = gitdir.find(os.getcwd(), os.environ)
drain.drain(place, enrolment.read(place.private), burst=True)
taken["the whole drain"] = (time.perf_counter() - begin) * 1000
for what, ms in taken.items():
    print(f"{ms}\\t{what}")
"""


def start(code: str, env: Mapping[str, str], cwd: Path, package: str) -> float:
    """Return how long an interpreter takes that is started as a hook starts it, in milliseconds."""
    # posix is built in, os is what is measured; like a hook, do not take the interpreter down.
    whole = f"import sys;sys.path.insert(0,sys.argv[1]);{code}import posix;posix._exit(0)"
    return common.milliseconds(
        [sys.executable, "-I", "-S", "-X", "utf8", "-c", whole, package], cwd, env
    )


def steps(repo: Path, env: Mapping[str, str], package: str) -> dict[str, float]:
    """Make a commit that no hook sees, drain it, and return the milliseconds of each step."""
    common.run(COMMIT, repo, {**env, "PRODIGY_GIT_SILENCE": "1"})
    command = [sys.executable, "-I", "-S", "-X", "utf8", "-c", STEPS, package]
    done = subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True, check=True)
    rows = (line.split("\t") for line in done.stdout.splitlines())
    return {what: float(ms) for ms, what in rows}


def main() -> int:
    """Run the benchmark and print its two tables."""
    parser = common.options(__doc__, rounds=60, makes="repository")
    arguments = parser.parse_args()
    package = str(Path(__file__).resolve().parents[1])

    with common.sealed(arguments.folder) as (folder, env):
        repo = common.make_repository(folder / "repository", env, {"file": "text\n"})
        ours(repo, env)
        imports = {NOTHING: ""}
        code = ""
        for library in LIBRARIES:
            code += f"import {library};"
            imports[f"the same with import {', '.join(code[7:-1].split(';import '))}"] = code
        imports[OWN] = "from prodigy_git.record.hook import main;"
        times = common.interleave(
            {
                name: functools.partial(start, code, env, repo, package)
                for name, code in imports.items()
            },
            arguments.rounds,
        )
        taken: dict[str, list[float]] = {}
        for _ in range(arguments.rounds):
            for what, ms in steps(repo, env, package).items():
                taken.setdefault(what, []).append(ms)

        common.heading(
            folder,
            f"Starting a hook's interpreter, medians of {arguments.rounds} interleaved rounds",
        )
        before = 0.0
        rows = []
        for name, ms in common.medians(times).items():
            rows.append([name, f"{ms:.2f}", f"{ms - before:+.2f}" if before else ""])
            before = ms
        common.print_table(["interpreter", "ms", "more"], rows)
        print()
        print(f"Inside it, the steps of recording one commit, medians of {arguments.rounds}")
        print()
        common.print_table(
            ["step", "ms"], [[name, f"{ms:.2f}"] for name, ms in common.medians(taken).items()]
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
