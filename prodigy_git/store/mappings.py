"""Reading the two-way mapping of sessions and jobs; `record.register` writes it."""

import os

from prodigy_git import layout, names
from prodigy_git.record import files, jsonline
from prodigy_git.store.events import Broken


def sessions_of(store: str, job: str, broken: Broken) -> list[str]:
    """Return the ids of a job's sessions, in the order in which they were registered."""
    try:
        repositories = sorted(filter(names.is_safe, os.listdir(f"{store}/state")))
    except OSError:
        return []
    found = []
    for repo in repositories:
        path = layout.session_to_job(store, repo)
        try:
            mapping = jsonline.decode_object(files.read(path))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            broken(f"{path} cannot be read ({error}): restore it or move it away")
            continue
        found += [name for name, value in mapping.items() if value == job and names.is_safe(name)]
    return found
