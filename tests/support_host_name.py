"""A host name of a process's own. Also a program: `python -I -S support_host_name.py NAME COMMAND…`."""

import ctypes
import functools
import os
import subprocess
import sys

HOST = "TESTS_HOST_NAME"
"""The variable by which `support_forkserver.Forked` is told of it."""
_NEW_USER, _NEW_UTS = 0x10000000, 0x04000000


def become_host(name: str) -> None:
    """Give this process, and those that it starts, a host name of their own.

    Who may not do that (root may, but not in each container) gets a user namespace for it, in which all
    others are nobody. Raises OSError where that is not allowed either.
    """
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_UTS) != 0:
        if libc.unshare(_NEW_UTS | _NEW_USER) != 0:
            raise OSError(ctypes.get_errno(), "a host name of its own is refused")
        # gid_map can be written by who has given up setgroups(2), see user_namespaces(7)
        maps = {"setgroups": "deny", "uid_map": f"{user} {user} 1", "gid_map": f"{group} {group} 1"}
        for file, text in maps.items():
            with open(f"/proc/self/{file}", "w") as out:
                out.write(text)
    encoded = name.encode("ascii")
    if libc.sethostname(encoded, len(encoded)) != 0:
        raise OSError(ctypes.get_errno(), "the host name cannot be set")


def as_host(name: str) -> list[str]:
    """Return what a command begins with that runs on a host of this name."""
    return [sys.executable, "-I", "-S", __file__, name]


@functools.cache
def why_not() -> str | None:
    """Return why no process can have a host name of its own here; None where it can."""
    if sys.platform != "linux":
        return "hosts beside this one take Linux"
    done = subprocess.run([*as_host("elsewhere"), "true"], capture_output=True, check=False)
    return None if done.returncode == 0 else "this container allows no other host names"


if __name__ == "__main__":
    become_host(sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])
