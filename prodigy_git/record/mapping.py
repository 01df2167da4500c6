"""The two-way mapping of a repository's sessions and jobs, below ``state/{repo}/mappings``."""

from __future__ import annotations

import os

from prodigy_git import layout
from prodigy_git.record import files, jsonline, within

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
    lock = files.lock(layout.state_lock(store, repo))
    try:
        for path, key, value in (
            (layout.session_to_job(store, repo), session, job),
            (layout.job_to_session(store, repo), job, session),
        ):
            mapping = read(path)
            if key not in mapping:
                mapping[key] = value
                _write(path, mapping)
    finally:
        os.close(lock)


def take_out(store: str, repo: str, session: str) -> None:
    """Take a session out again: for one that never came to be. Raises as `put` does."""
    lock = files.lock(layout.state_lock(store, repo))
    try:
        for path in (layout.session_to_job(store, repo), layout.job_to_session(store, repo)):
            mapping = read(path)
            kept = {key: value for key, value in mapping.items() if session not in (key, value)}
            if kept != mapping:
                _write(path, kept)
    finally:
        os.close(lock)


def rename(store: str, repo: str, session: str, former: str, job: str) -> None:
    """Give a session the ``job`` in place of the ``former`` one. Raises as `put` does."""
    within.refuse_links(store, layout.session_to_job(store, repo))
    lock = files.lock(layout.state_lock(store, repo))
    try:
        jobs, openers = layout.session_to_job(store, repo), layout.job_to_session(store, repo)
        _write(jobs, {**read(jobs), session: job})
        kept = {key: value for key, value in read(openers).items() if key != former}
        _write(openers, {job: session, **kept})
    finally:
        os.close(lock)


def _write(path: str, mapping: dict[str, Any]) -> None:
    files.replace(path, (jsonline.encode(mapping) + "\n").encode("ascii"))
