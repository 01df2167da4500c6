"""Taking the salvages of earlier versions out of the reach of refs.

Those had the commit that holds all at the salvage ref itself, and a ref for each annotated tag.
"""

import os
import re

from prodigy_git.cleanup.salvage import refs, salvage, unpublished
from prodigy_git.cleanup.salvage.uncommitted import Quarantine, ask
from prodigy_git.cleanup.salvage.unpublished import Kept, Unkept
from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import said
from prodigy_git.record.gitdir import Place
from prodigy_git.store.events import Broken

_TRAILERS = re.compile(r"^Prodigy-(Session|Branch): (.*)$", re.MULTILINE)


def within_reach(common: str) -> list[str]:
    """Return the salvage refs at commits, or tags, that are a salvage's own."""
    place = Place(common, common, common)
    form = "--format=%(objecttype) %(refname) %(contents:subject)"
    status, out, _ = ask(place, "for-each-ref", form, "refs/prodigy/salvage/")
    lines = out.decode("utf-8", "replace").splitlines() if status == 0 else []
    return [
        ref
        for kind, ref, text in (line.split(" ", 2) for line in lines)
        if kind == "tag" or text.startswith(salvage.TITLE)
    ]


def withdraw(common: str, broken: Broken) -> list[str]:
    """Lay apart what the refs of `within_reach` hold, and point them below; return a line for each.

    The caller holds the repository's lock. What cannot be withdrawn is reported, and stays as it is.
    """
    found = within_reach(common)
    lines = []
    for ref in sorted({one.partition("-tag-")[0] for one in found}):
        tags = [one for one in found if one.startswith(f"{ref}-tag-")]
        try:
            lines.append(_withdraw(common, ref, tags))
        except (Unkept, ProdigyError, OSError) as error:
            broken(f"{ref}: what it holds is published with the refs of {common} ({error})")
    return lines


def _withdraw(common: str, ref: str, tags: list[str]) -> str:
    place = Place(common, common, common)
    status, out, err = ask(place, "rev-parse", ref, *tags)
    if status != 0:
        raise Unkept(said(err))
    commit, *tagged = out.decode().split()
    _, out, _ = ask(place, "show", "-s", "--no-show-signature", "--format=%B", commit)
    trailers = dict(_TRAILERS.findall(out.decode("utf-8", "replace")))
    moment = salvage.moment_of(ref)
    session = trailers.get("Session") or os.path.basename(os.path.dirname(ref))
    if salvage.ref_name(session, moment) != ref:
        raise Unkept("its commit is another session's")
    kept = unpublished.read(common, session, moment)
    if kept is not None and kept.commit != commit:
        raise Unkept("something else lies apart already")
    own = salvage.own_branches(common, session, trailers.get("Branch"))
    edges, _ = unpublished.edge(place, commit, tagged, own)
    unpublished.clear(common, session, moment)  # what a killed run was at
    try:
        away = Quarantine(place, unpublished.scratch(common, session, moment))
        unpublished.put(away, session, moment, Kept(commit, tagged), edges)
    finally:
        unpublished.clear(common, session, moment)
    names = refs.ref_names(session, moment, len(edges))
    lines = [f"update {name} {sha}" for name, sha in zip(names, edges, strict=True)]
    # Compare-and-swap: what lies apart is what was there.
    lines[:1] = [f"{lines[0]} {commit}" if lines else f"delete {ref} {commit}"]
    lines += [f"delete {name} {sha}" for name, sha in zip(tags, tagged, strict=True)]
    status, _, err = salvage.update_refs(place, "".join(f"{line}\n" for line in lines).encode())
    if status != 0:
        raise Unkept(said(err))
    return f"{ref}: what it held lies apart now, no ref reaches it"
