"""What would come of merging: held against what `git merge` does, and nothing is touched by asking."""

import os
import random
import tempfile

import pytest
from support_merging import Branches, clashing, everything, states, text

from prodigy_git.merging.conflicts import foresee
from prodigy_git.merging.conflicts.forecast import Candidate


def test_clean_conflicting_with_the_target_and_with_each_other(branches):
    branches.branch("a", {"f": text((1, "a\n"))})
    branches.branch("b", {"f": text((1, "b\n")), "g": text((5, "b\n"))})
    branches.branch("c", {"f": text((8, "c\n"))})
    branches.branch("d", {"g": text((5, "d\n"))})
    branches.commit({"f": text((8, "main\n"))})
    found = branches.foresee()
    assert states(found) == {"a": "clean", "b": "clean", "c": "conflict", "d": "clean"}
    assert [one.files for one in found.standings if one.name == "c"] == [(("f", "contents"),)]
    assert clashing(found) == {("a", "b"): ["f"], ("b", "d"): ["g"]}
    assert found.order == ["a", "d"]
    left = {one.name: (one.against, one.with_target, dict(one.files)) for one in found.left}
    assert left == {
        "b": (("a", "d"), False, {"f": "contents", "g": "contents"}),
        "c": ((), True, {"f": "contents"}),
    }


def test_nothing_is_touched_by_asking(branches):
    branches.branch("a", {"f": text((1, "a\n"))})
    branches.branch("b", {"f": text((9, "b\n")), "x/1": None, "y/1": "one\n"})
    branches.commit({"f": text((5, "main\n")), "new": "new\n"})
    before = everything(branches.folder)
    found = branches.foresee()
    assert found.order == ["a", "b"]
    assert found.tried > 2
    assert everything(branches.folder) == before


@pytest.mark.parametrize("seed", [1, 2])
def test_it_says_what_really_merging_does(branches, seed):
    """Branches that change, rename, delete and add at random, while the target moves on."""
    rnd = random.Random(seed)

    def change():
        kind = rnd.randrange(10)
        name = rnd.choice("fg")
        if kind < 6:
            return {name: text((rnd.randrange(12), f"{rnd.randrange(3)}\n"))}
        if kind == 6:
            return {"x/1": None, "x/2": None, "y/1": "one\n", "y/2": "two\n"}
        if kind == 7:
            return {f"x/{rnd.randrange(3, 5)}": f"{rnd.randrange(2)}\n"}
        if kind == 8:
            return {name: None, f"{name}-{rnd.randrange(2)}": text((rnd.randrange(12), "moved\n"))}
        return {"x/1": f"{rnd.randrange(2)}\n", f"new-{rnd.randrange(3)}": "new\n"}

    for name in "abcdefg":
        branches.branch(name, change(), base=rnd.choice(["main", "main~0"]))
        if rnd.random() < 0.5:
            branches.commit({f"main-{name}": "main\n", "f": text((rnd.randrange(12), "main\n"))})
    found = branches.foresee()
    standing = states(found)
    assert set(standing.values()) <= {"clean", "conflict", "merged"}
    for name, state in standing.items():
        assert branches.really(name) is (state != "conflict"), name
    clean = [name for name, state in standing.items() if state == "clean"]
    assert len(clean) > 2
    pairs = clashing(found)
    for number, other in enumerate(clean):
        for one in clean[:number]:
            assert branches.really(one, other) is ((one, other) not in pairs), (one, other)
    assert branches.really(*found.order)
    for one in found.left:
        assert not branches.really(*found.order, one.name)


def test_kinds_of_conflict(branches):
    branches.commit({"bin": b"\0one"})
    main = branches.git("rev-parse", "main")
    branches.branch("binary1", {"bin": b"\0two"})
    branches.branch("binary2", {"bin": b"\0three"})
    branches.branch("changed", {"g": text((1, "changed\n"))})
    branches.branch("deleted", {"g": None})
    branches.branch("file", {"d": "a file\n"})
    branches.branch("folder", {"d/in": "a folder\n"})
    branches.branch("renamed1", {"f": None, "f1": text()})
    branches.branch("renamed2", {"f": None, "f2": text()})
    for name, sha in (("sub1", main), ("sub2", f"{main}~1")):
        branches.git("checkout", "-q", "-b", name, "main")
        cache = f"160000,{branches.git('rev-parse', sha)},sub"
        branches.git("update-index", "--add", "--cacheinfo", cache)
        branches.git("commit", "-qm", "a submodule")
        branches.git("checkout", "-q", "main")
    found = branches.foresee()
    assert set(states(found).values()) == {"clean"}
    assert {(one.one, one.other): dict(one.files) for one in found.clashes} == {
        ("binary1", "binary2"): {"bin": "binary"},
        ("changed", "deleted"): {"g": "modify/delete"},
        ("file", "folder"): {"d": "file/directory"},
        ("renamed1", "renamed2"): {
            "f": "rename/rename", "f1": "rename/rename", "f2": "rename/rename",
        },
        ("sub1", "sub2"): {"sub": "submodule not initialized"},
    }  # fmt: skip


def test_what_the_target_has_already(branches):
    base = branches.git("rev-parse", "main")
    branches.branch("merged", {"new": "merged\n"})
    branches.branch("squashed", {"f": text((1, "one\n"))}, {"f": text((1, "one\n"), (2, "two\n"))})
    branches.branch("picked", {"g": text((1, "one\n"))}, {"g": text((1, "one\n"), (9, "two\n"))})
    branches.branch("open", {"x/1": "open\n"})
    branches.git("merge", "-q", "--no-ff", "merged")
    branches.git("merge", "-q", "--squash", "squashed")
    branches.git("commit", "-qm", "squashed")
    branches.git("cherry-pick", "picked~1", "picked")
    # What was squashed and then changed again conflicts, and is merged all the same.
    branches.commit({"f": text((1, "one again\n"), (2, "two\n"))})
    branches.branch("nothing", {"f": text((1, "x\n"))}, {"f": text()}, base=base)
    names = ["merged", "squashed", "picked", "open", "nothing"]
    found = foresee.foresee(
        branches.place(), branches.git("rev-parse", "main"),
        [*branches.candidates(*names), Candidate("unused", base, base), Candidate("gone", None)],
    )  # fmt: skip
    assert states(found) == {
        "merged": "merged", "squashed": "merged", "picked": "merged", "open": "clean",
        "nothing": "empty", "unused": "empty", "gone": "gone",
    }  # fmt: skip
    how = {one.name: one.how for one in found.standings}
    assert how["squashed"] == "squashed into one commit"
    assert found.order == ["open"]
    assert found.left == []


def test_one_built_on_another_comes_after_it_and_conflicts_with_what_that_does(branches):
    branches.branch("z", {"f": text((1, "z\n"))})
    branches.branch("a", {"g": text((1, "a\n"))}, base="z")
    branches.branch("m", {"f": text((1, "m\n"))})
    found = branches.foresee()
    assert clashing(found) == {("a", "m"): ["f"], ("m", "z"): ["f"]}
    assert found.order == ["z", "a"]


def test_what_the_target_did_before_a_later_one_began_is_not_its_doing(branches):
    branches.branch("early", {"f": text((1, "early\n"))})
    branches.branch("apart", {"g": text((3, "apart\n"))})
    branches.commit({"f": text((1, "main\n"))})
    branches.branch("late", {"x/1": "late\n"})
    branches.branch("both", {"f": text((1, "both\n"))})
    found = branches.foresee()
    assert states(found) == {
        "early": "conflict",
        "apart": "clean",
        "late": "clean",
        "both": "clean",
    }
    assert clashing(found) == {("both", "early"): ["f"]}


def test_a_branch_into_which_the_target_was_merged(branches):
    branches.branch("a", {"f": text((1, "a\n"))})
    branches.commit({"g": text((1, "main\n"))})
    branches.git("checkout", "-q", "a")
    branches.git("merge", "-q", "main")
    branches.commit({"g": text((1, "a\n"))})
    branches.git("checkout", "-q", "main")
    branches.branch("b", {"g": text((1, "b\n"))})
    branches.commit({"x/1": "main\n"})
    found = branches.foresee()
    assert states(found) == {"a": "clean", "b": "clean"}
    assert clashing(found) == {("a", "b"): ["g"]}


def test_pairs_may_be_clean_and_three_together_are_not(branches):
    """Each of two moves half of a folder; a file that a third puts there has no place any more."""
    branches.branch("a", {"x/1": None, "y/1": "one\n"})
    branches.branch("b", {"x/2": None, "y/2": "two\n"})
    branches.branch("c", {"x/3": "three\n"})
    found = branches.foresee()
    assert found.clashes == []
    assert branches.really("a", "b", "c") is False
    assert found.order == ["c", "a", "b"]
    assert branches.really(*found.order)
    given = branches.foresee(as_given=True)
    assert given.order == ["a", "b"]
    (left,) = given.left
    assert (left.name, left.against, left.with_target) == ("c", (), False)
    assert left.files


def test_the_order_that_is_given_is_kept(branches):
    for name, line in (("a", 1), ("b", 1), ("c", 5), ("d", 1)):
        branches.branch(name, {"f": text((line, f"{name}\n"))})
    found = branches.foresee("d", "c", "b", "a", as_given=True, with_pairs=False)
    assert found.order == ["d", "c"]
    assert [one.name for one in found.left] == ["b", "a"]
    assert found.clashes == []


def test_histories_that_have_nothing_in_common(branches):
    branches.branch("a", {"f": text((1, "a\n"))})
    branches.git("checkout", "-q", "--orphan", "other")
    branches.commit({"f": "other\n"})
    branches.git("checkout", "-q", "main")
    found = branches.foresee()
    assert states(found) == {"a": "clean", "other": "unrelated"}
    assert found.order == ["a"]


def test_a_merge_driver_runs_elsewhere_and_the_targets_attributes_count(branches, tmp_path):
    branches.commit({".gitattributes": "f merge=noted\nx/* merge=union\n"})
    branches.git(
        "config", "merge.noted.driver", f"pwd >> {tmp_path}/ran; touch left-behind; exit 1"
    )
    for name in "ab":
        branches.branch(name, {"f": text((1, f"{name}\n")), "x/1": f"one\n{name}\n"})
    branches.git("checkout", "-q", "--detach")
    branches.commit({".gitattributes": None})  # what is checked out is not what counts
    before = everything(branches.folder)
    assert clashing(branches.foresee()) == {("a", "b"): ["f"]}
    ran = (tmp_path / "ran").read_text().split()
    assert ran
    assert not any(str(branches.folder) in line for line in ran)
    assert everything(branches.folder) == before


def test_a_repository_with_sha256(tmp_path, monkeypatch, sealed):
    monkeypatch.setenv("GIT_DEFAULT_HASH", "sha256")
    branches = Branches(tmp_path / "long", {"f": text(), "g": text()})
    branches.branch("a", {"f": text((1, "a\n"))})
    branches.branch("b", {"f": text((1, "b\n"))})
    branches.commit({"f": text((9, "main\n"))})
    branches.branch("c", {"f": text((2, "c\n"))})
    found = branches.foresee()
    assert clashing(found) == {("a", "b"): ["f"], ("a", "c"): ["f"], ("b", "c"): ["f"]}
    assert found.order == ["a"]


def test_what_a_killed_command_left_is_deleted_by_a_later_one(branches, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old, new, other = (tmp_path / name for name in ("prodigy-merges-1", "prodigy-merges-2", "x"))
    for folder in (old, new, other):
        (folder / "kept").mkdir(parents=True)
    link = tmp_path / "prodigy-merges-3"
    link.symlink_to(other)
    for path in (old, other):
        os.utime(path, (0, 0))
    os.utime(link, (0, 0), follow_symlinks=False)
    branches.foresee()
    assert not old.exists()
    assert new.is_dir()
    assert (other / "kept").is_dir()
    assert sorted(path.name for path in tmp_path.glob("prodigy-merges-*")) == [
        "prodigy-merges-2", "prodigy-merges-3",
    ]  # fmt: skip


def test_names_of_files_are_bytes(branches):
    names = ["with\nnewline", "tab\there", "~tilde", "\udcff"]
    for name in "ab":
        branches.branch(name, dict.fromkeys(names, f"{name}\n"))
    (pair,) = clashing(branches.foresee()).values()
    assert pair == sorted(names)
