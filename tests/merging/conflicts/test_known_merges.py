"""What came of merges is remembered by trees: derived, bounded, and made anew where it is damaged."""

import json

import pytest
from support_merging import Branches, clashing

from prodigy_git.merging.conflicts import known_merges
from prodigy_git.merging.conflicts.three_way import Merge


@pytest.fixture
def branches(tmp_path, sealed, monkeypatch):
    monkeypatch.setattr(known_merges, "_WORTH", 1)
    made = Branches(tmp_path / "work", {"f": "".join(f"{n}\n" for n in range(30)), "g": "g\n"})
    for number, name in enumerate("abcd"):
        text = "".join(f"{name if n == number // 2 else n}\n" for n in range(30))
        made.branch(name, {"f": text})
    return made


@pytest.fixture
def kept(tmp_path):
    """Make what there is of a store, and return where it is remembered."""
    for folder in ("store/state/r", "store/locks"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path / "store" / "state" / "r" / "known-merges.json"


def foresee(branches, kept):
    return branches.foresee(store=str(kept.parents[2]), repo="r")


def same(one, other):
    """Whether two forecasts say the same, but for commits' names."""
    parts = [(clashing(each), each.order, each.left) for each in (one, other)]
    return parts[0] == parts[1] and [a.state for a in one.standings] == [
        b.state for b in other.standings
    ]


def test_the_second_time_nothing_is_merged(branches, kept):
    first = foresee(branches, kept)
    second = foresee(branches, kept)
    assert clashing(first)
    assert (first.tried > 5, second.tried) == (True, 0)
    assert same(first, second)


def test_the_same_trees_are_not_merged_again(branches, kept):
    foresee(branches, kept)
    branches.git("checkout", "-q", "a")
    branches.git("commit", "-q", "--amend", "-m", "said better")
    branches.git("checkout", "-q", "main")
    branches.commit({"g": "main\n"})
    # The pairs are what they were; what is new is each with the target, and the order.
    again = foresee(branches, kept)
    assert same(again, branches.foresee())
    assert again.tried <= 4 + 8


def test_where_only_a_part_is_remembered_the_rest_is_merged(branches, kept):
    foresee(branches, kept)
    fields = json.loads(kept.read_text())
    for number in range(len(fields["merges"])):
        some = dict(list(fields["merges"].items())[number:])
        kept.write_text(json.dumps({**fields, "merges": some}))
        assert same(foresee(branches, kept), branches.foresee()), number


def test_it_is_on_the_target_that_later_ones_are_compared(branches, kept):
    branches.commit({"g": "main\n"})
    branches.branch("e", {"f": "".join(f"{'e' if n == 0 else n}\n" for n in range(30))})
    branches.branch("f", {"g": "f\n"})
    first = foresee(branches, kept)
    assert {pair for pair in clashing(first) if "e" in pair} == {
        ("a", "e"),
        ("b", "e"),
        ("c", "e"),
        ("d", "e"),
    }
    assert foresee(branches, kept).tried == 0
    assert same(first, foresee(branches, kept))


@pytest.mark.parametrize(
    "damage",
    [
        b"", b"{", b"[]", b'{"version":2}', b'{"version":2,"merges":[]}', b"\xff\xfe", b"[" * 9999,
        "values", "older",
    ],
)  # fmt: skip
def test_what_is_damaged_is_made_anew(branches, kept, damage):
    whole = foresee(branches, kept)
    fields = json.loads(kept.read_text())
    if damage == "values":
        wrong = [None, 1, [], ["x"], ["x", True, [1]], ["x", True, [["one"]]]]
        changed = {name: wrong[n % len(wrong)] for n, name in enumerate(fields["merges"])}
        damage = json.dumps({**fields, "merges": changed}).encode()
    elif damage == "older":
        damage = json.dumps({**fields, "version": 0}).encode()
    kept.write_bytes(damage)
    again = foresee(branches, kept)
    assert again.tried == whole.tried
    assert same(again, whole)
    assert foresee(branches, kept).tried == 0


def test_what_decides_beside_the_trees_makes_it_another_merge(branches, kept):
    found = foresee(branches, kept)
    branches.git("config", "merge.renames", "false")
    assert foresee(branches, kept).tried == found.tried
    (branches.folder / ".git" / "info" / "attributes").write_text("f merge=union\n")
    again = foresee(branches, kept)
    assert again.tried > 0
    assert clashing(again) == {}
    # A program decides: it may say something else tomorrow.
    branches.git("config", "merge.union.driver", "true")
    for _ in range(2):
        assert foresee(branches, kept).tried > 0


def test_nothing_is_made_where_no_store_is_and_little_is_not_worth_it(
    branches, tmp_path, kept, monkeypatch
):
    branches.foresee(store=str(tmp_path / "nowhere"), repo="r")
    assert not (tmp_path / "nowhere").exists()
    monkeypatch.setattr(known_merges, "_WORTH", 1000)
    foresee(branches, kept)
    assert not kept.exists()


def test_where_it_cannot_be_written_it_is_not(branches, kept):
    kept.mkdir()
    assert foresee(branches, kept).order
    assert kept.is_dir()


def test_it_does_not_grow_without_end(kept, monkeypatch):
    monkeypatch.setattr(known_merges, "_MOST", 20)
    store = str(kept.parents[2])

    def add(some):
        known = known_merges.Known(store, "r", "about")
        for number in some:
            known.remember(("trees", str(number)), Merge("tree", (("path" * 50, "kind"),)))
        known.save()

    monkeypatch.setattr(known_merges, "_WORTH", 1)
    add(range(15))
    add(range(15, 30))
    known = known_merges.Known(store, "r", "about")
    there = [n for n in range(30) if known.merge(("trees", str(n))) is not None]
    assert there == list(range(10, 30))
    monkeypatch.setattr(known_merges, "_LONGEST", 2000)
    add(range(30, 40))
    assert 100 < kept.stat().st_size <= 2000
    long = Merge("tree", tuple((f"path {n}", "contents") for n in range(101)))
    known.remember(("trees", "long"), long)
    assert known.merge(("trees", "long")) is None


def test_what_cannot_meet_is_not_taken_for_a_merged_tree(branches, kept):
    """Of such a pair it is known that it is clean, but not what it would be as a tree."""
    # With these texts the trees' names are in the order that matters.
    first = branches.branch("x", {"x": "1\n"})
    branches.commit({"g": "main\n"})
    for name in "yz":
        branches.branch(name, {name: "1\n"})
    foresee(branches, kept)
    # What was compared with the later ones is the target now, and they are merged with it.
    branches.git("merge", "-q", "--no-ff", "-m", "merged", first)
    assert same(foresee(branches, kept), branches.foresee())
