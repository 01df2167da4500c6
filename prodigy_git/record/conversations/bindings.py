"""Which session the session of an agent program belongs to.

That of the worktree in which it started, wherever the program goes from there, and even when the
worktree is gone. A small file says so, by the program's own id for its session. Who has no start (hooks
that were installed in its midst, events out of order) is bound by the first event that is heard.

The file also says which process called when it was bound, for views: who was killed tells no end. That
it is the program's is certain once it has called again (`what_follows.is_the_programs`): what stands
between the two ends with each call.
"""

from __future__ import annotations

import os

from prodigy_git import layout, names
from prodigy_git.record import files, jsonline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from prodigy_git.record.conversations.normal_form import Heard


_SHELLS = (b"sh", b"bash", b"dash", b"zsh", b"ash", b"ksh", b"busybox", b"fish")


class Binding:
    """The session that a program's session belongs to, and its worktree when it was bound.

    ``before`` are those that it has left, the last one first: each its repository's key and its id.
    """

    __slots__ = ("before", "job", "repo", "session", "store", "worktree")

    def __init__(
        self,
        *,
        store: str,
        repo: str,
        session: str,
        job: str,
        worktree: str,
        before: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Check the ids, since they become paths. Raises `names.BadName`."""
        self.store = store
        self.repo = names.checked(repo, "repository key")
        self.session = names.checked(session, "session id")
        self.job = names.checked(job, "job id")
        self.worktree = worktree
        self.before = tuple(
            (names.checked(key, "repository key"), names.checked(one, "session id"))
            for key, one in before
        )


def path(store: str, program: str, program_session: str) -> str:
    """Return the path of the note on one session of a program."""
    return layout.program_session(store, program, files.sha1_hex(program_session.encode()))


def read(store: str, program: str, program_session: str) -> Binding | None:
    """Return what a program's session is bound to; None: to nothing that there is.

    Raises `OSError`.
    """
    try:
        fields = jsonline.decode_object(files.read(path(store, program, program_session), 1 << 16))
        texts = {name: _text(fields[name]) for name in Binding.__slots__ if name != "before"}
        there = Binding(**texts, before=fields.get("before", ()))
        if not os.path.isdir(there.store):
            there.store = store  # it has been moved
        # A session that was cleaned is bound to no more.
        return there if os.path.lexists(layout.session(there.store, there.session)) else None
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not names.is_text(value):
        raise ValueError("no text")
    return value


def bind(there: Binding, heard: Heard, *, anew: bool) -> Binding:
    """Bind a program's session, which has an id, and return what it is bound to. Raises `OSError`.

    Of several that bind at once, the first one is heeded; ``anew``, it is bound though it was before.
    """
    assert heard.program_session is not None
    anew = anew or read(there.store, heard.program, heard.program_session) is None
    fields: dict[str, Any] = {name: getattr(there, name) for name in Binding.__slots__}
    fields = {"program": heard.program, "program_session": heard.program_session, **fields}
    fields["process"] = _described(heard.process)
    _put(path(there.store, heard.program, heard.program_session), fields, anew=anew)
    return read(there.store, heard.program, heard.program_session) or there


def goes_on(store: str, heard: Heard) -> None:
    """Note in which process a program's session goes on: some tell no start when it is taken up again.

    Never raises: where it cannot be noted, views take the program for gone at worst.
    """
    assert heard.program_session is not None
    goal, now = path(store, heard.program, heard.program_session), _described(heard.process)
    try:
        fields = jsonline.decode_object(files.read(goal, 1 << 16))
        if now is not None and now != fields.get("process"):
            _put(goal, {**fields, "process": now}, anew=True)
    except (OSError, ValueError):
        pass


def _put(goal: str, fields: dict[str, Any], *, anew: bool) -> None:
    data, temporary = jsonline.line(fields), layout.temporary(goal)
    if anew:
        files.put(goal, data, through=temporary)
    else:
        files.put_if_missing(goal, data, through=temporary)


def process(store: str, program: str, program_session: str) -> dict[str, Any] | None:
    """Return the process that a program's session was last begun by, as `jobs.liveness.alive` takes it.

    None where that is not known.
    """
    try:
        text = files.read(path(store, program, program_session), 1 << 16)
        known = jsonline.decode_object(text).get("process")
    except (OSError, ValueError):
        return None
    return known if isinstance(known, dict) else None


def _described(pid: int | None) -> dict[str, Any] | None:
    """Return what tells a process from all others; None where that is not known.

    Of a shell that the program has started for the hook alone nothing is said: it ends at once.
    """
    ticks = _ticks(pid)
    if ticks is None:
        return None
    from prodigy_git.record import cursor  # once in a conversation

    try:
        known: dict[str, Any] = {
            "host": os.uname().nodename, "pid": pid, "pid_ticks": ticks,
            "pid_namespace": _namespace(), "boot": cursor.boot_id() or None,
        }  # fmt: skip
    except OSError:
        return None
    return {name: value for name, value in known.items() if value is not None}


def called_by(pid: int | None) -> str | None:
    """Return what the calls of one process have in common; None where that is not known."""
    ticks = _ticks(pid)
    return None if ticks is None else f"{pid}:{ticks}"


def _ticks(pid: int | None) -> int | None:
    """Return when a process began, in clock ticks since the boot; None: not known, or a shell."""
    if pid is None:
        return None
    try:
        name, _, rest = files.read(f"/proc/{pid}/stat", 4096).partition(b"(")[2].rpartition(b")")
        return None if name in _SHELLS else int(rest.split()[19])
    except (OSError, ValueError, IndexError):
        return None  # it has ended; or a system without /proc


def _namespace() -> str:
    """Return what tells this process's numbers from those of other namespaces. Raises `OSError`."""
    pids = os.readlink("/proc/self/ns/pid")
    try:
        return f"{pids} {os.readlink('/proc/self/ns/time')}"
    except FileNotFoundError:
        return pids  # before Linux 5.6
