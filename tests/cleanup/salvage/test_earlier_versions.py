"""Salvages that earlier versions kept in refs: they come back, and leave the reach of refs."""

import os
import shutil

import pytest
from support_removal import (
    existing,
    named_by,
    place_of,
    salvage_folder,
    salvaged,
)
from support_restore import World, bring_back, remove, sh
from test_unpublished import COLLECT, SECRETS, empty, objects

from prodigy_git.cleanup import interrupted
from prodigy_git.cleanup.salvage import earlier_versions, salvage, unpublished
from prodigy_git.cleanup.trash import entry as entries


def as_before(world: World, found: entries.Entry) -> str:
    """Make a salvage what earlier versions made of it: refs at the commit and the tags themselves."""
    folder = salvage_folder(world.repo, found.salvage_ref)
    kept = unpublished.read(found.common, "w", found.moment)
    assert kept is not None
    packs = world.repo / ".git" / "objects" / "pack"
    packs.mkdir(exist_ok=True)
    for path in (folder / "pack").iterdir():
        shutil.copy(path, packs)
    shutil.rmtree(folder.parent.parent)
    sh(world.repo, f"git update-ref {found.salvage_ref} {kept.commit}")
    for number, sha in enumerate(kept.tags, 1):
        found.tag_refs.append(f"{found.salvage_ref}-tag-{number}")
        sh(world.repo, f"git update-ref {found.tag_refs[-1]} {sha}")
    entries.write(found)
    return kept.commit


def test_what_earlier_versions_kept_in_refs_comes_back(world):
    sh(world.tree, SECRETS)
    found = remove(world)
    as_before(world, found)
    shutil.rmtree(found.path)
    assert bring_back(world).source == "salvage"
    assert sh(world.tree, "git show :s; cat s u") == "TOKEN stagedTOKEN changedTOKEN untracked"


def test_what_earlier_versions_kept_in_refs_is_taken_out_of_their_reach(world):
    sh(world.tree, SECRETS)
    named = named_by(place_of(world.tree))
    found = remove(world)
    sha = as_before(world, found)
    assert b"TOKEN untracked" in objects(world.repo)
    os.mkdir(unpublished.scratch(found.common, "w", found.moment))  # another run was killed
    (line,) = interrupted.take_up(str(world.store), "repo", pytest.fail)
    assert found.salvage_ref in line
    assert interrupted.take_up(str(world.store), "repo", pytest.fail) == []
    assert salvaged(world.repo, found.salvage_ref)[0] == sha
    sh(world.repo, f"git branch -q -D prodigy-w; {COLLECT}")
    assert b"TOKEN" not in objects(world.repo)
    assert existing(world.repo, named, found.salvage_ref) == named
    empty(found)
    bring_back(world)
    assert sh(world.tree, "git show :s; cat s u") == "TOKEN stagedTOKEN changedTOKEN untracked"


def test_an_old_ref_is_not_taken_for_what_lies_apart(world):
    sh(world.tree, "printf 'u' >u")
    found = remove(world)
    sha, _ = salvaged(world.repo, found.salvage_ref)
    other = salvage.TITLE + " w, as it was when it was removed\n\nProdigy-Session: w\n"
    made = sh(world.repo, 'git commit-tree -m "$M" HEAD^{tree}', M=other)
    sh(world.repo, f"git update-ref {found.salvage_ref} {made}")
    said: list[str] = []
    assert earlier_versions.withdraw(found.common, said.append) == []
    assert "something else lies apart" in said[0]
    assert salvaged(world.repo, found.salvage_ref)[0] == sha


def test_a_commit_of_the_users_with_our_trailer_is_no_salvage(world):
    sh(world.tree, "git commit -q --allow-empty -m 'x' -m 'Prodigy-Session: w'")
    found = remove(world)
    empty(found)
    assert not any("conflicts" in note for note in bring_back(world).notes)
