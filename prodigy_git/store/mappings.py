"""Reading the two-way mapping of sessions and jobs; `record.mapping` writes ours."""

import os

from prodigy_git import layout, names
from prodigy_git.record import files, jsonline, repokey
from prodigy_git.store.events import Broken


def sessions_of(store: str, job: str, broken: Broken) -> list[str]:
    """Return the ids of a job's sessions, in the order in which they were registered."""
    found = []
    for repo in repokey.keys(store):
        path = layout.session_to_job(store, repo)
        try:
            mapping = jsonline.decode_object(files.read(path))
        except FileNotFoundError:
            mapping = {}
        except (OSError, ValueError) as error:
            broken(f"{path} cannot be read ({error}): restore it or move it away")
            continue
        found += [name for name, value in mapping.items() if value == job and names.is_safe(name)]
        known = {*mapping, *(value for value in mapping.values() if isinstance(value, str))}
        found += _single(os.path.dirname(path), job, known, broken)
    return list(dict.fromkeys(found))


_OURS = ("session-to-job.json", "job-to-session.json")


def _single(folder: str, job: str, known: set[str], broken: Broken) -> list[str]:
    """Return the sessions that files of one mapping each name, ``mappings/{id}.json``: Prodigy's.

    Ours, of the sessions and jobs that are ``known``, say nothing that the two documents do not.
    """
    try:
        listed = sorted(os.listdir(folder))
    except OSError:
        return []
    found = []
    for name in listed:
        if name in _OURS or name.startswith(".") or not name.endswith(".json"):
            continue
        if name.removesuffix(".json") in known:
            continue
        try:
            mapping = jsonline.decode_object(files.read(f"{folder}/{name}"))
        except (OSError, ValueError) as error:
            broken(f"{folder}/{name} cannot be read ({error}): passed over")
            continue
        session = mapping.get("session_id")
        if mapping.get("job_id") == job and isinstance(session, str) and names.is_safe(session):
            found.append(session)
    return found
