"""What is behind a name: the story of a commit, a work item, a session or an agent."""

import os
from typing import Any, Literal

from prodigy_git import glance, layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.git.ask import git_status, said
from prodigy_git.jobs import items, peek, prodigy_runs
from prodigy_git.model.event import Event
from prodigy_git.model.selection import Selection
from prodigy_git.record import session
from prodigy_git.store import other_sessions
from prodigy_git.store.events import Broken
from prodigy_git.transcripts import spent
from prodigy_git.views.explain import commit_story, item_story, scope, session_story
from prodigy_git.views.explain.scope import Job, Scope

Kind = Literal["commit", "item", "session", "agent"]
KINDS: tuple[Kind, ...] = ("session", "item", "agent", "commit")
"""In the order in which a name is taken for one, where it is several."""
_BY_LOG: tuple[Kind, ...] = ("item", "agent", "session", "commit")


def explain(
    cwd: str, name: str, *, job: str | None, kind: Kind | None, broken: Broken
) -> dict[str, Any]:
    """Return the story of whatever ``name`` names: of the given kind, else of the first that there is.

    The shape is that of `commit_story.story`, `item_story.of_item`, `item_story.of_agent` or
    `session_story.story`, and ``name``, ``kind``, ``item_id``, ``agent_id`` or ``session_id`` by the
    kind, ``also``: what else has the name. Raises
    `ProdigyError` where nothing has it, `names.BadName`.
    """
    if not name or "\0" in name:
        raise ProdigyError(
            "an empty name names nothing: give a commit, an item, a session, an agent"
        )
    where = scope.around(cwd, job, broken)
    found = _named(where, name, kind)
    if not found:
        raise ProdigyError(_unknown(where, name, kind))
    first = _first(name, found) if kind is None else kind
    story = _STORIES[first](where, name, found[first])
    also = [one for one in KINDS if one in found and one != first]
    named: dict[str, Any] = {}
    if first != "commit":
        usage, there = _logged(where, first, name, story)
        named = {"usage": usage, f"{first}_id": name}
        if there:
            story["next"].append(f"'prodigy-git logs {name}' shows what was said and done")
    return {"name": name, "kind": first, "also": also, **story, **named}


def _logged(
    where: Scope, kind: Kind, name: str, story: dict[str, Any]
) -> tuple[dict[str, Any] | None, bool]:
    """Return model, tokens and cost of a session, or of all attempts; and whether there are logs."""
    found = story["attempts"]
    ids = {name} if kind == "session" else {one["session_id"] for one in found}
    repo = where.repo if kind == "agent" else story["repo"]
    known = spent.of_sessions_named(
        where.store, where.common(repo), sorted(filter(None, ids)), where.report
    )
    output = {
        layout.run_log(where.store, repo, one["job_id"], one["session_id"])
        for one in found if repo and one["job_id"] and one["session_id"]
    }  # fmt: skip
    there = any(map(os.path.exists, output)) or bool(known.sessions)
    return spent.usage(known, known.sessions), there


_STORIES = {
    "commit": commit_story.story,
    "item": item_story.of_item,
    "session": session_story.story,
    "agent": item_story.of_agent,
}


def _first(name: str, found: dict[Kind, list[Job]]) -> Kind:
    # What looks like a commit's id and is one, is meant as one.
    if "commit" in found and commit_story.is_sha(name):
        return "commit"
    # A session that only a log names (then with the jobs that do) is mostly an agent by its other name.
    by_log = bool(found.get("session"))
    return next(kind for kind in (_BY_LOG if by_log else KINDS) if kind in found)


def _named(where: Scope, name: str, kind: Kind | None) -> dict[Kind, list[Job]]:
    """Return the kinds of things that have the name, each with the jobs that know of it.

    First what costs nothing: files, indexes, git. Only where these know nothing, or less than is asked
    for, the logs are searched.
    """
    found: dict[Kind, list[Job]] = {}
    if names.is_safe(name):
        if (
            glance.is_file(layout.session(where.store, name)) and _fits(where, name)
        ) or other_sessions.find(where.store, name):
            found["session"] = []
        for what, column in (("item", "id"), ("agent", "agent")):
            question = f"SELECT 1 FROM items WHERE {column} = ? AND state IS NOT NULL LIMIT 1"
            jobs = [
                one
                for one in where.jobs
                if glance.rows(layout.index(where.store, *one), question, (name,))
                or (what == "item" and _only_in_input(where, one, name))
                or (what == "agent" and _in_run(where, one, "agent", name))
            ]
            if jobs:
                found[what] = jobs  # type: ignore[index]
    if commit_story.resolve(where, name) is not None:
        found["commit"] = []
    if kind is not None:
        found = {kind: found[kind]} if kind in found else {}
    if not found:
        found = _in_logs(where, name)
        if kind is not None:
            found = {kind: found[kind]} if kind in found else {}
    return found


def _fits(where: Scope, name: str) -> bool:
    """Whether a session is one of the named jobs', where jobs were named."""
    if not where.named:
        return True
    try:
        return session_story.job_of(session.read(where.store, name)) in {j for _, j in where.jobs}
    except (OSError, ValueError):
        return True  # which its story complains of


def _only_in_input(where: Scope, job: Job, name: str) -> bool:
    """Whether a job has an item, where its index is not there to say so."""
    if not items.are_there(where.store, *job):
        return _in_run(where, job, "id", name)
    if glance.rows(layout.index(where.store, *job), "SELECT 1 FROM meta LIMIT 1"):
        return False
    try:
        with peek.opened(where.store, *job, where.report) as index:
            return index.item(name) is not None
    except (ProdigyError, OSError) as error:
        where.report(str(error))
        return False


def _in_run(where: Scope, job: Job, column: str, name: str) -> bool:
    """Whether a run of Prodigy's has an item, or an agent, by that name."""
    if prodigy_runs.find(where.store, *job, where.report) is None:
        return False
    try:
        with peek.opened(where.store, *job, where.report) as index:
            question = f"SELECT 1 FROM items WHERE {column} = ? AND state IS NOT NULL LIMIT 1"
            return bool(index.rows(question, (name,)))
    except (ProdigyError, OSError) as error:
        where.report(str(error))
        return False


def _in_logs(where: Scope, name: str) -> dict[Kind, list[Job]]:
    found: dict[Kind, list[Job]] = {}
    about: list[tuple[Job, Event]] = []
    if commit_story.is_sha(name):
        where.naming[name] = about
    for job in where.jobs:
        for event in where.read(Selection(text=name), [job]):
            kinds: list[Kind] = []
            if event.session_id == name:
                kinds.append("session")
            if event.item_id == name:
                kinds.append("item")
            if event.agent_id == name:
                kinds.append("agent")
            if commit_story.is_sha(name) and commit_story.names_it(event, name):
                kinds.append("commit")
                about.append((job, event))
            for kind in kinds:
                jobs = found.setdefault(kind, [])
                if job not in jobs:
                    jobs.append(job)
    return found


def _unknown(where: Scope, name: str, kind: Kind | None) -> str:
    if where.here is not None:
        repository.check_trusted(where.cwd)  # it may be a name that git knows
    what = f"no {kind}" if kind is not None else "no commit, item, session or agent"
    shown = name if len(name) <= 80 else f"{name[:77]}..."
    if where.named:
        return f"{what} {shown} in that job: leave out --job to look in all of the repository"
    if where.here is None:
        return f"{what} {shown} in the store: change into its repository, which knows its commits"
    if kind is None and any(name == job for _, job in where.jobs):
        return f"{shown} is a job: 'prodigy-git job show {shown}' shows it"
    status, _, err = git_status(where.cwd, "rev-parse", "--git-dir")
    if status != 0:
        return said(err)  # it could not be asked what HEAD and the like are
    return (
        f"{what} {shown} here: 'prodigy-git sessions list', 'job list' and 'events ls' show what "
        "there is"
    )
