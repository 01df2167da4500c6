"""Repositories of every kind, enrolled, and what their log says, for the tests of the recorder.

The hooks are the installed ones (`hookfiles.render`), reached through one ``core.hooksPath`` in the
sealed HOME, so that a clone or a submodule has them at once.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support_faults import STOP, run_traced

import prodigy_git
from prodigy_git import hookfiles
from prodigy_git.record import enrolment, gitdir
from prodigy_git.record.drain import drain

PACKAGE = str(Path(prodigy_git.__file__).parents[1])
SILENT = {"PRODIGY_GIT_SILENCE": "1"}
ELSE = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (
        ("NAME", "Somebody Else"),
        ("EMAIL", "else@example.org"),
        ("DATE", "2001-02-03T04:05:06Z"),
    )
}
"""The environment of a commit that somebody else made long ago."""
HOOK_PROGRAM = (
    "import sys;sys.path.insert(0,sys.argv[1]);"
    "from prodigy_git.record.hook import main;main(sys.argv[2],sys.argv[3:],'1')"
)
_FORKED_PROGRAM = f"""
import sys
from prodigy_git.record.hook import main
{STOP}
main(sys.argv[1], sys.argv[2:], "1")
"""
AFTER_ALL = 4102444800
"""An installation in 2100: each worktree was there before, and begins with the first commit seen."""
KINDS = ("main", "linked", "bare", "submodule")


def write_hooks(home: Path, installed: int = AFTER_ALL) -> Path:
    """Write the hooks beside ``home`` and make every repository of this HOME use them."""
    folder = home.parent / "hooks"
    folder.mkdir(exist_ok=True)
    for hook in hookfiles.HOOKS:
        path = folder / hook
        runtime = hookfiles.Runtime(sys.executable, PACKAGE, installed)
        path.write_bytes(hookfiles.render(hook, [], runtime))
        path.chmod(0o755)
    home.mkdir(exist_ok=True)
    # Without asking git, which takes longer, and knows another HOME in a fixture of module scope.
    with (home / ".gitconfig").open("a") as settings:
        settings.write(f'[core]\n\thooksPath = "{folder}"\n')
    return folder


def run(
    *command: str | bytes | Path,
    cwd: Path | bytes,
    check: bool = True,
    input: bytes = b"",
    **env: str,
) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [part if isinstance(part, bytes) else str(part) for part in command],
        cwd=cwd, env={**os.environ, **env}, input=input, capture_output=True, check=False,
    )  # fmt: skip
    assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
    return done


def git(*arguments: str | bytes | Path, cwd: Path | bytes, **env: str) -> str:
    done = run("git", *arguments, cwd=cwd, check=True, **env)
    return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")


def commit(cwd: Path | bytes, subject: str, *more: str, **env: str) -> str:
    """Make an empty commit; return its SHA."""
    git("commit", "-q", "--allow-empty", "-m", subject, *more, cwd=cwd, **env)
    return git("rev-parse", "HEAD", cwd=cwd)


def place(top: Path | bytes) -> gitdir.Place:
    found = gitdir.find(os.fsdecode(top), {})
    assert found is not None
    return found


def drain_now(top: Path | bytes) -> int:
    """Drain a worktree's journal in this process, as a command does."""
    where = place(top)
    found = enrolment.read(where.private)
    assert found is not None, f"{top} is not enrolled"
    return drain(where, found)


def start_hook(
    top: Path,
    hook: str = "post-commit",
    *arguments: str,
    before: Sequence[str] = (),
    package: str = PACKAGE,
    **env: str,
) -> subprocess.CompletedProcess[bytes]:
    """Start the program that a hook starts, without the shell.

    ``before`` is a wrapper's command, or a fault that is `injected`: into a fork, see `forked_hook`.
    """
    if "inject" in before:
        return forked_hook(top, hook, *arguments, traced=before, **env)
    python = [sys.executable, "-I", "-S", "-X", "utf8", "-c", HOOK_PROGRAM, package, hook]
    return run(*before, *python, *arguments, cwd=top, check=False, **env)


def forked_hook(
    top: Path, hook: str = "post-commit", *arguments: str, traced: Sequence[str] = (), **env: str
) -> subprocess.CompletedProcess[bytes]:
    """Do what a hook's program does in a fork that has imported it: half of a hook is its start.

    It makes the same calls in store and repository, which tests/record/test_faults.py sees to.
    """
    return run_traced(
        ["-c", _FORKED_PROGRAM, hook, *arguments], traced,
        cwd=top, env={**os.environ, **env}, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def events(store: Path, job: str | None = None) -> list[dict[str, Any]]:
    """Return the events of the store in file order; fail on a line that is not one whole object."""
    found = []
    for file in sorted((store / "events").glob("*/*/*.jsonl")):
        if job is None or file.parent.name == job:
            data = file.read_bytes()
            assert data.endswith(b"\n") or not data, f"unterminated: {file}"
            found += [json.loads(line) for line in data.splitlines()]
    assert all(isinstance(event, dict) for event in found)
    return found


def commits(store: Path, session: str | None = None) -> list[str]:
    """Return the recorded SHAs, in file order, with repetitions."""
    return [
        event["commit"]
        for event in events(store)
        if event["type"] == "CommitCreated" and session in (None, event["session_id"])
    ]


def session_of(top: Path | bytes) -> str:
    found = enrolment.read(place(top).private)
    assert found is not None
    return found.session


@dataclass
class World:
    """One enrolled worktree, ``top``, with its store."""

    root: Path
    top: Path
    store: Path
    branch: str = "work"

    def sh(self, script: str, **env: str) -> None:
        """Run a shell script in the worktree; see `PREAMBLE` for its words."""
        run("sh", "-e", "-c", PREAMBLE + script, cwd=self.top, **env)

    def rows(self) -> list[str]:
        """Return what was recorded after Start, in the notation of the table of operations."""
        log = events(self.store)
        shas = {
            sha
            for event in log
            for sha in (
                event.get("commit"),
                event.get("parent"),
                *(sha for pair in event.get("rewrites", []) for sha in pair.values()),
            )
            if sha
        }
        out = run(
            "git", "log", "--no-walk=unsorted", "--stdin", "--format=%H%x00%P%x00%s",
            cwd=self.top, input="\n".join(sorted(shas)).encode(),
        ).stdout.decode()  # fmt: skip
        known = {line.split("\0")[0]: line.split("\0")[1:] for line in out.splitlines()}
        rows = []
        for event in log:
            if event["type"] == "CommitCreated":
                parents, subject = known[event["commit"]]
                assert event.get("parent", "") == (parents.split() or [""])[0], event
                assert event["subject"] == subject, event
                assert event["session_id"] == session_of(self.top), event
                above = known[event["parent"]][1] if parents else ""
                rows.append(f"{event['action']} {subject}<{above}@{event.get('branch', '')}")
            elif event["type"] == "CommitsRewritten":
                pairs = event["rewrites"]
                assert all(pair["old"] != pair["new"] for pair in pairs), event
                words = [f"{known[pair['old']][1]}>{known[pair['new']][1]}" for pair in pairs]
                rows.append(f"rewrote {event['command']} {' '.join(words)}")
        assert rows.pop(0) == "commit Start<Base@work"
        return rows


# c: an empty commit. f: a commit of one file. no: a command that must fail. todo: a sequence editor.
PREAMBLE = """
c() { s=$1; shift; git commit -q --allow-empty -m "$s" "$@"; }
f() { echo "$2" >"$1"; git add "$1"; git commit -q -m "$3"; }
no() { ! "$@"; }
todo() { export GIT_SEQUENCE_EDITOR="sed -i -e '$1'"; }
exec >/dev/null
"""


def _telling(top: Path) -> Iterator[Path]:
    """Find the files of a world that tell where it is."""
    for name, folders, files in os.walk(top):
        folder = Path(name)
        if "objects" in folders:
            folders.remove("objects")
        for file in files:
            if (
                (file == ".git" and folder.parent == top)
                or (file == "gitdir" and folder.parent.name == "worktrees")
                or file in ("prodigy", "repository.json")
                or (file.endswith(".json") and folder.name == "sessions")
            ):
                yield folder / file


class Templates:
    """Builds each kind of repository once, and gives out copies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seed: Path | None = None

    def copy(self, kind: str, root: Path) -> World:
        source = self.folder / kind
        if not source.exists():
            self._build(kind, source)
        target = root / "world"
        shutil.copytree(source, target, symlinks=True)
        old, new = os.fsencode(source), os.fsencode(target)
        for path in _telling(target):
            text = path.read_bytes().replace(old, new)
            if path.name == "prodigy":  # else it is a worktree that was moved
                inode = path.parent.stat().st_ino
                text = re.sub(rb'"inode":[0-9]+', b'"inode":%d' % inode, text)
            path.write_bytes(text)
        return World(target, target / "repo", target / "store")

    def _build(self, kind: str, root: Path) -> None:
        root.mkdir(parents=True)
        seed = root / "seed"
        top = root / "repo"
        quiet = SILENT
        git("init", "-q", "--template=", "-b", "base", seed, cwd=root)
        script = (
            "f f 1 Base; git checkout -q -b other; f o1 1 o1; f o2 2 o2;"
            "git checkout -q -b clash base; f f clash k1; git checkout -q base"
        )
        run("sh", "-e", "-c", PREAMBLE + script, cwd=seed, **quiet, **ELSE)
        if kind == "main":
            seed.rename(top)
            git("checkout", "-q", "-b", "work", cwd=top, **quiet)
        elif kind == "linked":
            git("worktree", "add", "-q", "-b", "work", top, cwd=seed, **quiet)
        elif kind == "bare":
            git("clone", "-q", "--bare", "--template=", seed, "bare.git", cwd=root, **quiet)
            git("worktree", "add", "-q", "-b", "work", top, cwd=root / "bare.git", **quiet)
        else:
            git("init", "-q", "--template=", "super", cwd=root)
            add = ("submodule", "--quiet", "add", "../seed", "sub")
            git("remote", "add", "origin", root / "super", cwd=root / "super")
            git(*add, cwd=root / "super", **quiet)
            sub = root / "super" / "sub"
            git("fetch", "-q", "origin", "other:other", "clash:clash", cwd=sub)
            git("checkout", "-q", "-b", "work", cwd=sub, **quiet)
            top.symlink_to("super/sub")
        git("config", "core.logAllRefUpdates", "true", cwd=top)
        commit(top, "Start", PRODIGY_HOME=str(root / "store"))
        run(
            "sh", "-e", "-c",
            "a1=$(git commit-tree HEAD^{tree} -p HEAD -m a1);"
            "a2=$(git commit-tree HEAD^{tree} -p $a1 -m a2); git branch ahead $a2",
            cwd=top, **ELSE,
        )  # fmt: skip
