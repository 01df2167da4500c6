"""Agent Trace records as git notes, so that they travel with the repository (git-notes(1)).

One note for a commit, in `REF`. What another tool has put there stays as it is.
"""

import json
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from prodigy_git.attribution import records
from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import git, git_status, look, said
from prodigy_git.record.gitdir import Place

REF = "refs/notes/agent-trace"
_TRIES = 5


class Written(NamedTuple):
    """How many notes were written, were there already, and were left to who wrote them."""

    written: int
    there: int
    others: int


def write(common: str, found: Iterable[tuple[str, dict[str, Any]]]) -> Written:
    """Write records as the notes of their commits; return what became of them.

    All of them are one commit of the notes' own ref, which moves by compare-and-swap: who else writes
    notes meanwhile loses nothing. Raises `ProdigyError` where git refuses.
    """
    wanted = {commit: json.dumps(record, separators=(",", ":")) for commit, record in found}
    for _ in range(_TRIES):
        old = git_status(common, "rev-parse", "--verify", "--quiet", f"{REF}^{{commit}}")[1].strip()
        here = _there(common, wanted) if old else {}
        others = {one for one, text in here.items() if not _is_ours(text)}
        anew = {
            commit: text
            for commit, text in wanted.items()
            if commit not in others and here.get(commit) != text
        }
        result = Written(len(anew), len(wanted) - len(anew) - len(others), len(others))
        refused = _add(common, old, anew) if anew else None
        if refused is None:
            return result
    raise ProdigyError(f"{REF} cannot be written: {refused}")


def _there(common: str, wanted: Iterable[str]) -> dict[str, str]:
    """Return the notes that some commits have."""
    listed = git(common, "notes", f"--ref={REF}", "list")
    known = {line[-1]: line[0] for line in map(str.split, listed.splitlines()) if len(line) == 2}
    asked = [(commit, known[commit]) for commit in wanted if commit in known]
    place = Place(common, common, common)
    status, out, err = look(
        place, "cat-file", "--batch", stdin="".join(f"{blob}\n" for _, blob in asked).encode()
    )
    if status != 0:
        raise ProdigyError(f"git cat-file: {err.strip()}")
    found = {}
    at = 0
    for commit, _ in asked:
        end = out.index(b"\n", at)
        words = out[at:end].split(b" ")
        at = end + 1
        text = ""  # a note that is missing is nobody's of ours
        if len(words) == 3:
            text = out[at : at + int(words[2])].decode("utf-8", "replace")
            at += int(words[2]) + 1
        found[commit] = text.removesuffix("\n")
    return found


def _is_ours(text: str) -> bool:
    try:
        return records.is_ours(json.loads(text))
    except (ValueError, RecursionError):
        return False


def _add(common: str, old: str, anew: dict[str, str]) -> str | None:
    """Add notes to those of the commit ``old``; say why not, where the ref is not to be had."""
    status, who, err = git_status(common, "var", "GIT_COMMITTER_IDENT")
    if status != 0:
        raise ProdigyError(
            f"git does not know who writes the notes ({said(err)}): set user.name and user.email"
        )
    who = who.rsplit(" ", 2)[0]
    message = b"Notes added by 'prodigy-git events export --notes'\n"
    out = [
        f"commit {REF}\ncommitter {who} {int(time.time())} +0000\ndata {len(message)}\n".encode(
            "utf-8", "surrogateescape"
        ),
        message,
    ]
    out.append(f"from {old}\n".encode() if old else b"")
    for commit, text in sorted(anew.items()):
        data = f"{text}\n".encode()
        out += [f"N inline {commit}\ndata {len(data)}\n".encode(), data, b"\n"]
    status, _, err = git_status(
        common, "fast-import", "--quiet", "--date-format=raw", stdin=b"".join([*out, b"done\n"])
    )
    if status == 0:
        return None
    if "Not updating" in err or "cannot lock ref" in err:
        return said(err)
    raise ProdigyError(f"git fast-import: {said(err, f'exit status {status}')}")
