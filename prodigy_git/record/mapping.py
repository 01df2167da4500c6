"""The two-way mapping of a repository's sessions and jobs, below ``state/{repo}/mappings``.

Two documents have all of it, as the seeds say. Beside them each session, and each job with the session
that opened it, has a file of its own, ``{id}.json``: Prodigy's ``SessionJobMapping``, which looks for
nothing else. Those are derived, and written last.
"""

from __future__ import annotations

import os

from prodigy_git import layout, names
from prodigy_git.record import clock, files, jsonline, locks, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def read(path: str) -> dict[str, Any]:
    """Return a mapping; an empty one where it is missing. Raises `ValueError` for a damaged one."""
    try:
        return jsonline.decode_object(files.read(path))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError:
        raise files.Damaged(f"{path} is damaged: restore it or move it away") from None


def put(store: str, repo: str, session: str, job: str) -> None:
    """Note a session's job, and the session as the one that opened the job if it is the first.

    Raises `OSError`; `ValueError` for a damaged mapping.
    """
    within.refuse_links(store, layout.session_to_job(store, repo))
    lock = locks.take(layout.state_lock(store, repo))
    try:
        for path, key, value in (
            (layout.session_to_job(store, repo), session, job),
            (layout.job_to_session(store, repo), job, session),
        ):
            mapping = read(path)
            if key not in mapping:
                mapping[key] = value
                _write(path, mapping)
        _write_single(store, repo, session, session, job)
        if mapping.get(job) == session:
            _write_single(store, repo, job, session, job)
    finally:
        os.close(lock)


def take_out(store: str, repo: str, session: str) -> None:
    """Take a session out again: for one that never came to be. Raises as `put` does."""
    lock = locks.take(layout.state_lock(store, repo))
    try:
        jobs, openers = layout.session_to_job(store, repo), layout.job_to_session(store, repo)
        known = read(jobs)
        for name in (session, str(known.get(session, ""))):
            _drop_single(store, repo, name, session)
        if session in known:
            _write(jobs, {name: job for name, job in known.items() if name != session})
        opened = read(openers)
        if session in opened.values():
            _write(openers, {job: opener for job, opener in opened.items() if opener != session})
    finally:
        os.close(lock)


def rename(store: str, repo: str, session: str, former: str, job: str) -> None:
    """Give a session the ``job`` in place of the ``former`` one. Raises as `put` does."""
    within.refuse_links(store, layout.session_to_job(store, repo))
    lock = locks.take(layout.state_lock(store, repo))
    try:
        jobs, openers = layout.session_to_job(store, repo), layout.job_to_session(store, repo)
        _write(jobs, {**read(jobs), session: job})
        kept = {key: value for key, value in read(openers).items() if key != former}
        _write(openers, {job: session, **kept})
        for name in (session, former):
            _drop_single(store, repo, name, session)
        for name in (session, job):
            _write_single(store, repo, name, session, job)
    finally:
        os.close(lock)


def _write(path: str, mapping: dict[str, Any]) -> None:
    files.replace(path, jsonline.line(mapping))


def single(store: str, repo: str, name: str) -> str | None:
    """Return the path of the file of one session or job; None for a name that has none.

    That is one that would be one of the two documents, or lead out of their folder: in a damaged
    document may stand what it likes.
    """
    path = f"{os.path.dirname(layout.session_to_job(store, repo))}/{name}.json"
    both = (layout.session_to_job(store, repo), layout.job_to_session(store, repo))
    return path if names.is_safe(name) and path not in both else None


def _write_single(store: str, repo: str, name: str, session: str, job: str) -> None:
    path = single(store, repo, name)
    if path is None or os.path.lexists(path):
        return  # Prodigy's own, or that of a job whose name is a session's
    fields = {
        "session_id": session, "job_id": job, "workflow_name": job,
        "created_at": clock.stamp(clock.now()),
    }  # fmt: skip
    _write(path, fields)


def _drop_single(store: str, repo: str, name: str, session: str) -> None:
    path = single(store, repo, name)
    try:
        if path is not None and read(path).get("session_id") == session:
            os.unlink(path)
    except (OSError, ValueError):
        pass  # nobody of ours reads it
