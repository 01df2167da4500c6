"""Worktrees with damaged contents, or with files called as ours: removed and restored as they were."""

import json
import os
from pathlib import Path

import pytest
from support_cli import call, new, ok
from support_removal import salvaged
from support_restore import (
    World,
    bring_back,
    difference,
    files_of,
    private_of,
    remove,
    restored,
    sh,
    whole,
)

from prodigy_git.cleanup import interrupted
from prodigy_git.cleanup.trash import entry as entries


def _state(world: World) -> dict[str, object]:
    private = private_of(world.private)
    private.pop(b"prodigy-cursor")  # a removal records first what no hook has
    return {"folder": files_of(world.tree), "private": private}


INDEXES = {
    "empty": ": >index",
    "garbage": "printf 'no index at all' >index",
    "truncated": "head -c 60 index >x; mv x index",
    "of an unknown version": r"printf '\000\000\000\011' | dd of=index bs=1 seek=4 conv=notrunc",
    "of other bytes": "printf x | dd of=index bs=1 seek=70 conv=notrunc",
    "gone": "rm index",
}


def _salvaged(world: World, found: entries.Entry, script: str) -> str:
    """Run a script in which $S is the commit of a salvage, with all that it needs to be read."""
    assert found.salvage_ref is not None
    commit, more = salvaged(world.repo, found.salvage_ref)
    return sh(world.repo, script, S=commit, **more)


@pytest.mark.parametrize("damage", INDEXES)
def test_an_index_that_git_cannot_read(world: World, damage: str) -> None:
    sh(world.tree, "printf work >work; printf m >README")
    sh(world.private, INDEXES[damage])
    before = _state(world)
    found = remove(world)
    assert _salvaged(world, found, "git show $S:work") == "work"
    done = bring_back(world)
    assert difference(before, _state(world)) == []
    assert entries.entries(str(world.store), print) == []
    said = [note for note in done.notes if "git cannot read its index" in note]
    if damage == "gone":
        assert done.notes == []
        return
    assert len(said) == 1
    assert "as it was" in said[0]
    assert "/trash/" not in said[0]
    # And what it says to do is right.
    command = said[0].partition("'")[2].partition("'")[0]
    sh(world.tree, f"{command}; git reset -q")
    assert sh(world.tree, "git status --porcelain") == " M README\n?? work"
    whole(world.repo)


@pytest.mark.parametrize("text", ["", "garbage\n", "ref \n", "0123\n"])
def test_a_head_that_git_cannot_read(world: World, text: str) -> None:
    sh(world.tree, "git commit -q --allow-empty -m own; printf s >s; git add s; printf u >u")
    tip = sh(world.tree, "git rev-parse HEAD")
    (world.private / "HEAD").write_text(text)
    before = _state(world)
    refs = sh(world.repo, "git for-each-ref")
    ok("worktree", "clean", "-f", "w", cwd=world.repo)
    (found,) = entries.entries(str(world.store), print)
    # What only it held is held by git, too, with the commit that its reflog ends at.
    assert _salvaged(world, found, "git show $S:u $S:s") == "us"
    _salvaged(world, found, f"git merge-base --is-ancestor {tip} $S")
    done = bring_back(world)
    assert difference(before, _state(world)) == []
    assert sh(world.repo, "git for-each-ref") == refs
    assert [note for note in done.notes if "git cannot read its HEAD" in note]
    (world.private / "HEAD").write_text("ref: refs/heads/prodigy-w\n")
    assert sh(world.tree, "git status --porcelain") == "A  s\n?? u"
    whole(world.repo)


def test_a_reflog_that_is_no_reflog(world: World) -> None:
    (world.private / "logs" / "HEAD").write_bytes(b"garbage\0\xff\n\n \nno newline")
    before = _state(world)
    remove(world)
    assert bring_back(world).notes == []
    assert difference(before, _state(world)) == []


def test_a_submodule_whose_config_is_locked(world: World, tmp_path: Path) -> None:
    """A lock that a killed git left kept a restore from ever ending."""
    sh(tmp_path, "git init -q sub; cd sub; git commit -q --allow-empty -m 1")
    sh(world.tree, f"git submodule --quiet add {tmp_path}/sub sub; git commit -qm sub")
    (world.private / "modules" / "sub" / "config.lock").write_text("")
    remove(world)
    done = bring_back(world, to=tmp_path / "other")
    assert any("config" in note and "lock" in note for note in done.notes)
    assert entries.entries(str(world.store), print) == []


OURS = (
    ".git.in-trash", ".git.in-trash.new", ".git.in-trash-1", "..git.new", ".git.prodigy-new",
    "entry.json", ".entry.json.new", "worktree", "git", ".prodigy-deep-00",
)  # fmt: skip


@pytest.mark.parametrize("kind", ["files", "folders", "links"])
@pytest.mark.parametrize("to", ["", "other"])
def test_the_users_files_are_called_as_ours(world: World, kind: str, to: str) -> None:
    for name in OURS:
        path = world.tree / name
        if kind == "files":
            path.write_text(f"gitdir: mine {name}\n")
        elif kind == "folders":
            path.mkdir()
            (path / "inside").write_text(name)
        else:
            path.symlink_to("nowhere")
    before = files_of(world.tree)
    found = remove(world)
    assert not os.path.lexists(f"{found.folder}/.git")
    assert found.disabled not in OURS
    assert entries.read(found.path).disabled == found.disabled
    target = world.tree.parent / to if to else world.tree
    bring_back(world, to=target)
    after = files_of(target)
    for one in (before, after):
        one.pop(b".git")
    assert after == before
    assert sh(target, "git rev-parse --show-toplevel") == str(target)


@pytest.mark.parametrize("lost", ["folder", "git", "document"])
def test_so_they_are_where_the_trash_is_damaged(world: World, lost: str) -> None:
    (world.tree / ".git.in-trash").write_text("mine\n")
    found = remove(world)
    if lost == "document":
        Path(found.path, "entry.json").write_text("{")
        restored(world.store, "w", broken=lambda _: None)
    else:
        sh(world.store, f"rm -r '{found.folder if lost == 'folder' else found.git}'")
        bring_back(world)
    assert (world.tree / ".git.in-trash").read_text() == "mine\n"
    assert sh(world.tree, "git status --porcelain") == "?? .git.in-trash"
    assert not os.path.lexists(world.tree / ".git.in-trash-1")


def test_a_name_that_is_taken_after_it_was_chosen(world: World) -> None:
    """A removal that was killed before ``.git`` was renamed, and somebody made a file meanwhile."""
    found = remove(world)
    os.rename(f"{found.folder}/{found.disabled}", f"{found.folder}/.git")
    Path(found.folder, ".git.in-trash").write_text("mine\n")
    found.state, found.settled = "moving", False
    entries.write(found)
    interrupted.take_up(str(world.store), "repo", print)
    bring_back(world)
    assert (world.tree / ".git.in-trash").read_text() == "mine\n"
    assert sh(world.tree, "git status --porcelain") == "?? .git.in-trash"


@pytest.mark.parametrize("name", ["../.git.in-trash", "x", ".git.in-trash/../../x", ".git", 3])
def test_a_document_names_no_other_file(world: World, name: object) -> None:
    found = remove(world)
    path = Path(found.path, "entry.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "disabled": name}))
    said: list[str] = []
    assert entries.entries(str(world.store), said.append) == []
    assert "disabled" in said[0]


def test_what_an_earlier_restore_took_out_stays(world: World) -> None:
    """The second restore put what it took out over what the first had."""
    for number in (1, 2):
        lost = sh(world.tree, f"echo {number} | git hash-object -w --stdin")
        (world.private / "ORIG_HEAD").write_text(f"{lost}\n")
        remove(world)
        sh(
            world.repo,
            "git for-each-ref --format='delete %(refname)' refs/prodigy | git update-ref --stdin;"
            "rm -r .git/prodigy-salvage",
        )
        (world.repo / ".git" / "objects" / lost[:2] / lost[2:]).unlink()
        done = bring_back(world)
        name = "missing" if number == 1 else "missing-1"
        assert done.notes[-1].endswith(f"{world.private}/{name}")
        assert (world.private / name / "ORIG_HEAD").read_text() == f"{lost}\n"


@pytest.mark.parametrize("depth", [260, 100_000])
def test_documents_nested_too_deeply(world: World, depth: int) -> None:
    new(world.repo, "x", "--job", "j")
    ok("finish", "x", cwd=world.repo)
    deep = '{"x":' * depth + "1" + "}" * depth
    path = world.store / "sessions" / "w.json"
    text = path.read_text()
    path.write_text(text.replace('"metadata":{', f'"metadata":{{"deep":{deep},', 1))
    commands = [("sessions", "list", "--json"), ("worktree", "ls")]
    for command in [*commands, ("status",)] if depth > 1000 else commands:
        assert f"{path} is damaged (nested too deeply)" in ok(*command, cwd=world.repo).err
    done = call("worktree", "clean", "-f", "w", cwd=world.repo)
    assert done.code == 1
    assert f"{path} is damaged" in done.out
    ok("worktree", "clean", "-f", "x", cwd=world.repo)
    (found,) = entries.entries(str(world.store), print)
    document = Path(found.path, "entry.json")
    document.write_text(document.read_text().rstrip()[:-1] + f',"later":{deep}}}')
    assert f"{document} is damaged (nested too deeply)" in ok("trash", "list", cwd=world.repo).err
