"""Ways to damage the files of a store and a repository in use, and the commands run after that."""

import json
import os
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from support_damaged_world import World, remove

NAMES = re.compile(r"Traceback|internal error")


KINDS = (
    "sessions/*.json", "events/repo/*/*.jsonl", "events/repo/*/*.jsonl.gz", "dlq/repo/*/*.json",
    "state/repo/repository.json", "state/repo/halves.json", "state/repo/mappings/*.json",
    "state/repo/mapreduce/jobs/*/items.jsonl", "state/repo/mapreduce/jobs/*/*checkpoint*.json",
    "state/repo/mapreduce/jobs/*/job-state.json", "state/repo/mapreduce/jobs/*/index.sqlite",
    "state/repo/mapreduce/jobs/*/index.sqlite-journal", "locks/*.lock", "logs/*.log",
    "logs/repo/*/*.log", "logs/repo/*/*.item.json", "trash/repo/*/*/entry.json",
    "trash/repo/*/*/worktree/.git.in-trash", "trash/repo/*/*/git/*", "trash/repo/*/session.json",
    "trash/repo/*/*/git/logs/HEAD", "worktrees/repo/*/.git", "events/repo/*", "trash/repo/*",
    "trash/repo/*/*", "state/repo/mapreduce/jobs/*", "dlq/repo/*", "logs/repo/*", "worktrees/repo/*",
    "ports.json", "reserve/*", "*", "*/repo",
)  # fmt: skip
"""What there is in a store, files and folders: each kind is as likely as any other."""
GITS = (
    "worktrees/*/gitdir", "worktrees/*/commondir", "worktrees/*/HEAD", "worktrees/*/index",
    "worktrees/*/logs/HEAD", "worktrees/*/prodigy", "worktrees/*/prodigy-cursor",
    "worktrees/*/ORIG_HEAD", "worktrees/*/COMMIT_EDITMSG", "worktrees/*/logs", "worktrees/*",
    "prodigy-repository", "prodigy-salvage/*/*/*", "logs/HEAD", "logs/refs/heads/*", "prodigy-*",
)  # fmt: skip

_ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**30, 1 << 63, "", "../../../../outside", "a\0b", "\ud83d",
    "x" * 1_000_000,
    "/", "/etc", ".", "..", [], {}, [[]], {"a": None}, "\x1b[31m", "-", "99999-99-99T99:99:99Z",
    "0001-01-01T00:00:00Z", "2026-01-01T00:00:00+99:99",
)  # fmt: skip


def _changed_json(data: bytes, chance: random.Random) -> bytes:
    lines = data.split(b"\n")
    numbers = [number for number, line in enumerate(lines) if line.startswith(b"{")]
    number = chance.choice(numbers) if numbers else 0
    try:
        whole = json.loads(lines[number])
    except ValueError:
        return b'{"a":1}'
    places: list[tuple[Any, Any]] = []

    def look(value: Any) -> None:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            places.append((value, key))
            if isinstance(inner, dict | list):
                look(inner)

    look(whole)
    if not places:
        return b"[]"
    holder, key = chance.choice(places)
    if chance.random() < 0.2 and isinstance(holder, dict):
        del holder[key]
    else:
        holder[key] = chance.choice(_ODD)
    lines[number] = json.dumps(whole).encode()
    return b"\n".join(lines)


def _flipped(data: bytes, chance: random.Random) -> bytes:
    some = bytearray(data or b"\0")
    for _ in range(chance.randint(1, 20)):
        some[chance.randrange(len(some))] ^= 1 << chance.randrange(8)
    return bytes(some)


def _page(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(max(1, len(data))) // 4096 * 4096
    return data[:at] + bytes(len(data[at : at + 4096])) + data[at + 4096 :]


def _doubled(data: bytes, chance: random.Random) -> bytes:
    return re.sub(rb'^\{("[a-z_]+":)', rb'{\g<1>"twice",\g<1>', data, count=chance.randint(0, 3))


CONTENTS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut": lambda data, chance: data[: chance.randrange(len(data) + 1)],
    "empty": lambda data, chance: b"",
    "bits": _flipped,
    "a zero page": _page,
    "zeros": lambda data, chance: bytes(chance.choice((1, 100, 5000))),
    "noise": lambda data, chance: chance.randbytes(chance.choice((1, 100, 70_000))),
    "noise behind": lambda data, chance: data + chance.randbytes(100),
    "twice": lambda data, chance: data + data,
    "a huge number": lambda data, chance: re.sub(
        rb"\d+", b"9" * chance.choice((25, 5000)), data, count=3
    ),
    "json": _changed_json,
    "json again": _changed_json,
    "json once more": _changed_json,
    "deep": lambda data, chance: b'{"id":' + b"[" * 100_000,
    "deep but whole": lambda data, chance: b'{"a":' * 900 + b"1" + b"}" * 900 + b"\n",
    "two of one name": _doubled,
    "a long line": lambda data, chance: data + b"x" * (3 << 20),
    "NUL in the midst": lambda data, chance: data[: len(data) // 2] + b"\0" + data[len(data) // 2 :],
    "CRLF": lambda data, chance: data.replace(b"\n", b"\r\n"),
}  # fmt: skip
REPLACED = (
    "FIFO", "link to itself", "link to /dev/zero", "link to /dev/null", "link outside", "folder",
    "full folder", "nothing", "no mode", "a hole", "socket", "link to a folder outside",
    "dangling link",
)  # fmt: skip


def damage(world: World, path: Path, how: str, chance: random.Random) -> None:
    """Damage a file or folder."""
    if how in CONTENTS:
        path.write_bytes(CONTENTS[how](path.read_bytes(), chance))
        return
    if how == "no mode":
        path.chmod(0)
        return
    if how == "a hole":
        os.truncate(path, 10 << 30)
        return
    remove(path)
    if how == "FIFO":
        os.mkfifo(path)
    elif how.startswith(("link", "dangling")):
        path.symlink_to({
            "link to itself": path,
            "link to /dev/zero": "/dev/zero",
            "link to /dev/null": "/dev/null", "link outside": world.outside / "events-20200101.jsonl",
            "link to a folder outside": world.outside, "dangling link": world.outside / "new",
        }[how])  # fmt: skip
    elif how == "folder":
        path.mkdir()
    elif how == "full folder":
        (path / "inner").mkdir(parents=True)
        (path / "inner/file").write_text("")
    elif how == "socket":
        os.mknod(path, 0o140600)


def choose(world: World, chance: random.Random) -> tuple[Path, str] | None:
    """Choose what to damage, and how."""
    if chance.random() < 0.7:
        top, pattern = world.store, chance.choice(KINDS)
    else:
        top, pattern = world.repo / ".git", chance.choice(GITS)
    found = sorted(path for path in top.glob(pattern) if not path.is_symlink())
    if not found:
        return None
    path = chance.choice(found)
    if not path.is_file():
        ways = [one for one in REPLACED if one != "a hole"]
        # Of its top folders a user may make links: what is behind them is the store, then.
        ways = [one for one in ways if pattern != "*" or "link" not in one]
        return path, chance.choice(ways)
    return path, chance.choice((*CONTENTS, *REPLACED))


def commands(world: World) -> Iterator[tuple[str, ...]]:
    """Yield the commands, those that only look first."""
    sha = world.git("rev-parse", "prodigy-w1")
    yield from (
        ("sessions", "list"), ("sessions", "list", "--json"), ("sessions", "show", "w1"),
        ("worktree", "ls"), ("worktree", "show", "w2"), ("status",), ("status", "--json"),
        ("job", "list"), ("job", "show", "j"), ("dlq", "list", "--job", "j"),
        ("dlq", "show", "i1", "--job", "j"), ("events", "ls"), ("events", "ls", "--job", "j", "--json"),
        ("events", "stats"), ("events", "search", "w1"), ("explain", "w1"), ("explain", sha),
        ("explain", "i1"), ("report", "--job", "j", "-o", str(world.top / "page.html")),
        ("statusline",), ("verify",), ("doctor",), ("hooks",),
        ("clean", "--all", "--all-repos", "--older-than", "0s", "--dry-run"), ("trash", "list"),
        ("otel", "push", "--dry-run"), ("worktree", "path", "w1"),
    )  # fmt: skip
    yield from (
        ("run", "--job", "j", "--", "true"), ("job", "next", "j"),
        ("job", "done", "j", "i4"), ("dlq", "retry", "i1", "--job", "j"),
        ("event", "add", "--type", "Note", "--job", "j"), ("new-worktree", "w9"),
        ("verify", "--fix"), ("doctor", "--fix"), ("resume", "j"), ("resume", "w1"),
        ("job", "start", "j2"), ("job", "cancel", "j"), ("finish", "w1"),
        ("worktree", "restore", "w3"), ("worktree", "restore", "w4"),
        ("worktree", "clean", "w2", "-f"),
        ("clean", "--all", "--all-repos", "--older-than", "0s", "--yes"),
        ("trash", "empty", "--yes"), ("sessions", "clean", "--older-than", "0s"),
        ("events", "clean", "--older-than", "0s"), ("worktree", "clean", "--all", "-f"),
    )  # fmt: skip
