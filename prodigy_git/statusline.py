"""One line on the session that one stands in, for a prompt: some milliseconds beside Python's start.

No library, no lock, nothing written; what is missing or damaged is left out, never an error: a prompt
must not break. Standard library only, and of that little: `__main__` comes here before anything else
is imported.
"""

from __future__ import annotations

import os
import sys

from prodigy_git import gitenv, glance, layout, names, tally
from prodigy_git.record import cursor, enrolment, gitdir, jsonline, persons, session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from prodigy_git.record.enrolment import Enrolment
    from prodigy_git.record.gitdir import Place

FIELDS = (
    "session", "agent", "item", "job", "status", "phase", "done", "failed", "total", "percent",
    "commits", "dirty", "changes", "branch", "persons", "program", "state", "since", "reason",
)  # fmt: skip
"""What may stand in braces in a format."""
_KEYS = {name: f"{name}_id" for name in ("session", "agent", "item", "job")} | {
    "program": "agent_program", "since": "since_seconds",
}  # fmt: skip
"""What fields are called in JSON, there as in that of every command."""
_FOR = {"permission": "a permission", "question": "an answer", "idle": "a prompt"}
_END = 8192
"""How many bytes of a session's activity tell how it stands: its end."""
PATIENCE = 0.25
"""How many seconds ``git status`` is waited for."""

_PHASES = ("setup", "map", "reduce", "complete")


def main(arguments: Sequence[str]) -> bool:
    """Print the line that the arguments ask for; False where they are for the real parser.

    Those are ``--json``, ``--format TEXT`` and ``--format=TEXT``: whatever else there is, help and
    errors too, is click's.
    """
    form, as_json = None, False
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--json":
            as_json = True
        elif word == "--format" and rest:
            form = rest.pop(0)
        elif word.startswith("--format="):
            form = word.removeprefix("--format=")
        else:
            return False
    try:
        text = line(form, as_json=as_json)
    except ValueError:
        return False  # the format is wrong
    if text is not None:
        try:
            os.write(1, text.encode("utf-8", "replace") + b"\n")
        except OSError:
            pass  # nobody looks
    return True


def line(form: str | None, *, as_json: bool = False) -> str | None:
    """Return the line for where the process stands; None outside of a session.

    ``form`` has names of `FIELDS` in braces, ``{{`` for a brace; None is our own form. As JSON it is
    ``null`` outside of a session. Raises `ValueError` for a ``form`` that is wrong.
    """
    pieces = None if form is None else _parsed(form)
    try:
        found = look()
    except Exception:  # whatever it is: a prompt is the wrong place to say so
        found = None
    if as_json:
        return jsonline.encode(
            found and {_KEYS.get(name, name): one for name, one in found.items()}
        )
    if found is None:
        return None
    shown = {name: _shown(found[name]) for name in FIELDS if name not in ("dirty", "persons")}
    shown["persons"] = "your own" if found["persons"] else ""
    shown["since"] = "" if found["since"] is None else _age(found["since"])
    shown["dirty"] = {None: "?", True: "*", False: ""}[found["dirty"]]
    if pieces is not None:
        return "".join(shown[text] if is_field else text for is_field, text in pieces)
    return _usual(found, shown)


def _shown(value: Any) -> str:
    return "" if value is None else names.printable(str(value))


def _age(seconds: int) -> str:
    """Return a length of time in its largest unit, as ``5m``."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def _parsed(form: str) -> list[tuple[bool, str]]:
    """Return a format's pieces as (whether it is a field, text)."""
    pieces: list[tuple[bool, str]] = []
    at = 0
    while at < len(form):
        if form[at : at + 2] in ("{{", "}}"):
            pieces.append((False, form[at]))
            at += 2
        elif form[at] == "{":
            end = form.find("}", at)
            name = form[at + 1 : end] if end > 0 else ""
            if name not in FIELDS:
                raise ValueError(
                    f"{form[at : end + 1] if end > 0 else form[at:]!r} is no field: "
                    f"write one of {', '.join(FIELDS)} in braces, '{{{{' for a brace"
                )
            pieces.append((True, name))
            at = end + 1
        else:
            pieces.append((False, form[at]))
            at += 1
    return pieces


def _usual(found: dict[str, Any], shown: dict[str, str]) -> str:
    who = [shown["persons"] or shown["session"]]
    if found["agent"] not in (None, found["session"]):
        who.append(shown["agent"])
    if found["item"] is not None:
        who.append(shown["item"])
    parts = [" ".join(who)]
    if found["total"]:
        parts.append(
            f"{shown['job']} {shown['done']}/{shown['total']} {shown['percent']}% {shown['phase']}"
        )
    elif found["job"] != found["session"]:
        parts.append(shown["job"])
    if found["program"] is not None and found["state"] != "ended":
        what = f" for {_FOR[found['reason']]}" if found["reason"] in _FOR else ""
        parts.append(f"{shown['program']} {shown['state']} {shown['since']}{what}")
    if found["commits"] is not None:
        parts.append(f"{shown['commits']} {'commit' if found['commits'] == 1 else 'commits'}")
    if found["changes"] != 0:
        parts.append("? dirty" if found["changes"] is None else f"{shown['changes']} dirty")
    if found["status"] not in (None, "Running"):
        parts.append(shown["status"])
    return " | ".join(parts)


def look() -> dict[str, Any] | None:
    """Return what there is to say of where the process stands, by `FIELDS`; None outside of a session.

    ``dirty`` (bool) and ``changes`` (how many paths) are None where git took too long.
    """
    gitenv.drop_local_variables(os.environ)
    place = gitdir.find(gitenv.here(), {})
    there = None if place is None else enrolment.read(place.private)
    if place is None or there is None:
        return None
    asked = _ask_git(place.top)  # it works while we do
    found: dict[str, Any] = dict.fromkeys(FIELDS)
    found.update(session=there.session, agent=there.agent, item=there.item, job=there.job)
    found.update(_of_session(place, there))
    found.update(_progress(there))
    found.update(_activity(there))
    changes = None if asked is None else _answer(*asked)
    found.update(changes=changes, dirty=None if changes is None else changes > 0)
    return found


def _of_session(place: Place, there: Enrolment) -> dict[str, Any]:
    found: dict[str, Any] = {}
    try:
        found["branch"] = gitdir.head(place)[0]
    except OSError:
        pass
    known = cursor.read(place.private, there.suffix)
    if known is not None:
        found["commits"] = known.commits
    try:
        if glance.is_file(layout.session(there.store, there.session)):
            document = session.read(there.store, there.session)
            status, metadata = document.get("status"), document.get("metadata")
            found["status"] = status if isinstance(status, str) else None
            found["persons"] = isinstance(metadata, dict) and persons.is_persons(metadata)
    except (OSError, ValueError):
        pass
    return found


def _progress(there: Enrolment) -> dict[str, Any]:
    """Return how far the job is, as its index says: nothing where it has no items."""
    path = layout.index(there.store, there.repo, there.job)
    if not os.path.exists(path):
        return {}
    for (value,) in glance.rows(path, "SELECT value FROM meta LIMIT 1"):
        try:
            meta = jsonline.decode_object(value if isinstance(value, bytes) else value.encode())
            if meta["version"] != glance.VERSION:
                break
            counts = {str(state): int(count) for state, count in meta["counts"].items()}
            job = meta["job"]
            changed, at, phase = job.get("phase_key", (0, "", 0))
            if not changed and not at:
                phase = 1 if job.get("counts", {}).get("AgentStarted") else 0
            items = tally.items(counts)
            return {
                "phase": _PHASES[phase], "done": items["completed"], "total": items["total_items"],
                "failed": items["given_up"], "percent": items["percent_done"],
            }  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            break
    return {}


def _activity(there: Enrolment) -> dict[str, Any]:
    """Return what an agent program does in the worktree: nothing where none has told anything."""
    path = layout.activity(there.store, there.repo, there.session)
    if not os.path.exists(path):
        return {}
    # What is rarely there is not imported by every prompt.
    from prodigy_git.record import clock
    from prodigy_git.record.conversations import activity

    try:
        # Whose last line is longer than that is looked at once more.
        who = (there.store, there.repo, there.session)
        one = activity.foremost(activity.tail(*who, _END) or activity.tail(*who))
    except OSError:
        return {}
    if one is None:
        return {}
    since = max(0, clock.now() - one.since) // clock.SECOND
    reason = one.reason if one.state == activity.WAITING else None
    return {"program": one.program, "state": one.state, "since": since, "reason": reason}


def _ask_git(top: str) -> tuple[int, int] | None:
    """Start ``git status``; return its process id and the pipe with what it says."""
    reading, writing = os.pipe()
    command = ["git", "-C", top, "status", "--porcelain", "--untracked-files=normal"]
    environ = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "PRODIGY_GIT_SILENCE": "1"}
    # Not `subprocess`: importing it takes longer than git does.
    quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 2)]
    try:
        pid = os.posix_spawnp(
            "git", command, environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1), *quiet],
        )  # fmt: skip
    except OSError:
        os.close(reading)
        return None
    finally:
        os.close(writing)
    return pid, reading


def _answer(pid: int, reading: int) -> int | None:
    """Return how many paths git calls changed; None where it fails, or takes too long."""
    import select
    import time

    deadline = time.monotonic() + PATIENCE
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    count = 0
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                os.kill(pid, 9)
                os.waitpid(pid, os.WNOHANG)
                return None
            piece = os.read(reading, 1 << 16)
            if not piece:
                break
            count += piece.count(b"\n")
        return count if os.waitpid(pid, 0)[1] == 0 else None
    except OSError:
        return None
    finally:
        os.close(reading)


def run() -> None:
    """Answer ``prodigy-git statusline …`` and end the process; return where click has to."""
    try:
        done = main(sys.argv[2:])
    except KeyboardInterrupt:
        os._exit(130)
    if done:
        os._exit(0)  # taking an interpreter down takes longer than all of the above
