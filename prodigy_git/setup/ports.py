"""Ports: each worktree has a block of ten of its own, as long as it lives.

The blocks are leased in ``ports.json`` of the store, so across the repositories and users of that
store: ``{"blocks": {first port: {session_id, repo, git_dir, before}}}``. A worktree gets its block when
somebody first asks for it, and keeps it, also while somebody else listens there for a while.

Nobody gives a block back: it is free once its worktree is gone, in whichever way it went, and whoever
looks for one finds that out. Until somebody has taken it, a worktree that comes back from the trash has
it again. A kill leaves the file as it was before or after: it is replaced whole, under a lock.
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from typing import Any

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.record import enrolment_file, files, jsonline, locks, repokey, session
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.record.gitdir import Place
from prodigy_git.store import enrolled, home
from prodigy_git.store.events import Broken

COUNT = 10
"""How many ports a block has."""
SETTING = "prodigy.portBase"

# Above what other programs have by default, below what systems give to outgoing connections (from
# 32768 on, ip(7), ip_local_port_range).
_FIRST, _LAST = 20000, 29999
_HIGHEST = 65535
_REMEMBERED = 20  # sessions that had a block before


def known(store: str, name: str) -> int | None:
    """Return the first port of the block that a session's worktree has; None: it has none. Only looks.

    Raises `ProdigyError` where the leases cannot be read, `PermissionError` where we may not.
    """
    return next((first for first, one in _read(store).items() if one["session_id"] == name), None)


def block(place: Place, broken: Broken) -> int | None:
    """Return the first port of a worktree's block, leased now if it has none yet.

    None for one that has no session, or whose store has none of it: that is another store than it was
    made in. None for who may not write there, if none is leased; and where there is no block to be had,
    which is told to ``broken``: nobody's work ends for want of a port.
    """
    there = home.enrolled(place)
    if there is None or not os.path.lexists(layout.session(there.store, there.session)):
        return None
    try:
        found = known(there.store, there.session)
        return _take(there, place) if found is None else found
    except PermissionError:
        return None
    except (ProdigyError, OSError) as error:
        if not (isinstance(error, OSError) and error.errno == errno.EROFS):
            broken(f"no ports for {there.session}: {error}")
        return None


def kept_when_restored(there: Enrolment, place: Place) -> str | None:
    """Return, in words, that a worktree which came back has other ports than before; None: it has not.

    It has its own block again unless somebody has taken it, or listens there. Raises `ProdigyError` or
    `OSError`.
    """
    blocks = _read(there.store)
    mine = [at for at, one in blocks.items() if one["session_id"] == there.session]
    lost = [at for at, one in blocks.items() if there.session in one["before"]]
    if not mine and not lost:
        return None
    before = (*mine, *lost)[0]
    if not mine:
        why = f"are {blocks[before]['session_id']}'s now"
    elif _is_free(before):
        return None
    else:
        why = "are in use by another program"
    first = _take(there, place, instead_of=before)
    return f"its ports {_range(before)} {why}: it has {_range(first)}"


def variables(first: int | None) -> dict[str, str]:
    """Return the environment variables that say a block: PRODIGY_PORT, PRODIGY_PORT_1 to _9."""
    if first is None:
        return {}
    more = {f"PRODIGY_PORT_{number}": str(first + number) for number in range(1, COUNT)}
    return {"PRODIGY_PORT": str(first), **more}


def _range(first: int) -> str:
    return f"{first}-{first + COUNT - 1}"


def _take(there: Enrolment, place: Place, *, instead_of: int | None = None) -> int:
    """Lease a block to a worktree, not ``instead_of``. Raises `ProdigyError` or `OSError`."""
    store = there.store
    candidates = list(_candidates(store, place))
    files.make_private(f"{store}/locks")
    lock = locks.take(layout.ports_lock(store))
    try:
        blocks = _read(store)
        mine = [at for at, one in blocks.items() if one["session_id"] == there.session]
        if mine and instead_of is None:  # another process has been quicker
            return mine[0]
        # Blocks of two repositories may begin at different ports, and overlap.
        owners = {at + number: at for at in blocks for number in range(COUNT)}
        lives: dict[int, bool] = {}
        for first in candidates:
            in_it = {owners[port] for port in range(first, first + COUNT) if port in owners}
            for at in in_it - lives.keys():
                lives[at] = _lives(store, blocks[at])
            if first == instead_of or any(lives[at] for at in in_it) or not _is_free(first):
                continue
            before = [
                one for at in in_it for one in (blocks[at]["session_id"], *blocks[at]["before"])
            ]
            for at in (*in_it, *mine):
                del blocks[at]
            blocks[first] = {
                "session_id": there.session, "repo": there.repo, "git_dir": place.private,
                "before": [one for one in before if one != there.session][:_REMEMBERED],
            }  # fmt: skip
            _write(store, blocks)
            return first
    finally:
        os.close(lock)
    raise ProdigyError(
        f"all of {candidates[0]}-{candidates[-1] + COUNT - 1} are leased or in use: "
        f"'git config {SETTING} 40000-49999' gives others"
    )


def _candidates(store: str, place: Place) -> Iterator[int]:
    """Yield the first ports of the blocks that a repository may have, in the order to try them."""
    value = repository.config(place.common, SETTING)
    if value is None:
        first, last = _FIRST, _LAST
    else:
        said = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", value.strip(), re.ASCII)
        first = int(said[1]) if said else 0
        last = int(said[2]) if said and said[2] else _HIGHEST
        if not (first > 0 and last <= _HIGHEST and last - first >= COUNT - 1):
            raise ProdigyError(
                f"git config {SETTING} is {value!r}: set it to a port, or to a range like 20000-29999"
            )
    firsts = range(first, last - COUNT + 2, COUNT)
    # Stores know nothing of each other: two users' first worktrees should not meet.
    ahead = int(files.sha1_hex(os.fsencode(store))[:8], 16) % len(firsts) if value is None else 0
    yield from firsts[ahead:]
    yield from firsts[:ahead]


def _is_free(first: int) -> bool:
    return all(not _somebody_listens(port) for port in range(first, first + COUNT))


def _somebody_listens(port: int) -> bool:
    """Whether a program of this machine listens on a TCP port, on whichever of its addresses.

    Asked by binding: the system refuses an address that is listened on, also for the address of all.
    """
    import socket  # takes longer to import than all that is needed once the block is leased

    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as one:
                # Not refused for connections that have just been closed (tcp(7), TIME_WAIT).
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                one.bind((address, port))
        except OSError as error:
            # Another reason (no IPv6, no network at all in a sandbox) says nothing of the port.
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return True
    return False


def _lives(store: str, one: dict[str, Any]) -> bool:
    """Whether the worktree that leased a block is there still; what cannot be told counts as there."""
    name, repo = one["session_id"], one["repo"]
    with contextlib.suppress(OSError, ValueError):
        there = enrolment_file.as_written(one["git_dir"])
        if there is not None and there.session == name:
            return True
    try:
        metadata = session.read(store, name).get("metadata")
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
    if not isinstance(metadata, dict):
        return True
    if metadata.get("trash_path") is not None:
        return False
    path = metadata.get("worktree_path")
    if isinstance(path, str) and os.path.lexists(path):
        return True
    # Moved, with its repository or alone; or on a disk that is not mounted now.
    try:
        common = repokey.common_of(store, repo)
    except (OSError, ValueError):
        return True
    if common is None or not os.path.isfile(f"{common}/HEAD"):
        return True
    return name in enrolled.places(store, repo)


def _read(store: str) -> dict[int, dict[str, Any]]:
    """Return the leases by first port. Raises `ProdigyError` for a damaged file, `PermissionError`."""
    path = layout.ports(store)
    try:
        blocks = jsonline.decode_object(files.read(path)).get("blocks")
        if not isinstance(blocks, dict):
            raise ValueError("no blocks")
        return {_port(first): _checked(one) for first, one in blocks.items()}
    except FileNotFoundError:
        return {}
    except PermissionError:
        raise
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise ProdigyError(f"{path} cannot be read ({why}): move it away") from None


def _port(text: str) -> int:
    if not text.isdecimal() or len(text) > 5 or not 0 < int(text) <= _HIGHEST:
        raise ValueError(f"{text!r} is no port")
    return int(text)


def _checked(one: object) -> dict[str, Any]:
    if isinstance(one, dict):
        texts = [one.get(key) for key in ("session_id", "repo", "git_dir")]
        before = one.get("before")
        if isinstance(before, list) and all(isinstance(text, str) for text in (*texts, *before)):
            return one
    raise ValueError("no lease")


def _write(store: str, blocks: dict[int, dict[str, Any]]) -> None:
    document = {"blocks": {str(first): one for first, one in sorted(blocks.items())}}
    files.replace(layout.ports(store), jsonline.line(document))
