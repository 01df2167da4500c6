"""Agent Trace records: who wrote which lines, also where commits were made anew."""

import json

import pytest
from support_agents import say
from support_cli import call, ok, refused


@pytest.fixture
def tree(repo, git):
    """A repository with a person's first commit, and an agent's worktree."""
    ok("install", cwd=repo)
    (repo / "f").write_text("one\ntwo\nthree\n")
    git("add", "f", cwd=repo)
    git("commit", "-qm", "first", cwd=repo)
    from pathlib import Path

    return Path(ok("new-worktree", "w1", "--agent", "ann", cwd=repo).out.strip())


def commit(git, tree, text, subject, name="f", *options):
    (tree / name).write_text(text)
    git("add", "-A", cwd=tree)
    git("commit", "-q", *options, "-m", subject, cwd=tree)
    return git("rev-parse", "HEAD", cwd=tree)


def test_a_persons_lines_and_an_agents(repo, git, tree, traces, shares):
    first = git("rev-parse", "HEAD", cwd=repo)
    made = commit(git, tree, "one\nTWO\nthree\nfour\n", "work")
    found = traces(cwd=repo)
    assert shares(found[first]) == {"f": {"human": [1, 2, 3]}}
    assert shares(found[made]) == {"f": {"ai": [2, 4]}}
    assert found[made]["metadata"]["prodigy-git"] == {
        "job_id": "w1", "session_id": "w1", "agent_id": "ann"
    }  # fmt: skip
    assert traces("--session", "w1", cwd=repo).keys() == {made}
    assert traces("--job", "w1", cwd=repo).keys() == {made}
    assert traces(cwd=repo) == found


def test_the_program_that_edited_and_its_model(repo, git, tree, traces, tmp_path):
    transcript = tmp_path / "a b.jsonl"
    transcript.write_text("")
    common = {"cwd": tree, "transcript_path": str(transcript), "session": "5f0c"}
    say("claude", "SessionStart", source="startup", model="claude-opus-4-5", **common)
    edited = {"file_path": str(tree / "f")}
    say("claude", "PostToolUse", tool_name="Edit", tool_input=edited, tool_use_id="t", **common)
    made = commit(git, tree, "one\n", "by the program")
    record = traces(cwd=repo)[made]
    (conversation,) = record["files"][0]["conversations"]
    assert conversation["contributor"] == {"type": "ai", "model_id": "anthropic/claude-opus-4-5"}
    assert conversation["url"] == f"file://{tmp_path}/a%20b.jsonl"
    assert record["metadata"]["prodigy-git"]["agent_programs"] == ["claude"]


def test_a_program_in_a_persons_checkout_makes_mixed_of_what_it_edited(
    repo, git, tree, traces, shares
):
    say("codex", "SessionStart", cwd=repo, source="startup", model="gpt-5.2-codex")
    said = {"tool_name": "apply_patch", "tool_use_id": "t"}
    patch = "*** Begin Patch\n*** Update File: f\n@@\n-one\n+ONE\n*** End Patch\n"
    say("codex", "PostToolUse", cwd=repo, tool_input={"command": patch}, **said)
    (repo / "mine").write_text("mine\n")
    made = commit(git, repo, "ONE\ntwo\nthree\n", "both")
    assert shares(traces(cwd=repo)[made]) == {"f": {"mixed": [1]}, "mine": {"human": [1]}}
    later = commit(git, repo, "ONE\nII\nthree\n", "by hand")
    assert shares(traces(cwd=repo)[later]) == {"f": {"human": [2]}}


def test_what_a_program_edited_stays_mixed_in_parts_and_amended(repo, git, tree, traces, shares):
    (repo / "sub").mkdir()
    say("claude", "SessionStart", cwd=repo, source="startup")
    for name in ("f", "sub/g"):
        edited = {"file_path": str(repo / name)}
        say(
            "claude", "PostToolUse", cwd=repo, tool_name="Edit", tool_input=edited, tool_use_id=name
        )
    (repo / "f").write_text("ONE\ntwo\nthree\n")
    (repo / "sub/g").write_text("the program's\n")
    (repo / "g").write_text("a person's\n")
    git("commit", "-qam", "f", cwd=repo)
    git("add", "-A", cwd=repo)
    git("commit", "-qm", "g", cwd=repo)
    parts = git("rev-list", "HEAD", "-2", cwd=repo).split()
    git("commit", "-q", "--amend", "-m", "again", cwd=repo)
    found = traces(cwd=repo)
    assert shares(found[parts[1]]) == {"f": {"mixed": [1]}}
    both = {"g": {"human": [1]}, "sub/g": {"mixed": [1]}}
    assert shares(found[parts[0]]) == both
    assert shares(found[git("rev-parse", "HEAD", cwd=repo)]) == both


def test_what_is_squashed_or_taken_by_hand_stays_the_agents(repo, git, tree, traces, shares):
    commit(git, tree, "agent's\n", "work", "g")
    last = commit(git, tree, "agent's too\n", "more", "h")
    git("merge", "-q", "--squash", last, cwd=repo)
    (repo / "empty").write_text("")
    made = commit(git, repo, "agent's\na person's\n", "by hand", "g")
    git("rm", "-q", "h", cwd=repo)
    git("commit", "-qm", "without h", cwd=repo)
    git("checkout", last, "--", "h", cwd=repo)
    taken = commit(git, repo, "mine\n", "with h", "mine")
    found = traces(cwd=repo)
    assert shares(found[made]) == {
        "g": {"ai": [1], "human": [2]}, "h": {"ai": [1]}, "empty": {"human": []}
    }  # fmt: skip
    there = found[made]["metadata"]["prodigy-git"]["replaces"]
    assert there == git("rev-list", "-2", last, cwd=repo).split()
    assert shares(found[taken]) == {"h": {"ai": [1]}, "mine": {"human": [1]}}
    assert found[taken]["metadata"]["prodigy-git"]["replaces"] == [last]


def test_what_is_picked_amended_or_squashed_stays_with_who_wrote_it(
    repo, git, tree, traces, shares
):
    commit(git, tree, "one\nagent\nthree\n", "work")
    commit(git, tree, "agent's\n", "more", "g")
    git("cherry-pick", "prodigy-w1~1", cwd=repo)
    picked = git("rev-parse", "HEAD", cwd=repo)
    amended = commit(git, repo, "ONE\nagent\nthree\n", "person's words", "f", "--amend")
    found = traces(cwd=repo)
    assert shares(found[picked]) == {"f": {"ai": [2]}}
    assert shares(found[amended]) == {"f": {"ai": [2], "human": [1]}}
    assert found[amended]["metadata"]["prodigy-git"]["replaces"]


@pytest.mark.parametrize("how", ["--squash", "--rebase"])
def test_what_was_merged_stays_the_agents(repo, git, tree, traces, shares, how):
    commit(git, tree, "agent's\n", "work", "g")
    commit(git, tree, "agent's\nmore\n", "more", "g")
    ok("finish", cwd=tree)
    (repo / "mine").write_text("mine\n")
    git("add", "-A", cwd=repo)
    git("commit", "-qm", "meanwhile", cwd=repo)
    done = call("merge", "w1", how, cwd=repo)
    assert done.code == 0, done
    found = traces(cwd=repo)
    made = git("rev-list", "HEAD", "--not", "HEAD~1" if how == "--squash" else "HEAD~2", cwd=repo)
    lines = [shares(found[one]) for one in made.split()]
    want = (
        [{"g": {"ai": [1, 2]}}] if how == "--squash" else [{"g": {"ai": [2]}}, {"g": {"ai": [1]}}]
    )
    assert lines == want


def test_commits_that_are_gone_are_counted(repo, git, tree, traces):
    made = commit(git, tree, "x\n", "gone soon")
    git("reset", "-q", "--hard", "HEAD~1", cwd=tree)
    (repo / ".git" / "objects" / made[:2] / made[2:]).unlink()
    done = ok("events", "export", "--format", "agent-trace", cwd=repo)
    assert made not in done.out
    assert "1 commits are no longer in the repository" in done.err


def test_notes_travel_without_this_machines_paths(repo, git, tree, tmp_path):
    transcript = tmp_path / "t.jsonl"
    transcript.write_text("")
    say("claude", "SessionStart", cwd=tree, source="startup", transcript_path=str(transcript))
    made = commit(git, tree, "x\n", "work")
    other = git("rev-parse", "HEAD", cwd=repo)
    git("notes", "--ref=agent-trace", "add", "-m", '{"tool": {"name": "cursor"}}', other, cwd=repo)
    export = ("events", "export", "--format", "agent-trace", "--notes")
    assert "1 notes written, 0 there already, 1 left" in ok(*export, cwd=repo).err
    before = git("rev-parse", "refs/notes/agent-trace", cwd=repo)
    assert "0 notes written, 1 there already, 1 left" in ok(*export, cwd=repo).err
    assert git("rev-parse", "refs/notes/agent-trace", cwd=repo) == before
    note = git("notes", "--ref=agent-trace", "show", made, cwd=repo)
    assert json.loads(note)["vcs"]["revision"] == made
    assert str(tmp_path) not in note
    assert "urn:prodigy-git:claude:s1" in note
    assert "cursor" in git("notes", "--ref=agent-trace", "show", other, cwd=repo)
    git("clone", "-q", repo, tmp_path / "clone", cwd=tmp_path)
    git("fetch", "-q", "origin", "refs/notes/*:refs/notes/*", cwd=tmp_path / "clone")
    git("notes", "--ref=agent-trace", "show", made, cwd=tmp_path / "clone")


def test_who_else_writes_notes_meanwhile_loses_none(repo, git, tree, monkeypatch):
    from prodigy_git.attribution import git_notes

    made = commit(git, tree, "x\n", "work")
    first = git("rev-parse", "HEAD", cwd=repo)
    real = git_notes._add
    tried = []

    def beaten(common, old, anew):
        if not tried:
            git("notes", "--ref=agent-trace", "add", "-m", "theirs", first, cwd=repo)
        tried.append(old)
        return real(common, old, anew)

    monkeypatch.setattr(git_notes, "_add", beaten)
    ok("events", "export", "--format", "agent-trace", "--notes", "--session", "w1", cwd=repo)
    assert len(tried) == 2
    assert git("notes", "--ref=agent-trace", "show", first, cwd=repo) == "theirs"
    git("notes", "--ref=agent-trace", "show", made, cwd=repo)


def test_notes_that_cannot_be_written_say_why(repo, git, tree, monkeypatch):
    export = ("events", "export", "--format", "agent-trace", "--notes")
    lock = repo / ".git/refs/notes/agent-trace.lock"
    lock.parent.mkdir()
    lock.touch()
    assert "agent-trace.lock': File exists" in refused(*export, cwd=repo)
    lock.unlink()
    git("update-ref", "refs/notes/agent-trace/more", "HEAD", cwd=repo)
    assert "'refs/notes/agent-trace/more' exists" in refused(*export, cwd=repo)
    git("update-ref", "-d", "refs/notes/agent-trace/more", cwd=repo)
    monkeypatch.setenv("GIT_COMMITTER_NAME", "")
    assert "set user.name and user.email" in refused(*export, cwd=repo)


def test_what_makes_no_sense_is_refused(repo, tree):
    assert "--notes goes with" in refused("events", "export", "--notes", cwd=repo, code=2)
