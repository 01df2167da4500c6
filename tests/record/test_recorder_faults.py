"""Recorder and shell, killed at each call that changes something, or failing there.

Whatever happens to either, git's command succeeds, and with one more commit all is recorded, once.
"""

import sys
from collections import Counter
from pathlib import Path

import pytest
from support_background import Background, wait_until
from support_faults import KILL, can_trace, strace
from support_record import PACKAGE, commit, commits, events, git, hookfiles, place, run

pytestmark = pytest.mark.skipif(
    not can_trace(), reason="NOT TESTED: what faults do to a recorder; strace or ptrace is missing"
)

RECORDER = {
    "openat": ("EACCES", "EROFS", "EIO"),
    "write": ("ENOSPC", "EIO"),
    "fsync": ("EIO",),
    "flock": ("ENOLCK",),
    "unlink": ("EACCES", "EROFS"),
    "ftruncate": ("EIO",),
    "rename": ("ENOSPC",),
    "dup": ("EMFILE",),
}
SHELL = {
    "openat": ("EACCES", "EROFS", "ENOSPC", "EMFILE"),
    "dup2": ("EMFILE",),
    "clone": ("EAGAIN", "ENOMEM"),
    "chdir": ("EACCES",),
}
PYTHON = """#!/bin/sh
case "$*" in
*record.recorder*) exec {strace} '{python}' "$@" ;;
esac
exec '{python}' "$@"
"""


def faults(calls: dict[str, tuple[str, ...]]) -> list[object]:
    return [
        pytest.param(name, fault, id=f"{name}-{fault}")
        for name, errors in calls.items()
        for fault in (KILL, *(f"error={error}" for error in errors))
    ]


def install(it: Background, name: str, rule: str | None, output: str = "/dev/null") -> None:
    """Let recorders run under strace."""
    python = it.folder / "python"
    words = " ".join(f"'{word}'" for word in strace(name, rule, output))
    python.write_text(PYTHON.format(strace=words, python=sys.executable))
    python.chmod(0o755)
    for hook in hookfiles.HOOKS:
        runtime = hookfiles.Runtime(str(python), PACKAGE, 1)
        (it.folder / "hooks" / hook).write_bytes(hookfiles.render(hook, [], runtime))


def settled(it: Background) -> None:
    wait_until(lambda: not it.alive(), "the recorder's end")


def judge(it: Background, before: list[str], made: list[str]) -> None:
    """Assert that with one commit more, by hooks that work, each is recorded, once."""
    install(it, "none", None)
    for hook in hookfiles.HOOKS:
        runtime = hookfiles.Runtime(sys.executable, PACKAGE, 1)
        (it.folder / "hooks" / hook).write_bytes(hookfiles.render(hook, [], runtime))
    made.append(commit(it.top, "after"))
    settled(it)
    assert Counter(commits(it.store)) == Counter(before + made)
    ids = [event["id"] for event in events(it.store)]
    assert len(ids) == len(set(ids))


def points(path: Path, name: str, ours: tuple[str, ...]) -> list[int]:
    """Return which calls of ``name``, counted from 1, touch the store or the git directory."""
    calls = [line for line in path.read_text().splitlines() if f"{name}(" in line]
    return [at for at, line in enumerate(calls, 1) if any(one in line for one in ours)]


@pytest.mark.parametrize(("name", "fault"), faults(RECORDER))
def test_the_recorder(name: str, fault: str, it: Background) -> None:
    ours = (str(it.store), place(it.top).private)
    trace = it.folder / "trace"
    install(it, name, None, str(trace))
    commit(it.top, "traced")
    settled(it)
    at = points(trace, name, ours)
    if name in ("openat", "write", "fsync", "flock", "unlink"):
        assert at, f"the recorder makes no call of {name}: is the list of calls out of date?"
    for number in at[:12]:
        it.leave()
        before = commits(it.store)
        install(it, name, f"{fault}:when={number}")
        made = [commit(it.top, f"number {number}")]
        settled(it)
        events(it.store)  # parses
        judge(it, before, made)


class Traced:
    """The shell of a hook, run under strace."""

    def __init__(self, it: Background, hook: str, name: str) -> None:
        self.path = it.folder / "hooks" / hook
        self.whole = self.path.read_bytes()
        self.script = it.folder / "whole"
        self.script.write_bytes(self.whole)
        self.name = name

    def wrap(self, rule: str | None, output: str = "/dev/null") -> None:
        words = " ".join(f"'{word}'" for word in strace(self.name, rule, output))
        self.path.write_text(f"#!/bin/sh\nexec {words} /bin/sh '{self.script}' \"$@\"\n")

    def unwrap(self) -> None:
        self.path.write_bytes(self.whole)


@pytest.mark.parametrize(("name", "fault"), faults(SHELL))
def test_the_shell(name: str, fault: str, it: Background) -> None:
    """At every call of the shell itself, also at those that read."""
    hook = Traced(it, "post-commit", name)
    hook.wrap(None, str(it.folder / "trace"))
    commit(it.top, "traced")
    settled(it)
    count = (it.folder / "trace").read_text().count(f"{name}(")
    for number in range(1, count + 1):
        it.leave()
        before = commits(it.store)
        hook.wrap(f"{fault}:when={number}")
        head = git("rev-parse", "HEAD", cwd=it.top)
        done = run("git", "commit", "-qm", f"number {number}", "--allow-empty", cwd=it.top)
        assert b"Traceback" not in done.stderr
        assert git("rev-parse", "HEAD^", cwd=it.top) == head
        settled(it)
        events(it.store)  # parses
        hook.unwrap()
        judge(it, before, [git("rev-parse", "HEAD", cwd=it.top)])


@pytest.mark.parametrize("name", ["clone", "dup2", "chdir"])
@pytest.mark.parametrize("way", ["wait", "background"])
def test_no_failure_of_the_shell_is_gits(name: str, way: str, it: Background) -> None:
    """`git checkout` ends with the status of its hook."""
    hook = Traced(it, "post-checkout", name)
    hook.wrap(None, str(it.folder / "trace"))
    git("checkout", "-q", "-b", "traced", cwd=it.top, PRODIGY_RECORD=way)
    settled(it)
    count = (it.folder / "trace").read_text().count(f"{name}(")
    for number in range(1, count + 1):
        it.leave()
        hook.wrap(f"error=EAGAIN:when={number}")
        git("checkout", "-q", "-b", f"b{number}", cwd=it.top, PRODIGY_RECORD=way)
        settled(it)
        hook.unwrap()
