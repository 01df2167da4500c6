"""merge --undo: what the last call has merged is taken back, once, and nobody's work with it."""

from support_cli import call, refused
from support_merge import sh


def test_an_undo_takes_back_what_the_last_call_has_merged(team):
    team.each({"a": "echo a >a", "b": "echo b >b"})
    first = team.tip()
    team.merge("a")
    second = team.tip()
    team.merge("b", "--squash")
    assert team.merge("--undo")["new"] == second == team.tip()
    assert team.is_clean()
    assert team.merge("--undo")["new"] == first == team.tip()
    assert [one["item_id"] for one in team.events("WorktreeMergeUndone")] == ["b", "a"]
    assert not (team.repo / "a").exists()
    assert "nothing that was merged into main is left" in refused("merge", "--undo", cwd=team.repo)
    assert team.states() == {"a": "merged", "b": "merged"}
    assert team.merge("--undo")["new"] == first


def test_merged_again_in_the_same_second_it_is_recorded_once(team, fixed_dates):
    team.work("a", "echo a >a")
    first = team.merge("a")["new"]
    team.merge("--undo")
    assert team.merge("a")["new"] == first
    shas = [one["commit"] for one in team.events("CommitCreated")]
    assert shas.count(first) == 1
    assert len(team.events("WorktreeMerged")) == 2


def test_nothing_is_undone_that_somebody_has_built_on(team):
    team.work("a", "echo a >a")
    team.merge("a")
    sh(team.repo, "git commit -q --allow-empty -m more")
    before = team.tip()
    assert "somebody has built on it" in refused("merge", "--undo", cwd=team.repo)
    assert team.tip() == before


def test_an_undo_leaves_a_checkout_with_changes_alone(team):
    team.work("a", "echo a >a")
    first = team.tip()
    team.merge("a")
    sh(team.repo, "echo mine >>a")
    (checkout,) = team.merge("--undo")["target_checkouts"]
    assert (team.tip(), checkout["followed"]) == (first, False)
    assert (team.repo / "a").read_text() == "a\nmine\n"


def test_what_is_in_the_way_of_an_undo_stays(team):
    sh(team.repo, "mkdir d; echo d >d/d; git add d; git commit -qm d")
    team.work("a", "git rm -qr d; echo file >d")
    team.merge("a")
    assert team.is_clean()
    team.merge("--undo")
    assert team.is_clean()
    assert sh(team.repo, "cat d/d") == "d"


def test_an_undo_that_was_killed_and_is_called_again_takes_back_no_more(team, monkeypatch):
    team.work("a", "echo a >a")
    team.merge("a")
    before = team.tip()
    team.work("b", "echo b >b")
    team.merge("b")

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("prodigy_git.merging.queue.branch_moves._rest", killed)
        assert call("merge", "--undo", cwd=team.repo).code == 130
    (undone,) = team.merge("--undo")["undone"]
    assert (undone["item_id"], team.tip()) == ("b", before)
    assert team.is_clean()
