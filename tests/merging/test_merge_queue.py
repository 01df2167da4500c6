"""The merge queue: what is merged, what is passed over, and that nobody's checkout is disturbed."""

import json
import os
import select
import shutil
import signal
from pathlib import Path

import pytest
from support_cli import call, environment, ok, refused, start
from support_merge import Team, line, sh


@pytest.fixture
def team(repo, store):
    return Team(repo, store)


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


def test_the_commits_that_merging_makes_are_recorded_once_and_are_nobodys(team):
    ok("install", cwd=team.repo)
    team.each({"a": "echo a >a", "b": "echo b >b"})
    sh(team.repo, "git commit -q --allow-empty -m mine")  # from here on it has a session
    team.merge("--job", "j", "--order", "item")
    made = [one for one in team.events("CommitCreated") if one["action"] == "merge"]
    assert [one["commit"] for one in made] == sh(
        team.repo, "git log --merges --reverse --format=%H"
    ).split()
    ok("verify", cwd=team.repo)
    sh(team.repo, "git commit -q --allow-empty -m later")
    ok("verify", cwd=team.repo)
    shas = [one["commit"] for one in team.events("CommitCreated")]
    assert len(shas) == len(set(shas)) == 6
    assert "made by     session run-" in ok("explain", made[0]["commit"], cwd=team.repo).out


def test_the_commits_of_a_rebase_are_recorded_too(team):
    ok("install", cwd=team.repo)
    sh(team.repo, "git commit -q --allow-empty -m mine")
    team.work("a", "echo 1 >1; git add 1; git commit -qm one; echo 2 >2")
    sh(team.repo, "git commit -q --allow-empty -m more")
    team.merge("a", "--rebase")
    assert len([one for one in team.events("CommitCreated") if one["action"] == "merge"]) == 2
    ok("verify", cwd=team.repo)


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


@pytest.mark.parametrize(
    "dirt",
    ["echo changed >>f", "echo staged >>README; git add README", "git rm -q --cached README"],
)
def test_a_checkout_with_changes_is_left_alone_and_told(team, dirt):
    team.work("a", "echo a >a")
    sh(team.repo, dirt)
    before = sh(team.repo, "git diff; git diff --cached; ls")
    old = team.tip()
    done = call("merge", "--job", "j", cwd=team.repo)
    assert done.code == 0
    assert "is left as it is, there is work in it that is not committed" in done.err
    assert sh(team.repo, f"git diff; git diff --cached {old}; ls") == before
    # What it says to do keeps the changes, and brings the rest.
    sh(team.repo, done.err.split("'")[1])
    assert sh(team.repo, "cat a") == "a"
    assert sh(team.repo, "git diff; git diff --cached") == before.rpartition("\nREADME")[0]


@pytest.mark.parametrize(
    ("there", "script"),
    [
        ("echo mine >new", "echo theirs >new"),
        ("echo mine >new; echo new >>.git/info/exclude", "echo theirs >new"),
        ("echo mine >new; echo new >>.git/info/exclude", "mkdir new; echo theirs >new/file"),
        ("mkdir new; echo mine >new/kept; echo new >>.git/info/exclude", "echo theirs >new"),
        ("ln -s nowhere new; echo new >>.git/info/exclude", "mkdir new; echo theirs >new/file"),
    ],
)
def test_a_file_that_git_does_not_have_is_never_overwritten(team, there, script):
    team.work("a", script)
    sh(team.repo, there)
    before = sh(
        team.repo, "find . -path ./.git -prune -o -ls | awk '{print $3, $7, $11, $12, $13}'"
    )
    found = team.merge("--job", "j")
    (checkout,) = found["target_checkouts"]
    assert not checkout["followed"]
    assert "new" in checkout["reason"]
    after = sh(team.repo, "find . -path ./.git -prune -o -ls | awk '{print $3, $7, $11, $12, $13}'")
    assert after == before
    assert team.tip() == found["new"] != found["old"]


def test_what_git_has_makes_way(team):
    """A file becomes a folder, a folder a file: nothing of anybody's is in the way."""
    sh(team.repo, "mkdir d; echo d >d/d; echo e >e; git add .; git commit -qm more")
    team.work("a", "rm -r d e; echo d >d; mkdir e; echo e >e/e; chmod +x f")
    assert team.merge("--job", "j")["target_checkouts"][0]["followed"]
    assert team.is_clean()
    assert sh(team.repo, "cat d e/e") == "d\ne"


def test_a_checkout_in_the_middle_of_something_is_left_alone(team):
    team.work("a", "echo a >a")
    sh(team.repo, "mkdir .git/rebase-merge")
    (checkout,) = team.merge("--job", "j")["target_checkouts"]
    assert checkout["reason"] == "a rebase is under way there"
    assert not (team.repo / "a").exists()


def test_the_hooks_of_the_repository_are_heeded(team, hooks):
    hooks("pre-merge-commit", "test ! -e bad || { echo no bad files >&2; exit 1; }")
    hooks("commit-msg", r"printf '\nReviewed-by: a hook\n' >>$1")
    team.each({"a": "echo a >bad", "b": "echo b >b"})
    found = team.merge("--job", "j", code=1)
    assert [(one["state"], one["reason"]) for one in found["results"]] == [
        ("refused", "no bad files"), ("merged", None),
    ]  # fmt: skip
    assert sh(team.repo, "git log -1 --format=%b") == "Reviewed-by: a hook"
    assert team.is_clean()


@pytest.fixture
def hooks(team):
    def write(name, script):
        path = team.repo / ".git" / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return write


def test_a_protected_branch_is_not_moved(team, hooks):
    hooks(
        "reference-transaction",
        'test "$1" = prepared || exit 0\n'
        "while read old new ref; do case $ref in refs/heads/main) echo main is frozen >&2; exit 1;;"
        "esac; done; exit 0",
    )
    team.each({"a": "echo a >a", "b": "echo b >b"})
    before = team.tip()
    found = team.merge("--job", "j", code=1)
    assert [one["state"] for one in found["results"]] == ["refused", "refused"]
    assert "main is frozen" in found["results"][0]["reason"]
    assert team.tip() == before
    assert team.events("WorktreeMerged") == []
    found = team.merge("--job", "j", "--bisect", code=1)
    assert [one["state"] for one in found["results"]] == ["refused", "refused"]


def test_squashed_it_is_one_commit_by_whoever_wrote_it(team):
    team.work(
        "a",
        "echo 1 >1; git add 1; GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@example.org "
        "git commit -qm first; echo 2 >2; git add 2; GIT_AUTHOR_NAME=Bo "
        "GIT_AUTHOR_EMAIL=bo@example.org git commit -qm second -m 'Fixes: 7'; echo 3 >3;"
        "export GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@example.org",
    )
    old = team.tip()
    assert team.states("--squash") == {"a": "merged"}
    assert sh(team.repo, f"git rev-list --count {old}..main") == "1"
    assert sh(team.repo, "git log -1 --format='%an <%ae>|%cn'") == (
        f"Ada <ada@example.org>|{sh(team.repo, 'git config user.name')}"
    )
    assert sh(team.repo, "git log -1 --format=%B") == (
        "a: first\n\n* first\n* second\n* work on a\n\nFixes: 7\n"
        "Co-authored-by: Bo <bo@example.org>\n"
    ).rstrip("\n")
    assert team.states("--squash") == {"a": "already_merged"}
    # Also when the branch has gone on, in the same place.
    sh(team.repo, "echo other >1; git commit -qam other")
    assert team.states() == {"a": "already_merged"}


def test_rebased_each_commit_is_made_anew(team):
    team.each({"a": "echo a >a", "b": "echo 1 >1; git add 1; git commit -qm one; echo b >b"})
    assert team.states("--rebase") == {"a": "merged", "b": "merged"}
    assert sh(team.repo, "git log --format=%s -4") == "work on b\none\nwork on a\nlines"
    assert sh(team.repo, "git log --merges --oneline") == ""
    assert team.is_clean()
    assert team.states("--rebase") == {"a": "already_merged", "b": "already_merged"}
    # Other commands know it, although the branch has none of the results' commits.
    rows = ok("job", "show", "j", "--items", cwd=team.repo).out.splitlines()
    assert [row.split("\t")[-1] for row in rows[:2]] == ["merged into main"] * 2
    assert ok("diff", "b", "--json", cwd=team.repo).json["merged"] is True
    ok("merge", "--undo", cwd=team.repo)
    assert ok("diff", "b", "--json", cwd=team.repo).json["merged"] is False


def test_a_rebase_that_conflicts_leaves_nothing_behind(team):
    team.each({"a": line(3, "a"), "b": line(3, "b"), "c": "echo c >c"})
    assert team.states("--rebase", code=1) == {"a": "merged", "b": "conflict", "c": "merged"}
    assert team.left() == []


def test_trailers_name_the_session_where_git_config_says_so(team, git):
    git("config", "prodigy.trailers", "true", cwd=team.repo)
    made = team.work("a", "echo a >a")
    team.merge("--job", "j")
    assert sh(team.repo, "git log -1 --format='%(trailers)'").split("\n")[:2] == [
        f"Prodigy-Session: {made['session_id']}", "Prodigy-Job: j",
    ]  # fmt: skip


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


@pytest.mark.parametrize(("number", "own"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_interrupted_it_stops_and_can_be_called_again(team, tmp_path, git, number, own):
    team.each({"a": "echo a >a", "b": "echo b >b", "c": "echo c >c"})
    fifo = tmp_path / "ready"
    os.mkfifo(fifo)
    check = f"test ! -e b || {{ echo >{fifo}; exec sleep 600; }}"
    options = ["--check", check] if own else []
    git("config", "prodigy.check", check, cwd=team.repo)
    running = start("merge", "--job", "j", "--json", *options, cwd=team.repo)
    fifo.read_text()
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert [one["state"] for one in json.loads(out)["results"]] == [
        "merged", "not_tried", "not_tried",
    ]  # fmt: skip
    assert team.left() == []
    assert team.is_clean()
    assert team.states("--no-check") == {"a": "already_merged", "b": "merged", "c": "merged"}


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


def test_the_commit_of_a_submodule_comes_with_it(team, tmp_path):
    sh(tmp_path, "git init -q sub; cd sub; git commit -q --allow-empty -m 1")
    allow = "-c protocol.file.allow=always"
    sh(team.repo, f"git {allow} submodule add -q {tmp_path}/sub s; git commit -qm sub")
    sh(tmp_path / "sub", "git commit -q --allow-empty -m 2")
    new = sh(tmp_path / "sub", "git rev-parse HEAD")
    team.work("a", f"git update-index --cacheinfo 160000,{new},s")
    assert team.merge("--job", "j")["target_checkouts"][0]["followed"]
    assert sh(team.repo, "git rev-parse :s") == new


def test_filters_and_merge_drivers_work_as_in_any_worktree(team, git):
    git("config", "filter.upper.smudge", "tr a-z A-Z", cwd=team.repo)
    git("config", "filter.upper.clean", "tr A-Z a-z", cwd=team.repo)
    git("config", "merge.both.driver", "cat %B >>%A", cwd=team.repo)
    sh(
        team.repo,
        "echo '*.up filter=upper\nf merge=both' >.gitattributes; git add .; git commit -qm x",
    )
    team.each({"a": f"echo text >t.up; {line(3, 'a')}", "b": line(3, "b")})
    assert team.states("--check", "test $(cat t.up) = TEXT") == {"a": "merged", "b": "merged"}
    assert (team.repo / "t.up").read_text() == "TEXT\n"
    assert team.is_clean()


def test_a_shallow_clone_and_a_bare_one_are_merged_into(team, tmp_path):
    sh(tmp_path, f"git clone -q --bare file://{team.repo} bare.git")
    sh(tmp_path, f"git clone -q --depth 1 file://{team.repo} flat")
    for name in ("bare.git", "flat"):
        made = ok("new-worktree", f"w-{name[0]}", "--json", cwd=tmp_path / name).json
        sh(made["worktree"], "echo n >new; git add new; git commit -qm new")
        ok("finish", made["session_id"], cwd=tmp_path / name)
        found = ok("merge", made["session_id"], "--json", cwd=tmp_path / name).json
        assert found["results"][0]["state"] == "merged"
        assert sh(tmp_path / name, "git cat-file -p main:new") == "n"


def test_branches_may_have_any_name(team):
    team.work("a", "echo a >a")
    for name in ("ü/x", "a" * 200, "feature/x", "feature-x", "it's"):
        sh(team.repo, f'git branch "{name}"')
        assert team.merge("a", "--into", name)["results"][0]["state"] == "merged"
    assert len(list((team.store / "state/repo/merges").iterdir())) == 5


def test_what_git_signs_is_signed(team, git, tmp_path):
    program = tmp_path / "gpg"
    program.write_text(
        "#!/bin/sh\ncat >/dev/null; echo '[GNUPG:] SIG_CREATED ' >&2; echo signature\n"
    )
    program.chmod(0o755)
    git("config", "gpg.program", str(program), cwd=team.repo)
    git("config", "commit.gpgSign", "true", cwd=team.repo)
    team.each({"a": "echo a >a", "b": "echo b >b", "c": "echo c >c"})
    for item, way in (("a", "--merge"), ("b", "--squash"), ("c", "--rebase")):
        team.merge(item, way)
        assert "\ngpgsig signature" in sh(team.repo, "git cat-file commit main"), way


def test_paths_of_any_bytes_conflict_and_are_told(team):
    name = "$(printf 'x\\377\\n\\033y')"
    team.each({"a": f'echo a >"{name}"', "b": f'echo b >"{name}"'})
    done = call("merge", "a", "b", cwd=team.repo)
    assert "b: conflict in x\\xff\\n\\x1by, with a" in done.out
    (told,) = team.events("MergeConflict")
    assert len(told["files"]) == 1
    assert team.merge("b", "--requeue", code=1)["results"][0]["requeued"]
    ok("events", "ls", "--job", "j", "--json", cwd=team.repo)


def test_who_has_no_name_is_told_so(team, git):
    team.work("a", "echo a >a")
    git("config", "user.useConfigOnly", "true", cwd=team.repo)
    for key in ("user.name", "user.email"):
        git("config", key, "", cwd=team.repo)
    (one,) = team.merge("a", code=1)["results"]
    assert one["state"] == "refused"
    assert "empty ident name" in one["reason"]


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


def test_a_target_in_a_linked_worktree_follows_and_one_that_is_nowhere_moves(team):
    team.work("a", "echo a >a")
    sh(team.repo, "git branch rel; git worktree add -q ../rel rel; git branch free")
    found = team.merge("a", "--into", "rel")
    assert [one["worktree"] for one in found["target_checkouts"]] == [str(team.repo.parent / "rel")]
    assert (team.repo.parent / "rel" / "a").exists()
    assert team.merge("a", "--into", "free")["target_checkouts"] == []


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


def test_a_check_that_a_tracked_file_brings_into_gits_configuration_is_not_ones_own(team, tmp_path):
    mark = tmp_path / "run"
    (team.repo / ".gitconfig").write_text(f"[prodigy]\n\tcheck = touch {mark}\n")
    sh(team.repo, "git add .; git commit -qm config; git config include.path ../.gitconfig")
    team.work("a", "echo a >a")
    assert "is not trusted" in refused("merge", "--job", "j", cwd=team.repo)
    assert not mark.exists()


def test_a_job_of_another_repository_is_not_merged_here(team, tmp_path):
    team.work("a", "echo a >a")
    sh(tmp_path, "git init -q other; cd other; git commit -q --allow-empty -m first")
    for command in ("merge", "publish"):
        said = refused(command, "--job", "repo/j", cwd=tmp_path / "other")
        assert "job j is one of repository repo: change into that first" in said
    assert "--undo" in refused("merge", "--undo", "--check", "x", cwd=team.repo, code=2)


def test_an_older_git_merges_too_and_foresees_nothing(team, monkeypatch):
    monkeypatch.setattr("prodigy_git.merging.choosing.version", lambda: (2, 37))
    team.each({"b": line(3, "b"), "a": line(3, "a")})
    assert "--dry-run takes git 2.38" in refused("merge", "--job", "j", "--dry-run", cwd=team.repo)
    assert team.states(code=1) == {"a": "merged", "b": "conflict"}
    assert team.states(code=1) == {"a": "already_merged", "b": "conflict"}


def _heard(fifo):
    """Wait for a line; a git that is never asked again writes none."""
    reading = os.open(fifo, os.O_RDWR)  # so that opening it waits for nobody
    try:
        return select.select([reading], [], [], 60)[0] and os.read(reading, 1)
    finally:
        os.close(reading)


@pytest.fixture
def slow(team, git, tmp_path):
    """A filter that waits, in the repository's own checkout, as long as a file is there."""
    fifo, once, script = tmp_path / "ready", tmp_path / "once", tmp_path / "filter"
    os.mkfifo(fifo)
    script.write_text(
        f"#!/bin/sh\n"
        f'if [ "$PWD" = {team.repo} ] && [ -e {once} ]; then\n'
        f"  [ -e {once}.ever ] || rm {once}; echo >{fifo}; exec sleep 60\nfi\ncat\n"
    )
    script.chmod(0o755)
    sh(team.repo, "echo 'f filter=slow' >.gitattributes; git add .; git commit -qm filter")
    git("config", "filter.slow.clean", str(script), cwd=team.repo)
    team.each({"a": "echo a >a", "b": "echo b >b"})
    sh(team.repo, "touch -d 2001-01-01 f")
    once.touch()
    return fifo, once


def test_a_ctrl_c_ends_git_too_and_a_clean_checkout_follows_all_the_same(team, slow):
    """The terminal sends it to all its processes: here while git looks at the checkout."""
    fifo, _ = slow
    running = start(
        "merge", "--job", "j", "--order", "item", "--json", cwd=team.repo, process_group=0
    )
    assert _heard(fifo)
    os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    found = json.loads(out)
    assert [one["state"] for one in found["results"]] == ["merged", "not_tried"]
    assert [one["followed"] for one in found["target_checkouts"]] == [True]
    assert team.is_clean()


def test_what_git_waits_for_in_a_checkout_a_second_ctrl_c_ends(team, slow):
    fifo, once = slow
    once.with_name("once.ever").touch()
    running = start(
        "merge", "--job", "j", "--order", "item", "--json", cwd=team.repo, process_group=0
    )
    for _ in range(2):
        assert _heard(fifo)
        os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    (left,) = json.loads(out)["target_checkouts"]
    assert (left["followed"], "was ended by signal 2" in left["reason"]) == (False, True)
    once.unlink()
    sh(team.repo, left["command"])
    assert team.is_clean()


def test_a_ctrl_c_that_ends_git_before_anything_is_merged_is_no_failure(team, tmp_path):
    team.each({"a": "echo a >a"})
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "git").write_text(
        '#!/bin/sh\ncase "$*" in *"--no-deref HEAD"*) kill -INT 0;; esac\n'
        f'exec {shutil.which("git")} "$@"\n'
    )
    (bin_ / "git").chmod(0o755)
    env = environment(PATH=f"{bin_}:{os.environ['PATH']}")
    running = start("merge", "--job", "j", cwd=team.repo, process_group=0, env=env)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (130, "", "prodigy-git: error: interrupted\n")
    assert team.states() == {"a": "merged"}


def test_an_undo_that_was_killed_and_is_called_again_takes_back_no_more(team, monkeypatch):
    team.work("a", "echo a >a")
    team.merge("a")
    before = team.tip()
    team.work("b", "echo b >b")
    team.merge("b")

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("prodigy_git.merging.branch_moves._rest", killed)
        assert call("merge", "--undo", cwd=team.repo).code == 130
    (undone,) = team.merge("--undo")["undone"]
    assert (undone["item_id"], team.tip()) == ("b", before)
    assert team.is_clean()
