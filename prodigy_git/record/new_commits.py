"""Which commits were made in a worktree since its cursor, and what they replaced.

The journal answers almost always by itself. Where it has a gap (lines that expired, a HEAD that was
moved without a line, a verb that git did not write), git is asked: slower, still right.
"""

from __future__ import annotations

import errno
import os
import time

from prodigy_git.record import files, gitdir, journal
from prodigy_git.record.journal import MADE, PASSED, PICK, START, UNDECIDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from prodigy_git.record.cursor import Cursor
    from prodigy_git.record.gitdir import Commit, Place
    from prodigy_git.record.journal import Movement, Span
    from prodigy_git.record.rewrites import Rewrite
    from prodigy_git.record.unlogged import Judge


_TRIES = 20
"""How often journal and HEAD are read, at most, until they fit together."""
_PAUSE = 0.0025
"""Seconds between two of these readings, where git is between its two steps."""


class Made:
    """A commit made here.

    ``action`` as in CommitCreated; ``commit`` is None where the object is gone; ``movement`` is None
    where no line of the journal names the commit. ``doubtful``: the log may hold it already, from
    an earlier drain. ``brought``: no ``git commit`` or its like made it, so that the journal does not
    say that it was made here; other sessions' events may say that it was not.
    """

    __slots__ = ("action", "branch", "brought", "commit", "doubtful", "movement", "sha")

    def __init__(
        self,
        sha: str,
        action: str,
        commit: Commit | None,
        movement: Movement | None,
        branch: str | None,
        doubtful: bool,
        brought: bool = False,
    ) -> None:
        """Name the commit; see the class."""
        self.sha = sha
        self.action = action
        self.commit = commit
        self.movement = movement
        self.branch = branch
        self.doubtful = doubtful
        self.brought = brought


class Reading:
    """What a journal holds behind a cursor.

    ``made`` and ``rewrites`` oldest first; ``consumed`` are the lines that need not be read again;
    ``head`` is where HEAD is after them (empty: where they say); ``lost`` tells what cannot be known.
    ``unclear``, where asked for, are commits of which it cannot be decided whether they were made here.
    """

    __slots__ = ("consumed", "head", "lost", "made", "rewrites", "unclear")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.made: list[Made] = []
        self.rewrites: list[Rewrite] = []
        self.consumed: list[Movement] = []
        self.head = ""
        self.lost: list[str] = []
        self.unclear: list[str] = []


def read(
    place: Place, cursor: Cursor, *, rebase_ended: bool, doubts: bool = False
) -> Reading | None:
    """Return what the journal holds behind ``cursor``, or None where HEAD has not moved since.

    With ``doubts`` also what is unclear.
    """
    for _ in range(_TRIES):
        # git may be at work: it writes a line first and moves HEAD then. A commit, or a switch, between
        # the two readings would pass for one that no line names.
        size = _size(place)
        movements, placed = behind(place, cursor)
        branch, head = gitdir.head(place)
        if place.gone:
            if movements and not placed and movements[0].seconds <= cursor.seconds:
                movements = []  # an old one: the cursor has gone on in the one written anew
            # Whatever the branch is by now, if it is: this is where HEAD was.
            branch = journal.last_branch(movements, branch, lambda name: gitdir.tip(place, name))
            head = movements[-1].new if movements else cursor.sha
        fits = (movements[-1].new if movements else cursor.sha) == (head or "")
        if _size(place) == size and (fits or gitdir.head(place) == (branch, head)):
            half = not fits and bool(movements) and movements[-1].old == (head or "")
            if not half or place.held is not None:
                break
            time.sleep(_PAUSE)  # for git to move HEAD, if it was not killed: asking it costs more
    if not movements and cursor.sha == (head or ""):
        return None
    journal.name_branches(
        movements,
        branch,
        first=cursor.branch,
        tip=lambda name: gitdir.tip(place, name),
        rebase_ended=rebase_ended,
    )
    commits = gitdir.read_commits(
        place, dict.fromkeys(m.new for m in movements if m.kind in (MADE, PICK, UNDECIDED))
    )
    under_way = not rebase_ended and gitdir.rebasing(place)
    ended, count = journal.spans(movements, commits, under_way=under_way)
    reading = Reading()
    began = None
    if doubts:
        began = 10**9 * (cursor.seconds or (movements[0].seconds if movements else 0))
    _collect(
        place, cursor, movements, count, commits, ended, head, under_way, not placed or place.gone,
        began, reading,
    )  # fmt: skip
    amends = [
        (one.movement.old, one.sha, one.doubtful)
        for one in reading.made
        if one.action == "amend" and one.movement is not None
    ]
    if ended or amends:
        # Only where there is something to link: a plain commit does not pay for loading it.
        from prodigy_git.record import rewrites

        reading.rewrites = rewrites.link(place, amends, ended, commits, not placed or place.gone)
    return reading


def _size(place: Place) -> int:
    try:
        return os.stat(f"{place.private}/logs/HEAD").st_size
    except OSError:  # reftable
        return 0


def behind(place: Place, cursor: Cursor) -> tuple[list[Movement], bool]:
    """Return the movements after the cursor, and whether its place was found.

    Where it was not, the movements are all that the journal has.
    """
    path = f"{place.private}/logs/HEAD"
    try:
        descriptor, about = files.opened(path)
    except FileNotFoundError:
        if place.held is not None:
            raise  # it was there when git ran the hook: somebody is deleting it
        whole = _asked_of_git(place)
        last = whole[max(0, cursor.offset - cursor.length) : cursor.offset]
        if not cursor.length or files.sha1_hex(last) == cursor.digest:
            return journal.parse(whole[cursor.offset :], cursor.offset), True
        return _behind_rewritten(journal.parse(whole, 0), cursor)
    try:
        size = about.st_size
        if cursor.offset <= size:
            block = _pread(path, descriptor, cursor.offset - cursor.length, size)
            last = block[: cursor.length]
            if not cursor.length or files.sha1_hex(last) == cursor.digest:
                return journal.parse(block[cursor.length :], cursor.offset), True
        whole = _pread(path, descriptor, 0, size)
    finally:
        os.close(descriptor)
    return _behind_rewritten(journal.parse(whole, 0), cursor)


def _pread(path: str, descriptor: int, begin: int, end: int) -> bytes:
    if end - begin > files.LARGEST:
        raise files.TooLarge(errno.EFBIG, "is a journal with more than 256 MB of news", path)
    parts = []
    while begin < end and (part := os.pread(descriptor, end - begin, begin)):
        parts.append(part)
        begin += len(part)
    return b"".join(parts)


def _behind_rewritten(movements: list[Movement], cursor: Cursor) -> tuple[list[Movement], bool]:
    """Find the cursor's place again in a journal that was shortened (gc, reflog expire)."""
    if not cursor.length:
        return [m for m in movements if m.end > cursor.offset], True
    for index in range(len(movements) - 1, -1, -1):
        # Not by the whole line: `reflog expire --rewrite` gives lines another old.
        if movements[index].new == cursor.sha and movements[index].seconds == cursor.seconds:
            return movements[index + 1 :], True
    return movements, False


def _asked_of_git(place: Place) -> bytes:
    """Return HEAD's reflog as git tells it, for a backend that keeps it elsewhere (reftable).

    In the form of the file: the same lines each time, so that a place in it can be found again.
    """
    status, out = gitdir.ask(
        place, "log", "-g", "-z", "--no-show-signature", "--date=raw",
        "--format=%H%n%gn <%ge> %gd%n%gs", "HEAD", "--",
    )  # fmt: skip
    lines = []
    old = b""
    for entry in reversed(out.split(b"\0") if status == 0 else []):
        words = entry.strip(b"\n").split(b"\n", 2)
        if len(words) < 2:
            continue
        new, who = words[0], words[1]
        name, _, when = who.rpartition(b" HEAD@{")
        message = b"\t" + words[2].replace(b"\n", b" ") if len(words) == 3 else b""
        lines.append(
            (old or b"0" * len(new)) + b" " + new + b" " + name + b" " + when.rstrip(b"}") + message
        )
        old = new
    return b"".join(line + b"\n" for line in lines)


def _collect(
    place: Place,
    cursor: Cursor,
    movements: list[Movement],
    count: int,
    commits: dict[str, Commit],
    ended: list[Span],
    head: str | None,
    under_way: bool,
    doubtful: bool,
    began: int | None,
    reading: Reading,
) -> None:
    """Go through the first ``count`` movements and fill ``reading`` with what was made in them."""
    kept = {sha for span in ended for sha in span.kept}
    dropped = {m.new for span in ended for m in span.picks if m.kind == PICK} - kept
    found: dict[str, Made] = {}
    previous, seconds, identity = cursor.sha, cursor.seconds, cursor.identity
    end = head or ""
    judge: Judge | None = None

    def judging() -> Judge:
        nonlocal judge
        if judge is None:
            from prodigy_git.record.unlogged import Judge  # a plain commit does not need it

            judge = Judge(place, commits, reading.lost, began)
        return judge

    def add(
        sha: str, action: str, movement: Movement | None, at: Movement | None, again: bool | None
    ) -> None:
        """Note a commit; ``again``: it may be in the log. None: so it may, and it was brought."""
        branch = at.branch if at is not None else None
        doubt = again is not False or doubtful
        commit = commits.get(sha)
        found.setdefault(sha, Made(sha, action, commit, movement, branch, doubt, again is None))

    for index in range(count):
        movement = movements[index]
        if previous and movement.old != previous and not journal.is_null(movement.old):
            since = (previous, seconds)
            for sha in judging().between(since, movement.old, movement.identity, movement):
                add(sha, "unknown", None, movement, None)
        after = movements[index + 1].old if index + 1 < len(movements) else end
        for sha in _below(movement, (movement.old, seconds), commits, judging):
            add(sha, "unknown", None, movement, None)
        if movement.kind in (MADE, PICK, UNDECIDED) and not (
            movement.kind == PICK and movement.new in dropped
        ):
            unmoved = after == movement.old or (not after and journal.is_null(movement.old))
            if (
                unmoved
                and place.held is not None
                and not place.gone
                and index + 1 == len(movements)
            ):
                break  # a recorder looks again when it has moved
            if unmoved and not place.gone and _never_reached(place, movement.new):
                # git writes the line before it moves the ref: it was killed in between, or, at the
                # journal's end, may be about to move it.
                if index + 1 == len(movements):
                    break
            elif movement.kind == UNDECIDED:
                since = (movement.old, seconds)
                for sha in judging().brought(since, movement, [movement.new]):
                    line = movement if sha == movement.new else None
                    add(sha, movement.action, line, movement, None)
            else:
                again = _perhaps_again(place, cursor, commits.get(movement.new), movement.new)
                add(movement.new, movement.action, movement, movement, again)
        reading.consumed.append(movement)
        if not journal.is_null(movement.new):
            previous = movement.new
        seconds, identity = movement.seconds, movement.identity
    else:
        if previous and end and end != previous and not under_way:
            last = movements[-1] if movements else None
            for sha in judging().between((previous, seconds), end, identity, None):
                add(sha, "unknown", None, last, None)
            reading.head = end
    reading.made = list(found.values())
    if judge is not None:
        reading.unclear = [sha for sha in judge.unclear if sha not in found]


def _below(
    movement: Movement,
    since: tuple[str, int],
    commits: dict[str, Commit],
    judging: Callable[[], Judge],
) -> list[str]:
    """Return what was made here of the commits that git's own verbs went to or merged.

    ``git reset --soft $(git commit-tree …)`` moves HEAD to a commit that nobody had.
    """
    message = movement.message
    if movement.kind in (PASSED, START):
        if movement.old == movement.new or journal.is_null(movement.new):
            return []
        if journal.is_null(movement.old) and not message.startswith((b"reset: ", b"checkout: ")):
            return []  # what a clone or a new worktree begins with
        return judging().brought(since, movement, [movement.new])
    commit = commits.get(movement.new) if movement.kind == MADE else None
    if commit is None or len(commit.parents) < 2:
        return []
    return judging().brought(since, movement, commit.parents[1:])


def _never_reached(place: Place, sha: str) -> bool:
    from prodigy_git.record import unlogged

    return not unlogged.reached(place, sha)


def _perhaps_again(place: Place, cursor: Cursor, commit: Commit | None, sha: str) -> bool:
    """Whether the journal has the same commit earlier, so that the log may have it too.

    A commit's time is part of its SHA: only one that is no younger than the last line consumed can
    have been made before it. So the journal is searched only where two commits share a second, or
    where dates are fixed by the environment.
    """
    if not cursor.length or commit is None or commit.seconds > cursor.seconds:
        return False
    try:
        earlier = files.read(f"{place.private}/logs/HEAD")[: cursor.offset]
    except OSError:
        return True
    return f" {sha} ".encode() in earlier
