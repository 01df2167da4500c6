"""When git waits, and who else does: what is configured, what is not as usual, and who reads."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support_background import Background, age_configuration, wait_until
from support_record import (
    PREAMBLE,
    SILENT,
    commit,
    commits,
    events,
    git,
    place,
    run,
    session_of,
)

from prodigy_git import api, hookfiles, layout

SHELLS = {"dash": "dash", "bash": "bash", "bash-posix": "bash --posix", "busybox": "busybox sh"}


@pytest.mark.parametrize("name", SHELLS)
def test_in_every_shell(name: str, it: Background) -> None:
    if shutil.which(SHELLS[name].split()[0]) is None:
        pytest.skip(f"NOT TESTED: {name} is not installed")
    it.close_gate()
    wrapper = it.folder / "shell"
    wrapper.write_text(f'#!/bin/sh\nexec {SHELLS[name]} "$@"\n')
    wrapper.chmod(0o755)
    for hook in hookfiles.HOOKS:
        path = it.folder / "hooks" / hook
        path.write_bytes(path.read_bytes().replace(b"#!/bin/sh", b"#!" + bytes(wrapper), 1))
    made = []
    for number in range(3):
        done = run("git", "commit", "-q", "--allow-empty", "-m", f"c{number}", cwd=it.top)
        assert (done.stdout, done.stderr) == (b"", b"")
        made.append(git("rev-parse", "HEAD", cwd=it.top))
    assert len(it.pids()) == 1
    it.open_gate()
    assert commits(it.store)[-3:] == made


def waits(it: Background, **env: str) -> bool:
    """Make a commit; say whether it was recorded when git came back."""
    sha = commit(it.top, "one", **env)
    waited = commits(it.store)[-1:] == [sha]
    if not waited:
        it.open_gate()
        assert commits(it.store)[-1] == sha
    return waited


@pytest.mark.parametrize("scope", ["--local", "--global", "included", "--worktree"])
def test_git_config_prodigy_record_wait(scope: str, it: Background) -> None:
    """At once, and at once no more: nobody has to install anything anew."""
    where = [scope]
    if scope == "included":
        where = ["--file", str(it.folder / "more")]
        git("config", *where, "a.b", "c", cwd=it.top)
        git("config", "--global", "include.path", it.folder / "more", cwd=it.top)
        os.utime(it.folder / "more", (1, 1))
    elif scope == "--worktree":
        git("config", "extensions.worktreeConfig", "true", cwd=it.top)
    it.leave()
    it.close_gate()
    assert not waits(it)
    git("config", *where, "prodigy.record", "wait", cwd=it.top)
    assert waits(it)
    assert waits(it)
    git("config", *where, "--unset", "prodigy.record", cwd=it.top)
    waits(it)  # what has only just changed may change again
    age_configuration(it.home, it.top)
    if scope == "included":
        os.utime(it.folder / "more", (1, 1))
    if scope == "--worktree":
        os.utime(Path(place(it.top).private) / "config.worktree", (1, 1))
    waits(it)
    assert not waits(it)


def test_for_one_command(it: Background) -> None:
    it.close_gate()
    assert waits(it, PRODIGY_RECORD="wait")
    assert waits(
        it, GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0="Prodigy.Record", GIT_CONFIG_VALUE_0="wait"
    )
    assert not waits(
        it, GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0="user.name", GIT_CONFIG_VALUE_0="Me"
    )
    git("-c", "prodigy.record=wait", "commit", "-qm", "two", "--allow-empty", cwd=it.top)
    assert commits(it.store)[-1] == git("rev-parse", "HEAD", cwd=it.top)
    git("config", "prodigy.record", "wait", cwd=it.top)
    it.leave()
    assert waits(it)
    assert not waits(it, PRODIGY_RECORD="background")


def test_another_home_is_another_configuration(it: Background) -> None:
    it.close_gate()
    other = it.folder / "other"
    other.mkdir()
    text = (it.home / ".gitconfig").read_text() + "[prodigy]\n\trecord = wait\n"
    (other / ".gitconfig").write_text(text)
    os.utime(other / ".gitconfig", (1, 1))
    assert waits(it, HOME=str(other), GIT_CONFIG_GLOBAL=str(other / ".gitconfig"))


def test_a_rebase_is_recorded_before_git_removes_what_it_replaced(it: Background) -> None:
    it.close_gate()
    it.world.sh("f x 1 one; f y 2 two; git rebase -q other")
    rows = it.world.rows()
    assert rows[-1] == "rewrote rebase Start>Start one>one two>two"
    it.open_gate()
    assert it.world.rows() == rows


def test_a_copy_is_told_of_and_waited_for(it: Background) -> None:
    it.close_gate()
    copy = it.world.root / "copy"
    shutil.copytree(it.top, copy, symlinks=True)
    done = run("git", "commit", "-qm", "one", "--allow-empty", cwd=copy, PRODIGY_HOME=str(it.store))
    assert done.stderr.count(b"\n") == 1
    assert b"is a copy of a worktree" in done.stderr
    assert session_of(copy) != session_of(it.top)
    assert commits(it.store, session_of(copy)) == [git("rev-parse", "HEAD", cwd=copy)]


def test_a_store_that_is_gone_is_told_of_and_not_made_anew(it: Background) -> None:
    it.close_gate()
    one = commit(it.top, "one")
    away = it.store.with_name("away")
    it.store.rename(away)
    it.let_in()
    done = run("git", "commit", "-qm", "two", "--allow-empty", cwd=it.top)
    assert b"is not there" in done.stderr
    two = git("rev-parse", "HEAD", cwd=it.top)
    wait_until(lambda: not _recorders(it), "the recorder's end")
    assert not it.store.exists()
    away.rename(it.store)
    three = commit(it.top, "three")
    assert commits(it.store)[-3:] == [one, two, three]


def _recorders(it: Background) -> list[str]:
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in found.stdout.splitlines() if f"{it.folder}/" in line]


def test_a_package_that_cannot_run_is_told_of(it: Background) -> None:
    package = it.folder / "package"
    shutil.copytree(
        Path(hookfiles.package_folder()) / "prodigy_git", package / "prodigy_git",
        ignore=shutil.ignore_patterns("__pycache__"),
    )  # fmt: skip
    for hook in hookfiles.HOOKS:
        text = hookfiles.render(hook, [], hookfiles.Runtime(sys.executable, str(package), 1))
        (it.folder / "hooks" / hook).write_bytes(text)
    (package / "prodigy_git" / "record" / "drain.py").write_text("half of it")
    one = commit(it.top, "one")
    wait_until(lambda: it.pids() and not it.alive(), "the recorder's end")
    done = run("git", "commit", "-qm", "two", "--allow-empty", cwd=it.top)
    assert b"cannot run" in done.stderr
    assert done.stderr.count(b"\n") == 1
    shutil.rmtree(package)
    shutil.copytree(Path(hookfiles.package_folder()) / "prodigy_git", package / "prodigy_git")
    two = git("rev-parse", "HEAD", cwd=it.top)
    three = commit(it.top, "three")
    assert commits(it.store)[-3:] == [one, two, three]
    assert it.pids() == []


def start(*words: str, cwd: Path, store: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "prodigy_git", *words], cwd=cwd, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PRODIGY_HOME": str(store)},
    )  # fmt: skip


READERS = {
    "events ls": lambda sha, text: sha[:10] in text,
    "sessions list --json": lambda sha, text: sha in text,
    "status --json": lambda sha, text: sha[:7] in text,
    "events stats --json": lambda sha, text: '"CommitCreated"' in text,
    "verify": lambda sha, text: True,
}


@pytest.mark.parametrize("name", READERS)
def test_whoever_reads_does_not_wait_for_a_recorder_but_records(
    name: str, it: Background, prodigy: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    it.close_gate()
    sha = commit(it.top, "one")
    done = prodigy(*name.split(), cwd=it.top, check=True)
    assert commits(it.store)[-1] == sha
    assert READERS[name](sha, done.stdout), done.stdout
    it.open_gate()
    assert commits(it.store)[-1] == sha


def test_the_library_reads_what_a_recorder_has_yet_to_record(it: Background) -> None:
    commit(it.top, "before")
    it.through()
    (log,) = (it.store / "events").glob("*/*")
    job = api.Job(str(it.store), log.parent.name, log.name)
    it.close_gate()
    sha = commit(it.top, "one")
    made = [one.own()["commit"] for one in api.read_events(job) if one.type == "CommitCreated"]
    assert made[-1] == sha
    commit(it.top, "two")
    assert api.job_state(job)["commits"] == len(made) + 1
    it.open_gate()


@pytest.mark.parametrize("command", ["events ls --all-jobs", "sync --all", "sessions list"])
def test_whoever_reads_waits_for_the_recorder_of_a_worktree_that_is_gone(
    command: str, linked: Background
) -> None:
    session = session_of(linked.top)
    script = (
        "c one; git rev-parse HEAD >../made; t=$PWD; cd ../seed; git worktree remove --force $t"
    )
    run("sh", "-e", "-c", PREAMBLE + script, cwd=linked.top)
    sha = (linked.world.root / "made").read_text().strip()
    reader = start(*command.split(), cwd=linked.world.root / "seed", store=linked.store)
    linked.open_gate()
    out, err = reader.communicate()
    assert (reader.returncode, err) == (0, "")
    assert commits(linked.store, session)[-1] == sha
    assert sha[:10] in out or "list" in command or "up to date" in out


def test_sync_says_what_it_recorded(
    it: Background, prodigy: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    name = session_of(it.top)
    for words in (["--session", name], ["--job", name], ["--all"], []):
        commit(it.top, "silent", **SILENT)
        commit(it.top, "silent", **SILENT)
        env = {"PRODIGY_HOME": str(it.store)}
        done = prodigy("sync", *words, cwd=it.top, check=True, env=env)
        assert done.stdout == f"{name}: 2 commits recorded now\n1 session up to date\n"
    done = prodigy("sync", "--json", cwd=it.top, check=True)
    assert json.loads(done.stdout) == {
        "recorded_now": 0,
        "sessions": [{"session_id": name, "job_id": name, "recorded_now": 0, "error": None}],
    }
    done = prodigy("sync", "--session", "none", cwd=it.top)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    done = prodigy("sync", "--job", "none", cwd=it.top)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_sync_fails_where_a_session_cannot_be_brought_up_to_date(
    it: Background, prodigy: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    commit(it.top, "silent", **SILENT)
    folder = next(it.store.glob("events/*/*"))
    shutil.rmtree(folder)
    folder.touch()
    done = prodigy("sync", "--json", cwd=it.top)
    assert done.returncode == 1
    assert "could not be brought up to date" in done.stderr
    (one,) = json.loads(done.stdout)["sessions"]
    assert one["error"]
    assert one["recorded_now"] is None


def test_marks_of_sessions_that_are_gone_go_too(
    it: Background, prodigy: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    folder = Path(layout.recorders(str(it.store)))
    (folder / "gone+999999999").touch()
    (folder / "no mark").touch()
    prodigy("sync", "--all", cwd=it.top, check=True)
    prodigy("status", cwd=it.top, check=True)
    assert os.listdir(folder) == ["no mark"]


def test_a_worktree_is_cleaned_while_its_recorder_is_under_way(
    it: Background, prodigy: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """The command records itself, and a recorder is nobody at work in the worktree."""
    env = {"PRODIGY_HOME": str(it.store)}
    path = Path(prodigy("new-worktree", "a1", cwd=it.top, check=True, env=env).stdout[:-1])
    it.leave(path)
    it.close_gate()
    sha = commit(path, "one")
    assert len(it.pids()) == 1
    prodigy("finish", "a1", cwd=it.top, check=True, env=env)
    done = prodigy("worktree", "clean", "a1", "--force", cwd=it.top, env=env)
    assert not path.exists(), done
    it.open_gate()
    kinds = [event["type"] for event in events(it.store) if event["session_id"] == "a1"]
    assert commits(it.store, "a1") == [sha]
    assert kinds.index("CommitCreated") < kinds.index("SessionFinished")
    prodigy("worktree", "restore", "a1", cwd=it.top, check=True, env=env)
    two = commit(path, "two")
    it.open_gate()
    assert commits(it.store, "a1") == [sha, two]
    prodigy("verify", "--all", cwd=it.top, check=True, env=env)
