"""The stories of commits: what is around one, what replaced it, who has it now."""

import types
from pathlib import Path

import pytest
from support_cli import new, ok, write_log
from support_explain import explain

from prodigy_git.errors import ProdigyError
from prodigy_git.views.explain import commit_story, where_now
from prodigy_git.views.explain import lookup as explaining


def test_a_commit_with_what_happened_around_it(wt, repo, commit):
    shas = [commit(wt, f"Step {n}") for n in range(9)]
    found = explain(repo, shas[4])
    (made,) = found["recorded"]
    assert {name: made[name] for name in made.keys() - {"at", "around"}} == {
        "repo": "repo", "job_id": "review", "session_id": "wt", "agent_id": "ann", "item_id": "i-1",
        "action": "commit", "branch": "prodigy-wt", "subject": "Step 4", "parent": shas[3],
        "worktree_name": "wt", "recovered": False, "status": "Running", "worktree": wt,
        "worktree_state": "there", "persons": False,
    }  # fmt: skip
    around = [one.get("commit", one["type"]) for one in made["around"]]
    assert around[1:] == shas  # five before it, itself, and the four after it
    assert around[0] in ("AgentStarted", "SessionStarted", "WorktreeCreated")
    assert (found["kind"], found["commit"], found["subject"]) == ("commit", shas[4], "Step 4")
    assert (found["exists"], found["refs"]["branches"]) == (True, ["prodigy-wt"])
    assert found["replaced"] == found["replaced_by"] == found["journal"] == found["next"] == []


def test_a_commit_by_any_name(wt, commit):
    sha = commit(wt, "one")
    for name in (sha, sha[:9], sha[:9].upper(), "HEAD", "prodigy-wt"):
        assert explain(wt, name)["commit"] == sha


def test_a_commit_that_git_has_lost_is_known_from_the_log(wt, repo, store, tmp_path, commit, git):
    first = commit(wt, "one")
    second = commit(wt, "two", "--amend")
    git("update-ref", "-d", "ORIG_HEAD", cwd=wt)
    git("reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all", cwd=repo)
    git("-c", "gc.pruneExpire=now", "gc", "-q", "--prune=now", cwd=repo)
    found = explain(wt, first[:10])
    assert (found["commit"], found["exists"], found["refs"]) == (first, False, {})
    assert [one["commit"] for one in found["replaced_by"]] == [second]
    # And outside of the repository from the store alone, which says where that is.
    found = explain(tmp_path, second)
    assert found["refs"]["branches"] == ["prodigy-wt"]


def test_what_replaced_what_over_amends_and_a_rebase(wt, commit, git):
    one = commit(wt, "one")
    two = commit(wt, "two", "--amend")
    three = commit(wt, "three", "--amend")
    git("checkout", "-q", "-b", "base", "main", cwd=wt)
    commit(wt, "the base moves")
    git("checkout", "-q", "prodigy-wt", cwd=wt)
    git("rebase", "-q", "base", cwd=wt)
    last = git("rev-parse", "HEAD", cwd=wt)
    found = explain(wt, two)
    assert [(r["commit"], r["by"], r["command"]) for r in found["replaced"]] == [
        (one, two, "amend")
    ]
    assert [(r["commit"], r["by"], r["command"]) for r in found["replaced_by"]] == [
        (three, two, "amend"), (last, three, "rebase"),
    ]  # fmt: skip
    assert not any(found["refs"].values())
    assert any(f"explain {last[:12]}" in text for text in found["next"])
    assert any(f"git branch NAME {two[:12]}" in text for text in found["next"])
    assert [r["commit"] for r in explain(wt, "HEAD")["replaced"]] == [three, two, one]


def test_a_squash_replaces_several(wt, commit, git):
    shas = []
    for number, subject in enumerate(("first", "fixup! first", "fixup! first")):
        # Empty ones made within a second would be squashed into the very first of them.
        Path(wt, "f").write_text(f"{number}\n")
        git("add", "f", cwd=wt)
        shas.append(commit(wt, subject))
    env = {"GIT_SEQUENCE_EDITOR": "true"}
    git("rebase", "-q", "-i", "--autosquash", "main", cwd=wt, env=env)
    found = explain(wt, "HEAD")
    assert set(shas) <= {one["commit"] for one in found["replaced"]}


def test_rewrites_that_go_in_a_circle_end(repo, store):
    pairs = [("a" * 40, "b" * 40), ("b" * 40, "a" * 40), ("b" * 40, "b" * 40)]
    rewritten = {"type": "CommitsRewritten", "timestamp": "2025-01-11T12:00:00Z", "command": "amend",
                 "session_id": "s", "rewrites": [{"old": o, "new": n} for o, n in pairs]}  # fmt: skip
    new(repo, "wt")  # so that the store knows the repository
    write_log(store, "repo", "j", "events-20250111.jsonl", rewritten)
    found = explain(repo, "a" * 40)
    assert [one["commit"] for one in found["replaced_by"]] == ["b" * 40]
    assert [one["commit"] for one in found["replaced"]] == ["b" * 40]


def test_a_commit_of_an_aborted_rebase_is_no_sessions(wt, commit, git):
    commit(wt, "mine")
    Path(wt, "f").write_text("mine")
    git("add", "f", cwd=wt)
    commit(wt, "mine too")
    git("checkout", "-q", "-b", "base", "main", cwd=wt)
    Path(wt, "f").write_text("theirs")
    git("add", "f", cwd=wt)
    commit(wt, "theirs")
    git("checkout", "-q", "prodigy-wt", cwd=wt)
    git("rebase", "--keep-empty", "base", cwd=wt, check=False)
    picked = git("rev-parse", "HEAD", cwd=wt)
    assert explain(wt, picked)["journal"][0]["rebase"] == "not ended"
    git("rebase", "--abort", cwd=wt)
    ok("sessions", "show", "wt")
    found = explain(wt, picked)
    assert (found["recorded"], found["exists"]) == ([], True)
    (noted,) = found["journal"]
    assert (noted["session_id"], noted["rebase"], noted["worktree"]) == ("wt", "aborted", wt)
    assert not any("verify" in text for text in found["next"])


def test_a_commit_that_no_hook_saw_and_one_of_no_session(wt, repo, commit, git):
    git("config", "core.hooksPath", "/dev/null", cwd=repo)
    sha = commit(wt, "unseen")
    found = explain(wt, sha)
    assert found["recorded"] == []
    assert any("verify --session wt" in text for text in found["next"])
    ok("verify", "--session", "wt", "--fix", cwd=wt)
    found = explain(wt, sha)
    assert [one["recovered"] for one in found["recorded"]] == [True]
    start = explain(repo, "main")
    assert (start["recorded"], start["exists"]) == ([], True)
    assert [one["session_id"] for one in start["journal"]] == [None]


def test_one_commit_that_two_worktrees_made(repo, hooks, commit, monkeypatch, fixed_dates):
    two = [new(repo, name)["worktree"] for name in ("wt-1", "wt-2")]
    first, second = (commit(path, "the same") for path in two)
    assert first == second
    found = explain(repo, first)
    assert [one["session_id"] for one in found["recorded"]] == ["wt-1", "wt-2"]
    assert found["refs"]["branches"] == ["prodigy-wt-1", "prodigy-wt-2"]


def test_what_only_a_salvage_ref_or_a_detached_head_holds(wt, repo, commit, git):
    kept = commit(wt, "kept")
    git("checkout", "-q", "--detach", cwd=wt)
    lone = commit(wt, "lone")
    assert explain(wt, lone)["refs"]["detached"] == [wt]
    assert explain(wt, lone)["next"] == []
    ok("worktree", "clean", "-f", "wt", cwd=repo)
    refs = explain(repo, lone)["refs"]
    assert not any(refs[kind] for kind in refs if kind != "salvage")
    assert refs["salvage"][0].startswith("refs/prodigy/salvage/wt/")
    (held,) = explain(repo, lone)["held_by"]
    assert (held["salvage_ref"], held["session_id"], held["agent_id"]) == (
        refs["salvage"][0], "wt", "ann",
    )  # fmt: skip
    assert explain(repo, kept)["refs"]["branches"] == ["prodigy-wt"]


def test_who_has_a_commit_now(wt, repo, commit, git):
    sha = commit(wt, "one")
    later = new(repo, "later", "--job", "review", "--agent", "bob", "--base", "prodigy-wt")[
        "worktree"
    ]
    fields = ("branch", "worktree", "session_id", "agent_id", "item_id", "job_id", "status")

    def held():
        found = explain(repo, sha)
        return [tuple(one[name] for name in fields) for one in found["held_by"]], found

    ann = ("prodigy-wt", wt, "wt", "ann", "i-1", "review", "Running")
    bob = ("prodigy-later", later, "later", "bob", None, "review", "Running")
    assert held()[0] == [bob, ann]
    assert held()[1]["merged_into"] == []
    git("merge", "-q", "prodigy-wt", cwd=repo)
    ok("finish", "wt", cwd=repo)
    ok("worktree", "clean", "wt", cwd=repo)
    git("branch", "-f", "prodigy-wt", sha, cwd=repo)  # whether cleaning has left it or not
    whos, found = held()
    main, *others, kept = whos
    assert (kept[2:], found["held_by"][-1]["salvage_ref"]) == (
        (*ann[2:-1], "Completed"),
        found["refs"]["salvage"][0],
    )
    assert (main[:2], found["merged_into"]) == (("main", str(repo)), ["main"])
    assert others == [bob, ("prodigy-wt", None, "wt", "ann", "i-1", "review", "Completed")]
    (made,) = found["recorded"]
    assert (made["status"], made["worktree_state"]) == ("Completed", "trash")
    text = ok("explain", sha, cwd=repo).out
    assert f"held by     prodigy-later in {later}: session later, agent bob, job review" in text
    assert "merged      into main" in text
    item = explain(repo, "i-1", kind="item")["attempts"][0]
    assert (item["branch"], item["branch_exists"], item["worktree_state"]) == (
        "prodigy-wt", True, "trash",
    )  # fmt: skip
    assert "branch prodigy-wt, worktree in the trash: " in ok("explain", "i-1", cwd=repo).out


def test_git_that_takes_too_long_is_not_waited_for(wt, repo, commit, monkeypatch):
    sha = commit(wt, "one")
    monkeypatch.setattr(commit_story, "_PATIENCE", 1e-9)
    said = []
    found = explaining.explain(str(repo), sha, job=None, kind=None, broken=said.append)
    assert (found["exists"], found["refs"], found["held_by"]) == (True, {}, [])
    assert "for-each-ref took longer than" in said[0]


@pytest.fixture
def slow_after(monkeypatch):
    """Let the clock be past the time that git is given once it was read so many times."""

    def set_up(readings):
        clock = iter([0.0] * readings)
        for module in (commit_story, where_now):
            slow = types.SimpleNamespace(monotonic=lambda: next(clock, 1e9))
            monkeypatch.setattr(module, "time", slow)

    return set_up


def test_detached_heads_that_take_too_long_are_not_known(wt, repo, commit, git, slow_after):
    sha = commit(wt, "one")
    others = [new(repo, f"other-{n}")["worktree"] for n in range(2)]
    for other in others:
        git("checkout", "-q", "--detach", "prodigy-wt", cwd=other)
        git("commit", "-q", "--allow-empty", "-m", other, cwd=other)
    assert sorted(explain(repo, sha)["refs"]["detached"]) == sorted(others)
    for readings in (1, 2):  # none of them is asked for, one is
        slow_after(readings)
        said = []
        found = explaining.explain(str(repo), sha, job=None, kind=None, broken=said.append)
        assert (found["refs"]["branches"], found["refs"]["detached"]) == (["prodigy-wt"], None)
        assert [one["branch"] for one in found["held_by"]] == ["prodigy-wt"]
        assert said == [
            f"which detached HEADs contain {sha[:12]} is not known: git took too long to say of all"
        ]
    git("checkout", "-q", "--detach", cwd=wt)
    git("branch", "-q", "-D", "prodigy-wt", cwd=wt)
    slow_after(2)
    text = ok("explain", sha, cwd=repo).out
    assert "now         in no branch, remote or tag; of detached HEADs it is not known\n" in text


def test_an_abbreviation_of_several_commits_names_them(repo, store):
    new(repo, "wt")
    shas = [f"abcdef{n}" + "0" * 33 for n in range(3)]
    write_log(
        store, "repo", "j", "events-20250111.jsonl",
        *({"type": "CommitCreated", "session_id": "s", "commit": sha} for sha in shas),
    )  # fmt: skip
    with pytest.raises(ProdigyError, match=f"beginning of 3 commits: {shas[0]}"):
        explain(repo, "abcdef")
    assert explain(repo, shas[1][:8])["commit"] == shas[1]
