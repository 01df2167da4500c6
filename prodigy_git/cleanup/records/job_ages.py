"""What a job's files say of its age and of whether it is at rest; nothing here changes anything.

Times are microseconds since 1970. A file that cannot be read, or does not say when, has no age: it
is reported and kept.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import books, dead_letters, replay
from prodigy_git.model.session import ENDED
from prodigy_git.record import clock, files, jsonline
from prodigy_git.store import events, sessions
from prodigy_git.store.events import Broken

_TIMES = ("timestamp", "updated_at", "completed_at", "created_at", "last_update")
CHECKPOINTS = ("setup-checkpoint", "map-checkpoint-", "reduce-checkpoint-", "job-state")
"""How the names of a job's checkpoints begin, and of its state."""
_OUTPUT = (
    ".log", ".item.json", ".result.json", ".log.tail-1", ".log.tail-2", ".process.json", ".stop",
    ".transcript.jsonl", ".transcript.jsonl.new",
)  # fmt: skip
"""How the names end of what a command of `run` has; a killed worker leaves four of them, too.
And copies of transcripts (`logs --keep`), whole, or half of one."""
_ACTIVE = frozenset(("initializing", "running", "paused"))


@dataclass(frozen=True)
class Jobs:
    """What the session files said: which jobs run, and of which job each session that ended is.

    A job is (repository key, job id); the key is None where a session does not say, as Prodigy's own.
    """

    running: frozenset[tuple[str | None, str]]
    ended: dict[str, tuple[str | None, str]]

    def runs(self, repo: str, job: str) -> bool:
        """Whether a session of the job has not ended."""
        return (repo, job) in self.running or (None, job) in self.running


def jobs_of(store: str, broken: Broken) -> Jobs | None:
    """Return what the session files say; None, reported, where one cannot be read.

    Then any job may be running.
    """
    troubles: list[str] = []
    known = sessions.load_all(store, troubles.append)
    for text in troubles:
        broken(f"{text}; nothing of a job is cleaned before that, since its job may be running")
    if troubles:
        return None
    keys = {one.id: (one.text("repo"), one.job) for one in known}
    return Jobs(
        frozenset(keys[one.id] for one in known if not one.ended),
        {one.id: keys[one.id] for one in known if one.ended},
    )


def begun_since(store: str, repo: str, job: str, known: Jobs) -> bool:
    """Whether a job that was at rest has a session that runs now: a new one, or one restored."""
    for name in sessions.ids(store):
        if known.ended.get(name, (repo, job)) in ((repo, job), (None, job)):
            try:
                one = sessions.load(store, name)
            except (ProdigyError, OSError):
                if name in known.ended and not os.path.lexists(layout.session(store, name)):
                    continue  # in the trash since
                return True
            if not one.ended and one.job == job and one.text("repo") in (repo, None):
                return True
    return False


def all_jobs(store: str, repo: str | None) -> Iterator[tuple[str, str]]:
    """Yield (repository key, job id) of whatever has a log, a queue or checkpoints, sorted."""
    for key in _folders_of(store) if repo is None else [repo]:
        found: set[str] = set()
        for folder in (
            f"{store}/events/{key}",
            f"{store}/dlq/{key}",
            f"{store}/logs/{key}",
            f"{layout.state(store, key)}/mapreduce/jobs",
        ):
            found.update(filter(names.is_safe, _listed(folder)))
        yield from ((key, name) for name in sorted(found))


def _folders_of(store: str) -> list[str]:
    found = {name for top in ("events", "dlq", "state") for name in _listed(f"{store}/{top}")}
    return sorted(filter(names.is_safe, found))


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def says_it_runs(store: str, repo: str, job: str, known: Jobs, broken: Broken) -> bool:
    """Whether ``job-state.json`` says that the job runs, and nothing newer says otherwise.

    True, reported, for a file that cannot be read. Newer are the session's own file and the log.
    """
    path = f"{layout.job_state(store, repo, job)}/job-state.json"
    try:
        fields = jsonline.decode_object(files.read(path))
    except FileNotFoundError:
        return _runs_on_a_hub(store, repo, job)
    except (OSError, ValueError) as error:
        broken(f"{path} cannot be read ({error}): nothing of the job is cleaned")
        return True
    if fields.get("phase") == "complete" or fields.get("is_complete") is True:
        return False
    named = fields.get("sessions")
    if isinstance(named, dict) and named:
        left = {name for name, status in named.items() if str(status) not in ENDED} - set(
            known.ended
        )
        if left:
            logged = replay.whole(store, repo, job, lambda _: None).sessions
            left = {name for name in left if logged.get(name, (0, ""))[1] not in ENDED}
        return bool(left)
    return (
        bool(fields.get("in_progress_items"))
        or fields.get("is_complete") is False
        or str(fields.get("status", "")).lower() in _ACTIVE
    )


def _runs_on_a_hub(store: str, repo: str, job: str) -> bool:
    """Whether a job that other hosts work on goes on: here no step was taken that would have told."""
    if not os.path.lexists(layout.hub_job(store, repo, job)):
        return False
    known = replay.whole(store, repo, job, lambda _: None).job
    return known.opened is not None and known.status not in books.ENDED


def log_age(path: str, limit: int, broken: Broken) -> int | None:
    """Return a log file's newest moment if it has events, all dated and none after ``limit``."""
    troubles: list[str] = []
    newest: int | None = None
    for number, event in events.read_file(path, troubles.append):
        if event.moment is None:
            troubles.append(f"{path}:{number}: no time")
        elif event.moment > limit:
            return None
        else:
            newest = max(event.moment, newest or 0)
    if troubles:
        broken(f"{troubles[0]}: the file is kept")
        return None
    return newest


def outputs(store: str, repo: str, job: str) -> list[str]:
    """Return the paths of what the commands that `run` started were given, have said and yielded."""
    folder = layout.run_logs(store, repo, job)
    return [f"{folder}/{name}" for name in sorted(_listed(folder)) if _is_output(folder, name)]


def _is_output(folder: str, name: str) -> bool:
    known = name.endswith(_OUTPUT)
    try:
        # A command may have made anything where its result was to be.
        return known and stat.S_ISREG(os.lstat(f"{folder}/{name}").st_mode)
    except OSError:
        return False


def output_age(
    store: str, repo: str, job: str, limit: int, cleaned: int, broken: Broken
) -> int | None:
    """Return the newest moment of a job's events if each has one, none after ``limit``.

    Output says no time itself; it is as old as its job. ``cleaned`` is up to when events have gone
    already, 0 for none.
    """
    newest = cleaned
    for path in events.log_files(store, repo, job):
        moment = log_age(path, limit, broken)
        if moment is None:
            return None
        newest = max(newest, moment)
    return newest if 0 < newest <= limit else None


def checkpoints(store: str, repo: str, job: str) -> list[str]:
    """Return the paths of a job's checkpoints and of its state."""
    folder = layout.job_state(store, repo, job)
    return [
        f"{folder}/{name}"
        for name in sorted(_listed(folder))
        if name.startswith(CHECKPOINTS) and name.endswith(".json")
    ]


def checkpoints_age(paths: list[str], limit: int, broken: Broken) -> int | None:
    """Return the newest moment of a job's checkpoints if each says one, and none is after ``limit``.

    They go together or not at all: resuming a job takes all of them.
    """
    newest: int | None = None
    trouble = None
    for path in paths:
        try:
            moment = _time_of(jsonline.decode_object(files.read(path)))
        except (OSError, ValueError) as error:
            trouble = trouble or f"{path} cannot be read ({error})"
            continue
        if moment is None:
            trouble = trouble or f"{path} does not say when it was written"
        elif moment > limit:
            return None
        else:
            newest = max(moment, newest or 0)
    if trouble is not None:
        broken(f"{trouble}: the job's checkpoints are kept")
        return None
    return newest


def _time_of(fields: dict[str, Any]) -> int | None:
    """Return the newest of the times that a document bears."""
    found = [clock.parse(text) for name in _TIMES if isinstance(text := fields.get(name), str)]
    return max((moment for moment in found if moment is not None), default=None)


def queue_age(store: str, repo: str, job: str, limit: int, broken: Broken) -> int | None:
    """Return the newest attempt in a dead letter queue if each item has one, none after ``limit``.

    Nothing for an empty queue: there is nothing in it to be cleaned.
    """
    try:
        queue = dead_letters.read(store, repo, job, broken)
    except (ProdigyError, OSError) as error:
        broken(f"{error}; it is kept")
        return None
    newest: int | None = None
    undated = None
    for item in queue.items:
        texts = [item.last_attempt, *(failure.timestamp for failure in item.failure_history)]
        moments = [moment for text in texts if text and (moment := clock.parse(text)) is not None]
        if not moments:
            undated = item.item_id
        elif max(moments) > limit:
            return None
        else:
            newest = max(*moments, newest or 0)
    if undated is not None:
        path = layout.dead_letters(store, repo, job)
        broken(f"{path}: item {undated!r} does not say when it failed: the queue is kept")
        return None
    return newest
