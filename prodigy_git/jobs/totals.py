"""What the files of a job's sessions say of the whole job: Prodigy's ``mapreduce_data``.

It is derived, for those who read only those files. It is brought up with each checkpoint of the job in
the sessions that have not ended, with its own end in a session's, and with the end of the job in all of
them. A claim alone writes nothing.
"""

import os
from dataclasses import dataclass
from typing import Any

from prodigy_git import layout, names, tally
from prodigy_git.jobs import books, index_counts
from prodigy_git.jobs.index import Index
from prodigy_git.model.session import ENDED
from prodigy_git.record import locks, prodigys, session
from prodigy_git.store.events import Broken

MOST = 1000
"""So many sessions are told of the job's end, each in its file; of more those that have not ended."""


@dataclass(frozen=True)
class Word:
    """What there is to tell, and the sessions that are to be told."""

    job_id: str
    totals: dict[str, Any]
    sessions: list[str]


def of(index: Index) -> dict[str, Any]:
    """Return the fields of ``mapreduce_data`` as the job's log has them."""
    items = tally.items(index.meta.counts)
    steps = index.job.reduce_steps
    return {
        "total_items": items["total_items"],
        "processed_items": items["completed"],
        "failed_items": items["given_up"],
        "agent_count": index_counts.read(index.rows)["agent_count"],
        "phase": index.job.phase.capitalize(),
        "reduce_results": {key: value for step in steps for key, value in step.items()} or None,
    }


def word(index: Index) -> Word:
    """Return what is to be told now, and to whom."""
    known = index.rows("SELECT id, status FROM sessions")
    named = [name for name, status in known if status not in ENDED]
    if index.job.status in books.ENDED and len(known) <= MOST:
        named = [name for name, _ in known]
    return Word(index.job_id, of(index), named)


def tell(store: str, told: Word, broken: Broken) -> None:
    """Write it into the files of those sessions; trouble is reported to ``broken``.

    The caller holds no lock of the job, but may hold that of a session: so none is waited for. Who
    holds a session's is about to write its file, or it is told the next time.
    """
    for name in filter(names.is_safe, told.sessions):
        try:
            lock = locks.take(layout.session_lock(store, name), 0)
        except locks.Busy:
            continue
        except OSError as error:
            broken(f"session {name}: {error}")
            continue
        try:
            fields = session.read(store, name)
            if put(fields, told.job_id, told.totals):
                session.write(store, name, fields)
        except FileNotFoundError:
            pass  # cleaned
        except (OSError, ValueError) as error:
            broken(f"the file of session {name} does not have its job's totals ({error})")
        finally:
            os.close(lock)


def put(fields: dict[str, Any], job: str, totals: dict[str, Any]) -> bool:
    """Put them into a session's document; return whether that changed anything.

    Not into that of a session which Prodigy runs, whose numbers they are not.
    """
    data, metadata = fields.get("mapreduce_data"), fields.get("metadata")
    if not isinstance(data, dict) or not isinstance(metadata, dict) or prodigys.wrote(metadata):
        return False
    if data.get("job_id") != job or totals.items() <= data.items():
        return False
    data.update(totals)
    return True
