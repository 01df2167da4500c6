"""What other hosts have pushed of a job: where it is, as the log says, and how it comes here.

An event may be another host's, and says whatever that host likes. So its URL is only compared with
those of this clone's own remotes, one of which is asked by its name; the ref has to be a branch's, and
the commit has to be there once it is fetched.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from prodigy_git.errors import ProdigyError
from prodigy_git.git import divergence, remotes
from prodigy_git.model.selection import Selection
from prodigy_git.record.gitdir import Place
from prodigy_git.store import events
from prodigy_git.store.events import Broken
from prodigy_git.store.stream import merge

_REF = re.compile(r"refs/heads/(?!-)[^\x00-\x20\x7f~^:?*\[\\]+")
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_PATIENCE = 600.0  # seconds that a remote has for what is asked of it


@dataclass(frozen=True)
class Pushed:
    """A session's commit at a ref of a remote, as the host that pushed it calls that."""

    session_id: str
    job_id: str
    item_id: str | None
    remote: str
    url: str
    ref: str
    head: str

    @property
    def branch(self) -> str:
        """The branch's name, without ``refs/heads/``."""
        return self.ref.removeprefix("refs/heads/")


def of_job(
    store: str, repo: str, job: str, broken: Broken, *, sessions: Collection[str] = ()
) -> dict[str, Pushed]:
    """Return what was pushed last of a job's sessions, or of those named, by session.

    Where that is no branch's name, or no commit's, it is passed over.
    """
    wanted = Selection(types=frozenset(("BranchPushed",)), sessions=frozenset(sessions))
    found: dict[str, Pushed] = {}
    for event in merge(events.log_files(store, repo, job), broken, wanted):
        own, session = event.own(), event.session_id
        remote, url, ref, head = (own.get(name) for name in ("remote", "url", "ref", "head"))
        if (
            session
            and isinstance(remote, str)
            and isinstance(ref, str)
            and isinstance(head, str)
            and is_branch(ref)
            and _SHA.fullmatch(head)
        ):
            where = url if isinstance(url, str) else ""
            found[session] = Pushed(session, job, event.item_id, remote, where, ref, head)
    return found


def is_branch(ref: str) -> bool:
    """Whether a text is a branch's full name, as git-check-ref-format(1) has it."""
    parts = ref.split("/")
    return (
        _REF.fullmatch(ref) is not None
        and ".." not in ref
        and "@{" not in ref
        and all(part and part[0] != "." and not part.endswith((".", ".lock")) for part in parts)
    )


def lacking(place: Place, wanted: Iterable[Pushed]) -> list[Pushed]:
    """Return those whose commits are not here."""
    listed = list(wanted)
    there = divergence.resolve(place, {one.head for one in listed})
    return [one for one in listed if one.head not in there]


def fetch(place: Place, wanted: Iterable[Pushed], broken: Broken) -> list[Pushed]:
    """Fetch branches from the remotes that have them; return those whose commits are not here then.

    First from the remote with the URL that the event names, then from that of the same name, then from
    the others. Where one cannot be asked that is reported.
    """
    left = lacking(place, wanted)
    if not left:
        return []
    known = remotes.known(place.common)
    urls = {name: {_plain(one) for one in found} for name, found in known.items()}
    for remote in sorted(known, key=lambda name: _nearness(name, urls[name], left), reverse=True):
        try:
            heads = remotes.heads(place.common, remote, _PATIENCE)
            refs = sorted({one.ref for one in left if one.ref in heads})
            remotes.fetch(place.common, remote, refs, _PATIENCE)
        except ProdigyError as trouble:
            broken(f"remote {remote} cannot be fetched from ({trouble})")
            continue
        left = lacking(place, left)
        if not left:
            break
    return left


def _nearness(name: str, urls: Collection[str], left: list[Pushed]) -> tuple[int, int]:
    """Return how many of those the remote seems to have: by its URL, and by its name."""
    return (
        sum(_plain(one.url) in urls for one in left),
        sum(one.remote == name for one in left),
    )


def _plain(url: str) -> str:
    """Return what URLs of one repository have in common, whatever they are spoken with over."""
    from prodigy_git.hub import remote_url  # only where other hosts have pushed

    return remote_url.form(url) or remotes.harmless(url)
