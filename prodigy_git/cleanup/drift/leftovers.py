"""Finding what a kill, or another's hand, has left in the store: sessions, empty folders, files.

Nothing here changes anything. `Finding` is what `comparing` and this module hand to `mending`.
"""

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from prodigy_git import layout, names
from prodigy_git.cleanup.account import presence
from prodigy_git.cleanup.records import job_ages
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.cleanup.trash import intent
from prodigy_git.jobs import liveness
from prodigy_git.model.session import Session
from prodigy_git.record import clock, files, jsonline, mapping, within
from prodigy_git.store import events, sessions
from prodigy_git.store.events import Broken

_DAY = 86400 * clock.SECOND


@dataclass(frozen=True)
class Finding:
    """One thing that does not fit. ``repairable``: `mending.repair` does something about it.

    ``kind`` is one of: repository (not there), folder (git does not know it), link (folder and git's
    registration have lost each other), registration (its folder is gone), session (without a
    worktree), leftover (a session that never came to be), unenrolled (a worktree of ours without a
    session), enrolment (its session's file is gone), begun (its session's file does not know of it),
    path (a session that names another folder), empty (a folder), temporary (a file), unknown (not
    ours). ``name`` is the
    session's id or the folder's name, ``wrong`` says what is the matter, ``remedy`` what repairing
    does, or the user can do.
    """

    kind: str
    name: str
    repo: str
    path: str
    wrong: str
    remedy: str
    repairable: bool
    target: str = ""
    """What ``path`` is to be linked with, where it is about that."""
    done: str = ""
    """After a repair: what was done; empty where nothing was."""
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``clean --json`` prints them."""
        return asdict(self)

    def same(self, other: "Finding") -> bool:
        """Whether the other is about the same thing."""
        mine = (self.kind, self.path, self.target, self.repairable)
        return mine == (other.kind, other.path, other.target, other.repairable)


def names_in(folder: str) -> list[str]:
    """Return what is in a folder, sorted; nothing where there is none, or none that can be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def trashed_session(store: str, repo: str, session: str) -> str | None:
    """Return the newest file of a session in the trash, None where there is none."""
    folder = layout.trash(store, repo, session)
    there = [name for name in names_in(folder) if name.startswith("session.json")]
    return f"{folder}/{there[-1]}" if there else None


def lone_sessions(
    store: str, key: str, mine: Iterable[Session], enrolled: Iterable[str], broken: Broken
) -> Iterator[Finding]:
    """Find the sessions of one repository that have not ended and have no worktree.

    ``enrolled`` are the sessions that a private git directory belongs to.
    """
    under_way = {
        one.session
        for one in entries.entries(store, broken, repo=key)
        if one.state in ("moving", "restoring") or not one.settled
    }
    mapped = _mapped(store, key)
    enrolled = set(enrolled)
    for one in mine:
        path = one.text("worktree_path") or ""
        finding = Finding("session", one.id, key, path, "", "", repairable=False)
        if one.ended or one.id in under_way or one.id in enrolled:
            continue
        if not path or os.path.lexists(path):
            continue  # it has a folder: found as that, or as a worktree without a session
        gone = os.path.isdir(os.path.dirname(path))
        wrong = f"session {one.id} is {one.status} and has no worktree"
        if not gone:
            yield replace(finding, wrong=f"{wrong}; {path} may lie on a disk that is not mounted")
        elif one.status == "Initializing" and one.id not in mapped:
            yield replace(
                finding, kind="leftover", wrong=f"session {one.id} was never begun",
                remedy="its file goes to the trash" if dead(store, one) else "looked at again in a day",
                repairable=dead(store, one),
            )  # fmt: skip
        else:
            yield replace(
                finding, wrong=wrong, repairable=dead(store, one),
                remedy="ended as Cancelled" if dead(store, one)
                else f"'prodigy-git finish {one.id}' ends it; else it is looked at again in a day",
            )  # fmt: skip


def _mapped(store: str, key: str) -> set[str]:
    """Return the sessions that the repository's mapping names: all there are where it is damaged."""
    try:
        return set(jsonline.decode_object(files.read(layout.session_to_job(store, key))))
    except FileNotFoundError:
        return set()
    except (OSError, ValueError):
        return set(sessions.ids(store))


def dead(store: str, one: Session) -> bool:
    """Whether a session's last sign of life is a day old, and its process, on this host, is gone."""
    last = clock.parse(one.updated_at)
    if last is None or clock.now() - last < _DAY:
        return False
    if one.text("host") not in (None, os.uname().nodename):
        return False  # whether its process lives cannot be seen from here
    if "pid_started" in one.metadata:
        seen = liveness.alive(store, one.metadata) is not None
        return seen and presence.recorded(one) is None
    pid = one.metadata.get("pid")
    if isinstance(pid, int) and pid > 0 and one.text("host") == os.uname().nodename:
        # Of an older version, without its start: the id may be another's by now, or not.
        return liveness.alive(store, one.metadata) is False
    return True


def empty_folders(store: str, key: str) -> Iterator[Finding]:
    """Find empty folders of jobs, and of sessions in the trash.

    Not young ones: another program makes one, and then a file in it, without our locks.
    """
    for root in ("events", "dlq", "state", "logs", "trash"):
        folder = f"{store}/{root}/{key}" + ("/mapreduce/jobs" if root == "state" else "")
        for name in filter(names.is_safe, names_in(folder)):
            path = f"{folder}/{name}"
            if within.link_in(store, path) is not None:
                continue
            with contextlib.suppress(OSError):
                about = os.lstat(path)
                if stat.S_ISDIR(about.st_mode) and not os.listdir(path) and _is_old(about):
                    yield Finding("empty", name, key, path, f"{path} is empty", "removed", True)


def _is_old(about: os.stat_result) -> bool:
    return clock.now() - about.st_mtime_ns // 1000 > _DAY


def temporary_files(store: str, key: str) -> Iterator[Finding]:
    """Find what a replacement of a file that was killed has left: of a repository; "": of sessions.

    Only beside documents of ours: another program's files may be called alike.
    """
    for folder, known in _folders_with_documents(store, key):
        if within.link_in(store, folder) is not None:
            continue
        for name in names_in(folder):
            document = name.removeprefix(".").removesuffix(".new")
            if len(document) != len(name) - 5 or not known(document):
                continue
            path = f"{folder}/{name}"
            # Nothing within says how old it is: torn as it may be, its time is all there is.
            with contextlib.suppress(OSError):
                about = os.lstat(path)
                if stat.S_ISREG(about.st_mode) and _is_old(about):
                    wrong = f"{path} was left by a process that was killed"
                    yield Finding("temporary", name, key, path, wrong, "removed", True)


Known = Callable[[str], bool]


def _folders_with_documents(store: str, key: str) -> Iterator[tuple[str, Known]]:
    """Yield each folder that documents of ours lie in, with what they are called there."""
    if not key:
        there = set(sessions.ids(store))
        # A new one has its writer's process id, and no document yet.
        yield (
            f"{store}/sessions",
            lambda name: name.removesuffix(".json") in there or name.rpartition(".")[2].isdigit(),
        )
        yield layout.setups(store), lambda name: name.endswith((".json", ".json.underway"))
        for name in filter(names.is_safe, names_in(f"{store}/agents")):
            # As `layout.temporary` has it: behind the document's name its writer's process id.
            yield f"{store}/agents/{name}", lambda name: name.rpartition(".")[2].isdigit()
        return
    yield f"{store}/activity/{key}", lambda name: name.endswith(".cursor")
    state = layout.state(store, key)
    yield state, lambda name: name in _OF_STATE and name.endswith(".json")
    yield f"{state}/mappings", _mapping_files(store, key).__contains__
    for job in filter(names.is_safe, names_in(f"{state}/mapreduce/jobs")):
        yield layout.job_state(store, key, job), _is_of_job
    for job in filter(names.is_safe, names_in(f"{store}/dlq/{key}")):
        yield f"{store}/dlq/{key}/{job}", "dlq-items.json".__eq__
    # Entries, and not what is in them: those files are the user's, whatever they are called.
    for session in filter(names.is_safe, names_in(f"{store}/trash/{key}")):
        folder = layout.trash(store, key, session)
        for moment in filter(intent.MOMENT.fullmatch, names_in(folder)):
            yield f"{folder}/{moment}", "entry.json".__eq__


def _mapping_files(store: str, key: str) -> set[str]:
    """Return what the two mappings are called, and the files of what is in them."""
    both = (layout.session_to_job(store, key), layout.job_to_session(store, key))
    found = {os.path.basename(path) for path in both}
    for path in both:
        with contextlib.suppress(OSError, ValueError):
            found |= {f"{name}.json" for name in mapping.read(path)}
    return found


def _is_document(name: str) -> bool:
    return name.endswith(".json") and names.is_safe(name)


def _is_of_job(name: str) -> bool:
    return name.startswith(("index.sqlite", "items.jsonl", "items-", "conflicts", "hub")) or (
        name.startswith((*job_ages.CHECKPOINTS, "events-cleaned")) and _is_document(name)
    )


def _is_trashed(name: str) -> bool:
    return (
        name in ("events", "output", "checkpoints", "dlq")
        or name.startswith(("session.json", "activity.jsonl", "activity.cursor"))
        or intent.MOMENT.fullmatch(name) is not None
    )


OF_PRODIGY = frozenset((".metadata", ".gitignore"))
"""What Prodigy has in the folder of a repository's worktrees, beside them."""
# With what is Prodigy's: `checkpoints`; of a queue all but the first.
_OF_STATE = frozenset(
    ("repository.json", "halves.json", "known-merges.json", "trusted.json", "pushed.json",
     "hub.json", "to-push.json", "merges", "mapreduce", "mappings", "checkpoints")
)  # fmt: skip
_OF_QUEUE = frozenset(("dlq-items.json", "items", "index.json", "mapreduce"))


def unknown(store: str, key: str) -> Iterator[Finding]:
    """Name what lies in a repository's folders and has no shape that is known; it is left alone."""
    state = layout.state(store, key)
    jobs = f"{state}/mapreduce/jobs"
    known: list[tuple[str, Known]] = [
        (state, _OF_STATE.__contains__),
        (f"{state}/mappings", _is_document),
        (f"{state}/mapreduce", "jobs".__eq__),
        (jobs, names.is_safe),
        *((f"{jobs}/{job}", _is_of_job) for job in names_in(jobs) if names.is_safe(job)),
    ]
    for root, inside in (
        ("events", events.is_log), ("dlq", _OF_QUEUE.__contains__), ("trash", _is_trashed),
    ):  # fmt: skip
        folder = f"{store}/{root}/{key}"
        known.append((folder, names.is_safe))
        known += [(f"{folder}/{one}", inside) for one in names_in(folder) if names.is_safe(one)]
    for folder, fits in known:
        for name in names_in(folder):
            if not fits(name) and not (name.startswith(".") and name.endswith(".new")):
                yield not_ours(key, f"{folder}/{name}")


def not_ours(key: str, path: str) -> Finding:
    """Return the finding that names something which is not known."""
    return Finding(
        "unknown", os.path.basename(path), key, path, f"{path} is nothing that prodigy-git knows",
        "left alone", repairable=False,
    )  # fmt: skip
