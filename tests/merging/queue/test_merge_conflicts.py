"""What conflicts with the branch: given back to its job, or resolved by a command."""

import json
from pathlib import Path

import pytest
from support_cli import call, ok
from support_merge import Team, line, sh


@pytest.fixture
def team(repo, store):
    made = Team(repo, store, "ab")
    made.each({"a": line(3, "a"), "b": f"echo b >b; {line(3, 'b')}"})
    return made


def test_given_back_the_next_attempt_begins_at_the_branch_and_knows_why(team, tmp_path):
    found = team.merge("a", "b", "--requeue", code=1)
    assert [(one["state"], one["requeued"]) for one in found["results"]] == [
        ("merged", False), ("conflict", True),
    ]  # fmt: skip
    assert ok("job", "show", "j", "--json", cwd=team.repo).json["pending"] == 1
    work = (
        f"git log -1 --format=%H >{tmp_path}/base; cp $PRODIGY_CONFLICT {tmp_path}/told;"
        "echo b >b; git add b; git commit -qm again"
    )
    done = call("run", "--job", "j", "--keep", "--", "sh", "-ec", work, cwd=team.repo)
    assert done.code == 0, done
    assert (tmp_path / "base").read_text().strip() == team.tip()
    told = json.loads((tmp_path / "told").read_text())
    assert (told["kind"], told["target"], told["item_id"], told["attempt"], told["files"]) == (
        "conflict", "main", "b", 1, ["f"],
    )  # fmt: skip
    assert (told["base"], told["head"]) == (team.tip(), found["results"][1]["head"])
    assert [one["item_id"] for one in told["with"]] == ["a"]
    assert team.states() == {"a": "already_merged", "b": "merged"}
    assert not list(team.store.glob("state/*/mapreduce/jobs/j/conflicts/*"))
    # What begins later is told nothing, and begins where it always did.
    merged = [
        one["attempt"] for one in team.merge("--job", "j")["results"] if one["item_id"] == "b"
    ]
    assert merged == [2]


def test_a_worktree_made_by_hand_begins_there_too_unless_it_is_said_otherwise(team):
    sh(team.repo, "git branch other; git branch start")
    team.merge("a", "b", "--into", "other", "--requeue", code=1)
    made = ok(
        "new-worktree", "again", "--job", "j", "--agent", "x", "--item", "b", "--json", cwd=team.repo
    ).json  # fmt: skip
    assert (made["base_branch"], made["base_commit"]) == ("other", team.tip("other"))
    told = ok("worktree", "env", "again", "--json", cwd=team.repo).json
    assert json.loads(Path(told["PRODIGY_CONFLICT"]).read_text())["target"] == "other"
    ok("finish", "again", "--failed", cwd=team.repo)
    made = ok(
        "new-worktree", "third", "--job", "j", "--agent", "x", "--item", "b", "--base", "start",
        "--json", cwd=team.repo,
    ).json  # fmt: skip
    assert made["base_branch"] == "start"


def test_a_job_that_is_completed_goes_on(team):
    ok("job", "finish", "j", cwd=team.repo)
    team.merge("a", "b", "--requeue", code=1)
    found = ok("job", "show", "j", "--json", cwd=team.repo).json
    assert (found["status"], found["phase"], found["pending"]) == ("running", "map", 1)


def test_a_failed_check_is_given_back_with_what_it_said(team):
    team.merge("a", "--check", "echo the tests fail; exit 2", "--requeue", code=1)
    told = json.loads(
        (next(team.store.glob("state/*/mapreduce/jobs/j/conflicts/a.json"))).read_text()
    )
    assert (told["kind"], told["error"]) == ("check", "exit status 2")
    assert told["text"].endswith("the tests fail")


def test_nothing_is_given_back_twice_or_by_a_job_that_has_failed(team):
    team.merge("a", "b", "--requeue", code=1)
    done = call("merge", "b", "--requeue", cwd=team.repo)
    assert "b is not given back: item b is pending by now" in done.err
    ok("job", "finish", "j", "--failed", "no budget", cwd=team.repo)
    done = call("merge", "a", "--undo", cwd=team.repo)
    assert done.code == 2
    ok("merge", "--undo", cwd=team.repo)
    done = call("merge", "a", "--check", "false", "--requeue", cwd=team.repo)
    assert "a is not given back: job j is failed: 'prodigy-git job reopen j' first" in done.err


def test_a_session_without_an_item_has_nobody_to_be_given_back_to(team):
    team.merge("a")
    made = ok("new-worktree", "alone", "--json", "--base", "main~1", cwd=team.repo).json
    sh(made["worktree"], f"{line(3, 'alone')}; git commit -qam alone")
    ok("finish", "alone", cwd=team.repo)
    done = call("merge", "alone", "--requeue", cwd=team.repo)
    assert done.code == 1
    assert "alone is not given back: it is no job's item" in done.err


@pytest.mark.parametrize(
    "resolve",
    [
        "sed -i '/^<<<<<<</d;/^>>>>>>>/d;/^=======$/d' f",
        "sed -i '/^<<<<<<</d;/^>>>>>>>/d;/^=======$/d' f; git add f; echo x >scratch",
        "git checkout -q --theirs f; git add f; git commit -qm 'Mine'",
    ],
)
@pytest.mark.parametrize("way", ["--merge", "--squash"])
def test_a_conflict_is_resolved_by_a_command(team, tmp_path, resolve, way):
    log = tmp_path / "told"
    command = f"cp $PRODIGY_CONFLICT {log}; {resolve}"
    found = team.merge("a", "b", way, "--resolve", command, "--check", "test -f f")
    assert [(one["state"], one["resolved"]) for one in found["results"]] == [
        ("merged", False), ("merged", True),
    ]  # fmt: skip
    assert json.loads(log.read_text())["files"] == ["f"]
    lines = sh(team.repo, "git show main:f").split("\n")
    assert "b" in lines
    assert not any(one.startswith(("<<<", ">>>", "===")) for one in lines)
    assert team.files() == ["README", "b", "f"]
    parents = sh(team.repo, "git log -1 --format=%P").split()
    assert len(parents) == (2 if way == "--merge" else 1)
    assert team.is_clean()


@pytest.mark.parametrize(
    ("resolve", "why"),
    [
        ("exit 4", "the command failed (exit status 4)"),
        ("true", "f has a conflict's markers in it"),
        ("git add f", "f has a conflict's markers in it"),
        ("git add f; git commit -qm x", "f has a conflict's markers in it"),
        ("git checkout -q --ours f; echo y >README", "the command has changed README"),
        ("git checkout -q --ours f; git add f; echo y >n; git add n", "the command has changed n"),
        ("git checkout -q --ours f; git rm -q b --cached", "the command has changed b"),
        ("git merge --abort; git commit -q --allow-empty -m x", "made other commits"),
        ("git checkout -q --ours f; git add f; git commit -qm 1; git commit -q --allow-empty -m 2",
         "made other commits"),
    ],
)  # fmt: skip
def test_what_is_not_resolved_is_not_believed(team, resolve, why):
    before = team.merge("a")["new"]
    found = team.merge("b", "--resolve", resolve, code=1)
    (one,) = found["results"]
    assert one["state"] == "conflict"
    assert why in one["reason"]
    assert team.tip() == before
    assert team.left() == []


def test_a_file_that_one_side_deleted_is_decided_by_the_command(repo, store):
    team = Team(repo, store, "ab")
    team.each({"a": "git rm -q f", "b": line(3, "b")})
    team.merge("a")
    (one,) = team.merge("b", "--resolve", "true", code=1)["results"]
    assert "f is in conflict still" in one["reason"]
    assert team.states("--resolve", "git rm -q f", "--order", "item") == {
        "a": "already_merged", "b": "already_merged",
    }  # fmt: skip
    assert team.states("--resolve", "git add f") == {"a": "already_merged", "b": "merged"}


def test_markers_that_a_file_has_anyway_are_not_a_conflicts(repo, store):
    marks = "printf '<<<<<<< x\\n>>>>>>> y\\n' >>f"
    team = Team(repo, store, "ab")
    sh(repo, f"{marks}; git commit -qam marks")
    team.each({"a": line(3, "a"), "b": line(3, "b")})
    assert team.merge("a", "b", "--resolve", "git checkout -q --theirs f")["results"][1]["resolved"]


def test_a_rebase_is_resolved_commit_by_commit(repo, store):
    team = Team(repo, store, "ab")
    team.each({
        "a": f"{line(3, 'a')}; {line(9, 'a')}",
        "b": f"{line(3, 'b')}; git commit -qam one; {line(9, 'b')}",
    })  # fmt: skip
    found = team.merge("a", "b", "--rebase", "--resolve", "git checkout -q --theirs f")
    assert [one["resolved"] for one in found["results"]] == [False, True]
    assert sh(repo, "git log -3 --format=%s") == "work on b\none\nwork on a"
    assert sh(repo, "sed -n '3p;9p' f") == "b\nb"


def test_what_is_resolved_is_checked_as_any_other(team):
    found = team.merge(
        "a", "b", "--resolve", "git checkout -q --theirs f", "--check", "! grep -qx b f", code=1
    )
    assert [one["state"] for one in found["results"]] == ["merged", "check_failed"]


def test_the_order_by_conflicts_merges_the_most(repo, store):
    team = Team(repo, store, "abc")
    team.each({"a": f"{line(3, 'a')}; {line(20, 'a')}", "b": line(3, "b"), "c": line(20, "c")})
    assert team.states("--dry-run", "--order", "item", code=1) == {
        "a": "merged", "b": "conflict", "c": "conflict",
    }  # fmt: skip
    assert team.states("--dry-run", code=1) == {"b": "merged", "c": "merged", "a": "conflict"}
    assert team.states("--check", "true", code=1) == {"b": "merged", "c": "merged", "a": "conflict"}


def test_what_somebody_has_squashed_by_hand_is_already_merged(repo, store):
    team = Team(repo, store, "a")
    made = team.work("a", f"{line(3, 'a')}; git commit -qam one; {line(4, 'a')}")
    sh(repo, f"git merge -q --squash {made['branch']}; git commit -qm squashed")
    sh(repo, f"{line(3, 'x')}; git commit -qam x")
    assert team.states() == {"a": "already_merged"}
