"""Branches that have served: merged, or of an attempt at an item that another one has done by now.

Only such as are proven ours: `new-worktree` made them, they are where their session left them, and
nobody took the name since. What somebody stands on, builds on or has pushed further is left alone. They
are deleted one by one, by compare-and-swap, and can be restored (`cleanup.trash.branch_removal`).
"""

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from typing import Any

from prodigy_git import layout
from prodigy_git.cleanup.trash import branch_removal, together
from prodigy_git.errors import ProdigyError, told
from prodigy_git.git import integration, repository
from prodigy_git.git.ask import look
from prodigy_git.git.integration import Integration, Question
from prodigy_git.merging.queue import branch_moves
from prodigy_git.merging.queue.target import Target
from prodigy_git.merging.results import results
from prodigy_git.merging.results.results import Result
from prodigy_git.model.session import Session
from prodigy_git.record import clock, files, jsonline
from prodigy_git.record.gitdir import Place
from prodigy_git.store import briefs, enrolled, repositories, sessions
from prodigy_git.store.briefs import Brief
from prodigy_git.store.events import Broken


@dataclass(frozen=True)
class Spent:
    """A branch that has served, and what becomes of it.

    ``result`` is would-delete, deleted, kept or failed; ``reasons`` say why it has served; of one that
    is kept or failed, why it stays. ``head`` is the commit that it is at.
    """

    branch: str
    head: str
    repo: str
    session: Session
    result: str
    reasons: list[str] = field(default_factory=list)
    trash_path: str | None = None
    salvage_ref: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``clean --json`` prints them."""
        shown = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "session"}
        return {**shown, "session_id": self.session.id, "job_id": self.session.job}


def find(store: str, repo: str | None, older_than: int | None, broken: Broken) -> list[Spent]:
    """Return the branches that have served, of one repository key, or of all; changes nothing.

    Those that would be deleted, and those that are kept although they have served. ``older_than``: only
    of sessions that ended so long ago, in microseconds.
    """
    found = []
    known = briefs.read_all(store, lambda _: None)  # what is damaged, who lists sessions says
    for key, common in repositories.known(store, broken):
        if repo in (None, key) and os.path.isfile(f"{common}/HEAD"):
            try:
                mine = [one for one in known if one.repo == key]
                found += _of_repository(store, key, common, mine, older_than, broken)
            except (ProdigyError, OSError) as error:  # no repository stops the others
                broken(f"the branches of {key} are left as they are ({error})")
    return found


def delete(store: str, wanted: Iterable[Spent], broken: Broken) -> list[Spent]:
    """Delete what `find` returned as ``would-delete``; return what became of each, kept ones too."""
    done = []
    for one in wanted:
        if one.result != "would-delete":
            done.append(one)
            continue
        try:
            common = dict(repositories.known(store, broken))[one.repo]
            entry = branch_removal.remove(
                store, one.session, common, one.branch, one.head, one.reasons, broken
            )
        except Exception as error:  # whatever it is about this one, the others have their turn
            known = isinstance(error, ProdigyError | OSError | ValueError)
            end, why = "failed", str(error) if known else told(error)
            if isinstance(error, ProdigyError) and _is_gone(store, one, broken):
                end, why = "kept", "somebody else has just deleted it"
            done.append(replace(one, result=end, reasons=[why]))
            continue
        gone = replace(one, result="deleted", trash_path=entry.path)
        done.append(replace(gone, salvage_ref=entry.salvage_ref))
    return done


def _is_gone(store: str, one: Spent, broken: Broken) -> bool:
    common = dict(repositories.known(store, broken)).get(one.repo)
    return common is not None and not repository.has_ref(common, f"refs/heads/{one.branch}")


@dataclass(frozen=True)
class _Refs:
    """The refs of a repository; ``behind`` are branches whose upstream has what they have not."""

    known: dict[str, str]
    behind: dict[str, str]


def _of_repository(
    store: str,
    key: str,
    common: str,
    known: Sequence[Brief],
    older_than: int | None,
    broken: Broken,
) -> list[Spent]:
    place = Place(common, common, common)
    refs = _refs(place)
    mine = list(_left_behind(store, key, place, refs, known, older_than))
    if not mine:
        return []
    default = integration.defaults(refs.known, repository.config(common, "init.defaultBranch"))
    questions = [
        Question(
            tip, branch, one.text("base_branch"), one.text("base_commit"),
            bool(one.metadata.get("commits")),
        )
        for one, branch, tip in mine
    ]  # fmt: skip
    with ThreadPoolExecutor(4) as pool:
        answers = integration.how(place, refs.known, default, questions, pool)
    rest = [one for (one, _, _), how in zip(mine, answers, strict=True) if not _in(how)]
    replaced = _replaced(store, key, rest, broken)
    heads = {tip for _, _, tip in mine} | {by.head for _, by in replaced.values() if by.head}
    queued = _merged_before(store, key, place, default, mine, heads, broken)
    here = {one.id for (one, _, _), how in zip(mine, answers, strict=True) if _in(how)}
    given_up = {
        name: _in_words(attempt, by)
        for name, (attempt, by) in replaced.items()
        if attempt.state != "succeeded"
        # What has come in its place is not there yet: perhaps this is wanted after all.
        or by.session_id in here or by.head in queued
        or (by.head is not None and _is_in_its_base(place, refs, by))
    }  # fmt: skip
    needed = {
        one.base_branch: one.id for one in known if not one.over and one.base_branch is not None
    }
    held = together.checked_out(common, {branch for _, branch, _ in mine})
    found = []
    for (one, branch, tip), how in zip(mine, answers, strict=True):
        reason = f"in {how.into} ({how.how})" if _in(how) else queued.get(tip, given_up.get(one.id))
        if reason is None:
            continue
        why = _why_kept(place, refs, default, needed, held, branch, tip)
        result, reasons = ("kept", why) if why else ("would-delete", [reason])
        found.append(Spent(branch, tip, key, one, result, reasons))
    return sorted(found, key=lambda one: one.branch)


def _in(how: Integration) -> bool:
    return how.kind in ("integrated", "unused") and how.into is not None


def _merged_before(
    store: str,
    key: str,
    place: Place,
    default: Sequence[str],
    mine: Sequence[tuple[Session, str, str]],
    heads: set[str],
    broken: Broken,
) -> dict[str, str]:
    """Return those of ``heads`` that `merge` has merged, with conflicts resolved perhaps, in words."""
    into = {one.text("base_branch") for one, _, _ in mine}
    into |= {ref.removeprefix("refs/heads/") for ref in default}
    found = {}
    for branch in sorted(name for name in into if name is not None):
        target = Target(store, key, place, branch)
        if os.path.exists(target.ledger):
            with contextlib.suppress(ProdigyError):  # the branch is gone
                for tip in branch_moves.done_before(target, target.tip(), heads, broken):
                    found[tip] = f"in {branch} ('prodigy-git merge' merged it)"
    return found


def _refs(place: Place) -> _Refs:
    known = integration.refs(place)
    _, out, _ = look(
        place, "for-each-ref", "--format=%(refname)%00%(upstream)%00%(upstream:track,nobracket)",
        "refs/heads",
    )  # fmt: skip
    behind = {}
    for line in os.fsdecode(out).split("\n")[:-1]:
        name, upstream, track = line.split("\0")
        if "behind" in track:
            behind[name] = upstream
    return _Refs(known, behind)


def _left_behind(
    store: str,
    key: str,
    place: Place,
    refs: _Refs,
    known: Sequence[Brief],
    older_than: int | None,
) -> Iterable[tuple[Session, str, str]]:
    """Yield (session, branch, commit) of branches whose session has ended and has no worktree."""
    there = {
        ref.removeprefix("refs/heads/"): sha
        for ref, sha in refs.known.items()
        if ref.startswith("refs/heads/")
    }
    owners: dict[str, Brief] = {}
    for brief in known:
        if brief.branch in there:
            before = owners.get(brief.branch)
            # Of several of one name it is the last one's; of two at once it is not known whose.
            if before is None or (before.started or 0, before.id) < (brief.started or 0, brief.id):
                owners[brief.branch] = brief
    found = [_loaded(store, one.id) for one in owners.values() if one.over]
    found += _cleaned(store, key, there.keys() - owners.keys())
    placed = enrolled.places(store, key)
    now = clock.now()
    for one in found:
        if one is None or one.id in placed or not one.ended or not _made_its_branch(one):
            continue
        branch = one.text("branch") or ""
        tip = there[branch]
        ended = one.ended_at
        if older_than is not None and (ended is None or now - ended < older_than):
            continue
        if os.path.lexists(one.text("worktree_path") or "/"):
            continue
        # One that has more than its session made is somebody's who went on with it.
        last = one.text("last_commit") or one.text("base_commit")
        if tip == last or (last is not None and _is_within(place, tip, last)):
            yield one, branch, tip


def _is_within(place: Place, one: str, other: str) -> bool:
    """Whether the history of the commit ``other`` has the commit ``one``."""
    return look(place, "merge-base", "--is-ancestor", one, other)[0] == 0


def _made_its_branch(one: Session) -> bool:
    """Whether `new-worktree` made the branch that a session's file names: it may have been there."""
    return one.made_branch is not None and one.made_branch == one.text("branch")


def _loaded(store: str, name: str) -> Session | None:
    try:
        return sessions.load(store, name)
    except (ProdigyError, OSError):
        return None  # who lists sessions says so


def _cleaned(store: str, key: str, branches: Iterable[str]) -> list[Session]:
    """Return the sessions of branches whose files clean-up has moved to the trash already."""
    wanted = set(branches)
    found: dict[str, Session] = {}
    top = f"{store}/trash/{key}"
    for name in sorted(os.listdir(top)) if wanted and os.path.isdir(top) else ():
        path = f"{layout.trash(store, key, name)}/session.json"
        try:
            one = Session.of(jsonline.decode_object(files.read(path)))
        except (OSError, ValueError):
            continue
        branch = one.text("branch")
        if one.id != name or one.text("repo") != key or branch not in wanted:
            continue
        if branch not in found or found[branch].started_at < one.started_at:
            found[branch] = one
    return list(found.values())


def _replaced(
    store: str, key: str, some: Sequence[Session], broken: Broken
) -> dict[str, tuple[Result, Result]]:
    """Return, by session, the attempts that do not count, each with the one that has done the item."""
    jobs = {one.job for one in some if one.text("item_id") is not None}
    found = {}
    for job in sorted(jobs):
        try:
            attempts = results.of_job(store, key, job, broken)
        except (ProdigyError, OSError):
            continue  # its log was cleaned: nothing says that the item is done
        done = {one.item_id: one for one in attempts if one.counts and one.item_id is not None}
        for one in attempts:
            by = done.get(one.item_id or "")
            ended = one.state in ("failed", "released", "succeeded")
            if by is not None and one.session_id is not None and ended and not one.counts:
                found[one.session_id] = (one, by)
    return found


def _in_words(attempt: Result, by: Result) -> str:
    who = by.agent_id or by.session_id or "another attempt"
    if attempt.state == "succeeded":
        return f"{who} has done {attempt.item_id} once more, and that is merged"
    word = "failed" if attempt.state == "failed" else "was given back"
    return f"the attempt at {attempt.item_id} {word}, {who} has done it"


def _is_in_its_base(place: Place, refs: _Refs, one: Result) -> bool:
    """Whether the branch that a result's worktree began at has it, as after a plain ``git merge``."""
    base = refs.known.get(f"refs/heads/{one.base_branch}")
    return base is not None and one.head is not None and _is_within(place, one.head, base)


def _why_kept(
    place: Place,
    refs: _Refs,
    default: Sequence[str],
    needed: Mapping[str, str],
    held: set[str],
    branch: str,
    tip: str,
) -> list[str]:
    """Return, in words, why a branch that has served is left alone; empty: it may go."""
    ref = f"refs/heads/{branch}"
    reasons = []
    if ref in default:
        reasons.append("it is a default branch")
    if branch in held:
        reasons.append("a worktree is on it, or goes back to it")
    if branch in needed:
        reasons.append(f"session {needed[branch]} began at it and has not ended")
    ahead = [refs.behind[ref]] if ref in refs.behind else []
    for name, sha in refs.known.items():
        pushed = name.startswith("refs/remotes/") and name.split("/", 3)[-1] == branch
        if pushed and name not in ahead and sha != tip:
            ahead += [] if _is_within(place, sha, tip) else [name]
    reasons += [
        f"{name.removeprefix('refs/remotes/')} has commits that it has not" for name in ahead
    ]
    return reasons
