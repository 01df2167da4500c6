"""Gathering the evidence of many worktrees at once: one git process each, a few per repository."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

from prodigy_git.cleanup import lone, nested, presence, trees
from prodigy_git.cleanup.evidence import Evidence, Subject
from prodigy_git.errors import ProdigyError, told
from prodigy_git.git import indexfile, integration
from prodigy_git.git.ask import look, said
from prodigy_git.git.integration import Question
from prodigy_git.record import clock, files, gitdir
from prodigy_git.record.gitdir import Place

_STATUS = (
    # Said outright, so that no setting of the user's hides a file: status.showUntrackedFiles=no and
    # diff.ignoreSubmodules do.
    "status", "--porcelain=v2", "-z", "--untracked-files=all", "--ignored=matching",
    "--ignore-submodules=none", "--no-renames",
)  # fmt: skip

SALVAGE_LIMIT = 100 * 1024 * 1024
"""Bytes; git config ``prodigy.salvageLimit`` says otherwise."""


@dataclass(frozen=True)
class _Repository:
    """What is asked once per repository; ``hash_size`` and ``salvage_limit`` are in bytes.

    ``linked`` are the real paths of its worktrees, the main one not; ``status`` is how git is asked.
    """

    hash_size: int
    default_branch: str | None
    salvage_limit: int
    linked: list[str]
    status: tuple[str, ...]


def gather(
    wanted: Sequence[Subject], progress: Callable[[], None] = lambda: None
) -> list[Evidence]:
    """Return the account of each worktree, in their order; nothing is written by looking.

    ``progress`` is called, from any thread, as each is done. Never raises for a damaged worktree:
    what cannot be read is said in its ``unreadable``. Raises `ProdigyError` where git is missing.
    """
    running = presence.scan()
    repositories: dict[str, list[int]] = {}
    for number, subject in enumerate(wanted):
        if subject.place is not None:
            repositories.setdefault(subject.place.common, []).append(number)
    found: dict[int, Evidence] = {}
    # One more than there are cores: while one waits for a process to start, another computes.
    with ThreadPoolExecutor(max_workers=_cores() + 1) as pool:
        for numbers in repositories.values():
            accounts = _of_repository([wanted[n] for n in numbers], running, pool, progress)
            found.update(zip(numbers, accounts, strict=True))
    for number, subject in enumerate(wanted):
        if subject.place is None:
            found[number] = _bare_account(subject)
            progress()
    return [found[number] for number in range(len(wanted))]


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _bare_account(subject: Subject) -> Evidence:
    """Return what is known of a worktree without looking at its files."""
    e = Evidence(subject.name, subject.path, place=subject.place, gathered_at=time.monotonic())
    if subject.trouble is not None:
        e.unreadable.append(subject.trouble)
    found = subject.session
    if found is not None:
        e.session_id, e.status, e.ended, e.job = found.id, found.status, found.ended, found.job
        e.started_at = clock.parse(found.started_at)
        e.ended_at = found.ended_at
        moments = [e.started_at, e.ended_at]
        moments += [clock.parse(one.created_at) for one in found.checkpoints]
        e.last_activity = max((one for one in moments if one is not None), default=None)
    return e


def _of_repository(
    wanted: Sequence[Subject],
    running: Iterable[presence.Running],
    pool: Executor,
    progress: Callable[[], None],
) -> list[Evidence]:
    """Return the accounts of worktrees of one repository."""
    places = [subject.place for subject in wanted if subject.place is not None]
    common = lone.common_place(places[0])
    asked_repository = pool.submit(_repository, common, crowded=len(wanted) > _cores())
    asked_refs = pool.submit(integration.refs, common)
    here = asked_repository.result()
    stashes = _stashes(common)

    def account(subject: Subject) -> tuple[Evidence, lone.Named]:
        e = _bare_account(subject)
        try:
            named = _look_at(e, subject, here)
        except Exception as error:  # whatever one worktree causes, the others are looked at
            e.unreadable.append(f"it cannot be looked at ({told(error)})")
            named = lone.Named(e.head, [])
        progress()
        return e, named

    pairs = list(pool.map(account, wanted))
    found = [e for e, _ in pairs]
    named = [one for _, one in pairs]
    try:
        lones = lone.count(common, named)
    except ProdigyError as error:
        lones = []
        for e in found:
            e.unreadable.append(f"which commits no ref reaches is not known ({error})")
    for e, count in zip(found, lones, strict=False):
        e.lone_commits, e.lone_in_reflog, e.rewritten = count.head, count.given_up, count.rewritten
    for e, place in zip(found, places, strict=True):
        e.processes += presence.inside(place, running)
        e.stashes = stashes.get(e.branch or "", 0)
    known = asked_refs.result()
    default = integration.defaults(known, here.default_branch)
    with_head = [n for n, e in enumerate(found) if e.head is not None]
    questions = [_question(wanted[n], found[n], named[n]) for n in with_head]
    answers = integration.how(common, known, default, questions, pool)
    for n, answer in zip(with_head, answers, strict=True):
        found[n].integration = answer
        found[n].default_branch = f"refs/heads/{found[n].branch}" in default
    return found


def _question(subject: Subject, e: Evidence, named: lone.Named) -> Question:
    found = subject.session
    start = base = None
    commits: object = 0
    if found is not None:
        start, base = found.text("base_commit"), found.text("base_branch")
        commits = found.metadata.get("commits")
    if start is None and named.journal:
        start = named.journal[0].new
    made = bool(commits) or lone.made_commits(named.journal)
    return Question(e.head or "", e.branch, base, start, made)


def _repository(common: Place, *, crowded: bool) -> _Repository:
    _, out, _ = look(
        common, "config", "-z", "--get-regexp",
        r"^(extensions\.objectformat|init\.defaultbranch|prodigy\.salvagelimit)$",
    )  # fmt: skip
    values: dict[str, str] = {}
    for entry in out.split(b"\0")[:-1]:
        key, _, value = os.fsdecode(entry).partition("\n")
        values[key] = value
    return _Repository(
        32 if values.get("extensions.objectformat") == "sha256" else 20,
        values.get("init.defaultbranch"),
        _bytes(values.get("prodigy.salvagelimit")),
        nested.linked(common.common),
        # git looks at one worktree's files on all cores; many at once only get into each other's way.
        ("-c", "core.preloadIndex=false", *_STATUS) if crowded else _STATUS,
    )


def _bytes(text: str | None) -> int:
    """Return a size as git-config(1) writes one; the usual limit where it is none."""
    scale = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}.get((text or "")[-1:].lower(), 1)
    digits = (text or "").rstrip("kKmMgG")
    return int(digits) * scale if digits.isascii() and digits.isdigit() else SALVAGE_LIMIT


def _stashes(common: Place) -> dict[str, int]:
    """Return how many stashes were made on each branch, by their messages."""
    found: dict[str, int] = {}
    try:
        text = os.fsdecode(files.read(f"{common.common}/logs/refs/stash"))
    except OSError:
        return found
    for line in text.split("\n"):
        _, _, message = line.partition("\t")
        for opening in ("WIP on ", "On "):
            if message.startswith(opening):
                branch = message.removeprefix(opening).partition(": ")[0]
                found[branch] = found.get(branch, 0) + 1
    return found


def _look_at(e: Evidence, subject: Subject, here: _Repository) -> lone.Named:
    """Fill in what is in a worktree's folder and private git directory; return what that names."""
    place = subject.place
    assert place is not None
    e.main = os.path.realpath(place.private) == os.path.realpath(place.common)
    e.locked = _lock_reason(place)
    try:
        e.branch, e.head = gitdir.head(place)
    except OSError as error:
        e.unreadable.append(f"its HEAD cannot be read ({error.strerror})")
    if e.head is not None and (not e.head or e.head.strip("0123456789abcdef")):
        e.unreadable.append("its HEAD is damaged")
        e.head = None
    e.operations = list(dict.fromkeys(lone.operations(place)))
    e.private_refs = [] if e.main else _private_refs(place)
    e.git_locks, e.old_git_locks = presence.git_locks(place, e.branch)
    if subject.session is not None:
        recorded = presence.recorded(subject.session)
        e.processes += [recorded] if recorded is not None else []
    named = lone.named(place, e.head, e.private_refs)
    if named.journal:
        # The reflog's times are git's data, not the file's.
        moment = named.journal[-1].seconds * clock.SECOND
        e.last_activity = max(e.last_activity or 0, moment)
    try:
        _files(e, place, here)
    except (ProdigyError, OSError) as error:
        e.unreadable.append(f"its files cannot be looked at ({error})")
    return named


def _lock_reason(place: Place) -> str | None:
    """Return why a worktree is locked (git-worktree(1)), None where it is not."""
    try:
        with open(f"{place.private}/locked", encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return None


def _private_refs(place: Place) -> list[str]:
    if os.path.isdir(f"{place.private}/reftable"):
        kinds = ("refs/worktree", "refs/bisect", "refs/rewritten")
        _, out, _ = look(place, "for-each-ref", "--format=%(refname)", *kinds)
        return os.fsdecode(out).split("\n")[:-1]
    return sorted(
        os.path.relpath(f"{folder}/{name}", place.private)
        for folder, _, names in trees.walk(f"{place.private}/refs")
        for name in names
        if not name.endswith(".lock")
    )


def _files(e: Evidence, place: Place, here: _Repository) -> None:
    index = indexfile.read(place, here.hash_size)
    if not index.sound:
        e.unreadable.append("its index is damaged")
    there = [path for path in index.hidden if os.path.lexists(os.fsencode(place.top) + b"/" + path)]
    with _unhidden(place, there) as env:
        status, out, err = look(place, *here.status, env=env)
    if status != 0:
        e.unreadable.append(f"git cannot read it ({said(err, f'exit status {status}')})")
        return
    # Folders without permission are warned of, and left out.
    e.unreadable += [
        line for line in err.splitlines() if line.startswith("warning: could not open")
    ]
    changed, ignored = _count(e, out, set(there))
    tops = nested.hidden_tops(place.top, index.folders)
    contents = nested.Contents()
    for path in ignored:
        nested.measure(f"{place.top}/{path.rstrip('/')}", contents)
    e.ignored, e.ignored_bytes = contents.files, contents.bytes
    inner = nested.Contents()
    for path in changed:
        # With a slash at its end: an untracked repository, into which git does not look.
        if path.endswith("/"):
            nested.measure(f"{place.top}/{path.rstrip('/')}", inner)
        else:
            with contextlib.suppress(OSError):
                if os.lstat(f"{place.top}/{path}").st_size > here.salvage_limit:
                    e.too_large.append(path)
        # A bare repository is untracked files to git; its HEAD gives it away.
        if path.endswith("/HEAD") and nested.place_of(f"{place.top}/{path[:-5]}") is not None:
            tops.append(f"{place.top}/{path[:-5]}")
    e.unreadable += contents.unreadable + inner.unreadable
    _repositories(e, place, [*tops, *contents.tops, *inner.tops], index.gitlinks, here)


def _count(e: Evidence, out: bytes, hidden: set[bytes]) -> tuple[list[str], list[str]]:
    """Count what `git status` tells; return the changed paths, then the ignored ones."""
    changed, ignored = [], []
    for entry in out.split(b"\0"):
        kind = entry[:2]
        if kind == b"! ":
            ignored.append(os.fsdecode(entry[2:]))
            continue
        if kind == b"? ":
            e.untracked += 1
            path = entry[2:]
        elif kind == b"u ":
            e.unmerged += 1
            path = entry.split(b" ", 10)[10]
        elif kind == b"1 ":
            path = entry.split(b" ", 8)[8]
            e.staged += entry[2:3] != b"."
            if path in hidden:
                e.hidden += entry[3:4] != b"."
            else:
                e.modified += entry[3:4] != b"."
        else:
            continue
        changed.append(os.fsdecode(path))
    return changed, ignored


@contextlib.contextmanager
def _unhidden(place: Place, hidden: list[bytes]) -> Iterator[dict[str, str] | None]:
    """Give the environment in which git sees ``hidden`` entries: a copy of the index without flags."""
    if not hidden:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="prodigy-index-") as scratch:
        shutil.copyfile(f"{place.private}/index", f"{scratch}/index")
        env = {"GIT_INDEX_FILE": f"{scratch}/index"}
        stdin = b"".join(path + b"\0" for path in hidden)
        for flag in ("--no-assume-unchanged", "--no-skip-worktree"):
            status, _, err = look(
                place, "update-index", flag, "-z", "--stdin", stdin=stdin, env=env
            )
            if status != 0:
                raise ProdigyError(f"git update-index: {said(err)}")
        yield env


def _repositories(
    e: Evidence, place: Place, tops: list[str], gitlinks: list[bytes], here: _Repository
) -> None:
    """Fill in the repositories inside: submodules, clones, worktrees registered anywhere."""
    root = os.path.realpath(place.top)
    worktrees = {path for path in here.linked if path.startswith(f"{root}/")}
    seen = set()
    for path in gitlinks:
        top = f"{place.top}/{os.fsdecode(path)}"
        inner = nested.place_of(top)
        if inner is not None:
            seen.add(os.path.realpath(inner.private))
            e.submodules[os.fsdecode(path)] = nested.own_work(inner)
            worktrees.update(nested.registered_elsewhere(inner))
    for top in dict.fromkeys(tops):
        inner = nested.place_of(top)
        name = os.path.relpath(top, place.top)
        if inner is None:
            e.nested[name] = ["its git directory is missing"]
        elif os.path.realpath(inner.private) not in seen:
            linked = nested.registered_elsewhere(inner)
            worktrees.update(linked)
            if inner.private == inner.common or not linked:
                e.nested[name] = nested.own_work(inner)
    for inner in nested.modules(place.private):
        if os.path.realpath(inner.private) not in seen:
            work = nested.own_work(inner)
            if work:
                e.submodules[os.path.relpath(inner.private, f"{place.private}/modules")] = work
    e.nested_worktrees = sorted(worktrees)
