"""The few fields of a session's file that a view of all sessions needs, read quickly.

`sessions.load` checks the whole of a file; that of ten thousand ended sessions takes seconds.
"""

import contextlib
import os
from collections.abc import Iterable
from typing import Any

import msgspec

from prodigy_git import layout, names
from prodigy_git.record import clock, files, jsonline, persons
from prodigy_git.record.session import PROCESS
from prodigy_git.store.broken import Broken

# As model.session has them, which takes too long to import here.
STATUSES = frozenset(("Initializing", "Running", "Paused", "Completed", "Failed", "Cancelled"))
ENDED = frozenset(("Completed", "Failed", "Cancelled"))


class _Metadata(msgspec.Struct, gc=False):
    repo: Any = None
    worktree_path: Any = None
    trash_path: Any = None
    branch: Any = None
    base_branch: Any = None
    base_commit: Any = None
    job_id: Any = None
    agent_id: Any = None
    item_id: Any = None
    host: Any = None
    pid: Any = None
    pid_started: Any = None
    pid_ticks: Any = None
    pid_namespace: Any = None
    boot: Any = None
    machine: Any = None
    commits: Any = None
    last_commit: Any = None
    resumed: Any = None
    prodigy_session: Any = None
    name: Any = None
    created_by: Any = None
    repo_path: Any = None
    git_dir: Any = None
    commits_settled: Any = None
    agent_program: Any = None
    made_for: Any = None


class _MapReduce(msgspec.Struct, gc=False):
    job_id: Any = None


class _File(msgspec.Struct, gc=False):
    id: str
    status: str
    started_at: Any = None
    updated_at: Any = None
    completed_at: Any = None
    error: Any = None
    metadata: _Metadata | None = None
    mapreduce_data: _MapReduce | None = None


class Brief(msgspec.Struct, gc=False):
    """A session in brief. Its moments are in microseconds since 1970, None where the file has none."""

    id: str
    status: str
    job: str
    repo: str | None
    """The repository's key; None for a session that was not made by prodigy-git."""
    started_at: str | None
    updated_at: str | None
    completed_at: str | None
    error: str | None
    worktree: str | None
    trash: str | None
    branch: str | None
    base_branch: str | None
    base_commit: str | None
    agent: str | None
    item: str | None
    commits: int | None
    last_commit: str | None
    resumed: int
    """How often it was resumed."""
    process: dict[str, Any] | None
    """The process that started it, as `jobs.liveness.alive` takes one; None where it is not known."""

    prodigy_session: str | None = None
    """The session that Prodigy has for its worktree, where Prodigy made that."""
    name: str | None = None
    """The name that it was given, where its id is another."""
    created_by: str | None = None
    common: str | None = None
    """The common git directory of its repository, as its file has it."""
    git_dir: str | None = None
    """Its private one within that; None in files of earlier versions."""
    commits_settled: bool = False
    """Whether nothing need be done about its commits (`ended_by_others.COMMITS_SETTLED`)."""
    program: str | None = None
    """The agent program that works, or has worked, in it."""
    made_for: str | None = None
    """The agent program that asked for its worktree."""
    other_host: str | None = None
    """The id of the host that it is on, where that is another one: nothing of it is to be seen here."""
    others_person: bool = False
    """There, it is a person's own checkout."""

    # Worked out when they are asked for, which of most sessions nobody does.
    @property
    def persons(self) -> bool:
        """Whether it is a person's own checkout, and no agent's (`record.persons`)."""
        if self.other_host is not None:
            return self.others_person
        if self.agent is not None or self.item is not None or self.git_dir not in (None, "."):
            return False  # so it is with nearly all
        return persons.is_persons({
            "agent_id": self.agent, "item_id": self.item, "created_by": self.created_by,
            "repo_path": self.common, "worktree_path": self.worktree, "git_dir": self.git_dir,
        })  # fmt: skip

    @property
    def started(self) -> int | None:
        """When it began."""
        return clock.parse(self.started_at or "")

    @property
    def updated(self) -> int | None:
        """When its file was last written."""
        return clock.parse(self.updated_at or "")

    @property
    def ended(self) -> int | None:
        """When it ended; its last change where the file does not say."""
        return clock.parse(self.completed_at or self.updated_at or "") if self.over else None

    @property
    def over(self) -> bool:
        """Whether the session has come to its end."""
        return self.status in ENDED


_Mark = tuple[int, int, int]
Cache = dict[str, tuple[_Mark, Brief]]
"""What was read, by session, with what tells that the file has not changed since."""

_decode = msgspec.json.Decoder(_File).decode


def read_all(store: str, broken: Broken, cache: Cache | None = None) -> list[Brief]:
    """Return all sessions in brief, sorted by id; what cannot be read is reported to ``broken``.

    With ``cache`` only files that have changed since are read again.
    """
    found = []
    kept: Cache = {}
    try:
        listed = sorted(os.listdir(f"{store}/sessions"))
    except (FileNotFoundError, NotADirectoryError):
        listed = []
    for file in listed:
        name = file.removesuffix(".json")
        if name == file or not names.is_safe(name):
            continue
        try:
            brief, mark = _read(store, name, cache)
        except FileNotFoundError:
            continue  # cleaned since the folder was listed
        except (OSError, ValueError) as error:
            path = layout.session(store, name)
            broken(f"{path} is damaged ({error}): repair it or move it away")
            continue
        found.append(brief)
        if mark is not None:
            kept[name] = (mark, brief)
    if cache is not None:
        cache.clear()
        cache.update(kept)
    return found


def read_some(store: str, names: Iterable[str], cache: Cache | None = None) -> list[Brief]:
    """Return those sessions that there are and that can be read, in brief, as they are now.

    With ``cache`` only files that have changed since are read again.
    """
    found = []
    for name in names:
        with contextlib.suppress(OSError, ValueError):
            found.append(_read(store, name, cache)[0])
    return found


def _read(store: str, name: str, cache: Cache | None) -> tuple[Brief, _Mark | None]:
    """Return a session, and with ``cache`` what its file is like. Raises `OSError`, `ValueError`."""
    path = layout.session(store, name)
    if cache is None:
        return _brief(name, files.read(path)), None
    about = os.stat(path)
    mark = about.st_ino, about.st_mtime_ns, about.st_size
    known = cache.get(name)
    if known is not None and known[0] == mark:
        return known[1], mark
    return _brief(name, files.read(path)), mark


def of_prodigy(store: str, session: str) -> Brief | None:
    """Return our newest session of the worktree of Prodigy's ``session``, if there is one."""
    mine = [one for one in read_all(store, lambda _: None) if one.prodigy_session == session]
    return max(mine, key=lambda one: one.started or 0, default=None)


def _brief(name: str, data: bytes) -> Brief:
    """Return what a session's file says. Raises `ValueError`."""
    try:
        whole = _decode(data)
    except msgspec.MsgspecError:
        # A path that is not UTF-8 is in it as halves of surrogate pairs, which the decoder refuses.
        whole = msgspec.convert(jsonline.decode_object(data), _File)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if whole.id != name:
        raise ValueError(f"it holds another session, {whole.id!r}")
    if whole.status not in STATUSES:
        raise ValueError(f"its status is {whole.status!r}")
    own = whole.metadata or _Metadata()
    given = whole.mapreduce_data.job_id if whole.mapreduce_data is not None else own.job_id
    repo = _text(own.repo)
    # Both become parts of paths.
    job = names.checked(_text(given) or name, "job id")
    if repo is not None:
        names.checked(repo, "repository key")
    process = None
    if isinstance(own.pid, int) and isinstance(own.host, str):
        known = {name: getattr(own, name) for name in PROCESS}
        process = {name: value for name, value in known.items() if value is not None}
    return Brief(
        name, whole.status, job, repo, _text(whole.started_at), _text(whole.updated_at),
        _text(whole.completed_at), _text(whole.error),
        _text(own.worktree_path), _text(own.trash_path), _text(own.branch), _text(own.base_branch),
        _text(own.base_commit), _text(own.agent_id), _text(own.item_id),
        own.commits if isinstance(own.commits, int) else None, _text(own.last_commit),
        own.resumed if isinstance(own.resumed, int) else 0, process, _text(own.prodigy_session),
        _text(own.name), _text(own.created_by), _text(own.repo_path), _text(own.git_dir),
        bool(own.commits_settled), _text(own.agent_program), _text(own.made_for),
    )  # fmt: skip


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and names.is_text(value) else None
