"""Which repository a run of Prodigy's belongs to: asked of git, as folders only have basenames."""

import os

from prodigy_git import layout, names
from prodigy_git.prodigy import reading
from prodigy_git.prodigy.worktree_states import WorktreeState
from prodigy_git.record import files, gitdir, repokey
from prodigy_git.record.gitdir import Place


class Owners:
    """Finds the repositories of runs, and asks for each repository once."""

    def __init__(self, store: str, wanted: str | None) -> None:
        """Take the key that is asked for; None: any."""
        self.store = store
        self.wanted = wanted
        self._keys: dict[str, str | None] = {}
        self._stems: dict[str, list[tuple[str, str]]] = {}
        self._owned: list[str] | None = None
        self._mine = None if wanted is None else self._common_of(wanted)

    def may_be(self, above: str, session: str) -> bool:
        """Whether a run can be the repository's that is asked for; cheap, and reads nothing.

        ``above`` is called like the repository's folder was. Or its worktree is there, and says.
        """
        if self.wanted is None or _is_called(self.wanted, above):
            return True
        here = None if self._mine is None else os.path.basename(os.path.dirname(self._mine))
        top = f"{layout.worktrees(self.store, above)}/{session}"
        return here == above or os.path.lexists(f"{top}/.git")

    def of(
        self, key: str, above: str | None, session: str | None, state: WorktreeState | None
    ) -> tuple[str | None, str | None]:
        """Return the common git directory and the store's key of a run's repository; None: unproven.

        ``above`` is the folder that has the state of the run's ``session``, ``key`` the run's own.
        """
        if session is None:  # where the documents say: under the repository's own key
            common = self._common_of(key)
            return common, None if common is None else key
        common = None
        if above is not None:
            common = self._registered(
                state.worktree if state else f"{layout.worktrees(self.store, above)}/{session}"
            )
        if common is None:
            common = self._of_agents(key)
        if common is None and above is not None and state is not None and state.branch:
            common = self._with_branch(above, state.branch)
        return (None, None) if common is None else (common, self._key_of(common))

    def _registered(self, top: str) -> str | None:
        """Return the repository of a worktree, if both sides say so: its ``.git``, and git's entry."""
        try:
            place = gitdir.find(top, {})
            if place is None or place.top != top:
                return None
            # What any folder's `.git` names proves nothing: git has to know the worktree, too.
            if not files.same(gitdir.worktree_of(place.private), top):
                return None
            return os.path.realpath(place.common)
        except (OSError, ValueError):
            return None

    def _of_agents(self, key: str) -> str | None:
        """Return the repository of the agents' worktrees of a run, whose own is gone."""
        folder = layout.worktrees(self.store, key)
        for name in reading.folders(self.store, folder, reading.quiet):
            common = self._registered(f"{folder}/{name}")
            if common is not None:
                return common
        return None

    def _with_branch(self, folder: str, branch: str) -> str | None:
        """Return the one repository called like the folder that has the branch; None: none, or more."""
        if folder not in self._stems:
            self._stems[folder] = self._called(folder)
        having = [
            common
            for _, common in self._stems[folder]
            if gitdir.tip(Place(common, common, common), branch) is not None
        ]
        return having[0] if len(having) == 1 else None

    def _called(self, folder: str) -> list[tuple[str, str]]:
        if self._owned is None:
            keys = reading.folders(self.store, f"{self.store}/state", reading.quiet)
            self._owned = [key for key in keys if _has_document(self.store, key)]
        return [
            (key, common)
            for key in self._owned
            if _is_called(key, folder) and (common := self._common_of(key)) is not None
        ]

    def _common_of(self, key: str) -> str | None:
        if not _has_document(self.store, key):
            return None
        try:
            common = repokey.common_of(self.store, key)
        except (OSError, ValueError):
            return None
        return None if common is None else os.path.realpath(common)

    def _key_of(self, common: str) -> str | None:
        if self._mine is not None:
            return self.wanted if files.same(common, self._mine) else None
        if common not in self._keys:
            self._keys[common] = repokey.known(self.store, common)
        return self._keys[common]


def _has_document(store: str, key: str) -> bool:
    return os.path.lexists(layout.repository(store, key))


def _is_called(key: str, folder: str) -> bool:
    """Whether a key is that of a repository in such a folder, or of a second one that is called so."""
    stem = names.repository_stem(folder)
    rest = key.removeprefix(f"{stem}-")
    is_second = rest != key and len(rest) == 6 and not rest.strip("0123456789abcdef")
    return key == stem or is_second
