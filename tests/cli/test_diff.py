"""diff, and job show --items: what results change, as it is printed."""

import json
import os
import pty
import subprocess
import sys

import pytest
from support_cli import call, environment, new, ok, refused, rewrite_session
from support_forkserver import Forked
from support_terminal import Terminal


@pytest.fixture
def job(repo, tmp_path):
    path = tmp_path / "items"
    path.write_text("".join(json.dumps({"id": name}) + "\n" for name in ("b", "a", "c")))
    ok("job", "start", "j", "--items", path, cwd=repo)
    return repo


def worked(git, repo, name, item, *how, end=True):
    top = new(repo, name, "--job", "j", "--agent", f"agent-{name}", "--item", item)["worktree"]
    with open(f"{top}/{name}", "w") as stream:
        stream.write("a line\n")
    git("add", ".", cwd=top)
    git("commit", "-qm", name, cwd=top)
    if end:
        ok("finish", name, *how, cwd=repo)
    return top


def test_items_with_what_was_done_on_each(job, git, store):
    worked(git, job, "first", "a", "--failed", "--error", "no\x1bkey\nreally")
    worked(git, job, "second", "a")
    worked(git, job, "third", "b", end=False)
    rows = [
        line.split("\t") for line in ok("job", "show", "j", "--items", cwd=job).out.splitlines()
    ]
    assert rows == [
        ["b", "in progress", "1", "prodigy/j/b", "1", "+1 -0", "1", "-"],
        ["a", "completed", "2", "prodigy/j/a@2", "1", "+1 -0", "1", "-"],
        ["  attempt 1", "failed", "-", "prodigy/j/a", "1", "+1 -0", "1", "no\\x1bkey"],
        ["c", "pending", "-", "-", "-", "-", "-", "-"],
    ]
    git("merge", "-q", "prodigy/j/a@2", cwd=job)
    found = ok("job", "show", "j", "--items", "--json", cwd=job).json
    assert (found["job_id"], [one["item_id"] for one in found["items"]]) == ("j", ["b", "a", "c"])
    one = found["items"][1]
    assert (one["state"], one["attempts"]) == ("completed", 2)
    assert [(r["session_id"], r["is_result"], r["merged"]) for r in one["results"]] == [
        ("second", True, True), ("first", False, False),
    ]  # fmt: skip
    assert one["results"][0]["changed_files"] == [
        {"path": "second", "former": None, "lines_added": 1, "lines_removed": 0}
    ]
    assert "merged into main" in ok("job", "show", "j", "--items", cwd=job).out
    rewrite_session(store, "second", metadata={"base_commit": None})
    row = ok("job", "show", "j", "--items", cwd=job).out.splitlines()[1].split("\t")
    assert row == ["a", "completed", "2", "prodigy/j/a@2", "-", "-", "-", "merged into main"]


def test_a_job_without_items(repo):
    new(repo, "w", "--job", "k")
    assert ok("job", "show", "k", "--items", cwd=repo).out == ""
    assert ok("job", "show", "k", "--items", "--json", cwd=repo).json["items"] == []
    assert "no job none" in refused("job", "show", "none", "--items", cwd=repo)


def shown(prodigy, repo, *words, **settings):
    return prodigy("diff", *words, cwd=repo, check=True, **settings)


def test_a_result_is_shown_by_git(job, git, prodigy):
    base = git("rev-parse", "HEAD", cwd=job)
    worked(git, job, "first", "a", "--failed")
    worked(git, job, "second", "a")
    git("commit", "-q", "--allow-empty", "-m", "others", cwd=job)
    wanted = git("diff", base, "prodigy/j/a@2", cwd=job)
    for name in ("a", "agent-second", "second", "prodigy/j/a@2"):
        assert shown(prodigy, job, name).stdout == f"{wanted}\n"
    assert "first" in shown(prodigy, job, "agent-first").stdout
    stat = shown(prodigy, job, "a", "--stat").stdout
    assert stat == git("diff", "--stat", base, "prodigy/j/a@2", cwd=job) + "\n"
    found = ok("diff", "a", "--json", cwd=job).json
    assert (found["merge_base"], found["session_id"], found["lines_added"]) == (base, "second", 1)
    # From a worktree, and from a subfolder, the same.
    assert shown(prodigy, job, "a", "--job", "j").stdout == f"{wanted}\n"
    (job / "sub").mkdir()
    assert prodigy("diff", "a", cwd=job / "sub", check=True).stdout == f"{wanted}\n"


def test_users_settings_of_git_hold(job, git, prodigy):
    worked(git, job, "first", "a")
    git("config", "diff.noprefix", "true", cwd=job)
    assert "diff --git first first" in shown(prodigy, job, "a").stdout
    env = {"GIT_DIR": "/nowhere", "GIT_WORK_TREE": "/nowhere"}
    assert "diff --git first first" in shown(prodigy, job, "a", env=env).stdout


def test_what_is_not_in_it_is_said(job, git, prodigy):
    top = worked(git, job, "first", "a", end=False)
    assert shown(prodigy, job, "a").stderr == ""
    with open(f"{top}/new", "w") as stream:
        stream.write("more\n")
    assert f"git -C {top} diff HEAD" in shown(prodigy, job, "a").stderr
    for item in ("b", "c"):
        new(job, f"w{item}", "--job", "j", "--agent", "ada", "--item", item)
        ok("finish", f"w{item}", cwd=job)
    done = shown(prodigy, job, "ada")
    assert (done.stdout, done.stderr) == ("", "prodigy-git: ada did other items, too: b\n")


def test_what_cannot_be_shown(job, git):
    assert "no session, item, agent or branch c " in refused("diff", "c", cwd=job)
    top = worked(git, job, "first", "a")
    git("worktree", "remove", "--force", top, cwd=job)
    git("branch", "-qD", "prodigy/j/a", cwd=job)
    git("reflog", "expire", "--expire=now", "--all", cwd=job)
    git("gc", "-q", "--prune=now", cwd=job)
    assert "nothing is left of a in git" in refused("diff", "a", cwd=job)
    assert "not in a git repository" in refused("diff", "a", cwd=job.parent)
    top = worked(git, job, "other", "b")
    git("switch", "-q", "--orphan", "alone", cwd=top)
    git("commit", "-q", "--allow-empty", "-m", "no ancestor", cwd=top)
    assert "no commit in common with main: 'git show" in refused("diff", "b", cwd=job)


def test_on_a_terminal_git_calls_the_pager(job, git, tmp_path):
    worked(git, job, "first", "a")
    pager = tmp_path / "pager"
    pager.write_text(f"#!/bin/sh\ncat >{tmp_path}/paged\n")
    pager.chmod(0o755)
    ours, theirs = pty.openpty()
    child = Forked(
        [sys.executable, "-m", "prodigy_git", "diff", "a"], cwd=job,
        env=environment(GIT_PAGER=str(pager), TERM="xterm"), stdin=subprocess.DEVNULL,
        stdout=theirs, stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(theirs)
    _, err = child.communicate(timeout=120)
    os.close(ours)
    assert (child.returncode, err) == (0, b"")
    assert "a line" in (tmp_path / "paged").read_text()


def test_ctrl_c_is_for_the_pager(job, git, tmp_path, monkeypatch):
    worked(git, job, "first", "a")
    pager = tmp_path / "pager"
    pager.write_text(
        "#!/bin/sh\ntrap 'echo INTERRUPTED' INT\ncat\necho PAGED\nread line </dev/tty\n"
        "read line </dev/tty\necho LINE $line\n"
    )
    pager.chmod(0o755)
    monkeypatch.setenv("GIT_PAGER", str(pager))
    terminal = Terminal("diff", "a", cwd=job)
    try:
        terminal.until("PAGED")
        terminal.press("\x03")
        terminal.until("INTERRUPTED")
        # Whose terminal it is still: the pager's, which git waits for, and we for git.
        terminal.press("one\nmore\n")
        terminal.until("LINE")
        assert terminal.end() == 130
        assert "error" not in terminal.text()
    finally:
        terminal.close()


def test_a_session_whose_job_is_not_there(repo, store):
    new(repo, "first")
    rewrite_session(store, "first", metadata={"job_id": "gone"})
    done = call("diff", "first", cwd=repo)
    assert (done.code, done.out) == (1, "")
    assert "no job gone" in done.err
    assert "first has left anything" in done.err.splitlines()[-1]
