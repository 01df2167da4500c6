"""What the journal alone cannot tell, asked of git: slower, still right. Loaded only where needed.

HEAD may have been moved behind the journal's back, lines may have expired, or a line may carry a verb
that git did not write.
"""

from __future__ import annotations

import os

from prodigy_git.record import files, gitdir, journal
from prodigy_git.record.journal import MADE, PICK, UNDECIDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from prodigy_git.record.gitdir import Commit, Place
    from prodigy_git.record.journal import Movement


def reached(place: Place, sha: str) -> bool:
    """Whether any ref reaches ``sha``."""
    status, out = gitdir.ask(place, "for-each-ref", "--count=1", f"--contains={sha}")
    return status == 0 and bool(out.strip())


def undecided(
    place: Place,
    since: tuple[str, int],
    movement: Movement,
    commits: dict[str, Commit],
    lost: list[str],
) -> list[str]:
    """Return the commits that a movement without a verb of git's own brought, if made here.

    ``update-ref`` without a message is plumbing: it may bring several commits, made some time ago. A
    verb of the user's own (GIT_REFLOG_ACTION) stands for one git command, which asks for the time
    once, so that the commit's time is the line's.
    """
    commit = commits.get(movement.new)
    if commit is None or commit.committer != movement.identity:
        return []
    if not movement.message:
        return made_between(place, since, movement.new, movement, commits, lost)
    if commit.seconds != movement.seconds or _made_elsewhere(place, movement.new):
        return []
    return [movement.new]


def made_between(
    place: Place,
    since: tuple[str, int],
    new: str,
    until: Movement,
    commits: dict[str, Commit],
    lost: list[str],
) -> list[str]:
    """As `made_since`, for commits made until the line ``until`` by its committer."""
    shas = made_since(place, since, new, until.identity, commits, lost)
    return [sha for sha in shas if commits[sha].seconds <= until.seconds]


def made_since(
    place: Place,
    since: tuple[str, int],
    new: str,
    identity: bytes,
    commits: dict[str, Commit],
    lost: list[str],
) -> list[str]:
    """Return the commits made here between a SHA and ``new`` that no line of the journal names.

    ``since`` is the SHA and the time in seconds of the last line before. HEAD has moved behind the
    journal's back (symbolic-ref, plumbing), or lines have expired. Made here is what ``identity`` (the
    committer of the line next to the gap) made since then, and no other journal shows being made.
    """
    old, seconds = since
    if journal.is_null(new) or old == new:
        return []
    exclude = [] if journal.is_null(old) else [f"^{old}"]
    status, out = gitdir.ask(place, "rev-list", "--reverse", "--topo-order", new, *exclude, "--")
    if status != 0:
        lost.append(
            f"git no longer has {old}: commits between it and {new} that no reflog names, if there "
            "were any, cannot be told apart from others and are not recorded"
        )
        return []
    shas = out.decode("ascii").split()
    commits.update(gitdir.read_commits(place, shas))
    return [
        sha
        for sha in shas
        if sha in commits
        and commits[sha].committer == identity
        and commits[sha].seconds >= seconds
        and not _made_elsewhere(place, sha)
    ]


def _made_elsewhere(place: Place, sha: str) -> bool:
    """Whether another worktree's journal shows ``sha`` being made, not merely passed."""
    needle = f" {sha} ".encode()
    for private in _private_folders(place.common):
        if os.path.realpath(private) == os.path.realpath(place.private):
            continue
        try:
            data = files.read(f"{private}/logs/HEAD")
        except OSError:
            continue
        if needle in data and any(
            m.new == sha and m.kind in (MADE, PICK, UNDECIDED) for m in journal.parse(data, 0)
        ):
            return True
    return False


def _private_folders(common: str) -> Iterable[str]:
    """Return the private git directories of a repository: the main one and the linked ones."""
    try:
        linked = os.listdir(f"{common}/worktrees")
    except OSError:
        linked = []
    return [common, *(f"{common}/worktrees/{name}" for name in linked)]
