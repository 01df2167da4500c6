"""Merging in repositories with submodules, filters, odd names, or little of a history."""

from support_cli import call, ok
from support_merge import line, sh


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


def test_paths_of_any_bytes_conflict_and_are_told(team):
    name = "$(printf 'x\\377\\n\\033y')"
    team.each({"a": f'echo a >"{name}"', "b": f'echo b >"{name}"'})
    done = call("merge", "a", "b", cwd=team.repo)
    assert "b: conflict in x\\xff\\n\\x1by, with a" in done.out
    (told,) = team.events("MergeConflict")
    assert len(told["files"]) == 1
    assert team.merge("b", "--requeue", code=1)["results"][0]["requeued"]
    ok("events", "ls", "--job", "j", "--json", cwd=team.repo)
