"""Helpers of the tests that go through the command line: calling it, and looking at what it left."""

import contextlib
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from support_forkserver import Forked

from prodigy_git import cli

PACKAGE_PARENT = str(Path(cli.__file__).parents[2])


class Done(NamedTuple):
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value on stdout, and nothing else."""
        assert self.out.endswith("\n"), self
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """One JSON value per line of stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


@contextlib.contextmanager
def standing_in(cwd: Path | str | None) -> Iterator[None]:
    if cwd is None:
        yield
        return
    before = os.getcwd()
    os.chdir(cwd)
    try:
        yield
    finally:
        os.chdir(before)


def call(*arguments: str | Path, cwd: Path | str | None = None) -> Done:
    """Run the command line in this process, as `main` does, up to its exit code."""
    out, err = (
        io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="surrogateescape") for _ in "12"
    )
    with standing_in(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run([str(argument) for argument in arguments])
    texts = []
    for stream in (out, err):
        stream.flush()
        assert isinstance(stream.buffer, io.BytesIO)
        texts.append(stream.buffer.getvalue().decode("utf-8", "surrogateescape"))
    return Done(code, *texts)


def ok(*arguments: str | Path, cwd: Path | str | None = None) -> Done:
    done = call(*arguments, cwd=cwd)
    assert done.code == 0, done
    return done


def refused(*arguments: str | Path, cwd: Path | str | None = None, code: int = 1) -> str:
    """Run a command that must fail with one line on stderr and nothing on stdout; return the line."""
    done = call(*arguments, cwd=cwd)
    assert (done.code, done.out) == (code, ""), done
    assert done.err.startswith("prodigy-git: error: "), done
    assert done.err.count("\n") == 1, done
    assert "Traceback" not in done.err
    assert "internal error" not in done.err, done
    return done.err


def new(cwd: Path, *arguments: str) -> dict[str, Any]:
    made: dict[str, Any] = ok("new-worktree", *arguments, "--json", cwd=cwd).json
    return made


def start(
    *arguments: str | Path, cwd: Path | str | None = None, **settings: Any
) -> subprocess.Popen[str]:
    """Start the command line as a process of its own."""
    return Forked(
        [sys.executable, "-m", "prodigy_git", *map(str, arguments)],
        cwd=cwd,
        **{
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "env": environment(),
            **settings,
        },
    )


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [PACKAGE_PARENT, os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, **more}


def snapshot(*folders: Path) -> dict[str, tuple[int, bytes]]:
    """Return path, mode and contents of everything under ``folders``."""
    found = {}
    for folder in folders:
        for root, names, files in os.walk(os.fsencode(folder)):
            for name in (b".", *names, *files):
                path = os.path.join(root, name)
                mode = os.lstat(path).st_mode
                content = b""
                if stat.S_ISLNK(mode):
                    content = os.readlink(path)
                elif stat.S_ISREG(mode):
                    content = Path(os.fsdecode(path)).read_bytes()
                found[os.fsdecode(path)] = (mode, content)
    return found


def left_of(repo: Path, store: Path) -> dict[str, Any]:
    """Return what a `new-worktree` leaves in a repository and a store, to compare before and after.

    Of the store without ``locks``, which are never removed, ``logs``, and the repository's key.
    """
    refs = subprocess.run(
        ["git", "for-each-ref"], cwd=repo, capture_output=True, text=True, check=True
    ).stdout
    common = Path(
        subprocess.run(
            ["git", "rev-parse", "--path-format=absolute", "--git-common-dir"],
            cwd=repo, capture_output=True, text=True, check=True,
        ).stdout[:-1]
    )  # fmt: skip
    registered = sorted(p.name for p in common.glob("worktrees/*"))
    return {"refs": refs, "registered": registered, "store": _contents(store)}


def _contents(store: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(store.rglob("*")):
        inside = path.relative_to(store)
        if inside.parts[0] in ("locks", "logs") or path.name == "repository.json":
            continue
        if path.is_file():
            text = path.read_bytes()
            # A mapping from which the last entry was taken back is as good as none.
            if not (inside.parts[-2:-1] == ("mappings",) and text == b"{}\n"):
                found[str(inside)] = text
        elif inside.parts[0] in ("worktrees", "trash") and len(inside.parts) > 2:
            found[str(inside)] = "folder"
    return found


def session_file(store: Path, name: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((store / "sessions" / f"{name}.json").read_text())
    return fields


def rewrite_session(store: Path, name: str, **fields: Any) -> None:
    """Change fields of a session's file; ``metadata`` is merged into what is there."""
    found = session_file(store, name)
    more = fields.pop("metadata", {})
    found.update(fields)
    found.setdefault("metadata", {}).update(more)
    (store / "sessions" / f"{name}.json").write_text(json.dumps(found))


def foreign_session(store: Path, name: str, **fields: Any) -> None:
    """Write a session's file as Prodigy itself would: nothing of ours in it."""
    whole = {
        "id": name,
        "session_type": "Workflow",
        "status": "Completed",
        "started_at": "2025-01-11T12:00:00.123456789Z",
        "updated_at": "2025-01-11T12:00:00.123456789Z",
        "completed_at": "2025-01-11T13:00:00Z",
        "metadata": {},
        "checkpoints": [],
        "timings": {},
        "error": None,
        "workflow_data": None,
        "mapreduce_data": None,
        **fields,
    }
    folder = store / "sessions"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(whole))


def write_log(store: Path, repo: str, job: str, name: str, *lines: str | dict[str, Any]) -> Path:
    """Write a log file of whole lines; dicts become JSON."""
    path = store / "events" / repo / job / name
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("".join(f"{text}\n" for text in texts))
    return path


def git_version() -> tuple[int, ...]:
    out = subprocess.run(["git", "version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in out.split()[2].split(".")[:2])


_HAND_WRITTEN = """\
#!/bin/sh
[ -z "$PRODIGY_GIT_SILENCE" ] || exit 0
exec '{python}' -I -S -X utf8 -c 'import sys
sys.path.insert(0, sys.argv[1])
from prodigy_git.record.hook import main
main(sys.argv[2], sys.argv[3:], "0")' '{package}' {hook} "$@" </dev/null
"""


def write_hooks(hooks: Path) -> None:
    """Write hooks that record, by hand: what is tested here is not how they are installed."""
    hooks.mkdir(exist_ok=True)
    for hook in ("post-commit", "post-checkout", "post-merge", "post-rewrite", "post-applypatch"):
        path = hooks / hook
        path.write_text(
            _HAND_WRITTEN.format(python=sys.executable, package=PACKAGE_PARENT, hook=hook)
        )
        path.chmod(0o755)
