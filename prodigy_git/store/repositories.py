"""The repositories that a store knows."""

from prodigy_git import layout
from prodigy_git.record import repokey
from prodigy_git.store.events import Broken


def known(store: str, broken: Broken) -> list[tuple[str, str]]:
    """Return (key, common git directory) of every repository of a store, sorted.

    One whose file cannot be read goes to ``broken``, and is left out as one is that has none.
    """
    found = []
    for key in repokey.keys(store):
        try:
            common = repokey.common_of(store, key)
        except (OSError, ValueError) as error:
            broken(f"{layout.repository(store, key)} cannot be read ({error})")
            continue
        if common is not None:
            found.append((key, common))
    return sorted(found)
