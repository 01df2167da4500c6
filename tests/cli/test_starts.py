"""What is printed decides what is imported: what a command starts with has a reason here."""

import subprocess
import sys

from support_cli import new, ok

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
    "sessions show one": MSGSPEC,
    "worktree ls": MSGSPEC,
    "worktree ls --json": MSGSPEC,
    "trash list": MSGSPEC,
    "hooks": frozenset(("hashlib", "tempfile")),
    "job list": MSGSPEC | SQLITE,
    "job show review": MSGSPEC | SQLITE,
    "dlq list --job review": MSGSPEC | SQLITE,
    # Whether agents are at work is asked of the system, of eight worktrees at once.
    "status": MSGSPEC | SQLITE | {"psutil", "concurrent", "logging", "hashlib", "tempfile"},
}  # fmt: skip

COSTLY = frozenset(
    ("asyncio", "concurrent", "ctypes", "email", "hashlib", "http", "logging", "multiprocessing",
     "pathlib", "socket", "sqlite3", "ssl", "tempfile", "unittest", "urllib", "xml")
)  # fmt: skip
"""Parts of the standard library that take a millisecond and more."""

SCRIPT = """\
import sys
before = set(sys.modules)
from prodigy_git.cli import run
status = run(sys.argv[1:])
sys.stdout.flush()
tops = {name.partition('.')[0] for name in set(sys.modules) - before}
print(status, *sorted(tops), file=sys.stderr)
"""


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
        libraries = {name for name in tops if name not in sys.stdlib_module_names}
        costly = (libraries - {"prodigy_git", "click"}) | (COSTLY & set(tops))
        if costly - allowed:
            wrong[command] = sorted(costly - allowed)
    assert wrong == {}
