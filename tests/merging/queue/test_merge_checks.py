"""What is merged is checked first: each, or many at once, by a check that somebody trusts."""

from pathlib import Path

from support_cli import call, ok, refused
from support_merge import line, sh


def test_the_check_sees_the_merged_tree_before_anybody_else_does(team, tmp_path):
    team.each({"a": "echo a >a", "b": "echo b >b"})
    seen = tmp_path / "seen"
    check = (
        f"ls >>{seen}; git -C {team.repo} rev-parse main >>{seen}; test ! -e b || "
        "{ echo it fails; exit 3; }"
    )
    before = team.tip()
    found = team.merge("--job", "j", "--check", check, code=1)
    assert [one["state"] for one in found["results"]] == ["merged", "check_failed"]
    assert seen.read_text().split() == [
        "README", "a", "f", before, "README", "a", "b", "f", found["new"],
    ]  # fmt: skip
    (told,) = team.events("MergeCheckFailed")
    assert (told["item_id"], told["error"]) == ("b", "exit status 3")
    assert Path(told["json_log_location"]).read_text().endswith("it fails\n")
    assert team.files() == ["README", "a", "f"]
    done = call("merge", "--job", "j", "--check", check, cwd=team.repo)
    assert "it fails" in done.err


def test_a_check_that_takes_too_long_fails(team):
    team.work("a", "echo a >a")
    found = team.merge("--job", "j", "--check", "exec sleep 600", "--timeout", "1s", code=1)
    assert found["results"][0]["reason"] == "it took longer than 1 s"


def test_the_check_of_git_config_is_run_unless_it_is_not_wanted(team, git):
    team.work("a", "echo a >a")
    git("config", "prodigy.check", "exit 7", cwd=team.repo)
    assert team.states(code=1) == {"a": "check_failed"}
    assert team.states("--no-check") == {"a": "merged"}


def test_a_check_keeps_what_git_ignores_for_the_next_item(team, tmp_path):
    sh(team.repo, "echo cache >.gitignore; git add .; git commit -qm ignore")
    team.each({"a": "echo a >a", "b": "echo b >b"})
    seen = tmp_path / "seen"
    team.merge("--job", "j", "--check", f"ls -A >>{seen}; touch cache left-over")
    assert seen.read_text().split() == [
        ".git", ".gitignore", "README", "a", "f",
        ".git", ".gitignore", "README", "a", "b", "cache", "f",
    ]  # fmt: skip


def test_many_are_checked_at_once_and_halved_where_that_fails(team, tmp_path):
    team.each({name: f"echo {name} >{name}" for name in "abcd"})
    seen = tmp_path / "seen"
    check = f"echo x >>{seen}; test ! -e c"
    found = team.merge("--job", "j", "--bisect", "--check", check, code=1)
    assert {one["item_id"]: one["state"] for one in found["results"]} == {
        "a": "merged", "b": "merged", "c": "check_failed", "d": "merged",
    }  # fmt: skip
    assert seen.read_text().count("x") == 5  # all; a b; c d; c; d
    assert team.files() == ["README", "a", "b", "d", "f"]
    assert [one["item_id"] for one in team.events("WorktreeMerged")] == ["a", "b", "d"]
    assert team.is_clean()


def test_checked_at_once_what_conflicts_with_one_that_fails_is_merged(team):
    team.each({"a": line(3, "a"), "b": line(3, "b"), "c": line(3, "c")})
    check = "! grep -q '^a$' f"
    found = team.merge("--job", "j", "--bisect", "--check", check, code=1)
    assert {one["item_id"]: one["state"] for one in found["results"]} == {
        "a": "check_failed", "b": "merged", "c": "conflict",
    }  # fmt: skip


def test_the_check_of_the_repository_runs_once_it_is_trusted(team, tmp_path):
    seen = tmp_path / "seen"
    sh(team.repo, "mkdir .prodigy; echo '.cache' >.gitignore")
    (team.repo / ".prodigy" / "worktree.toml").write_text(
        f"[check]\nrun = ['echo $PRODIGY_ITEM_ID $PRODIGY_TARGET >>{seen}', 'test ! -e b']\n"
    )
    sh(team.repo, "git add .; git commit -qm check")
    team.each({"a": "echo a >a", "b": "echo b >b"})
    before = team.tip()
    assert "the check of .prodigy/worktree.toml is not trusted" in refused(
        "merge", "--job", "j", cwd=team.repo
    )
    assert (team.tip(), seen.exists()) == (before, False)
    shown = ok("setup", "show", "--json", cwd=team.repo).json["hash"]
    ok("setup", "trust", "--hash", shown, cwd=team.repo)
    assert team.states("--order", "item", code=1) == {"a": "merged", "b": "check_failed"}
    assert seen.read_text() == "a main\nb main\n"
    (told,) = team.events("MergeCheckFailed")
    assert told["error"] == "exit status 1"
    assert team.merge("b", "--check", "true")["results"][0]["state"] == "merged"


def test_no_branch_of_an_agents_says_how_it_is_checked(team, tmp_path):
    """Neither its own file nor another script counts, but what the target has and a person trusted."""
    (team.repo / ".prodigy").mkdir()
    (team.repo / ".prodigy" / "worktree.toml").write_text("[check]\nrun = ['sh ./check.sh']\n")
    (team.repo / "check.sh").write_text("test ! -e bad\n")
    sh(team.repo, "git add .; git commit -qm check")
    shown = ok("setup", "show", "--json", cwd=team.repo).json["hash"]
    ok("setup", "trust", "--hash", shown, cwd=team.repo)
    mark = tmp_path / "run"
    team.each({
        "a": f"echo x >bad; printf '[check]\\nrun = \"touch {mark}\"\\n' >.prodigy/worktree.toml",
        "b": f"echo x >bad; echo 'touch {mark}' >check.sh",
        "c": "echo c >c",
    })  # fmt: skip
    assert team.states("--order", "item", code=1) == {
        "a": "check_failed", "b": "check_failed", "c": "merged",
    }  # fmt: skip
    assert not mark.exists()
    # The log that is named says why, also where the check was not begun.
    (told,) = team.merge("b", code=1)["results"]
    assert "check.sh is not the script there that was trusted" in told["reason"]
    assert told["reason"].partition(": ")[2] in Path(told["log"]).read_text()


def test_a_check_that_a_tracked_file_brings_into_gits_configuration_is_not_ones_own(team, tmp_path):
    mark = tmp_path / "run"
    (team.repo / ".gitconfig").write_text(f"[prodigy]\n\tcheck = touch {mark}\n")
    sh(team.repo, "git add .; git commit -qm config; git config include.path ../.gitconfig")
    team.work("a", "echo a >a")
    assert "is not trusted" in refused("merge", "--job", "j", cwd=team.repo)
    assert not mark.exists()
