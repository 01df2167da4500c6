"""Running what a plan has for one stage, one command after another, to the end or to the first failure.

Each command is a text for sh, in a session of its own without a terminal, so that nothing can ask and
wait; all its output goes to a log. When it has ended, or may take no longer, or we are interrupted, its
whole process group is ended: what is to run on is for `background`.
"""

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass

from prodigy_git import duration
from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import SILENCE, look
from prodigy_git.gitenv import drop_local_variables
from prodigy_git.record import redacting
from prodigy_git.record.gitdir import Place
from prodigy_git.setup import environment, foreign_files, groups, templates, what_runs
from prodigy_git.setup.notes import Note
from prodigy_git.setup.plan import Part, Plan
from prodigy_git.store.broken import Broken
from prodigy_git.store.redacted_output import Redacted
from prodigy_git.store.runlog import LIMIT, RunLog

_SHOWN = 12  # last lines of a command that failed
_KEPT = 8192  # bytes that those are looked for in
_PATIENCE = 2.0  # seconds for what a process that left the group may still write
_WORDS = {"run": "set-up", "teardown": "teardown"}

Say = Callable[[str], None]
"""Called with what is being done, a line each."""


class Failed(ProdigyError):
    """A command failed, or took too long; ``last`` are the last lines it wrote."""

    def __init__(self, text: str, last: list[str]) -> None:
        """Keep both."""
        super().__init__(text)
        self.last = last


@dataclass(frozen=True)
class Site:
    """Where commands run: a worktree, and what they find in their environment beside our own.

    ``values`` are what templates stand for; ``more`` is anything else.
    """

    place: Place
    values: dict[str, str]
    more: dict[str, str]


def site(place: Place, broken: Broken, more: dict[str, str] | None = None) -> Site:
    """Return what commands in a worktree find there."""
    return Site(place, environment.variables(place, broken), more or {})


def run(
    stage: str,
    plan: Plan,
    where: Site,
    log_path: str,
    *,
    note: Note | None = None,
    say: Say = lambda _: None,
) -> None:
    """Run a stage's commands; the repository's go first, but last in a teardown.

    The caller has asked for trust (`trust.is_trusted`). ``note`` is told each command's process.
    Raises `Failed`, and `ProdigyError` or `OSError` where one cannot be started.
    """
    parts = plan.parts[::-1] if stage == "teardown" else plan.parts
    todo = [(part, text) for part in parts for text in part.of(stage)]
    if not todo:
        return
    log = RunLog(log_path, LIMIT)
    try:
        for part, text in todo:
            say(f"{_WORDS[stage]}: {' '.join(text.split())}")
            said = redacting.in_repository(where.place.common, text)
            log.write(b"$ " + said.encode("utf-8", "surrogateescape") + b"\n")
            _run(stage, part, text, where, log, log_path, note)
    finally:
        log.close()
        if log.trouble is not None:
            say(f"{log_path} is not complete ({log.trouble.strerror})")
        if note is not None:
            note.step = None


def _run(
    stage: str, part: Part, text: str, where: Site, log: RunLog, log_path: str,
    note: Note | None,
) -> None:  # fmt: skip
    check_scripts(part, text, where)
    limit = part.limit(stage)
    child: subprocess.Popen[bytes] | None = None
    output: _Output | None = None
    try:
        with groups.signals_held_back():
            child = start(part, text, where, subprocess.PIPE, note)
            output = _Output(child, _written(part, where, note, log))
        if note is not None:
            note.begin_step(child.pid)
        in_time = groups.wait(child, limit)
        groups.end_child(child)  # what it left running, too
    except BaseException:
        if child is not None:  # a signal that was held back is raised at the end of its `with`
            groups.end_child(child)
        raise
    finally:
        if output is not None:
            output.end()
    if not in_time:
        why = f"took longer than {duration.seconds(limit or 0)}"
        raise Failed(_said(stage, text, why, log_path), output.last())
    if child.returncode:
        died = f"died by signal {-child.returncode}"
        why = died if child.returncode < 0 else f"exited with status {child.returncode}"
        raise Failed(_said(stage, text, why, log_path), output.last())


def check_scripts(part: Part, text: str, where: Site) -> None:
    """Raise `ProdigyError` where a trusted script that a command names is another one in the worktree.

    One that only another command names may have been edited: that is work.
    """
    scripts = what_runs.scripts_of(part, text) if part.given else ()
    other = what_runs.differing(where.place.top, scripts)
    if other is not None:
        if not os.path.lexists(f"{where.place.top}/{other}"):
            raise ProdigyError(
                f"{other} is not in {where.place.top}: it was removed, or a sparse checkout "
                "leaves it out"
            )
        raise ProdigyError(
            f"{other} in {where.place.top} is not the script that was trusted: it was changed, "
            "or git has checked out another one (gitattributes, core.autocrlf)"
        )


def start(
    part: Part, text: str, where: Site, output: int, note: Note | None
) -> "subprocess.Popen[bytes]":
    """Start one command, its output to a descriptor or a pipe. Raises `ProdigyError`, `OSError`."""
    folder = os.path.join(where.place.top, part.folder)
    inside = f"{os.path.realpath(folder)}/".startswith(f"{os.path.realpath(where.place.top)}/")
    if not inside:
        raise ProdigyError(f"{part.source}: {part.folder} leads out of the worktree")
    if not os.path.isdir(folder):
        raise ProdigyError(f"{part.source}: there is no folder {part.folder} in the worktree")
    return subprocess.Popen(
        ["/bin/sh", "-c", templates.command(text, part.dialect)],
        cwd=folder, env=_environment(part, where, note, silent=output == subprocess.PIPE),
        stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def _environment(part: Part, where: Site, note: Note | None, *, silent: bool) -> dict[str, str]:
    env = {name: text for name, text in os.environ.items() if name not in environment.NAMES}
    drop_local_variables(env)
    env |= where.values | where.more
    for name, ours in foreign_files.VARIABLES[part.dialect].items():
        if ours in where.values:
            env[name] = where.values[ours]
    if part.dialect == "conductor":
        env["CONDUCTOR_DEFAULT_BRANCH"] = _default_branch(where.place)
    env |= {name: templates.value(text, where.values) for name, text in part.env.items()}
    if (
        silent
    ):  # its commits are recorded with the session's first, and nothing of ours is waited for
        env[SILENCE] = "1"
    if note is not None:
        env[groups.MARK] = note.mark
    return env


def _default_branch(place: Place) -> str:
    """Return the branch that a clone of the remote would begin at, as far as is known here."""
    for question in (
        ("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"),
        ("config", "--get", "init.defaultBranch"),
    ):
        status, out, _ = look(place, *question)
        if status == 0 and out.strip():
            return os.fsdecode(out.strip()).removeprefix("origin/")
    return "main"


def _said(stage: str, text: str, why: str, log_path: str) -> str:
    shown = " ".join(text.split())
    return f"{_WORDS[stage]} failed: {shown} {why}; {log_path} has its output"


def _written(
    part: Part, where: Site, note: Note | None, log: RunLog
) -> tuple[Callable[[bytes], None], Callable[[], None]]:
    """Return what takes the command's output, and what is called at its end."""
    if redacting.is_off_in(where.place.common):
        return log.write, lambda: None
    kept = Redacted(log.write, _environment(part, where, note, silent=True))
    return kept.add, kept.close


class _Output:
    """What a command writes, on its way to the log."""

    def __init__(
        self,
        child: "subprocess.Popen[bytes]",
        written: tuple[Callable[[bytes], None], Callable[[], None]],
    ) -> None:
        assert child.stdout is not None
        self._pipe = child.stdout
        self._write, self._close = written
        self._end = b""
        self._closed = False
        self._lock = threading.Lock()
        # One that nobody waits for at our end: a process that left the group may hold the pipe.
        self._thread = threading.Thread(target=self._copy, daemon=True)
        self._thread.start()

    def _copy(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := os.read(self._pipe.fileno(), 1 << 16):
                with self._lock:
                    if self._closed:
                        return
                    self._write(data)
                    self._end = (self._end + data)[-_KEPT:]

    def end(self) -> None:
        """Wait until all is in the log, but not for ever."""
        self._thread.join(_PATIENCE)
        with self._lock:
            if not self._closed:
                self._close()
            self._closed = True
        if not self._thread.is_alive():
            self._pipe.close()

    def last(self) -> list[str]:
        """Return the last lines, without what only moves a terminal's cursor."""
        self._thread.join(_PATIENCE)
        text = self._end.decode("utf-8", "replace").replace("\r\n", "\n")
        lines = [line.rpartition("\r")[2].rstrip() for line in text.split("\n")]
        return [line for line in lines if line][-_SHOWN:]
