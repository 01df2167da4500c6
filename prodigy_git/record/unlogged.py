"""What the journal alone cannot tell, asked of git: slower, still right. Loaded only where needed.

HEAD may have been moved behind the journal's back, lines may have expired, or a line may carry no verb
of git's that makes a commit, while the commit that HEAD went to was made here by other means
(``commit-tree`` and ``reset``, ``fast-import``, programs that write objects themselves).

A commit that such a movement brought was made here if it is new in the repository since the line
before (`object_age`), was not fetched, and neither another worktree's HEAD nor another ref had it
before (`witnesses`). What only another ref had, nobody knows by whom it was made: it is ``unclear``.
"""

from __future__ import annotations

import os
import time

from prodigy_git.record import files, gitdir, journal, object_age, witnesses
from prodigy_git.record.journal import FINISH, MADE, PICK, UNDECIDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prodigy_git.record.gitdir import Commit, Place
    from prodigy_git.record.journal import Movement
    from prodigy_git.record.witnesses import Witnesses

_CAME = (b"fetch", b"pull", b"push")
_FOLLOWED = (*_CAME, b"clone", b"merge ", b"rebase")
"""What git writes into a branch's log where the branch goes to commits that others had."""


def reached(place: Place, sha: str) -> bool:
    """Whether any ref reaches ``sha``."""
    status, out = gitdir.ask(place, "for-each-ref", "--count=1", f"--contains={sha}")
    return status == 0 and bool(out.strip())


class Judge:
    """Decides on the movements of one reading of a journal, reading git's files at most once.

    ``unclear`` collects what cannot be decided, if ``began`` says since when the question is asked:
    nanoseconds since 1970. Else nobody wants to know, and only what came since the line before is
    looked at. ``lost`` collects what cannot be known any more.
    """

    __slots__ = (
        "_began", "_commits", "_journal", "_lines", "_objects", "_place", "_read", "lost", "unclear",
    )  # fmt: skip

    def __init__(
        self, place: Place, commits: dict[str, Commit], lost: list[str], began: int | None
    ) -> None:
        """Read nothing yet; ``commits`` is added to."""
        self._place = place
        self._commits = commits
        self._began = began
        self._objects = object_age.Objects(place.common)
        self._journal: bytes | None = None
        self._lines: list[Movement] | None = None
        self._read: tuple[int, Witnesses] | None = None
        self.lost = lost
        self.unclear: list[str] = []

    def brought(self, since: tuple[str, int], movement: Movement, tips: list[str]) -> list[str]:
        """Return the commits among ``tips`` and below that a movement brought and that were made here.

        ``since`` is the commit and the time in seconds of the line before.
        """
        before = object_age.not_before(self._objects, *since, self._moment())
        floor = before if self._began is None else min(before, self._began)
        # The cheap question first: a checkout mostly goes to what has long been there.
        tips = [tip for tip in tips if self._objects.is_new(tip, floor)]
        # Where HEAD was before, it was decided then.
        tips = [tip for tip in tips if not self._was_at(tip, movement.start)]
        if not tips or _names_what_was_fetched(movement.message):
            return []
        seen = self._witnesses(floor)
        made_there = {sha for sha, _, kind, _ in seen.heads if kind in (MADE, PICK)}
        # Also by a worktree that is gone since, with its journal.
        made_there |= {line.new for _, line in seen.branches if line.kind in (MADE, PICK)}
        # What lies below such a commit was there before it.
        tips = [tip for tip in tips if tip not in made_there]
        shas = self._beyond(since[0], movement, tips, seen) if tips else []
        times = {sha: self._objects.seen(sha) for sha in shas}
        if any(time is not None and not time[1] for time in times.values()):
            # Packed since, so that nothing says any more that they are new: ask older files too.
            seen = self._witnesses(0)
            shas = self._beyond(since[0], movement, tips, seen)
        shas = [sha for sha in shas if sha not in made_there]
        if not shas:
            return []
        self._commits.update(gitdir.read_commits(self._place, shas))
        held, perhaps = _refs_with(movement, seen)
        by_ref = self._reach(shas, held)
        by_some = self._reach(shas, perhaps)
        named = _names_a_ref(movement, self._place)
        made = []
        for sha in shas:
            when = times[sha]
            commit = self._commits.get(sha)
            if when is None or commit is None or when[0] < floor:
                continue
            fits = commit.committer == movement.identity and commit.seconds >= since[1]
            if when[0] < before or sha in by_ref or named or (sha in by_some and not fits):
                self._doubt(sha)
            else:
                made.append(sha)
        return made

    def between(
        self, since: tuple[str, int], new: str, identity: bytes, until: Movement | None
    ) -> list[str]:
        """Return the commits made here between a SHA and ``new`` that no line of the journal names.

        HEAD has moved behind the journal's back (symbolic-ref, plumbing from another worktree), or
        lines have expired. Without a line there is less to go by: made here is what ``identity`` (the
        committer of the line next to the gap) made since the time of ``since`` and until the line
        ``until``, what was not fetched, and what no other journal shows being made.
        """
        old, seconds = since
        if journal.is_null(new) or old == new:
            return []
        there, shas = self._listed([new], [old], missing=())
        if not there:
            self.lost.append(
                f"git no longer has {old}: commits between it and {new} that no reflog names, if "
                "there were any, cannot be told apart from others and are not recorded"
            )
            return []
        before = object_age.not_before(self._objects, old, seconds, self._moment())
        seen = self._witnesses(0)
        latest = until.seconds if until is not None else None
        came = [
            (line.new, line.seconds) for _, line in seen.branches if line.message.startswith(_CAME)
        ]
        fetched = [
            sha for sha, when in [*seen.fetched, *came] if when and (latest is None or when <= latest)
        ]  # fmt: skip
        fetched += [sha for sha, when in seen.fetched if not when]
        elsewhere = self._reach(shas, fetched)
        elsewhere |= {sha for sha, _, kind, _ in seen.heads if kind in (MADE, PICK, UNDECIDED)}
        shas = [sha for sha in shas if sha not in elsewhere]
        self._commits.update(gitdir.read_commits(self._place, shas))
        held = self._reach(shas, [line.new for _, line in seen.branches])
        made = []
        for sha in shas:
            commit = self._commits.get(sha)
            if commit is None:
                continue
            early = latest is None or commit.seconds <= latest
            if commit.committer == identity and commit.seconds >= seconds and early:
                made.append(sha)
            elif sha not in held and self._objects.is_new(sha, before):
                self._doubt(sha)
        return made

    def _doubt(self, sha: str) -> None:
        if self._began is not None and sha not in self.unclear:
            self.unclear.append(sha)

    def _moment(self) -> int:
        """Return the time of the journal's file, in nanoseconds since 1970."""
        try:
            return os.stat(f"{self._place.private}/logs/HEAD").st_mtime_ns
        except OSError:  # reftable
            return time.time_ns()

    def _text(self) -> bytes:
        if self._journal is None:
            try:
                self._journal = files.read(f"{self._place.private}/logs/HEAD")
            except OSError:  # reftable
                self._journal = b""
        return self._journal

    def _was_at(self, sha: str, end: int) -> bool:
        """Whether a line of the journal's first ``end`` bytes says that HEAD was at ``sha``.

        Without parsing them: a journal may have ten thousands of lines.
        """
        needle = f"{sha} ".encode("ascii")
        at = self._text().find(needle, 0, end)
        while at >= 0:
            if at - (self._text().rfind(b"\n", 0, at) + 1) in (0, len(needle)):
                return True  # and not only in a message
            at = self._text().find(needle, at + 1, end)
        return False

    def _own(self) -> list[Movement]:
        if self._lines is None:
            self._lines = journal.parse(self._text(), 0)
        return self._lines

    def _witnesses(self, floor: int) -> Witnesses:
        if self._read is None or self._read[0] > floor:
            seen = witnesses.gather(self._place, floor)
            # What HEAD did, git writes into its branch's log too: that is no other witness.
            own = {line.line for line in self._own()}
            seen.branches = [(name, line) for name, line in seen.branches if line.line not in own]
            self._read = floor, seen
        return self._read[1]

    def _beyond(self, old: str, movement: Movement, tips: list[str], seen: Witnesses) -> list[str]:
        """Return what ``tips`` have beyond all that was here before a movement, oldest first."""
        at = movement.seconds
        known = {old}
        for line in self._own():
            if line.end < movement.end:
                known.add(line.old)
                known.add(line.new)
        known |= {sha for sha, when in seen.fetched if when <= at}
        known |= {sha for sha, when, _, first in seen.heads if when < at or (when == at and first)}
        for _, line in seen.branches:
            followed = line.kind in (MADE, PICK, FINISH) or line.message.startswith(_FOLLOWED)
            if followed and line.seconds < at:
                known.add(line.new)
        return self._listed(tips, known)[1]

    def _reach(self, shas: list[str], positions: set[str] | list[str]) -> set[str]:
        """Return which of ``shas`` some position reaches."""
        if not shas or not positions:
            return set()
        left = self._listed(shas, positions)[1]
        return set(shas).difference(left)

    def _listed(
        self,
        tips: list[str],
        known: set[str] | list[str],
        missing: tuple[str, ...] = ("--ignore-missing",),
    ) -> tuple[bool, list[str]]:
        """Return whether git could say, and what ``tips`` have beyond ``known``, oldest first."""
        request = "".join(f"{tip}\n" for tip in tips)
        request += "".join(f"^{sha}\n" for sha in known if not journal.is_null(sha))
        status, out = gitdir.ask(
            self._place, "rev-list", "--reverse", "--topo-order", *missing, "--stdin",
            stdin=request.encode("ascii", "replace"),
        )  # fmt: skip
        return status == 0, out.decode("ascii").split() if status == 0 else []


def _refs_with(movement: Movement, seen: Witnesses) -> tuple[set[str], set[str]]:
    """Return where refs were before a movement, and where they were perhaps before it."""
    held = set()
    perhaps = {sha for ref, sha in seen.refs.items() if ref != f"refs/heads/{movement.branch}"}
    for name, line in seen.branches:
        if line.seconds < movement.seconds:
            held.add(line.new)
        elif line.seconds == movement.seconds and name != movement.branch:
            perhaps.add(line.new)
    return held, perhaps


def _names_what_was_fetched(message: bytes) -> bool:
    return message.startswith((*_CAME, b"clone", b"initial pull")) or b"FETCH_HEAD" in message


def _names_a_ref(movement: Movement, place: Place) -> bool:
    """Whether a line says that HEAD went to what a ref had, a ref that is perhaps gone since."""
    message = movement.message
    if message.startswith(b"merge ") and message.endswith(b": Fast-forward"):
        name = message[6:-14]
    elif message.startswith(b"reset: moving to "):
        name = message[17:]
    elif message.startswith(b"checkout: moving from "):
        name = message.rpartition(b" to ")[2]
        if os.path.exists(os.fsencode(f"{place.common}/logs/refs/heads/") + name):
            return False  # its log says more
    else:
        return False
    # git takes four digits of a SHA for one, no fewer.
    is_sha = len(name) >= 4 and not name.strip(b"0123456789abcdef")
    return not is_sha and not name.startswith((b"HEAD", b"@", b"ORIG_HEAD"))
