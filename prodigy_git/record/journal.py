"""Reading git's HEAD reflog: which of its lines are commits made here.

A line is ``old new Name <mail> seconds zone<TAB>message`` (git-reflog(1), refs/files-backend). The
message begins with the operation's verb where git wrote it; ``GIT_REFLOG_ACTION`` can replace it.
"""

from __future__ import annotations

from prodigy_git.record.gitdir import is_sha, split_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prodigy_git.record.gitdir import Commit

# What a line is. MADE: git wrote a commit. PICK: so did a rebase, which may yet be aborted. PASSED:
# HEAD moved to a commit that was there. UNDECIDED: the commit itself must be looked at.
MADE, PICK, PASSED, UNDECIDED, START, FINISH, ABORT = range(7)

_COMMIT_KINDS = {
    b"commit": "commit",
    b"commit (initial)": "initial",
    b"commit (amend)": "amend",
    b"commit (merge)": "merge",
    b"commit (cherry-pick)": "cherry-pick",
    b"cherry-pick": "cherry-pick",
    b"revert": "revert",
    b"am": "am",
}
_PASSING = (
    b"checkout: ", b"reset: ", b"clone: ", b"branch: ", b"Branch: ", b"am --", b"rebase --",
    b"initial pull",
)  # fmt: skip
_PICKS = frozenset(
    (b"pick", b"reword", b"edit", b"squash", b"fixup", b"continue", b"merge", b"revert")
)


class Movement:
    """One line of the journal; ``start`` and ``end`` are its place in the file, in bytes."""

    __slots__ = (
        "action", "branch", "end", "identity", "kind", "line", "message", "new", "old", "seconds",
        "start",
    )  # fmt: skip

    def __init__(self, line: bytes, start: int) -> None:
        """Parse ``line``, which ends with its newline. Raises `ValueError`."""
        # A name may hold a tab, but neither it nor the mail address a `>`.
        tab = line.find(b"\t", line.find(b"> "))
        header, message = (line[:-1], b"") if tab < 0 else (line[:tab], line[tab + 1 : -1])
        old, new, rest = header.split(b" ", 2)
        self.identity, self.seconds = split_ident(rest)
        self.line = line
        self.old = old.decode("ascii")
        self.new = new.decode("ascii")
        self.message = message
        self.start = start
        self.end = start + len(line)
        self.branch: str | None = None
        self.kind, self.action = _judge(self)


def is_null(sha: str) -> bool:
    """Whether ``sha`` is the null object id, of either length."""
    return not sha.strip("0")


def parse(data: bytes, start: int) -> list[Movement]:
    """Return the movements in ``data``, which begins at offset ``start`` of the journal.

    An unterminated last line is not yet a movement; a line that is none is passed over.
    """
    movements = []
    for line in data.split(b"\n")[:-1]:
        try:
            movements.append(Movement(line + b"\n", start))
        except ValueError:
            pass  # damaged, as after a loss of power: the chain check notices what is missing
        start += len(line) + 1
    return movements


def _judge(movement: Movement) -> tuple[int, str]:
    """Return what a line is, and the action that its verb names."""
    message = _spoken(movement.message)
    verb, _, text = message.partition(b": ")
    if message.startswith((b"rebase", b"pull")) or verb not in _COMMIT_KINDS:
        step = _rebase_step(message)
        if step == b"start":
            return START, ""
        if step == b"finish" or message.startswith(b"rebase finished: "):
            return FINISH, ""
        if step == b"abort":
            return ABORT, ""
        if step in _PICKS and not is_null(movement.new) and movement.old != movement.new:
            return (UNDECIDED if text == b"fast-forward" else PICK), "rebase"
    if is_null(movement.new) or movement.old == movement.new:
        return PASSED, ""
    if verb in _COMMIT_KINDS:
        # `cherry-pick: fast-forward` is either that, or a commit with this very subject.
        passing = verb == b"cherry-pick" and text == b"fast-forward"
        return (UNDECIDED if passing else MADE), _COMMIT_KINDS[verb]
    if message.startswith(_PASSING) or (not message and is_null(movement.old)):
        return PASSED, ""
    if verb == b"rebase":
        return (PASSED if text == b"fast-forward" else PICK), "rebase"
    if text.startswith(b"Merge made by ") or text == b"In-index merge":
        return MADE, "merge"
    if text == b"Fast-forward" and message.startswith((b"merge ", b"pull")):
        return PASSED, ""
    return UNDECIDED, "unknown"


def _spoken(message: bytes) -> bytes:
    """Return a line's message with the blank behind ``verb:`` that git cuts off an empty subject."""
    return message + b" " if message.endswith(b":") else message


def _rebase_step(message: bytes) -> bytes:
    """Return the step in ``… (step): …``, which rebase and ``pull --rebase`` write; else nothing."""
    end = message.find(b"): ")
    begin = message.rfind(b" (", 0, end) if end > 0 else -1
    return message[begin + 2 : end] if begin >= 0 else b""


def name_branches(
    movements: list[Movement],
    branch: str | None,
    *,
    first: str | None,
    tip: Callable[[str], str | None],
    rebase_ended: bool,
) -> None:
    """Say for each movement on which branch it was, given HEAD's branch after the last one.

    Goes backwards: what HEAD was on *before* a checkout is in its line as a full name or SHA, what
    it went to is only what the user typed. That and ``first``, the branch before the first movement,
    are asked only about where a rebase began, whose line names no branch.
    """
    closed = False
    for index in range(len(movements) - 1, -1, -1):
        movement = movements[index]
        if movement.kind == START and not closed:
            movement.branch = _went_to(movements[:index], first, movement.old, tip)
            if rebase_ended and branch is None:
                for pick in movements[index + 1 :]:
                    pick.branch = pick.branch or movement.branch
            branch = movement.branch
            continue
        closed = movement.kind in (FINISH, ABORT) or (closed and movement.kind != START)
        movement.branch = branch
        if movement.kind == START and branch is not None:
            # `git rebase onto other` goes to the branch that it names without a checkout's line.
            branch = _went_to(movements[:index], first, movement.old, tip) or branch
        message = movement.message
        if message.startswith(b"checkout: moving from "):
            origin = message[22:].partition(b" to ")[0].decode("utf-8", "surrogateescape")
            branch = None if is_sha(origin) else origin
        elif movement.kind in (FINISH, ABORT):
            _, _, ref = message.partition(b" refs/heads/")
            if ref:
                branch = ref.split(b" ")[0].decode("utf-8", "surrogateescape")
                movement.branch = branch
        elif message.startswith(b"Branch: renamed refs/heads/"):
            branch = message[27:].partition(b" to ")[0].decode("utf-8", "surrogateescape")


def _went_to(
    movements: list[Movement], first: str | None, at: str, tip: Callable[[str], str | None]
) -> str | None:
    """Return the branch that HEAD was on after ``movements``, as far as their lines tell.

    A name in a checkout's line may also have been gone to detached: then commits moved HEAD only, and
    the branch is not ``at`` its SHA.
    """
    for movement in reversed(movements):
        message = movement.message
        name = b""
        if message.startswith(b"checkout: moving from "):
            name = message.rpartition(b" to ")[2]
        elif movement.kind in (FINISH, ABORT) or message.startswith(b"Branch: renamed "):
            name = message.rpartition(b" refs/heads/")[2]
        if name:
            text = name.decode("utf-8", "surrogateescape")
            return text if tip(text) == at else None
    return first


def last_branch(
    movements: list[Movement], held: str | None, tip: Callable[[str], str | None]
) -> str | None:
    """Return the branch that HEAD was on after ``movements``, in a worktree that is gone.

    ``held`` is what HEAD said at some moment of them. A checkout's line has what the user typed, which
    is a branch if it is called so.
    """
    for movement in reversed(movements):
        message = movement.message
        if message.startswith(b"checkout: moving from "):
            name = message.rpartition(b" to ")[2].decode("utf-8", "surrogateescape")
            return name if name == held or tip(name) is not None else None
        if movement.kind in (FINISH, ABORT) or message.startswith(b"Branch: renamed "):
            return message.rpartition(b" refs/heads/")[2].decode("utf-8", "surrogateescape") or held
    return held


class Span:
    """A rebase in the journal: its ``start`` line, the commits that ended in it, its final commit."""

    __slots__ = ("final", "kept", "left", "picks", "start")

    def __init__(self, start: Movement) -> None:
        """Open the span at its ``rebase (start)`` line."""
        self.start = start
        self.picks: list[Movement] = []
        self.left: int | None = None
        self.kept: set[str] = set()
        self.final = ""

    def close(self, final: str, commits: Mapping[str, Commit]) -> None:
        """Keep the picks that ``final`` was built on, through parents made in this span."""
        self.final = final
        made = {pick.new for pick in self.picks}
        waiting = [final]
        while waiting:
            sha = waiting.pop()
            if sha in made and sha not in self.kept and sha in commits:
                self.kept.add(sha)
                waiting.extend(commits[sha].parents)


def spans(
    movements: list[Movement], commits: Mapping[str, Commit], *, under_way: bool
) -> tuple[list[Span], int]:
    """Return the rebases that have ended, and how many of the movements may be consumed.

    A rebase that is ``under_way`` is not consumed: whether its picks are the session's is known when
    it ends. Nor is one that has only begun: the apply backend runs post-checkout behind that line
    before its folder is there, and a later hook needs the line to know what was rebased. One that
    has ended without a line (``--quit``, or the apply backend's last hook) is closed at its last
    pick.
    """
    ended: list[Span] = []
    span: Span | None = None
    for movement in movements:
        if movement.kind == START:
            if span is not None:
                _close_at_last_pick(span, commits)
                ended.append(span)
            span = Span(movement)
        elif span is None:
            continue
        elif movement.kind == FINISH:
            span.close(movement.new, commits)
            ended.append(span)
            span = None
        elif movement.kind == ABORT:
            span.close("", commits)
            ended.append(span)
            span = None
        elif movement.kind in (PICK, MADE, UNDECIDED):
            span.picks.append(movement)
            if movement.kind == PICK:
                span.left = None
        elif span.left is None and movement.message.startswith((b"checkout: ", b"reset: ")):
            span.left = len(span.picks)
    if span is None:
        if under_way and ended:
            # git has yet to write the list of what was replaced, and then runs post-rewrite.
            return ended[:-1], movements.index(ended[-1].start)
        return ended, len(movements)
    if under_way or not span.picks:
        return ended, movements.index(span.start)
    _close_at_last_pick(span, commits)
    ended.append(span)
    return ended, len(movements)


def _close_at_last_pick(span: Span, commits: Mapping[str, Commit]) -> None:
    # A rebase of a detached HEAD writes no end: what was made after leaving it says nothing of it.
    picks = span.picks[: span.left]
    span.close(picks[-1].new if picks else "", commits)
