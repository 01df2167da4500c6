"""Faults in a process's system calls without tracing it: seccomp(2) asks us about one of them.

Under strace(1) a process stops at each system call that it makes, whichever is looked at, and an
interpreter's start makes a thousand. A filter of the kernel's stops it at the calls of one name alone,
and this process answers each: go on, fail, or never come back. As under strace without ``-f`` only the
process's own first thread is meant. Its children inherit the filter, and all that they ask may go on.
"""

import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import select
import signal
import struct
import sys
import threading
from pathlib import Path

_NUMBERS = {
    "write": 1, "pwrite64": 18, "flock": 73, "fsync": 74, "fdatasync": 75, "ftruncate": 77,
    "rename": 82, "mkdir": 83, "rmdir": 84, "link": 86, "unlink": 87, "symlink": 88, "chmod": 90,
    "openat": 257, "unlinkat": 263, "linkat": 265, "utimensat": 280, "renameat2": 316,
}  # fmt: skip
"""Of x86-64. Other machines have other numbers, and not all of these calls: they have strace."""
_LISTENER = 200
"""The descriptor at which a process that has stopped itself has its listener."""

# linux/seccomp.h, linux/filter.h, linux/prctl.h, and two numbers of calls that libc has no name for
_SECCOMP, _PIDFD_GETFD = 317, 438
_SET_MODE_FILTER, _NEW_LISTENER, _NO_NEW_PRIVS = 1, 1 << 3, 38
_ALLOW, _ASK = 0x7FFF0000, 0x7FC00000
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_GO_ON = 1


def can_inject(name: str) -> bool:
    """Return whether the kernel asks about calls of that name."""
    return name in _NUMBERS and _works()


def program(name: str) -> str:
    """Return what a Python program runs to be asked about; it stops itself, see `meet`."""
    return (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        f"import support_inject; del sys.path[0]; support_inject.submit({name!r})\n"
    )


def submit(name: str) -> None:
    """Have the kernel ask about each call of ``name`` that this process makes, and stop."""
    made = _filter(name)
    os.dup2(made, _LISTENER, inheritable=False)
    os.close(made)
    os.kill(os.getpid(), signal.SIGSTOP)
    os.close(_LISTENER)


def _filter(name: str) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    lines = [
        (0x20, 0, 0, 0),
        (0x15, 0, 1, _NUMBERS[name]),
        (0x06, 0, 0, _ASK),
        (0x06, 0, 0, _ALLOW),
    ]
    text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    whole = ctypes.create_string_buffer(struct.pack("HP", len(lines), ctypes.addressof(text)))
    if os.geteuid() != 0:
        libc.prctl(
            _NO_NEW_PRIVS, 1, 0, 0, 0
        )  # else the kernel takes no filter of an ordinary user's
    made: int = libc.syscall(_SECCOMP, _SET_MODE_FILTER, _NEW_LISTENER, whole)
    if made < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return made


@functools.cache
def _works() -> bool:
    """Try it, in a child: a filter stays."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return False
    child = os.fork()
    if child == 0:
        try:
            submit("mkdir")
            os.mkdir("/")
        except OSError as error:
            os._exit(error.errno != errno.EXDEV)
        finally:
            os._exit(1)
    if os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1]):
        try:
            meet(child, "error=EXDEV:when=1")
        except OSError:
            os.kill(child, signal.SIGKILL)
        os.kill(child, signal.SIGCONT)
        return os.waitpid(child, 0)[1] == 0
    return False


def meet(pid: int, rule: str) -> None:
    """Answer a process that `submit` has stopped, from when it is continued; return at once.

    ``rule`` is ``signal=KILL:when=N`` or ``error=NAME:when=N``, as `strace -e inject` has it: the N-th
    call is the one that meets the fault, and is not made. Raises OSError where this process may not
    look into that one.
    """
    process = os.pidfd_open(pid)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        listener: int = libc.syscall(_PIDFD_GETFD, process, _LISTENER, 0)
        if listener < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
    finally:
        os.close(process)
    threading.Thread(target=_answer_all, args=(listener, pid, rule), daemon=True).start()


def _answer_all(listener: int, pid: int, rule: str) -> None:
    """Answer for as long as any process has the filter: where nobody does, its calls fail."""
    fault, _, when = rule.partition(":when=")
    left = int(when)
    asking = select.poll()
    asking.register(listener, select.POLLIN)
    while asking.poll()[0][1] & select.POLLIN:
        # Who asks may be killed by somebody else before it has the answer.
        with contextlib.suppress(FileNotFoundError):
            asked = bytearray(80)
            fcntl.ioctl(listener, _RECEIVE, asked)
            question, who = struct.unpack_from("QI", asked)
            left -= who == pid
            meant, error, flags = who == pid and left == 0, 0, _GO_ON
            if meant and fault == "signal=KILL":
                os.kill(pid, signal.SIGKILL)
                continue  # with an answer it might make the call before it dies
            if meant:
                error, flags = -getattr(errno, fault.partition("=")[2]), 0
            fcntl.ioctl(listener, _SEND, struct.pack("QqiI", question, 0, error, flags))
    os.close(listener)
