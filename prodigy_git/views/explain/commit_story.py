"""The story of a commit: who made it, what came before and after it, where it is now."""

import itertools
import os
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from prodigy_git import names
from prodigy_git.cleanup.salvage import salvage, unpublished
from prodigy_git.errors import ProdigyError
from prodigy_git.git import ask, repository
from prodigy_git.git.ask import git_status
from prodigy_git.model.event import Event
from prodigy_git.model.selection import Selection
from prodigy_git.record import clock, enrolment, files, gitdir, journal
from prodigy_git.record.gitdir import Place
from prodigy_git.views.explain import where_now
from prodigy_git.views.explain.scope import Job, Scope, text

_AROUND = 5
"""How many events before and after it are told."""
_PATIENCE = 30.0
"""How many seconds git may take to say what contains a commit."""
_HEX = frozenset("0123456789abcdef")
_MADE = (journal.MADE, journal.PICK, journal.UNDECIDED)


def is_sha(name: str) -> bool:
    """Whether a name may be a commit's id, perhaps the beginning of one."""
    return 4 <= len(name) <= 64 and _HEX.issuperset(name.lower())


def resolve(where: Scope, name: str) -> str | None:
    """Return the id of the commit that git knows by a name where one stands."""
    if where.here is None:
        return None
    try:
        return repository.commit_of(where.cwd, name)
    except ProdigyError:
        return None


def names_it(event: Event, sha: str) -> bool:
    """Whether an event is about a commit whose id begins with ``sha``."""
    return any(one.startswith(sha.lower()) for one in _commits_of(event))


def _commits_of(event: Event) -> list[str]:
    own = event.own()
    if event.type == "CommitCreated":
        return [commit] if (commit := text(own, "commit")) else []
    if event.type == "AgentCompleted":
        listed = own.get("commits")
        return [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
    return [commit for pair in _rewrites(event) for commit in pair]


def _rewrites(event: Event) -> list[tuple[str, str]]:
    """Return (old, new) of a CommitsRewritten."""
    listed = event.own().get("rewrites") if event.type == "CommitsRewritten" else None
    return [
        (one["old"], one["new"])
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, dict)
        and isinstance(one.get("old"), str)
        and isinstance(one.get("new"), str)
    ]


def story(where: Scope, name: str, _: list[Job]) -> dict[str, Any]:
    """Return what is known of a commit.

    ``recorded``: once for each session that made it, with ``around``, the events of that session before
    and after it, and how it stands with that session now: ``status``, ``worktree``,
    ``worktree_state``, ``persons``. ``named_by``: the agents whose completion names it. ``replaced``
    and ``replaced_by``: {commit, by, command, at, session_id}, nearest first. ``refs``: {branches,
    remotes, tags, salvage, others, detached}, what contains it now, empty where that is not known,
    ``detached`` None where that alone is not. ``held_by``: who that is, as `where_now.holders`;
    ``merged_into`` as `where_now.merged_into`. ``exists``: None where there is no repository to
    ask. ``journal``: {worktree, session_id, at, message, rebase}, where git wrote it down in a
    worktree's journal; ``rebase`` is None, finished, aborted or not ended. ``next``: what to do.
    Raises `ProdigyError` where an abbreviation means several commits.
    """
    sha, found = _full(where, name)
    recorded = [_recorded(where, job, e) for job, e in found if e.type == "CommitCreated"]
    graph = _graph(where) if any(_rewrites(event) for _, event in found) else []
    repos = {one["repo"] for one in recorded} or {where.repo}
    common = next((path for repo in repos if (path := where.common(repo)) is not None), None)
    known: dict[str, Any] = {
        "commit": sha,
        "subject": next((one["subject"] for one in recorded if one["subject"]), None),
        "exists": None,
        "author": None,
        "committed_at": None,
        "recorded": recorded,
        "named_by": [_completed(event) for _, event in found if event.type == "AgentCompleted"],
        "replaced": _chain(graph, sha, backwards=True),
        "replaced_by": _chain(graph, sha, backwards=False),
        "refs": {},
        "held_by": [],
        "merged_into": [],
        "journal": [],
    }
    if common is not None:
        known |= _from_git(where, common, sha, known["subject"])
        if known["refs"]:
            repo = next((one for one in repos if where.common(one) == common), where.repo)
            makers = [one["session_id"] for one in recorded if one["session_id"]]
            known["held_by"] = where_now.holders(where, repo, known["refs"])
            known["merged_into"] = where_now.merged_into(where, repo, known["refs"], makers)
        known["journal"] = [] if recorded else _noted(common, sha)
    known["next"] = _next(known, common)
    return known


def _full(where: Scope, name: str) -> tuple[str, list[tuple[Job, Event]]]:
    """Return a commit's whole id, and the events that name it with their jobs, in time order."""
    sha = resolve(where, name)
    wanted = sha or name.lower()
    found = where.naming.get(wanted)
    if found is None:
        found = [
            (job, event)
            for job in where.jobs
            for event in where.read(Selection(text=wanted), [job])
            if names_it(event, wanted)
        ]
    found.sort(key=lambda one: one[1].moment or 0)
    if sha is not None:
        return sha, found
    different = {one for _, e in found for one in _commits_of(e) if one.startswith(wanted)}
    if len(different) > 1:
        shown = ", ".join(sorted(different)[:4]) + (", …" if len(different) > 4 else "")
        raise ProdigyError(f"{name} is the beginning of {len(different)} commits: {shown}")
    return (different.pop() if different else wanted), found


def _recorded(where: Scope, job: Job, event: Event) -> dict[str, Any]:
    own = event.own()
    return {
        "repo": job[0],
        "job_id": event.job_id or job[1],
        "session_id": event.session_id,
        "agent_id": event.agent_id,
        "item_id": event.item_id,
        "at": event.timestamp,
        "recovered": own.get("recovered") is True,
        **{field: text(own, field) for field in ("action", "branch", "subject", "parent")},
        "worktree_name": text(own, "worktree"),
        **_session_now(where, job[0], event.session_id, event.agent_id),
        "around": _around(where, job, event),
    }


def _session_now(where: Scope, repo: str, session: str | None, agent: str | None) -> dict[str, Any]:
    fields = ("status", "worktree", "worktree_state", "persons")
    if session is None or not names.is_safe(session):
        return dict.fromkeys(fields)
    found = where_now.of_session(where, repo, session, agent)
    return {name: found[name] for name in (*fields, "host") if name in found}


def _around(where: Scope, job: Job, event: Event) -> list[dict[str, Any]]:
    """Return the events of the same session before and after one, itself among them."""
    if event.session_id is not None:
        selection = Selection(sessions=frozenset((event.session_id,)))
    elif event.agent_id is not None:
        selection = Selection(agents=frozenset((event.agent_id,)))
    else:
        return [event.fields()]
    told = iter(where.read(selection, [job]))
    before: deque[Event] = deque(maxlen=_AROUND + 1)
    for one in told:
        before.append(one)
        if one.id == event.id and one.timestamp == event.timestamp and _same(one, event):
            return [e.fields() for e in (*before, *itertools.islice(told, _AROUND))]
    return [event.fields()]


def _same(one: Event, other: Event) -> bool:
    """Whether two events, which may lack an id, are of one type and commit."""
    return one.type == other.type and one.own().get("commit") == other.own().get("commit")


def _completed(event: Event) -> dict[str, Any]:
    return {
        "job_id": event.job_id, "session_id": event.session_id, "agent_id": event.agent_id,
        "item_id": event.item_id, "at": event.timestamp,
    }  # fmt: skip


def _graph(where: Scope) -> list[tuple[str, str, dict[str, Any]]]:
    """Return (old, new, how) of every replacement that the logs tell of, in time order."""
    return [
        (
            old, new,
            {
                "command": text(event.own(), "command"), "at": event.timestamp,
                "session_id": event.session_id,
            },
        )
        for event in where.read(Selection(types=frozenset(("CommitsRewritten",))))
        for old, new in _rewrites(event)
    ]  # fmt: skip


def _chain(
    graph: Iterable[tuple[str, str, dict[str, Any]]], sha: str, *, backwards: bool
) -> list[dict[str, Any]]:
    """Return what a commit replaced, or what replaced it, and so on; nearest first, each once."""
    steps: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for old, new, how in graph:
        source, target = (new, old) if backwards else (old, new)
        steps.setdefault(source, []).append((target, how))
    found, seen, waiting = [], {sha}, deque([sha])
    while waiting:
        source = waiting.popleft()
        for target, how in steps.get(source, ()):
            if target not in seen:
                seen.add(target)
                waiting.append(target)
                found.append({"commit": target, "by": source, **how})
    return found


def _from_git(where: Scope, common: str, sha: str, subject: str | None) -> dict[str, Any]:
    lies = unpublished.holding(common, sha) if len(sha) in (40, 64) else []
    status, out, _ = git_status(
        common, "show", "-s", "--no-show-signature", "--format=%an%x00%cI%x00%s",
        "--end-of-options", f"{sha}^{{commit}}",
        env=unpublished.view(common, *lies[-1]) if lies else {},
    )  # fmt: skip
    if status != 0:
        return {"exists": False, "refs": {}}
    author, when, own = [*out.rstrip("\n").split("\0"), "", ""][:3]
    moment = clock.parse(when)
    return {
        "exists": True,
        "author": author,
        "committed_at": None if moment is None else clock.stamp(moment),
        "subject": subject or own,
        "refs": _containing(where, common, sha, [salvage.ref_name(*one) for one in lies]),
    }


def _containing(where: Scope, common: str, sha: str, salvages: list[str]) -> dict[str, Any]:
    """Return what contains a commit, by kind; ``detached`` as `where_now.detached`.

    ``salvages`` are those that have it apart; where only they do, no ref can be asked about it. Git
    walks the history from every ref, which may take long: where it takes too long that is reported,
    and nothing is known.
    """
    until = time.monotonic() + _PATIENCE
    place = Place(common, common, common)
    asked = ("for-each-ref", f"--contains={sha}", "--format=%(refname)")
    try:
        out = os.fsdecode(ask.look(place, *asked, patience=_PATIENCE)[1])
    except ProdigyError as error:
        where.report(f"what contains {sha[:12]} is not known: {error}")
        return {}
    kinds = {"branches": "refs/heads/", "remotes": "refs/remotes/", "tags": "refs/tags/"}
    found: dict[str, Any] = {kind: [] for kind in (*kinds, "salvage", "others", "detached")}
    for ref in out.splitlines():
        for kind, prefix in kinds.items():
            if ref.startswith(prefix):
                found[kind].append(ref.removeprefix(prefix))
                break
        else:
            found["salvage" if ref.startswith(where_now.SALVAGE) else "others"].append(ref)
    found["salvage"] = sorted({*found["salvage"], *salvages})
    found["detached"] = where_now.detached(where, common, sha, until)
    return found


def _noted(common: str, sha: str) -> list[dict[str, Any]]:
    """Return in which worktrees' journals git says that it made a commit that no session recorded."""
    folder = f"{common}/worktrees"
    try:
        privates = [common, *(f"{folder}/{name}" for name in sorted(os.listdir(folder)))]
    except OSError:
        privates = [common]
    found = []
    for private in privates:
        try:
            data = files.read(f"{private}/logs/HEAD")
        except OSError:
            continue
        if f" {sha} ".encode() not in data:
            continue
        moves = journal.parse(data, 0)
        for number, move in enumerate(moves):
            if move.new == sha and move.kind in _MADE:
                message = move.message.decode("utf-8", "replace")
                found.append(
                    {
                        "worktree": _top(private, common),
                        "session_id": _session(private),
                        "at": clock.stamp(move.seconds * clock.SECOND),
                        "message": message,
                        "rebase": _rebase(moves[number:]),
                    }
                )
                break
    return found


def _rebase(moves: list[journal.Movement]) -> str | None:
    """Return what became of the rebase that the first of these was a step of; None where of none."""
    if moves[0].kind != journal.PICK:
        return None
    for move in moves[1:]:
        if move.kind == journal.ABORT:
            return "aborted"
        if move.kind in (journal.FINISH, journal.START):
            return "finished"
    return "not ended"


def _top(private: str, common: str) -> str:
    if private == common:
        return os.path.dirname(common) if os.path.basename(common) == ".git" else common
    try:
        return gitdir.worktree_of(private)
    except OSError:
        return private


def _session(private: str) -> str | None:
    try:
        there = enrolment.read(private)
    except (OSError, ValueError):
        return None
    return None if there is None else there.session


def _next(known: dict[str, Any], common: str | None) -> list[str]:
    """Return what to do, in sentences; ``common`` is where git was asked."""
    advice = []
    if not known["recorded"]:
        noted = [
            one
            for one in known["journal"]
            if one["session_id"] and one["rebase"] in (None, "finished")
        ]
        advice += [
            f"'prodigy-git verify --session {one['session_id']}' says whether it is missing from the "
            "log, with --fix it is recorded"
            for one in noted
        ]
        if not known["journal"] and known["exists"]:
            advice.append("'prodigy-git verify' says whether the log lacks anything that git has")
    refs = known["refs"]
    held = refs and any(refs[kind] for kind in refs if kind != "salvage")
    if known["exists"] and refs and not held:
        if known["replaced_by"]:
            last = known["replaced_by"][-1]["commit"]
            advice.append(f"'prodigy-git explain {last[:12]}' tells of what is there instead")
        lies = [] if common is None else unpublished.holding(common, known["commit"])
        if common is not None and lies:
            session, moment = lies[-1]
            how = unpublished.command(common, session, moment)
            advice.append(f"'{how} show {known['commit'][:12]}' shows it, as all of {session}'s")
        else:
            advice.append(f"'git branch NAME {known['commit'][:12]}' keeps it")
    return advice
