"""What is printed decides what is imported: what a command starts with has a reason here."""

import subprocess
import sys
from pathlib import Path

from support_cli import new, ok

from prodigy_git import layout

MSGSPEC = frozenset(("msgspec", "typing_extensions"))
"""Reads files and events."""
SQLITE = frozenset(("sqlite3", "_sqlite3"))
"""A job's index."""

ALLOWED = {
    "--version": frozenset(),
    "--help": frozenset(),
    "sessions --help": frozenset(),
    "job --help": frozenset(),
    "status --help": frozenset(),
    "sessions list": MSGSPEC,
    "sessions list --json": MSGSPEC,
    # The first who asks for a worktree's ports looks whether somebody listens there.
    "sessions show one": MSGSPEC | {"socket"},
    "logs": MSGSPEC,
    "worktree ls": MSGSPEC,
    "worktree ls --json": MSGSPEC,
    "trash list": MSGSPEC,
    # What is needed when git has written the files is imported while it does.
    "new-worktree two": frozenset(),
    "hooks": frozenset(),
    "agents list": frozenset(),
    "job list": MSGSPEC | SQLITE,
    "job show review": MSGSPEC | SQLITE,
    "job show review --items": MSGSPEC | SQLITE,
    "dlq list --job review": MSGSPEC | SQLITE | {"prodigy_git.prodigy.dead_letters"},
    # Of eight worktrees at once it is asked whether they have changes.
    "status": MSGSPEC | SQLITE | {"concurrent", "logging"},
    "status --no-dirty": MSGSPEC | SQLITE,
}  # fmt: skip

COSTLY = frozenset(
    ("asyncio", "concurrent", "ctypes", "email", "hashlib", "http", "logging", "multiprocessing",
     "pathlib", "socket", "sqlite3", "ssl", "tempfile", "unittest", "urllib", "xml")
)  # fmt: skip
"""Parts of the standard library that take a millisecond and more."""

LIGHT = frozenset(("found", "reading", "sessions"))
"""What looks whether there is anything of Prodigy's; the rest of that room reads it."""

SCRIPT = """\
import sys
before = set(sys.modules)
from prodigy_git.cli import run
status = run(sys.argv[1:])
sys.stdout.flush()
tops = {name.partition('.')[0] for name in set(sys.modules) - before}
theirs = {name for name in sys.modules if name.startswith('prodigy_git.prodigy.')}
print(status, *sorted(tops | theirs), file=sys.stderr)
"""

HUB_SCRIPT = """\
import sys
from prodigy_git.cli import run
status = run(sys.argv[1:])
sys.stdout.flush()
theirs = ("prodigy_git.hub", "psycopg", "ctypes")
print(status, *(name for name in sorted(sys.modules) if name.startswith(theirs)), file=sys.stderr)
"""
"""As `SCRIPT`, for what a hub needs."""


def test_commands_start_with_no_more_than_they_need(repo, store, tmp_path):
    ok("install", cwd=repo)
    new(repo, "one")
    items = tmp_path / "items.json"
    items.write_text('[{"id": "a"}]')
    ok("job", "start", "review", "--items", items, cwd=repo)
    wrong = {}
    for command, allowed in ALLOWED.items():
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *command.split()],
            cwd=repo, capture_output=True, text=True, check=True,
        )  # fmt: skip
        status, *tops = done.stderr.splitlines()[-1].split()
        assert status == "0", done.stderr
        theirs = {name for name in tops if name.startswith("prodigy_git.prodigy.")}
        libraries = set(tops) - sys.stdlib_module_names - theirs
        reads = {name for name in theirs if name.rpartition(".")[2] not in LIGHT}
        costly = reads | (libraries - {"prodigy_git", "click"}) | (COSTLY & set(tops))
        if costly - allowed:
            wrong[command] = sorted(costly - allowed)
    assert wrong == {}


def test_only_who_reads_commits_looks_after_recorders(repo, store, tmp_path):
    items = tmp_path / "items.json"
    items.write_text('[{"id": "a"}, {"id": "b"}]')
    ok("job", "start", "review", "--items", items, cwd=repo)
    recorders = Path(layout.recorders(str(store)))
    recorders.mkdir(parents=True, exist_ok=True)
    left = recorders / "nobody+999999999"  # of a process that is gone, for a session that is gone
    left.touch()
    ok("job", "next", "review", "--agent", "ada", cwd=repo)
    ok("job", "renew", "review", "a", cwd=repo)
    ok("job", "list", cwd=repo)
    ok("dlq", "list", "--job", "review", cwd=repo)
    ok("trash", "list", cwd=repo)
    assert left.exists()
    ok("job", "show", "review", cwd=repo)
    assert not left.exists()


WITHOUT_A_HUB = (
    "status", "new-worktree two --job review", "job next review --agent ada", "job done review a",
    "run --job review -- true", "job add review --items more.json", "resume review", "events ls",
    "merge --job review", "clean --yes", "doctor", "finish one",
)  # fmt: skip


def test_without_a_hub_nothing_of_it_is_imported(repo, store, tmp_path):
    """Neither it nor psycopg, nor a library that only it needs."""
    ok("install", cwd=repo)
    new(repo, "one")
    for name, text in (("items", '[{"id": "a"}, {"id": "b"}]'), ("more", '[{"id": "c"}]')):
        (repo / f"{name}.json").write_text(text)
    ok("job", "start", "review", "--items", "items.json", cwd=repo)
    wrong = {}
    for command in WITHOUT_A_HUB:
        done = subprocess.run(
            [sys.executable, "-c", HUB_SCRIPT, *command.split()], cwd=repo, capture_output=True,
            text=True, check=True,
        )  # fmt: skip
        status, *found = done.stderr.splitlines()[-1].split()
        assert status != "2", (command, done.stderr)
        if found:
            wrong[command] = found
    assert wrong == {}
