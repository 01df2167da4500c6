"""What the trash lets go of, by its retention and by its size limit; decides, and deletes nothing.

git config, read in the entry's repository: ``prodigy.trashRetention`` (``7d``, the default; a number
and s, m, h, d or w; or ``never``) and ``prodigy.trashLimit`` (bytes, with k, m or g as git takes them;
default 20g; for all of a repository's trash together). An entry's age is its ``created_at``, never a
file's time. The limit takes the oldest entries first, and only such whose session had ended at their
removal and whose uncommitted work the salvage ref holds, all of it: the rest waits for the retention.
"""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from prodigy_git import duration
from prodigy_git.amounts import human, number
from prodigy_git.cleanup.folders.erasing import allocated
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.cleanup.trash import settling
from prodigy_git.cleanup.trash.entry import Entry
from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import git_status, said
from prodigy_git.model.session import ENDED
from prodigy_git.record import clock
from prodigy_git.store import locked
from prodigy_git.store.events import Broken

RETENTION = 7 * 86400 * clock.SECOND
"""How long an entry stays, in microseconds, where git config does not say."""
LIMIT = 20 * 1024**3
"""How many bytes the trash of one repository may take, where git config does not say."""

Retentions = dict[str, "int | ProdigyError | None"]
"""What `retention` said of each common git directory: a listing asks git once, not once a line."""


@dataclass
class Plan:
    """What is to go: the entries, oldest first, and a line about each limit that acts.

    ``measured`` are the entries whose size was not noted yet, and is known now.
    """

    entries: list[Entry] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    measured: list[Entry] = field(default_factory=list)


def retention(common: str) -> int | None:
    """Return a repository's retention in microseconds; None: nothing is emptied by age.

    Raises `ProdigyError` for a setting that is no duration.
    """
    text = _setting(common, "prodigy.trashRetention")
    if text is None:
        return RETENTION
    if text == "never":
        return None
    kept = duration.parse(text)
    if kept is None:
        raise ProdigyError(
            f"git config prodigy.trashRetention {text!r} is no duration, so nothing is emptied by "
            "age: write 7d, 12h or never"
        )
    return kept


def limit(common: str) -> int:
    """Return how many bytes a repository's trash may take. Raises `ProdigyError` for a bad setting."""
    text = _setting(common, "prodigy.trashLimit", "--type=int")
    return LIMIT if text is None else int(text)


def _setting(common: str, name: str, *options: str) -> str | None:
    """Return a git setting; the global one where the repository is gone, or its disk not mounted."""
    here = os.path.isdir(common)
    where = () if here else ("--global",)
    status, out, err = git_status(
        common if here else "/", "config", *where, *options, "--get", name
    )
    if status == 0:
        return out.removesuffix("\n")
    if status == 1:
        return None
    why = said(err, f"exit status {status}")
    raise ProdigyError(f"git config {name}: {why}; nothing is emptied")


def expires_at(found: Entry, known: Retentions | None = None) -> int | None:
    """Return when an entry's retention ends, in microseconds since 1970; None: it does not.

    ``known`` keeps what git said, for the next entry. Raises `ProdigyError` where git config or the
    entry does not say.
    """
    known = {} if known is None else known
    if found.common not in known:
        try:
            known[found.common] = retention(found.common)
        except ProdigyError as error:
            known[found.common] = error
    kept = known[found.common]
    if isinstance(kept, ProdigyError):
        raise kept
    created = clock.parse(found.created_at)
    if created is None:
        raise ProdigyError(f"{found.path}: no readable created_at, so it is kept")
    return None if kept is None else created + kept


def plan(store: str, broken: Broken, repo: str | None = None) -> Plan:
    """Return what retention and limit let go of now; changes nothing.

    That of the repository key ``repo``, or with None of all. What cannot be told is reported.
    """
    there = [one for one in entries.entries(store, broken, repo) if one.state == "trashed"]
    decided = Plan(_due(there, broken))
    aged = {one.path for one in decided.entries}
    by_repo: dict[str, list[Entry]] = {}
    for one in there:
        if one.path not in aged:
            by_repo.setdefault(one.repo, []).append(one)
    for key, some in by_repo.items():
        _limited(decided, key, some, broken)
    decided.entries.sort(key=lambda one: (one.moment, one.path))
    return decided


def _due(there: Iterable[Entry], broken: Broken) -> list[Entry]:
    """Return the entries whose retention has ended."""
    now = clock.now()
    known: Retentions = {}
    found = []
    reported = set()
    for one in there:
        try:
            ends = expires_at(one, known)
        except ProdigyError as error:
            if str(error) not in reported:  # one setting, and many entries that it is about
                broken(str(error))
            reported.add(str(error))
            continue
        if ends is not None and ends <= now:
            found.append(one)
    return found


def _limited(decided: Plan, key: str, some: list[Entry], broken: Broken) -> None:
    """Add what a repository's limit takes; ``some`` is what its trash holds, oldest first."""
    may_go = [
        one for one in some if one.settled and one.session_status in ENDED and not one.left_out
    ]
    if not may_go:
        return
    try:
        most = limit(some[-1].common)
    except ProdigyError as error:
        broken(str(error))
        return
    total = 0
    for one in some:
        known = one.bytes is not None
        try:
            total += measured(one)
        except ProdigyError as error:  # it names what is not in the trash: it is not deleted either
            broken(str(error))
            may_go = [other for other in may_go if other is not one]
            continue
        if not known:
            decided.measured.append(one)
    left, taken = total, []
    for one in may_go:
        if left > most:
            taken.append(one)
            left -= measured(one)
    if taken:
        decided.entries += taken
        what = number(len(taken), "removed worktree")
        decided.words.append(
            f"the trash of {key} takes {human(total)}, more than prodigy.trashLimit ({human(most)}): "
            f"the oldest of it goes for good, {what}, {human(total - left)}"
        )


def measured(found: Entry) -> int:
    """Return the bytes that an entry's folders take on disk (blocks), measured where not yet noted."""
    if found.bytes is None:
        found.bytes = sum(map(allocated, entries.contents(found)))
    return found.bytes


def note_sizes(measured: Iterable[Entry]) -> None:
    """Write down in the entries what was measured, so that it is done once; where it can be."""
    for one in measured:
        with (
            contextlib.suppress(ProdigyError, OSError),
            locked.repository(settling.store_of(one), one.repo),
        ):
            now = entries.read(one.path)
            if now.state == "trashed" and now.bytes is None:
                now.bytes = one.bytes
                entries.write(now)
