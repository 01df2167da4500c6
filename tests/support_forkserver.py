"""Processes of the program that need not import it: forked from one that has, and then as if started.

Starting an interpreter and importing the package takes ten times as long as most commands. A server,
one to a worker of the suite, has imported all of it; each process is a fork of it, with the arguments,
environment, folder, descriptors and umask that it would have been started with, and is this process's
own child: it is waited for, sent signals and traced like any other.

What is about starting (imports, locale, closed descriptors, limits of memory) starts the real program,
and so does `Forked` by itself where the environment differs in what an interpreter looks at only once.
"""

import array
import atexit
import contextlib
import ctypes
import functools
import gc
import inspect
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from support_host_name import HOST, as_host, become_host

TESTS = Path(__file__).parent
_CLONE_PARENT = 0x8000
_CLONE = {"x86_64": 56, "aarch64": 220}
"""The number of clone(2) on each machine. It alone makes a child that is its maker's sibling."""
_LOCALE = "C.UTF-8"
_STREAMS = 3


class Forked(subprocess.Popen[Any]):
    """``python -m prodigy_git …`` or ``python [-P] -c …``, forked where that is as good.

    Takes what `subprocess.Popen` takes; `HOST` in its environment is the name of the host that it
    runs on. It hears SIGINT, which is ignored in what a script starts with '&', these tests perhaps
    among it.
    """

    def _execute_child(self, *given: Any, **named: Any) -> None:
        asked = _SIGNATURE.bind(self, *given, **named).arguments
        if self._forked(asked):
            return
        host = dict(os.environ if asked["env"] is None else asked["env"]).get(HOST)
        if host is not None:
            given = ([*as_host(host), *asked["args"]], *given[1:])
        before = signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            super()._execute_child(*given, **named)  # type: ignore[misc]
        finally:
            signal.signal(signal.SIGINT, before)

    def _forked(self, asked: Mapping[str, Any]) -> bool:
        plain = {
            "executable": None, "preexec_fn": None, "pass_fds": (), "shell": False, "gid": None,
            "gids": None, "uid": None, "process_group": -1, "umask": -1, "close_fds": True,
        }  # fmt: skip
        if any(asked.get(name, value) != value for name, value in plain.items()):
            return False
        command = _split([os.fsdecode(word) for word in asked["args"]])
        environment = asked["env"] if asked["env"] is not None else os.environ
        environment = {os.fsdecode(name): os.fsdecode(one) for name, one in environment.items()}
        start = _start_of(command[0], environment) if command is not None else None
        server = _server(command[0], start) if command and start is not None else None
        if server is None:
            return False
        try:
            folder = os.open(asked["cwd"] or ".", os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return False  # `Popen` says what is wrong with it
        pipes = (asked["p2cread"], asked["c2pwrite"], asked["errwrite"])
        streams = [number if given == -1 else given for number, given in enumerate(pipes)]
        mask = os.umask(0)
        os.umask(mask)
        request = {
            "command": command[1],
            "environment": environment,
            "umask": mask,
            "session": bool(asked["start_new_session"]),
        }
        try:
            self.pid = _ask(server, request, [*streams, folder])
        except OSError:
            return False  # a stream that is closed, say
        finally:
            os.close(folder)
        self._child_created = True
        ends = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(asked[name] for name in ends))  # type: ignore[attr-defined]
        return True


def run_forked(
    command: list[str], *, input: str | None = None, **settings: Any
) -> subprocess.CompletedProcess[str]:
    """Do what `subprocess.run` does with ``capture_output``, by `Forked`."""
    if input is not None:
        settings["stdin"] = subprocess.PIPE
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Forked(command, **(pipes | settings)) as child:
        out, err = child.communicate(input)
    return subprocess.CompletedProcess(command, child.returncode, out, err)


_SIGNATURE = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]


_AS_USER = {"setpriv", "--clear-groups", "--inh-caps=-all"}


def _users(command: list[str]) -> set[str]:
    return {word for word in command if re.fullmatch(r"--re[ug]id=\d+", word)}


def _split(command: list[str]) -> tuple[tuple[str, ...], list[str]] | None:
    """Return what starts the interpreter, and its arguments; None for what is not to be forked.

    Another user's interpreter starts with setpriv(1), and perhaps is another one, for it can be read.
    """
    interpreter = re.compile(r"python3?[.\d]*").fullmatch
    here = (n for n, word in enumerate(command) if interpreter(os.path.basename(word)))
    place = 0 if command[0] == sys.executable else next(here, None)
    if place is None or (place and not set(command[:place]) <= _AS_USER | _users(command)):
        return None
    words = command[place + 1 :]
    program = words[1:] if words[:1] == ["-P"] else words
    if program[:1] != ["-c"] and program[:2] != ["-m", "prodigy_git"]:
        return None
    return None if "statusline" in program else (tuple(command[: place + 1]), words)


def _start_of(
    begin: tuple[str, ...], environment: Mapping[str, str]
) -> tuple[tuple[str, str], ...] | None:
    """Return what an interpreter looks at in the environment when it starts; None: not to be forked.

    Whatever else is said of the locale, LC_ALL wins.
    """
    if "_PRODIGY_GIT_COMPLETE" in environment or environment.get("LC_ALL") != _LOCALE:
        return None
    own = begin == (sys.executable,)  # whose packages are there anyway
    return tuple(
        (name, value)
        for name, value in sorted(environment.items())
        if name.startswith("PYTHON") and not (own and name == "PYTHONPATH")
    )


_wanted: Counter[tuple[object, ...]] = Counter()


def _server(begin: tuple[str, ...], start: tuple[tuple[str, str], ...]) -> socket.socket | None:
    """Return this process's server of such starts. None where there is none, or not yet.

    It takes as long to begin as several starts: a kind of start that is rare is left alone.
    """
    _wanted[begin, start] += 1
    usual = begin == (sys.executable,) and dict(start).items() <= os.environ.items()
    return _begun(begin, start) if usual or _wanted[begin, start] > 3 else None


@functools.cache
def _begun(begin: tuple[str, ...], start: tuple[tuple[str, str], ...]) -> socket.socket | None:
    if sys.platform != "linux" or os.uname().machine not in _CLONE:
        return None
    here, there = socket.socketpair()
    kept = {"HOME": "/", "PATH": os.environ["PATH"], "LC_ALL": _LOCALE, **dict(start)}
    given = kept.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    paths = [str(TESTS), str(TESTS.parent), given]
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    code = f"import support_forkserver as server; server.serve({there.fileno()})"
    # A child of this process for as long as it lives: at its end the socket tells the server to go.
    server = subprocess.Popen(
        [*begin, "-c", code], pass_fds=[there.fileno()], cwd="/", env=kept,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    there.close()
    tried = int.from_bytes(here.recv(4, socket.MSG_WAITALL), "big")
    if tried == 0:
        here.close()
        server.wait()
        return None
    os.waitpid(tried, 0)
    server.returncode = 0  # so that nobody waits for it, or warns
    return here


def _ask(server: socket.socket, request: Mapping[str, Any], descriptors: list[int]) -> int:
    text = json.dumps(request).encode("ascii")
    rights = array.array("i", descriptors)
    server.sendmsg([len(text).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    server.sendall(text)
    answer = server.recv(4, socket.MSG_WAITALL)
    assert len(answer) == 4, "the server of forks has ended"
    return int.from_bytes(answer, "big")


def serve(number: int) -> NoReturn:
    """Answer requests for processes, each of which ends where this is called, as it would by itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listening = socket.socket(fileno=number)
    _import_all()
    gc.collect()
    gc.freeze()  # a collection would copy all pages that are shared with the server
    tried = _fork_sibling()
    if tried == 0:
        os._exit(0)
    listening.sendall(max(tried, 0).to_bytes(4, "big"))
    while True:
        head, rights, _, _ = listening.recvmsg(4, socket.CMSG_SPACE(4 * (_STREAMS + 1)))
        if len(head) < 4:
            os._exit(0)
        descriptors = array.array("i", rights[0][2]).tolist()
        text = listening.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
        pid = _fork_sibling()
        if pid == 0:
            listening.close()
            _become(json.loads(text), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        listening.sendall(pid.to_bytes(4, "big"))


def _import_all() -> None:
    import importlib
    import pkgutil

    import prodigy_git

    for found in pkgutil.walk_packages(prodigy_git.__path__, "prodigy_git."):
        parts = found.name.split(".")
        if "hooks" not in parts[:2] and "tui" not in parts and parts[-1] != "__main__":
            # Of an extra that is not installed: who needs it in a fork hears of it there.
            with contextlib.suppress(ModuleNotFoundError):
                importlib.import_module(found.name)
    importlib.import_module("support_inject")  # of which a fork that meets a fault has need
    import prodigy_git.__main__


def _fork_sibling() -> int:
    """fork(2), but the child is one of this process's parent."""
    python = ctypes.pythonapi
    python.PyOS_BeforeFork()
    flags = _CLONE_PARENT | signal.SIGCHLD
    pid: int = python.syscall(_CLONE[os.uname().machine], flags, 0, 0, 0, 0)
    if pid == 0:
        python.PyOS_AfterFork_Child()
    else:
        python.PyOS_AfterFork_Parent()
    return pid


def _become(request: Mapping[str, Any], descriptors: list[int]) -> NoReturn:
    """Make of a fork the process that was asked for, and run its program."""
    *streams, folder = descriptors
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    os.fchdir(folder)
    for descriptor in descriptors:
        os.close(descriptor)
    os.umask(request["umask"])
    if request["session"]:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    of_server = os.environ["PYTHONPATH"].split(os.pathsep)
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    if HOST in os.environ:
        become_host(os.environ[HOST])
    sys.stdin, sys.stdout, sys.stderr = (
        _stream(number, old) for number, old in enumerate((sys.stdin, sys.stdout, sys.stderr))
    )
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    words = request["command"]
    sys.orig_argv = [sys.executable, *words]
    sys.path[:] = [one for one in sys.path if one and one not in of_server]
    sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    if words[0] == "-P":
        words = words[1:]
    elif words[0] == "-c":
        sys.path.insert(0, "")
    else:
        with contextlib.suppress(FileNotFoundError):
            sys.path.insert(0, os.getcwd())
    _run(*words)


def _stream(number: int, old: io.TextIOWrapper) -> io.TextIOWrapper:
    """Return what an interpreter has for a descriptor, as ``create_stdio`` in pylifecycle.c does."""
    name, mode = old.name, "w" if number else "r"
    raw: Any = io.FileIO(number, mode, closefd=False)
    raw.name = name
    terminal = raw.isatty()
    buffered = not old.write_through  # PYTHONUNBUFFERED
    if number == 0:
        raw = io.BufferedReader(raw)
    elif buffered:
        raw = io.BufferedWriter(raw)
    stream = io.TextIOWrapper(
        raw, encoding=old.encoding, errors=old.errors, newline="\n", write_through=not buffered,
        line_buffering=buffered and (number == 2 or terminal),
    )  # fmt: skip
    stream.mode = mode  # type: ignore[misc]
    return stream


def _run(kind: str, what: str, *arguments: str) -> NoReturn:
    from prodigy_git import __main__ as program

    code: Any = None
    try:
        if kind == "-m":
            sys.argv = [str(program.__file__), *arguments]
            program.main()
        else:
            sys.argv = ["-c", *arguments]
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as stop:
        code = stop.code
    if isinstance(code, int | None):
        _end(code or 0)
    sys.exit(code)


def _end(code: int) -> None:
    """End as an interpreter does, without the long way of taking each module apart.

    Return where a stream cannot be flushed: what is to be said of it, the interpreter says.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            return
    os._exit(code & 0xFF)
