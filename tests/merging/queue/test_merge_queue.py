"""The merge queue: what is merged, into what, in which order, and what is passed over."""

import os

from support_cli import call, ok, refused, start
from support_merge import line, sh


def test_results_are_merged_in_order_and_a_clean_checkout_follows(team):
    made = team.each({"b": "echo b >b", "a": "echo a >a"})
    before = team.tip()
    done = team.merge("--job", "j")
    assert [(one["item_id"], one["state"]) for one in done["results"]] == [
        ("a", "merged"), ("b", "merged"),
    ]  # fmt: skip
    assert (done["old"], done["new"]) == (before, team.tip())
    assert sh(team.repo, "git log --first-parent --format=%s -2") == (
        f"Merge branch '{made['b']['branch']}'\nMerge branch '{made['a']['branch']}'"
    )
    assert team.is_clean()
    assert sh(team.repo, "cat a b") == "a\nb"
    assert done["target_checkouts"] == [
        {"worktree": str(team.repo), "followed": True, "reason": None, "command": None}
    ]
    merged = {one["item_id"]: one for one in team.events("WorktreeMerged")}
    assert {item: one["head"] for item, one in merged.items()} == {
        item: one["head"] for item, one in made.items()
    }
    assert [one["commit"] for one in done["results"]] == [merged["a"]["commit"], team.tip()]
    assert {one["target_branch"] for one in merged.values()} == {"main"}
    assert team.left() == []


def test_the_worktree_of_merging_is_nobodys_session(team, git):
    ok("install", cwd=team.repo)
    team.work("a", "echo a >a")
    before = ok("sessions", "list", "--json", cwd=team.repo).json
    seen = team.repo.parent / "seen"
    check = (
        f"git worktree list --porcelain >{seen}; git commit -q --allow-empty -m mine;"
        f"pwd >>{seen}; test -f a"
    )
    team.merge("--job", "j", "--check", check)
    assert "/merging/" not in seen.read_text().rpartition("\n/")[0]
    assert ok("sessions", "list", "--json", cwd=team.repo).json == before
    assert len(team.events("CommitCreated")) == 2  # the agent's, and that of the merge
    assert ok("verify", "--json", cwd=team.repo).code == 0
    assert ok("doctor", cwd=team.repo).code == 0


def test_what_conflicts_is_passed_over_and_said_with_whom(team):
    team.each({"a": line(3, "a"), "b": line(3, "b"), "c": "echo c >c"})
    assert team.states(code=1) == {"a": "merged", "b": "conflict", "c": "merged"}
    (told,) = team.events("MergeConflict")
    assert (told["item_id"], told["files"], told["target_branch"]) == ("b", ["f"], "main")
    assert [one["item_id"] for one in told["with"]] == ["a"]
    assert len(team.events("WorktreeMerged")) == 2
    done = call("merge", "--job", "j", cwd=team.repo)
    assert "b: conflict in f, with a\n" in done.out
    assert "is already merged into main as" in done.out


def test_what_changed_other_files_is_not_who_one_conflicts_with(team):
    team.each({"a": "echo a >a", "b": line(3, "b"), "c": line(20, "c"), "d": line(3, "d")})
    team.merge("--job", "j", code=1)
    (told,) = team.events("MergeConflict")
    assert [one["item_id"] for one in told["with"]] == ["c", "b"]  # those that changed f


def test_a_target_that_moves_meanwhile_is_merged_and_checked_again(team, tmp_path):
    team.work("a", "echo a >a")
    seen = tmp_path / "seen"
    check = (
        f"echo x >>{seen}; test -e {tmp_path}/once || {{ touch {tmp_path}/once; cd {team.repo};"
        "unset GIT_DIR; echo m >moved; git add moved; git commit -qm moved; }"
    )
    assert team.states("--check", check) == {"a": "merged"}
    assert seen.read_text() == "x\nx\n"
    assert team.files() == ["README", "a", "f", "moved"]
    assert team.is_clean()
    assert len(team.events("WorktreeMerged")) == 1


def test_what_conflicts_with_a_target_that_moved_is_a_conflict(team, tmp_path):
    team.work("a", line(3, "a"))
    check = f"cd {team.repo}; {line(3, 'm')}; git commit -qam moved"
    assert team.states("--check", check, code=1) == {"a": "conflict"}
    assert team.events("WorktreeMerged") == []


def test_nothing_is_merged_twice_and_nothing_of_what_is_empty(team):
    team.each({"a": "echo a >a", "b": "echo b >b; git add b; git commit -qm b; git rm -q b"})
    made = team.work(
        "c", "git commit -q --allow-empty -m nothing; git reset -q --hard HEAD~1; echo c >c"
    )
    sh(made["worktree"], "git reset -q --hard HEAD~1")
    assert team.states() == {"a": "merged", "b": "empty", "c": "empty"}
    tip = team.tip()
    assert team.states() == {"a": "already_merged", "b": "empty", "c": "empty"}
    assert team.tip() == tip
    assert len(team.events("WorktreeMerged")) == 1


def test_what_is_not_done_is_not_merged(team):
    team.work("a", "echo a >a", end=None)
    team.work("b", "echo b >b", end=("--failed", "--error", "no key"))
    done = call("merge", "--job", "j", cwd=team.repo)
    assert (done.code, done.out) == (3, "")
    found = team.merge("a", "b", code=1)
    assert [(one["state"], one["reason"].split(" ")[-4:]) for one in found["results"]] == [
        ("not_ready", ["at", "work", "on", "it"]), ("not_ready", ["it", "failed:", "no", "key"]),
    ]  # fmt: skip


def test_names_are_merged_in_their_order_into_the_branch_that_is_said(team):
    made = team.each({"a": "echo a >a", "b": "echo b >b", "c": "echo c >c"})
    sh(team.repo, "git branch other")
    before = team.tip()
    found = team.merge("c", made["a"]["session_id"], "--into", "other")
    assert [one["item_id"] for one in found["results"]] == ["c", "a"]
    assert team.tip() == before
    assert team.files("other") == ["README", "a", "c", "f"]
    assert found["target_checkouts"] == []
    assert "there is no branch nowhere" in refused("merge", "a", "--into", "nowhere", cwd=team.repo)


def test_one_call_merges_at_a_time(team, tmp_path):
    team.work("a", "echo a >a")
    fifo, gate = tmp_path / "ready", tmp_path / "gate"
    for path in (fifo, gate):
        os.mkfifo(path)
    check = f"echo >{fifo}; cat {gate}"
    other = start("merge", "--job", "j", "--check", check, cwd=team.repo)
    fifo.read_text()
    assert "another merge into main is under way" in refused("merge", "a", cwd=team.repo)
    gate.write_text("")
    assert other.wait(60) == 0, other.communicate()
    assert team.files() == ["README", "a", "f"]


def test_a_dry_run_says_it_and_changes_nothing(team, git):
    team.each({"a": line(3, "a"), "b": line(3, "b"), "c": "echo c >c"})
    before = sh(team.repo, "git for-each-ref; git count-objects -v; git status --porcelain")
    found = team.merge("--job", "j", "--dry-run", "--order", "item", code=1)
    assert [(one["item_id"], one["state"]) for one in found["results"]] == [
        ("a", "merged"), ("b", "conflict"), ("c", "merged"),
    ]  # fmt: skip
    assert [one["item_id"] for one in found["results"][1]["with"]] == ["a"]
    assert sh(team.repo, "git for-each-ref; git count-objects -v; git status --porcelain") == before
    assert not (team.store / "merging").exists()
    assert team.events("MergeConflict") == []
    team.merge("--job", "j", "--order", "item", code=1)
    assert team.states("--dry-run", code=1) == {
        "a": "already_merged", "b": "conflict", "c": "already_merged",
    }  # fmt: skip


def test_the_branch_is_pushed_and_a_refusal_is_told(team, tmp_path):
    sh(tmp_path, "git init -q --bare remote.git; git -C repo remote add origin $PWD/remote.git")
    team.each({"a": "echo a >a", "b": "echo b >b"})
    found = team.merge("a", "--push", "origin")
    assert found["pushed"] == {"remote": "origin", "error": None}
    assert sh(tmp_path / "remote.git", "git rev-parse main") == team.tip()
    hook = tmp_path / "remote.git" / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho the branch is protected >&2; exit 1\n")
    hook.chmod(0o755)
    done = call("merge", "b", "--push", "origin", cwd=team.repo)
    assert done.code == 1
    assert "main is not pushed to origin: remote: the branch is protected" in done.err
    assert team.files() == ["README", "a", "b", "f"]


def test_from_within_a_worktree_of_an_agent_it_is_the_same(team):
    made = team.work("a", "echo a >a")
    found = call("merge", "a", "--json", cwd=made["worktree"]).json
    assert (found["target_branch"], found["results"][0]["state"]) == ("main", "merged")
    assert team.is_clean()


def test_a_branch_that_was_removed_is_merged_by_its_commit(team):
    made = team.work("a", "echo a >a")
    sh(
        team.repo,
        f"git worktree remove --force {made['worktree']}; git branch -qD {made['branch']}",
    )
    assert team.merge("a")["results"][0]["state"] == "merged"
    assert sh(team.repo, "git log -1 --format=%s").startswith(f"Merge commit '{made['head'][:12]}'")


def test_a_job_of_another_repository_is_neither_merged_nor_foreseen_here(team, tmp_path):
    team.work("a", "echo a >a")
    sh(tmp_path, "git init -q other; cd other; git commit -q --allow-empty -m first")
    for command in ("merge", "publish", "conflicts"):
        said = refused(command, "--job", "repo/j", cwd=tmp_path / "other")
        assert "job j is one of repository repo: change into that first" in said
    assert "--undo" in refused("merge", "--undo", "--check", "x", cwd=team.repo, code=2)


def test_an_older_git_merges_too_and_foresees_nothing(team, monkeypatch):
    monkeypatch.setattr("prodigy_git.merging.queue.choosing.version", lambda: (2, 37))
    team.each({"b": line(3, "b"), "a": line(3, "a")})
    assert "--dry-run takes git 2.38" in refused("merge", "--job", "j", "--dry-run", cwd=team.repo)
    assert team.states(code=1) == {"a": "merged", "b": "conflict"}
    assert team.states(code=1) == {"a": "already_merged", "b": "conflict"}
