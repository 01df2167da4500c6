"""Foreseeing where something is lacking: objects, history, a newer git, or a git that goes on."""

import os
import shutil

import pytest
from support_merging import clashing, states, text

from prodigy_git.errors import ProdigyError
from prodigy_git.merging.conflicts import foresee


def _without(branches, name):
    """Take away what a revision names, as a clone has it that lacks it."""
    sha = branches.git("rev-parse", name)
    (branches.folder / ".git" / "objects" / sha[:2] / sha[2:]).unlink()


def test_what_is_missing_is_said_of_those_that_need_it(branches):
    branches.branch("a", {"f": text((1, "a\n"))})
    branches.branch("blob", {"f": text((9, "b\n"))})
    branches.branch("c", {"f": text((9, "c\n"))})
    branches.branch("history", {"g": text((9, "h\n"))}, {"g": text((8, "h\n"))})
    branches.branch("tree", {"x/1": "tree\n"})
    branches.commit({"f": text((5, "main\n"))})
    _without(branches, "blob:f")
    _without(branches, "tree^{tree}")
    _without(branches, "history~1")
    found = branches.foresee()
    assert states(found) == {
        "a": "clean", "blob": "unknown", "c": "clean", "history": "unknown", "tree": "unknown",
    }  # fmt: skip
    assert all(one.how for one in found.standings if one.state == "unknown")
    assert found.order == ["a", "c"]
    with pytest.raises(ProdigyError, match="fetch"):
        foresee.foresee(branches.place(), "1" * 40, branches.candidates("a"))


def test_of_a_pair_it_is_said_that_it_is_not_known(branches):
    branches.branch("a", {"f": text((1, "a\n"))})
    branches.branch("b", {"f": text((9, "b\n"))})
    branches.branch("c", {"f": text((5, "c\n"))})
    _without(branches, "b:f")  # the target has not moved: into it, nothing is to be merged
    found = branches.foresee()
    assert {(one.one, one.other): bool(one.trouble) for one in found.clashes} == {
        ("a", "b"): True, ("b", "c"): True,
    }  # fmt: skip


def test_a_partial_clone_fetches_nothing_and_says_so(branches, tmp_path):
    for name in "ab":
        branches.branch(name, {"f": text((1, f"{name}\n"))})
    branches.git("config", "uploadpack.allowFilter", "true")
    branches.git(
        "clone", "-q", "--filter=blob:none", "--no-checkout", f"file://{branches.folder}",
        tmp_path / "partial",
    )  # fmt: skip
    branches.folder = tmp_path / "partial"
    for name in "ab":
        branches.git("branch", name, f"origin/{name}")
    before = branches.git("count-objects", "-v")
    found = branches.foresee("a", "b")
    (clash,) = found.clashes
    assert "partial clone" in clash.trouble
    assert branches.git("count-objects", "-v") == before


def test_a_shallow_clone_does_not_know_where_a_branch_began(branches, tmp_path):
    branches.branch("a", {"f": text((1, "a\n"))}, {"g": text((1, "a\n"))})
    branches.commit({"g": text((9, "main\n"))}, {"x/1": "main\n"})
    branches.git(
        "clone", "-q", "--depth=1", "--no-single-branch", f"file://{branches.folder}",
        tmp_path / "shallow",
    )  # fmt: skip
    branches.folder = tmp_path / "shallow"
    branches.git("branch", "a", "origin/a")
    found = branches.foresee("a")
    assert states(found) == {"a": "unknown"}
    assert "shallow" in found.standings[0].how


GIT = """#!/bin/sh
if [ "$1" = version ]; then echo git version {version}; exit 0; fi
for word; do [ "$word" = --stdin ] && stdin=yes; [ "$word" = merge-tree ] && merging=yes; done
[ "$stdin$merging" = yesyes ] && {{ echo "error: unknown option \\`stdin'" >&2; exit 129; }}
exec {git} "$@"
"""


def _older(folder, version, monkeypatch):
    folder.mkdir()
    (folder / "git").write_text(GIT.format(version=version, git=shutil.which("git")))
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_git_2_38_merges_one_pair_a_process(branches, tmp_path, monkeypatch):
    for name in "abc":
        branches.branch(name, {"f": text((1, f"{name if name < 'c' else 'a'}\n"))})
    _without(branches, "b:f")
    before = branches.foresee()
    _older(tmp_path / "bin", "2.38.0", monkeypatch)
    after = branches.foresee()
    assert clashing(after) == clashing(before) != {}
    assert (after.order, states(after)) == (before.order, states(before))


def test_an_older_git_is_told_so(branches, tmp_path, monkeypatch):
    _older(tmp_path / "bin", "2.37.1", monkeypatch)
    with pytest.raises(ProdigyError, match=r"2\.38 or newer, here is 2\.37"):
        branches.foresee()


@pytest.mark.parametrize("kind", ["INT", "SEGV"])
def test_a_git_that_is_asked_to_end_is_not_begun_again(branches, tmp_path, monkeypatch, kind):
    """As by Ctrl-C, which all processes of a terminal hear of. One that crashes is one pair's fault."""
    for name in "abcd":
        branches.branch(name, {"f": text((1, f"{name}\n"))})
    branches.commit({"g": text((5, "main\n"))})
    folder = tmp_path / "in-its-place"
    folder.mkdir()
    (folder / "git").write_text(
        '#!/bin/sh\ncase " $* " in *" merge-tree "*)\n'
        f"echo >> {tmp_path}/begun; kill -{kind} $$;; esac\n"
        f'exec {shutil.which("git")} "$@"\n'
    )
    (folder / "git").chmod(0o755)
    target, candidates = branches.git("rev-parse", "main"), branches.candidates()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    if kind == "INT":
        with pytest.raises(ProdigyError, match="ended by signal 2"):
            foresee.foresee(branches.place(), target, candidates)
        assert (tmp_path / "begun").read_text() == "\n"
    else:
        found = foresee.foresee(branches.place(), target, candidates)
        assert set(states(found).values()) == {"unknown"}
