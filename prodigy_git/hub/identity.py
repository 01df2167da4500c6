"""Which repository this is to other hosts: by what it is, not by where it lies.

What a person says (git config ``prodigy.repoId``) goes before where it was cloned from, and that before
the commits that it began with. Two hosts that find the same name have the same repository.
"""

import os
from typing import Literal, NamedTuple

from prodigy_git import names
from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import git_status, look, said
from prodigy_git.hub import remote_url
from prodigy_git.record.gitdir import Place

SETTING = "prodigy.repoId"
"""The git setting by which a person says which repository it is."""
_LONGEST_ID = 200  # characters
_MOST_ROOTS = 50
"""Root commits that are names: a repository with more has imported others, one branch each."""


class Identity(NamedTuple):
    """What a repository is called on a hub."""

    kind: Literal["id", "url", "roots"]
    names: tuple[str, ...]
    """``id:…``, ``url:…`` or one ``root:…`` for each root commit, sorted: each of them means it."""


class Unidentified(ProdigyError):
    """Nothing tells which repository it is; the text says what to do."""


def by_setting(common: str) -> Identity | None:
    """Return what a person, or the remote, says that a repository is; None: neither does.

    ``common`` is its common git directory. Quick, however long the history. Raises `Unidentified` where
    a setting cannot be meant.
    """
    named = _said_id(common)
    if named is not None:
        return Identity("id", (f"id:{named}",))
    form = _remote(common)
    return None if form is None else Identity("url", (f"url:{form}",))


def _said_id(common: str) -> str | None:
    """Return what git config ``prodigy.repoId`` says; None: nothing."""
    status, out, _ = git_status(
        common, "config", "--null", "--show-scope", "--get-all", SETTING.lower()
    )
    if status != 0:
        return None
    fields = out.split("\0")
    scope, value = fields[-3], fields[-2].strip()  # the last one counts, as for git
    if scope in ("global", "system"):
        raise Unidentified(
            f"{SETTING} is set for all repositories ({scope}), which would make them one: "
            f"'git config --{scope} --unset {SETTING}', and set it within the repository"
        )
    if not value or len(value) > _LONGEST_ID or not all(c.isprintable() for c in value):
        raise Unidentified(
            f"{SETTING} is {names.printable(value)[:40]!r}: give it a name of 1 to {_LONGEST_ID} "
            "characters, the same on each host"
        )
    return value


def _remote(common: str) -> str | None:
    """Return the form of the URL of the remote that says which repository it is; None: none does.

    Only a remote that other hosts can reach: ``origin``, else the only one, else the one that git
    config ``checkout.defaultRemote`` names.
    """
    _, out, _ = git_status(common, "remote")
    forms = {}
    for name in sorted(out.splitlines()):
        # git's own answer: `url.*.insteadOf` has been followed. The name is somebody's, no option.
        status, url, _ = git_status(common, "remote", "get-url", "--", name)
        form = remote_url.form(url.partition("\n")[0]) if status == 0 else None
        if form is not None:
            forms[name] = form
    if "origin" in forms or len(forms) < 2:
        return forms.get("origin") or next(iter(forms.values()), None)
    _, named, _ = git_status(common, "config", "--get", "checkout.defaultRemote")
    return forms.get(named.removesuffix("\n"))


def by_roots(common: str) -> Identity:
    """Return what a repository's root commits call it, which takes as long as its history is.

    Those that its branches began with: by first parents, since a merge brings along the roots of
    another project (a subtree), which many repositories have. What replaces commits here (grafts,
    ``refs/replace``) is not looked at: others may not have it. Raises `Unidentified` where there are
    none, or not all; `ProdigyError` where git fails.
    """
    status, out, _ = git_status(common, "rev-parse", "--is-shallow-repository")
    if status == 0 and out.strip() == "true":
        raise Unidentified(
            "it is a shallow clone without a remote that other hosts can reach, so nothing tells which "
            f"repository it is: 'git config {SETTING} NAME', the same on each host"
        )
    as_made = {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": os.devnull}
    status, listed, err = look(
        Place(common, common, common),
        "rev-list", "--first-parent", "--max-parents=0", "--branches", "--ignore-missing", "HEAD", "--",
        env=as_made,
    )  # fmt: skip
    if status != 0:
        raise ProdigyError(f"the root commits cannot be read: {said(err)}")
    roots = sorted(set(listed.decode("ascii", "replace").split()))
    if not roots:
        raise Unidentified(
            "it has neither a commit on a branch nor a remote that other hosts can reach, so nothing "
            f"tells which repository it is: make a commit, or 'git config {SETTING} NAME', the same "
            "on each host"
        )
    return Identity("roots", tuple(f"root:{one}" for one in roots[:_MOST_ROOTS]))
