"""Starting what nobody waits for: a process of its own that outlives the one that started it.

Agent programs wait until nobody holds the output of a hook any more, and end a hook that is slow
with all of its process group: so it gets a session of its own (setsid(2)), and no descriptor but
what it is given.
"""

from __future__ import annotations

import os
import sys

from prodigy_git.record import files

_PROGRAM = (
    "import sys;sys.path.insert(0,sys.argv.pop(1));"
    "from importlib import import_module;import_module(sys.argv.pop(1)).main(sys.argv[1:])"
)


def package_folder() -> str:
    """Return the folder that holds the package: what a program that we start looks for it in."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def start(module: str, arguments: list[str], given: bytes = b"") -> None:
    """Have ``main(arguments)`` of a module of this package run, with ``given`` on its standard input.

    ``given`` is to fit into a pipe (64 KB, pipe(7)), so that nobody waits until it is read. Raises
    `OSError`.
    """
    # -I: nothing of the agent's environment says what is imported. Not -S: it needs the libraries.
    command = [
        sys.executable,
        "-I",
        "-X",
        "utf8",
        "-c",
        _PROGRAM,
        package_folder(),
        module,
        *arguments,
    ]
    reading, writing = os.pipe()
    told, telling = os.pipe()
    try:
        child = os.fork()
        if child == 0:
            _become(command, reading, telling)
        if given:
            files.write_all(writing, given)
        os.close(telling)
        telling = -1
        # Before that, it would be ended with the hook's group of processes.
        os.read(told, 1)
    finally:
        for descriptor in (reading, writing, told, telling):
            if descriptor >= 0:
                os.close(descriptor)


def _become(command: list[str], reading: int, telling: int) -> None:
    """Become that process, in a fork, and tell when it has a session of its own; never returns."""
    try:
        os.setsid()
        os.write(telling, b".")
        os.chdir("/")  # a worktree may be removed meanwhile
        nothing = os.open(os.devnull, os.O_RDWR)
        for number, source in ((0, reading), (1, nothing), (2, nothing)):
            os.dup2(source, number)
        _close_others()
        environ = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
        os.execve(command[0], command, environ)
    finally:
        os._exit(127)


def _close_others() -> None:
    """Close what the agent program had open and passed on."""
    try:
        found = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        found = list(range(3, 256))
    for number in found:
        if number > 2:
            try:
                os.close(number)
            except OSError:
                pass  # the listing's own
