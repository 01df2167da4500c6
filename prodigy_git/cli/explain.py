"""explain: the story of a commit, a work item, a session or an agent, for people or as JSON."""

from collections.abc import Iterator
from typing import Any

import click

from prodigy_git import duration, gitenv
from prodigy_git.cli import completing, output
from prodigy_git.cli.events import words

_KINDS = ("commit", "item", "session", "agent")
_SHORT = 12
_WIDTH = 12
"""Of the column that says what the rest of the line is."""
_SHOWN = 40
_OWN = "a person's own checkout"
"""Lines of a story on a screen."""
_ENTRY = tuple[str, str]
"""What, and its value; without what it goes on from the one before."""


@click.command()
@click.argument("name", metavar="COMMIT|ITEM|SESSION|AGENT", shell_complete=completing.explained)
@click.option(
    "--as", "kind", type=click.Choice(_KINDS),
    help="Take the name for this. [default: session, item, agent, commit, the first that there is]",
)  # fmt: skip
@click.option(
    "--job", metavar="JOB", shell_complete=completing.jobs,
    help="Look in this job only. [default: all of the repository]",
)  # fmt: skip
@output.json_option
def explain(name: str, kind: Any, job: str | None, as_json: bool) -> None:
    """Tell the story of a commit, a work item, a session or an agent.

    A commit (an id, its beginning, a branch, HEAD): who made it, what happened around it, what it
    replaced and what replaced it, what contains it now. An item: each attempt, how it stands, what to
    do. A session: from base to end, and where its work is. Only reads.

    \b
    Example:
      prodigy-git explain HEAD
      prodigy-git explain item-7 --job review
    """
    from prodigy_git.views.explain import lookup as explaining

    found = explaining.explain(gitenv.here(), name, job=job, kind=kind, broken=output.note)
    if as_json:
        output.emit_json(found)
        return
    lines = {"commit": _commit, "item": _item, "session": _session, "agent": _agent}[found["kind"]]
    for what, value in lines(found):
        _say(what, value)
    if found.get("usage") is not None:
        from prodigy_git.transcripts import spent

        _say("tokens", spent.words(found["usage"]))
    for one in found["next"]:
        _say("next", one)
    for one in found["also"]:
        output.note(
            f"{name} is also {'an' if one[0] in 'ai' else 'a'} {one}: --as {one} tells of that"
        )


def _say(what: str, value: str) -> None:
    """Print one line, broken at a terminal's width; a heading where there is no value."""
    if not value:
        output.line(f"{what}:")
        return
    text = output.clean(value)
    for number, line in enumerate(output.wrapped(text, _WIDTH)):
        output.line(f"{'' if number else what:<{_WIDTH}}{line}")


def _when(stamp: object) -> str:
    return duration.moment(str(stamp)) if stamp else "at an unknown time"


def _who(one: dict[str, Any]) -> str:
    """Return session, agent, item and job in a row, each said once."""
    said: list[str] = []
    for name in ("session", "agent", "item", "job"):
        value = one.get(f"{name}_id")
        if value and value not in (word.split()[-1] for word in said):
            said.append(f"{name} {value}")
    return ", ".join(said) or "nobody that is named"


def _commit(found: dict[str, Any]) -> Iterator[_ENTRY]:
    yield "commit", found["commit"]
    yield "subject", found["subject"] or "not known"
    if found["author"]:
        yield "author", f"{found['author']}, committed {_when(found['committed_at'])}"
    for one in found["recorded"]:
        yield "made by", _who(one)
        late = ", recorded by a command, not by a hook" if one["recovered"] else ""
        yield "", f"{one['action'] or 'unknown'}, {_when(one['at'])}{late}"
        yield "", f"on {one['branch'] or 'no branch'}, in worktree {one['worktree_name'] or '?'}"
    if not found["recorded"]:
        yield "made by", "no session that the log knows of"
    for one in found["named_by"]:
        yield "done by", f"{_who(one)}, {_when(one['at'])}"
    for one in found["journal"]:
        held = f"session {one['session_id']}" if one["session_id"] else "no session"
        ends = {"aborted": ", of a rebase that was aborted", "not ended": ", of a rebase under way"}
        lost = ends.get(one["rebase"], "")
        yield "in git", f"{one['message']} ({_when(one['at'])}, {held}{lost})"
        yield "", f"in {one['worktree']}"
    for one in found["replaced"]:
        yield "replaced", f"{one['commit'][:_SHORT]} ({_how(one)})"
    for one in found["replaced_by"]:
        yield "replaced by", f"{one['commit'][:_SHORT]} ({_how(one)})"
    for one in found["recorded"]:
        if one["status"]:
            how = f"is {_OWN}" if one["persons"] else f"is {one['status']} now"
            yield "", f"session {one['session_id']} {how}{_place(one)}"
    yield "now", _held(found)
    for one in found["held_by"][:_SHOWN]:
        if one["session_id"]:
            yield "held by", _holder(one)
    if found["refs"]:
        into = ", ".join(found["merged_into"])
        yield "merged", f"into {into}" if into else "no: no base branch contains it"
    for one in found["recorded"]:
        if len(one["around"]) > 1:
            yield f"around it, in {one['session_id'] or one['agent_id']}", ""
            for event in one["around"]:
                here = event.get("commit") == found["commit"] and event["type"] == "CommitCreated"
                yield from _event(event, mark=here)


def _how(one: dict[str, Any]) -> str:
    return f"{one['command'] or 'rewritten'} of {one['by'][:_SHORT]}, {_when(one['at'])}"


def _holder(one: dict[str, Any]) -> str:
    where = one["branch"] or one["salvage_ref"] or "a detached HEAD"
    if one["worktree"]:
        where += f" in {one['worktree']}"
    status = f", {one['status']}" if one["status"] else ""
    status = f", {_OWN}" if one["persons"] else status
    return f"{where}: {_who(one)}{status}"


def _place(one: dict[str, Any]) -> str:
    """Return where a worktree is now, behind a comma; nothing where that is not known."""
    path = one["worktree"]
    said = {
        "there": f", worktree {path}", "trash": f", worktree in the trash: {path}",
        "gone": ", worktree gone", "elsewhere": f", on host {one.get('host')}", None: "",
    }  # fmt: skip
    return said[one["worktree_state"]]


def _held(found: dict[str, Any]) -> str:
    if found["exists"] is None:
        return "its repository is not to be found"
    if not found["exists"]:
        return "git does not have it any more"
    refs = found["refs"]
    if not refs:
        return "not known: git took too long to say"
    kinds = {
        "branches": "", "remotes": "remote ", "tags": "tag ", "others": "", "salvage": "",
        "detached": "the detached HEAD of ",
    }  # fmt: skip
    held = [f"{word}{ref}" for kind, word in kinds.items() for ref in refs[kind] or ()]
    unknown = "of detached HEADs it is not known" if refs["detached"] is None else ""
    if not held and unknown:
        return f"in no branch, remote or tag; {unknown}"
    if not held:
        return "contained in nothing: git keeps it in a reflog for a while, if at all"
    more = f" and {len(held) - _SHOWN} more" if len(held) > _SHOWN else ""
    only = len(held) == len(refs["salvage"])
    said = f"in {', '.join(held[:_SHOWN])}{more}{', which keep what was removed' if only else ''}"
    return f"{said}; {unknown}" if unknown else said


def _event(event: dict[str, Any], *, mark: bool = False) -> Iterator[_ENTRY]:
    from prodigy_git.views.explain import program_stretches

    stamp = str(event.get("timestamp") or "-")
    text = f"{'>' if mark else ' '} {event['type']} {words(event['type'], event)}"
    if event["type"] == program_stretches.TYPE:
        text = f"  {program_stretches.in_words(event)}"
    yield f"  {stamp[11:19] if len(stamp) > 19 else stamp[:8]}", text.rstrip()


def _life(events: list[dict[str, Any]], session: str) -> Iterator[_ENTRY]:
    day = ""
    for event in events[:_SHOWN]:
        if (now := str(event.get("timestamp") or "-")[:10]) != day:
            day = now
            yield f"  {day}", "  (UTC)"
        yield from _event(event)
    if len(events) > _SHOWN:
        left = f"'prodigy-git events ls --session {session}' lists them"
        yield "", f"  and {len(events) - _SHOWN} more: {left}"


def _item(found: dict[str, Any]) -> Iterator[_ENTRY]:
    yield "item", f"{found['name']}, job {found['job_id']} of {found['repo']}"
    yield "state", _state(found)
    yield from _item_now(found)
    if found["data"] is not None:
        text = output.json_text(found["data"])
        yield "data", text if len(text) <= 400 else f"{text[:400]}… (--json has all of it)"
    if found["queue"] is not None:
        held = found["queue"]["manual_review_required"]
        no = not found["queue"]["reprocess_eligible"]
        why = (
            "to be reviewed first" if held else "not to be tried again" if no else "may be retried"
        )
        yield "queue", f"in the dead letter queue, {why}"
    if found["late"]:
        yield "late", f"{found['late']} ends came when it was somebody else's"
    yield from _attempts(found["attempts"], with_item=False)
    yield "recorded", f"{sum(found['events'].values())} events"


def _state(found: dict[str, Any]) -> str:
    if found["state"] is None:
        return "the job gives it none"
    state: str = found["state"]
    known = {"dead": "in the queue: its attempts are used up", "failed": "failed for good"}
    text = known.get(state, state.replace("_", " "))
    if found["attempt"]:
        text += f", attempt {found['attempt']} of {found['max_attempts']}"
    if found["holder"] or found["completed_by"]:
        return text  # who and since when is said with that
    if found["agent_id"]:
        text += f", agent {found['agent_id']}"
    if found["since_at"]:
        text += f", since {_when(found['since_at'])}"
    return text


def _item_now(found: dict[str, Any]) -> Iterator[_ENTRY]:
    """Say who has the item or did it; else why nobody has it."""
    one = found["holder"] or found["completed_by"]
    if one is not None:
        attempt = f"attempt {one['attempt']}, " if one["attempt"] else ""
        when = _when(one["since_at"])
        if found["holder"]:
            yield "now", f"with {_who(one)}: {attempt}since {when}{_is_there(found)}"
        else:
            yield "now", f"completed by {_who(one)}: {attempt}{when}"
        if one["branch"]:
            yield "", _where(one)
    elif found["why_free"] is not None:
        retry = _when(found["retry_at"])
        whys = {
            "after": "it waits for other items", "backoff": f"it may be tried again from {retry} on",
            "queue": "it is in the queue", "failed": "it is given up, and not in the queue",
            "paused": "its job is paused", "ended": "its job has ended",
            "pending": "whoever claims next may have it",
        }  # fmt: skip
        yield "now", f"nobody has it: {whys[found['why_free']]}"
    others = found["waits_for"]
    for number, other in enumerate(others[:_SHOWN]):
        text = {"dead": "in the queue", "failed": "given up, and not in the queue"}.get(
            other["state"], other["state"].replace("_", " ")
        )
        yield "" if number else "waits for", f"{other['item_id']}, {text}"
    if len(others) > _SHOWN:
        yield "", f"and {len(others) - _SHOWN} more"


def _is_there(found: dict[str, Any]) -> str:
    until = found["lease_ends_at"]
    if until:
        said = {False: "which is over"}.get(found["alive"], "if it is not renewed")
        return f", until {_when(until)}, {said}"
    return {True: ", at work", False: ", its process is gone", None: ""}[found["alive"]]


def _where(one: dict[str, Any]) -> str:
    """Return branch and worktree, each with whether it is there."""
    gone = " (gone)" if one["branch_exists"] is False else ""
    return f"branch {one['branch']}{gone}{_place(one)}"


def _attempts(attempts: list[dict[str, Any]], *, with_item: bool) -> Iterator[_ENTRY]:
    if not attempts:
        yield "attempts", "none"
    for number, one in enumerate(attempts[-_SHOWN:], 1 + max(0, len(attempts) - _SHOWN)):
        took = f" in {duration.seconds(one['seconds'])}" if one["seconds"] is not None else ""
        end = f"{one['outcome']}{took}{', late' if one['late'] else ''}"
        yield f"attempt {one['attempt'] or number}", f"{end}, {_who_of(one, with_item)}"
        until = f" to {_when(one['ended_at'])}" if one["ended_at"] else ""
        begun = _when(one["started_at"]) if one["started_at"] else "begin not recorded"
        last = f", last event {_when(one['last_event_at'])}" if not one["ended_at"] else ""
        yield "", f"{begun}{until}{last}"
        if one.get("branch"):
            yield "", _where(one)
        if one["error"]:
            why = f" ({one['failure_reason']})" if one["failure_reason"] else ""
            yield "", f"error: {one['error']}{why}"
        for commit in one["commits"]:
            yield "", _made(commit)
        if one["log"]:
            yield "", f"log: {one['log']}"


def _who_of(one: dict[str, Any], with_item: bool) -> str:
    said = {**one, "job_id": one["job_id"] if with_item else None}
    if not with_item:
        said["item_id"] = None
    return _who(said)


def _made(commit: dict[str, Any]) -> str:
    gone = f", replaced by {commit['replaced_by'][:_SHORT]}" if commit["replaced_by"] else ""
    return f"{(commit['commit'] or '?')[:_SHORT]} {commit['subject'] or ''}".rstrip() + gone


def _session(found: dict[str, Any]) -> Iterator[_ENTRY]:
    yield "session", f"{found['name']}, {found['status'] or 'of unknown status'}"
    if "host" in found:
        yield "host", f"{found['host']}: this is what came of it"
    elif not found["file"]:
        yield "", "its file is gone: this is what the log says"
    where = f" of {found['repo']}" if found["repo"] else ""
    yield "job", f"{found['job_id'] or 'not known'}{where}"
    if found["persons"]:
        yield "", _OWN
    if found["agent_id"] or found["item_id"]:
        yield "agent", f"{found['agent_id'] or '-'}, item {found['item_id'] or '-'}"
    if found["activity"]:
        yield "program", _program(found["activity"])
    by = f", made by {found['created_by']}" if found["created_by"] else ""
    yield "started", f"{_when(found['started_at'])}{by}"
    base = [found["base_branch"], (found["base_commit"] or "")[:_SHORT]]
    if any(base):
        yield "base", " at ".join(filter(None, base))
    if found["branch"]:
        lost = ", which is not here" if "host" in found else ", which is gone"
        gone = {True: "", False: lost, None: ""}[found["branch_exists"]]
        yield "branch", f"{found['branch']}{gone}"
    if found["ended_at"]:
        yield "ended", _when(found["ended_at"])
    if found["error"]:
        yield "error", found["error"]
    said = {"trash": "in the trash: ", "gone": "gone, was "}.get(found["worktree_state"], "")
    if "host" not in found:
        yield "worktree", f"{said}{found['worktree']}" if found["worktree"] else "gone"
    for ref in found["salvage_refs"]:
        yield "salvaged", ref
    for log in found["logs"]:
        yield "log", log
    if found["attempts"]:
        yield from _attempts([{**one, "commits": []} for one in found["attempts"]], with_item=True)
    yield "commits", str(len(found["commits"]))
    for commit in found["commits"][-_SHOWN:]:
        yield "", _made(commit)
    told = sum(found["events"].values())
    yield "recorded", f"{told} events; {found['checkpoints']} of its checkpoints are kept"
    if found["life"]:
        yield "its life", ""
        yield from _life(found["life"], found["name"])


def _program(doing: dict[str, Any]) -> str:
    """Return what an agent program does, and since when."""
    what = f"gone, was {doing['state']}" if doing["gone"] else doing["state"]
    if doing["state"] == "waiting" and doing["reason"]:
        what += f" ({doing['reason']})"
    said = f": {doing['message']}" if doing["message"] else ""
    return f"{doing['agent_program']}, {what} since {_when(doing['since_at'])}{said}"


def _agent(found: dict[str, Any]) -> Iterator[_ENTRY]:
    yield "agent", f"{found['name']}, {', '.join(found['repos'])}"
    ends: dict[str, int] = {}
    for one in found["attempts"]:
        ends[one["outcome"]] = ends.get(one["outcome"], 0) + 1
    if ends:
        yield "attempts", ", ".join(f"{count} {end}" for end, count in ends.items())
    yield from _attempts(found["attempts"], with_item=True)
    named = {commit["commit"] for one in found["attempts"] for commit in one["commits"]}
    others = [commit for commit in found["commits"] if commit["commit"] not in named]
    for number, commit in enumerate(others[-_SHOWN:]):
        yield "" if number else "commits", _made(commit)
    yield "recorded", f"{sum(found['events'].values())} events"
