"""Folders and git's registrations of worktrees that have lost the other half.

Nothing here changes anything. A half whose other one is not in sight is for `holding_back` to judge.
"""

import os
import shlex
from collections.abc import Iterator
from dataclasses import replace

from prodigy_git import layout
from prodigy_git.cleanup.drift import holding_back, leftovers
from prodigy_git.cleanup.drift.holding_back import Half, Memory
from prodigy_git.cleanup.drift.leftovers import Finding, names_in
from prodigy_git.git import registrations
from prodigy_git.git.registrations import Linked
from prodigy_git.model.session import Session
from prodigy_git.record import enrolment, files, whose


def lone_registrations(
    store: str,
    key: str,
    linked: list[Linked],
    mine: list[Session],
    memory: Memory,
    halves: list[Half],
) -> Iterator[Finding]:
    """Find the registrations whose folder is not where git has it."""
    root = layout.worktrees(store, key)
    by_id = {one.id: one for one in mine}
    for one in linked:
        own = one.enrolled is not None and enrolment.ours(one.enrolled, store)
        name = one.enrolled.session if one.enrolled else os.path.basename(one.private)
        finding = Finding("registration", name, key, one.top, "", "", repairable=False)
        try:
            os.lstat(f"{one.top}/.git")
            if (named := registrations.named_by(one.top)) is not None and not os.path.lexists(
                named
            ):
                # Moved, or seen at another path from here: that cannot be told apart.
                repair = f"git worktree repair {shlex.quote(one.top)}"
                yield replace(
                    finding, kind="link", target=one.private,
                    wrong=f"{one.top} names {named} as its git directory, which is {one.private} here",
                    remedy=f"left: if it was moved, '{repair}' in the repository",
                )  # fmt: skip
            continue
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            wrong = f"{one.top} cannot be looked at ({error.strerror}): is its disk mounted?"
            yield replace(finding, wrong=wrong)
            continue
        moved = _moved_to(one, root)
        if moved is not None:
            # Where nothing of the old place is in sight, it may be the same folder by another path.
            known = registrations.linked_from(moved) == os.path.realpath(one.private)
            sure = known and os.path.isdir(os.path.dirname(one.top))
            repair = f"git worktree repair {shlex.quote(moved)}"
            yield replace(
                finding, kind="link", path=moved, target=one.private, repairable=sure,
                wrong=f"{one.top} was moved to {moved}, and git does not know",
                remedy="linked again" if sure else f"left: '{repair}', if it was",
            )  # fmt: skip
            continue
        if names_in(one.top):  # an empty one is what a disk is mounted on, and is not now
            ours = files.same(os.path.dirname(one.top), root)
            yield replace(
                finding, kind="link", target=one.private, repairable=ours,
                wrong=f"{one.top} has lost its .git file, which links it with {one.private}",
                remedy="written again" if ours else "'git worktree repair' in it, if it still is one",
            )  # fmt: skip
            continue
        finding = replace(
            finding, wrong=f"the folder {one.top} of a registered worktree is missing"
        )
        if users := sorted(whose.others(one.private).values()):
            # They may see it, or clean it: it is not lost as long as anybody needs it.
            yield replace(finding, remedy=f"left: user {users[0]} has a session in it")
            continue
        half = Half(
            one.private, one.top, os.path.dirname(one.top), by_id.get(name) if own else None
        )
        halves.append(half)
        doubt = _perhaps_elsewhere(one) or holding_back.why(half, memory)
        if doubt:
            remedy = f"left: {doubt}; 'git worktree repair PATH' if it was moved"
            yield replace(finding, remedy=remedy)
        else:
            yield replace(
                finding, target=one.private, repairable=True,
                remedy="its private directory goes to the trash, with a salvage ref",
            )  # fmt: skip


def _moved_to(one: Linked, root: str) -> str | None:
    """Return the folder that names this private directory: beside the missing one, or in the store.

    Where both were moved, the name leads nowhere: then it is the one in the store that is called alike.
    """
    wanted = os.path.realpath(one.private)
    for parent in dict.fromkeys((os.path.dirname(one.top), root)):
        for name in names_in(parent):
            if registrations.linked_from(f"{parent}/{name}") == wanted:
                return f"{parent}/{name}"
    path = f"{root}/{os.path.basename(one.top)}"
    named = registrations.named_by(path)
    if (
        named is not None
        and not os.path.lexists(named)
        and os.path.basename(named) == os.path.basename(one.private)
        and one.enrolled is not None
    ):
        return path
    return None


def _perhaps_elsewhere(one: Linked) -> str:
    """Return why a missing folder is most likely back later; empty: nothing says so."""
    try:
        reason = files.read(f"{one.private}/locked").decode("utf-8", "replace").strip()
        return f"it is locked ({reason or 'no reason given'})"
    except FileNotFoundError:
        pass
    except OSError as error:
        return f"whether it is locked cannot be read ({error.strerror})"
    parent = os.path.dirname(one.top)
    if not os.path.isdir(parent):
        return f"{parent} is missing, too: is its disk mounted?"
    if os.path.lexists(one.top):
        return f"an empty folder is there: is its disk mounted? 'rmdir {one.top}' if it is none"
    # What a disk is mounted on is an empty folder while it is not.
    if not names_in(parent):
        return f"{parent} is empty: is its disk mounted?"
    return ""


def lone_folders(
    store: str,
    key: str,
    linked: list[Linked],
    mine: list[Session],
    common: str,
    memory: Memory,
    halves: list[Half],
) -> Iterator[Finding]:
    """Find the folders under ``worktrees/{repo}/`` that git has no registration for."""
    root = layout.worktrees(store, key)
    by_private = {os.path.realpath(one.private): one for one in linked}
    # By what they are: the store, or a folder in it, may be a link.
    tops = {holding_back.identity(one.top) for one in linked}
    for name in names_in(root):
        top = f"{root}/{name}"
        if name in leftovers.OF_PRODIGY:
            continue
        if holding_back.identity(top) in tops and not os.path.islink(top):
            continue
        session = session_of(top, mine)
        if os.path.islink(top) or not os.path.isdir(top):
            yield leftovers.not_ours(key, top)
            continue
        finding = Finding("folder", name, key, top, "", "", repairable=False)
        private = registrations.linked_from(top)
        registered = None if private is None else by_private.get(private)
        if not names_in(top):
            if session is not None and session.ended:
                yield replace(
                    finding,
                    kind="empty",
                    wrong=f"{top} is empty",
                    remedy="removed",
                    repairable=True,
                )
            else:
                yield leftovers.not_ours(key, top)
        elif any(other.startswith(f"{os.path.realpath(top)}/") for other in _real(linked)):
            yield replace(finding, wrong=f"{top} is no worktree, and there are worktrees in it")
        elif os.path.isdir(f"{top}/.git") or (private is not None and registered is None):
            yield replace(finding, wrong=f"{top} belongs to another repository")
        elif registered is not None and registrations.linked_from(registered.top) == private:
            yield replace(
                finding, wrong=f"{top} is a copy of the worktree {registered.top}",
                remedy="left: delete it, if nobody needs it",
            )  # fmt: skip
        elif registered is not None:
            pass  # found as what its registration is to be linked with
        elif session is not None or registrations.named_by(top) is not None:
            half = Half(
                top, registrations.named_by(top) or f"{common}/worktrees/{name}", common, session
            )
            halves.append(half)
            doubt = holding_back.why(half, memory)
            yield replace(
                finding, wrong=f"{top} is no worktree that git knows", repairable=not doubt,
                remedy=f"left: {doubt}; {_way_back(session)}" if doubt
                else "goes to the trash, whole, with a salvage ref",
            )  # fmt: skip
        else:
            yield leftovers.not_ours(key, top)


def _way_back(session: Session | None) -> str:
    if session is None:
        return "'git worktree repair PATH' in its repository links it, if it has one"
    return f"'prodigy-git worktree restore {session.id}' makes git know it again"


def _real(linked: list[Linked]) -> Iterator[str]:
    return (os.path.realpath(one.top) for one in linked)


def session_of(top: str, mine: list[Session]) -> Session | None:
    """Return the session whose worktree a folder is, as the session's file says."""
    name = os.path.basename(top)
    for one in mine:
        path = one.text("worktree_path") or ""
        if os.path.basename(path) == name and (
            one.id == name or files.same(os.path.dirname(path), os.path.dirname(top))
        ):
            return one
    return None
