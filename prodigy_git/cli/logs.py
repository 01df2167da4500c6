"""logs: what an agent's command has said, and its program's transcript."""

import collections
import contextlib
import functools
import itertools
import os
import shlex
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output
from prodigy_git.errors import ProdigyError

if TYPE_CHECKING:
    from prodigy_git.store.briefs import Brief
    from prodigy_git.transcripts.transcript_file import Place
    from prodigy_git.views.session_logs import Log, Logged

_AGAIN = 2.0
"""Seconds between two looks for sessions that have begun meanwhile: there may be thousands."""
_TAIL = 20
"""Entries and lines that -f begins with."""


@click.command()
@click.argument("name", metavar="[SESSION|AGENT|ITEM]", required=False,
                shell_complete=completing.explained)  # fmt: skip
@click.option("-f", "--follow", is_flag=True, help="Go on as there comes more, until interrupted.")
@click.option(
    "--tail", type=click.IntRange(0), metavar="N",
    help="Only the last N entries of each. [default: all; with --follow 20]",
)  # fmt: skip
@click.option("--full", is_flag=True, help="Whole results of tools, and what the model thought.")
@click.option("--raw", is_flag=True, help="The lines as the files have them.")
@click.option("--keep", is_flag=True, help="Copy the transcripts into the store, and say where.")
@output.json_option
def logs(
    name: str | None,
    follow: bool,
    tail: int | None,
    full: bool,
    raw: bool,
    keep: bool,
    as_json: bool,
) -> None:
    """Show what an agent has said and done: its command's output, its program's transcript.

    Of a session, an agent (all its sessions) or an item (all its attempts); without a name, of the
    session that you stand in, else a list of what there is. Read from the transcripts of Claude Code,
    Codex, Gemini CLI and Copilot CLI. What looks like a secret is not shown.

    \b
    Example:
      prodigy-git logs ada --tail 50
      prodigy-git logs item-7 -f
    """
    from prodigy_git.store import briefs
    from prodigy_git.views import session_logs

    cwd = gitenv.here()
    if raw and (full or as_json):
        raise click.UsageError("--raw is what the files have: give it without --full and --json.")
    if keep and (follow or raw or full or tail is not None):
        raise click.UsageError("--keep copies, and shows nothing: give it with a name or --json.")
    own = _standing_in(cwd) if name is None else None
    named = None
    if name is None and own is None:
        if follow or keep or raw or tail is not None:
            raise ProdigyError(
                "you stand in no session: give a name, 'prodigy-git logs' lists them"
            )
        _list(session_logs.everyone(cwd, output.note)[1], as_json=as_json)
        return
    if own is not None:
        store, some = own[0], briefs.read_some(own[0], [own[1]])
    else:
        cache: briefs.Cache = {}
        named = functools.partial(session_logs.named, cwd, str(name), output.note, cache)
        store, some = named()
    if keep:
        _keep(store, some, as_json=as_json)
        return
    wish = _Wish(_TAIL if follow and tail is None else tail, full=full, raw=raw, as_json=as_json)
    shown = _Shown(store, some, wish)
    if follow:
        shown.follow(named)
        return
    lines = shown.lines()
    first = next(lines, None)
    if first is None:
        raise ProdigyError(_nothing(name or some[0].id, shown.found))
    if not output.on_terminal() or output.is_plain():
        output.stream(itertools.chain([first], lines))
    else:
        # As git has it: what fits on a screen stays there, and colours are shown. click asks LESS, too.
        os.environ.setdefault("LESS", "-FRX")
        _need_a_pager()
        click.echo_via_pager(f"{line}\n" for line in itertools.chain([first], lines))


def _need_a_pager() -> None:
    """Raise `ProdigyError` where ``PAGER`` cannot be split into words, which click does not expect."""
    pager = os.environ.get("PAGER", "")
    try:
        shlex.split(pager)
    except ValueError as error:
        raise ProdigyError(f"PAGER is no command: {pager} ({error})") from None


def _standing_in(cwd: str) -> tuple[str, str] | None:
    """Return store and session of the worktree that one stands in; None outside of any."""
    from prodigy_git.record import gitdir
    from prodigy_git.store import home

    there = home.enrolled(gitdir.find(cwd, {}))
    return None if there is None else (there.store, there.session)


def _nothing(name: str, found: "list[Logged]") -> str:
    gone = [log.path for one in found for log in one.logs if not os.path.lexists(log.path)]
    if gone:
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        return (
            f"the log of {name} is gone: {gone[0]}{more}; 'logs --keep' keeps those that are there"
        )
    return (
        f"there is no log of {name}: no program's hook has said where one is, and "
        "'prodigy-git run' has kept none"
    )


# A list --------------------------------------------------------------------------------------


def _list(found: "list[Logged]", *, as_json: bool) -> None:
    if as_json:
        output.emit_json([_as_json(one) for one in found])
        return
    rows = [
        (one.session.id, one.session.agent or "-", one.session.item or "-", one.session.status,
         log.kind, _size(log.path), log.path)
        for one in found for log in one.logs
    ]  # fmt: skip
    headings = ("SESSION", "AGENT", "ITEM", "STATUS", "LOG", "SIZE", "PATH")
    output.table(
        headings, rows, ("ITEM", "STATUS", "SIZE"),
        empty="no session has a log yet: 'prodigy-git run', and agents with hooks, leave some",
    )  # fmt: skip


def _size(path: str) -> str:
    from prodigy_git.amounts import human

    try:
        return human(os.stat(path).st_size)
    except OSError:
        return "gone"


def _as_json(one: "Logged") -> dict[str, Any]:
    session = one.session
    return {
        "session_id": session.id, "agent_id": session.agent, "item_id": session.item,
        "job_id": session.job, "repo": session.repo, "status": session.status,
        "logs": [
            {"kind": log.kind, "path": log.path, "agent_program": log.program,
             "exists": os.path.lexists(log.path)}
            for log in one.logs
        ],
    }  # fmt: skip


# Copies --------------------------------------------------------------------------------------


def _keep(store: str, some: "list[Brief]", *, as_json: bool) -> None:
    from prodigy_git.transcripts import keeping, of_sessions

    made: list[dict[str, str]] = []
    for one in some:
        there = of_sessions.of_session(store, one.id)
        if there is not None:
            made += [
                {"session_id": one.id, "transcript": path, "copy": copy}
                for path, copy in keeping.keep(store, there, output.note)
            ]
    if not made:
        raise ProdigyError("there is no transcript that could be kept")
    if as_json:
        output.emit_json(made)
        return
    for copied in made:
        output.line(copied["copy"])


# What was said -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Wish:
    """How it is to be shown. ``tail``: so many entries of each log, None all."""

    tail: int | None
    full: bool
    raw: bool
    as_json: bool


@dataclass
class _Followed:
    """A log, how far it was shown, and whose it is."""

    log: "Log"
    session: str
    place: "Place"
    safe: Callable[[str], str]
    """Takes out what looks like a secret, as the repository's settings say."""


@dataclass
class _Shown:
    """The logs of some sessions, as they are shown: what was shown before is not shown again."""

    store: str
    sessions: "list[Brief]"
    wish: _Wish
    found: "list[Logged]" = field(default_factory=list)
    _followed: dict[str, _Followed] = field(default_factory=dict)
    _seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    _days: dict[str, Any] = field(default_factory=dict)
    _last: str = ""

    def lines(self, *, begun: bool = False) -> Iterator[str]:
        """Yield what there is; once ``begun`` only what is new, and nothing left out."""
        from prodigy_git.record import redacting
        from prodigy_git.transcripts.transcript_file import Place
        from prodigy_git.views import session_logs

        self.found = [session_logs.of_session(self.store, one) for one in self.sessions]
        there = [(log, one.session) for one in self.found for log in one.logs]
        for log, session in there:
            if log.path not in self._followed:
                place = Place(log.path, log.program)
                safe = functools.partial(redacting.text, self.store, session.repo or "")
                self._followed[log.path] = _Followed(log, session.id, place, safe)
        self._put_together({log.path for log, _ in there})
        many = len(there) > 1
        for log, _ in there:
            one = self._followed[log.path]
            try:
                for line in self._of_log(one, begun=begun):
                    if many and not self.wish.as_json and self._last != log.path:
                        yield from self._heading(one)
                        self._last = log.path
                    yield line
            except FileNotFoundError:
                continue
            except OSError as error:
                one.place.complain(output.note, error.strerror or str(error))

    def _put_together(self, there: set[str]) -> None:
        """Go to the end of an output whose parts, which were shown, are behind its beginning now."""
        for path in [one for one in self._followed if ".log.tail-" in one and one not in there]:
            del self._followed[path]
            whole = self._followed.get(path.rpartition(".tail-")[0])
            if whole is not None and whole.place.offset:
                with contextlib.suppress(OSError):
                    whole.place.offset = os.stat(whole.log.path).st_size
                    whole.place.mark = None
                output.note(f"{whole.log.path} is whole now: 'logs' shows what was not shown here")

    def _heading(self, one: _Followed) -> Iterator[str]:
        if self._last:
            yield ""
        text = output.clean(f"==> {one.session}, {one.log.kind}: {one.log.path} <==")
        yield output.styled(text, bold=True)

    def _of_log(self, one: _Followed, *, begun: bool) -> Iterator[str]:
        from prodigy_git.cli import log_text
        from prodigy_git.transcripts import transcript_file

        last = None if begun else self.wish.tail
        if one.log.kind == "output" or self.wish.raw:
            yield from self._of_lines(one, last, begun=begun)
            return
        seen = self._seen.setdefault(one.session, {})
        days = self._days.setdefault(one.log.path, log_text.Days())
        for entry in transcript_file.entries(one.place, seen, output.note, last=last):
            if self.wish.as_json:
                yield output.json_text(self._about(one) | log_text.as_json(entry, one.safe))
                continue
            for number, line in enumerate(
                log_text.for_people(entry, one.safe, full=self.wish.full)
            ):
                if number == 0 and (day := days.line(entry)) is not None:
                    yield day
                yield line

    def _about(self, one: _Followed) -> dict[str, Any]:
        return {"session_id": one.session, "source": one.log.kind, "path": one.log.path}

    def _of_lines(self, one: _Followed, last: int | None, *, begun: bool) -> Iterator[str]:
        """Yield the lines of a command's output, or with ``--raw`` those of a transcript."""
        from prodigy_git.cli import log_text
        from prodigy_git.transcripts import transcript_file

        found: Iterable[bytes] = transcript_file.added(one.place, output.note, waiting=begun)
        if last is not None:
            found = collections.deque(found, maxlen=last)
        for data in found:
            if one.log.kind == "transcript":
                yield log_text.raw(data, one.safe)
                continue
            text = data.decode("utf-8", "surrogateescape")
            if self.wish.as_json:
                yield output.json_text(self._about(one) | log_text.output_as_json(text, one.safe))
            else:
                yield log_text.shown(one.safe(text))

    def follow(self, named: "Callable[[], tuple[str, list[Brief]]] | None") -> None:
        """Print what there is and what comes, of new files of these sessions, too.

        ``named`` returns the sessions that are meant, which become more: an item is tried again.
        """
        from prodigy_git.store import watching

        folders, asked = self._folders, time.monotonic()
        for number, _ in enumerate(watching.stirred(folders, output.note)):
            if named is not None and time.monotonic() > asked + _AGAIN:
                with contextlib.suppress(ProdigyError):  # cleaned meanwhile: what was followed is
                    self.sessions = named()[1]
                asked = time.monotonic()
            output.stream(self.lines(begun=number > 0))
            if number == 0 and not self._followed:
                output.note("there is no log yet: what comes is shown")

    def _folders(self) -> set[str]:
        return {f"{self.store}/sessions", *(os.path.dirname(path) for path in self._followed)}
