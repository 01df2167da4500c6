"""Before a worktree that was set up is cleaned: its teardown, and what runs for it ends."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from support_cli import call, new, ok, refused, start
from support_setup import number_in, runs, say, trust, until


def prepared(repo, git, *down, background="exec sleep 600"):
    text = f"[setup]\nstart = {json.dumps(['echo $$ > ../pid; ' + background])}\n"
    say(repo, git, text + (f"[teardown]\nrun = {json.dumps(down)}\n" if down else ""))
    trust(repo)
    made = new(repo, "w1")
    return made["worktree"], number_in(Path(made["worktree"]).parent / "pid")


def note(store):
    (path,) = (store / "setup").iterdir()
    return path


def test_it_runs_in_the_worktree_before_and_ends_what_runs(repo, git, store, tmp_path):
    down = tmp_path / "down"
    path, pid = prepared(repo, git, f"pwd > {down}; printf %s {{{{ session }}}} >> {down}")
    # What was started for it keeps nobody out, though it works in there.
    account = ok("worktree", "show", "w1", "--json", cwd=repo).json
    assert (account["processes"], [one["pid"] for one in account["background"]]) == ([], [pid])
    assert f"(pid {pid}), ends with it" in ok("worktree", "show", "w1", cwd=repo).out
    ok("finish", "w1", cwd=repo)
    assert ok("worktree", "clean", "w1", "--dry-run", cwd=repo).code == 0
    assert runs(pid)
    ok("worktree", "clean", "w1", cwd=repo)
    assert down.read_text() == f"{path}\nw1"
    assert not runs(pid)
    assert list((store / "setup").iterdir()) == []


def test_clean_tears_down_too(repo, git, tmp_path):
    _, pid = prepared(repo, git, f"touch {tmp_path}/down")
    ok("finish", "w1", cwd=repo)
    ok("worktree", "clean", "--all", "--min-age", "0s", cwd=repo)
    assert (tmp_path / "down").exists()
    assert not runs(pid)


def test_somebody_else_in_there_keeps_it_out(repo, git, store):
    path, pid = prepared(repo, git, "false")
    ok("finish", "w1", cwd=repo)
    other = subprocess.Popen(["sleep", "600"], cwd=path)
    try:
        assert f"pid {other.pid}" in call("worktree", "clean", "w1", cwd=repo).out
    finally:
        other.kill()
        other.wait()
    assert runs(pid)
    assert os.path.isdir(path)
    os.kill(pid, signal.SIGKILL)


def test_a_failure_keeps_the_worktree_and_says_so(repo, git, store, tmp_path):
    path, pid = prepared(repo, git, "echo why >&2; exit 4", f"touch {tmp_path}/never")
    ok("finish", "w1", cwd=repo)
    done = call("worktree", "clean", "w1", cwd=repo)
    assert done.code == 1
    assert "exited with status 4" in done.out
    assert "--no-teardown" in done.out
    assert "| why" in done.err
    assert os.path.isdir(path)
    assert not (tmp_path / "never").exists()
    ok("worktree", "clean", "w1", "--no-teardown", cwd=repo)
    assert not os.path.exists(path)
    assert not runs(pid)


def test_what_it_leaves_behind_is_accounted_for(repo, git):
    path, pid = prepared(repo, git, "echo precious > left")
    ok("finish", "w1", cwd=repo)
    done = call("worktree", "clean", "w1", cwd=repo)
    assert done.code == 1
    assert "1 untracked; now that its teardown has run" in done.out
    assert (Path(path) / "left").exists()
    assert not runs(pid)
    # It has run: it is not run again.
    os.unlink(f"{path}/left")
    ok("worktree", "clean", "w1", cwd=repo)


def test_without_trust_it_does_not_run(repo, git, tmp_path):
    path, pid = prepared(repo, git, f"touch {tmp_path}/down")
    ok("finish", "w1", cwd=repo)
    ok("setup", "trust", "--revoke", cwd=repo)
    done = call("worktree", "clean", "w1", cwd=repo)
    assert (done.code, os.path.isdir(path)) == (1, True)
    assert "not trusted any more" in done.out
    ok("worktree", "clean", "w1", "--no-teardown", cwd=repo)
    assert not (tmp_path / "down").exists()
    assert not runs(pid)


def test_what_runs_is_what_was_trusted_at_the_set_up(repo, git, tmp_path):
    """Neither what an agent commits in there, nor what somebody writes into the note, is run."""
    path, _ = prepared(repo, git, f"touch {tmp_path}/down")
    Path(path, ".prodigy", "worktree.toml").write_text(
        f'[teardown]\nrun = "touch {tmp_path}/evil"\n'
    )
    git("commit", "-qam", "another teardown", cwd=path)
    ok("worktree", "clean", "w1", "--force", cwd=repo)
    assert sorted(one.name for one in tmp_path.glob("[de]*")) == ["down"]


def test_a_note_that_was_changed_is_not_trusted(repo, git, store, tmp_path):
    _, pid = prepared(repo, git, f"touch {tmp_path}/down")
    ok("finish", "w1", cwd=repo)
    found = note(store)
    found.write_text(found.read_text().replace(f"{tmp_path}/down", f"{tmp_path}/evil"))
    assert "not trusted any more" in call("worktree", "clean", "w1", cwd=repo).out
    assert not (tmp_path / "evil").exists()
    os.kill(pid, signal.SIGKILL)


def test_a_script_that_only_another_command_names_may_have_been_edited(repo, git, tmp_path):
    say(repo, git, "true\n", "up.sh")
    say(repo, git, f"touch {tmp_path}/down\n", "down.sh")
    say(repo, git, '[setup]\nrun = "sh up.sh"\n[teardown]\nrun = "sh down.sh"\n')
    trust(repo)
    for name, edited in (("w1", "up.sh"), ("w2", "down.sh")):
        path = new(repo, name)["worktree"]
        Path(path, edited).write_text("true # edited\n")
        git("commit", "-qam", "an edit", cwd=path)
        ok("finish", name, cwd=repo)
        done = call("worktree", "clean", "--force", name, cwd=repo)
        assert done.code == (0 if name == "w1" else 1)
        assert (tmp_path / "down").exists() == (name == "w1")
        (tmp_path / "down").unlink(missing_ok=True)
    assert "down.sh in" in done.out


def test_a_teardown_that_cannot_begin_leaves_nothing_under_way(repo, git, store):
    say(repo, git, "true\n", "web/f")
    say(repo, git, '[setup]\ndirectory = "web"\n[teardown]\nrun = "true"\n')
    trust(repo)
    path = new(repo, "w1")["worktree"]
    git("rm", "-qr", "web", cwd=path)
    git("commit", "-qm", "gone", cwd=path)
    ok("finish", "w1", cwd=repo)
    before = json.loads(note(store).read_text())
    said = call("worktree", "clean", "w1", "--force", cwd=repo).out
    assert "there is no folder web" in said
    assert note(store).name == "w1.json"
    assert json.loads(note(store).read_text()) == before
    # What it says works as it stands.
    words = re.search("'prodigy-git (worktree clean --no-teardown [^']*)'", said)
    assert words is not None
    ok(*words[1].split(), "--force", cwd=repo)
    assert not os.path.exists(path)


def test_a_log_that_cannot_be_written_leaves_nothing_under_way(repo, git, store):
    path, pid = prepared(repo, git, "true")
    ok("finish", "w1", cwd=repo)
    (log,) = (store / "logs").rglob("w1.start-1.log")
    (log.parent / "w1.setup.log").mkdir()
    done = call("worktree", "clean", "w1", cwd=repo)
    assert (done.code, os.path.isdir(path)) == (1, True)
    assert "its teardown did not run" in done.out
    assert json.loads(note(store).read_text())["by"] is None
    ok("worktree", "clean", "w1", "--no-teardown", cwd=repo)
    assert not runs(pid)


def test_a_number_that_was_given_out_again_is_nobodys_business(repo, git, store):
    """Its process is gone, and another one, of another start, has its number."""
    _, pid = prepared(repo, git)
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        fields = json.loads(note(store).read_text())
        fields["background"][0]["process"]["pid"] = other.pid
        note(store).write_text(json.dumps(fields))
        ok("finish", "w1", cwd=repo)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not runs(pid))
        ok("worktree", "clean", "w1", cwd=repo)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_what_the_first_process_left_is_ended_by_its_mark(repo, git):
    path, pid = prepared(repo, git, background="sleep 600 & echo $! > ../child; exit")
    child = number_in(Path(path).parent / "child")
    until(lambda: not runs(pid))
    assert runs(child)
    ok("finish", "w1", cwd=repo)
    ok("worktree", "clean", "w1", cwd=repo)
    assert not runs(child)


def test_killed_in_a_teardown_the_next_clean_does_it_again(repo, git, tmp_path):
    path, pid = prepared(
        repo,
        git,
        f"echo $$ > {tmp_path}/pid; [ -e {tmp_path}/go ] || sleep 600; touch {tmp_path}/down",
    )
    ok("finish", "w1", cwd=repo)
    child = start("worktree", "clean", "w1", cwd=repo)
    step = number_in(tmp_path / "pid")
    child.kill()
    child.communicate(timeout=60)
    (tmp_path / "go").touch()
    ok("worktree", "clean", "w1", cwd=repo)
    assert (tmp_path / "down").exists()
    assert not os.path.exists(path)
    assert not runs(step)
    assert not runs(pid)


def test_restored_it_can_be_set_up_again(repo, git, store):
    path, pid = prepared(repo, git)
    ok("finish", "w1", cwd=repo)
    ok("worktree", "clean", "w1", cwd=repo)
    ok("worktree", "restore", "w1", cwd=repo)
    assert list((store / "setup").iterdir()) == []
    os.unlink(Path(path).parent / "pid")
    ok("setup", "run", "w1", cwd=repo)
    again = number_in(Path(path).parent / "pid")
    assert again != pid
    ok("worktree", "clean", "w1", cwd=repo)
    assert not runs(again)


@pytest.mark.parametrize("damage", ["{", "[]", '{"repo": 3}'])
def test_a_damaged_note_is_said(repo, git, store, damage):
    path, pid = prepared(repo, git)
    ok("finish", "w1", cwd=repo)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not runs(pid))
    note(store).write_text(damage)
    done = call("worktree", "clean", "w1", cwd=repo)
    assert done.code == 1
    assert "move it away" in done.out
    assert os.path.isdir(path)
    assert "move it away" in refused("setup", "run", "w1", cwd=repo)
