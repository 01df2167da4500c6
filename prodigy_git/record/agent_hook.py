"""What the hook of an agent program starts: ``main`` and nothing more.

The agent waits. So the event is read as far as it goes, and no further; nothing here fails, and nothing
takes long: what is wrong is one line in the store's log.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

LIMIT = 8.0
"""Seconds after which the process ends, wherever it is: a filesystem may hang."""
WAIT, WAIT_AT_START = 0.2, 2.0
"""Seconds that a lock is waited for, at most: what is not recorded then, the next event records. At its
start a program has time, and many may start at once."""
ANSWERS = {"gemini": b"{}\n", "cursor": b"{}\n"}
"""What a program is answered at the end: the empty answer of those that read nothing but JSON."""

ASKING = ("WorktreeCreate", "WorktreeRemove")
"""The events whose exit status counts: at any other one than 0 the program goes without."""
_WITH_LIBRARIES = (
    "import sys;sys.path.insert(0,sys.argv.pop(1));"
    "from prodigy_git.__main__ import for_program;for_program()"
)


def main(program: str, event: str = "", process: int | None = None) -> NoReturn:
    """Take in the event that stands in standard input, answer, and end the process.

    ``event`` is the name of the event that the hook was installed for, ``process`` the program's id,
    where it is known. The exit status is 0, but where a program asks something of us: a worktree, or to
    remove one.
    """
    status = 0
    try:
        _begin(program, event)
        status = take(program, event, process)
    except BaseException:
        status = 1 if event in ASKING else 0  # Ctrl-C, which meant the program
    _end(program, status)


def take(program: str, event: str, process: int | None = None) -> int:
    """Take in the event and return the exit status; what is wrong is in the store's log."""
    try:
        return run(program, event, process)
    except Exception as error:
        _complain(program, event, error)
        if event == "WorktreeCreate":  # also of who could not say what it is to be called
            try:
                _go_on("create", program, process, None, None)
            except OSError as trouble:
                _complain(program, event, trouble)
        return 1 if event in ASKING else 0


def run(program: str, event: str, process: int | None) -> int:
    """Read the event and pass it on; return the exit status. Raises whatever goes wrong."""
    from prodigy_git.record import locks
    from prodigy_git.record.conversations import dispatch, first_object, normal_form

    if os.environ.get("PRODIGY_GIT_SILENCE") or program not in normal_form.PROGRAMS:
        return 0
    installed_for = program
    raw, trouble = first_object.read(0)
    if program == "claude" and "CLAUDECODE" not in os.environ:
        from prodigy_git.record.conversations import calling_program

        calling = calling_program.caller(os.environ)
        if calling is None:
            return 0
        program = calling
    heard = normal_form.normal(program, event or None, raw)
    if trouble:
        _report(program, event, f"of an event: {trouble}")
    if heard is None:
        raise first_object.Unreadable("it names no event")
    program = heard.program
    locks.LONGEST_WAIT = WAIT_AT_START if heard.kind == "start" else WAIT
    parent = os.getppid() if process is None else process
    heard.process = _process_of(program) or parent
    if heard.kind == "worktree_create":
        name = heard.name or (None if heard.path is None else os.path.basename(heard.path))
        _go_on("create", program, parent, heard.cwd, name)
    try:
        dispatch.heard(heard, os.environ)
    except locks.Busy as error:
        if heard.kind == "start":
            _complain(program, event, error)  # of all others the next event sees to what is left
    except Exception as error:
        _complain(program, event, error)
    if heard.kind == "start":
        from prodigy_git import layout
        from prodigy_git.record.conversations import start_answer

        told = start_answer.answer(heard, layout.store_from(os.environ), os.environ)
        if told is not None:
            ANSWERS[installed_for] = told
    if heard.kind == "worktree_remove":
        _go_on("remove", program, parent, heard.cwd, heard.path)
    return 0


def _process_of(program: str) -> int | None:
    """Return the process that a program says it is: what has started the hook may be a shell's."""
    said = os.environ.get("CLAUDE_PID", "") if program == "claude" else ""
    return int(said) if said.isdecimal() and len(said) < 10 and "CLAUDECODE" in os.environ else None


def _go_on(
    what: str, program: str, process: int | None, cwd: str | None, about: str | None
) -> NoReturn:
    """Become the program that makes and removes worktrees, with all its libraries.

    What it prints and its exit status are the answer. It takes as long as it takes: the timer would
    outlive execve(2). Raises `OSError`.
    """
    from _signal import (  # type: ignore[import-not-found, unused-ignore]
        ITIMER_REAL,
        setitimer,
    )

    from prodigy_git.record import detached

    setitimer(ITIMER_REAL, 0)
    words = [detached.package_folder(), what, program, str(process or ""), cwd or "", about or ""]
    os.execv(sys.executable, [sys.executable, "-P", "-X", "utf8", "-c", _WITH_LIBRARIES, *words])


def _begin(program: str, event: str) -> None:
    """Make sure of the three standard descriptors, and of an end."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # Else a file of the store would get the number. The lowest free one is the missing one.
            os.open(os.devnull, os.O_RDWR)
    import gc

    gc.disable()  # a tool's output may be of a million parts, and the process is soon over
    # signal(3) without its enums, which take a millisecond.
    from _signal import (  # type: ignore[import-not-found, unused-ignore]
        ITIMER_REAL,
        SIG_UNBLOCK,
        SIGALRM,
        pthread_sigmask,
        setitimer,
        signal,
    )

    def late(*_: object) -> None:
        _report(program, event, f"it took longer than {LIMIT:g} seconds")
        _end(program, 1 if event in ASKING else 0)

    signal(SIGALRM, late)
    pthread_sigmask(SIG_UNBLOCK, (SIGALRM,))
    setitimer(ITIMER_REAL, LIMIT)


def _end(program: str, status: int) -> NoReturn:
    """Give the answer and end the process at once: taking an interpreter down takes a millisecond."""
    try:
        answer = ANSWERS.get(program)
        if answer:
            os.write(1, answer)
        if sys.stderr is not None:
            sys.stderr.flush()
    except (OSError, ValueError):
        pass  # nobody listens
    finally:
        os._exit(status)


def _complain(program: str, event: str, error: Exception) -> None:
    what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    where = getattr(error, "filename", None)
    text = f"{what}: {where}" if where else what or type(error).__name__
    if event in ASKING and sys.stderr is not None:
        sys.stderr.write(f"prodigy-git: {event}: {text!a:.1000}\n")
    _report(program, event, f"{type(error).__name__}: {text}")


def _report(program: str, event: str, text: str) -> None:
    """Write a line into the store's log; never raises. None where there is no store yet."""
    # A disk is full, perhaps: then CPython before 3.12.8 leaves half of a compiled module behind, which
    # nobody can import any more.
    sys.dont_write_bytecode = True
    try:
        from prodigy_git import layout
        from prodigy_git.record import log

        store = layout.store_from(os.environ)
        if os.path.isdir(store):
            log.report(store, f"agent-hook {program[:64]} {event[:64]}: {text[:1000]}")
    except Exception:
        pass  # the place to report troubles to is the trouble
