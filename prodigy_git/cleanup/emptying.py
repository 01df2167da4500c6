"""Emptying the trash: what its retention or size limit has let go of is deleted, in the background.

git config, read in the entry's repository: ``prodigy.trashRetention`` (``7d``, the default; a number
and s, m, h, d or w; or ``never``) and ``prodigy.trashLimit`` (bytes, with k, m or g as git takes them;
default 20g; for the trash of one repository). The limit takes the oldest entries first and never the
newest of a session. An entry's age is its ``created_at``, never a file's time.

An entry in state ``trashed`` becomes ``emptying`` under the repository's lock: from then on it is not
restored from its folders. A process of its own deletes these, then writes ``emptied``: what is left
is ``entry.json``, which `restore` needs to bring back from the salvage ref what git holds. Where that
ref holds nothing that a branch, tag or remote-tracking ref does not hold, ref and entry go too.
"""

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from prodigy_git import duration, layout
from prodigy_git.cleanup import entry as entries
from prodigy_git.cleanup import salvage
from prodigy_git.cleanup.entry import Entry
from prodigy_git.cleanup.erasing import allocated, erase
from prodigy_git.errors import ProdigyError, told
from prodigy_git.git.ask import git_status, said
from prodigy_git.record import clock, files, log
from prodigy_git.store import locked
from prodigy_git.store.events import Broken

RETENTION = 7 * 86400 * clock.SECOND
"""How long an entry stays, in microseconds, where git config does not say."""
LIMIT = 20 * 1024**3
"""How many bytes the trash of one repository may take, where git config does not say."""


def retention(common: str) -> int | None:
    """Return a repository's retention in microseconds; None: nothing is emptied by age.

    Raises `ProdigyError` for a setting that is no duration.
    """
    text = _setting(common, "prodigy.trashRetention")
    if text is None:
        return RETENTION
    if text == "never":
        return None
    kept = duration.parse(text)
    if kept is None:
        raise ProdigyError(
            f"git config prodigy.trashRetention {text!r} is no duration, so nothing is emptied by "
            "age: write 7d, 12h or never"
        )
    return kept


def limit(common: str) -> int:
    """Return how many bytes a repository's trash may take. Raises `ProdigyError` for a bad setting."""
    text = _setting(common, "prodigy.trashLimit", "--type=int")
    return LIMIT if text is None else int(text)


def _setting(common: str, name: str, *options: str) -> str | None:
    """Return a git setting; the global one where the repository is gone, or its disk not mounted."""
    here = os.path.isdir(common)
    where = () if here else ("--global",)
    status, out, err = git_status(
        common if here else "/", "config", *where, *options, "--get", name
    )
    if status == 0:
        return out.removesuffix("\n")
    if status == 1:
        return None
    why = said(err, f"exit status {status}")
    raise ProdigyError(f"git config {name}: {why}; nothing is emptied")


def expires_at(found: Entry) -> int | None:
    """Return when an entry's retention ends, in microseconds since 1970; None: it does not.

    Raises `ProdigyError` where git config or the entry does not say.
    """
    kept = retention(found.common)
    created = clock.parse(found.created_at)
    if created is None:
        raise ProdigyError(f"{found.path}: no readable created_at, so it is kept")
    return None if kept is None else created + kept


def due(store: str, broken: Broken, repo: str | None = None) -> list[Entry]:
    """Return the entries whose retention has ended, oldest first; changes nothing.

    Those of the repository key ``repo``, or with None all.
    """
    now = clock.now()
    found = []
    for one in entries.entries(store, broken, repo):
        if one.state == "trashed":
            try:
                ends = expires_at(one)
            except ProdigyError as error:
                broken(str(error))
                continue
            if ends is not None and ends <= now:
                found.append(one)
    return found


def over_limit(store: str, broken: Broken, repo: str | None = None) -> list[Entry]:
    """Return the entries that must go for their repository's size limit; changes nothing.

    Those of the repository key ``repo``, or with None all. Sizes are measured only where there is an
    entry that the limit may take at all.
    """
    by_repo: dict[str, list[Entry]] = {}
    for one in entries.entries(store, broken, repo):
        if one.state == "trashed":
            by_repo.setdefault(one.repo, []).append(one)
    found = []
    for some in by_repo.values():
        newest = {one.session: one.path for one in some}
        older = [one for one in some if newest[one.session] != one.path]
        if not older:
            continue
        try:
            over = sum(map(measured, some)) - limit(some[-1].common)
        except ProdigyError as error:
            broken(str(error))
            continue
        for one in older:
            if over > 0:
                found.append(one)
                over -= measured(one)
    return found


def measured(found: Entry) -> int:
    """Return the bytes that an entry's folders take on disk (blocks), measured where not yet noted."""
    if found.bytes is None:
        found.bytes = sum(map(allocated, _folders(found)))
    return found.bytes


def expire(
    store: str, broken: Broken, repo: str | None = None, *, dry_run: bool = False
) -> list[Entry]:
    """Take what is past retention or limit, and start the deleting of it; return what was taken.

    That of the repository key ``repo``, or with None all; ``dry_run`` only returns it. What a killed
    process has left half deleted is gone on with. What cannot be taken is reported.
    """
    wanted = due(store, broken, repo)
    if dry_run:
        known = {one.path for one in wanted}
        return wanted + [one for one in over_limit(store, broken, repo) if one.path not in known]
    taken = _take(wanted, broken)
    taken += _take(over_limit(store, broken, repo), broken)
    if taken or any(one.state == "emptying" for one in entries.entries(store, lambda _: None)):
        start(store)
    return taken


def empty_now(found: Entry | Iterable[Entry], broken: Broken) -> list[Entry]:
    """Empty entries, whatever their age; return those that were taken, with their deletion begun."""
    taken = _take([found] if isinstance(found, Entry) else found, broken)
    for store in {_store(one) for one in taken}:
        start(store)
    return taken


def _take(wanted: Iterable[Entry], broken: Broken) -> list[Entry]:
    """Write the intent to delete; leave out what has been restored, or taken, meanwhile."""
    taken = []
    for one in wanted:
        try:
            with locked.repository(_store(one), one.repo):
                now = entries.read(one.path)
                # Not settled: the branch, event and session of its removal are still to be written.
                if now.state != "trashed" or not now.settled:
                    continue
                _folders(now)
                now.state = "emptying"
                now.bytes = one.bytes
                entries.write(now)
        except (ProdigyError, OSError) as error:
            if os.path.lexists(one.path):  # or it has been restored
                broken(f"{one.path}: kept ({error})")
            continue
        taken.append(now)
    return taken


def _store(found: Entry) -> str:
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(found.path))))


def _folders(found: Entry) -> list[str]:
    """Return the two folders of an entry, those of them that it has.

    Raises `ProdigyError` where ``entry.json`` names others: what is deleted must lie in the trash.
    """
    beside = f"{found.common}/prodigy-trash/{found.session}-{found.moment}"
    known = (f"{found.path}/worktree", f"{found.path}/git", beside, f"{beside}-worktree")
    named = [path for path in (found.folder, found.git) if path]
    for path in named:
        if path not in known:
            raise ProdigyError(f"{found.path}/entry.json names {path}, which is not in the trash")
    return named


def start(store: str) -> "subprocess.Popen[bytes] | None":
    """Start a process that deletes what is in state ``emptying``; None where one is about to anyway.

    It outlives the terminal. The lock says that a process waits for its turn and has not looked yet:
    that one will see what the caller has marked. It is handed down, so that there is no moment
    without a holder: hence flock, and not filelock, which cannot.
    """
    try:
        waiting = files.lock(layout.emptying_next_lock(store), patience=0)
    except files.Busy:
        return None
    package = str(Path(__file__).resolve().parents[2])
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from prodigy_git.cleanup import emptying; "
        "emptying.work(sys.argv[2], int(sys.argv[3]))"
    )
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", code, package, store, str(waiting)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd="/", start_new_session=True, pass_fds=(waiting,),
        )  # fmt: skip
    finally:
        os.close(waiting)


def work(store: str, waiting: int) -> None:
    """Delete every entry in state ``emptying``, at low priority, one such process per store.

    ``waiting`` is the descriptor of the lock that `start` took. Trouble goes to the store's log.
    """
    _step_back()
    files.make_private(f"{store}/locks")
    turn = os.open(layout.emptying_lock(store), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)  # for as long as the one before takes, hours perhaps
        os.close(waiting)

        def note(text: str) -> None:
            log.report(store, f"emptying the trash: {text}")

        for one in entries.entries(store, note):
            try:
                if one.state == "emptying":
                    _delete(store, one, note)
                elif one.state == "emptied":
                    _retire(store, one)
            except Exception as error:  # whatever one entry causes, the others are deleted
                note(f"{one.path}: {told(error)}")
    finally:
        os.close(turn)


def _step_back() -> None:
    """Take the processor and the disk only when nobody else wants them."""
    os.nice(19)
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import psutil

        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)


def _delete(store: str, found: Entry, note: Broken) -> None:
    left = [text for path in _folders(found) for text in erase(path)]
    if left:
        more = f", and {len(left) - 1} more" if len(left) > 1 else ""
        note(f"{found.path} stays, not everything could be deleted: {left[0]}{more}")
        return
    with locked.repository(store, found.repo):
        now = entries.read(found.path)
        if now.state != "emptying":
            return
        now.state = "emptied"
        now.bytes = 0
        entries.write(now)
    _retire(store, now)


def _retire(store: str, found: Entry) -> None:
    """Remove an emptied entry, and its salvage refs, where they hold nothing of their own."""
    with locked.repository(store, found.repo):
        if entries.read(found.path).state != "emptied":
            return
        refs = [ref for ref in (found.salvage_ref, *found.tag_refs) if ref]
        tips = _needless(found, refs)
        if tips is None:
            return
        for ref, tip in tips.items():
            # Compare-and-swap: only what was looked at.
            if git_status(found.common, "update-ref", "--no-deref", "-d", ref, tip)[0] != 0:
                return
        for left in erase(found.path):
            raise ProdigyError(left)
        for folder in (os.path.dirname(found.path), os.path.dirname(os.path.dirname(found.path))):
            with contextlib.suppress(OSError):  # not empty
                os.rmdir(folder)


def _needless(found: Entry, refs: list[str]) -> dict[str, str] | None:
    """Return the refs that exist with what they point to, if other refs hold all of that; else None."""
    if not os.path.isdir(found.common):
        return None  # its disk is not mounted, perhaps: who knows what the ref holds
    own = salvage.ref_name(found.session, found.moment)
    tips = {}
    for ref in refs:
        if ref != own and not ref.startswith(f"{own}-tag-"):
            raise ProdigyError(
                f"{found.path}/entry.json names {ref}, which is no salvage ref of it"
            )
        status, out, _ = git_status(found.common, "rev-parse", "--verify", "--quiet", ref)
        if status == 0:
            tips[ref] = out.strip()
    if not tips:
        return tips
    # Objects, since a salvage ref may hold a tag object whose commit is on a branch.
    status, out, _ = git_status(
        found.common, "rev-list", "--objects", "--count", *tips.values(), "--not", "--branches",
        "--tags", "--remotes", "--", env={"GIT_NO_LAZY_FETCH": "1"},
    )  # fmt: skip
    return tips if status == 0 and out.strip() == "0" else None
