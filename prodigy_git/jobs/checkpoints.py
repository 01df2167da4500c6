"""A job's checkpoints: snapshots of the fold, with the log position that they are complete to.

A checkpoint is one JSON object: DESIGN's fields for the phase, for people and for Prodigy; ``fold``,
which is what the job can be resumed from; and at its end ``integrity``, a digest of all before it.
``job-state.json`` is the newest one again.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from prodigy_git import digest, layout
from prodigy_git.jobs import books, replay
from prodigy_git.record import clock, files, log, within
from prodigy_git.store.events import Broken

KEPT = 10
"""How many checkpoints of a phase are kept."""
VERSION = 1
"""Of the files, as the name ``reduce-checkpoint-v1-…`` says."""
FORMAT = 2
"""Of ``fold``. Files of an earlier version of ours call it ``version``, which is then no version of the
file; the first had neither ``fold`` nor ``integrity``."""
STATE_FILE = "job-state.json"
_UNTOUCHED = books.Item()
_SEAL = b',"integrity":"'

Kind = Literal["setup", "map", "reduce"]
KINDS: tuple[Kind, ...] = ("setup", "map", "reduce")
Row = tuple[str, bytes | None, books.Item]
"""(id, its line in the job's items, what the log says of it)."""


class _Fold(msgspec.Struct):
    job: books.Job
    items: dict[str, books.Item]
    sessions: dict[str, books.Standing | str]
    """A status alone where an earlier version wrote it, which knew of no resumption."""


class _Checkpoint(msgspec.Struct):
    """What is read back of a checkpoint."""

    version: int
    job_id: str
    position: replay.Position
    fold: _Fold
    format: int = 0


def newest(
    store: str, repo: str, job: str, broken: Broken
) -> tuple[books.State, replay.Position] | None:
    """Return the newest sound checkpoint's state and position; None where there is none.

    One that is damaged, or says more than the log holds now, is reported and passed over for the one
    before it.
    """
    folder = layout.job_state(store, repo, job)
    for name in _candidates(folder):
        try:
            found = _read(f"{folder}/{name}", job)
        except FileNotFoundError:
            continue  # being replaced by a newer one
        except (OSError, ValueError, msgspec.MsgspecError, RecursionError) as error:
            broken(f"{folder}/{name} is damaged ({error}): passed over")
            continue
        if found is None:
            continue
        if not replay.holds(store, repo, job, found.position):
            broken(f"{folder}/{name} says more than the log holds now: passed over")
            continue
        held = found.fold
        stood = {
            name: (0, mark) if isinstance(mark, str) else mark
            for name, mark in held.sessions.items()
        }
        return books.State(held.job, held.items, stood), found.position
    return None


def _candidates(folder: str) -> list[str]:
    """Return the names of what a job can be resumed from, the newest first."""
    try:
        found = os.listdir(folder)
    except FileNotFoundError:
        return []
    dated = [name for name in found if _is_dated(name)]
    dated.sort(key=lambda name: name.rpartition("-")[2], reverse=True)
    return [STATE_FILE, *dated] if STATE_FILE in found else dated


def _is_dated(name: str) -> bool:
    return name.endswith(".json") and name.startswith(("map-checkpoint-", "reduce-checkpoint-"))


def _read(path: str, job: str) -> _Checkpoint | None:
    """Return a checkpoint of ours; None for one that others, or earlier versions, wrote."""
    data = files.read(path)
    fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    if fields.keys().isdisjoint(("fold", "integrity")):
        return None
    body, seal, rest = data.rstrip().rpartition(_SEAL)
    if not seal or rest != _digest(body) + b'"}':
        raise ValueError("its integrity hash is not that of its contents")
    found = msgspec.json.decode(data, type=_Checkpoint)
    if found.job_id != job:
        raise ValueError(f"it is of job {found.job_id!r}")
    return found if (found.format or found.version) == FORMAT else None


def _digest(body: bytes) -> bytes:
    return digest.sha256_hex(body).encode("ascii")


def write(
    store: str,
    repo: str,
    job: books.Job,
    kind: Kind,
    rows: Iterable[Row],
    sessions: dict[str, books.Standing],
    position: replay.Position,
) -> str:
    """Write a checkpoint and ``job-state.json``, record CheckpointSaved, and return the path.

    ``rows`` are all of the job's items. The caller holds the job's claims lock. Raises `OSError`.
    """
    folder = layout.job_state(store, repo, job.job_id)
    within.refuse_links(store, folder)
    moment = clock.stamp(clock.now())
    compact = moment.replace(":", "").replace("-", "")
    name = {
        "setup": "setup-checkpoint.json",
        "map": f"map-checkpoint-{compact}.json",
        "reduce": f"reduce-checkpoint-v1-{compact}.json",
    }[kind]
    path = f"{folder}/{name}"
    data = _document(job, kind, moment, rows, sessions, position)
    files.replace(path, data)
    _link(path, f"{folder}/{STATE_FILE}", data)
    _drop_oldest(folder, name.partition("-")[0])
    event = {
        "id": log.event_id(job.job_id, f"checkpoint:{path}:{moment}"), "timestamp": "",
        "type": "CheckpointSaved", "event_type": "CheckpointSaved", "correlation_id": job.job_id,
        "job_id": job.job_id, "phase": kind, "checkpoint_path": path, "version": VERSION,
    }  # fmt: skip
    log.append(store, repo, job.job_id, [event])
    return path


def _link(path: str, state: str, data: bytes) -> None:
    """Make ``state`` the same file as ``path``, since none is ever changed in place."""
    temporary = f"{os.path.dirname(state)}/.{os.path.basename(state)}.new"
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        os.link(path, temporary)
    except OSError:  # a filesystem without hard links
        files.replace(state, data)
    else:
        os.rename(temporary, state)
        # Where both names are of one file already, as after a kill, rename does nothing at all.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _drop_oldest(folder: str, phase: str) -> None:
    """Keep the newest checkpoints; their names sort by time. What killed writers left goes, too."""
    names = os.listdir(folder)
    found = sorted(name for name in names if _is_dated(name) and name.startswith(phase))
    begun = [name for name in names if name.endswith(".new") and _is_dated(name[1:-4])]
    for name in [*found[:-KEPT], *begun]:
        os.unlink(f"{folder}/{name}")


def _document(
    job: books.Job,
    kind: Kind,
    moment: str,
    rows: Iterable[Row],
    sessions: dict[str, books.Standing],
    position: replay.Position,
) -> bytes:
    lists: dict[str, list[Any]] = {"pending": [], "completed": [], "failed": []}
    in_progress: dict[str, Any] = {}
    results: dict[str, Any] = {}
    known: dict[str, books.Item] = {}
    for name, line, item in rows:
        if item != _UNTOUCHED:
            known[name] = item
        results.update(_results(name, item))
        if name.startswith(books.FREE):
            continue
        view = books.view(item)
        if view.state == "pending":
            lists["pending"].append(msgspec.Raw(line or msgspec.json.encode({"id": name})))
        elif view.state == "in_progress":
            in_progress[name] = {
                "work_item": msgspec.Raw(line or msgspec.json.encode({"id": name})),
                "agent_id": view.agent or "",
                "started_at": view.since or "",
                "last_update": view.since or "",
            }
        else:
            lists["completed" if view.state == "completed" else "failed"].append(name)
    shared: dict[str, Any] = {
        "completed_items": lists["completed"], "in_progress_items": in_progress,
        "pending_items": lists["pending"], "failed_items": lists["failed"],
        "agent_results": results,
    }  # fmt: skip
    fields = {
        "version": VERSION, "job_id": job.job_id, "phase": kind, "timestamp": moment,
        "status": job.status, "started_at": job.started_at, "updated_at": job.updated_at,
        **_own(job, kind, results), **shared,
        "sessions": {name: status for name, (_, status) in sessions.items()},
        "commits": job.counts.get("CommitCreated", 0),
        "events": sum(job.counts.values()), "position": position,
        "format": FORMAT, "fold": _Fold(job, known, {**sessions}),
    }  # fmt: skip
    body = msgspec.json.encode(fields)[:-1]
    return body + _SEAL + _digest(body) + b'"}\n'


def _own(job: books.Job, kind: Kind, results: dict[str, Any]) -> dict[str, Any]:
    """Return what only a phase's own checkpoints have; of outputs nothing where none were given."""
    if kind == "setup":
        outputs = job.setup_outputs
        return {"completed": job.phase != "setup"} | ({"outputs": outputs} if outputs else {})
    if kind == "map":
        return {}
    steps = job.reduce_steps
    given = {
        "completed_steps": list(range(len(steps))), "current_step": len(steps),
        "step_results": {str(number): values for number, values in enumerate(steps)},
    }  # fmt: skip
    return {"map_results": results} | (given if steps else {})


def _results(name: str, item: books.Item) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the newest result of an item, by its id; of an agent without item by the agent's."""
    if not item.results:
        return
    end = max(item.results.values(), key=lambda one: (one.attempt, one.at))
    result: dict[str, Any] = {
        "item_id": None if name.startswith(books.FREE) else name,
        "agent_id": end.agent or None,
        "session_id": end.session,
        "status": "Completed" if end.stage == books.COMPLETED else "Failed",
        "commits": end.commits or [],
        "duration": end.duration,
        "error": end.error,
        "json_log_location": end.log,
    }
    yield name.removeprefix(books.FREE), {k: v for k, v in result.items() if v is not None}
